"""SpaceToDepth: pixels become channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.keys import choice, integer
from cnnrt.layer import Array, Shape, expect_rank, shape_text
from cnnrt_layers.moves import Moves


@attrs.frozen(kw_only=True)
class SpaceToDepth(Moves):
    """Gathers blocks of pixels into groups of channels: the opposite of DepthToSpace.

    Input (N, C, H × block, W × block), output (N, C × block², H, W). With mode DCR (TensorFlow, ONNX) a channel's
    number is (place in the block) × C + (channel of the input), with CRD (PyTorch's pixel unshuffle) it is the other
    way round.
    """

    type = "SpaceToDepth"
    formula = """
        DCR:  y[n, (a * block + b) * C + c, i, j] = x[n, c, i * block + a, j * block + b]
        CRD:  y[n, c * block ** 2 + a * block + b, i, j] = x[n, c, i * block + a, j * block + b]
    """
    example = """
        layer {
          type: "SpaceToDepth"
          name: "focus"
          block: 2
        }
    """
    suite = "cnnrt_layers.conformance.suites:SpaceToDepthSuite"

    block: int = integer(doc="rows and columns of a block", minimum=1, unit="pixels")
    mode: str = choice("DCR", choices={"dcr": "DCR", "crd": "CRD"}, doc="order of the channels")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (N, C × block², H, W)."""
        expect_rank(inputs[0], 4)
        images, channels, height, width = inputs[0]
        if height % self.block or width % self.block:
            raise ShapeError(f"an image of {shape_text(inputs[0])} does not divide into blocks of {self.block} pixels")
        return ((images, channels * self.block**2, height // self.block, width // self.block),)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether blocks are single pixels."""
        return self.block == 1

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Copy the values; shapes and dtypes as in `Layer.reference`."""
        (x,) = inputs
        (shape,) = self.output_shapes([x.shape], {})
        images, _, height, width = shape
        apart = x.reshape(images, x.shape[1], height, self.block, width, self.block)
        order = (0, 3, 5, 1, 2, 4) if self.mode == "DCR" else (0, 1, 3, 5, 2, 4)
        return (np.array(apart.transpose(order), order="C").reshape(shape),)
