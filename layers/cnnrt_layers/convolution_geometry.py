"""The sizes of one convolution call by the names that the kernels use."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import attrs

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
    before: tuple[int, int]
    after: tuple[int, int] = (0, 0)

    @property
    def pixels(self) -> int:
        """Pixels of an output image."""
        return self.output_size[0] * self.output_size[1]

    @property
    def inputs(self) -> int:
        """Channels of the input."""
        return self.groups * self.group_inputs

    @property
    def outputs(self) -> int:
        """Channels of the output."""
        return self.groups * self.group_outputs

    @property
    def depth(self) -> int:
        """Products summed for each output value."""
        return self.group_inputs * self.kernel[0] * self.kernel[1]

    @property
    def seen(self) -> tuple[int, int]:
        """The rows and columns from the first one that a window meets to the last one, padding included."""
        return self.reach(self.output_size[0], 0), self.reach(self.output_size[1], 1)

    @property
    def padded(self) -> bool:
        """Whether a window meets padding."""
        fits = all(self.seen[i] <= self.input_size[i] for i in (0, 1))
        return self.before != (0, 0) or not fits

    def reach(self, windows: int, axis: int) -> int:
        """Return the values along an axis that so many neighbouring windows meet."""
        return (windows - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis] + 1


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
        output_size=(call.outputs[0].shape[2], call.outputs[0].shape[3]),
        kernel=(kernel_rows, kernel_columns),
        stride=layer.stride,
        dilation=layer.dilation,
        before=(layer.pad[0], layer.pad[1]),
        after=(layer.pad[2], layer.pad[3]),
    )
