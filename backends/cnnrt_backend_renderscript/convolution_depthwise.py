"""Depthwise convolution: see `kernels/depthwise.rs`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_renderscript.convolution_geometry import read_geometry
from cnnrt_backend_renderscript.cost_model import pass_seconds
from cnnrt_backend_renderscript.program import Globals, Launch, input_of, output_of, weight_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import FOLDS, ScriptKernel, activation, flat32


class DepthwiseConvolution(ScriptKernel):
    """Groups of one input and one output channel."""

    layer = "Convolution"
    name = "depthwise"
    folds = FOLDS

    def takes_call(self, call: LayerCall) -> bool | str:
        """Decline groups of several channels."""
        g = read_geometry(call)
        if (g.group_inputs, g.group_outputs) != (1, 1):
            return f"a group has {g.group_inputs} input and {g.group_outputs} output channels, not one of each"
        return True

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of reading the windows."""
        g = read_geometry(call)
        return pass_seconds(g.pixels * g.outputs * (1 + math.prod(g.kernel) / 2))

    def packed_values(self, call: LayerCall) -> Sequence[int]:
        """Return one kernel and bias for each channel."""
        g = read_geometry(call)
        return (g.outputs * (math.prod(g.kernel) + 1),)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return [kernel row, kernel column, channel] and biases in one array."""
        kernels = weights["weight"][:, 0].transpose(1, 2, 0)
        bias = weights.get("bias", np.zeros(kernels.shape[2], np.float32))
        return (flat32(np.concatenate([kernels.ravel(), bias.ravel()])),)

    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return the convolution."""
        g = read_geometry(call)
        globals_: Globals = {
            **activation(call),
            "images": input_of(),
            "weights": weight_of(),
            "out": output_of(),
            "channels": g.outputs,
            "image_rows": g.input_size[0],
            "image_columns": g.input_size[1],
            "rows": g.output_size[0],
            "columns": g.output_size[1],
            "kernel_rows": g.kernel[0],
            "kernel_columns": g.kernel[1],
            "stride_rows": g.stride[0],
            "stride_columns": g.stride[1],
            "dilation_rows": g.dilation[0],
            "dilation_columns": g.dilation[1],
            "top": g.before[0],
            "left": g.before[1],
        }
        return (Launch(Script("depthwise"), "convolve", globals_, g.pixels),) if g.pixels else ()
