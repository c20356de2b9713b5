"""What each relocation writes into code: the fields of instructions that hold the distance to another place.

Sources: System V ABI, AMD64 Architecture Processor Supplement, section 4.4; ELF for the Arm 64-bit Architecture
(AAELF64), section 5.7. Only those that are independent of where the code will lie: all places move together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cnnrt_backend_threaded.elf_object import ObjectFileError

PAGE = 4096
"""AArch64 addresses a place by its page and the place in it; the start of an image lies on such a page."""

Patch = Callable[[bytearray, int, int], None]
"""Writes into the code, at a place, the reference to a target (symbol plus addend); both count from the start."""


def relocate(machine: str, kind: int, code: bytearray, place: int, target: int) -> None:
    """Apply one relocation. Raises ObjectFileError for a kind that is not known, or a target out of its reach."""
    patch = PATCHES[machine].get(kind)
    if patch is None:
        raise ObjectFileError(f"relocation {kind} of {machine} is not known (or depends on where the code lies)")
    patch(code, place, target)


def _field(value: int, bits: int, scale: int = 1) -> int:
    """Return a signed value as a field of so many bits, in units of `scale`."""
    if value % scale or not -(1 << (bits - 1)) <= value // scale < 1 << (bits - 1):
        raise ObjectFileError(f"a distance of {value} bytes does not fit into {bits} bits in units of {scale}")
    return (value // scale) & ((1 << bits) - 1)


def _relative(size: int) -> Patch:
    """Return the patch for a signed distance of so many bytes."""

    def patch(code: bytearray, place: int, target: int) -> None:
        code[place : place + size] = _field(target - place, 8 * size).to_bytes(size, "little")

    return patch


def _instruction(code: bytearray, place: int, mask: int, field: int) -> None:
    """Replace the bits of `mask` in an instruction of 32 bits."""
    old = int.from_bytes(code[place : place + 4], "little")
    code[place : place + 4] = (old & ~mask | field).to_bytes(4, "little")


def _branch(bits: int, position: int) -> Patch:
    """Return the patch for a branch: a distance in instructions."""

    def patch(code: bytearray, place: int, target: int) -> None:
        _instruction(code, place, ((1 << bits) - 1) << position, _field(target - place, bits, 4) << position)

    return patch


def _split(code: bytearray, place: int, value: int) -> None:
    """Write the 21 bits of ADR and ADRP: the lowest two lie apart."""
    _instruction(code, place, 0x60FFFFE0, (value & 3) << 29 | (value >> 2) << 5)


def _address(code: bytearray, place: int, target: int) -> None:
    _split(code, place, _field(target - place, 21))


def _page(code: bytearray, place: int, target: int) -> None:
    _split(code, place, _field(target // PAGE * PAGE - place // PAGE * PAGE, 21, PAGE))


def _within_page(scale: int) -> Patch:
    """Return the patch for a place in its page, in units of what is loaded."""

    def patch(code: bytearray, place: int, target: int) -> None:
        if target % scale:
            raise ObjectFileError(f"a load of {scale} bytes from byte {target}, which is no multiple of that")
        _instruction(code, place, 0xFFF << 10, target % PAGE // scale << 10)

    return patch


PATCHES: Mapping[str, Mapping[int, Patch]] = {
    "x86-64": {
        2: _relative(4),  # PC32
        4: _relative(4),  # PLT32: nothing is bound late
        24: _relative(8),  # PC64
    },
    "AArch64": {
        260: _relative(8),  # PREL64
        261: _relative(4),  # PREL32
        273: _branch(19, 5),  # LD_PREL_LO19
        274: _address,  # ADR_PREL_LO21
        275: _page,  # ADR_PREL_PG_HI21
        276: _page,  # ADR_PREL_PG_HI21_NC
        277: _within_page(1),  # ADD_ABS_LO12_NC
        278: _within_page(1),  # LDST8_ABS_LO12_NC
        279: _branch(14, 5),  # TSTBR14
        280: _branch(19, 5),  # CONDBR19
        282: _branch(26, 0),  # JUMP26
        283: _branch(26, 0),  # CALL26
        284: _within_page(2),  # LDST16_ABS_LO12_NC
        285: _within_page(4),  # LDST32_ABS_LO12_NC
        286: _within_page(8),  # LDST64_ABS_LO12_NC
        299: _within_page(16),  # LDST128_ABS_LO12_NC
    },
}
"""By machine and by the number that its ABI gives a relocation."""
