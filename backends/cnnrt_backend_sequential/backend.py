"""The backend: one device, the processor, and segments that run on one thread."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence

from cnnrt.backend import Backend, BufferSpec, Device, Frame, Segment, StepTimer
from cnnrt.blas_guard import one_blas_thread
from cnnrt.host_segment import HostSegment
from cnnrt_backend_sequential.processor import processor_name


class SequentialBackend(Backend):
    """Runs layers one after the other on the calling thread."""

    name = "sequential"
    description = "one thread of the processor"
    reads_ahead = True

    def devices(self) -> Sequence[Device]:
        """Return the processor."""
        details = {"architecture": platform.machine(), "cores": str(os.cpu_count() or 1), "threads used": "1"}
        return [Device(self.name, "cpu", processor_name(), details=details)]

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> SequentialSegment:
        """Return the segment bound to its kernels; `threads` changes nothing here."""
        return SequentialSegment(segment)


class SequentialSegment:
    """A segment that runs under the guard which keeps BLAS to one thread."""

    def __init__(self, segment: Segment) -> None:
        self._steps = HostSegment(segment)

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        """Compute every step; errors as in `HostSegment.run`."""
        with one_blas_thread:
            self._steps.run(frame, timer)
