"""Ways to OpenCL for tests: one that fails on purpose, devices apart from the host, and a device that is not there."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

import numpy as np

from cnnrt.layer import Array
from cnnrt_backend_opencl.driver import Driver, Handle
from cnnrt_backend_opencl.failures import BuildFailure, failure_of

CODES = {
    "OUT_OF_RESOURCES": -5,
    "OUT_OF_HOST_MEMORY": -6,
    "MEM_OBJECT_ALLOCATION_FAILURE": -4,
    "DEVICE_NOT_AVAILABLE": -2,
    "MAP_FAILURE": -12,
    "INVALID_WORK_GROUP_SIZE": -54,
    "an illegal access": -9999,
}
FAILING = ("build", "load", "kernel", "buffer", "buffer_of", "filled", "part", "launch", "mapped", "finish", "context")


class FaultyDriver(Driver):
    """The real one, of whose methods some fail: `fail("launch", "OUT_OF_RESOURCES")`."""

    def __init__(self) -> None:
        self.pending: list[tuple[str, str]] = []
        self.calls: Counter[str] = Counter()

    def fail(self, method: str, code: str, *, skipping: int = 0, times: int = 1) -> None:
        """Have the calls of a method fail: so many, after some that do not."""
        assert method in FAILING
        self.pending += [(method, "")] * skipping + [(method, code)] * times

    def _due(self, method: str) -> None:
        self.calls[method] += 1
        found = next((p for p in self.pending if p[0] == method), None)
        if found is None:
            return
        self.pending.remove(found)
        if found[1] in CODES:
            import pyopencl

            kinds: Any = pyopencl
            kind = kinds.MemoryError if "MEM" in found[1] else kinds.RuntimeError
            raise failure_of(kind(pyopencl._cl._ErrorRecord("cl", CODES[found[1]], method)), method)
        if found[1]:
            raise BuildFailure(found[1])


def _failing(name: str) -> Callable[..., Any]:
    original = getattr(Driver, name)

    def method(self: FaultyDriver, *args: Any, **kwargs: Any) -> Any:
        self._due(name)
        return original(self, *args, **kwargs)

    return method


for _name in FAILING:
    setattr(FaultyDriver, _name, _failing(_name))


class Posing:
    """A device that says some things of itself that are not so."""

    def __init__(self, real: Handle, said: Mapping[str, Any]) -> None:
        self.real = real
        self.__dict__.update(said)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class PosingDriver(Driver):
    """The driver of such devices, so that what is made for graphics processors can be tested on a processor."""

    said: Mapping[str, Any]

    def devices(self, platform: Handle) -> list[Handle]:
        return [Posing(device, self.said) for device in super().devices(platform)]

    def part_of_device(self, device: Handle, units: int) -> Handle:
        return Posing(super().part_of_device(device.real, units), self.said)

    def context(self, device: Handle) -> Handle:
        return super().context(device.real)

    def queue(self, context: Handle, device: Handle, *, timed: bool = False) -> Handle:
        return super().queue(context, device.real, timed=timed)

    def build(self, context: Handle, device: Handle, source: str, options: str) -> Handle:
        return super().build(context, device.real, source, options)

    def load(self, context: Handle, device: Handle, binary: bytes, options: str) -> Handle:
        return super().load(context, device.real, binary, options)


class ApartDriver(PosingDriver):
    """Its devices share no memory with the host."""

    said: Mapping[str, Any] = {"host_unified_memory": False}


class GraphicsCardDriver(PosingDriver):
    """Its devices are no processors: kernels cut their work as for a graphics card."""

    said: Mapping[str, Any] = {"type": 4}  # CL_DEVICE_TYPE_GPU


class CardDriver(PosingDriver):
    """Its devices are graphics cards with memory of their own."""

    said: Mapping[str, Any] = {"type": 4, "host_unified_memory": False}

    @property
    def only_processors(self) -> bool:
        return False


class Thing:
    """Something of the stub's that is alive until its last reference goes."""

    def __init__(self, alive: Counter[str], kind: str, **facts: Any) -> None:
        self.__dict__.update(facts)
        self._alive, self._kind = alive, kind
        alive[kind] += 1

    def __del__(self) -> None:
        self._alive[self._kind] -= 1


