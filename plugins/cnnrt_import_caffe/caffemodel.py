"""A caffemodel: the net as it was saved, with the weights of every layer left in the file.

Format: NetParameter in protobuf's wire format. The blobs are cut out of the bytes before the protobuf library
sees them, so that reading a model of any size takes the memory of its structure.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
from google.protobuf.message import DecodeError, Message
from numpy.typing import NDArray

from cnnrt.errors import ImportFailure, Problem
from cnnrt.protobuf_wire import BYTES, Allowance, MalformedMessage, WireField, fields, write_varint
from cnnrt_import_caffe.blobs import Blob, mean_image, read_blob
from cnnrt_import_caffe.messages import message_class
from netfile_spec.limits import MAX_BLOCKS

_LAYER, _LAYERS = 100, 2
_BLOBS = {_LAYER: 7, _LAYERS: 6}
_V0_LAYER, _V0_BLOBS = 1, 50
_MOST_STRUCTURE = 8 << 20
_OTHER_FORMATS = {
    b"\x89HDF": ("an HDF5 file", 'load it in Caffe and save it with net.save("x.caffemodel")'),
    b"version https://git-lfs": ("a Git LFS pointer, not the model itself", "fetch it with `git lfs pull`"),
    b"PK\x03\x04": ("a zip archive", "unpack it"),
    b"\x1f\x8b": ("a gzip file", "unpack it"),
    b"<": ("a web page or XML file", "download the model again"),
}


@attrs.frozen(eq=False)
class Caffemodel:
    """A caffemodel as read: `net` (a NetParameter without blobs) and the blobs of each layer.

    `blobs` goes with `net.layer` or, in files of the V0 and V1 forms, with `net.layers`.
    """

    net: Any
    blobs: tuple[tuple[Blob, ...], ...]


def read_caffemodel(path: Path) -> Caffemodel:
    """Return the caffemodel at `path`; raises ImportFailure where it is something else or damaged."""
    data = _open(path)
    try:
        structure, blobs = _without_blobs(data)
        net = message_class("NetParameter")()
        net.ParseFromString(structure)
        _check_texts(net)
    except (MalformedMessage, DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise _failure(
            path, f"not a readable caffemodel: {error}", "it is damaged, incomplete, or another kind of file"
        ) from None
    if net.layer and net.layers:
        raise _failure(path, "holds both current (layer) and old (layers) layers", "save it again with one Caffe")
    if not blobs:
        raise _failure(path, "not a caffemodel: it holds no layers", "give the .caffemodel that training saved")
    return Caffemodel(net, tuple(blobs))


def read_mean_image(path: Path) -> NDArray[Any] | None:
    """Return the image in a binaryproto file, float32 (C, H, W); None where the file holds no such blob.

    Raises ImportFailure for a file named .binaryproto that is damaged.
    """
    named_so = path.suffix.lower() == ".binaryproto"
    try:
        data = _open(path)
        image = mean_image(read_blob(data, 0, len(data)))
    except ImportFailure:
        if named_so:
            raise
        return None
    except MalformedMessage as error:
        if named_so:
            raise _failure(path, f"not a readable mean image: {error}", "it is damaged or incomplete") from None
        return None
    if image is None and named_so:
        raise _failure(path, "holds no image", "a mean image is one blob of (1, channels, rows, columns)")
    return image


def _open(path: Path) -> memoryview:
    try:
        with path.open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except ValueError:
        raise _failure(path, "the file is empty", "download or save it again") from None
    except OSError as error:
        raise _failure(path, f"cannot be read: {error.strerror or error}", "") from None
    start = bytes(data[:64])
    for magic, (what, hint) in _OTHER_FORMATS.items():
        if start.startswith(magic):
            raise _failure(path, f"this is {what}", hint)
    return data


def _without_blobs(data: memoryview) -> tuple[bytes, list[tuple[Blob, ...]]]:
    """Return the NetParameter's bytes without weights, and the weights' places, layer by layer."""
    structure: list[bytes] = []
    blobs: list[tuple[Blob, ...]] = []
    size = 0
    allowance = Allowance()
    for field in fields(data, 0, len(data), allowance):
        if field.number in _BLOBS and field.wire_type == BYTES:
            if len(blobs) == MAX_BLOCKS:
                raise MalformedMessage(field.tag_start, f"more than {MAX_BLOCKS:,} layers")
            body, found = _layer_without_blobs(data, field, _BLOBS[field.number], allowance)
            structure.append(_message(field.number, body))
            blobs.append(tuple(found))
        else:
            _check_structure(size + field.end - field.tag_start, field)
            structure.append(bytes(data[field.tag_start : field.end]))
        size += len(structure[-1])
        _check_structure(size, field)
    return b"".join(structure), blobs


def _layer_without_blobs(
    data: memoryview, layer: WireField, blobs_number: int, allowance: Allowance
) -> tuple[bytes, list[Blob]]:
    kept: list[bytes] = []
    blobs: list[Blob] = []
    size = 0
    for field in fields(data, layer.start, layer.end, allowance):
        if field.number == blobs_number and field.wire_type == BYTES:
            blobs.append(read_blob(data, field.start, field.end, allowance))
        elif layer.number == _LAYERS and field.number == _V0_LAYER and field.wire_type == BYTES:
            body, nested = _layer_without_blobs(data, field, _V0_BLOBS, allowance)
            kept.append(_message(_V0_LAYER, body))
            blobs += nested
        else:
            size += field.end - field.tag_start
            _check_structure(size, field)
            kept.append(bytes(data[field.tag_start : field.end]))
    return b"".join(kept), blobs


def _check_texts(message: Any) -> None:
    """Raise DecodeError for a name that is not UTF-8: the library hands such text over as bytes."""
    for field, value in message.ListFields():
        for item in value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else (value,):
            if isinstance(item, bytes):
                raise DecodeError(f"a {field.name} is not UTF-8: {item[:40]!r}")
            if isinstance(item, Message):
                _check_texts(item)


def _message(number: int, body: bytes) -> bytes:
    return write_varint(number << 3 | BYTES) + write_varint(len(body)) + body


def _check_structure(size: int, field: WireField) -> None:
    if size > _MOST_STRUCTURE:
        raise MalformedMessage(field.tag_start, f"more than {_MOST_STRUCTURE >> 20} MiB beside the weights")


def _failure(path: Path, message: str, hint: str) -> ImportFailure:
    return ImportFailure([Problem(message, hint=hint)], file=str(path))
