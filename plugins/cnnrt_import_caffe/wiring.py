"""Caffe's blobs as values named after layers.

A blob may be written several times, in place; what a layer reads is what the last writer before it left. Here
every value is named after the layer that computes it, so that each name is written once. Layers that only feed
the training are left out on the way: losses, accuracy, and what works on labels.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import attrs

from cnnrt_import_caffe.findings import Findings
from cnnrt_import_caffe.net import CaffeLayer, CaffeNet
from netfile_spec.problems import quoted

DATA_TYPES = frozenset(
    {"AnnotatedData", "Data", "DummyData", "HDF5Data", "ImageData", "Input", "MemoryData", "WindowData"}
)
"""Layers that bring values in from outside."""

_FREE_TOPS = frozenset({"DummyData", "HDF5Data", "Input"})
_SEVERAL_TOPS = frozenset({"Pooling", "Slice"})
"""Layers that give several values; a second top of others (a loss's, say) is not computed."""

_SINKS = frozenset({"Accuracy", "HDF5Output", "Silence"})
# In the table of blobs: labels, and what was computed from them or by a layer that was left out.
_ABSENT = ""


@attrs.frozen(eq=False)
class Source:
    """An input of the net: its blob, the data layer that fills it (None: declared by the net), its index there."""

    blob: str
    layer: CaffeLayer | None
    index: int
    shape: tuple[int, ...] = ()


@attrs.frozen(eq=False)
class Step:
    """A layer to be computed: its unique `name`, its type, and the values that it reads and gives.

    A single value has the layer's name; several are named after their blobs.
    """

    name: str
    type: str
    layer: CaffeLayer
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]


@attrs.frozen(eq=False)
class Wiring:
    """The inputs that are used, the layers in order, and by layer name the blob name that is its alias."""

    sources: tuple[Source, ...]
    steps: tuple[Step, ...]
    aliases: dict[str, str]


def is_loss(layer: CaffeLayer) -> bool:
    """Tell whether a layer compares its input with labels."""
    return layer.type.endswith("Loss")


def wire(net: CaffeNet, findings: Findings) -> Wiring:
    """Return what is computed from what; notes say what was left out and why."""
    sources, labels, unread = _sources(net, findings)
    wiring = _Wiring(findings, sources, labels, unread)
    for layer in net.layers:
        if layer.type not in DATA_TYPES:
            wiring.add(layer)
    names = {source.blob for source in sources} | {step.name for step in wiring.steps}
    aliases = {writer: blob for blob, writer in wiring.last_writer.items() if blob not in names}
    return Wiring(tuple(sources), tuple(wiring.steps), aliases)


class _Wiring:
    """The table of blobs while the layers go by: which value each blob holds at this point."""

    def __init__(
        self, findings: Findings, sources: Iterable[Source], labels: Iterable[str], unread: Iterable[str]
    ) -> None:
        self.findings = findings
        self.steps: list[Step] = []
        self.last_writer: dict[str, str] = {}
        self.value = {source.blob: source.blob for source in sources} | dict.fromkeys(labels, _ABSENT)
        self.unread = tuple(unread)
        self.taken = {source.blob for source in sources}
        self.next_number: dict[str, int] = {}
        self.softmax_of: dict[tuple[str, int], str] = {}

    def add(self, layer: CaffeLayer) -> None:
        values = [self._read(layer, i) for i in range(len(layer.bottoms))]
        in_place = set(layer.bottoms)
        for i, top in enumerate(layer.tops):
            if top in self.value and top not in in_place:
                message = f"blob {quoted(top)} was already written by an earlier layer"
                self.findings.of_layer(layer, message, "top", nth=i, hint="in Caffe only a layer in place may do that")
        if layer.type == "Split" and values:
            self.value |= dict.fromkeys(layer.tops, values[0])
        elif layer.type == "SoftmaxWithLoss" and values and values[0] != _ABSENT:
            self._softmax_of_loss(layer, values[0])
        elif layer.type in _SINKS or is_loss(layer):
            self._leave_out(layer, "it is only of use in training and testing")
        elif values and all(value == _ABSENT for value in values):
            self._leave_out(layer, "it works on labels or on layers that are left out")
        else:
            if _ABSENT in values:
                blob = layer.bottoms[values.index(_ABSENT)]
                message = f"reads {quoted(blob)}, which is a label or comes from a layer that is left out"
                self.findings.of_layer(layer, message, "bottom", nth=values.index(_ABSENT))
            self._compute(layer, layer.type, values)

    def _read(self, layer: CaffeLayer, index: int) -> str:
        blob = layer.bottoms[index]
        if blob not in self.value:
            hint = "an earlier layer or an input must write it"
            if not self.findings.full:
                near = difflib.get_close_matches(blob, [*self.unread, *self.value][-1000:], n=1)
                hint = f"did you mean {quoted(near[0])}?" if near else hint
            self.findings.of_layer(layer, f"no layer before it writes {quoted(blob)}", "bottom", nth=index, hint=hint)
            self.value[blob] = blob
        return self.value[blob]

    def _compute(self, layer: CaffeLayer, kind: str, values: list[str]) -> None:
        several = kind in _SEVERAL_TOPS and len(layer.tops) > 1
        tops = tuple(self._unique(layer, top) for top in layer.tops) if several else ()
        name = tops[layer.tops.index(layer.name)] if several and layer.name in layer.tops else self._unique(layer)
        tops = tops or (name,)
        self.steps.append(Step(name, kind, layer, tuple(values), tops))
        if kind == "Softmax" and values:
            self.softmax_of.setdefault((values[0], layer.param.softmax_param.axis), name)
        for top, value in zip(layer.tops, tops, strict=False):
            self.value[top] = value
        if not several:
            self.last_writer |= dict.fromkeys(layer.tops[:1], name)
            self.value |= dict.fromkeys(layer.tops[1:], _ABSENT)

    def _softmax_of_loss(self, layer: CaffeLayer, value: str) -> None:
        """Compute the loss layer's softmax, unless the net has it already; its labels and the loss go."""
        same = self.softmax_of.get((value, layer.param.softmax_param.axis))
        if same:
            self.value |= dict.fromkeys(layer.tops, same)
            self._note(layer, f"left out: the layer {quoted(same)} computes the same softmax")
        else:
            # The second top, where there is one, holds the probabilities; the loss itself is not computed.
            self._compute(attrs.evolve(layer, tops=layer.tops[1:2] or layer.tops), "Softmax", [value])
            self._note(layer, "became a Softmax: probabilities are computed, the loss is not")

    def _leave_out(self, layer: CaffeLayer, why: str) -> None:
        self.value |= dict.fromkeys(layer.tops, _ABSENT)
        if layer.type == "Accuracy":
            why = "labels are not part of the net; an Accuracy layer with a file of labels can be added by hand"
        if layer.type != "Silence":
            self._note(layer, f"left out: {why}")

    def _note(self, layer: CaffeLayer, what: str) -> None:
        self.findings.note(f"layer {layer.title} ({layer.type}) {what}")

    def _unique(self, layer: CaffeLayer, blob: str = "") -> str:
        """Return a name that is not taken yet, and take it: the layer's own, or that of one of its blobs."""
        wanted = name = blob or layer.name or layer.type.lower() or "layer"
        while name in self.taken:
            number = self.next_number[wanted] = self.next_number.get(wanted, 1) + 1
            name = f"{wanted}_{number}"
        if blob and name != blob:
            self.findings.note(f"the name {quoted(blob)} is taken; this value of {layer.title} is named {quoted(name)}")
        elif layer.name and name != layer.name and not blob:
            self.findings.note(f"the name {layer.title} is taken; this {layer.type} layer is named {quoted(name)}")
        self.taken.add(name)
        return name


