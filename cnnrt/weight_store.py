"""Packed weights of a Net: those that stay, shared between all that is prepared, and those read for each call."""

from __future__ import annotations

import logging
import math
import sys
import threading
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from cnnrt.after_fork import renew_after_fork
from cnnrt.backend import Device, Kernel, Packed, WeightPiece
from cnnrt.cache_folder import cache_folder
from cnnrt.caller_warning import warn_caller
from cnnrt.errors import MemoryCeilingWarning
from cnnrt.file_lease import LEASES
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.residency import ALIGNMENT, Demand
from cnnrt.stored_weights import HeldWeights, RowsOfFile
from cnnrt.weight_storage import fitting
from cnnrt.weight_stream import PieceToRead, byte_buffer, current_stream
from cnnrt.weights import WeightSource

if TYPE_CHECKING:
    from cnnrt.packed_file import PackedFile

log = logging.getLogger("cnnrt")

BOUND = 4 << 30
"""Bytes of all packed files that are kept."""


class ResidentWeights:
    """A step's packed weights, read and packed at first use, to stay."""

    resident = True

    def __init__(self, source: WeightSource | None, call: LayerCall, kernel: Kernel) -> None:
        self._source = source
        self._call = call
        self._kernel = kernel
        self._packed: Packed = None
        self._loaded = False
        self._nbytes = kernel.packed_bytes(call) if source else 0
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make the lock anew: what another thread was reading is read again."""
        self._lock = threading.Lock()

    @property
    def loaded(self) -> bool:
        """Whether they are in memory now."""
        return self._loaded

    @property
    def nbytes(self) -> int:
        """Bytes of the packed weights."""
        return self._nbytes

    @property
    def packing_bytes(self) -> int:
        """Bytes that reading and packing them takes beside them."""
        return _packing_bytes(self._source, self._call, self._kernel, self._kernel.slices(self._call))

    def get(self) -> Packed:
        """Return the packed weights."""
        if self._loaded:
            return self._packed
        with self._lock:
            if not self._loaded:
                self._packed = self._kernel.stay(_packed_whole(self._source, self._call, self._kernel))
                self._loaded = True
        return self._packed

    def pieces(self) -> Iterator[WeightPiece]:
        """Yield them in one piece."""
        yield WeightPiece(self.get(), 0, self._kernel.slices(self._call))


class StreamedWeights:
    """A step's packed weights, read for each call, so many slices at a time.

    Where the kernel takes them as they are stored, they are read from their own file, else they pass from a file of
    packed weights that is made once: looked at in place where the system has leases. Where none can be kept, they are
    packed anew for each call.
    """

    resident = False

    def __init__(
        self, source: WeightSource, call: LayerCall, kernel: Kernel, device: Device, demand: Demand, limit: int
    ) -> None:
        """Read pieces of at most `limit` bytes."""
        self._source = source
        self._call = call
        self._kernel = kernel
        self._device = device
        self._demand = demand
        self._at_once = demand.slices_in(limit)
        self._piece = demand.piece(limit)
        starts = range(0, demand.slices, self._at_once)
        self._spans = [(first, min(first + self._at_once, demand.slices)) for first in starts]
        self._rows: RowsOfFile | None = None
        self._file: PackedFile | None = None
        self._ready = False

    @property
    def nbytes(self) -> int:
        """Bytes of the packed weights."""
        return self._demand.nbytes

    def make_ready(self) -> str:
        """See to it that they can be read as the kernel takes them; return why that is not so, empty: it is."""
        if self._ready:
            return ""
        self._ready = True
        if _as_stored(self._kernel):
            self._rows = self._source.raw_rows(self._call.weight_shapes)
            if self._rows is not None:
                return ""
        from cnnrt.packed_file import PackedFile, PackedFileError  # loads OpenSSL, for which most have no use

        folder = cache_folder("weights")
        if folder is None:
            return "there is no cache folder"
        try:
            key = self._key()
            path = folder / f"{key}.packed"
            try:
                self._file = PackedFile(path, key, self._demand.slices)
            except PackedFileError:
                self._file = self._written(path, key)
        except (OSError, PackedFileError) as error:
            return str(error)
        return ""

    def get(self) -> Packed:
        """Return all of them, read and packed now."""
        return _packed_whole(self._source, self._call, self._kernel)

    def pieces(self) -> Iterator[WeightPiece]:
        """Yield them piece by piece, as the stream of the call brings them."""
        stream = current_stream()
        if self._ready and self._demand.looked_at:
            yield from self._look()
        elif stream is None or not self._ready:  # whoever runs this has not said that it reads ahead
            with self._source.opened(self._call.weight_shapes) as stored:
                packed = self._pack(stored, 0, self._demand.slices)
            yield WeightPiece(packed, 0, self._demand.slices)
        else:
            yield from stream.pieces(self, len(self._spans))

    def to_read(self) -> list[PieceToRead]:
        """Return the pieces that are read ahead, in order."""
        if self._demand.looked_at:
            return []
        return [PieceToRead(self, first, last, self._piece) for first, last in self._spans]

    def _look(self) -> Iterator[WeightPiece]:
        """Yield the pieces where they lie in the packed file; from where that cannot be, each is read."""
        from cnnrt.packed_file import PackedFileError

        done = 0
        if self._file is not None:
            try:
                with self._file.held() as file:
                    for first, last in self._spans:
                        with file.slices(first, last) as packed:
                            yield WeightPiece(packed, first, last)
                        done = last
            except PackedFileError as error:
                log.debug("weights are read, not looked at: %s", error)
        if done < self._demand.slices:
            buffer = byte_buffer(self._piece)
            for first, last in self._spans:
                if first >= done:
                    yield WeightPiece(self.read(first, last, buffer), first, last)

    def read(self, first: int, last: int, buffer: Array) -> Packed:
        """Return some slices, in the start of a buffer if they can be read there."""
        if self._rows is not None:
            return _rows_of_slices(self._rows, self._demand.slices, first, last, buffer)
        file = self._file
        if file is not None:
            from cnnrt.packed_file import PackedFileError

            try:
                return file.read(first, last, buffer)
            except PackedFileError as error:
                log.warning("%s; the weights in it are packed anew for each call", error)
                self._file = None
        with self._source.opened(self._call.weight_shapes, verify=False) as stored:
            return self._pack(stored, first, last)

    def _pack(self, stored: RowsOfFile, first: int, last: int) -> Packed:
        checked = fitting(self._call, stored, str(self._source.path))
        if self._demand.slices == 1:
            return self._kernel.pack_stored(self._call, checked)
        return self._kernel.pack_slices(self._call, checked, first, last)

    def _written(self, path: Path, key: str) -> PackedFile:
        from cnnrt.cached_file import make_room
        from cnnrt.packed_file import PackedFile
        from cnnrt.packed_file_writer import write_packed

        with self._source.opened(self._call.weight_shapes) as stored:
            write_packed(
                path,
                key,
                self._demand.slices,
                self._at_once,
                lambda first, last: self._pack(stored, first, last),
                stored.finish,
            )
        make_room(path.parent, BOUND)
        return PackedFile(path, key, self._demand.slices)

    def _key(self) -> str:
        """Return what tells the packed weights from all others: files, kernel, its code, the processor."""
        import hashlib

        kernel, call = self._kernel, self._call
        parts = (
            self._source.identity,
            (kernel.backend, kernel.layer, kernel.name, kernel.source_digest),
            repr(kernel.packing(call)),
            repr(call.layer),
            [(name, t.shape, t.dtype) for name, t in sorted(call.weights.items())],
            self._device.identity,
            sys.byteorder,
        )
        return hashlib.sha256(repr(parts).encode()).hexdigest()


class WeightStore:
    """The weights of one Net: shares those that stay between prepared shapes."""

    def __init__(self) -> None:
        # Weak: weights live as long as some prepared network uses them, and go with the last one.
        self._resident: WeakValueDictionary[Any, ResidentWeights] = WeakValueDictionary()
        self._told = False
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make the lock anew."""
        self._lock = threading.Lock()

    def resident(self, source: WeightSource | None, call: LayerCall, kernel: Kernel) -> ResidentWeights:
        """Return a layer's weights as `kernel` packs them, to stay."""
        key = weights_key(source, call, kernel)
        with self._lock:
            found = self._resident.get(key)
            if found is None:
                found = self._resident[key] = ResidentWeights(source, call, kernel)
            return found

    def make_ready(self, streamed: StreamedWeights) -> None:
        """Prepare weights to be read for each call; warns once where that will be slow."""
        problem = streamed.make_ready()
        if problem and not self._told:
            self._told = True
            warn_caller(
                f"weights that do not stay in memory are packed anew for each call, which is slow: they cannot be kept "
                f"as the kernels read them: {problem}",
                MemoryCeilingWarning,
            )

    @property
    def loaded_bytes(self) -> int:
        """Bytes of the packed weights that are in memory now, to stay."""
        with self._lock:
            return sum(weights.nbytes for weights in self._resident.values() if weights.loaded)

    def clear(self) -> None:
        """Let go of all weights."""
        with self._lock:
            self._resident.clear()


