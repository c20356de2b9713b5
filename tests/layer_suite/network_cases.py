"""Layers as real networks have them: large enough that kernels which work in blocks need several."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np

from cnnrt.layer import Layer, Shape
from cnnrt.testing.case import Case, make_case
from cnnrt_layers import (
    LRN,
    Accuracy,
    BatchNorm,
    Concat,
    Convolution,
    Deconvolution,
    Eltwise,
    FullyConnected,
    Pooling,
    ReLU,
    Softmax,
)


@attrs.frozen
class NetworkCase:
    """What a case is made of; the arrays, large ones among them, are made when they are needed."""

    layer: Layer
    input_shapes: tuple[Shape, ...]
    weight_shapes: Mapping[str, Shape] = attrs.field(factory=dict)
    folded: tuple[Layer, ...] = ()

    def make(self) -> Case:
        if isinstance(self.layer, Accuracy):
            (images, classes) = self.input_shapes[0]
            labels = np.random.default_rng(0).integers(0, classes, images)
            return make_case(self.layer, self.input_shapes, weights={"labels": labels}, seed=1)
        if isinstance(self.layer, BatchNorm):
            terms = np.random.default_rng(0).random((4, self.input_shapes[0][1]))
            weights = dict(zip(("mean", "variance", "scale", "shift"), terms, strict=True))
            return make_case(self.layer, self.input_shapes, weights=weights, seed=1, folded=self.folded)
        return make_case(self.layer, self.input_shapes, self.weight_shapes, seed=1, folded=self.folded)


RELU = (ReLU(),)


def convolution(
    layer: Convolution, input_shape: Shape, filters: int, kernel: int, folded: tuple[Layer, ...] = ()
) -> NetworkCase:
    weight_shapes = {"weight": (filters, input_shape[1] // layer.group, kernel, kernel), "bias": (filters,)}
    return NetworkCase(layer, (input_shape,), weight_shapes, folded)


def deconvolution(
    layer: Deconvolution, input_shape: Shape, filters: int, kernel: int, folded: tuple[Layer, ...] = ()
) -> NetworkCase:
    weight_shapes = {"weight": (input_shape[1], filters // layer.group, kernel, kernel), "bias": (filters,)}
    return NetworkCase(layer, (input_shape,), weight_shapes, folded)


def fully_connected(images: int, features: int, outputs: int) -> NetworkCase:
    weight_shapes = {"weight": (outputs, features), "bias": (outputs,)}
    return NetworkCase(FullyConnected(), ((images, features),), weight_shapes, RELU)


def without_weights(layer: Layer, *shapes: Shape) -> NetworkCase:
    return NetworkCase(layer, shapes)


NETWORK_CASES: Mapping[str, NetworkCase] = {
    "AlexNet conv1": convolution(Convolution(stride=4), (1, 3, 227, 227), 96, 11, RELU),
    "AlexNet conv2": convolution(Convolution(pad=2, group=2), (1, 96, 27, 27), 256, 5, RELU),
    "AlexNet conv3": convolution(Convolution(pad=1), (1, 256, 13, 13), 384, 3),
    "LeNet conv1": convolution(Convolution(), (20, 1, 28, 28), 20, 5),
    "LeNet conv2": convolution(Convolution(), (20, 20, 12, 12), 50, 5),
    "VGG conv1_2, a part": convolution(Convolution(pad=1), (1, 64, 75, 75), 64, 3, RELU),
    "NIN cccp1": convolution(Convolution(), (2, 96, 54, 54), 96, 1, RELU),
    "ResNet branch1": convolution(Convolution(stride=2), (1, 64, 56, 56), 128, 1),
    "MobileNet conv2_1/dw": convolution(Convolution(pad=1, group=32), (2, 32, 112, 112), 32, 3, RELU),
    "MobileNet conv2_2/dw": convolution(Convolution(pad=1, stride=2, group=64), (1, 64, 112, 112), 64, 3),
    "DeepLab fc6, a part": convolution(Convolution(pad=12, dilation=12), (1, 64, 41, 41), 32, 3),
    "DCGAN conv3": deconvolution(Deconvolution(stride=2, pad=1), (2, 128, 8, 8), 72, 4, RELU),
    "U-Net up": deconvolution(Deconvolution(stride=2), (1, 64, 27, 20), 40, 2),
    "style transfer up": deconvolution(Deconvolution(stride=2, pad=1, output_pad=1, group=2), (1, 64, 31, 33), 32, 3),
    "FCN upscore, a part": deconvolution(Deconvolution(stride=8), (1, 21, 9, 9), 21, 16),
    "dilated upsampling": deconvolution(Deconvolution(stride=(3, 2), dilation=2, pad=3), (1, 40, 20, 21), 20, 3),
    "bilinear upsampling": deconvolution(Deconvolution(stride=2, pad=1, group=70), (1, 70, 28, 28), 70, 4),
    "AlexNet pool1": without_weights(Pooling(kernel_size=3, stride=2), (2, 96, 55, 55)),
    "GoogLeNet pool1": without_weights(Pooling(kernel_size=3, stride=2), (1, 64, 112, 112)),
    "CIFAR-10 pool2": without_weights(Pooling(pool="ave", kernel_size=3, stride=2), (16, 32, 16, 16)),
    "inception pool": without_weights(Pooling(kernel_size=3, pad=1), (1, 192, 28, 28)),
    "GoogLeNet pool5": without_weights(Pooling(pool="ave", global_pooling=True), (4, 1024, 7, 7)),
    "AlexNet norm1": without_weights(LRN(alpha=1e-4), (2, 96, 55, 55)),
    "CIFAR-10 norm1": without_weights(LRN(local_size=3, alpha=5e-5, norm_region="within_channel"), (8, 32, 16, 16)),
    "LeNet ip1": fully_connected(64, 800, 500),
    "AlexNet fc8": fully_connected(1, 4096, 1000),
    "AlexNet relu1": without_weights(ReLU(), (2, 96, 55, 55)),
    "leaky ReLU": without_weights(ReLU(negative_slope=0.1), (2, 96, 55, 55)),
    "AlexNet prob": without_weights(Softmax(), (50, 1000)),
    "FCN prob": without_weights(Softmax(), (1, 21, 120, 160)),
    "inception concat": without_weights(Concat(), (2, 64, 28, 28), (2, 128, 28, 28), (2, 32, 28, 28)),
    "ResNet sum": NetworkCase(Eltwise(), ((2, 256, 56, 56),) * 2, folded=RELU),
    "DenseNet norm": NetworkCase(BatchNorm(), ((2, 256, 56, 56),), folded=RELU),
    "ImageNet accuracy": without_weights(Accuracy(topk=5), (64, 1000)),
}
