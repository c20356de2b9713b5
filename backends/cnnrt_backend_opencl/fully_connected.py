"""What all kernels of FullyConnected share: the order in which features lie in memory, and the sizes of a product."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device
from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import PLAIN
from cnnrt_backend_opencl.convolution import MOST_VALUES
from cnnrt_backend_opencl.folding import FOLDS
from cnnrt_backend_opencl.kernel import CHANNELS_LAST, OpenCLKernel
from cnnrt_layers.convolution_geometry import ConvolutionGeometry

if TYPE_CHECKING:
    from cnnrt_layers.fully_connected import FullyConnected


class FullyConnectedKernel(OpenCLKernel):
    """Base: images that are flattened as a whole come channels last, everything else plain."""

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
    return np.ascontiguousarray(in_order(call, weight), np.float32).reshape(len(weight), -1)


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
