"""contents.json of a package: units, their data, and which unit hands its output to which.

Format: libVeles (`contents.json`: "units", each with "class", "data" and "links", indices of the units that come after
it); a text "@NAME" in the data is the array in NAME.npy.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from cnnrt.archives import Archive
from cnnrt.errors import CnnrtError, ImportFailure, Problem
from cnnrt.layer import Array
from cnnrt.npy_file import read_npy_header, tolerant, why_unreadable

CONTENTS = "contents.json"
LARGEST_CONTENTS = 4 << 20
_MOST_UNITS = 8192


@attrs.frozen(eq=False)
class Unit:
    """A unit: its number, class, data, and the numbers of the units whose output it reads."""

    number: int
    type: str
    data: Mapping[str, Any]
    sources: Sequence[int]
    read: Callable[[str], Array]


def read_units(archive: Archive) -> tuple[str, list[Unit]]:
    """Return the name of the workflow and its units, in an order in which they can run; raises ImportFailure."""
    if archive.sizes.get(CONTENTS, 0) > LARGEST_CONTENTS:
        raise _failure(archive, f"{CONTENTS} has more than {LARGEST_CONTENTS:,} bytes")
    try:
        contents = json.loads(archive.read(CONTENTS))
    except (ValueError, RecursionError) as error:
        raise _failure(archive, f"{CONTENTS} is no JSON: {error}") from None
    units = contents.get("units") if isinstance(contents, dict) else None
    if not isinstance(units, list) or not all(isinstance(unit, dict) for unit in units) or len(units) > _MOST_UNITS:
        raise _failure(archive, f"{CONTENTS} has no list of units")
    sources: list[list[int]] = [[] for _ in units]
    for number, unit in enumerate(units):
        for link in unit.get("links") if isinstance(unit.get("links"), list) else []:
            if type(link) is not int or not 0 <= link < len(units):
                raise _failure(archive, f"unit {number} is linked to a unit that is not there")
            sources[link].append(number)
    found = [
        Unit(number, _class(unit), unit["data"] if isinstance(unit.get("data"), dict) else {}, sources[number],
             lambda name: _array(archive, name))
        for number, unit in enumerate(units)
    ]  # fmt: skip
    name = contents.get("workflow")
    return (name if isinstance(name, str) else ""), _in_order(archive, found)


def _class(unit: Mapping[str, Any]) -> str:
    kind = unit.get("class")
    name = kind.get("name") if isinstance(kind, dict) else None
    return name if isinstance(name, str) else ""


def _in_order(archive: Archive, units: list[Unit]) -> list[Unit]:
    """Return the units so that each comes behind those that it reads."""
    waiting = [len(unit.sources) for unit in units]
    after: list[list[int]] = [[] for _ in units]
    for unit in units:
        for source in unit.sources:
            after[source].append(unit.number)
    ready = [unit.number for unit in reversed(units) if not waiting[unit.number]]
    order = []
    while ready:
        number = ready.pop()
        order.append(units[number])
        for following in reversed(after[number]):
            waiting[following] -= 1
            if not waiting[following]:
                ready.append(following)
    if len(order) < len(units):
        raise _failure(archive, "units are linked in a circle")
    return order


def _array(archive: Archive, name: str) -> Array:
    """Return the array in NAME.npy, whose header is compared with the bytes that are there."""
    data = archive.read(f"{name}.npy")
    try:
        with tolerant():
            header = read_npy_header(io.BytesIO(data))
    # NumPy evaluates the header as a Python literal: depending on what that holds, anything may be raised.
    except Exception as error:
        if isinstance(error, CnnrtError):
            raise
        raise _failure(archive, f"{name}.npy cannot be read: {why_unreadable(error)}") from error
    if header.nbytes != len(data) - header.offset:
        raise _failure(archive, f"{name}.npy holds another number of values than its header says")
    return np.frombuffer(data, header.dtype, offset=header.offset).reshape(header.shape, order=header.order)


def _failure(archive: Archive, message: str) -> ImportFailure:
    return ImportFailure([Problem(message)], file=archive.file)
