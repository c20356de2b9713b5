"""LRN: across neighbouring channels, or neighbouring pixels of one channel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.convolution import MOST_VALUES
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.kernel import (
    Argument,
    Input,
    Launch,
    OpenCLKernel,
    Output,
    flat_group,
    in_groups,
    plane_group,
)
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines

if TYPE_CHECKING:
    from cnnrt_layers.lrn import LRN

QUARTERS = {0.75: 3, 0.5: 2}
"""Exponents that are computed by square roots."""
BLOCKS = (16, 96)
"""Channels of a work-item of a processor, the smaller one where they are as few."""
LARGEST = 64
"""Neighbourhood: its squares are an array of the work-item."""


class LocalNormalisation(OpenCLKernel):
    """Sums of squares, then square roots or a power."""

    layer = "LRN"
    name = "squares"
    source = "lrn.cl"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline huge neighbourhoods, and what cannot be counted in 32 bits."""
        if math.prod(call.inputs[0].shape) > MOST_VALUES:
            return "counts values in 32 bits"
        size = cast("LRN", call.layer).local_size
        return size <= LARGEST or f"takes neighbourhoods of up to {LARGEST}"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a few passes."""
        layer = cast("LRN", call.layer)
        reads = 1 if _across(layer) else layer.local_size**2
        return pass_seconds(device, (4 + reads) * math.prod(call.inputs[0].shape))

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the neighbourhood, and how the work is cut."""
        layer = cast("LRN", call.layer)
        lanes, block = self._cut(call, device)
        whole = int(call.inputs[0].shape[1] % lanes == 0)
        quarters = QUARTERS.get(layer.beta, 0)
        sizes: dict[str, Defines] = {"BLOCK": block, "SIZE": layer.local_size, "QUARTERS": quarters}
        aligned = int(not limits_of(device).shares_memory)
        return {**sizes, "LANES": lanes, "WHOLE": whole, "ALIGNED": aligned}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: blocks of channels, or channels, × pixels."""
        layer = cast("LRN", call.layer)
        images, channels, height, width = call.inputs[0].shape
        pixels = images * height * width
        across = _across(layer)
        items = -(-channels // self._cut(call, device)[1]) if across else channels
        neighbours = layer.local_size if across else layer.local_size**2
        formula = (layer.alpha / neighbours, layer.k if across else 1.0, layer.beta)
        size = () if across else (height, width)
        limits = limits_of(device)
        group = (flat_group(limits, max(1, min(64, items))), 1) if limits.cpu else plane_group(limits, items, pixels)
        arguments: tuple[Argument, ...] = (Input(), Output(), *(float(n) for n in formula), pixels, channels, *size)
        whole = (in_groups(items, group[0]), in_groups(pixels, group[1]))
        return [Launch("across" if across else "within", whole, group, arguments)]

    def _cut(self, call: LayerCall, device: Device) -> tuple[int, int]:
        """Return the lanes of a vector, and the channels of a work-item, a multiple of them."""
        if limits_of(device).cpu:
            return 8, BLOCKS[call.inputs[0].shape[1] > BLOCKS[0]]
        return 4, 4


def _across(layer: LRN) -> bool:
    return layer.norm_region == "across_channels"
