"""The driver in this process: `runtime/launch.c`, loaded once, and whose turn it is.

The driver has one launch at a time and one team of threads, so the calls of all Nets of a process take turns.
"""

from __future__ import annotations

import ctypes
import threading

from cnnrt.after_fork import renew_after_fork
from cnnrt.errors import CnnrtError
from cnnrt_backend_renderscript.compiler import Compiler
from cnnrt_backend_renderscript.exports import MOST_INPUTS
from cnnrt_backend_renderscript.library import driver_library, load_library

ERRORS = {
    1: "it has neither an input, nor an output, nor a range",
    2: "its inputs and its output have not the same dimensions",
    3: "nothing is left of its range",
}


class LaunchFailure(CnnrtError):
    """A launch that cannot be made; `number` is its place in the table."""

    def __init__(self, number: int, error: int) -> None:
        self.number = number
        super().__init__(f"launch {number} cannot be made: {ERRORS.get(error, f'error {error}')}")


class AllocationData(ctypes.Structure):
    """`struct rs_allocation_data`."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("dim_x", ctypes.c_uint32),
        ("dim_y", ctypes.c_uint32),
        ("dim_z", ctypes.c_uint32),
        ("cell_bytes", ctypes.c_uint32),
    )


class SetData(ctypes.Structure):
    """`struct rs_set`."""

    _fields_ = (("destination", ctypes.c_void_p), ("value", ctypes.c_void_p), ("bytes", ctypes.c_uint32))


class LaunchData(ctypes.Structure):
    """`struct rs_launch`."""

    _fields_ = (
        ("loop", ctypes.c_void_p),
        ("sets", ctypes.POINTER(SetData)),
        ("inputs", ctypes.c_void_p * MOST_INPUTS),
        ("output", ctypes.c_void_p),
        ("set_count", ctypes.c_uint32),
        ("in_count", ctypes.c_uint32),
        ("start", ctypes.c_uint32 * 3),
        ("end", ctypes.c_uint32 * 3),
    )


class HostDriver:
    """Runs tables of launches on threads."""

    def __init__(self, compiler: Compiler) -> None:
        self._library = load_library(driver_library(compiler), "driver")
        self._run = self._library.rs_run
        self._run.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p)
        self._turn = threading.Lock()
        renew_after_fork(self)

    def run(self, launches: ctypes.Array[LaunchData], first: int, last: int, threads: int) -> None:
        """Execute the launches from `first` to before `last`. Raises LaunchFailure for one that cannot be made."""
        failed = ctypes.c_uint32()
        start = ctypes.addressof(launches) + first * ctypes.sizeof(LaunchData)
        with self._turn:
            error = self._run(start, last - first, threads, ctypes.byref(failed))
        if error:
            raise LaunchFailure(first + failed.value, error)

    def after_fork(self) -> None:
        """Forget the parent's threads and who had the turn."""
        self._turn = threading.Lock()
        self._library.rs_forget_team()


_driver: dict[Compiler, HostDriver] = {}


def host_driver(compiler: Compiler) -> HostDriver:
    """Return the process's driver, built by this compiler if there is none yet."""
    if compiler not in _driver:
        _driver.setdefault(compiler, HostDriver(compiler))  # where two threads make one, the first one is used
    return _driver[compiler]
