"""A segment on the host: its program as a table in this process's memory, which the driver walks through.

Scripts, globals and launches are laid out once; in a call only the addresses of buffers are written, and the driver
goes through all steps without returning to Python. Weights that do not stay resident are read just before their step,
which cuts the table there.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import attrs

from cnnrt.backend import BufferSpec, Frame, Segment, StepTimer
from cnnrt.errors import CnnrtError
from cnnrt.layer import Array
from cnnrt_backend_renderscript.compiler import Compiler
from cnnrt_backend_renderscript.host_driver import AllocationData, LaunchData, LaunchFailure, SetData, host_driver
from cnnrt_backend_renderscript.library import Instance, script_libraries
from cnnrt_backend_renderscript.program import ProgramStep, segment_program
from cnnrt_backend_renderscript.script import Script


@attrs.frozen
class _Table:
    """What one call at a time uses: instances of the scripts, the launches, the buffers; `held` keeps memory alive."""

    instances: Mapping[Script, Instance]
    launches: ctypes.Array[LaunchData]
    buffers: ctypes.Array[AllocationData]
    held: Sequence[object]


class HostScriptSegment:
    """A compiled segment; satisfies `cnnrt.backend.Runnable`. Scripts are compiled when it is made.

    `threads` tells how many may work now: it is asked for compiling, and for each launch.
    """

    def __init__(
        self,
        segment: Segment,
        specs: Sequence[BufferSpec],
        threads: Callable[[], int],
        compiler: Compiler,
        *,
        checked: bool = False,
    ) -> None:
        self._steps = segment.steps
        self._threads = threads
        self._program = segment_program(segment, specs)
        self._libraries = script_libraries(self._program.scripts, compiler, checked=checked, processes=threads())
        self._driver = host_driver(compiler)
        self._ranges = [self._program.steps_of(index) for index in range(len(segment.steps))]
        self._parts = _parts(segment, self._ranges)
        self._slots = [(i, b.slot) for i, b in enumerate(self._program.buffers) if b.slot is not None]
        self._weights = {(b.step, b.weight): i for i, b in enumerate(self._program.buffers) if b.step is not None}
        self._spare: list[_Table] = []

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        """Compute every step on the frame's buffers; with a timer, step by step.

        Raises CnnrtError that names the layer where a launch cannot be made, or where a checked script reaches beyond
        an allocation.
        """
        try:
            table = self._spare.pop()
        except IndexError:
            table = self._new_table()
        try:
            for buffer, slot in self._slots:
                table.buffers[buffer].data = _address(frame[slot])
            if timer is None:
                for steps, launches in self._parts:
                    held = [self._stream(table, step) for step in steps]
                    self._launch(table, *launches)
                    del held
            else:
                self._run_timed(table, timer)
        finally:
            self._spare.append(table)

    def _run_timed(self, table: _Table, timer: StepTimer) -> None:
        for index, step in enumerate(self._steps):
            started = time.perf_counter()
            held = self._stream(table, index)
            loaded = time.perf_counter()
            self._launch(table, *self._ranges[index])
            finished = time.perf_counter()
            del held
            timer.record(step.layer_name, finished - loaded, loaded - started)

    def _launch(self, table: _Table, first: int, last: int) -> None:
        if first == last:
            return
        try:
            self._driver.run(table.launches, first, last, self._threads())
        except LaunchFailure as error:
            step = self._program.steps[error.number]
            where = f"layer {self._steps[step.step].layer_name!r}: {step.kernel} of {step.script.name}.rs"
            raise CnnrtError(f"{where}: {error}; this is a fault of the kernel, not of the model") from error
        faults = [text for instance in table.instances.values() if (text := instance.fault())]
        if faults:
            layers = dict.fromkeys(self._steps[s.step].layer_name for s in self._program.steps[first:last])
            raise CnnrtError(f"{', '.join(layers)}: {'; '.join(faults)}")

    def _stream(self, table: _Table, index: int) -> tuple[Array, ...]:
        """Read a step's weights if they are not resident and point its buffers at them; the caller holds them."""
        step = self._steps[index]
        if step.weights.resident:
            return ()
        arrays = cast("tuple[Array, ...]", step.weights.get())
        self._point(table.buffers, index, arrays)
        return arrays

    def _point(self, buffers: ctypes.Array[AllocationData], index: int, arrays: Sequence[Array]) -> None:
        for weight, array in enumerate(arrays):
            buffer = self._weights.get((index, weight))
            if buffer is not None:
                buffers[buffer].data = _address(array)

    def _new_table(self) -> _Table:
        program = self._program
        instances = {script: Instance(script, library) for script, library in self._libraries.items()}
        buffers = (AllocationData * max(1, len(program.buffers)))()
        for data, buffer in zip(buffers, program.buffers, strict=False):
            data.dim_x, data.cell_bytes = buffer.values, 4
        held: list[object] = []
        for index, step in enumerate(self._steps):
            if step.weights.resident:
                arrays = cast("tuple[Array, ...]", step.weights.get())
                self._point(buffers, index, arrays)
                held.append(arrays)
        launches = (LaunchData * max(1, len(program.steps)))()
        for launch, program_step in zip(launches, program.steps, strict=False):
            held += lay_out(launch, program_step, instances[program_step.script], buffers)
        return _Table(instances, launches, buffers, held)


