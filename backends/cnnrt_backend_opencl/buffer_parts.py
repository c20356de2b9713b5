"""A buffer of the device in parts, which OpenCL calls sub-buffers."""

from __future__ import annotations

from cnnrt_backend_opencl.driver import Driver, Handle


class BufferParts:
    """A buffer and those of its parts that were asked for; parts may overlap."""

    def __init__(self, driver: Driver, buffer: Handle) -> None:
        """`buffer`: None where it has no bytes."""
        self._driver = driver
        self._buffer = buffer
        self._parts: dict[tuple[int, int], Handle] = {}

    def __del__(self) -> None:
        """Let go of the parts, the last one first, and of the buffer then: NVIDIA's driver survives no other order."""
        parts = getattr(self, "_parts", {})  # not there where a subclass refused
        while parts:
            parts.popitem()

    def part(self, offset: int, nbytes: int) -> Handle:
        """Return some bytes of it as a buffer; None where they are none."""
        if nbytes == 0:
            return None
        if (offset, nbytes) not in self._parts:
            self._parts[offset, nbytes] = self._driver.part(self._buffer, offset, nbytes)
        return self._parts[offset, nbytes]
