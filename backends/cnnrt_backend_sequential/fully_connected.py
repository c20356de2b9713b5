"""Fully connected layers: one product of the inputs with the weights where they lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed, SlicesFunction, StoredWeights
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.stored_weights import SomeRows
from cnnrt_backend_sequential.cost_model import MEMORY_BYTES, passes_seconds, product_seconds
from cnnrt_backend_sequential.rectifier import FOLDS, folded_slope, needs_scratch, rectify_in_place, rows_at_once
from cnnrt_backend_sequential.workspace import Scratch

BLOCK_BYTES = 4 << 20
"""Of the weights that one product reads: large enough for BLAS, small enough to be read in pieces."""
GROUP = 8
"""Outputs that BLAS computes side by side, or a multiple: what is left over it may add up in another order."""


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

    def slices(self, call: LayerCall) -> int:
        """Return the blocks of outputs."""
        return max(1, -(-_sizes(call)[1] // _block(call)))

    def slice_bytes(self, call: LayerCall) -> int:
        """Return the bytes of a block's weights."""
        _, outputs, inputs = _sizes(call)
        return 4 * min(_block(call), outputs) * (inputs + len(call.weights) - 1)

    def pack_slices(self, call: LayerCall, stored: StoredWeights, first: int, last: int) -> Packed:
        """Return the rows of some blocks."""
        block = _block(call)
        return self.pack(call, SomeRows(stored, first * block, last * block).load())

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the product, bias and ReLU."""
        in_slices, slices = self.bind_slices(call), self.slices(call)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            in_slices(inputs, outputs, weights, workspace, 0, slices)

        return run

    def bind_slices(self, call: LayerCall) -> SlicesFunction:
        """Return the same for some blocks of outputs, each a product of its own: BLAS adds up another way elsewhere."""
        images, outputs_count, inputs_count = _sizes(call)
        block = _block(call)
        slope = folded_slope(call)
        scratch = _scratch(call)

        def run(
            inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array, first: int, last: int
        ) -> None:
            weight, bias = weights["weight"], weights.get("bias")
            x = inputs[0].reshape(images, inputs_count)
            y = outputs[0].reshape(images, outputs_count)[:, first * block : last * block]
            for start in range(0, y.shape[1], block):
                own, part = weight[start : start + block], y[:, start : start + block]
                if images == 1:
                    np.matmul(own, x[0], out=part[0])
                else:
                    np.matmul(x, own.T, out=part)
            if bias is not None:
                np.add(y, bias, out=y)
            spare = scratch.arrays(workspace)
            rectify_in_place(y, slope, spare[0][:, : y.shape[1]] if spare else None)

        return run


def _block(call: LayerCall) -> int:
    """Return the outputs of a block: all where weights are few, else equally many in each, in groups if it can be."""
    _, outputs, inputs = _sizes(call)
    fewest = max(1, 4 * outputs * inputs // BLOCK_BYTES)
    if fewest == 1:
        return max(1, outputs)
    equal = (-(-outputs // blocks) for blocks in range(fewest, 4 * fewest))
    return next((each for each in equal if each % GROUP == 0), -(-outputs // fewest))


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
