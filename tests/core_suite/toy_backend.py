"""A backend for tests: kernels for a few layers, by their references, in a layout of one's choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.backend import Backend, BufferSpec, Device, HostFunction, HostKernel, Packed, Runnable, Segment
from cnnrt.host_segment import HostSegment
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import logical_view, physical_shape
from cnnrt.tensor import PLAIN


class ToyKernel(HostKernel):
    """Computes a layer by its reference; inputs and outputs lie in `takes` and `gives`. Counts its calls."""

    def __init__(
        self,
        layer: str,
        *,
        takes: str = PLAIN,
        gives: str = PLAIN,
        name: str = "toy",
        backend: str = "toy",
        seconds: float = 1.0,
        folds: tuple[str, ...] = ("ReLU",),
        answer: bool | str = True,
        parts: bool | None = None,
    ) -> None:
        self.layer, self.name, self.backend = layer, name, backend  # type: ignore[misc]  # one class, many kernels
        self.folds = folds  # type: ignore[misc]
        self._takes, self._gives = takes, gives
        self.seconds, self.answer = seconds, answer
        self._parts = parts
        self.calls = 0

    def takes(self, call: LayerCall) -> str:
        return self._takes

    def gives(self, call: LayerCall) -> str:
        return self._gives

    def writes_part(self, call: LayerCall) -> bool:
        return super().writes_part(call) if self._parts is None else self._parts

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        return self.answer

    def estimate(self, call: LayerCall, device: Device) -> float:
        return self.seconds

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        return {"tile": 4}

    def bind(self, call: LayerCall) -> HostFunction:
        expected = [physical_shape(t) for t in (*call.inputs, *call.outputs)]

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            self.calls += 1
            assert [x.shape for x in (*inputs, *outputs)] == expected
            logical = [np.ascontiguousarray(logical_view(x, t)) for x, t in zip(inputs, call.inputs, strict=True)]
            for output, t, result in zip(outputs, call.outputs, call.reference(logical, weights), strict=True):
                logical_view(output, t)[...] = result

        return run


class ToyBackend(Backend):
    """One device (or those given), host memory."""

    name = "toy"
    description = "a backend for tests"

    def __init__(self, name: str = "toy", devices: Sequence[Device] | None = None) -> None:
        self.name = name  # type: ignore[misc]  # one class, many backends
        self._devices = [Device(name, "toy0", "a toy")] if devices is None else devices

    def devices(self) -> Sequence[Device]:
        return self._devices

    def compile(self, segment: Segment, buffers: Sequence[BufferSpec], threads: int | None) -> Runnable:
        return HostSegment(segment)