def weights_key(source: WeightSource | None, call: LayerCall, kernel: Kernel) -> Hashable:
    """Return what tells a layer's packed weights from others."""
    own = source.key if source else None
    types = tuple((name, t.shape, t.dtype) for name, t in sorted(call.weights.items()))
    return own, call.layer, types, kernel.backend, kernel.layer, kernel.name, kernel.packing(call)


def demand_of(source: WeightSource | None, call: LayerCall, kernel: Kernel, layer: str, times: int) -> Demand:
    """Return what a layer's weights take as `kernel` packs them, read `times` in a call."""
    key = weights_key(source, call, kernel)
    if source is None:
        return Demand(key, layer, 0)
    slices = kernel.slices(call)
    return Demand(
        key=key,
        layer=layer,
        nbytes=kernel.packed_bytes(call),
        slices=slices,
        slice_bytes=kernel.slice_bytes(call),
        times=times,
        packing=lambda count: _packing_bytes(source, call, kernel, count),
        looked_at=LEASES and not _as_stored(kernel),
    )


def _packing_bytes(source: WeightSource | None, call: LayerCall, kernel: Kernel, slices: int) -> int:
    return kernel.packing_bytes(call, slices) + source.decoding_bytes if source else 0


def _packed_whole(source: WeightSource | None, call: LayerCall, kernel: Kernel) -> Packed:
    if source is None:
        return kernel.pack_stored(call, HeldWeights({}))
    with source.opened(call.weight_shapes) as stored:
        return kernel.pack_stored(call, fitting(call, stored, str(source.path)))


def _as_stored(kernel: Kernel) -> bool:
    """Tell whether a kernel takes weights as they are stored."""
    return type(kernel).pack is Kernel.pack and type(kernel).pack_stored is Kernel.pack_stored


def _rows_of_slices(stored: RowsOfFile, slices: int, first: int, last: int, buffer: Array) -> dict[str, Array]:
    """Return the rows of some slices of each weight, read into a buffer of bytes."""
    found, at = {}, 0
    for name, shape in stored.shapes.items():
        rows = shape[0] if shape else 1
        each = -(-rows // slices)
        start, end = min(first * each, rows), min(last * each, rows)
        nbytes = 4 * (end - start) * math.prod(shape[1:])
        found[name] = stored.rows(name, start, end, buffer[at : at + nbytes].view(np.float32))
        at += -(-nbytes // ALIGNMENT) * ALIGNMENT
    return found
