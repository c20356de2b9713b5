"""What OpenCL refuses, as errors of cnnrt: those that more memory, another context or another kernel would mend apart.

`CL_OUT_OF_RESOURCES` is the end of a context: several drivers answer nothing else after it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cnnrt.errors import CnnrtError, DeviceLostError, DeviceMemoryError

P = ParamSpec("P")
T = TypeVar("T")

MEMORY = ("MEM_OBJECT_ALLOCATION_FAILURE", "OUT_OF_HOST_MEMORY", "INVALID_BUFFER_SIZE")
LOST = ("OUT_OF_RESOURCES", "DEVICE_NOT_AVAILABLE", "INVALID_COMMAND_QUEUE", "INVALID_CONTEXT", "INVALID_DEVICE")
LOST_CODES = (-9999,)
"""NVIDIA's for an illegal access, after which its context is dead."""
LOG_LENGTH = 4000


class OpenCLFailure(CnnrtError):
    """OpenCL refused a call: which, and with what code."""


class BuildFailure(OpenCLFailure):
    """A program that the device's compiler does not take; with its log."""

    def __init__(self, told: str) -> None:
        """`told`: by pyopencl, whose text has the log behind a line that ends in a colon, and the options behind it."""
        _, _, log = told.partition(":\n\n")
        text = (log or told).partition("\n(options:")[0].strip()
        super().__init__(text if len(text) <= LOG_LENGTH else f"{text[:LOG_LENGTH]} ...")


def failure_of(error: Exception, routine: str) -> CnnrtError:
    """Return what an error of pyopencl means."""
    text = f"{routine}: {error}"
    if any(name in text for name in MEMORY):
        return DeviceMemoryError(text)
    if any(name in text for name in LOST) or getattr(error, "code", 0) in LOST_CODES:
        return DeviceLostError(text)
    return OpenCLFailure(text)


def translated(routine: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Return a decorator that turns pyopencl's errors into ours, naming OpenCL's routine."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                if type(error).__module__.startswith("pyopencl"):
                    raise failure_of(error, routine) from error
                raise

        return called

    return decorate
