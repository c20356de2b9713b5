"""Weights of layers: where they lie, which stay in memory, and how they reach a kernel.

As in CNNdroid, parameter files stay resident, largest first, while they fit `allocated_ram`; the others are
read for each call and released after it.

An affine layer (batch normalisation) that a pass folded into the layer before it becomes a part of that layer's
weights here, each time they are read: no file changes, and what a kernel packs is already the product.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import attrs
import numpy as np

from cnnrt.after_fork import renew_after_fork
from cnnrt.backend import Kernel, Packed
from cnnrt.errors import ParameterFileError, PluginError
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt.layer_call import LayerCall
from cnnrt.stored_weights import RowsOfFile
from netfile_spec import open_parameters
from netfile_spec.parameters.parameter_file import TensorParts

MIB = 1 << 20


@attrs.frozen
class StoredTensor:
    """A weight in a parameter file: its index there and its shape there."""

    index: int
    shape: Shape


@attrs.frozen
class WeightSource:
    """A layer's parameter file, which of its tensors is which weight, and the affine layers multiplied into them.

    `affine_names`: the weight that takes their factors, and the one that takes their offsets.
    """

    path: Path
    tensors: Mapping[str, StoredTensor]
    folded: tuple[FoldedAffine, ...] = ()
    affine_names: tuple[str, str] = ("weight", "bias")

    @property
    def key(self) -> Any:
        """What tells these weights from others: the file, and what is folded into what it holds."""
        return self.path, tuple((f.layer, f.weights.key) for f in self.folded)

    @property
    def shapes(self) -> dict[str, Shape]:
        """Shapes as stored, by weight name; what is folded in may bring factors and offsets."""
        shapes = {name: tensor.shape for name, tensor in self.tensors.items()}
        if self.folded:
            for name in self.affine_names:
                shapes.setdefault(name, (self.folded[0].channels,))
        return shapes

    @property
    def nbytes(self) -> int:
        """Bytes of all weights in float32."""
        return 4 * sum(math.prod(shape) for shape in self.shapes.values())

    def load(self, shapes: Mapping[str, Shape]) -> dict[str, Array]:
        """Return the weights as float32 arrays of the given (logical) shapes, read now; see `opened`."""
        with self.opened(shapes) as stored:
            return stored.load()

    @contextmanager
    def opened(self, shapes: Mapping[str, Shape]) -> Iterator[RowsOfFile]:
        """Give the weights, in float32 and of the given (logical) shapes, to be read inside the block.

        Raises ParameterFileError where the file holds something else than when the network was built, and at the
        block's end where what was read is damaged.
        """
        with open_parameters(self.path) as file:
            now = dict(enumerate(tuple(t.shape) for t in file.tensors))
            if any(now.get(tensor.index) != tensor.shape for tensor in self.tensors.values()):
                raise ParameterFileError(
                    f"{self.path}: the file has changed since the network was read; make a new Net"
                )
            tensors = {name: file.parts(tensor.index) for name, tensor in self.tensors.items()}
            stored = RowsOfFile(tensors, {name: shapes[name] for name in tensors})
            if self.folded:
                stored = self._multiplied(stored, tensors, shapes)
            yield stored
            stored.finish()

    def _multiplied(
        self, stored: RowsOfFile, tensors: Mapping[str, TensorParts], shapes: Mapping[str, Shape]
    ) -> RowsOfFile:
        """Return the weights with what is folded into them: in float64, rounded once."""
        channels = (self.folded[0].channels,)
        scaled, shifted = self.affine_names
        bias = stored.rows(shifted, 0, *channels) if shifted in tensors else 0
        with np.errstate(all="ignore"):
            factor: Array = np.ones(1)
            offset: Array = np.asarray(bias, np.float64)
            for folded in self.folded:
                next_factor, next_offset = folded.terms()
                factor, offset = next_factor * factor, next_factor * offset + next_offset
            rounded = offset.astype(np.float32)
        own = {scaled: channels} | {name: shapes[name] for name in tensors} | {shifted: channels}
        return RowsOfFile(tensors, own, factor, rounded, self.affine_names)


@attrs.frozen
class FoldedAffine:
    """An affine layer on `channels` channels that is multiplied into the weights before it.

    `weights` and `shapes` (logical) are its own weights.
    """

    name: str
    layer: Layer
    weights: WeightSource
    shapes: Mapping[str, Shape]
    channels: int

    def terms(self) -> tuple[Array, Array]:
        """Return factor and offset of each channel, read now."""
        terms = self.layer.affine_terms(self.weights.load(self.shapes))
        for term in terms:
            if term.shape != (self.channels,):
                found = shape_text(term.shape)
                raise PluginError(
                    f"layer {self.name!r} ({self.layer.type}): its class gives terms of shape {found} for "
                    f"{self.channels} channels; this is a fault of the class, not of the model"
                )
        return terms


def weight_source(path: Path, expected: Iterable[Any], layer_type: str) -> WeightSource:
    """Match the tensors of a parameter file with a layer's weights (`WeightSpec`s), by name or, unnamed, by order.

    Only the file's header is read. Raises ParameterFileError where a weight is missing or one too many.
    """
    specs = tuple(expected)
    with open_parameters(path) as file:
        found = [(t.name, StoredTensor(i, tuple(t.shape))) for i, t in enumerate(file.tensors)]
        if file.layout == "cnndroid":  # the layout has no names: the order is the meaning
            found = [(spec.name, tensor) for spec, (_, tensor) in zip(specs, found, strict=False)] + [
                (f"number {i + 1}", tensor) for i, (_, tensor) in enumerate(found) if i >= len(specs)
            ]
    tensors = dict(found)
    missing = [s.name for s in specs if not s.optional and s.name not in tensors]
    unknown = [name for name in tensors if name not in {s.name for s in specs}]
    if missing or unknown:
        wanted = ", ".join(s.name + (" (optional)" if s.optional else "") for s in specs) or "no weights"
        parts = [f"it lacks {name!r}" for name in missing] + [f"it has {name!r}, which is unknown" for name in unknown]
        raise ParameterFileError(f"{path}: not the weights of a {layer_type} layer ({wanted}): {'; '.join(parts)}")
    return WeightSource(path, tensors)


class WeightHandle:
    """A step's packed weights. `get` is quick where they are resident, else it reads and packs them anew."""

    def __init__(self, source: WeightSource | None, call: LayerCall, kernel: Kernel, resident: bool) -> None:
        self._source = source
        self._call = call
        self._kernel = kernel
        self._packed: Packed = None
        self._loaded = False
        self._resident = resident
        self._nbytes = kernel.packed_bytes(call) if source else 0
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make the lock anew: what another thread was reading is read again."""
        self._lock = threading.Lock()

    @property
    def resident(self) -> bool:
        """Whether the weights stay in memory between calls."""
        return self._resident

    @property
    def loaded(self) -> bool:
        """Whether they are in memory now, to stay."""
        return self._loaded

    @property
    def nbytes(self) -> int:
        """Bytes of the packed weights."""
        return self._nbytes

    def get(self) -> Packed:
        """Return the packed weights."""
        if self._loaded:
            return self._packed
        if not self.resident:
            return self._load()
        with self._lock:
            if not self._loaded:
                self._packed = self._load()
                self._loaded = True
        return self._packed

    def _load(self) -> Packed:
        if self._source is None:
            return self._kernel.pack(self._call, {})
        with self._source.opened(self._call.weight_shapes) as stored:
            return self._kernel.pack_stored(self._call, stored)


class WeightStore:
    """The weights of one Net: decides what is resident, and shares packed weights between prepared shapes."""

    def __init__(self, sources: Iterable[WeightSource], allocated_ram: float | None) -> None:
        # Weak: weights live as long as some prepared network uses them, and go with the last one.
        self._handles: WeakValueDictionary[Any, WeightHandle] = WeakValueDictionary()
        self.after_fork()
        renew_after_fork(self)
        room = None if allocated_ram is None else int(allocated_ram * MIB)
        self.resident: set[Path] = set()
        for source in sorted({s.path: s for s in sources}.values(), key=lambda s: (-s.nbytes, str(s.path))):
            if room is None or source.nbytes <= room:
                self.resident.add(source.path)
                room = None if room is None else room - source.nbytes

    def after_fork(self) -> None:
        """Make the lock anew."""
        self._lock = threading.Lock()

    def handle(self, source: WeightSource | None, call: LayerCall, kernel: Kernel) -> WeightHandle:
        """Return the handle for a layer's weights as `kernel` packs them."""
        own = source.key if source else None
        shapes = tuple(sorted(call.weight_shapes.items()))
        key = (own, call.layer, shapes, kernel.backend, kernel.layer, kernel.name, kernel.packing(call))
        with self._lock:
            handle = self._handles.get(key)
            if handle is None:
                handle = WeightHandle(source, call, kernel, source is None or source.path in self.resident)
                self._handles[key] = handle
            return handle

    def stays(self, source: WeightSource | None) -> bool:
        """Tell whether weights, if there are any, stay in memory between calls."""
        return source is None or source.path in self.resident

    @property
    def loaded_bytes(self) -> int:
        """Bytes of the packed weights that are in memory now."""
        with self._lock:
            return sum(handle.nbytes for handle in self._handles.values() if handle.loaded)

    def clear(self) -> None:
        """Let go of all weights."""
        with self._lock:
            self._handles.clear()
