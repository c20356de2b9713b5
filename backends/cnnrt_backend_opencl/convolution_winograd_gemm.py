"""Convolution of 3×3 by Winograd's filtering F(4×4, 3×3), for GPUs: the products are those of a grouped convolution.

Transformed inputs lie as [tile][position][channel]: images of one pixel, whose 36 positions are groups of channels. So
`convolution_gemm.cl` multiplies them, between the transforms of `convolution_winograd.cl`. A part of the tiles after
the other goes through the three, as large as a GPU's cache likes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import attrs
import numpy as np

from cnnrt.backend import Device, Packed, Tunable, Tuning
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.convolution import ConvolutionKernel, biases_of, panels, result_buffers, size_arguments
from cnnrt_backend_opencl.convolution_gemm import TILES, GemmTile, best_tile, cut_in, gemm_tile, product_defines
from cnnrt_backend_opencl.convolution_winograd import (
    POINT_DEFINES,
    POSITIONS,
    filtered_weights,
    filtering_bound,
    tile_count,
    tile_grid,
    unfiltered,
)
from cnnrt_backend_opencl.cost_model import LAUNCH_SECONDS, pass_seconds, product_seconds
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.kernel import PIECE, Input, Launch, Program, Weight, Workspace, in_groups, plane_group
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry

PART_MIB = 48
"""Of a part's transformed inputs and products."""
LOST_UNITS = 0.15
"""Share of its speed that a device reaches, transforms and all: images of 13×13 took an H200 as long without them."""


