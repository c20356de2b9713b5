"""Making a code image callable: a mapping that can be read and executed, and never be written at the same time.

Mappings stay for the life of the process: addresses are handed out, and nobody counts who still has one.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import platform
import sys
from contextlib import suppress
from typing import Any

from cnnrt_backend_threaded.code_image import PAGE

_READ, _WRITE, _EXECUTE = 1, 2, 4
_PRIVATE = 2
_ANONYMOUS = 0x1000 if sys.platform == "darwin" else 0x20
_FAILED = ctypes.c_void_p(-1).value


def map_file(descriptor: int, start: int, size: int) -> int | None:
    """Map part of an open file for execution and return its address; None where that cannot be done.

    That is: where `start` is no multiple of this system's pages, on file systems that are mounted without execution,
    and on systems other than Linux. The file must not be written to while it is mapped; replacing it is safe.
    """
    if not sys.platform.startswith("linux") or start % mmap.ALLOCATIONGRANULARITY:
        return None
    # Not Python's mmap, each of which holds a descriptor as long as it is there.
    address = _posix().mmap(None, size, _READ | _EXECUTE, _PRIVATE, descriptor, start)
    if address == _FAILED:
        return None
    _synchronise(address, size)
    return int(address)


def map_copy(code: bytes) -> int:
    """Copy code into memory of its own, make that executable, and return its address. Raises OSError."""
    size = -(-max(len(code), 1) // PAGE) * PAGE
    address = _windows_copy(code, size) if sys.platform == "win32" else _posix_copy(code, size)
    _synchronise(address, size)
    return address


def _posix_copy(code: bytes, size: int) -> int:
    libc = _posix()
    address = libc.mmap(None, size, _READ | _WRITE, _PRIVATE | _ANONYMOUS, -1, 0)
    if address == _FAILED:
        raise OSError(ctypes.get_errno(), "no memory for code")
    ctypes.memmove(address, code, len(code))
    if libc.mprotect(address, size, _READ | _EXECUTE):
        error = ctypes.get_errno()
        libc.munmap(address, size)
        raise OSError(error, f"memory cannot be made executable ({os.strerror(error)}); does a policy forbid it?")
    return int(address)


def _windows_copy(code: bytes, size: int) -> int:
    kernel: Any = _windows()
    commit_and_reserve, read_write, execute_read = 0x3000, 0x04, 0x20
    address = kernel.VirtualAlloc(None, size, commit_and_reserve, read_write)
    if not address:
        raise OSError("no memory for code")
    ctypes.memmove(address, code, len(code))
    before = ctypes.c_uint32()
    if not kernel.VirtualProtect(address, size, execute_read, ctypes.byref(before)):
        raise OSError("memory cannot be made executable; does a policy forbid it?")
    kernel.FlushInstructionCache(kernel.GetCurrentProcess(), address, size)
    return int(address)


def _synchronise(address: int, size: int) -> None:
    """Let instructions be fetched anew where the processor does not see to it: on Arm.

    Linux does so itself when a page is made executable; its compilers' function makes sure of it where it is there.
    """
    if platform.machine().lower() not in ("aarch64", "arm64") or sys.platform == "win32":
        return
    with suppress(OSError, AttributeError):
        if sys.platform == "darwin":
            ctypes.CDLL(None).sys_icache_invalidate(ctypes.c_void_p(address), ctypes.c_size_t(size))
        else:
            clear = ctypes.CDLL("libgcc_s.so.1")["__clear_cache"]
            clear(ctypes.c_void_p(address), ctypes.c_void_p(address + size))


@functools.cache
def _posix() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_ssize_t,
    ]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return libc


@functools.cache
def _windows() -> Any:
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined]
    kernel.VirtualAlloc.restype = ctypes.c_void_p
    kernel.VirtualAlloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_uint32]
    kernel.VirtualProtect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_void_p]
    kernel.GetCurrentProcess.restype = ctypes.c_void_p
    kernel.FlushInstructionCache.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
    return kernel
