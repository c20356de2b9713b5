"""Networks as people deploy them, small: each with the operators and the wiring of its large original."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array
from onnx_suite.small_models import make_model, node


@attrs.define(eq=False)
class Body:
    """A network in the making: `current` is the value that the next node reads, with `channels` channels."""

    channels: int = 3
    current: str = "x"
    nodes: list[Any] = attrs.field(factory=list)
    weights: dict[str, Array] = attrs.field(factory=dict)
    random: Any = attrs.field(factory=lambda: np.random.default_rng(7))

    def weight(self, *shape: int, around: float = 0.0) -> str:
        name = f"w{len(self.weights)}"
        scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
        self.weights[name] = (around + scale * self.random.standard_normal(shape)).astype(np.float32)
        return name

    def op(self, kind: str, *inputs: str, **attributes: Any) -> Body:
        output = f"v{len(self.nodes)}"
        self.nodes.append(node(kind, list(inputs) or [self.current], [output], **attributes))
        self.current = output
        return self

    def conv(self, outputs: int, kernel: int, *, bias: bool = True, group: int = 1, **attributes: Any) -> Body:
        weights = [self.weight(outputs, self.channels // group, kernel, kernel)]
        weights += [self.weight(outputs)] if bias else []
        self.channels = outputs
        pads = [kernel // 2] * 4
        return self.op("Conv", self.current, *weights, group=group, pads=pads, **attributes)

    def norm(self) -> Body:
        terms = [self.weight(self.channels, around=1), self.weight(self.channels), self.weight(self.channels)]
        return self.op("BatchNormalization", self.current, *terms, self.weight(self.channels, around=1))

    def gemm(self, features: int, outputs: int) -> Body:
        return self.op("Gemm", self.current, self.weight(outputs, features), self.weight(outputs), transB=1)

    def model(self, opset: int = 17) -> Any:
        return make_model(self.nodes, self.weights, inputs={"x": ["batch", 3, 16, 16]}, opset=opset)


def alexnet() -> Any:
    """Convolutions in groups, normalisation across channels, pooling that rounds up, and a classifier with dropout."""
    body = Body().conv(8, 5, strides=[2, 2]).op("Relu").op("LRN", size=5)
    body.op("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    body.conv(12, 3, group=2).op("Relu").op("AveragePool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    body.op("Flatten").gemm(48, 20).op("Relu").op("Dropout").gemm(20, 5)
    return body.op("Softmax", axis=1).model()


def squeezenet() -> Any:
    """Two branches joined along the channels, and no fully connected layer."""
    body = Body().conv(8, 3, strides=[2, 2]).op("Relu")
    for _ in range(2):
        squeezed = body.conv(4, 1).op("Relu").current
        left = body.conv(6, 1).op("Relu").current
        body.current, body.channels = squeezed, 4
        right = body.conv(6, 3).op("Relu").current
        body.op("Concat", left, right, axis=1)
        body.channels = 12
    return body.conv(5, 1).op("GlobalAveragePool").op("Flatten").op("Softmax").model()


def mobilenet() -> Any:
    """Depthwise and pointwise convolutions, each with its normalisation."""
    body = Body().conv(8, 3, bias=False, strides=[2, 2]).norm().op("Relu")
    for outputs, stride in ((12, 1), (16, 2)):
        body.conv(body.channels, 3, bias=False, group=body.channels, strides=[stride] * 2).norm().op("Relu")
        body.conv(outputs, 1, bias=False).norm().op("Relu")
    return body.op("GlobalAveragePool").op("Flatten").gemm(16, 5).model()


def resnet() -> Any:
    """Sums of a branch and a shortcut, with a ReLU behind; the shortcut has a convolution where sizes change."""
    body = (
        Body().conv(8, 3, bias=False).norm().op("Relu").op("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    )
    for outputs, stride in ((8, 1), (12, 2)):
        start, channels = body.current, body.channels
        main = body.conv(outputs, 3, bias=False, strides=[stride] * 2).norm().op("Relu")
        main_value = main.conv(outputs, 3, bias=False).norm().current
        shortcut = start
        if stride > 1:
            body.current, body.channels = start, channels
            shortcut = body.conv(outputs, 1, bias=False, strides=[stride] * 2).norm().current
        body.op("Add", main_value, shortcut).op("Relu")
        body.channels = outputs
    return body.op("GlobalAveragePool").op("Flatten").gemm(12, 5).model()


NETWORKS = {each.__name__: each for each in (alexnet, squeezenet, mobilenet, resnet)}
