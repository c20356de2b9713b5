"""A session with a device: its context and the programs built there. One for each device of a process."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Mapping
from weakref import WeakSet, WeakValueDictionary

import numpy as np

from cnnrt.errors import DeviceLostError
from cnnrt_backend_opencl.binary_cache import cached_binary, keep_binary, program_key
from cnnrt_backend_opencl.discovery import Found
from cnnrt_backend_opencl.driver import BOTH, Driver, Handle
from cnnrt_backend_opencl.failures import OpenCLFailure
from cnnrt_backend_opencl.limits import OpenCLDevice
from cnnrt_backend_opencl.sources import Defines, options_text

PROGRAMS_KEPT = 32
"""Programs, the latest built, that stay while nothing uses them: each new shape may need one of its own."""

_alive: WeakSet[Session] = WeakSet()


def only_session() -> Session | None:
    """Return the session that is in use in this process; None where there is none, or several are."""
    usable = [session for session in list(_alive) if session.usable]
    return usable[0] if len(usable) == 1 else None


class Session:
    """A context of a device. Once `lost`, everything in it is gone, and a new session takes its place.

    `worked`: something was computed in it, to the end. `units`: compute units of the device that it uses; None: all.
    """

    def __init__(self, driver: Driver, found: Found, units: int | None = None) -> None:
        """Make a context and try it. Raises an OpenCLFailure or DeviceLostError."""
        self.driver = driver
        self.device: OpenCLDevice = found.device
        self.units = units
        self._handle = found.handle if units is None else driver.part_of_device(found.handle, units)
        self.context: Handle = driver.context(self._handle)
        self.lost = False
        self.worked = False
        self._programs: WeakValueDictionary[tuple[str, str], Handle] = WeakValueDictionary()
        self._latest: deque[Handle] = deque(maxlen=PROGRAMS_KEPT)
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._try()
        _alive.add(self)

    @property
    def usable(self) -> bool:
        """Whether it was not lost, nor left behind in another process."""
        return not self.lost and self._process == os.getpid()

    def check(self) -> None:
        """Raise DeviceLostError where nothing of this session can be used any more."""
        if self.lost:
            raise DeviceLostError(f"{self.device.title}: its context was lost")
        if self._process != os.getpid():
            raise OpenCLFailure(forked(self.device.title))

    def _try(self) -> None:
        """Bring a number to the device and back: some drivers make a context for a device that is gone."""
        there, back = np.array([1602], np.int32), np.zeros(1, np.int32)
        queue = self.queue()
        buffer = self.driver.buffer(self.context, BOTH, there.nbytes)
        self.driver.write(queue, buffer, there)
        self.driver.read(queue, back, buffer)
        if back[0] != there[0]:
            raise DeviceLostError(f"{self.device.title}: what is written to it does not come back")

    def queue(self, *, timed: bool = False) -> Handle:
        """Return a new queue that works in order; `timed`: the device notes when it does what is in it."""
        return self.driver.queue(self.context, self._handle, timed=timed)

    def program(self, source: str, defines: Mapping[str, Defines]) -> Handle:
        """Return a source text built with these definitions: known, kept, or compiled now.

        Raises BuildFailure with the compiler's log.
        """
        options = options_text(defines)
        with self._lock:
            program = self._programs.get((source, options))
            if program is None:
                program = self._programs[source, options] = self._built(source, options)
                self._latest.append(program)
        return program

    def _built(self, text: str, options: str) -> Handle:
        key = program_key(text, options, self.device.identity, self.driver.version)
        binary = cached_binary(key)
        if binary is not None:
            try:
                return self.driver.load(self.context, self._handle, binary, options)
            except OpenCLFailure:
                pass  # a binary that this driver does not take is as good as none
        program = self.driver.build(self.context, self._handle, text, options)
        keep_binary(key, self.driver.binary(program))
        return program


def forked(title: str) -> str:
    """Return what to say in a forked child, where OpenCL's threads and contexts are not."""
    return (
        f"{title}: OpenCL was in use when this process was forked, and its drivers do not work in a forked child; "
        "start processes anew (multiprocessing's start method 'spawn')"
    )
