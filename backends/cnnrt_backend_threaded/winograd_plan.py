"""How a convolution by Winograd's filtering is cut into blocks of tiles."""

from __future__ import annotations

import attrs

from cnnrt_backend_threaded.convolution_geometry import ConvolutionGeometry
from cnnrt_backend_threaded.register_tile import most_pixels
from cnnrt_backend_threaded.target import Machine
from cnnrt_backend_threaded.winograd_matrices import Filtering

VECTORS = 2
"""Of a panel."""
CACHED = 2**20
"""Bytes of transformed inputs of a unit: about what the second cache holds."""
LINE = 16
"""Floats of a cache line: rows of transformed inputs are longer by that, or they would compete for the same places."""


@attrs.frozen
class WinogradPlan:
    """How one call is cut: `tiles` (down, across), blocks of at most `block` tiles, `rows` of a register tile."""

    geometry: ConvolutionGeometry
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
        return self.geometry.images * self.tiles[0] * self.tiles[1]

    @property
    def input_row(self) -> int:
        """Floats of a transformed tile at one position."""
        return -(-self.geometry.group_inputs // LINE) * LINE + LINE

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
        """Floats of the patch for tiles at an edge, inputs or outputs."""
        return self.positions * max(self.input_row, self.outputs)

    @property
    def workspace(self) -> int:
        """Floats of one thread's workspace."""
        return self.transformed + self.products + self.patch


def plan_blocks(g: ConvolutionGeometry, filtering: Filtering, machine: Machine) -> WinogradPlan:
    """Return how a convolution is cut for a machine."""
    down, across = (-(-size // filtering.outputs) for size in g.output_size)
    tiles = g.images * down * across
    outputs = VECTORS * machine.target.lanes
    panels = -(-g.group_outputs // outputs)
    positions = filtering.products**2
    most = most_pixels(machine.target, VECTORS)
    row_bytes = 4 * positions * (g.group_inputs + 2 * LINE)
    # As many register tiles as the cache holds, at least two; blocks of equal sizes, as many for each thread.
    wanted = most * max(2, CACHED // (row_bytes * most))
    fewest = max(1, -(-tiles // wanted))
    blocks = min(max(tiles, 1), -(-fewest // machine.cores) * machine.cores)
    if tiles < blocks * most:  # too few for all threads: they share the outputs instead
        blocks = max(1, tiles // (2 * most))
    block = -(-tiles // blocks)
    rows = min(most, -(-block // max(1, -(-block // most))))
    parts = min(panels, -(-machine.cores * 2 // blocks)) if blocks < machine.cores else 1
    return WinogradPlan(
        g, (down, across), blocks, max(block, rows), max(rows, 1), panels, max(parts, 1), outputs, positions
    )
