"""The backend: every device of every OpenCL platform, and segments that run on one of them."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from cnnrt.after_fork import renew_after_fork
from cnnrt.backend import Backend, BufferSpec, Device, OwnMemory, Segment
from cnnrt.errors import CnnrtError, DeviceLostError, PlacementError
from cnnrt_backend_opencl.cost_model import passage_seconds
from cnnrt_backend_opencl.discovery import ALIGNMENT, Found, find_devices
from cnnrt_backend_opencl.driver import Driver
from cnnrt_backend_opencl.failures import OpenCLFailure
from cnnrt_backend_opencl.limits import STAGING, limits_of
from cnnrt_backend_opencl.session import Session, forked

if TYPE_CHECKING:
    from cnnrt_backend_opencl.segment import OpenCLSegment

DRIVERS_SHARE = 16
"""One part in so many of a device's memory is left to its driver, for programs and queues."""
PART_BYTES = 16 << 20
MOST_PARTS = 4
"""Of a batch whose values are copied to a device and back, while others are computed."""
MOST_LOSSES = 3
"""Times that a device may be lost without computing anything in between."""


class OpenCLBackend(Backend):
    """Builds kernels for a device and runs them there. `driver`: another way to OpenCL than pyopencl."""

    name = "opencl"
    description = "graphics processors of any maker, and processors, by OpenCL 1.2"
    reads_ahead = True

    def __init__(self, driver: Driver | None = None) -> None:
        self._driver = driver or Driver()
        self._found: list[Found] | None = None
        self._looked_in = os.getpid()
        self._sessions: dict[tuple[str, int | None], Session] = {}
        self._losses: Counter[str] = Counter()
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Make the lock anew, in a forked child; what was found before stays with the parent."""
        self._lock = threading.Lock()

    def own_memory(self, device: Device) -> OwnMemory:
        """Return the device's memory; the machine's own where both share it. The alignment suits all devices."""
        limits = limits_of(device)
        if limits.shares_memory:
            return OwnMemory(ALIGNMENT)
        usable = limits.memory_bytes - limits.memory_bytes // DRIVERS_SHARE
        return OwnMemory(ALIGNMENT, usable, limits.allocation_bytes, STAGING)

    def transfer_seconds(self, device: Device, nbytes: int) -> float:
        """Return the seconds of a copy through pinned memory; where memory is shared, those of mapping an array."""
        return passage_seconds(device, nbytes)

    def devices(self) -> Sequence[Device]:
        """Return the devices of all platforms, looked for once; processors last. In a forked child none can be used."""
        found = self._devices()
        if self._looked_in != os.getpid():
            return [attrs.evolve(f.device, problem=f.device.problem or forked(f.device.title)) for f in found]
        return [f.device for f in found]

    def devices_beside(self) -> Sequence[Device]:
        """Return the usable devices that are no processors: these compute by the other backends already."""
        if self._found is None and (not self._driver.installed or self._driver.only_processors):
            return ()
        return [d for d in self.devices() if not d.problem and not limits_of(d).cpu]

    def parts_to_overlap(self, device: Device, nbytes: int) -> int:
        """Return parts of at least `PART_BYTES`, a few: small parts leave a device's workers idle."""
        return 1 if limits_of(device).shares_memory else max(1, min(MOST_PARTS, nbytes // PART_BYTES))

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> OpenCLSegment:
        """Return the segment with all programs built. `threads`: those that copy, and compute units of a processor."""
        from cnnrt_backend_opencl.segment import OpenCLSegment  # here: devices are asked for by all, this by few

        session = self.session(segment.device, _units(segment.device, threads))
        try:
            return OpenCLSegment(segment, buffers, session, self._lost, threads)
        except DeviceLostError as error:
            self._lost(session, error)
            raise

    def thread_note(self, device: Device, threads: int | None) -> str:
        """Return how a processor keeps the limit of threads, or that it does not."""
        limits = limits_of(device)
        if not limits.cpu or threads is None or threads >= limits.compute_units:
            return ""
        if not limits.parts:
            return f"{device.title} takes as many threads as it likes: its driver gives no part of the processor"
        return f"{device.title} computes on {threads} of its {limits.compute_units} compute units"

    def session(self, device: Device, units: int | None = None) -> Session:
        """Return the session with a device, or with so many of its compute units, made at its first use.

        Raises DeviceLostError where the device cannot be used (any more), and an OpenCLFailure in a forked child.
        """
        found = next((f for f in self._devices() if f.device.name == device.name), None)
        if found is None:
            raise PlacementError(f"{device.title} is no device of OpenCL that is in sight")
        if self._looked_in != os.getpid():
            raise OpenCLFailure(forked(device.title))
        with self._lock:
            if (device.name, units) not in self._sessions and not found.device.problem:
                found = self._set_up(found, units, "it cannot be set up")
            session = self._sessions.get((device.name, units))
        if session is None:
            raise DeviceLostError(f"{device.title}: {found.device.problem}")
        session.check()
        return session

    def _lost(self, session: Session, error: DeviceLostError) -> None:
        """Set a device up anew, or, if that fails or nothing was computed on it for some losses, use it no more."""
        name = session.device.name
        with self._lock:
            session.lost = True
            if self._sessions.get((name, session.units)) is not session:
                return  # another thread was here before
            del self._sessions[name, session.units]
            self._losses[name] = 1 if session.worked else self._losses[name] + 1
            found = next(f for f in self._found or () if f.device.name == name)
            if self._losses[name] < MOST_LOSSES:
                self._set_up(found, session.units, "it was lost, and cannot be set up anew")
            else:
                self._give_up(found, f"it was lost {MOST_LOSSES} times, and nothing was computed in between: {error}")

    def _set_up(self, found: Found, units: int | None, otherwise: str) -> Found:
        """Make a session with a device; return the device, with a problem where that fails. The lock is held."""
        try:
            self._sessions[found.device.name, units] = Session(self._driver, found, units)
        except CnnrtError as error:
            return self._give_up(found, f"{otherwise}: {error}")
        return found

    def _give_up(self, found: Found, problem: str) -> Found:
        gone = attrs.evolve(found, device=attrs.evolve(found.device, problem=problem))
        self._found = [gone if f.device.name == found.device.name else f for f in self._found or ()]
        return gone

    def _devices(self) -> list[Found]:
        with self._lock:
            if self._found is None:
                self._looked_in = os.getpid()
                self._found = find_devices(self._driver)
            return self._found


def _units(device: Device, threads: int | None) -> int | None:
    """Return how many compute units of a processor so many threads may use; None: all, or there is no way to say so."""
    limits = limits_of(device)
    return threads if threads and limits.cpu and limits.parts and threads < limits.compute_units else None
