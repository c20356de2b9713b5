"""Convolution with a 1×1 kernel: one matrix product for each image and group, nothing unrolled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds, product_seconds
from cnnrt_backend_sequential.rectifier import FOLDS, folded_slope, needs_scratch, rectify_in_place, rows_at_once
from cnnrt_backend_sequential.workspace import Scratch
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry

BLOCK_BYTES = 4 * 1024 * 1024
"""Inputs and outputs of a block. Long rows are worth more here than the second-level cache: NumPy adds the bias to
whole images twice as fast as to a few hundred pixels of each channel."""


class PointwiseConvolution(HostKernel):
    """Multiplies the weights by a block of pixels where they lie; no workspace unless a leaky ReLU is folded."""

    layer = "Convolution"
    backend = "sequential"
    name = "pointwise"
    folds = FOLDS

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True for a 1×1 kernel with stride 1 and no padding."""
        g = convolution_geometry(call)
        if g.kernel != (1, 1):
            return f"the kernel is {g.kernel[0]}×{g.kernel[1]}, not 1×1"
        if g.stride != (1, 1):
            return "the stride is not 1"
        return not any((*g.before, *g.after)) or "the image is padded"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds for products, bias and ReLU."""
        g = convolution_geometry(call)
        columns = max(1, min(_block_pixels(g), g.pixels))
        blocks = g.images * g.groups * -(-g.pixels // columns)
        finish = passes_seconds(g.group_outputs * columns, 1 + len(call.folded), 2)
        return blocks * (product_seconds(g.group_outputs, g.depth, columns) + finish)

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the pixels of a block."""
        return {"pixels": _block_pixels(convolution_geometry(call))}

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes that a leaky ReLU needs for some rows of a block."""
        return _scratch(call).nbytes

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return (weights as (group, outputs, inputs), bias as (group, outputs, 1) or None)."""
        g = convolution_geometry(call)
        matrix = np.ascontiguousarray(weights["weight"], np.float32)
        bias = weights.get("bias")
        return (
            matrix.reshape(g.groups, g.group_outputs, g.group_inputs),
            None if bias is None else bias.reshape(g.groups, g.group_outputs, 1),
        )

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the loop over images, groups and blocks of pixels."""
        g = convolution_geometry(call)
        slope = folded_slope(call)
        scratch = _scratch(call)
        step = _block_pixels(g)
        blocks = [slice(start, min(start + step, g.pixels)) for start in range(0, g.pixels, step)]
        in_shape = (g.images, g.groups, g.group_inputs, g.pixels)
        out_shape = (g.images, g.groups, g.group_outputs, g.pixels)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            matrix, bias = weights
            x, y = inputs[0].reshape(in_shape), outputs[0].reshape(out_shape)
            spare = scratch.arrays(workspace)
            for image in range(g.images):
                for group in range(g.groups):
                    for block in blocks:
                        result = y[image, group, :, block]
                        np.matmul(matrix[group], x[image, group, :, block], out=result)
                        if bias is not None:
                            np.add(result, bias[group], out=result)
                        rectify_in_place(result, slope, spare[0][:, : result.shape[1]] if spare else None)

        return run


def _block_pixels(g: ConvolutionGeometry) -> int:
    fitting = max(1, BLOCK_BYTES // (4 * (g.group_inputs + g.group_outputs)))
    blocks = -(-g.pixels // fitting)
    return max(1, -(-g.pixels // max(1, blocks)))


def _scratch(call: LayerCall) -> Scratch:
    scratch = Scratch()
    if needs_scratch(folded_slope(call)):
        g = convolution_geometry(call)
        scratch.add(rows_at_once(g.group_outputs, _block_pixels(g)))
    return scratch
