"""CNNdroid's layout: weights, then biases, each one MessagePack object of nested lists (or one flat list)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netfile_spec.errors import ParameterFileError
from netfile_spec.parameters.nested_list import MAX_DEPTH, MAX_OBJECTS, decode_list, locate_lists, scan_lists
from netfile_spec.parameters.parameter_file import ParameterFile, TensorInfo, TensorParts, WholeTensor
from netfile_spec.parameters.regular_file import RegularFile, damage
from netfile_spec.parameters.uniform_list import FLOAT32, UniformList
from netfile_spec.parameters.written_beside import written_beside


class CnndroidParameterFile(ParameterFile):
    """A parameter file in CNNdroid's layout; its tensors are called "0" and "1", their meaning is their order."""

    layout = "cnndroid"

    def __init__(self, file: RegularFile) -> None:
        self._lists = locate_lists(file)
        if not self._lists:
            raise damage(file.path, "the file is empty; expected weights, then biases")
        super().__init__(file.path, file.stamp, tuple(map(_info, range(MAX_OBJECTS), [n.shape for n in self._lists])))

    def parts(self, index_or_name: int | str, *, verify: bool = True) -> TensorParts:
        """Return one tensor to be read in parts, a block at a time where all of its numbers are stored alike."""
        index = self._find(index_or_name)
        found = self._lists[index]
        if found.uniform is None or not math.prod(found.shape):
            return WholeTensor(self, index)
        return UniformParts(self, index, found.uniform, found.offset)

    def opened(self) -> AbstractContextManager[RegularFile]:
        """Give the file, open for reading."""
        return self._open()

    def _fill(self, file: RegularFile, index: int, out: NDArray[Any] | None, verify: bool) -> None:
        found = self._lists[index]
        if found.uniform is not None:
            if found.uniform.decode(file, found.offset, out):
                return
            # Not stored as the first number was: some writers store whole numbers as integers.
            shapes = [each.shape for each in self._lists]
            self._lists = scan_lists(file)
            if [each.shape for each in self._lists] != shapes:
                raise damage(
                    file.path,
                    "the numbers are stored in a mixture that was mistaken for another shape; "
                    "write the file again with all numbers as float32",
                )
            found = self._lists[index]
        decode_list(file, found.offset, found.shape, out)

    def _view(self, file: RegularFile, index: int) -> NDArray[Any]:
        raise damage(
            file.path,
            "a file in CNNdroid's layout cannot be mapped, its numbers are packed; write it in the "
            'cnnrt layout, write_parameters(path, read_parameters(old), layout="cnnrt")',
        )


class UniformParts(TensorParts):
    """A tensor of which every number takes the same bytes: parts are decoded where they lie, a block at a time."""

    bounded = True

    def __init__(self, file: CnndroidParameterFile, index: int, uniform: UniformList, offset: int) -> None:
        self.size = math.prod(file.tensors[index].shape)
        self._file = file
        self._uniform = uniform
        self._offset = offset
        self._whole = WholeTensor(file, index)
        self._mixed = False

    def read(self, first: int, out: NDArray[np.float32]) -> None:
        """Decode the items that hold the values; the tensor as a whole where it turns out to be a mixture."""
        if not 0 <= first <= first + out.size <= self.size:
            raise IndexError(f"values {first} to {first + out.size} of {self.size}")
        if not out.size:
            return
        each = self._uniform.item_values
        start, end = first // each, -(-(first + out.size) // each)
        aligned = start * each == first and end * each == first + out.size
        values = out if aligned else np.empty((end - start) * each, np.float32)
        if not self._mixed:
            with self._file.opened() as file:
                self._mixed = not self._uniform.decode_items(file, self._offset, start, values)
        if self._mixed:
            self._whole.read(first, out)
        elif not aligned:
            out[...] = values[first - start * each :][: out.size]

    def finish(self) -> None:
        """Let go of the tensor; numbers are checked as they are decoded."""
        self._whole.finish()


def write_cnndroid(path: Path, tensors: Mapping[str, NDArray[Any]], *, flat: bool = True) -> None:
    """Write one or two arrays as CNNdroid's scripts did, in the mapping's order: weights, then biases, as float32.

    With `flat` a two-dimensional array (fully connected weights, [output][input]) becomes one flat list; everything
    else is nested. The bytes are those of `msgpack.packb(array.tolist(), use_single_float=True)`.

    Raises ParameterFileError for more than two tensors, biases before weights, a scalar, and numbers that float32
    cannot hold.
    """
    names = list(tensors)
    if not 1 <= len(names) <= MAX_OBJECTS:
        raise ParameterFileError(
            f"{path}: {len(names)} tensors ({', '.join(map(repr, names[:8]))}); CNNdroid's layout "
            "holds weights and biases, nothing else. Use the cnnrt layout"
        )
    if len(names) == MAX_OBJECTS and names[0] == "bias":
        raise ParameterFileError(
            f"{path}: 'bias' before {names[1]!r}; CNNdroid's layout has no names, and its first tensor is the weights"
        )
    arrays = [_as_float32(path, name, array) for name, array in tensors.items()]
    with written_beside(path) as stream:
        for array in arrays:
            nested = array.reshape(-1) if flat and array.ndim == 2 else array
            for block in UniformList(nested.shape, FLOAT32).encode(nested):
                stream.write(block if isinstance(block, bytes) else block.data)


def _info(index: int, shape: tuple[int, ...]) -> TensorInfo:
    return TensorInfo(str(index), shape, "float32", 4 * int(np.prod(shape, dtype=object)))


def _as_float32(path: Path, name: str, array: NDArray[Any]) -> NDArray[np.float32]:
    if not 1 <= array.ndim <= MAX_DEPTH or max(array.shape) >= 1 << 32:
        raise ParameterFileError(
            f"{path}: tensor {name!r} has shape {list(array.shape)}; CNNdroid's layout holds 1 to "
            f"{MAX_DEPTH} dimensions"
        )
    if array.dtype.kind not in "fiu":
        raise ParameterFileError(
            f"{path}: tensor {name!r} has dtype {array.dtype}; CNNdroid's layout holds real numbers"
        )
    with np.errstate(over="ignore", invalid="ignore"):  # invalid: a NaN that signals
        single = array.astype(np.float32, copy=False)
    if array.dtype.kind == "f":
        lost = np.isinf(single) & np.isfinite(array) if array.dtype.itemsize > 4 else np.False_
    else:
        lost = single != array
    if lost.any():
        value = array[lost][0]
        raise ParameterFileError(
            f"{path}: tensor {name!r} holds {value}, which float32 cannot hold. "
            "Use the cnnrt layout, which keeps the dtype"
        )
    return single
