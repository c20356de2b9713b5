"""The layers of a net that run in phase TEST, whatever form and file they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from cnnrt.errors import Position
from cnnrt_import_caffe import legacy
from cnnrt_import_caffe.blobs import Blob
from cnnrt_import_caffe.caffemodel import Caffemodel
from cnnrt_import_caffe.phases import is_included
from cnnrt_import_caffe.prototxt import Prototxt
from cnnrt_import_caffe.text_tree import Entry, TextTree
from netfile_spec.problems import quoted


@attrs.frozen(eq=False)
class Place:
    """Where a layer stands in a prototxt; nowhere if it came from a caffemodel. `v0_type` is "" outside V0."""

    entry: Entry | None = None
    tree: TextTree | None = None
    v0_type: str = ""

    def at(self, *path: str, nth: int = 0) -> Position | None:
        """Return the place of the value at a path of keys; where it is not stated, of the layer's type."""
        if self.entry is None or self.tree is None:
            return None
        return self.tree.position((self._stated(path, nth) or self._stated(("type",), 0) or self.entry).value_offset)

    def value(self, *path: str) -> str | None:
        """Return the value at a path of keys as it is written; None where it is not stated."""
        found = self._stated(path, 0)
        return found.value if found else None

    def entries(self, *block: str) -> Iterator[Entry]:
        """Yield the entries of the layer's block, or of a block in it."""
        for root in self._blocks():
            found = root.find(*block)
            yield from found.entries if found else ()

    def _blocks(self) -> list[Entry]:
        # A V0 layer's keys stand in a block of its own, bottom and top beside that.
        inner = self.entry.find("layer") if self.entry and self.v0_type else None
        return [block for block in (inner, self.entry) if block]

    def _stated(self, path: Sequence[str], nth: int) -> Entry | None:
        if not path:
            return None
        v0 = legacy.v0_key(path, self.v0_type) if self.v0_type else None
        *blocks, key = (v0,) if v0 else path
        for root in self._blocks():
            holder = root.find(*blocks)
            found = list(holder.all(key)) if holder else []
            if nth < len(found):
                return found[nth]
        return None


@attrs.frozen(eq=False)
class CaffeLayer:
    """One layer in the current form; `param` is its LayerParameter. `type` is "" where it is not known."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    param: Any
    place: Place = Place()
    blobs: tuple[Blob, ...] = ()

    @property
    def title(self) -> str:
        """The layer's name in quotes, or its type where it has none."""
        return quoted(self.name) if self.name else f"without a name ({self.type})"


@attrs.frozen(eq=False)
class CaffeNet:
    """A net: the layers of phase TEST in file order, and those that its rules leave out.

    `inputs` are the blobs that the net declares beside its layers, with their shapes, batch included (() where
    not stated).
    """

    name: str
    layers: tuple[CaffeLayer, ...]
    left_out: tuple[CaffeLayer, ...]
    inputs: tuple[tuple[str, tuple[int, ...]], ...]


def net_of_prototxt(prototxt: Prototxt) -> CaffeNet:
    """Return the net that a prototxt describes."""
    places = [(entry, prototxt.tree) for entry in prototxt.layer_entries()]
    return _net(prototxt.net, places, [()] * len(places))


def net_of_caffemodel(caffemodel: Caffemodel) -> CaffeNet:
    """Return the net as a caffemodel saved it, with its blobs."""
    return _net(caffemodel.net, [], caffemodel.blobs)


def _net(net: Any, places: Sequence[tuple[Entry, TextTree]], blobs: Sequence[tuple[Blob, ...]]) -> CaffeNet:
    stored = list(net.layer or net.layers)
    current = list(net.layer) or [legacy.current_layer(old) for old in net.layers]
    pads = [0 if net.layer else old.layer.pad for old in stored]
    layers: list[CaffeLayer] = []
    for i, param in legacy.fold_padding(current, pads):
        v0_type = "" if net.layer else stored[i].layer.type
        place = Place(*places[i], v0_type) if places else Place()
        kind = param.type or (place.value("type") or "").strip("\"'")
        layers.append(CaffeLayer(param.name, kind, tuple(param.bottom), tuple(param.top), param, place, blobs[i]))
    included = [is_included(layer.param, net.state) for layer in layers]
    return CaffeNet(
        name=net.name,
        layers=tuple(layer for layer, runs in zip(layers, included, strict=True) if runs),
        left_out=tuple(layer for layer, runs in zip(layers, included, strict=True) if not runs),
        inputs=_declared_inputs(net),
    )


def _declared_inputs(net: Any) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return `input:` blobs with shapes from input_shape, or from four input_dim for each."""
    if net.input_shape:
        shapes = [tuple(shape.dim) for shape in net.input_shape]
    else:
        shapes = [tuple(net.input_dim[i : i + 4]) for i in range(0, len(net.input_dim), 4)]
    return tuple((blob, shapes[i] if i < len(shapes) else ()) for i, blob in enumerate(net.input))
