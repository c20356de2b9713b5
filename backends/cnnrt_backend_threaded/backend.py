"""The backend: one device, the processor, and segments that run on all cores."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from cnnrt.backend import Backend, BufferSpec, Device, Segment
from cnnrt.hardware import detect_hardware, usable_cores
from cnnrt_backend_threaded.target import Machine, host_machine

if TYPE_CHECKING:
    from cnnrt_backend_threaded.segment import ThreadedSegment


class ThreadedBackend(Backend):
    """Compiles layers to machine code and runs them on a team of threads. `machine`: another one than the host's."""

    name = "threaded"
    description = "all cores of the processor, in machine code made for it"
    reads_ahead = True

    def __init__(self, machine: Machine | None = None) -> None:
        self._machine = machine

    def devices(self) -> Sequence[Device]:
        """Return the processor; without llvmlite it cannot be used, and says so."""
        from cnnrt_backend_threaded.code_key import compiler_version  # here: asked of this backend alone

        processor = detect_hardware().processor
        try:
            if find_spec("llvmlite") is None:  # not imported: what was compiled earlier runs without it
                raise ImportError("it is not installed")
            target = (self._machine or host_machine()).target
        except ImportError as error:
            problem = f'llvmlite cannot be imported ({error}): pip install "cnnrt[threaded]"'
            return [Device(self.name, "cpu", processor, problem)]
        details = {
            "architecture": platform.machine(),
            "threads used": str(self._cores()),
            "vectors": f"{target.vector_bits} bits, {target.registers} registers",
            "code for": target.cpu,
            "compiler": f"llvmlite {compiler_version()}",
        }
        return [Device(self.name, "cpu", processor, details=details)]

    def items_at_once(self, threads: int | None) -> int:
        """Return one item for each thread."""
        return self._cores() if threads is None else min(threads, self._cores())

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> ThreadedSegment:
        """Return the segment in machine code, for as many threads as its kernels are made for.

        It runs on fewer where not so many cores can be used any more, unless the machine is another one than the host.
        """
        from cnnrt_backend_threaded.segment import ThreadedSegment

        return ThreadedSegment(segment, buffers, threads, follows_affinity=self._machine is None)

    def _cores(self) -> int:
        return self._machine.cores if self._machine else usable_cores()
