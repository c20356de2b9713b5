"""What a segment does, as data: which launches of which scripts, with which globals, on which buffers.

A kernel says what one call launches (`Launch`, with operands of the call); `segment_program` puts the segment's calls
together. Whoever executes a program keeps one buffer for each of its buffers, and for each step sets the globals and
launches, in order. The host does so by a table in its own memory (`host_device.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum

import attrs

from cnnrt.backend import BufferSpec, Segment, Step
from cnnrt.errors import CnnrtError
from cnnrt_backend_renderscript.script import Script


class Role(Enum):
    """What an operand of a call is."""

    INPUT = "input"
    OUTPUT = "output"
    WEIGHT = "weight"
    WORKSPACE = "workspace"


@attrs.frozen
class Operand:
    """An array of a call: the i-th input, output or packed weight, or its workspace. All are float32, flat."""

    role: Role
    index: int = 0


WORKSPACE = Operand(Role.WORKSPACE)


def input_of(index: int = 0) -> Operand:
    """Return the i-th input."""
    return Operand(Role.INPUT, index)


def output_of(index: int = 0) -> Operand:
    """Return the i-th output."""
    return Operand(Role.OUTPUT, index)


def weight_of(index: int = 0) -> Operand:
    """Return the i-th of the packed weights."""
    return Operand(Role.WEIGHT, index)


Globals = dict[str, int | float | Operand]
"""Values of globals by name: int for int32_t, float for float, bool for bool, an operand for rs_allocation."""


@attrs.frozen
class Launch:
    """One launch of a kernel: the globals that are set before it, its inputs and output, and how many items it has.

    `items` is the range of x where there is neither input nor output, else 0: the allocations' own.
    """

    script: Script
    kernel: str
    globals: Mapping[str, int | float | Operand]
    items: int = 0
    inputs: tuple[Operand, ...] = ()
    output: Operand | None = None


@attrs.frozen
class Buffer:
    """A buffer of a program, `values` float32 long: a slot of the frame, or the i-th packed weight of a step."""

    values: int
    slot: int | None = None
    step: int | None = None
    weight: int = 0


@attrs.frozen
class ProgramStep:
    """A launch of a program: operands are numbers of buffers. `step` is the segment's step that it belongs to."""

    step: int
    script: Script
    kernel: str
    scalars: Mapping[str, int | float]
    allocations: Mapping[str, int]
    items: int
    inputs: tuple[int, ...]
    output: int | None


@attrs.frozen
class Program:
    """Buffers and steps of a segment, and the scripts that they need."""

    buffers: tuple[Buffer, ...]
    steps: tuple[ProgramStep, ...]

    @property
    def scripts(self) -> tuple[Script, ...]:
        """Each script once."""
        return tuple(dict.fromkeys(step.script for step in self.steps))

    def steps_of(self, step: int) -> tuple[int, int]:
        """Return the range of launches that a step of the segment has."""
        own = [i for i, s in enumerate(self.steps) if s.step == step]
        return (own[0], own[-1] + 1) if own else (0, 0)


def segment_program(segment: Segment, specs: Sequence[BufferSpec]) -> Program:
    """Return the program of a segment. Raises CnnrtError for kernels of another backend."""
    numbers: dict[Buffer, int] = {}

    def number(buffer: Buffer) -> int:
        return numbers.setdefault(buffer, len(numbers))

    steps: list[ProgramStep] = []
    for index, step in enumerate(segment.steps):
        own = _operands(index, step, specs)
        for launch in _launches(step):
            allocations = {n: number(own[v]) for n, v in launch.globals.items() if isinstance(v, Operand)}
            scalars = {n: v for n, v in launch.globals.items() if not isinstance(v, Operand)}
            inputs = tuple(number(own[operand]) for operand in launch.inputs)
            output = None if launch.output is None else number(own[launch.output])
            steps.append(
                ProgramStep(index, launch.script, launch.kernel, scalars, allocations, launch.items, inputs, output)
            )
    return Program(tuple(numbers), tuple(steps))


def _operands(index: int, step: Step, specs: Sequence[BufferSpec]) -> Mapping[Operand, Buffer]:
    from cnnrt_backend_renderscript.script_kernel import ScriptKernel

    def of_slot(slot: int) -> Buffer:
        return Buffer(specs[slot].type.nbytes // 4, slot=slot)

    found = {Operand(Role.INPUT, i): of_slot(slot) for i, slot in enumerate(step.inputs)}
    found |= {Operand(Role.OUTPUT, i): of_slot(slot) for i, slot in enumerate(step.outputs)}
    found[WORKSPACE] = of_slot(step.workspace)
    if isinstance(step.kernel, ScriptKernel):
        sizes = step.kernel.packed_values(step.call)
        found |= {Operand(Role.WEIGHT, i): Buffer(size, step=index, weight=i) for i, size in enumerate(sizes)}
    return found


def _launches(step: Step) -> Iterator[Launch]:
    from cnnrt_backend_renderscript.script_kernel import ScriptKernel

    if not isinstance(step.kernel, ScriptKernel):
        raise CnnrtError(
            f"layer {step.layer_name!r}: kernel {step.kernel.name!r} of backend {step.kernel.backend!r} is not a "
            f"ScriptKernel, so it cannot run in a renderscript segment; derive it from ScriptKernel"
        )
    yield from step.kernel.launches(step.call)
