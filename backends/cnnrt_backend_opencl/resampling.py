"""Images made larger or smaller: for each pixel of the output some of the input's, weighed; channels in vectors."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.channel_vectors import lanes_for, pixel_launch
from cnnrt_backend_opencl.convolution import MOST_VALUES
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.kernel import Argument, Input, Launch, OpenCLKernel, Output, Weight
from cnnrt_backend_opencl.sources import Defines

if TYPE_CHECKING:
    from cnnrt_layers.interp import Interp
    from cnnrt_layers.resampling import Taps
    from cnnrt_layers.resize import Resize

MOST_PIXELS = 2**16
"""Of a side of the output: so long are the tables."""


class Resample(OpenCLKernel):
    """Resize or Interp. Which pixels, and their weights, are tables: those that the layer's reference uses."""

    name = "taps"
    source = "resample.cl"

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline what cannot be counted in 32 bits, and images too long for tables."""
        if max(math.prod(t.shape) for t in (call.inputs[0], call.outputs[0])) > MOST_VALUES:
            return "counts values in 32 bits"
        longest = max(call.outputs[0].shape[2:])
        return longest <= MOST_PIXELS or f"makes up to {MOST_PIXELS} rows and columns, not {longest}"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over the input, and one over the output for each value that is weighed."""
        taps = max(1, call.cost.flops // max(1, 2 * math.prod(call.outputs[0].shape)))
        return pass_seconds(device, math.prod(call.inputs[0].shape) + (1 + taps) * math.prod(call.outputs[0].shape))

    def packing(self, call: LayerCall) -> Hashable:
        """Return the sizes that the tables are made for."""
        return call.inputs[0].shape[2:], call.outputs[0].shape[2:]

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of the tables."""
        return sum(8 * taps.places.size for taps in _along(call))

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return places and weights of rows, then of columns."""
        along = _along(call)
        return tuple(t for taps in along for t in (taps.places.astype(np.int32), taps.weights.astype(np.float32)))

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return how many pixels make one, and the lanes of a vector."""
        rows, columns = (len(taps.places) for taps in _along(call))
        return {"ROW_TAPS": rows, "COLUMN_TAPS": columns, "LANES": lanes_for(call.inputs[0].shape[1], device)}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: vectors of channels × runs of columns × rows of all images."""
        run = pixel_launch(call, device)
        sizes = (*call.inputs[0].shape[1:], *call.outputs[0].shape[2:])
        tables = (Weight(0), Weight(1), Weight(2), Weight(3))
        arguments: tuple[Argument, ...] = (Input(), Output(), *tables, run.rows, run.columns, *sizes)
        return [Launch("resample", run.size, run.group, arguments)]


def _along(call: LayerCall) -> tuple[Taps, Taps]:
    return cast("Resize | Interp", call.layer).taps(call.input_shapes)


RESAMPLING = (Resample("Resize"), Resample("Interp"))
