"""Whatever the network and the ceiling: no value is computed from bytes that belonged to another one.

The arena is poisoned while a network runs: before each step, every byte that nobody is going to read before it is
written again becomes NaN. A plan in which two values that are needed at one time overlap, a kernel that reads what it
should write, or a scratch memory that is believed to be zero gives other results than the layers' references.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnrt import Net
from cnnrt.backend import BufferSpec, Frame, Segment, StepTimer
from cnnrt.buffers import ALIGNMENT
from cnnrt.errors import MemoryCeilingError
from cnnrt.host_segment import HostSegment
from cnnrt.layer import Array
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing.offered import offered
from cnnrt_backend_sequential.backend import SequentialBackend
from core_suite.plain_evaluation import all_values
from core_suite.random_networks import IMAGE, RandomNetwork, networks
from core_suite.small_networks import images
from netfile_spec import write_model

NAN_BYTE = 0xFF
ITEMS = 3


class Poisoned:
    """A segment that runs step by step on an arena in which nothing survives that nobody needs."""

    def __init__(self, segment: Segment, buffers: Sequence[BufferSpec], seen: list[int]) -> None:
        self._steps = [HostSegment(Segment(segment.index, segment.device, (step,))) for step in segment.steps]
        self._slots = [slot for slot, spec in enumerate(buffers) if spec.offset is not None and spec.type.nbytes]
        self._buffers = buffers
        self._seen = seen
        self._dead = self._dead_before_each(segment)

    def _dead_before_each(self, segment: Segment) -> list[Array]:
        """Return, for each step, which bytes of the arena are written before they are read, if they are read at all."""
        end = max((self._range(slot).stop for slot in self._slots), default=0)
        needed = np.ones(end, bool)  # what comes after the segment is not known: it may read all of it
        dead = []
        for step in reversed(segment.steps):
            for slot in (*step.outputs, step.workspace):
                needed[self._range(slot)] = False
            for slot in step.inputs:
                needed[self._range(slot)] = True
            dead.append(~needed)
        return dead[::-1]

    def _range(self, slot: int) -> slice:
        spec = self._buffers[slot]
        return slice(0, 0) if spec.offset is None else slice(spec.offset, spec.offset + spec.type.nbytes)

    def run(self, frame: Frame, timer: StepTimer | None = None) -> None:
        arena = self._arena(frame)
        for step, dead in zip(self._steps, self._dead, strict=True):
            arena[: len(dead)][dead] = NAN_BYTE
            step.run(frame, timer)

    def _arena(self, frame: Frame) -> Array:
        slot = next((s for s in self._slots if frame[s].size), None)
        if slot is None:
            return np.empty(0, np.uint8)
        raw = frame[slot].base
        assert raw is not None
        start = frame[slot].ctypes.data - raw.ctypes.data - (self._buffers[slot].offset or 0)
        self._seen.append(raw.nbytes - ALIGNMENT)
        return np.asarray(raw[start:])


class PoisoningBackend(SequentialBackend):
    """The sequential backend on poisoned memory; `arenas` collects the sizes of those that it saw."""

    def __init__(self) -> None:
        self.arenas: list[int] = []

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> Poisoned:  # type: ignore[override]  # another Runnable
        return Poisoned(segment, buffers, self.arenas)


def host_with(backend: SequentialBackend) -> PluginHost:
    known = plugin_host()
    kernels = [k for k in known.kernels().values() if k.backend == "sequential"]
    return offered(layers=list(known.layers().values()), backends=[backend], kernels=kernels)


@given(networks(most_layers=14), st.floats(0.4, 1.2))
@settings(max_examples=40)
def test_random_networks_under_random_ceilings_compute_the_same_on_poisoned_memory(
    network: RandomNetwork, share: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_model(folder, network.netfile, network.parameters)
        free = Net(path, execution_mode="sequential")
        every = {block.name: images(ITEMS, *IMAGE, seed=i) for i, block in enumerate(free.graph.inputs)}
        given_images = {block.name: every[block.name] for block in free.graph.needed_inputs(network.wanted)}
        free.prepare({name: x.shape for name, x in given_images.items()}, network.wanted)
        expected = all_values(free.graph, every)
        ceiling = max(1, share * free.plan.memory.peak) / 2**20
        backend = PoisoningBackend()
        net = Net(path, execution_mode="sequential", allocated_ram=ceiling, plugins=host_with(backend))
        try:
            results = net.compute(given_images, outputs=network.wanted)
        except MemoryCeilingError:
            return
        memory = net.plan.memory
        assert memory.ceiling is not None
        assert memory.peak <= memory.ceiling
        assert all(arena <= memory.arena for arena in backend.arenas)
        for name in network.wanted:
            np.testing.assert_allclose(results[name], expected[name], rtol=1e-4, atol=1e-4)
