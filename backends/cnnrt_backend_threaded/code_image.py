"""A code image: machine code that runs wherever it is mapped, and the same as a file.

An image is linked (`linker.py`) so that nothing in it depends on its address and nothing outside is referred to. Its
file begins with a header of whole pages, so that the code behind it can be mapped from the file:

    8 bytes   magic           4 bytes  size of the description        32 bytes  SHA-256 of all that follows
    description: JSON {"key": ..., "entries": {name: offset}, "size": bytes of code}, then zeros up to a page's end
    code
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping

import attrs

MAGIC = b"CNNRTimg"
PAGE = 4096
"""The code starts at a multiple of this, in the file and in memory."""
MOST_BYTES = 64 << 20
"""Of an image's file; a larger one is not believed."""
_FRONT = struct.Struct("<8sI32s")


@attrs.frozen
class CodeImage:
    """Machine code, and the offsets of its functions by name."""

    code: bytes
    entries: Mapping[str, int]


class ImageFileError(Exception):
    """A file that is not the image it should be: foreign, of another key, cut short or damaged."""


def to_file(image: CodeImage, key: str) -> bytes:
    """Return the file of an image that was made for `key`."""
    import hashlib  # here: OpenSSL takes megabytes

    description = json.dumps({"key": key, "entries": dict(image.entries), "size": len(image.code)}).encode()
    start = -(-(_FRONT.size + len(description)) // PAGE) * PAGE
    rest = description.ljust(start - _FRONT.size, b"\0") + image.code
    return _FRONT.pack(MAGIC, len(description), hashlib.sha256(rest).digest()) + rest


def from_file(data: bytes, key: str) -> tuple[CodeImage, int]:
    """Return the image in a file, and where its code starts there.

    Raises ImageFileError unless every byte is as it was written for this key.
    """
    import hashlib  # here: OpenSSL takes megabytes

    if len(data) < _FRONT.size or len(data) > MOST_BYTES:
        raise ImageFileError(f"{len(data)} bytes cannot be an image")
    magic, length, digest = _FRONT.unpack_from(data)
    if magic != MAGIC:
        raise ImageFileError("it does not begin as images do")
    if hashlib.sha256(data[_FRONT.size :]).digest() != digest:
        raise ImageFileError("its checksum does not fit its content")
    try:
        description = json.loads(data[_FRONT.size : _FRONT.size + length])
        found, size = description["key"], int(description["size"])
        entries = {str(name): int(offset) for name, offset in description["entries"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ImageFileError(f"its description cannot be read: {error}") from error
    if found != key:
        raise ImageFileError("it was made for another key")
    start = -(-(_FRONT.size + length) // PAGE) * PAGE
    if start + size != len(data) or not all(0 <= offset < size for offset in entries.values()):
        raise ImageFileError("its description does not fit its size")
    return CodeImage(data[start:], entries), start
