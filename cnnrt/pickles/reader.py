"""The reader: opcodes of a pickle to plain values, within bounds, without running anything that the file names.

Format: the opcodes of Python's pickle, protocols 0 to 5 (Lib/pickletools.py describes each). Python's own unpickler
is not used: with it, bounds on memory and time are out of reach, and everything it can build would have to be trusted.

Text of Python 2, which is bytes, becomes text (latin-1) up to 64 KiB and stays bytes beyond that, where it is the
values of arrays. The values are lists, tuples, dicts, sets, text, bytes, numbers, None, `PickledArray`, and `Record`;
they may hold themselves, and the same value may be in many places, so whoever walks through them counts.
"""

from __future__ import annotations

from typing import Any

import attrs

from cnnrt.errors import ImportFailure, Problem
from cnnrt.pickles.numpy_globals import NUMPY_GLOBALS
from cnnrt.pickles.opcodes import HANDLERS, STOP
from cnnrt.pickles.stack_machine import Persistent, StackMachine
from cnnrt.pickles.stand_ins import Globals, PickleFault

MOST_OPCODES = 3_000_000


@attrs.frozen(eq=False)
class Unpickled:
    """What was read, and the offset behind the pickle, where another one may follow."""

    value: Any
    end: int


def read_pickle(
    data: bytes | memoryview,
    *,
    file: str,
    known: Globals = NUMPY_GLOBALS,
    persistent: Persistent | None = None,
    start: int = 0,
    advice: str = "save arrays alone (numpy.savez, or a list of arrays)",
) -> Unpickled:
    """Return the pickle that begins at `start` of `data`.

    `known` answers each global that the file names with what stands for it; one that it does not know is never used,
    and all of these are named in the ImportFailure, with `advice` on what to do. `persistent` answers persistent ids.
    Raises ImportFailure for whatever is no pickle, or one beyond the bounds (3 million opcodes, half a million
    containers).
    """
    machine = StackMachine(memoryview(data), known, persistent, start, advice)
    try:
        value = _run(machine)
    except PickleFault as fault:
        problems = [Problem(f"the pickle cannot be read, at byte {machine.at:,}: {fault}")]
        raise ImportFailure(machine.refused() or problems, file=file) from None
    if refused := machine.refused():
        raise ImportFailure(refused, file=file)
    return Unpickled(value, machine.at)


def _run(machine: StackMachine) -> Any:
    """Follow one opcode after the other, and return what is on the stack in the end."""
    for _ in range(MOST_OPCODES):
        code = machine.byte()
        if code == STOP:
            return machine.pop()
        handler = HANDLERS.get(code)
        if handler is None:
            raise PickleFault(f"the byte 0x{code:02X} is no opcode that may be read")
        handler(machine)
    raise PickleFault(f"more than {MOST_OPCODES:,} opcodes")
