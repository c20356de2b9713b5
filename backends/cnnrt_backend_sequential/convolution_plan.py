"""How `convolution_rows` cuts a call into blocks and a kernel into products."""

from __future__ import annotations

import attrs

from cnnrt_backend_sequential.workspace import Scratch
from cnnrt_layers.convolution_geometry import ConvolutionGeometry

BLOCK_BYTES = 1536 * 1024
"""Upper limit of the workspace wherever one output row fits into it: second-level cache plus a share of the third."""

FEW_COLUMNS = 96
"""With fewer columns a matrix product is slow: tiny images are taken together until they have as many."""

SHORT_SUM = 96
"""Products over shorter sums are slow: kernel rows are unrolled as well where theirs are shorter than this."""


@attrs.frozen
class Tap:
    """Kernel rows `start` to `stop` that share one product: phases from `phase` on, `later` rows further down."""

    start: int
    stop: int
    phase: int
    later: int

    @property
    def count(self) -> int:
        """Number of kernel rows."""
        return self.stop - self.start


@attrs.frozen
class RowsPlan:
    """Images and output rows of a block; phases of image rows; products; whether kernel rows are unrolled as well."""

    geometry: ConvolutionGeometry
    images: int
    rows: int
    phases: tuple[int, ...]
    taps: tuple[Tap, ...]
    unroll: bool

    @property
    def tap_length(self) -> int:
        """Matrix rows of one kernel row."""
        return self.geometry.group_inputs * self.geometry.kernel[1]

    @property
    def line(self) -> int:
        """Columns of one output row, of all images of a block."""
        return self.images * self.geometry.output_size[1]

    @property
    def reach(self) -> int:
        """Rows of a phase that a block reads beyond one for each output row."""
        return max(tap.later for tap in self.taps)

    @property
    def unrolled_rows(self) -> int:
        """Rows of the matrix of unrolled kernel columns."""
        return len(self.phases) * self.tap_length

    def scratch(self) -> Scratch:
        """Return the places of: unrolled columns, unrolled windows (both below a row of ones), sums, one product."""
        columns = self.rows * self.line
        scratch = Scratch()
        scratch.add((1 + self.unrolled_rows, (self.rows + self.reach) * self.line))
        scratch.add((1 + self.geometry.depth, columns) if self.unroll else (0, 0))
        scratch.add((self.geometry.group_outputs, columns))
        scratch.add((self.geometry.group_outputs, columns) if len(self.taps) > 1 and not self.unroll else (0, 0))
        return scratch


def plan_rows(g: ConvolutionGeometry) -> RowsPlan:
    """Return the plan of a call: as many rows as fit `BLOCK_BYTES`, divided evenly."""
    phases, taps = _taps(g.kernel[0], g.stride[0], g.dilation[0])
    together = max(1, min(g.images, FEW_COLUMNS // max(1, g.pixels)))
    unroll = len(taps) > 1 and g.group_inputs * g.kernel[1] * taps[0].count < SHORT_SUM
    plan = RowsPlan(g, together, 1, phases, taps, unroll)
    one, two = plan.scratch().nbytes, attrs.evolve(plan, rows=2).scratch().nbytes
    fitting = 1 + max(0, BLOCK_BYTES - one) // max(1, two - one)
    blocks = -(-g.output_size[0] // fitting)
    return attrs.evolve(plan, rows=-(-g.output_size[0] // blocks))


def _taps(kernel_rows: int, stride: int, dilation: int) -> tuple[tuple[int, ...], tuple[Tap, ...]]:
    """Return the phases of image rows in use, and the products, which cover the kernel rows in order."""
    if dilation == 1:
        starts = range(0, kernel_rows, stride)
        taps = tuple(Tap(a, min(a + stride, kernel_rows), 0, a // stride) for a in starts)
        return tuple(range(min(stride, kernel_rows))), taps
    offsets = [row * dilation for row in range(kernel_rows)]
    phases = tuple(sorted({offset % stride for offset in offsets}))
    return phases, tuple(
        Tap(row, row + 1, phases.index(offset % stride), offset // stride) for row, offset in enumerate(offsets)
    )
