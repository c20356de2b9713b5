"""What all kernels of FullyConnected share: the order in which features lie in memory, and the sizes of a product."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import attrs
import numpy as np

from cnnrt.backend import Device, Packed, StoredWeights
from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.stored_weights import SomeRows
from cnnrt.tensor import PLAIN
from cnnrt_backend_opencl.convolution import MOST_VALUES
from cnnrt_backend_opencl.folding import FOLDS
from cnnrt_backend_opencl.half_weights import weight_bytes, weight_type
from cnnrt_backend_opencl.kernel import CHANNELS_LAST, OpenCLKernel
from cnnrt_layers.convolution_geometry import ConvolutionGeometry

if TYPE_CHECKING:
    from cnnrt_layers.fully_connected import FullyConnected


SLICE_BYTES = 2 << 20
"""Of weights that are read for each call: enough work for a launch, and little enough to be on the way twice."""


class FullyConnectedKernel(OpenCLKernel):
    """Base: images that are flattened as a whole come channels last, everything else plain.

    Weights fall into slices of equally many outputs, each of which is packed and computed as a call of its own.
    """

    layer = "FullyConnected"
    folds = FOLDS

    def takes(self, call: LayerCall) -> str:
        """Return NHWC where whole images are flattened."""
        return CHANNELS_LAST if image_of(call) else PLAIN

    def gives(self, call: LayerCall) -> str:
        """Return the plain layout."""
        return PLAIN

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline what cannot be counted in 32 bits."""
        values = (*call.inputs, *call.outputs, *call.weights.values())
        return all(math.prod(t.shape) <= MOST_VALUES for t in values) or "counts values in 32 bits"

    def outputs_together(self, call: LayerCall) -> int:
        """Return the outputs that are packed side by side: a slice is a multiple."""
        return 8

    def slices(self, call: LayerCall) -> int:
        """Return how many slices of about `SLICE_BYTES` the weights are."""
        return -(-call.weights["weight"].shape[0] // self._slice_outputs(call))

    def slice_bytes(self, call: LayerCall) -> int:
        """Return the bytes of a slice as it is packed."""
        kernel, part = self.of_slice(call)
        return kernel.packed_bytes(part)

    def packing_bytes(self, call: LayerCall, slices: int) -> int:
        """Return the bytes of a slice as it is stored, in order, and packed; or what the whole takes."""
        whole = super().packing_bytes(call, slices)
        _, part = self.of_slice(call)
        return whole if slices == self.slices(call) else min(whole, part.loaded_bytes + 2 * self.slice_bytes(call))

    def of_slice(self, call: LayerCall) -> tuple[OpenCLKernel, LayerCall]:
        """Return the kernel with its parameters fixed, so that it sums up as for the whole, and the call of a slice."""
        count = self._slice_outputs(call)
        weights = {name: attrs.evolve(t, shape=(count, *t.shape[1:])) for name, t in call.weights.items()}
        (output,) = call.outputs
        outputs = (attrs.evolve(output, shape=(*output.shape[:-1], count)),)
        return self.tuned(self.parameters(call)), attrs.evolve(call, weights=weights, outputs=outputs)

    def pack_slices(self, call: LayerCall, stored: StoredWeights, first: int, last: int) -> Packed:
        """Return the packed slices side by side along a first axis; the last is filled up with zeros."""
        kernel, part = self.of_slice(call)
        shapes = part.weight_shapes
        count = shapes["weight"][0]
        slices: tuple[Array, ...] = ()
        for number in range(first, last):
            rows = SomeRows(stored, number * count, (number + 1) * count).load()
            packed = kernel.pack(part, {name: _filled_up(array, shapes[name]) for name, array in rows.items()})
            slices = slices or tuple(np.empty((last - first, *array.shape), array.dtype) for array in packed)
            for whole, array in zip(slices, packed, strict=True):
                whole[number - first] = array
        return slices

    def _slice_outputs(self, call: LayerCall) -> int:
        outputs, features = call.weights["weight"].shape
        together = self.outputs_together(call)
        most = max(1, SLICE_BYTES // (weight_bytes(call, features) + 4) // together) * together
        if most >= outputs:
            return outputs
        slices = -(-outputs // most)
        return -(-outputs // (slices * together)) * together


def _filled_up(rows: Array, shape: Shape) -> Array:
    """Return rows of weights, with zeros behind the last up to a shape."""
    if rows.shape == shape:
        return rows
    filled = np.zeros(shape, np.float32)
    filled[: len(rows)] = rows
    return filled


def image_of(call: LayerCall) -> Shape:
    """Return (channels, rows, columns) of images that are flattened as a whole, channels last; else nothing."""
    shape = call.inputs[0].shape
    if call.layer.type != "FullyConnected" or len(shape) != 4:
        return ()
    return shape[1:] if cast("FullyConnected", call.layer).axis % 4 == 1 else ()


def in_order(call: LayerCall, weight: Array) -> Array:
    """Return a view of weights (outputs, ...) with the features in the order in which they lie in memory."""
    image = image_of(call)
    return weight.reshape(len(weight), *image).transpose(0, 2, 3, 1) if image else weight


def features_last(call: LayerCall, weight: Array) -> Array:
    """Return weights (outputs, features) with the features in the order in which they lie in memory."""
    return np.ascontiguousarray(in_order(call, weight), weight_type(call)).reshape(len(weight), -1)


def product_geometry(call: LayerCall) -> ConvolutionGeometry:
    """Return the product as a convolution of images of one pixel, whose channels are the features."""
    outputs, features = call.weights["weight"].shape
    return ConvolutionGeometry(
        images=math.prod(call.outputs[0].shape[:-1]),
        groups=1,
        group_inputs=features,
        group_outputs=outputs,
        input_size=(1, 1),
        output_size=(1, 1),
        kernel=(1, 1),
        stride=(1, 1),
        dilation=(1, 1),
        before=(0, 0),
    )
