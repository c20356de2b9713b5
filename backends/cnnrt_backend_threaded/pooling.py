"""Pooling: the windows of one row of outputs after the other, channels side by side in vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.native_kernel import NativeKernel, apply_folded
from cnnrt_backend_threaded.window_walk import Axis, channel_groups, meeting, over_positions

if TYPE_CHECKING:
    from cnnrt_layers.pooling import Pooling


class WindowPooling(NativeKernel):
    """Maximum or mean; a window is clipped to the image before it is walked through."""

    layer = "Pooling"
    name = "windows"
    folds = ("ReLU",)

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline norms, places of maxima, and windows with gaps."""
        layer = cast("Pooling", call.layer)
        if layer.pool == "lp" or layer.mask:
            return "gives the maximum or the mean alone"
        return layer.dilation == (1, 1) or "takes windows without gaps"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over the values of all windows."""
        return pass_seconds(self.machine, call.cost.flops // 4 + math.prod(call.inputs[0].shape))

    def units(self, call: LayerCall) -> int:
        """Return the rows of all output images."""
        images, channels, height, width = call.outputs[0].shape
        return images * height if channels and width else 0

    def emit(self, call: LayerCall, code: Code) -> None:
        """Go through the windows of a row, and in each through its positions."""
        layer = cast("Pooling", call.layer)
        _, channels, height, width = call.outputs[0].shape
        _, _, image_height, image_width = call.inputs[0].shape
        rows, columns = layer.windows(call.inputs[0].shape)
        along_rows = Axis(rows.size, rows.kernel, rows.stride, rows.before)
        along_columns = Axis(columns.size, columns.kernel, columns.stride, columns.before)
        images, out = code.argument(0), code.argument(1)
        mean = layer.pool == "mean"
        if mean:
            row_divisors, column_divisors = code.table(layer.divisors(rows)), code.table(layer.divisors(columns))

        with code.loop(code.first, code.last) as unit:
            image, i = code.split(unit, height)
            vertical = meeting(code, along_rows, i)
            source = code.at(images, code.mul(image, image_height * image_width * channels))
            with code.loop(0, width) as j:
                horizontal = meeting(code, along_columns, j)
                target = code.at(out, code.mul(code.add(code.mul(unit, width), j), channels))

                def group(first: Index, lanes: Sequence[int | None]) -> None:
                    def at(r: Index, s: Index, row: Index, column: Index, values: list[Value]) -> list[Value]:
                        pixel = code.mul(code.add(code.mul(row, image_width), column), channels)
                        place = code.add(pixel, first)
                        found = [code.load(source, code.add(place, v * code.lanes), n) for v, n in enumerate(lanes)]
                        if mean:
                            return [code.build.fadd(a, b) for a, b in zip(values, found, strict=True)]
                        return [code.maximum(a, b) for a, b in zip(values, found, strict=True)]

                    start = code.zero() if mean else code.constant(-math.inf)
                    values = over_positions(code, vertical, horizontal, (1, 1), [start] * len(lanes), at)
                    if mean:
                        area = code.build.fmul(code.load_value(row_divisors, i), code.load_value(column_divisors, j))
                        divisor = code.splat(area)
                        values = [code.build.fdiv(value, divisor) for value in values]
                    for v, (value, count) in enumerate(zip(values, lanes, strict=True)):
                        code.store(apply_folded(call, code, value), target, code.add(first, v * code.lanes), count)

                channel_groups(code, channels, group)
