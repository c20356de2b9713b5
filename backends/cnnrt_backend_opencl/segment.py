"""A compiled segment: launches bound to buffers, put into a queue one after another; the host waits once, at the end.

Values inside the segment lie in an arena on the device. What comes from the frame is uploaded before the first step,
what goes there is read after the last (`transfers.py`); where both share memory, nothing is copied. Weights that do not
stay pass through, piece by piece (`weight_passage.py`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NoReturn

import attrs

from cnnrt.backend import BufferSpec, Frame, Segment, Step, StepTimer, WeightPiece
from cnnrt.errors import CnnrtError, DeviceLostError, ParameterFileError
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.binding import Arena, BoundLaunch, bind_launches, root_slot, value_buffer
from cnnrt_backend_opencl.device_weights import DeviceWeights
from cnnrt_backend_opencl.driver import Handle
from cnnrt_backend_opencl.host_copies import HostCopies
from cnnrt_backend_opencl.kernel import Launch, OpenCLKernel
from cnnrt_backend_opencl.session import Session
from cnnrt_backend_opencl.slice_columns import SliceColumns
from cnnrt_backend_opencl.transfers import Outside, transfer_for
from cnnrt_backend_opencl.weight_passage import WeightPassage, weight_passage


@attrs.frozen
class _Compiled:
    """A step's launches, each with its program. `part`: the call of a slice, where weights pass in slices."""

    step: Step
    launches: tuple[tuple[Launch, Handle], ...]
    part: LayerCall | None


@attrs.frozen
class _Bound:
    """A step's launches. `columns`: where a slice leaves its outputs, and how they get to their place."""

    compiled: _Compiled
    launches: tuple[BoundLaunch, ...]
    columns: SliceColumns | None


@attrs.define
class _Call:
    """What one call at a time uses: queues, an arena, kernels whose arguments point into it, and ways in and out.

    `timed_queue`, made when it is asked for, tells when the device did what; telling costs a little.
    """

    queue: Handle
    timed_queue: Handle
    steps: tuple[_Bound, ...]
    outside: tuple[Outside, ...]
    arena: Arena
    passage: WeightPassage


