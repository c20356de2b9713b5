"""One MessagePack object of a CNNdroid file: nested lists of numbers that form a tensor."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from netfile_spec.errors import ParameterFileError
from netfile_spec.parameters.regular_file import RegularFile, damage
from netfile_spec.parameters.token_stream import Tokens, name_of, read_tokens
from netfile_spec.parameters.uniform_list import FLOAT32, FLOAT64, UniformList, list_header

MAX_DEPTH = 8
MAX_OBJECTS = 2


@attrs.frozen
class NestedList:
    """Where a tensor lies in the file; `uniform` where its numbers are taken to be stored alike."""

    offset: int
    end: int
    shape: tuple[int, ...]
    uniform: UniformList | None


def locate_lists(file: RegularFile) -> tuple[NestedList, ...]:
    """Return the one or two objects of the file, reading only their first headers where these explain the file.

    Where the first number and the first list of each level, repeated, fill the file to its last byte, they are
    believed (decoding checks every byte); otherwise every token is read. Raises ParameterFileError.
    """
    try:
        return _locate(file, believe=True)
    except ParameterFileError:
        return scan_lists(file)  # the belief may be what was wrong; this error is about the file itself


def scan_lists(file: RegularFile) -> tuple[NestedList, ...]:
    """Return the one or two objects of the file, found by reading all of it; ParameterFileError."""
    return _locate(file, believe=False)


def decode_list(file: RegularFile, offset: int, shape: tuple[int, ...], out: NDArray[np.float32] | None = None) -> int:
    """Decode lists of this shape, whatever mixture of encodings, into `out`, and return where they end.

    Raises ParameterFileError for whatever is no number, for ragged lists, and for numbers that no float32 can hold.
    """
    sizes = _token_counts(shape)
    flat = None if out is None else out.reshape(-1)
    first = filled = 0
    end = offset
    for tokens in read_tokens(file, offset, sizes[0]):
        lengths = _expected_lengths(shape, sizes, first, len(tokens.starts))
        values = tokens.values()
        _check_structure(file, tokens, lengths, values)
        numbers = lengths < 0
        count = int(np.count_nonzero(numbers))
        with np.errstate(over="ignore", invalid="ignore"):  # invalid: a NaN that signals
            decoded = values[numbers].astype(np.float32)
        _check_range(file, tokens, numbers, values, decoded)
        if flat is not None:
            flat[filled : filled + count] = decoded
        filled += count
        first += len(tokens.starts)
        end = tokens.end
    return end


def _locate(file: RegularFile, *, believe: bool) -> tuple[NestedList, ...]:
    found: list[NestedList] = []
    offset = 0
    while offset < file.size:
        if len(found) == MAX_OBJECTS:
            raise damage(
                file.path,
                f"{file.size - offset} bytes after the second list; expected weights, then biases, and nothing else",
                at=offset,
            )
        shape, uniform = _outline(file, offset)
        if believe and uniform is not None and offset + uniform.nbytes <= file.size:
            end = offset + uniform.nbytes
        else:
            uniform = None
            end = decode_list(file, offset, shape)
        found.append(NestedList(offset, end, shape, uniform))
        offset = end
    return tuple(found)


def _outline(file: RegularFile, offset: int) -> tuple[tuple[int, ...], UniformList | None]:
    """Return the shape that the first list of each level tells, and how the lists look if all are like these."""
    shape: list[int] = []
    place, shortest = offset, True
    while True:
        head = file.read(place, 5)
        if not head:
            raise damage(file.path, "the file ends where a number or a list was expected", at=place)
        marker = head[0]
        kind = name_of(marker)
        if kind != "a list":
            break
        if len(shape) == MAX_DEPTH:
            raise damage(file.path, f"lists nested more than {MAX_DEPTH} deep", at=place)
        width = {0xDC: 3, 0xDD: 5}.get(marker, 1)
        if len(head) < width:
            raise damage(file.path, "the file ends inside a list", at=place)
        length = int.from_bytes(head[1:width], "big") if width > 1 else marker & 0x0F
        shape.append(length)
        shortest = shortest and head[:width] == list_header(length)
        place += width
        if length == 0:
            break
    if kind not in ("a list", "a number"):
        raise damage(file.path, f"{kind}; expected a list of numbers", at=place)
    if not shape:
        raise damage(file.path, "a number outside any list; expected a list of numbers", at=place)
    # A list and a number take one byte at least, so this bounds what is allocated by the file's own size.
    if (least := _token_counts(tuple(shape))[0]) > file.size - offset:
        raise damage(
            file.path,
            f"lists of shape {shape} take at least {least} bytes; only {file.size - offset} follow",
            at=offset,
        )
    alike = shortest and math.prod(shape) > 0 and marker in (FLOAT32, FLOAT64)
    return tuple(shape), UniformList(tuple(shape), marker) if alike else None


def _token_counts(shape: tuple[int, ...]) -> list[int]:
    """Return how many tokens one list of each level takes, itself included; last those of a number, 1."""
    counts = [1]
    for length in reversed(shape):
        counts.append(1 + length * counts[-1])
    return counts[::-1]


def _expected_lengths(shape: tuple[int, ...], counts: list[int], first: int, number: int) -> NDArray[np.int64]:
    """Return for tokens `first`, `first` + 1, ... the length of the list that begins there, or -1 for a number."""
    lengths = np.full(number, -1, np.int64)
    inside = np.arange(first, first + number, dtype=np.int64)  # place within the list of the current level; -1: settled
    for length, inner in zip(shape, counts[1:], strict=True):
        lengths[inside == 0] = length
        inside = np.where(inside > 0, (inside - 1) % inner, -1)
    return lengths


def _check_structure(
    file: RegularFile, tokens: Tokens, lengths: NDArray[np.int64], values: NDArray[np.float64]
) -> None:
    lists = tokens.are_lists
    found = np.where(lists, values, -1)
    wrong = found != lengths
    if not wrong.any():
        return
    index = int(np.argmax(wrong))
    seen = f"a list of {int(found[index])}" if lists[index] else "a number"
    expected = f"a list of {lengths[index]}, as the first one of its level" if lengths[index] >= 0 else "a number"
    raise damage(file.path, f"the lists are ragged: {seen}; expected {expected}", at=tokens.place(index))


def _check_range(
    file: RegularFile, tokens: Tokens, numbers: NDArray[np.bool_], values: NDArray[Any], decoded: NDArray[np.float32]
) -> None:
    lost = np.isinf(decoded) & np.isfinite(values[numbers])
    if lost.any():
        index = int(np.flatnonzero(numbers)[np.argmax(lost)])
        raise damage(file.path, f"{values[index]} is too large for a float32", at=tokens.place(index))
