"""The sizes of one convolution call, its images padded where a window meets padding; FullyConnected is a case of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import attrs

from cnnrt.backend import StoredWeights
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_renderscript.program import WORKSPACE, Globals, Launch, Operand, input_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry

if TYPE_CHECKING:
    from cnnrt_layers.fully_connected import FullyConnected


@attrs.frozen(kw_only=True)
class ReadGeometry(ConvolutionGeometry):
    """The sizes of a call, and how its images are read.

    `filled_depth`: values for each pixel and group in the padded copy, `group_inputs` of them real.
    """

    filled_depth: int

    @property
    def pixels(self) -> int:
        """Pixels of all output images."""
        return self.images * math.prod(self.output_size)

    @property
    def copied(self) -> bool:
        """Whether the kernel reads a padded copy: where a window meets padding, or channels are filled up."""
        return self.padded or self.filled_depth != self.group_inputs

    @property
    def read_size(self) -> tuple[int, int]:
        """Rows and columns of the images that the kernel reads."""
        return self.seen if self.copied else self.input_size

    @property
    def copy_values(self) -> int:
        """Values of the padded copy; 0 where there is none."""
        return self.images * math.prod(self.seen) * self.groups * self.filled_depth if self.copied else 0

    def source(self) -> Operand:
        """Return what the kernel reads."""
        return WORKSPACE if self.copied else input_of()

    def copy(self) -> list[Launch]:
        """Return the launch that makes the padded copy, if there is one."""
        if not self.copied:
            return []
        rows, columns = self.seen
        globals_: Globals = {
            "images": input_of(),
            "out": WORKSPACE,
            "rows": rows,
            "columns": columns,
            "image_rows": self.input_size[0],
            "image_columns": self.input_size[1],
            "top": self.before[0],
            "left": self.before[1],
            "groups": self.groups,
            "depth": self.group_inputs,
            "filled_depth": self.filled_depth,
        }
        return [Launch(Script("padding"), "pad", globals_, self.images * rows)]

    def steps(self) -> dict[str, int]:
        """Return the globals that say where the windows are."""
        _, columns = self.read_size
        pixel = self.groups * self.filled_depth
        return {
            "pixels": self.pixels,
            "image_pixels": math.prod(self.output_size),
            "row_pixels": self.output_size[1],
            "image_step": math.prod(self.read_size) * pixel,
            "row_step": self.stride[0] * columns * pixel,
            "column_step": self.stride[1] * pixel,
            "kernel_rows": self.kernel[0],
            "kernel_columns": self.kernel[1],
            "kernel_row_step": self.dilation[0] * columns * pixel,
            "kernel_column_step": self.dilation[1] * pixel,
            "depth": self.filled_depth,
            "group_outputs": self.group_outputs,
            "outputs": self.outputs,
        }


def read_geometry(call: LayerCall, fill: int = 1) -> ReadGeometry:
    """Return the sizes of a call of Convolution or FullyConnected; channels of a group are filled up to `fill`."""
    sizes = _product_geometry(call) if call.layer.type == "FullyConnected" else convolution_geometry(call)
    depth = -(-sizes.group_inputs // fill) * fill
    return ReadGeometry(**attrs.asdict(sizes, recurse=False), filled_depth=depth)


def _product_geometry(call: LayerCall) -> ConvolutionGeometry:
    """Return a matrix product as a convolution of images of one pixel."""
    outputs, features = call.weights["weight"].shape
    one = (1, 1)
    return ConvolutionGeometry(
        images=math.prod(call.outputs[0].shape[:-1]),
        groups=1,
        group_inputs=features,
        group_outputs=outputs,
        input_size=one,
        output_size=one,
        kernel=one,
        stride=one,
        dilation=one,
        before=(0, 0),
    )


def takes_images(call: LayerCall) -> bool:
    """Tell whether a FullyConnected reads the values of whole images channels last."""
    return len(call.inputs[0].shape) == 4 and cast("FullyConnected", call.layer).axis % 4 == 1


def weight_order(call: LayerCall) -> tuple[int, int]:
    """Return how a row of the weights, one output's, is stored: channels × positions, which are read channels last."""
    if call.layer.type == "FullyConnected":
        shape = call.inputs[0].shape
        return (shape[1], math.prod(shape[2:])) if takes_images(call) else (call.weights["weight"].shape[1], 1)
    shape = call.weights["weight"].shape
    return shape[1], math.prod(shape[2:])


def put_biases(place: Array, stored: StoredWeights, g: ReadGeometry) -> None:
    """Write each group's biases to the start of its part of `place`, where there are any."""
    if "bias" in stored.shapes:
        place.reshape(g.groups, -1)[:, : g.group_outputs] = stored.rows("bias", 0, g.outputs).reshape(g.groups, -1)
