"""Weights of layers: where they lie, and how they are read.

An affine layer (batch normalisation) that a pass folded into the layer before it becomes a part of that layer's
weights here, each time they are read: no file changes, and what a kernel packs is already the product.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from cnnrt.errors import ParameterFileError, PluginError
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt.stored_weights import RowsOfFile
from netfile_spec import open_parameters
from netfile_spec.parameters.parameter_file import ParameterFile, TensorParts


@attrs.frozen
class StoredTensor:
    """A weight in a parameter file: its index there and its shape there."""

    index: int
    shape: Shape


@attrs.frozen
class WeightSource:
    """A layer's parameter file, which of its tensors is which weight, and the affine layers multiplied into them.

    `affine_names`: the weight that takes their factors, and the one that takes their offsets. `decoding_bytes`: what
    reading takes beside the result, where tensors are decoded as a whole.
    """

    path: Path
    tensors: Mapping[str, StoredTensor]
    folded: tuple[FoldedAffine, ...] = ()
    affine_names: tuple[str, str] = ("weight", "bias")
    decoding_bytes: int = 0

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

    @property
    def identity(self) -> str:
        """What tells these weights from all others as long as the files are the same. Raises OSError."""
        found = self.path.stat()
        stamp = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
        folded = [(repr(f.layer), f.channels, f.weights.identity) for f in self.folded]
        return repr((str(self.path.resolve()), stamp, sorted(self.tensors.items()), folded, self.affine_names))

    @contextmanager
    def opened(self, shapes: Mapping[str, Shape], *, verify: bool = True) -> Iterator[RowsOfFile]:
        """Give the weights, in float32 and of the given (logical) shapes, to be read inside the block.

        Raises ParameterFileError where the file holds something else than when the network was built, and with
        `verify` at the block's end where it is damaged: what was not read is read for that.
        """
        with open_parameters(self.path) as file:
            stored = self._rows(file, shapes, verify)
            yield stored
            if verify:
                stored.finish()

    def raw_rows(self, shapes: Mapping[str, Shape]) -> RowsOfFile | None:
        """Return the weights to be read at any time later, verified now; None where they are not stored as they are.

        No file stays open. Reading raises ParameterFileError where the file is gone or was replaced.
        """
        file = open_parameters(self.path)
        checked = self._rows(file, shapes, True)
        if not checked.raw:
            return None
        checked.finish()
        return self._rows(file, shapes, False)

    def _rows(self, file: ParameterFile, shapes: Mapping[str, Shape], verify: bool) -> RowsOfFile:
        now = dict(enumerate(tuple(t.shape) for t in file.tensors))
        if any(now.get(tensor.index) != tensor.shape for tensor in self.tensors.values()):
            raise ParameterFileError(f"{self.path}: the file has changed since the network was read; make a new Net")
        tensors = {name: file.parts(tensor.index, verify=verify) for name, tensor in self.tensors.items()}
        stored = RowsOfFile(tensors, {name: shapes[name] for name in tensors})
        return self._multiplied(stored, tensors, shapes) if self.folded else stored

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
        decoding = sum(t.nbytes for i, t in enumerate(file.tensors) if not file.parts(i).bounded)
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
    return WeightSource(path, tensors, decoding_bytes=decoding)
