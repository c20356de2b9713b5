"""Pooling: windows are clipped to the image, then walked through; neighbouring channels fill vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.channel_vectors import lanes_for, pixel_launch
from cnnrt_backend_opencl.convolution import MOST_VALUES
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.kernel import Argument, Input, Launch, OpenCLKernel, Output
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines

if TYPE_CHECKING:
    from cnnrt_layers.pooling import Pooling


class WindowPooling(OpenCLKernel):
    """Maximum or mean."""

    layer = "Pooling"
    name = "windows"
    source = "pooling.cl"
    folds = ("ReLU",)

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline norms, places of maxima, windows with gaps, and what cannot be counted in 32 bits."""
        layer = cast("Pooling", call.layer)
        if layer.pool == "lp" or layer.mask:
            return "gives the maximum or the mean alone"
        if math.prod(call.inputs[0].shape) > MOST_VALUES:
            return "counts values in 32 bits"
        return layer.dilation == (1, 1) or "takes windows without gaps"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over the values of all windows, most of which are in the cache."""
        return pass_seconds(device, math.prod(call.inputs[0].shape) + call.cost.flops / 4)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return which pooling, the lanes of a vector, and what is folded in."""
        layer = cast("Pooling", call.layer)
        return {
            **folded_defines(call),
            "MEAN": int(layer.pool == "mean"),
            "COUNT_PADDING": int(layer.count_include_pad),
            "LANES": lanes_for(call.inputs[0].shape[1], device),
            "ALIGNED": int(not limits_of(device).shares_memory),
        }

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: vectors of channels × runs of columns × rows of all images."""
        run = pixel_launch(call, device)
        numbers = [
            number
            for axis in cast("Pooling", call.layer).windows(call.inputs[0].shape)
            for number in (axis.size, axis.count, axis.kernel, axis.stride, axis.before, axis.after)
        ]
        arguments: tuple[Argument, ...] = (Input(), Output(), run.rows, run.columns, call.inputs[0].shape[1], *numbers)
        return [Launch("windows", run.size, run.group, arguments)]
