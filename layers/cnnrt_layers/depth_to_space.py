"""DepthToSpace: channels become pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cnnrt.errors import ShapeError
from cnnrt.keys import choice, integer
from cnnrt.layer import Array, Shape, expect_rank
from cnnrt_layers.rearrangement import Move, Rearrangement, split_axis


@attrs.frozen(kw_only=True)
class DepthToSpace(Rearrangement):
    """Spreads groups of channels over blocks of pixels (pixel shuffle: Shi et al., CVPR 2016).

    Input (N, C × block², H, W), output (N, C, H × block, W × block). With mode DCR (depth, column, row; TensorFlow) a
    channel's number is (place in the block) × C + (channel of the output), with CRD (PyTorch) it is the other way
    round.
    """

    type = "DepthToSpace"
    formula = """
        DCR:  y[n, c, i * block + a, j * block + b] = x[n, (a * block + b) * C + c, i, j]
        CRD:  y[n, c, i * block + a, j * block + b] = x[n, c * block ** 2 + a * block + b, i, j]
    """
    example = """
        layer {
          type: "DepthToSpace"
          name: "shuffle"
          block: 2
          mode: "CRD"
        }
    """
    suite = "cnnrt_layers.conformance.suites:DepthToSpaceSuite"

    block: int = integer(doc="rows and columns of a block", minimum=1, unit="pixels")
    mode: str = choice("DCR", choices={"dcr": "DCR", "crd": "CRD"}, doc="order of the channels")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return (N, C, H × block, W × block)."""
        expect_rank(inputs[0], 4)
        images, channels, height, width = inputs[0]
        if channels % self.block**2:
            raise ShapeError(f"{channels} channels do not fill blocks of {self.block}×{self.block} pixels")
        return ((images, channels // self.block**2, height * self.block, width * self.block),)

    def is_identity(self, inputs: Sequence[Shape]) -> bool:
        """Tell whether blocks are single pixels."""
        return self.block == 1

    def itemwise(self, inputs: Sequence[Shape]) -> bool:
        """Return True: every image by itself."""
        return True

    def moves(self, x: Array, results: Sequence[Array]) -> Sequence[Move]:
        """Return the channels of a block, its rows and columns apart."""
        block = self.block
        channels, height, width = results[0].shape[1], *x.shape[2:]
        pixels = split_axis(split_axis(results[0], 3, width, block), 2, height, block)
        if self.mode == "DCR":
            return [(pixels, split_axis(x, 1, block, block, channels).transpose(0, 3, 4, 1, 5, 2))]
        return [(pixels, split_axis(x, 1, channels, block, block).transpose(0, 1, 4, 2, 5, 3))]
