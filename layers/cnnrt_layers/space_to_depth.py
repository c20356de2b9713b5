"""SpaceToDepth: pixels become channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import ShapeError
from cnnrt.keys import choice, integer
from cnnrt.layer import Array, Shape, expect_rank, shape_text
from cnnrt_layers.rearrangement import Move, Rearrangement, split_axis


@attrs.frozen(kw_only=True)
class SpaceToDepth(Rearrangement):
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

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: every image by itself."""
        return True

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the pixels of a block, its rows and columns apart."""
        block = self.block
        channels, (height, width) = x.shape[1], results[0].shape[2:]
        pixels = split_axis(split_axis(x, 3, width, block), 2, height, block)
        if self.mode == "DCR":
            return [(split_axis(results[0], 1, block, block, channels), pixels.transpose(0, 3, 5, 1, 2, 4))]
        return [(split_axis(results[0], 1, channels, block, block), pixels.transpose(0, 1, 3, 5, 2, 4))]
