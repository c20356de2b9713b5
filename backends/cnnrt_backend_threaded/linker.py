"""From an object file to a code image: sections side by side in one block, references between them filled in."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt_backend_threaded.code_image import PAGE, CodeImage
from cnnrt_backend_threaded.elf_object import EXECUTE, UNDEFINED, WRITE, ObjectFile, ObjectFileError, Section, Symbol
from cnnrt_backend_threaded.relocations import relocate

_UNWINDING = ".eh_frame"
"""Tables for exceptions and debuggers, which no kernel raises and none of which is told of this code."""


def link(found: ObjectFile, names: Sequence[str]) -> CodeImage:
    """Return the image of an object file with the functions of these names as entries.

    Raises ObjectFileError where something is undefined, writeable, or bound to an address.
    """
    places, size = _lay_out(found.sections)
    code = bytearray(size)
    for index, start in places.items():
        data = found.sections[index].data
        code[start : start + len(data)] = data

    def address(symbol: Symbol) -> int:
        if symbol.section == UNDEFINED:
            raise ObjectFileError(f"{symbol.name!r} is not defined in the module; code refers to nothing outside of it")
        if symbol.section not in places:
            raise ObjectFileError(f"{symbol.name!r} lies in a part of the object file that is not loaded")
        return places[symbol.section] + symbol.offset

    for relocation in found.relocations:
        if relocation.section in places:
            place = places[relocation.section] + relocation.offset
            relocate(found.machine, relocation.kind, code, place, address(relocation.symbol) + relocation.addend)
    by_name = {symbol.name: symbol for symbol in found.symbols if symbol.name and symbol.section != UNDEFINED}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise ObjectFileError(f"the module does not define {', '.join(missing)}")
    return CodeImage(bytes(code), {name: address(by_name[name]) for name in names})


def _lay_out(sections: Sequence[Section]) -> tuple[dict[int, int], int]:
    """Return where each loaded section starts, by index, and the size of all: code first, then what it reads."""
    loaded = [(i, s) for i, s in enumerate(sections) if s.loaded and s.data and s.name != _UNWINDING]
    places: dict[int, int] = {}
    end = 0
    for index, section in sorted(loaded, key=lambda item: not item[1].flags & EXECUTE):
        if section.flags & WRITE:
            raise ObjectFileError(f"section {section.name} can be written to; an image is read-only")
        if section.alignment > PAGE:
            raise ObjectFileError(f"section {section.name} wants {section.alignment} bytes of alignment")
        places[index] = end = -(-end // section.alignment) * section.alignment
        end += len(section.data)
    return places, end
