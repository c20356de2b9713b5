"""Pooling: a work-item for each output value; neighbours have neighbouring channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Output, flat_group, in_groups
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines

if TYPE_CHECKING:
    from cnnrt_layers.pooling import Pooling


class WindowPooling(OpenCLKernel):
    """Maximum or mean; a window is clipped to the image before it is walked through."""

    layer = "Pooling"
    name = "windows"
    source = "pooling.cl"
    folds = ("ReLU",)

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline norms, places of maxima, and windows with gaps."""
        layer = cast("Pooling", call.layer)
        if layer.pool == "lp" or layer.mask:
            return "gives the maximum or the mean alone"
        return layer.dilation == (1, 1) or "takes windows without gaps"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over the values of all windows."""
        return pass_seconds(device, call.cost.flops)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return which pooling, and what is folded into it."""
        layer = cast("Pooling", call.layer)
        return {
            "MEAN": int(layer.pool == "mean"),
            "COUNT_PADDING": int(layer.count_include_pad),
            **folded_defines(call),
        }

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: output values of a row × rows of all images."""
        images, channels, height, width = call.outputs[0].shape
        rows, columns = cast("Pooling", call.layer).windows(call.inputs[0].shape)
        group = flat_group(limits_of(device))
        size = (in_groups(channels * width, group), height, images)
        numbers = [
            number
            for axis in (rows, columns)
            for number in (axis.size, axis.count, axis.kernel, axis.stride, axis.before, axis.after)
        ]
        return [Launch("pool", size, (group, 1, 1), (Input(), Output(), channels, *numbers))]