class WinogradGemmConvolution(ConvolutionKernel):
    """A kernel of 3×3, one step at a time."""

    name = "winograd-gemm"
    source = "convolution_winograd.cl"

    def error_bound(self, plain: Array) -> Array:
        """Return `filtering_bound`."""
        return filtering_bound(plain)

    def takes_sizes(self, g: ConvolutionGeometry, device: Device) -> str:
        """Decline other kernels than 3×3, steps and gaps, processors, and devices that do not take the tile."""
        if limits_of(device).cpu:
            return "fits devices other than processors"
        fits = self._tile(g).fits(limits_of(device))
        return unfiltered(g) or ("" if fits else "the device's work-groups or its local memory are too small")

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of the products of whole tiles, of both transforms' passes and of the launches."""
        g = convolution_geometry(call)
        tile, part = self._tile(g), max(1, self._part(g))
        outputs = g.groups * -(-g.group_outputs // tile.outputs) * tile.outputs
        rows = -(-part // tile.pixels) * tile.pixels * tile_count(g) / part
        moved = 2 * POSITIONS * tile_count(g) * (g.inputs + g.outputs)
        launches = 3 * -(-tile_count(g) // part) * LAUNCH_SECONDS
        products = 2 * POSITIONS * rows * g.group_inputs * outputs / LOST_UNITS
        return product_seconds(device, products) + pass_seconds(device, moved) + launches

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the tile of the products, and the tiles of images in a part."""
        g = convolution_geometry(call)
        return {"tile": self._text(g), "tiles_of_a_part": self._part(g)}

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return the tiles that the device takes, and how large a part may be."""
        tiles = tuple(text for text in TILES if gemm_tile(text).fits(limits_of(device)))
        return Tunable("tile", tiles), Tunable("part_mib", (PART_MIB, 512))

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Tell whether the tile is not much larger than a product, and a part is another than the default's."""
        g, tile = convolution_geometry(call), gemm_tile(str(tuning["tile"]))
        if tile.outputs > 2 * max(64, g.group_outputs) or tile.pixels > 2 * max(16, tile_count(g)):
            return False
        return tuning["part_mib"] == PART_MIB or self.tuned(tuning)._part(g) != self.tuned({})._part(g)

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of a part's transformed inputs and products."""
        g = convolution_geometry(call)
        return self._products_at(g) + 4 * POSITIONS * self._part(g) * g.outputs

    def packing(self, call: LayerCall) -> Hashable:
        """Return how wide a tile is, and the number of groups."""
        g = convolution_geometry(call)
        return self._tile(g).outputs, g.groups

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole tiles' transformed weights, of biases and of zeros."""
        g = convolution_geometry(call)
        whole = POSITIONS * g.groups * in_groups(g.group_outputs, self._tile(g).outputs)
        return 4 * (whole * (g.group_inputs + 1) + g.outputs + g.inputs)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return G w G' as [position][group][input][outputs of whole tiles]; biases and zeros; zeros as biases."""
        g = convolution_geometry(call)
        whole = in_groups(g.group_outputs, self._tile(g).outputs)
        packed = np.empty((POSITIONS, g.groups, g.group_inputs, whole), np.float32)
        for position, matrix in enumerate(filtered_weights(weights["weight"])):
            packed[position] = panels(matrix, g.groups, whole).reshape(packed.shape[1:])
        biases = biases_of(weights, g.outputs, g.groups, 1, zeros=g.inputs)
        return packed, biases, np.zeros(POSITIONS * g.groups * whole, np.float32)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the points and what is folded in; work-items transform one channel each."""
        return {**folded_defines(call), **POINT_DEFINES, "LANES": 1}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return three launches for each part of the tiles."""
        g, limits = convolution_geometry(call), limits_of(device)
        tile, grid = self._tile(g), tile_grid(g)
        transformed, products = Workspace(), Workspace(self._products_at(g))
        product = Program("convolution_gemm.cl", product_defines(_products(g, 1), tile, device))
        found = []
        for first in range(0, tile_count(g), max(1, self._part(g))):
            count = min(self._part(g), tile_count(g) - first)
            group = plane_group(limits, g.inputs, count)
            steps = (POSITIONS * g.inputs, g.inputs, first, count)
            numbers = (g.inputs, g.outputs, *g.input_size, *grid, *g.before)
            images = (Input(), Weight(1), transformed)
            found.append(Launch("forward", _whole(g.inputs, count, group), group, (*images, *steps, *numbers)))
            p = _products(g, count)
            cut = cut_in(p, tile, 1)
            found.append(
                Launch(
                    "product",
                    (cut.down * tile.workers, p.groups * cut.across, 1),
                    (tile.workers, 1, 1),
                    (transformed, Weight(0), Weight(2), products, cut.steps * tile.depth, *size_arguments(p)),
                    product,
                )
            )
            group = plane_group(limits, g.outputs, count)
            steps = (POSITIONS * g.outputs, g.outputs, first, count)
            sizes = (g.group_outputs, g.groups, g.group_outputs, *g.output_size, *grid)
            buffers = (products, Weight(1), *result_buffers(call))
            found.append(Launch("backward", _whole(g.outputs, count, group), group, (*buffers, *steps, *sizes)))
        return found

    def _part(self, g: ConvolutionGeometry) -> int:
        """Return the tiles of a part: all of them in parts of about the same size."""
        each = 4 * POSITIONS * (g.inputs + g.outputs)
        most = max(1, (int(self.tuning.get("part_mib", PART_MIB)) << 20) // each)
        parts = max(1, -(-tile_count(g) // most))
        return -(-tile_count(g) // parts)

    def _text(self, g: ConvolutionGeometry) -> str:
        return str(self.tuning.get("tile") or best_tile(_products(g, self._part(g))))

    def _tile(self, g: ConvolutionGeometry) -> GemmTile:
        return gemm_tile(self._text(g))

    def _products_at(self, g: ConvolutionGeometry) -> int:
        return in_groups(4 * POSITIONS * self._part(g) * g.inputs, PIECE)


def _whole(columns: int, rows: int, group: tuple[int, int]) -> tuple[int, int]:
    return in_groups(columns, group[0]), in_groups(rows, group[1])


def _products(g: ConvolutionGeometry, count: int) -> ConvolutionGeometry:
    """Return the products of so many tiles as a convolution of images of one pixel, in groups."""
    one = (1, 1)
    return attrs.evolve(
        g,
        images=count,
        groups=POSITIONS * g.groups,
        input_size=one,
        output_size=one,
        kernel=one,
        before=(0, 0),
    )