class OpenCLSegment:
    """A segment whose kernels are all `OpenCLKernel`s; satisfies `cnnrt.backend.Runnable`.

    Programs are built when it is made.
    """

    def __init__(
        self,
        segment: Segment,
        buffers: Sequence[BufferSpec],
        session: Session,
        on_loss: Callable[[Session, DeviceLostError], None],
        threads: int | None = None,
    ) -> None:
        """Build every program; CnnrtError names the layer and kernel where that fails, with the compiler's log.

        `on_loss` is told before DeviceLostError is raised. `threads`: the most that copy between arrays of the host.
        """
        self._copies = HostCopies(threads)
        self._on_loss = on_loss
        self._session = session
        self._specs = buffers
        self._steps = [_compiled(step, session) for step in segment.steps]
        self._spare: list[_Call] = []
        self._read, self._written = _outside_slots(segment.steps, buffers)
        self._inside = _inside(segment.steps, buffers)

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        """Compute every step; returns when the outputs are there.

        A timer is told by the device's own clock how long each step took, from the end of the one before.
        Raises DeviceMemoryError (a MemoryError) and DeviceLostError; other failures name the layer and the kernel, but
        for ParameterFileError, which names its file.
        """
        self._begin(frame, timer)()

    def begin(self, frame: Frame) -> Callable[[], None]:
        """Upload what comes from the frame's arrays, and put all steps into a queue; return what waits and reads.

        Each call that is under way has a queue and an arena of its own. Both raise what `run` does.
        """
        return self._begin(frame, None)

    def _begin(self, frame: Frame, timer: StepTimer | None) -> Callable[[], None]:
        self._session.check()
        step: Step | None = None
        done: list[tuple[Step, list[Handle], float]] = []
        with self._telling_of_losses():
            try:
                call = self._spare.pop()
            except IndexError:
                call = self._new_call()
            queue = call.queue
            if timer:
                queue = call.timed_queue = call.timed_queue or self._session.queue(timed=True)
            arrays = {way.slot: frame[way.slot] for way in call.outside}
            try:
                at = {way.slot: way.enter(queue, arrays[way.slot]) for way in call.outside}
                for bound in call.steps:
                    step = bound.compiled.step
                    if step.weights.resident:
                        done.append((step, self._launch(queue, bound, at), 0.0))
                    else:
                        done.append((step, *self._launch_in_pieces(call, queue, bound, at)))
                self._session.driver.flush(queue)
            except BaseException as error:
                self._drain(call, queue)
                _raise_explained(step, error)

        def wait() -> None:
            with self._telling_of_losses():
                try:
                    for way in call.outside:
                        way.leave(queue, arrays[way.slot])
                    self._session.driver.finish(queue)
                    if timer:
                        self._tell(timer, done)
                except BaseException as error:
                    self._drain(call, queue)
                    _raise_explained(step, error)
            for way in call.outside:
                way.forget()
            self._session.worked = True
            self._spare.append(call)  # not after a failure: what is left in its queue is not known

        return wait

    @contextlib.contextmanager
    def _telling_of_losses(self) -> Iterator[None]:
        try:
            yield
        except DeviceLostError as error:
            self._on_loss(self._session, error)
            raise DeviceLostError(f"{self._session.device.title}: {error}") from error

    def _drain(self, call: _Call, queue: Handle) -> None:
        """After a failure: nothing may go on reading or writing memory that is given back now."""
        with contextlib.suppress(CnnrtError):
            self._session.driver.finish(queue)
        for way in call.outside:
            way.forget()

    def _tell(self, timer: StepTimer, done: Sequence[tuple[Step, list[Handle], float]]) -> None:
        before = None
        for step, events, loading in done:
            seconds = 0.0
            if events:
                begun, _ = self._session.driver.times(events[0])
                _, ended = self._session.driver.times(events[-1])
                seconds = max(0.0, ended - (begun if before is None else before) - loading)
                before = ended
            timer.record(step.layer_name, seconds, loading)

    def _launch(
        self, queue: Handle, bound: _Bound, at: Mapping[int, Handle], weights: Sequence[Handle] = ()
    ) -> list[Handle]:
        """Put a step's launches into the queue and return their events."""
        driver = self._session.driver
        events = []
        for b in bound.launches:
            for index, slot in b.outside:
                driver.set_argument(b.kernel, index, at[slot])
            for index, number in b.weights:
                driver.set_argument(b.kernel, index, weights[number])
            events.append(driver.launch(queue, b.kernel, b.launch.global_size, b.launch.local_size))
        return events

    def _launch_in_pieces(
        self, call: _Call, queue: Handle, bound: _Bound, at: Mapping[int, Handle]
    ) -> tuple[list[Handle], float]:
        """Launch a step as its weights come; return events, and the seconds that this waited for them to be read."""
        step = bound.compiled.step
        waited = 0.0
        all_events: list[Handle] = []
        asked = time.perf_counter()
        for piece in step.weights.pieces():
            waited += time.perf_counter() - asked
            slices = _arrays_of_slices(piece, bound.columns is not None)
            buffers = iter(call.passage.enter([array for arrays in slices for array in arrays]))
            events: list[Handle] = []
            for number, arrays in enumerate(slices, piece.first):
                events += self._launch(queue, bound, at, [next(buffers) for _ in arrays])
                if bound.columns is not None:
                    events.append(bound.columns.put(queue, at, number))
            self._session.driver.flush(queue)
            if events:
                call.passage.leave(events[-1])
            all_events += events
            asked = time.perf_counter()
        return all_events, waited

    def _new_call(self) -> _Call:
        session = self._session
        arena = Arena(session, self._inside)
        steps = tuple(self._bound(compiled, arena) for compiled in self._steps)
        outside = tuple(
            transfer_for(
                session, slot, self._specs[slot].type.nbytes, slot in self._read, slot in self._written, self._copies
            )
            for slot in sorted(self._read | self._written)
        )
        return _Call(session.queue(), None, steps, outside, arena, weight_passage(session))

    def _bound(self, compiled: _Compiled, arena: Arena) -> _Bound:
        session, step = self._session, compiled.step
        weights = self._weights(step) if step.weights.resident else None
        columns = None
        if compiled.part is not None:
            slot = step.outputs[0]
            output = value_buffer(slot, self._specs, arena) if self._specs[slot].private else None
            columns = SliceColumns(session, step.call, compiled.part, output, root_slot(slot, self._specs))
        result = columns.result if columns else None
        launches = bind_launches(session, step, compiled.launches, self._specs, arena, weights, result)
        return _Bound(compiled, launches, columns)

    def _weights(self, step: Step) -> tuple[Handle, ...]:
        packed = step.weights.get()
        held = packed if isinstance(packed, DeviceWeights) else DeviceWeights(packed)
        return held.on(self._session)


