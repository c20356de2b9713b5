"""A backend for tests whose device has memory of its own, and counts what passes into it and out of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cnnrt.backend import BufferSpec, Device, Frame, OwnMemory, Runnable, Segment, StepTimer
from cnnrt.buffers import ALIGNMENT
from cnnrt.host_segment import HostSegment
from cnnrt.layouts import place_array
from core_suite.toy_backend import ToyBackend

NAN_BYTE = 0xFF


class ApartBackend(ToyBackend):
    """Computes as toys do, in an arena of its own. Each value that passes takes `latency` + its bytes / `rate` seconds.

    `passed`: the bytes of each array that came in or went out, in order, "in" and "out".
    """

    def __init__(self, name: str = "apart", *, latency: float = 0.0, rate: float = 1e30) -> None:
        super().__init__(name, [Device(name, f"{name}0", "a toy with memory of its own")])
        self.latency, self.rate = latency, rate
        self.passed: list[tuple[str, int]] = []

    def own_memory(self, device: Device) -> OwnMemory:
        return OwnMemory(ALIGNMENT)

    def transfer_seconds(self, device: Device, nbytes: int) -> float:
        return self.latency + nbytes / self.rate

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> Runnable:
        return ApartSegment(segment, buffers, self.passed)


class ApartSegment:
    """A segment that sees nothing of the frame but copies; what nobody wrote is NaN there."""

    def __init__(self, segment: Segment, buffers: Sequence[BufferSpec], passed: list[tuple[str, int]]) -> None:
        self._steps = HostSegment(segment)
        self._specs = buffers
        self._passed = passed
        slots = [(slot, step) for step in segment.steps for slot in (*step.inputs, *step.outputs, step.workspace)]
        self._own = {slot for slot, _ in slots if buffers[slot].private}
        self._shown = {slot: self._root(slot) for slot, _ in slots if not buffers[slot].private}
        written: set[int] = set()
        self._read: set[int] = set()
        for step in segment.steps:
            self._read.update({self._shown[slot] for slot in step.inputs if slot in self._shown} - written)
            written.update(self._shown[slot] for slot in step.outputs if slot in self._shown)
        self._written = sorted(written)

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        own = list(frame)
        arena = np.full(max((self._end(slot) for slot in self._own), default=0), NAN_BYTE, np.uint8)
        for slot in self._own:
            own[slot] = place_array(arena, self._specs[slot].type, self._specs[slot].offset or 0)
        copies = {}
        for root in {*self._read, *self._written}:
            copies[root] = np.full(frame[root].nbytes, NAN_BYTE, np.uint8)
            if root in self._read:
                copies[root][...] = frame[root].reshape(-1).view(np.uint8)
                self._passed.append(("in", frame[root].nbytes))
        for slot, root in self._shown.items():
            start = frame[slot].ctypes.data - frame[root].ctypes.data if frame[slot].size else 0
            own[slot] = place_array(copies[root], self._specs[slot].type, start)
        self._steps.run(own, timer)
        for root in self._written:
            frame[root].reshape(-1).view(np.uint8)[...] = copies[root]
            self._passed.append(("out", frame[root].nbytes))

    def _root(self, slot: int) -> int:
        root = self._specs[slot].root
        return slot if root is None else root

    def _end(self, slot: int) -> int:
        return (self._specs[slot].offset or 0) + self._specs[slot].type.nbytes
