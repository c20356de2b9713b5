"""What a client and the runner (`runtime/runner.c`) say to one another, byte by byte.

Everything is little-endian. A message is a header (u32 magic "CNRS", u32 kind, u64 bytes of the payload) and a payload.
The runner speaks first: HELLO, with u32 version, u32 bytes of a pointer, u32 processors, u32 scripts and the digest of
its build in 64 hexadecimal digits. Then each request gets one answer, in order; a client may send several at once.

Requests, their payloads, and the payload of DONE where it has one:

- ALLOCATE: u64 bytes of the arena, u32 buffers, u32 0; for each: u64 place in the arena or `APART`, u32 values, u32 0.
- WRITE: u32 buffer, u32 0, u64 first byte, data.
- PROGRAM: u32 launches; for each: u32 script, kernel, items, output or `NO_BUFFER`, inputs, globals; then inputs: u32
  buffer; then globals: u32 global, u32 1 where it is an allocation, u32 value or buffer.
- LAUNCH: u32 first launch, u32 the one behind the last, u32 threads. DONE: u64 nanoseconds.
- READ: u32 buffer, u32 0, u64 first byte, u64 bytes. DONE: data.

Where a request cannot be fulfilled the answer is FAILED with a text. While launches run, ALIVE (no payload) comes about
once a second, between two of them. ALLOCATE zeroes the buffers and forgets the program. Scripts are numbered as they
were linked, kernels and globals in the order of a script's text. When the client closes its end the runner is done.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import attrs

from cnnrt_backend_renderscript.exports import Exports, read_exports
from cnnrt_backend_renderscript.program import Program, ProgramStep
from cnnrt_backend_renderscript.script import Script

VERSION = 1
MAGIC = 0x53524E43
HEADER = struct.Struct("<IIQ")
GREETING = struct.Struct("<IIII64s")
APART = 2**64 - 1
NO_BUFFER = 2**32 - 1

HELLO, ALLOCATE, WRITE, PROGRAM, LAUNCH, READ = range(1, 7)
DONE, FAILED, ALIVE = 101, 102, 103


@attrs.frozen
class Greeting:
    """What a runner says of itself. `build`: the digest of the program that it is."""

    version: int
    pointer_bytes: int
    cores: int
    scripts: int
    build: str


def read_greeting(payload: bytes) -> Greeting | None:
    """Return the greeting, or None where it is none."""
    if len(payload) != GREETING.size:
        return None
    version, pointer_bytes, cores, scripts, build = GREETING.unpack(payload)
    return Greeting(version, pointer_bytes, cores, scripts, build.decode("ascii", "replace"))


def message(kind: int, payload: bytes) -> bytes:
    """Return a whole message."""
    return HEADER.pack(MAGIC, kind, len(payload)) + payload


def allocate_message(arena_bytes: int, buffers: Sequence[tuple[int | None, int]]) -> bytes:
    """Return the request for buffers: (place in the arena, or None for memory of its own; float32 values) each."""
    parts = [struct.pack("<QII", arena_bytes, len(buffers), 0)]
    parts += [struct.pack("<QII", APART if place is None else place, values, 0) for place, values in buffers]
    return message(ALLOCATE, b"".join(parts))


def write_head(buffer: int, first: int, nbytes: int) -> bytes:
    """Return what stands before the data that are written to a buffer."""
    return HEADER.pack(MAGIC, WRITE, 16 + nbytes) + struct.pack("<IIQ", buffer, 0, first)


def program_message(program: Program) -> bytes:
    """Return all launches of a program, whose scripts are linked in the order of `program.scripts`."""
    numbers = {script: number for number, script in enumerate(program.scripts)}
    exports = {script: read_exports(script.source, f"{script.name}.rs") for script in numbers}
    parts = [struct.pack("<I", len(program.steps))]
    for step in program.steps:
        parts += _launch(step, numbers[step.script], exports[step.script])
    return message(PROGRAM, b"".join(parts))


def _launch(step: ProgramStep, script: int, exports: Exports) -> Iterator[bytes]:
    kernels = [kernel.name for kernel in exports.kernels]
    globals_ = {variable.name: (number, variable.type) for number, variable in enumerate(exports.globals)}
    output = NO_BUFFER if step.output is None else step.output
    sets = len(step.allocations) + len(step.scalars)
    yield struct.pack("<6I", script, kernels.index(step.kernel), step.items, output, len(step.inputs), sets)
    yield struct.pack(f"<{len(step.inputs)}I", *step.inputs)
    for name, buffer in step.allocations.items():
        yield struct.pack("<III", globals_[name][0], 1, buffer)
    for name, value in step.scalars.items():
        number, kind = globals_[name]
        yield struct.pack("<II", number, 0) + (
            struct.pack("<f", value) if kind == "float" else struct.pack("<i", value)
        )


def launch_message(first: int, last: int, threads: int) -> bytes:
    """Return the request to run the launches from `first` to before `last`."""
    return message(LAUNCH, struct.pack("<III", first, last, threads))


def read_message(buffer: int, first: int, nbytes: int) -> bytes:
    """Return the request for the bytes of a buffer."""
    return message(READ, struct.pack("<IIQQ", buffer, 0, first, nbytes))


def linked_scripts(scripts: Sequence[Script], build: str) -> str:
    """Return the C text that tells a runner which scripts are linked into it, and which build it is."""
    declared = "".join(f"extern const struct rs_script rs_script_{script.id};\n" for script in scripts)
    listed = "".join(f"&rs_script_{script.id}, " for script in scripts)
    return (
        f'#include "launch.h"\n{declared}'
        f"const struct rs_script *const runner_scripts[] = {{{listed}0}};\n"
        f"const uint32_t runner_script_count = {len(scripts)};\n"
        f'const char runner_build[65] = "{build}";\n'
    )
