"""Kernels for tests of tuning and verification: toys that take their time, have variants, or lie."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cnnrt.backend import Device, HostFunction, Packed, Tunable, Tuning
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from core_suite.toy_backend import ToyKernel


class SleepyKernel(ToyKernel):
    """Takes `lasts` seconds, or what `lasts_by` says for its variant; expects `seconds`. Counts its bindings."""

    def __init__(
        self,
        layer: str,
        *,
        lasts: float = 0.0,
        lasts_by: Mapping[int, float] | None = None,
        **toy: Any,
    ) -> None:
        super().__init__(layer, **toy)
        self.lasts, self.lasts_by = lasts, dict(lasts_by or {})
        self.bound: list[LayerCall] = []

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        return self.tuning

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        return (Tunable("tile", tuple(self.lasts_by)),) if self.lasts_by else ()

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        return tuning.get("tile") != 13

    def bind(self, call: LayerCall) -> HostFunction:
        self.bound.append(call)
        compute = super().bind(call)
        lasts = self.lasts_by.get(int(self.tuning.get("tile", 0)), self.lasts)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            compute(inputs, outputs, weights, workspace)
            time.sleep(lasts)

        return run


class SlowlyMadeKernel(SleepyKernel):
    """Is compiled, which takes `making` seconds for each of its variants, once."""

    compiled = True

    def __init__(self, layer: str, making: float, **sleepy: Any) -> None:
        super().__init__(layer, **sleepy)
        self.making = making
        self.made: set[int | str] = set()

    def bind(self, call: LayerCall) -> HostFunction:
        variant = self.tuning.get("tile", 0)
        if variant not in self.made:
            time.sleep(self.making)
            self.made.add(variant)
        return super().bind(call)


class CompiledKernel(ToyKernel):
    """Says that it is compiled; `spoil` is done to its output after the right values are there. Counts its runs."""

    compiled = True

    def __init__(self, layer: str, spoil: Callable[[Array], None] = lambda output: None, **toy: Any) -> None:
        super().__init__(layer, **toy)
        self.spoil = spoil

    def bind(self, call: LayerCall) -> HostFunction:
        compute = super().bind(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            compute(inputs, outputs, weights, workspace)
            self.spoil(outputs[0])

        return run
