"""The backend: every device of every OpenCL platform, and segments that run on one of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence

import attrs

from cnnrt.after_fork import renew_after_fork
from cnnrt.backend import Backend, BufferSpec, Device, Segment
from cnnrt.errors import PlacementError
from cnnrt_backend_opencl.discovery import ALIGNMENT, Found, find_devices, only_processors
from cnnrt_backend_opencl.driver import Driver
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.segment import OpenCLSegment
from cnnrt_backend_opencl.session import Session, forked


class OpenCLBackend(Backend):
    """Builds kernels for a device and runs them there. `driver`: another way to OpenCL than pyopencl."""

    name = "opencl"
    description = "graphics processors of any maker, and processors, by OpenCL 1.2"

    def __init__(self, driver: Driver | None = None) -> None:
        self._driver = driver or Driver()
        self._found: list[Found] | None = None
        self._looked_in = os.getpid()
        self._sessions: dict[str, Session] = {}
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make the lock anew, in a forked child; what was found before stays with the parent."""
        self._lock = threading.Lock()

    def own_memory(self, device: Device) -> int:
        """Return the alignment that suits all devices that are taken."""
        return ALIGNMENT

    def devices(self) -> Sequence[Device]:
        """Return the devices of all platforms, looked for once; processors last. In a forked child none can be used."""
        found = self._devices()
        if self._looked_in != os.getpid():
            return [attrs.evolve(f.device, problem=f.device.problem or forked(f.device.title)) for f in found]
        return [f.device for f in found]

    def devices_beside(self) -> Sequence[Device]:
        """Return the usable devices that are no processors: these compute by the other backends already."""
        if self._found is None and only_processors():
            return ()
        return [d for d in self.devices() if not d.problem and not limits_of(d).cpu]

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> OpenCLSegment:
        """Return the segment with all programs built. `threads` is the driver's affair."""
        return OpenCLSegment(segment, buffers, self.session(segment.device))

    def session(self, device: Device) -> Session:
        """Return the session with a device: a new one where there is none, or the last one was lost."""
        found = next((f for f in self._devices() if f.device == device), None)
        if found is None or found.handle is None:
            raise PlacementError(f"{device.title} is no device of OpenCL that is in sight")
        with self._lock:
            session = self._sessions.get(device.name)
            if session is None or session.lost:
                session = self._sessions[device.name] = Session(self._driver, found)
        session.check()
        return session

    def _devices(self) -> list[Found]:
        with self._lock:
            if self._found is None:
                self._looked_in = os.getpid()
                self._found = find_devices(self._driver)
            return self._found
