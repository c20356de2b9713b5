"""ChannelShuffle: the channels of groups are dealt out in turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import ShapeError
from cnnrt.keys import integer
from cnnrt.layer import Array, Shape, shape_text
from cnnrt_layers.moves import Moves


@attrs.frozen(kw_only=True)
class ChannelShuffle(Moves):
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

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Copy the values; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        order = [g * (x.shape[1] // self.group) + k for k in range(x.shape[1] // self.group) for g in range(self.group)]
        return (x[:, order],)
