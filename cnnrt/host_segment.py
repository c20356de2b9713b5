"""Runs a segment of host kernels: steps bound once, then a plain loop.

Used by backends that compute in the process's own memory, and for layers that run by their reference.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import numpy as np

from cnnrt.backend import Frame, HostFunction, HostKernel, Segment, SlicesFunction, Step, StepTimer, Weights
from cnnrt.errors import CnnrtError, ParameterFileError


@attrs.frozen
class _BoundStep:
    """A step with its kernel's function, or the one for pieces of weights that do not stay; slots as in `Step`."""

    step: Step
    function: HostFunction
    in_pieces: SlicesFunction | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    weights: Weights
    workspace: int


class HostSegment:
    """A segment whose kernels are all `HostKernel`s; satisfies `cnnrt.backend.Runnable`.

    Floating-point warnings are off inside: infinities and NaN travel to the outputs as on any other processor.
    """

    def __init__(self, segment: Segment) -> None:
        """Bind every kernel to its call; CnnrtError names the layer and kernel where that fails."""
        self._steps = [_bound(step) for step in segment.steps]

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        """Compute every step on the frame's buffers; with a timer, report run and load time of each.

        Raises CnnrtError, with the cause chained, where a kernel fails: it names the layer and the kernel. A
        ParameterFileError, which names its file, comes through as it is.
        """
        with np.errstate(all="ignore"):
            if timer is None:
                self._run(frame)
            else:
                self._run_timed(frame, timer)

    def _run(self, frame: Frame) -> None:
        bound = None
        try:
            for bound in self._steps:
                if bound.in_pieces is not None:
                    _run_in_pieces(bound, bound.in_pieces, frame)
                    continue
                bound.function(
                    [frame[slot] for slot in bound.inputs],
                    [frame[slot] for slot in bound.outputs],
                    bound.weights.get(),
                    frame[bound.workspace],
                )
        except ParameterFileError:
            raise
        except Exception as error:
            if bound is None:
                raise
            raise _explained(bound.step, "failed", error) from error

    def _run_timed(self, frame: Frame, timer: StepTimer) -> None:
        for bound in self._steps:
            started = time.perf_counter()
            with _explaining(bound.step, "failed"):
                if bound.in_pieces is not None:
                    waited = _run_in_pieces(bound, bound.in_pieces, frame)
                else:
                    weights = bound.weights.get()
                    waited = time.perf_counter() - started
                    inputs = [frame[slot] for slot in bound.inputs]
                    outputs = [frame[slot] for slot in bound.outputs]
                    bound.function(inputs, outputs, weights, frame[bound.workspace])
            finished = time.perf_counter()
            timer.record(bound.step.layer_name, finished - started - waited, waited)


def _run_in_pieces(bound: _BoundStep, function: SlicesFunction, frame: Frame) -> float:
    """Compute a step as its weights come, and return the seconds that it waited for them."""
    inputs = [frame[slot] for slot in bound.inputs]
    outputs = [frame[slot] for slot in bound.outputs]
    waited = 0.0
    asked = time.perf_counter()
    for piece in bound.weights.pieces():
        waited += time.perf_counter() - asked
        function(inputs, outputs, piece.packed, frame[bound.workspace], piece.first, piece.last)
        asked = time.perf_counter()
    return waited


def _bound(step: Step) -> _BoundStep:
    if not isinstance(step.kernel, HostKernel):
        raise CnnrtError(
            f"layer {step.layer_name!r}: kernel {step.kernel.name!r} of backend {step.kernel.backend!r} is not a "
            f"HostKernel, so it cannot run in a host segment; derive it from cnnrt.backend.HostKernel"
        )
    with _explaining(step, "could not be prepared"):
        function = step.kernel.bind(step.call)
        in_pieces = None if step.weights.resident else step.kernel.bind_slices(step.call)
    return _BoundStep(step, function, in_pieces, step.inputs, step.outputs, step.weights, step.workspace)


@contextmanager
def _explaining(step: Step, what: str) -> Iterator[None]:
    try:
        yield
    except ParameterFileError:
        raise
    except Exception as error:
        raise _explained(step, what, error) from error


def _explained(step: Step, what: str, error: Exception) -> CnnrtError:
    """Return the error that a user sees: which layer and kernel, what happened there, what to do."""
    if isinstance(error, CnnrtError):
        return CnnrtError(f"layer {step.layer_name!r}: {error}")
    where = f"layer {step.layer_name!r}: kernel {step.kernel.name!r} of backend {step.kernel.backend!r} {what}"
    if isinstance(error, MemoryError):
        return CnnrtError(
            f"{where}: out of memory ({error or 'no details'}); use a smaller batch, or lower allocated_ram so that "
            f"fewer parameters stay in memory"
        )
    return CnnrtError(f"{where}: {type(error).__name__}: {error}; this is a fault of the kernel, not of the model")
