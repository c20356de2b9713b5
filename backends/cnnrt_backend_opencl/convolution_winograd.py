"""Convolution of 3×3 by Winograd's filtering F(4×4, 3×3), for devices that are processors.

A part of the tiles after the other goes through three launches: inputs are transformed, multiplied at each of the 36
positions, and the products transformed back. Parts are as large as the processor's shared cache likes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from fractions import Fraction

import numpy as np

from cnnrt.backend import Device, Packed, Tunable, Tuning
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.convolution import ConvolutionKernel, biases_of, panels, result_buffers
from cnnrt_backend_opencl.cost_model import LAUNCH_SECONDS, pass_seconds, product_seconds
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.kernel import PIECE, Argument, Input, Launch, Weight, Workspace, in_groups
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry
from cnnrt_layers.winograd_matrices import Filtering, matrices

POINTS = (Fraction(3, 4), Fraction(3, 2))
FILTERING = Filtering(4, 3, (Fraction(0), POINTS[0], -POINTS[0], POINTS[1], -POINTS[1]))
POSITIONS = FILTERING.products**2
POINT_DEFINES: Mapping[str, Defines] = {"A": float(POINTS[0]), "B": float(POINTS[1])}
LANES, VECTORS, ROWS = 8, 2, 6
PANEL = LANES * VECTORS
LINE = 16
"""Floats between positions beside the tiles."""
ERROR_FACTOR = 3.0
"""The threaded backend measured 1.05 with the same points and blocks of channels."""
PART_MIB = 12
"""Of a part's transformed inputs and products."""


def unfiltered(g: ConvolutionGeometry) -> str:
    """Return why a convolution is none that is filtered; empty: it is."""
    fits = (g.kernel, g.stride, g.dilation) == ((3, 3), (1, 1), (1, 1))
    return "" if fits else "takes kernels of 3×3 with stride and dilation 1"


def filtering_bound(plain: Array) -> Array:
    """Return the largest bound in an image's channel, times `ERROR_FACTOR`.

    Each output is a sum over its whole tile, in which what is not its own cancels out, but for rounding errors.
    """
    most = plain.max(axis=(2, 3), keepdims=True) if plain.size else plain
    return np.broadcast_to(ERROR_FACTOR * most, plain.shape)


def filtered_weights(weight: Array) -> Iterator[Array]:
    """Yield G w G' at one position after the other, as (outputs, inputs), computed in float64."""
    transform = matrices(FILTERING).weight
    rows = np.einsum("ir,ocrs->ocis", transform, weight.astype(np.float64))
    for position in range(POSITIONS):
        i, j = divmod(position, FILTERING.products)
        yield (rows[:, :, i] @ transform[j]).astype(np.float32)


