"""From the plain layout of images to channels last and back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder
from cnnrt.tensor import PLAIN
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.kernel import CHANNELS_LAST, Input, Launch, OpenCLKernel, Output, flat_group, in_groups
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines

FEW = 8
"""Channels that a work-item walks through by itself."""


class Transpose(OpenCLKernel):
    """Moves values between the plain layout and NHWC: a transposed matrix for each image, tile by tile."""

    layer = Reorder.type
    name = "transpose"
    source = "transpose.cl"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True for these two layouts."""
        layouts = {call.inputs[0].layout, call.outputs[0].layout}
        if layouts != {PLAIN, CHANNELS_LAST}:
            return f"the layouts are {' and '.join(sorted(layouts))}"
        return True

    def takes(self, call: LayerCall) -> str:
        """Return the input's layout."""
        return call.inputs[0].layout

    def gives(self, call: LayerCall) -> str:
        """Return the output's layout."""
        return call.outputs[0].layout

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return two passes over the values."""
        return pass_seconds(device, 4 * math.prod(call.inputs[0].shape))

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the side of a tile."""
        return {"TILE": self._tile(device)}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: tiles of columns × tiles of rows × images; with few channels, pixels × images."""
        images, channels, height, width = call.inputs[0].shape
        if channels <= FEW:
            group = flat_group(limits_of(device), 256)
            numbers = (channels, height * width, int(call.inputs[0].layout == PLAIN))
            whole = (in_groups(height * width, group), images)
            return [Launch("walk", whole, (group, 1), (Input(), Output(), *numbers))]
        rows, columns = channels, height * width
        if call.inputs[0].layout == CHANNELS_LAST:
            rows, columns = columns, rows
        tile = self._tile(device)
        size = (in_groups(columns, tile), in_groups(rows, tile), images)
        return [Launch("transpose", size, (tile, tile, 1), (Input(), Output(), rows, columns))]

    def _tile(self, device: Device) -> int:
        limits = limits_of(device)
        side = 16
        while side > 1 and (side * side > limits.work_group or side > min(limits.work_items[:2])):
            side //= 2
        return side
