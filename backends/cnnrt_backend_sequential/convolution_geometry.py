"""The sizes of one convolution call by the names that the kernels use."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import attrs

from cnnrt.layer import Shape
from cnnrt.layer_call import LayerCall

if TYPE_CHECKING:
    from cnnrt_layers.convolution import Convolution


@attrs.frozen
class ConvolutionGeometry:
    """Images and their sizes in pixels, channels in a group, and how the kernel moves; pairs are (rows, columns)."""

    images: int
    groups: int
    group_inputs: int
    group_outputs: int
    input_size: tuple[int, int]
    output_size: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    pad: tuple[int, int, int, int]

    @property
    def pixels(self) -> int:
        """Pixels of an output image."""
        return self.output_size[0] * self.output_size[1]

    @property
    def inner(self) -> int:
        """Products summed for each output value."""
        return self.group_inputs * self.kernel[0] * self.kernel[1]


def convolution_geometry(call: LayerCall) -> ConvolutionGeometry:
    """Return the sizes of a call of Convolution."""
    layer = cast("Convolution", call.layer)
    images, _, height, width = call.inputs[0].shape
    outputs, group_inputs, kernel_rows, kernel_columns = call.weights["weight"].shape
    return ConvolutionGeometry(
        images=images,
        groups=layer.group,
        group_inputs=group_inputs,
        group_outputs=outputs // layer.group,
        input_size=(height, width),
        output_size=_last_two(call.outputs[0].shape),
        kernel=(kernel_rows, kernel_columns),
        stride=layer.stride,
        dilation=layer.dilation,
        pad=layer.pad,
    )


def _last_two(shape: Shape) -> tuple[int, int]:
    return shape[-2], shape[-1]