class WinogradConvolution(ConvolutionKernel):
    """A kernel of 3×3, one step at a time."""

    name = "winograd"
    source = "convolution_winograd.cl"

    def error_bound(self, plain: Array) -> Array:
        """Return `filtering_bound`."""
        return filtering_bound(plain)

    def takes_sizes(self, g: ConvolutionGeometry, device: Device) -> str:
        """Decline other kernels than 3×3, steps and gaps, and devices that are no processors."""
        if not limits_of(device).cpu:
            return "fits processors, which compute vectors in one work-item"
        return unfiltered(g)

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of the products, of both transforms' passes and of the launches."""
        g = convolution_geometry(call)
        tiles, outputs = tile_count(g), _padded_outputs(g)
        products = 2 * POSITIONS * tiles * g.group_inputs * outputs
        moved = POSITIONS * tiles * (_filled_inputs(g) + outputs)
        launches = 3 * -(-tiles // max(1, self._part(g))) * LAUNCH_SECONDS
        return product_seconds(device, products / 1.4) + pass_seconds(device, 1.5 * moved) + launches

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the tiles in all, and those of a part."""
        g = convolution_geometry(call)
        return {"tiles": tile_count(g), "tiles_of_a_part": self._part(g)}

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return how large a part may be."""
        return (Tunable("part_mib", (PART_MIB, 4, 32)),)

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Tell whether it cuts the tiles otherwise than the default does."""
        g = convolution_geometry(call)
        return tuning["part_mib"] == PART_MIB or self.tuned(tuning)._part(g) != self.tuned({})._part(g)

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of a part's transformed inputs and products."""
        g = convolution_geometry(call)
        part = self._part(g)
        return self._products_at(g) + 4 * POSITIONS * (part * _padded_outputs(g) + LINE)

    def packing(self, call: LayerCall) -> Hashable:
        """Return the number of groups."""
        return convolution_geometry(call).groups

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole panels of transformed weights, of biases and zeros."""
        g = convolution_geometry(call)
        return 4 * (_padded_outputs(g) * (POSITIONS * g.group_inputs + 1) + g.inputs)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return G w G' as [position][group][panel][input][output], computed in float64; biases and zeros."""
        g = convolution_geometry(call)
        packed = np.empty((POSITIONS, _padded_outputs(g) * g.group_inputs), np.float32)
        for position, matrix in enumerate(filtered_weights(weights["weight"])):
            packed[position] = panels(matrix, g.groups, PANEL).reshape(-1)
        return packed, biases_of(weights, g.outputs, g.groups, PANEL, zeros=g.inputs)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the points, the tile of registers and what is folded in."""
        return {**folded_defines(call), **POINT_DEFINES, "LANES": LANES, "VECTORS": VECTORS, "ROWS": ROWS}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return three launches for each part of the tiles."""
        g = convolution_geometry(call)
        grid = tile_grid(g)
        count = -(-g.group_outputs // PANEL)
        transformed, products = Workspace(), Workspace(self._products_at(g))
        found = []
        for first in range(0, tile_count(g), max(1, self._part(g))):
            tiles = min(self._part(g), tile_count(g) - first)
            run = max(1, min(8, tiles * g.groups * count // (ROWS * limits_of(device).compute_units)))
            filled, outputs = _filled_inputs(g), _padded_outputs(g)
            inputs: tuple[Argument, ...] = (Input(), Weight(1), transformed, filled, tiles * filled + LINE)
            numbers = (first, tiles, g.inputs, outputs, *g.input_size, *grid, *g.before)
            found.append(Launch("forward", (1, tiles), (1, 1), (*inputs, *numbers)))
            size = (-(-tiles // (ROWS * run)), g.groups * count, POSITIONS)
            products_of = (transformed, Weight(0), products, tiles, run, g.group_inputs, g.groups, count)
            found.append(Launch("multiply", size, (1, 1, 1), products_of))
            results: tuple[Argument, ...] = (
                products,
                Weight(1),
                *result_buffers(call),
                outputs,
                tiles * outputs + LINE,
            )
            sizes = (first, tiles, g.group_outputs, g.groups, count * PANEL, *g.output_size, *grid)
            found.append(Launch("backward", (1, tiles), (1, 1), (*results, *sizes)))
        return found

    def _part(self, g: ConvolutionGeometry) -> int:
        """Return the tiles of a part: all of them in parts of about the same size."""
        each = 4 * POSITIONS * (_filled_inputs(g) + _padded_outputs(g))
        most = max(ROWS, (int(self.tuning.get("part_mib", PART_MIB)) << 20) // each)
        parts = max(1, -(-tile_count(g) // most))
        return -(-tile_count(g) // parts)

    def _products_at(self, g: ConvolutionGeometry) -> int:
        return in_groups(4 * POSITIONS * (self._part(g) * _filled_inputs(g) + LINE), PIECE)


def tile_grid(g: ConvolutionGeometry) -> tuple[int, int]:
    """Return the tiles down and across an image."""
    height, width = g.output_size
    return -(-height // FILTERING.outputs), -(-width // FILTERING.outputs)


def tile_count(g: ConvolutionGeometry) -> int:
    """Return the tiles of all images."""
    down, across = tile_grid(g)
    return g.images * down * across


def _padded_outputs(g: ConvolutionGeometry) -> int:
    return g.groups * -(-g.group_outputs // PANEL) * PANEL


def _filled_inputs(g: ConvolutionGeometry) -> int:
    return in_groups(g.inputs, LANES)