class StubDriver(Driver):
    """A graphics processor that is not there: memory is NumPy's, and its only function is that of elementwise.cl, ReLU.

    `alive` counts contexts, queues, programs, kernels and buffers; `orphans` parts whose buffer went before them.
    """

    def __init__(self, *, shares_memory: bool = False, largest_buffer: int = 1 << 30) -> None:
        self.alive: Counter[str] = Counter()
        self.launched = 0
        self.orphans = 0
        self._parts: WeakKeyDictionary[Thing, WeakSet[Thing]] = WeakKeyDictionary()
        self._facts: dict[str, Any] = {
            "name": "Stub 9000",
            "version": "OpenCL 1.2 stub",
            "driver_version": "1",
            "available": True,
            "compiler_available": True,
            "max_work_group_size": 256,
            "max_work_item_sizes": [256, 256, 64],
            "local_mem_size": 32 << 10,
            "local_mem_type": 1,
            "max_mem_alloc_size": largest_buffer,
            "global_mem_size": 1 << 32,
            "max_compute_units": 4,
            "preferred_vector_width_float": 1,
            "host_unified_memory": shares_memory,
            "extensions": "",
            "mem_base_addr_align": 1024,
            "type": 4,
        }

    installed = True
    only_processors = False
    version = "stub"

    def platforms(self) -> list[Handle]:
        return [SimpleNamespace(name="Stub platform", version="OpenCL 1.2")]

    def devices(self, platform: Handle) -> list[Handle]:
        return [SimpleNamespace(**self._facts)]

    def context(self, device: Handle) -> Handle:
        return Thing(self.alive, "context")

    def queue(self, context: Handle, device: Handle, *, timed: bool = False) -> Handle:
        return Thing(self.alive, "queue", context=context)

    def build(self, context: Handle, device: Handle, source: str, options: str) -> Handle:
        return Thing(self.alive, "program", context=context)

    def load(self, context: Handle, device: Handle, binary: bytes, options: str) -> Handle:
        return Thing(self.alive, "program", context=context)

    def binary(self, program: Handle) -> bytes:
        return b"stub"

    def kernel(self, program: Handle, function: str) -> Handle:
        return Thing(self.alive, "kernel", function=function, arguments={}, program=program)

    def set_argument(self, kernel: Handle, index: int, value: Any) -> None:
        kernel.arguments[index] = value.memory if isinstance(value, Thing) else value  # it keeps no buffer alive

    def buffer(self, context: Handle, access: str, nbytes: int) -> Handle:
        return self._memory(np.full(nbytes, 0xFF, np.uint8))

    def buffer_of(self, context: Handle, access: str, array: Array) -> Handle:
        return self._memory(array.reshape(-1).view(np.uint8))

    def staging(self, context: Handle, nbytes: int) -> Handle:
        return self.buffer(context, "both", nbytes)

    def filled(self, context: Handle, array: Array) -> Handle:
        return self._memory(array.reshape(-1).view(np.uint8).copy())

    def part(self, buffer: Handle, offset: int, nbytes: int) -> Handle:
        assert offset % 128 == 0
        assert offset + nbytes <= buffer.memory.size
        part = self._memory(buffer.memory[offset : offset + nbytes])
        self._parts.setdefault(buffer, WeakSet()).add(part)
        weakref.finalize(buffer, self._look_for_orphans, self._parts[buffer])
        return part

    def _look_for_orphans(self, parts: WeakSet[Thing]) -> None:
        self.orphans += len(parts)

    def launch(self, queue: Handle, kernel: Handle, global_size: Any, local_size: Any) -> Handle:
        assert kernel.function == "elementwise"
        source, target, count, _ = (kernel.arguments[i] for i in range(4))
        values = source.view(np.float32)[:count]
        np.maximum(values, 0, out=target.view(np.float32)[:count])
        self.launched += 1
        return Thing(self.alive, "event")

    def mapped(self, queue: Handle, buffer: Handle, array: Array, *, writing: bool = False) -> Array:
        view: Array = buffer.memory.view(array.dtype)[: array.size].reshape(array.shape)
        return view

    def unmap(self, queue: Handle, view: Array) -> None:
        pass

    def write(self, queue: Handle, buffer: Handle, array: Array, offset: int = 0, *, wait: bool = True) -> Handle:
        raw = array.reshape(-1).view(np.uint8)
        buffer.memory[offset : offset + raw.size] = raw
        return Thing(self.alive, "event")

    def read(self, queue: Handle, array: Array, buffer: Handle, offset: int = 0, *, wait: bool = True) -> Handle:
        raw = array.reshape(-1).view(np.uint8)
        raw[...] = buffer.memory[offset : offset + raw.size]
        return Thing(self.alive, "event")

    def wait(self, event: Handle) -> None:
        assert isinstance(event, Thing)

    def flush(self, queue: Handle) -> None:
        assert isinstance(queue, Thing)

    def finish(self, queue: Handle) -> None:
        assert isinstance(queue, Thing)

    def still_alive(self) -> dict[str, int]:
        """Return what is alive, of each kind."""
        gc.collect()
        return {kind: count for kind, count in self.alive.items() if count}

    def _memory(self, memory: Array) -> Handle:
        return Thing(self.alive, "buffer", memory=memory)
