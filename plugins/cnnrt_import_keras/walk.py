"""The walk over a model: each call of a layer becomes layers of the network, models within it included.

A layer that is a problem does not stop the walk; what depends on it is taken as it is, so that every cause is named
once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from cnnrt.channels_last.finishing import finished
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.values import FAILED, Flow, Item
from cnnrt.errors import ImportFailure, Problem
from cnnrt.findings import Findings
from cnnrt.importer import ImportedModel
from cnnrt_import_keras.keras_file import KerasFile
from cnnrt_import_keras.keras_layer import KerasLayer
from cnnrt_import_keras.model_config import MODELS, LayerConfig, MalformedConfig, ModelConfig, Tensor, read_config
from cnnrt_import_keras.stored_weights import Stored
from cnnrt_import_keras.supported import OTHER_NAMES, RULES, advice
from netfile_spec import InputBlock
from netfile_spec.problems import quoted

_MOST_NAMED = 12
_MOST_CALLS = 20_000
_DEEPEST = 8


def convert(file: KerasFile, path: str) -> ImportedModel:
    """Return the model of a file; raises ImportFailure with every problem."""
    assert file.config is not None
    findings = Findings(path)
    try:
        model = read_config(file.config)
        walk = _Walk(file, findings, channels_last=_channels_last(file.config))
        outputs = walk.model(model, Stored(file), None, "", 0)
    except MalformedConfig as error:
        raise ImportFailure([Problem(f"its configuration cannot be read: {error}")], file=path) from None
    walk.name_unsupported()
    named = _named(model, outputs)
    stated = {name: InputBlock(scale=1.0) for name in walk.scaled_inputs()}
    if stated:
        findings.note("the model scales its images itself: pixels from 0 to 255 go in as they are")
    if file.backend == "theano":
        findings.note("the file was trained on Theano, so kernels of convolutions are mirrored")
    return finished(walk.net, named, name=model.name, inputs=stated)


def _named(model: ModelConfig, outputs: Sequence[Flow]) -> dict[str, Flow]:
    named: dict[str, Flow] = {}
    for (name, _, _), value in zip(model.outputs, outputs, strict=True):
        given = value.step.name if value.step is not None and name in named else name
        named[given] = value
    return named


class _Walk:
    """The network so far, and what is unsupported."""

    def __init__(self, file: KerasFile, findings: Findings, *, channels_last: bool) -> None:
        self.file = file
        self.findings = findings
        self.net = Network(findings, channels_last)
        self.version = _version(file.version)
        self.unsupported: dict[str, list[str]] = {}
        self.calls = 0
        self.scaled: list[str] = []

    def model(
        self, model: ModelConfig, stored: Stored, given: Sequence[Flow] | None, prefix: str, depth: int
    ) -> list[Flow]:
        """Return the outputs of a model: the outermost (`given` None), or one within it that is called with values."""
        if depth > _DEEPEST:
            raise MalformedConfig(f"models within models, in more than {_DEEPEST} levels")
        weights = stored.of_layers(model)
        layers = {layer.name: layer for layer in model.layers}
        if len(layers) < len(model.layers):
            raise MalformedConfig("two layers of one name")
        values: dict[tuple[str, int], list[Flow]] = {}
        if given is not None:
            for (name, _, _), value in zip(model.inputs, given, strict=False):
                values[name, 0] = [value]
        for name, number in _ordered(model, self.findings):
            if (name, number) in values:
                continue
            layer = layers[name]
            inputs = [_value(values, tensor) for tensor in layer.calls[number]] if layer.calls else []
            values[name, number] = self._call(layer, number, weights[name], inputs, prefix, depth)
        return [_value(values, tensor) for tensor in model.outputs]

    def _call(
        self, layer: LayerConfig, number: int, stored: Stored, inputs: list[Flow], prefix: str, depth: int
    ) -> list[Flow]:
        self.calls += 1
        if self.calls > _MOST_CALLS:
            raise MalformedConfig(f"more than {_MOST_CALLS:,} calls of layers")
        name = f"{prefix}{layer.name}" + (f"_call{number + 1}" if number else "")
        if layer.kind in MODELS:
            inner = read_config(layer.settings["model"], layer.name)
            return self.model(inner, stored, inputs, f"{name}/", depth + 1)
        kind = OTHER_NAMES.get(layer.kind, layer.kind)
        numbers = layer.numbers[number] if number < len(layer.numbers) else {}
        keras = KerasLayer(
            kind, name, layer.settings, self.findings, self.version, self.file.backend, stored.arrays(), numbers
        )
        if kind == "InputLayer":
            return [self._input(keras)]
        rule = RULES.get(kind)
        if rule is None:
            self.unsupported.setdefault(kind, []).append(name)
            return [FAILED]
        if not inputs:
            return [self.net.problem(keras.place, "nothing is its input")]
        if any(value.failed for value in inputs):
            return [FAILED]
        if kind in ("Rescaling", "Normalization") and inputs[0].step is not None and inputs[0].step.type == "Input":
            self.scaled.append(inputs[0].step.name)
        return [rule(self.net, keras, inputs)]

    def _input(self, layer: KerasLayer) -> Flow:
        shape = layer.get("batch_shape") or layer.get("batch_input_shape")
        sizes: list[Any] = shape if isinstance(shape, list) else []
        if len(sizes) < 2 or not all(n is None or (isinstance(n, int) and 0 < n < 1 << 31) for n in sizes):
            hint = "save the model once it was built (called, or given an input shape)"
            return self.net.problem(layer.place, f"an input of shape {str(shape)[:60]}", hint=hint)
        item: Item = tuple(sizes[1:])
        return self.net.input(layer.name, item)

    def scaled_inputs(self) -> list[str]:
        """Return the inputs that the model itself scales first of all."""
        return self.scaled

    def name_unsupported(self) -> None:
        """Add a problem for each class of layers that is not supported, with the layers that are of it."""
        for kind, names in self.unsupported.items():
            listed = ", ".join(quoted(name) for name in names[:_MOST_NAMED])
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            shown = kind if kind.isidentifier() and len(kind) < 60 else quoted(kind)
            message = f"{shown} is not supported: layer{'s' * (len(names) > 1)} {listed}{more}"
            self.findings.problem(message, hint=advice(kind))


def _value(values: dict[tuple[str, int], list[Flow]], tensor: Tensor) -> Flow:
    name, number, output = tensor
    found = values.get((name, number), [])
    return found[output] if 0 <= output < len(found) else FAILED


def _ordered(model: ModelConfig, findings: Findings) -> list[tuple[str, int]]:
    """Return all calls, each behind those whose results it takes; what is missing or goes in circles is a problem."""
    calls: dict[tuple[str, int], tuple[Tensor, ...]] = {}
    for layer in model.layers:
        for number, tensors in enumerate(layer.calls or ((),)):
            calls[layer.name, number] = tensors
    waiting = {call: len({t[:2] for t in tensors}) for call, tensors in calls.items()}
    readers: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for call, tensors in calls.items():
        for giver in dict.fromkeys(t[:2] for t in tensors):
            if giver not in calls:
                findings.problem(f"layer {quoted(call[0])}: nothing gives its input {quoted(giver[0])}")
            readers.setdefault(giver, []).append(call)
    ready = deque(call for call, count in waiting.items() if count == 0)
    order = []
    while ready:
        call = ready.popleft()
        order.append(call)
        for reader in readers.get(call, ()):
            waiting[reader] -= 1
            if waiting[reader] == 0:
                ready.append(reader)
    if len(order) < len(calls) and not findings.problems:
        stuck = next(call for call, count in waiting.items() if count > 0)
        findings.problem(f"layer {quoted(stuck[0])}: it depends on its own result")
    return order


def _version(text: str) -> tuple[int, int]:
    parts = text.split(".")[:2]
    if len(parts) == 2 and all(p.isascii() and p.isdigit() and len(p) < 4 for p in parts):
        return int(parts[0]), int(parts[1])
    # Keras 1 stated no version before 1.2.
    return (1, 0) if not text else (2, 0)


def _channels_last(config: object) -> bool:
    """Tell whether no layer says that its images have their channels first."""
    level = [config]
    while level:
        value = level.pop()
        if isinstance(value, dict):
            if value.get("data_format", value.get("dim_ordering")) in ("channels_first", "th"):
                return False
            level += value.values()
        elif isinstance(value, list):
            level += value
    return True
