"""Softmax along the innermost axis, or along another one with vectors across the values behind it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer import Shape
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import physical_shape
from cnnrt.tensor import PLAIN
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.exponential import exponential
from cnnrt_backend_threaded.llvm import llvm
from cnnrt_backend_threaded.native_kernel import CHANNELS_LAST, NativeKernel

if TYPE_CHECKING:
    from cnnrt_layers.softmax import Softmax


class Exponentials(NativeKernel):
    """Three passes: the maximum, the exponentials with their sum, the quotients."""

    layer = "Softmax"
    name = "exponentials"

    def takes(self, call: LayerCall) -> str:
        """Return NHWC for the channels of images."""
        shape = call.inputs[0].shape
        return CHANNELS_LAST if len(shape) == 4 and cast("Softmax", call.layer).axis % 4 == 1 else PLAIN

    def gives(self, call: LayerCall) -> str:
        """Return the layout of the input."""
        return self.takes(call)

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return some passes over the values."""
        return pass_seconds(self.machine, 8 * math.prod(call.inputs[0].shape))

    def units(self, call: LayerCall) -> int:
        """Return the number of rows along the axis, or of planes with that axis."""
        before, _, behind = _sides(call)
        return before if behind else 0

    def emit(self, call: LayerCall, code: Code) -> None:
        """Compute one row or plane after the other."""
        _, length, behind = _sides(call)
        source, target = code.argument(0), code.argument(1)
        with code.loop(code.first, code.last) as unit:
            start = code.mul(unit, length * behind)
            if behind == 1:
                _row(code, code.at(source, start), code.at(target, start), length)
            else:
                _plane(code, code.at(source, start), code.at(target, start), length, behind)


def _sides(call: LayerCall) -> Shape:
    """Return how many values come before the axis, along it and behind it, as they lie in memory."""
    tensor = call.inputs[0]
    rank = len(tensor.shape)
    axis = cast("Softmax", call.layer).axis % rank
    if tensor.layout == CHANNELS_LAST:
        axis = 3  # only the channels are taken in this layout
    shape = physical_shape(tensor)
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def _row(code: Code, source: Value, target: Value, length: int) -> None:
    """Compute neighbouring values: whole vectors in loops, and the last part of one."""
    whole, tail = length - length % code.lanes, length % code.lanes
    lowest = code.constant(-math.inf)

    def most(place: Index, values: list[Value]) -> list[Value]:
        return [code.maximum(values[0], code.load(source, place))]

    (highest,) = code.accumulate(0, whole, [lowest], most, code.lanes)
    if tail:
        highest = code.maximum(highest, _only(code, code.load(source, whole, tail), tail, lowest))
    top = code.splat(code.largest(highest))

    def exponentials(place: Index, values: list[Value]) -> list[Value]:
        result = exponential(code, code.build.fsub(code.load(source, place), top))
        code.store(result, target, place)
        return [code.build.fadd(values[0], result)]

    (sums,) = code.accumulate(0, whole, [code.zero()], exponentials, code.lanes)
    if tail:
        result = exponential(code, code.build.fsub(code.load(source, whole, tail), top))
        code.store(result, target, whole, tail)
        sums = code.build.fadd(sums, _only(code, result, tail, code.zero()))
    total = code.splat(code.total(sums))

    with code.loop(0, whole, code.lanes) as place:
        code.store(code.build.fdiv(code.load(target, place), total), target, place)
    if tail:
        code.store(code.build.fdiv(code.load(target, whole, tail), total), target, whole, tail)


def _plane(code: Code, source: Value, target: Value, length: int, behind: int) -> None:
    """Compute all values behind the axis side by side."""

    def columns(first: Index, count: int | None) -> None:
        def most(k: Index, values: list[Value]) -> list[Value]:
            return [code.maximum(values[0], code.load(source, code.add(code.mul(k, behind), first), count))]

        (top,) = code.accumulate(0, length, [code.constant(-math.inf)], most)

        def exponentials(k: Index, values: list[Value]) -> list[Value]:
            place = code.add(code.mul(k, behind), first)
            result = exponential(code, code.build.fsub(code.load(source, place, count), top))
            code.store(result, target, place, count)
            return [code.build.fadd(values[0], result)]

        (total,) = code.accumulate(0, length, [code.zero()], exponentials)
        with code.loop(0, length) as k:
            place = code.add(code.mul(k, behind), first)
            code.store(code.build.fdiv(code.load(target, place, count), total), target, place, count)

    whole = behind - behind % code.lanes
    with code.loop(0, whole, code.lanes) as first:
        columns(first, None)
    if behind % code.lanes:
        columns(whole, behind % code.lanes)


def _only(code: Code, vector: Value, count: int, other: Value) -> Value:
    """Return the first lanes of a vector and the others of another one."""
    mask = llvm.ir.Constant(
        llvm.ir.VectorType(llvm.ir.IntType(1), code.lanes), [int(lane < count) for lane in range(code.lanes)]
    )
    return code.build.select(mask, vector, other)
