"""The header of cnnrt's own layout: what tensors the file holds and where.

The format is specified in PARAMETERS.md of this package. A header is hostile input: the limits below bound what
unpacking it can cost, and every number is checked against the file before it is believed.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgpack
import numpy as np

from netfile_spec.errors import ParameterFileError
from netfile_spec.parameters.parameter_file import TensorInfo
from netfile_spec.parameters.regular_file import RegularFile, damage

# 0x89 opens a MessagePack map, which no CNNdroid file does; CR LF shows a transfer that changed line ends.
MAGIC = b"\x89CNNRT\r\n"
VERSION = 1
ALIGNMENT = 64
DTYPES = ("float32", "float64", "float16", "int8", "uint8", "int32", "int64")

MAX_HEADER_BYTES = 1 << 20
MAX_TENSORS = 4096
MAX_NAME_BYTES = 1024
MAX_DIMENSIONS = 8
MAX_DIMENSION = (1 << 31) - 1

_PREFIX = struct.Struct("<8sII")
_FIELDS = ("name", "dtype", "shape", "offset", "nbytes", "crc32")
_MAX_ARRAY_BYTES = 1 << 62  # np.empty refuses more, even for shapes that hold a zero


@attrs.frozen
class StoredTensor:
    """A tensor in a file: `offset` in bytes from the start of the file, `crc32` of its bytes."""

    info: TensorInfo
    offset: int
    crc32: int

    @property
    def end(self) -> int:
        """The first byte after the tensor."""
        return self.offset + self.info.nbytes


def aligned(offset: int) -> int:
    """Return the first multiple of ALIGNMENT at or after `offset`."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def pack_header(tensors: Sequence[tuple[TensorInfo, int]]) -> tuple[bytes, list[int]]:
    """Return the file up to its first tensor, and each tensor's offset in the file, for tensors with their CRC-32.

    Raises ParameterFileError where the header would be one that `read_header` refuses.
    """
    if len(tensors) > MAX_TENSORS:
        raise ParameterFileError(f"{len(tensors)} tensors; a parameter file holds at most {MAX_TENSORS}")
    records, offsets, end = [], [], 0
    for info, crc32 in tensors:
        offset = aligned(end)
        end = offset + info.nbytes
        offsets.append(offset)
        stored = (info.name, info.dtype, list(info.shape), offset, info.nbytes, crc32)
        records.append(dict(zip(_FIELDS, stored, strict=True)))
    header = msgpack.packb({"tensors": records})
    if len(header) > MAX_HEADER_BYTES:
        raise ParameterFileError(f"the header takes {len(header)} bytes; at most {MAX_HEADER_BYTES} are allowed")
    start = aligned(_PREFIX.size + len(header))
    front = (_PREFIX.pack(MAGIC, VERSION, len(header)) + header).ljust(start, b"\0")
    return front, [start + offset for offset in offsets]


def read_header(file: RegularFile) -> tuple[StoredTensor, ...]:
    """Return the tensors of a file that begins with MAGIC; ParameterFileError for a header that cannot be right."""
    if file.size < _PREFIX.size:
        raise damage(file.path, f"truncated: {file.size} bytes, and the header alone takes more", at=file.size)
    _, version, length = _PREFIX.unpack(file.read(0, _PREFIX.size))
    if version != VERSION:
        raise damage(file.path, f"the layout's version is {version}; known: {VERSION}. A newer cnnrt may read it", at=8)
    if length > MAX_HEADER_BYTES:
        raise damage(file.path, f"a header of {length} bytes; at most {MAX_HEADER_BYTES} are allowed", at=12)
    if _PREFIX.size + length > file.size:
        raise damage(file.path, f"truncated: a header of {length} bytes in a file of {file.size}", at=12)
    records = _unpack(file.path, file.read(_PREFIX.size, length))
    start = aligned(_PREFIX.size + length)
    tensors = tuple(_read_record(file.path, i, record, start) for i, record in enumerate(records))
    _check_together(file, tensors, start)
    return tensors


def _unpack(path: Path, header: bytes) -> list[Any]:
    unpacker = msgpack.Unpacker(
        max_buffer_size=max(1, len(header)),
        max_str_len=MAX_NAME_BYTES,
        max_array_len=MAX_TENSORS,
        max_map_len=len(_FIELDS),
        max_bin_len=0,
        max_ext_len=0,
        strict_map_key=True,
        object_pairs_hook=_without_duplicates,
    )
    try:
        unpacker.feed(header)
        content = unpacker.unpack()
    except (msgpack.exceptions.UnpackException, ValueError) as error:
        reason = str(error) or type(error).__name__
        raise damage(
            path, f"the header is not the MessagePack it should be: {reason}", at=_PREFIX.size + unpacker.tell()
        ) from error
    if unpacker.tell() != len(header):
        raise damage(path, "bytes after the header's end, inside its stated length", at=_PREFIX.size + unpacker.tell())
    if not isinstance(content, dict) or set(content) != {"tensors"} or not isinstance(content["tensors"], list):
        raise damage(path, "the header should be a map with one key, 'tensors', that holds a list", at=_PREFIX.size)
    return content["tensors"]


