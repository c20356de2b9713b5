"""What every parameter file offers, whichever layout it has."""

from __future__ import annotations

import math
import threading
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Literal, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from netfile_spec.errors import ParameterFileError
from netfile_spec.parameters.regular_file import FileStamp, RegularFile, damage, open_regular

Layout = Literal["cnnrt", "cnndroid"]


@attrs.frozen
class TensorInfo:
    """One tensor of a parameter file: `dtype` as NumPy names it, `nbytes` those of the decoded array."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    nbytes: int


class TensorParts(ABC):
    """A tensor that is read in parts. `size`: its values; they count in C order from 0.

    `raw`: whether parts are read straight from the file, so that nothing but them takes memory; `bounded`: whether at
    most a block of the file does beside them.
    """

    size: int
    raw: ClassVar[bool] = False
    bounded: ClassVar[bool] = False

    @abstractmethod
    def read(self, first: int, out: NDArray[np.float32]) -> None:
        """Fill `out` (one-dimensional, contiguous) with the values from `first` on, as float32."""

    @abstractmethod
    def finish(self) -> None:
        """Verify what can be verified; what was not read by now is read for that."""


class WholeTensor(TensorParts):
    """A tensor that can only be decoded as a whole: the parts are copies of it."""

    def __init__(self, file: ParameterFile, index: int) -> None:
        self.size = math.prod(file.tensors[index].shape)
        self._file = file
        self._index = index
        self._whole: NDArray[Any] | None = None
        self._lock = threading.Lock()

    def read(self, first: int, out: NDArray[np.float32]) -> None:
        """Decode the tensor at the first call."""
        with self._lock:
            if self._whole is None:
                self._whole = self._file.load(self._index).reshape(-1)
        out[...] = self._whole[first : first + out.size]

    def finish(self) -> None:
        """Let go of the tensor; it was verified when it was decoded."""
        self._whole = None


class ParameterFile(ABC):
    """A parameter file whose header has been read; tensors are decoded when they are asked for.

    `path`: where it lies. `layout`: "cnnrt" or "cnndroid". `tensors`: what it holds, in file order; the cnndroid
    layout has no names, there they are "0" and "1". Tensors are chosen by position or by name.

    Several threads may use one ParameterFile. It keeps no file open, and notices when the file was replaced.
    """

    layout: ClassVar[Layout]

    def __init__(self, path: Path, stamp: FileStamp, tensors: tuple[TensorInfo, ...]) -> None:
        self.path = path
        self.tensors = tensors
        self._stamp = stamp
        self._closed = False

    def load(self, index_or_name: int | str, *, out: NDArray[Any] | None = None, verify: bool = True) -> NDArray[Any]:
        """Return one tensor as an array of its own: writeable, C-contiguous, in the machine's byte order.

        `out`: fill and return this array instead; it needs the tensor's shape and dtype, C order, and to be writeable.
        Its content is undefined after an error. `verify=False` leaves out the checksum (cnnrt layout; the other has
        none). The peak of memory is the tensor plus a block of at most 2 MiB.

        Raises ParameterFileError for an unknown tensor, an unfit `out`, or damaged data.
        """
        index = self._find(index_or_name)
        info = self.tensors[index]
        if out is None:
            out = np.empty(info.shape, info.dtype)
        else:
            self._check_out(out, info)
        with self._open() as file:
            self._fill(file, index, out, verify)
        return out

    def map(self, index_or_name: int | str) -> NDArray[Any]:
        """Return one tensor as a read-only view of the file, without reading it (cnnrt layout only).

        Checksums are not verified; call `verify` for that. The view stays valid after `close`. A file that is cut
        short while it is mapped ends the process, as with every memory map.

        Raises ParameterFileError in the cnndroid layout, whose numbers are no arrays in memory.
        """
        index = self._find(index_or_name)
        with self._open() as file:
            return self._view(file, index)

    def parts(self, index_or_name: int | str, *, verify: bool = True) -> TensorParts:
        """Return one tensor to be read in parts, from any thread and in any order.

        Call its `finish` when all is read: only then is the checksum verified, and never without `verify`.
        Raises ParameterFileError.
        """
        return WholeTensor(self, self._find(index_or_name))

    def verify(self) -> None:
        """Check every byte that `load` would check, without keeping any; ParameterFileError says what is wrong."""
        with self._open() as file:
            for index in range(len(self.tensors)):
                self._fill(file, index, None, True)

    def close(self) -> None:
        """Let go of the file; further use is an error. Arrays already returned stay valid."""
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        tensors = ", ".join(f"{t.name}: {t.dtype}{list(t.shape)}" for t in self.tensors)
        return f"<ParameterFile {str(self.path)!r} ({self.layout}): {tensors}>"

    @abstractmethod
    def _fill(self, file: RegularFile, index: int, out: NDArray[Any] | None, verify: bool) -> None:
        """Decode tensor `index` into `out`; without `out`, only check it."""

    @abstractmethod
    def _view(self, file: RegularFile, index: int) -> NDArray[Any]:
        """Return tensor `index` as a view of the mapped file."""

    def _open(self) -> AbstractContextManager[RegularFile]:
        if self._closed:
            raise damage(self.path, "this ParameterFile is closed; open the file again")
        return open_regular(self.path, self._stamp)

    def _find(self, index_or_name: int | str) -> int:
        names = [tensor.name for tensor in self.tensors]
        if isinstance(index_or_name, str):
            if index_or_name in names:
                return names.index(index_or_name)
        elif 0 <= index_or_name < len(names):
            return index_or_name
        listed = ", ".join(repr(name) for name in names[:20]) + (", ..." if len(names) > 20 else "")
        raise damage(self.path, f"no tensor {index_or_name!r}; the file holds {listed or 'none'}")

    def _check_out(self, out: NDArray[Any], info: TensorInfo) -> None:
        fits = out.shape == info.shape and out.dtype == np.dtype(info.dtype)
        if not (fits and out.flags.c_contiguous and out.flags.writeable):
            raise ParameterFileError(
                f"{self.path}: `out` has shape {list(out.shape)} and dtype {out.dtype}; tensor {info.name!r} needs a "
                f"writeable, C-contiguous array of shape {list(info.shape)} and dtype {info.dtype}"
            )
