"""Launches bound to their arguments: kernels whose buffers lie in an arena on the device, or are set for each call."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import numpy as np

from cnnrt.backend import BufferSpec, Step
from cnnrt.errors import DeviceMemoryError
from cnnrt_backend_opencl.buffer_parts import BufferParts
from cnnrt_backend_opencl.driver import BOTH, Handle
from cnnrt_backend_opencl.kernel import Input, Launch, Local, Output, Weight, Workspace
from cnnrt_backend_opencl.session import Session


@attrs.frozen
class BoundLaunch:
    """A launch with its kernel, and the slots or weights that are set for each call: (argument, slot or number)."""

    kernel: Handle
    launch: Launch
    outside: tuple[tuple[int, int], ...]
    weights: tuple[tuple[int, int], ...]


class Arena:
    """Memory of the device in which values lie at offsets, some of them over others that are not needed any more.

    Values that overlap share a buffer. One that begins with a buffer is given the whole of it, and no part: parts cost
    time, on NVIDIA's devices tens of microseconds for a kernel.
    """

    def __init__(self, session: Session, values: Iterable[tuple[int, int]]) -> None:
        """`values`: offsets and bytes. Raises DeviceMemoryError where the device does not give so much in one piece."""
        most = session.device.limits.allocation_bytes
        self._buffers: dict[int, Handle] = {}
        self._parts: dict[int, BufferParts] = {}
        for start, nbytes in merged(values):
            if nbytes > most:
                raise DeviceMemoryError(
                    f"{session.device.title}: values between layers take {nbytes >> 20} MiB, more than the "
                    f"{most >> 20} MiB that this device gives in one piece"
                )
            self._buffers[start] = session.driver.buffer(session.context, BOTH, nbytes)
            self._parts[start] = BufferParts(session.driver, self._buffers[start])
        self._starts = sorted(self._buffers)

    def part(self, offset: int, nbytes: int) -> Handle:
        """Return a buffer that begins at an offset and has so many bytes or more; None where they are none."""
        if nbytes == 0:
            return None
        start = self._starts[bisect.bisect(self._starts, offset) - 1]
        return self._buffers[start] if offset == start else self._parts[start].part(offset - start, nbytes)


def merged(values: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (offset, bytes) of the runs that values cover, each run without a seam that no value crosses."""
    runs: list[list[int]] = []
    for start, nbytes in sorted(value for value in values if value[1]):
        if runs and start < runs[-1][1]:
            runs[-1][1] = max(runs[-1][1], start + nbytes)
        else:
            runs.append([start, start + nbytes])
    return [(start, end - start) for start, end in runs]


def root_slot(slot: int, specs: Sequence[BufferSpec]) -> int:
    """Return the slot whose bytes a slot shows: mostly itself."""
    root = specs[slot].root
    return slot if root is None else root


def value_buffer(slot: int, specs: Sequence[BufferSpec], arena: Arena) -> Handle:
    """Return the buffer of a value inside the segment."""
    spec = specs[slot]
    return arena.part(spec.offset or 0, spec.type.nbytes)


def bind_launches(
    session: Session,
    step: Step,
    launches: Sequence[tuple[Launch, Handle]],
    specs: Sequence[BufferSpec],
    arena: Arena,
    weights: Sequence[Handle] | None,
    result: Handle = None,
) -> tuple[BoundLaunch, ...]:
    """Return launches (given with their programs) with all arguments set that are the same in every call.

    `weights`: their buffers; None where they are set for each call. `result`: a buffer in place of the output.
    """
    return tuple(_bound(session, step, program, launch, specs, arena, weights, result) for launch, program in launches)


def _bound(
    session: Session,
    step: Step,
    program: Handle,
    launch: Launch,
    specs: Sequence[BufferSpec],
    arena: Arena,
    weights: Sequence[Handle] | None,
    result: Handle,
) -> BoundLaunch:
    driver = session.driver
    kernel = driver.kernel(program, launch.function)
    outside: list[tuple[int, int]] = []
    passing: list[tuple[int, int]] = []
    for index, argument in enumerate(launch.args):
        value: Any = argument
        if isinstance(argument, Output) and result is not None:
            value = result
        elif isinstance(argument, Input | Output):
            slot = (step.inputs if isinstance(argument, Input) else step.outputs)[argument.index]
            if not specs[slot].private:
                outside.append((index, root_slot(slot, specs)))
                continue
            value = value_buffer(slot, specs, arena)
        elif isinstance(argument, Workspace):
            spec = specs[step.workspace]
            value = arena.part((spec.offset or 0) + argument.offset, spec.type.nbytes - argument.offset)
        elif isinstance(argument, Weight):
            if weights is None:
                passing.append((index, argument.index))
                continue
            value = weights[argument.index]
        elif isinstance(argument, Local):
            value = driver.local(argument.nbytes)
        elif isinstance(argument, int):
            value = np.int32(argument)
        elif isinstance(argument, float):
            value = np.float32(argument)
        elif isinstance(argument, tuple):
            value = np.array(argument, np.float32 if isinstance(argument[0], float) else np.int32)
        driver.set_argument(kernel, index, value)
    return BoundLaunch(kernel, launch, tuple(outside), tuple(passing))
