"""How a convolution by Winograd's filtering is cut into blocks of tiles.

**Strides.** With a stride of s the kernel's rows and columns fall into s phases each: pixel s * i + a meets only the
taps s * p + a. So a convolution of stride s is one of stride 1 whose pixels have s * s times the channels and whose
kernel has 1/s of the taps ("space to depth"). The s pixels of a row lie side by side: a row phase is one run of memory.

**Mosaics.** Images whose sides are no multiples of a tile's waste a part of the last tiles. Where that pays, the images
of a batch are laid out in a grid, as far apart as padding needs (neighbours share it), and the tiles are those of the
grid: 16 images of 13 × 13 take 14 × 14 tiles of 4 × 4 instead of 16 × 16. Nothing moves; only tiles are read and
written by way of a patch where they touch more than one image.
"""

from __future__ import annotations

import math

import attrs

from cnnrt_backend_threaded.register_tile import most_pixels
from cnnrt_backend_threaded.target import Machine
from cnnrt_layers.convolution_geometry import ConvolutionGeometry
from cnnrt_layers.winograd_matrices import Filtering

VECTORS = 2
"""Of a panel."""
CACHE_PERCENT = 50
"""Of the second cache, for a block of tiles: weights pass through the rest."""
LINE = 16
"""Floats of a cache line: rows of transformed inputs are longer by that, or they would compete for the same places."""
MOSAIC_GAIN = 0.95
"""A mosaic is made where it leaves less than this share of the tiles: patches cost a little."""


@attrs.frozen
class Mosaic:
    """Images in a grid of `down` × `across`, `pitch` rows and columns of outputs (and of inputs) apart."""

    down: int
    across: int
    pitch: tuple[int, int]

    @property
    def images(self) -> int:
        """Images of the grid."""
        return self.down * self.across

    def extent(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns of the whole, given those of an image."""
        return (self.down - 1) * self.pitch[0] + size[0], (self.across - 1) * self.pitch[1] + size[1]


@attrs.frozen
class WinogradPlan:
    """How one call is cut: `tiles` (down, across) of a mosaic, blocks of at most `block`, `rows` of a register tile."""

    geometry: ConvolutionGeometry
    mosaic: Mosaic
    tiles: tuple[int, int]
    blocks: int
    block: int
    rows: int
    panels: int
    parts: int
    outputs: int
    positions: int

    @property
    def all_tiles(self) -> int:
        """Tiles of all images."""
        return self.geometry.images // self.mosaic.images * self.tiles[0] * self.tiles[1]

    @property
    def stride(self) -> int:
        """The stride, the same down and across: so many phases there are in each direction."""
        return self.geometry.stride[0]

    @property
    def run(self) -> int:
        """Values of one row phase of a pixel: the channels of `stride` pixels."""
        return self.stride * self.geometry.group_inputs

    @property
    def depth(self) -> int:
        """Values of all phases of a pixel: products summed at one position."""
        return self.stride * self.run

    @property
    def input_row(self) -> int:
        """Floats of a transformed tile at one position."""
        return -(-self.depth // LINE) * LINE + LINE

    @property
    def transformed(self) -> int:
        """Floats of the transformed inputs of a unit."""
        return self.positions * self.block * self.input_row

    @property
    def products(self) -> int:
        """Floats of a unit's products with one panel."""
        return self.positions * self.block * self.outputs

    @property
    def patch(self) -> int:
        """Floats of the patch for tiles at an edge, inputs or outputs; whole vectors of them may be read."""
        return self.positions * max(self.run, self.outputs) + 2 * LINE

    @property
    def workspace(self) -> int:
        """Floats of one thread's workspace, whole cache lines."""
        return -(-(self.transformed + self.products + self.patch) // LINE) * LINE


def plan_blocks(
    g: ConvolutionGeometry, filtering: Filtering, machine: Machine, cache_percent: int = CACHE_PERCENT
) -> WinogradPlan:
    """Return how a convolution is cut for a machine. `cache_percent`: of the second cache, for a block of tiles."""
    mosaic = choose_mosaic(g, filtering.outputs)
    down, across = tiles_of(mosaic, g, filtering.outputs)
    tiles = g.images // mosaic.images * down * across
    outputs = VECTORS * machine.target.lanes
    panels = -(-g.group_outputs // outputs)
    positions = filtering.products**2
    most = most_pixels(machine.target, VECTORS)
    depth = g.group_inputs * g.stride[0] ** 2
    row_bytes = 4 * positions * (depth + LINE + outputs)
    # As many register tiles as that part of the second cache holds, at least two; blocks of equal sizes, as many for
    # each thread.
    wanted = most * max(2, machine.second_cache * cache_percent // 100 // (row_bytes * most))
    fewest = max(1, -(-tiles // wanted))
    blocks = min(max(tiles, 1), -(-fewest // machine.cores) * machine.cores)
    if tiles < blocks * most:  # too few for all threads: they share the outputs instead
        blocks = max(1, tiles // (2 * most))
    block = -(-tiles // blocks)
    rows = min(most, -(-block // max(1, -(-block // most))))
    parts = min(panels, -(-machine.cores * 2 // blocks)) if blocks < machine.cores else 1
    return WinogradPlan(
        g, mosaic, (down, across), blocks, max(block, rows), max(rows, 1), panels, max(parts, 1), outputs, positions
    )


def choose_mosaic(g: ConvolutionGeometry, side: int) -> Mosaic:
    """Return the grid that takes the fewest tiles; images by themselves where that is about as good."""
    alone = Mosaic(1, 1, g.output_size)
    if g.stride[0] != 1 or not min(g.output_size):
        return alone
    after = [g.seen[i] - g.before[i] - g.input_size[i] for i in (0, 1)]
    rows, columns = (max(g.input_size[i] + max(g.before[i], after[i], 0), g.output_size[i]) for i in (0, 1))
    best, fewest = alone, MOSAIC_GAIN * _tiles_an_image(alone, g, side)
    for down in _divisors(g.images):
        for across in _divisors(g.images // down):
            mosaic = Mosaic(down, across, (rows, columns))
            count = _tiles_an_image(mosaic, g, side)
            if mosaic.images > 1 and count < fewest:
                best, fewest = mosaic, count
    return best


def tiles_of(mosaic: Mosaic, g: ConvolutionGeometry, side: int) -> tuple[int, int]:
    """Return the tiles down and across a mosaic."""
    rows, columns = mosaic.extent(g.output_size)
    return -(-rows // side), -(-columns // side)


def _tiles_an_image(mosaic: Mosaic, g: ConvolutionGeometry, side: int) -> float:
    return math.prod(tiles_of(mosaic, g, side)) / mosaic.images


def _divisors(count: int) -> list[int]:
    """Return the divisors up to 16: of larger grids there is no more to gain."""
    return [d for d in range(1, 17) if d <= count and count % d == 0]