def _arrays_of_slices(piece: WeightPiece, sliced: bool) -> list[tuple[Array, ...]]:
    """Return the arrays of each slice of a piece, which lie side by side along a first axis; or those of the whole."""
    packed = piece.packed
    arrays: tuple[Array, ...] = tuple(packed.values()) if isinstance(packed, Mapping) else tuple(packed)
    if not sliced:
        return [arrays]
    return [tuple(a[i] for a in arrays) for i in range(piece.last - piece.first)]


def _outside_slots(steps: Sequence[Step], specs: Sequence[BufferSpec]) -> tuple[set[int], set[int]]:
    """Return the slots of the frame, roots instead of views, that steps read before any writes them, and those written.

    Of a value that is made of parts, all parts are written by one segment, or by none on a device.
    """
    read: set[int] = set()
    written: set[int] = set()
    for step in steps:
        read.update({root_slot(slot, specs) for slot in step.inputs if not specs[slot].private} - written)
        written.update(root_slot(slot, specs) for slot in step.outputs if not specs[slot].private)
    return read, written


def _inside(steps: Sequence[Step], specs: Sequence[BufferSpec]) -> set[tuple[int, int]]:
    """Return offsets and bytes of the values and workspaces that only these steps use."""
    used = {slot for step in steps for slot in (*step.inputs, *step.outputs, step.workspace)}
    return {(specs[slot].offset or 0, specs[slot].type.nbytes) for slot in used if specs[slot].private}


def _compiled(step: Step, session: Session) -> _Compiled:
    if not isinstance(step.kernel, OpenCLKernel):
        raise CnnrtError(
            f"layer {step.layer_name!r}: kernel {step.kernel.name!r} of backend {step.kernel.backend!r} is not an "
            f"OpenCLKernel, so it cannot run in a segment of OpenCL; derive it from OpenCLKernel"
        )
    kernel, call, part = step.kernel, step.call, None
    if not step.weights.resident and kernel.slices(call) > 1:
        kernel, part = kernel.of_slice(call)
        call = part
    try:
        launches = [launch for launch in kernel.launches(call, session.device) if not launch.empty]
    except Exception as error:
        raise _explained(step, "could not be prepared", error) from error
    return _Compiled(step, tuple((launch, _program(step, kernel, call, launch, session)) for launch in launches), part)


def _program(step: Step, kernel: OpenCLKernel, call: LayerCall, launch: Launch, session: Session) -> Handle:
    other = launch.program
    try:
        if other:
            return session.program(kernel.text(other), other.defines)
        return session.program(kernel.text(), kernel.defines(call, session.device))
    except (MemoryError, DeviceLostError):
        raise
    except Exception as error:
        source = other.source if other else kernel.source
        raise _explained(step, f"could not be built from {source}", error) from error


def _raise_explained(step: Step | None, error: BaseException) -> NoReturn:
    """Raise an error again, one of OpenCL's with the layer and the kernel."""
    if step is None or not isinstance(error, CnnrtError):
        raise error
    if isinstance(error, MemoryError | DeviceLostError | ParameterFileError):
        raise error
    raise _explained(step, "failed", error) from error


def _explained(step: Step, what: str, error: Exception) -> CnnrtError:
    told = str(error) if isinstance(error, CnnrtError) else f"{type(error).__name__}: {error}"
    return CnnrtError(
        f"layer {step.layer_name!r}: kernel {step.kernel.name!r} of backend {step.kernel.backend!r} {what}: {told}"
    )