def lay_out(
    launch: LaunchData, step: ProgramStep, instance: Instance, buffers: ctypes.Array[AllocationData]
) -> list[object]:
    """Write one launch; return what must stay in memory with it. Raises CnnrtError for what a script does not have."""

    def pointer(buffer: int) -> int:
        return ctypes.addressof(buffers) + buffer * ctypes.sizeof(AllocationData)

    values: dict[str, ctypes.c_void_p | ctypes.c_float | ctypes.c_int32 | ctypes.c_bool] = {}
    for name, buffer in step.allocations.items():
        values[name] = ctypes.c_void_p(pointer(buffer))
    for name, value in step.scalars.items():
        values[name] = _scalar(value)
    sets = (SetData * max(1, len(values)))()
    for entry, (name, data) in zip(sets, values.items(), strict=False):
        if name not in instance.globals:
            raise CnnrtError(f"{step.script.name}.rs has no global {name!r} that could be set")
        entry.destination, size = instance.globals[name]
        entry.value, entry.bytes = ctypes.addressof(data), ctypes.sizeof(data)
        if size != entry.bytes:
            raise CnnrtError(f"{step.script.name}.rs: global {name!r} has {size} bytes, its value {entry.bytes}")
    if step.kernel not in instance.loops:
        raise CnnrtError(f"{step.script.name}.rs has no kernel {step.kernel!r}")
    launch.loop = instance.loops[step.kernel]
    launch.sets, launch.set_count = sets, len(values)
    for i, buffer in enumerate(step.inputs):
        launch.inputs[i] = pointer(buffer)
    launch.in_count = len(step.inputs)
    launch.output = None if step.output is None else pointer(step.output)
    launch.end[0] = step.items
    return [sets, *values.values()]


def _scalar(value: float) -> ctypes.c_float | ctypes.c_int32 | ctypes.c_bool:
    if isinstance(value, bool):
        return ctypes.c_bool(value)
    return ctypes.c_int32(value) if isinstance(value, int) else ctypes.c_float(value)


def _parts(segment: Segment, ranges: Sequence[tuple[int, int]]) -> list[tuple[tuple[int, ...], tuple[int, int]]]:
    """Return runs of launches: each step with streamed weights alone (and its number), the others together."""
    parts: list[tuple[tuple[int, ...], tuple[int, int]]] = []
    for index, (step, (first, last)) in enumerate(zip(segment.steps, ranges, strict=True)):
        if first == last:
            continue
        if not step.weights.resident:
            parts.append(((index,), (first, last)))
        elif parts and not parts[-1][0]:
            parts[-1] = ((), (parts[-1][1][0], last))
        else:
            parts.append(((), (first, last)))
    return parts


def _address(array: Array) -> int:
    return int(array.__array_interface__["data"][0])
