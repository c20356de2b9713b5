"""The backend: devices that run RenderScript kernels, the host in this process, others by runners."""

from __future__ import annotations

import platform
from collections.abc import Sequence

from cnnrt.backend import Backend, BufferSpec, Device, OwnMemory, Runnable, Segment
from cnnrt.errors import CnnrtError
from cnnrt.hardware import usable_cores
from cnnrt_backend_renderscript.compiler import Compiler, find_compiler
from cnnrt_backend_renderscript.host_processor import host_hardware, vector_bits
from cnnrt_backend_renderscript.runner_device import RunnerDevice, runner_devices
from cnnrt_backend_renderscript.script_kernel import VECTORS

ALIGNMENT = 64


class RenderScriptBackend(Backend):
    """Compiles scripts for a device and launches their kernels there. `checked`: with every access checked, for tests.

    `compiler`: another one than `find_compiler` gives; `cores`: other than those of the machine.
    """

    name = "renderscript"
    description = "CNNdroid's kind of kernels, compiled from RenderScript to code for processors"

    def __init__(self, *, checked: bool = False, compiler: Compiler | None = None, cores: int | None = None) -> None:
        self._checked = checked
        self._compiler = compiler
        self._cores = cores

    def devices(self) -> Sequence[Device]:
        """Return the host, then the devices of runners, each that cannot be used with the reason."""
        return [self._host(), *runner_devices(self.name)]

    def _host(self) -> Device:
        compiler = self._compiler or find_compiler()
        problem = compiler if isinstance(compiler, str) else ""
        if platform.system() == "Windows":
            problem = "the driver needs POSIX threads: Linux or macOS"
        details = {"architecture": platform.machine(), "threads used": str(self._threads(None))}
        details[VECTORS] = f"{vector_bits()} bits"
        if isinstance(compiler, Compiler):
            details["compiler"] = compiler.version
        return Device(self.name, "host", host_hardware().processor, problem, details, alone=True)

    def devices_beside(self) -> Sequence[Device]:
        """Return none: the host is the processor of other backends, which use it better."""
        return ()

    def own_memory(self, device: Device) -> OwnMemory | None:
        """Return that of runners, which are other processes; mostly of this machine, so it counts like this one's."""
        return OwnMemory(ALIGNMENT) if isinstance(device, RunnerDevice) else None

    def items_at_once(self, threads: int | None) -> int:
        """Return one item for each thread."""
        return self._threads(threads)

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> Runnable:
        """Return the segment with its scripts compiled. Raises CnnrtError where that fails."""
        device = segment.device
        if isinstance(device, RunnerDevice):
            from cnnrt_backend_renderscript.runner_segment import RunnerSegment

            if device.toolchain is None or device.transport is None:
                raise CnnrtError(f"{device.title} cannot be used: {device.problem}")
            return RunnerSegment(segment, buffers, threads, device.toolchain, device.transport, checked=self._checked)

        from cnnrt_backend_renderscript.host_segment import HostScriptSegment

        compiler = self._compiler or find_compiler()
        if isinstance(compiler, str):
            raise CnnrtError(compiler)
        return HostScriptSegment(segment, buffers, lambda: self._threads(threads), compiler, checked=self._checked)

    def _threads(self, threads: int | None) -> int:
        cores = self._cores or usable_cores()
        return cores if threads is None else min(threads, cores)