def _sources(net: CaffeNet, findings: Findings) -> tuple[list[Source], list[str], list[str]]:
    """Return the inputs that layers read, the blobs that hold labels, and the inputs that no layer reads."""
    everything = [Source(blob, None, i, shape) for i, (blob, shape) in enumerate(net.inputs)]
    for layer in [*net.layers, *_needed_training_data(net, findings)]:
        if layer.type in DATA_TYPES:
            everything += [Source(top, layer, i) for i, top in enumerate(layer.tops)]
    readers: dict[str, list[CaffeLayer]] = {}
    for layer in net.layers:
        for bottom in layer.bottoms:
            readers.setdefault(bottom, []).append(layer)
    used: list[Source] = []
    labels: list[str] = []
    unread: list[str] = []
    seen: set[str] = set()
    for source in everything:
        if source.blob in seen:
            message = f"the input {quoted(source.blob)} is declared twice"
            findings.problem(message, source.layer.place.at("top", nth=source.index) if source.layer else None)
        elif source.index and _is_label_top(source):
            labels.append(source.blob)
        elif source.blob not in readers:
            unread.append(source.blob)
            findings.note(f"the input {quoted(source.blob)} is left out: no layer reads it")
        elif source.index and _feeds_only_sinks(source.blob, readers):
            labels.append(source.blob)
        else:
            used.append(source)
        seen.add(source.blob)
    return used, labels, unread


def _needed_training_data(net: CaffeNet, findings: Findings) -> list[CaffeLayer]:
    """Return data layers of phase TRAIN whose blobs nothing writes in phase TEST, as in caffemodels of training."""
    written = {blob for blob, _ in net.inputs} | {top for layer in net.layers for top in layer.tops}
    missing = {bottom for layer in net.layers for bottom in layer.bottoms} - written
    needed = [layer for layer in net.left_out if layer.type in DATA_TYPES and missing.intersection(layer.tops)]
    for layer in needed:
        findings.note(f"layer {layer.title} ({layer.type}) of phase TRAIN stands for the input: no other layer does")
    return needed


def _is_label_top(source: Source) -> bool:
    # Data, ImageData, ... fill (image, label); the others may fill anything.
    return source.layer is not None and source.layer.type not in _FREE_TOPS


def _feeds_only_sinks(blob: str, readers: dict[str, list[CaffeLayer]]) -> bool:
    """Tell whether only losses and the like read a blob, also behind the Split layers of saved nets."""
    blobs, seen = [blob], {blob}
    while blobs:
        for reader in readers.get(blobs.pop(), []):
            if reader.type == "Split":
                blobs += [top for top in reader.tops if top not in seen]
                seen.update(reader.tops)
            elif not (reader.type in _SINKS or is_loss(reader)):
                return False
    return True
