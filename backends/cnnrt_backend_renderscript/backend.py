"""The backend: devices that run RenderScript kernels. The host runs them in this process, on all cores."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnnrt.backend import Backend, BufferSpec, Device, Segment
from cnnrt.errors import CnnrtError
from cnnrt.hardware import detect_hardware
from cnnrt_backend_renderscript.compiler import Compiler, find_compiler

if TYPE_CHECKING:
    from cnnrt_backend_renderscript.host_segment import HostScriptSegment


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
        """Return the host; without a compiler, or where libraries cannot be loaded, it says so."""
        hardware = detect_hardware()
        compiler = self._compiler or find_compiler()
        problem = compiler if isinstance(compiler, str) else ""
        if platform.system() == "Windows":
            problem = "the driver needs POSIX threads: Linux or macOS"
        details = {"architecture": platform.machine(), "threads used": str(self._threads(None))}
        if isinstance(compiler, Compiler):
            details["compiler"] = compiler.version
        return [Device(self.name, "host", hardware.processor, problem, details, alone=True)]

    def devices_beside(self) -> Sequence[Device]:
        """Return none: the host is the processor of other backends, which use it better."""
        return ()

    def items_at_once(self, threads: int | None) -> int:
        """Return one item for each thread."""
        return self._threads(threads)

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> HostScriptSegment:
        """Return the segment with its scripts compiled. Raises CnnrtError where that fails."""
        from cnnrt_backend_renderscript.host_segment import HostScriptSegment

        compiler = self._compiler or find_compiler()
        if isinstance(compiler, str):
            raise CnnrtError(compiler)
        return HostScriptSegment(segment, buffers, self._threads(threads), compiler, checked=self._checked)

    def _threads(self, threads: int | None) -> int:
        cores = self._cores or detect_hardware().cores_usable
        return cores if threads is None else min(threads, cores)
