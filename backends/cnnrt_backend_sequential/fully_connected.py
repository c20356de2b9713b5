"""Fully connected layers: one product of the inputs with the weights where they lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import MEMORY_BYTES, passes_seconds, product_seconds
from cnnrt_backend_sequential.rectifier import FOLDS, folded_slope, needs_scratch, rectify_in_place, rows_at_once
from cnnrt_backend_sequential.workspace import Scratch


class MatrixProduct(HostKernel):
    """Matrix-vector for a single image, bound by reading the weights once; matrix-matrix for several.

    No workspace unless a leaky ReLU is folded: then as much as some images' outputs.
    """

    layer = "FullyConnected"
    backend = "sequential"
    name = "product"
    folds = FOLDS

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of reading the weights from memory, and of the product where there are several images."""
        images, outputs, inputs = _sizes(call)
        read = 4.0 * outputs * inputs / MEMORY_BYTES
        product = product_seconds(images, inputs, outputs) if images > 1 else 0
        return read + product + passes_seconds(images * outputs, 2 * (1 + len(call.folded)), 2)

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes that a leaky ReLU needs for some images."""
        return _scratch(call).nbytes

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the product, bias and ReLU."""
        images, outputs_count, inputs_count = _sizes(call)
        slope = folded_slope(call)
        scratch = _scratch(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            weight, bias = weights["weight"], weights.get("bias")
            x = inputs[0].reshape(images, inputs_count)
            y = outputs[0].reshape(images, outputs_count)
            if images == 1:
                np.matmul(weight, x[0], out=y[0])
            else:
                np.matmul(x, weight.T, out=y)
            if bias is not None:
                np.add(y, bias, out=y)
            spare = scratch.arrays(workspace)
            rectify_in_place(y, slope, spare[0] if spare else None)

        return run


def _sizes(call: LayerCall) -> tuple[int, int, int]:
    """Return the images, outputs and inputs of the product."""
    outputs, inputs = call.weights["weight"].shape
    return math.prod(call.outputs[0].shape[:-1]), outputs, inputs


def _scratch(call: LayerCall) -> Scratch:
    scratch = Scratch()
    if needs_scratch(folded_slope(call)):
        images, outputs, _ = _sizes(call)
        scratch.add(rows_at_once(images, outputs))
    return scratch
