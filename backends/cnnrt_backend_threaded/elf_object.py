"""Reading relocatable object files as LLVM writes them: 64-bit little-endian ELF, with addends beside the relocations.

Source: System V Application Binary Interface, chapters 4 and 5 (object files). Whatever the operating system is,
kernels are compiled to this one format: no system's loader ever sees it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

import attrs

MACHINES = {62: "x86-64", 183: "AArch64"}
"""`e_machine`, for which the linker knows relocations."""
PROGBITS, SYMTAB, RELA, NOBITS, REL = 1, 2, 4, 8, 9
WRITE, ALLOC, EXECUTE = 1, 2, 4
UNDEFINED = 0

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")


class ObjectFileError(Exception):
    """An object file that is not as expected: a fault of the kernel that was compiled, or of this reader."""


@attrs.frozen
class Section:
    """A section: its name, bytes and alignment, and whether it is loaded, written to or executed."""

    name: str
    kind: int
    flags: int
    alignment: int
    data: bytes

    @property
    def loaded(self) -> bool:
        """Whether a running program sees it."""
        return bool(self.flags & ALLOC)


@attrs.frozen
class Symbol:
    """A name for a place: `offset` in the section of index `section`, or undefined there."""

    name: str
    section: int
    offset: int


@attrs.frozen
class Relocation:
    """At `offset` of section number `section`, the address of `symbol` plus `addend` is to be put in as `kind`."""

    section: int
    offset: int
    kind: int
    symbol: Symbol
    addend: int


@attrs.frozen
class ObjectFile:
    """What is in an object file; `machine` is "x86-64" or "AArch64"."""

    machine: str
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: tuple[Relocation, ...]


def read_object(data: bytes) -> ObjectFile:
    """Read an object file. Raises ObjectFileError for another format or another processor."""
    if len(data) < _HEADER.size or data[:7] != b"\x7fELF\x02\x01\x01":
        raise ObjectFileError("this is no 64-bit little-endian ELF file")
    _, kind, number, _, _, _, start, _, _, _, _, _, count, names_index = _HEADER.unpack_from(data)
    if kind != 1:
        raise ObjectFileError(f"an ELF file of kind {kind}; expected a relocatable one (1)")
    if number not in MACHINES:
        raise ObjectFileError(f"code for ELF machine {number}; known: {', '.join(map(str, MACHINES))}")
    headers = [_SECTION.unpack_from(data, start + i * _SECTION.size) for i in range(count)]
    contents = [b"" if h[1] == NOBITS else data[h[4] : h[4] + h[5]] for h in headers]
    names = contents[names_index]
    sections = tuple(
        Section(_text(names, h[0]), h[1], h[2], max(h[8], 1), bytes(h[5]) if h[1] == NOBITS else content)
        for h, content in zip(headers, contents, strict=True)
    )
    symbols: tuple[Symbol, ...] = ()
    for header, content in zip(headers, contents, strict=True):
        if header[1] == SYMTAB:
            symbols = tuple(_symbols(content, contents[header[6]]))
    relocations: list[Relocation] = []
    for header, content in zip(headers, contents, strict=True):
        if header[1] == REL and sections[header[7]].loaded:
            raise ObjectFileError("relocations without addends, which neither processor's ABI uses")
        if header[1] == RELA:
            for offset, info, addend in _RELOCATION.iter_unpack(content):
                relocations.append(Relocation(header[7], offset, info & 0xFFFFFFFF, symbols[info >> 32], addend))
    return ObjectFile(MACHINES[number], sections, symbols, tuple(relocations))


def _symbols(content: bytes, names: bytes) -> Iterator[Symbol]:
    for name, _, _, section, value, _ in _SYMBOL.iter_unpack(content):
        yield Symbol(_text(names, name), section, value)


def _text(names: bytes, start: int) -> str:
    return names[start : names.index(b"\0", start)].decode()
