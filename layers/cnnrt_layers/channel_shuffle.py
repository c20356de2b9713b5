"""ChannelShuffle: the channels of groups are dealt out in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import ShapeError
from cnnrt.keys import integer
from cnnrt.layer import Array, Shape, shape_text
from cnnrt_layers.rearrangement import Move, Rearrangement, split_axis


@attrs.frozen(kw_only=True)
class ChannelShuffle(Rearrangement):
    """Lets the first channels of all groups come first, then the second ones, ... (ShuffleNet, Zhang et al., CVPR
    2018).

    Input and output (N, C, ...), of any rank from 2 on. Behind a convolution with groups it hands every group of the
    next one something of each.
    """

    type = "ChannelShuffle"
    formula = "y[n, k * group + g, ...] = x[n, g * C / group + k, ...]"
    example = """
        layer {
          type: "ChannelShuffle"
          name: "shuffle1"
          group: 3
        }
    """

    group: int = integer(doc="number of groups that the channels come in", minimum=1)

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        (shape,) = inputs
        if len(shape) < 2:
            raise ShapeError(f"expected input of shape (images, channels, ...), got {shape_text(shape)}")
        if shape[1] % self.group:
            raise ShapeError(f"group {self.group} does not divide the {shape[1]} channels of the input")
        return (shape,)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether there is one group, or one channel in each."""
        return self.group in (1, inputs[0][1])

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: every image by itself."""
        return True

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the groups' channels, taken in turn."""
        sizes = (self.group, x.shape[1] // self.group)
        return [(split_axis(results[0], 1, *sizes[::-1]), split_axis(x, 1, *sizes).swapaxes(1, 2))]