def _without_duplicates(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key twice in one map")
    return result


def _read_record(path: Path, index: int, record: Any, start: int) -> StoredTensor:
    where = f"tensor {index} of the header"
    if not isinstance(record, dict) or set(record) != set(_FIELDS):
        raise damage(path, f"{where} should be a map with the keys {', '.join(_FIELDS)}")
    name, dtype, shape = record["name"], record["dtype"], record["shape"]
    if not isinstance(name, str) or not name:
        raise damage(path, f"{where} needs a name, a string that is not empty; found {name!r:.80}")
    where = f"tensor {name!r:.80}"
    if dtype not in DTYPES:
        raise damage(path, f"{where} has the dtype {dtype!r:.80}; expected one of {', '.join(DTYPES)}")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS or not all(map(_is_dimension, shape)):
        raise damage(
            path,
            f"{where} has the shape {shape!r:.80}; expected at most {MAX_DIMENSIONS} "
            f"whole numbers from 0 to {MAX_DIMENSION}",
        )
    for field in ("offset", "nbytes", "crc32"):
        if not _is_count(record[field]):
            raise damage(path, f"{where}: {field} should be a whole number, found {record[field]!r:.80}")
    itemsize = np.dtype(dtype).itemsize
    nbytes = math.prod(shape) * itemsize
    if record["nbytes"] != nbytes:
        raise damage(
            path, f"{where}: {dtype} of shape {shape} takes {nbytes} bytes; the header says {record['nbytes']}"
        )
    if math.prod(max(d, 1) for d in shape) * itemsize > _MAX_ARRAY_BYTES:
        raise damage(path, f"{where} has the shape {shape}, which no array can have")
    return StoredTensor(TensorInfo(name, tuple(shape), dtype, nbytes), start + record["offset"], record["crc32"])


def _check_together(file: RegularFile, tensors: Sequence[StoredTensor], start: int) -> None:
    """Check the tensors against the file and against one another: aligned, in order, inside, nothing after them."""
    end, last = start, "the header"
    names: set[str] = set()
    for tensor in tensors:
        name = f"tensor {tensor.info.name!r:.80}"
        if tensor.info.name in names:
            raise damage(file.path, f"{name} is there twice")
        names.add(tensor.info.name)
        if tensor.offset % ALIGNMENT:
            raise damage(file.path, f"{name} does not lie at a multiple of {ALIGNMENT} bytes", at=tensor.offset)
        if tensor.offset < end:
            raise damage(file.path, f"{name} overlaps {last}", at=tensor.offset)
        if tensor.end > file.size:
            raise damage(
                file.path, f"truncated: {name} ends at byte {tensor.end}, the file at {file.size}", at=tensor.offset
            )
        end, last = tensor.end, name
    if file.size > end:
        raise damage(file.path, f"{file.size - end} bytes after the last tensor", at=end)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0  # not isinstance: True is an int to Python, not to this format


def _is_dimension(value: Any) -> bool:
    return _is_count(value) and value <= MAX_DIMENSION


def check_name(name: str) -> None:
    """Refuse a tensor's name that a header cannot hold."""
    if not name or len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_BYTES:
        raise ParameterFileError(f"tensor name {name!r:.80}: expected 1 to {MAX_NAME_BYTES} bytes of UTF-8")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ParameterFileError(f"tensor name {name!r:.80} is not valid Unicode") from error


def header_of(tensors: Mapping[str, np.ndarray[Any, Any]]) -> list[TensorInfo]:
    """Return what a header says of these arrays; ParameterFileError where it cannot say it."""
    infos = []
    for name, array in tensors.items():
        check_name(name)
        dtype = array.dtype.name
        if dtype not in DTYPES:
            raise ParameterFileError(f"tensor {name!r}: dtype {dtype}; expected one of {', '.join(DTYPES)}")
        if array.ndim > MAX_DIMENSIONS or any(d > MAX_DIMENSION for d in array.shape):
            raise ParameterFileError(
                f"tensor {name!r}: shape {list(array.shape)}; expected at most {MAX_DIMENSIONS} "
                f"dimensions of at most {MAX_DIMENSION}"
            )
        infos.append(TensorInfo(name, array.shape, dtype, array.nbytes))
    return infos
