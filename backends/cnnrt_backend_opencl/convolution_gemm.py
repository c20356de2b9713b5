"""Convolution as a matrix product in tiles of local memory, for GPUs; FullyConnected is one of images of one pixel."""

from __future__ import annotations

import functools
from collections.abc import Hashable, Mapping, Sequence

import attrs

from cnnrt.backend import Device, Packed, Tunable, Tuning
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.convolution import (
    ConvolutionKernel,
    biases_of,
    channels_last,
    panels,
    pixels_of,
    result_buffers,
    size_arguments,
)
from cnnrt_backend_opencl.cost_model import pass_seconds, product_seconds
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.fully_connected import FullyConnectedKernel, features_last, image_of, product_geometry
from cnnrt_backend_opencl.half_weights import BOTH_TYPES, weight_bytes, weight_defines, weight_type
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Weight, Workspace, in_groups, plane_group
from cnnrt_backend_opencl.limits import Limits, limits_of
from cnnrt_backend_opencl.sources import Defines
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry

TILES = {
    "128x64x16/8x4": 1.0,
    "64x64x16/8x4": 1.0,
    "128x128x16/8x8": 1.0,
    "64x64x16/4x4": 0.87,
    "128x96x16/8x8": 0.75,
    "32x64x16/4x4": 0.7,
    "16x128x16/8x4": 0.8,
}
"""Pixels x outputs x depth of a work-group's tile / pixels x outputs of a work-item; how fast each was on an H200."""
BY_ONES = {"128x96x16/8x8": 1.06}
"""The same for those that are faster where inputs are read one by one: AlexNet's first layer, with three channels."""
PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 32)
LEAST_PART = 128
"""Products that are worth a part of their own."""
UNITS = 128
"""Of a large device, about: what is chosen for it is no worse for smaller ones."""
LATENCY = 100_000
"""Products that a unit could do while the inputs of a step are on their way: what a step takes at least."""
COMBINED = (600_000, 0.16)
"""What adding up the parts costs, as if it were products of a unit: at all, and for each value."""
BLOCK = 512
"""Products that are summed up in one go."""
LOST_UNITS = 0.5
"""Share of its speed that a device reaches by this kernel."""


@attrs.frozen
class GemmTile:
    """The tile of a work-group, and what one of its work-items computes."""

    pixels: int
    outputs: int
    depth: int
    work_pixels: int
    work_outputs: int

    @property
    def workers(self) -> int:
        """Work-items of a group."""
        return (self.pixels // self.work_pixels) * (self.outputs // self.work_outputs)

    @property
    def local_bytes(self) -> int:
        """Local memory of a group."""
        return 4 * (2 * self.depth * (self.pixels + 4 + self.outputs) + 3 * self.pixels)

    def fits(self, limits: Limits) -> bool:
        """Tell whether a device takes such a group."""
        most = min(limits.work_group, limits.work_items[0])
        return self.workers <= most and self.local_bytes <= limits.local_bytes


@functools.cache
def gemm_tile(text: str) -> GemmTile:
    """Return the tile that a text of `TILES` describes."""
    group, _, work = text.partition("/")
    return GemmTile(*(int(n) for n in (*group.split("x"), *work.split("x"))))


@attrs.frozen
class Cut:
    """How a product is cut: tiles of pixels, of outputs, and parts of the depth, so many steps of the tile each."""

    down: int
    across: int
    parts: int
    steps: int

    def cost(self, g: ConvolutionGeometry, text: str) -> float:
        """Return what each of many units does, in products: to compare tiles and parts by."""
        tile = gemm_tile(text)
        groups = self.down * self.across * self.parts * g.groups
        rounds = max(1.0, groups / UNITS + 0.5)
        rates = TILES if g.group_inputs % 4 == 0 else {**TILES, **BY_ONES}
        step = max(rounds * tile.pixels * tile.outputs * tile.depth / rates.get(text, 1.0), LATENCY)
        once, each = COMBINED
        return self.steps * step + (once + each * self.parts * pixels_of(g) * g.outputs if self.parts > 1 else 0.0)


def cut_in(g: ConvolutionGeometry, tile: GemmTile, parts: int) -> Cut:
    """Return how a product is cut into tiles, and its depth into so many parts, or a few less."""
    steps = max(1, -(-g.depth // (tile.depth * parts)))
    parts = max(1, -(-g.depth // (steps * tile.depth)))
    return Cut(-(-pixels_of(g) // tile.pixels), -(-g.group_outputs // tile.outputs), parts, steps)


@functools.lru_cache(4096)
def best_cut(g: ConvolutionGeometry, text: str) -> Cut:
    """Return the parts that promise most for a tile."""
    cuts = [cut_in(g, gemm_tile(text), n) for n in PARTS if n == 1 or n * LEAST_PART <= g.depth]
    return min(cuts, key=lambda cut: cut.cost(g, text))


@functools.lru_cache(4096)
def best_tile(g: ConvolutionGeometry) -> str:
    """Return the tile that promises most where nothing was measured."""
    return min(TILES, key=lambda text: best_cut(g, text).cost(g, text))


def product_defines(g: ConvolutionGeometry, tile: GemmTile, device: Device) -> dict[str, Defines]:
    """Return the definitions of a tile, and what is read and written by fours."""
    return {
        "TILE_PIXELS": tile.pixels,
        "TILE_OUTPUTS": tile.outputs,
        "TILE_DEPTH": tile.depth,
        "WORK_PIXELS": tile.work_pixels,
        "WORK_OUTPUTS": tile.work_outputs,
        "LANES": 1 if g.group_inputs % 4 else 4,
        "QUADS": int(g.group_outputs % 4 == 0),
        "ALIGNED": int(not limits_of(device).shares_memory),
        "BLOCK": BLOCK,
    }


class GemmKernel(OpenCLKernel):
    """Base: a call as a convolution (`geometry`), multiplied tile by tile."""

    name = "gemm"
    source = "convolution_gemm.cl"
    weight_types = BOTH_TYPES

    def geometry(self, call: LayerCall) -> ConvolutionGeometry:
        """Return the sizes of the call."""
        return convolution_geometry(call)

    def matrix(self, call: LayerCall, weights: Mapping[str, Array]) -> Array:
        """Return the weights as rows of outputs whose depth runs as images lie in memory."""
        return channels_last(weights["weight"], weight_type(call))

    def too_large(self, g: ConvolutionGeometry, device: Device) -> str:
        """Return what speaks against the tile on a device; empty: it takes such work-groups."""
        fits = self._tile(g).fits(limits_of(device))
        return "" if fits else "the device's work-groups or its local memory are too small"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of whole tiles, spread over the compute units."""
        g = self.geometry(call)
        tile, cut = self._tile(g), self._cut(g)
        units = limits_of(device).compute_units
        rounds = -(-cut.down * cut.across * cut.parts * g.groups // units)
        products = rounds * units * tile.pixels * tile.outputs * (cut.steps + 2) * tile.depth
        lost = 8 if limits_of(device).cpu else 1 / LOST_UNITS
        combining = pass_seconds(device, self.workspace(call) / 4) if cut.parts > 1 else 0.0
        return product_seconds(device, 2 * products * lost) + combining

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the tile, and in how many parts the depth is cut."""
        g = self.geometry(call)
        return {"tile": self._text(g), "parts": self._cut(g).parts}

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return the tiles that the device takes, and parts: 0 is as many as promise most."""
        limits = limits_of(device)
        tiles = tuple(text for text in TILES if gemm_tile(text).fits(limits))
        return Tunable("tile", tiles), Tunable("parts", (0, 1, 4))

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Tell whether the tile is not much larger than the product."""
        g, tile = self.geometry(call), gemm_tile(str(tuning["tile"]))
        if tuning["parts"] and int(tuning["parts"]) * tile.depth > g.depth:
            return False
        return tile.outputs <= 2 * max(64, g.group_outputs) and tile.pixels <= 2 * max(16, pixels_of(g))

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of the sums of all parts."""
        g = self.geometry(call)
        parts = self._cut(g).parts
        return 4 * parts * pixels_of(g) * g.outputs if parts > 1 else 0

    def packing(self, call: LayerCall) -> Hashable:
        """Return how wide a tile is, and in what order the depth runs."""
        g = self.geometry(call)
        return self._tile(g).outputs, g.groups, image_of(call)

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole tiles' weights and biases."""
        g = self.geometry(call)
        tile = self._tile(g)
        outputs = g.groups * -(-g.group_outputs // tile.outputs) * tile.outputs
        return weight_bytes(call, outputs * g.depth) + 4 * outputs

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return weights as [group][depth][outputs of whole tiles], and biases."""
        g = self.geometry(call)
        width = self._tile(g).outputs
        whole = -(-g.group_outputs // width) * width
        matrix = panels(self.matrix(call, weights), g.groups, whole, weight_type(call))
        return matrix, biases_of(weights, g.outputs, g.groups, width)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the tile, what is read and written by fours, and what is folded in."""
        g = self.geometry(call)
        split = {"SPLIT": int(self._cut(g).parts > 1)}
        return {**folded_defines(call), **weight_defines(call), **product_defines(g, self._tile(g), device), **split}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return a work-group for each tile of pixels × tile of outputs × part, and what adds up the parts."""
        g = self.geometry(call)
        tile, cut = self._tile(g), self._cut(g)
        results = result_buffers(call) if cut.parts == 1 else (Workspace(), *result_buffers(call)[1:])
        sizes = (cut.steps * tile.depth, *size_arguments(g))
        size = (cut.down * tile.workers, g.groups * cut.across, cut.parts)
        found = [Launch("product", size, (tile.workers, 1, 1), (Input(), Weight(0), Weight(1), *results, *sizes))]
        if cut.parts > 1:
            columns = -(-g.outputs // (4 if g.group_outputs % 4 == 0 else 1))
            group = plane_group(limits_of(device), columns, pixels_of(g))
            buffers = (Workspace(), Weight(1), *result_buffers(call))
            numbers = (cut.parts, pixels_of(g), g.group_outputs, g.groups)
            whole = (in_groups(columns, group[0]), in_groups(pixels_of(g), group[1]))
            found.append(Launch("combine", whole, group, (*buffers, *numbers)))
        return found

    def _text(self, g: ConvolutionGeometry) -> str:
        return str(self.tuning.get("tile") or best_tile(g))

    def _tile(self, g: ConvolutionGeometry) -> GemmTile:
        return gemm_tile(self._text(g))

    def _cut(self, g: ConvolutionGeometry) -> Cut:
        parts = int(self.tuning.get("parts", 0))
        return cut_in(g, self._tile(g), parts) if parts else best_cut(g, self._text(g))


class GemmConvolution(GemmKernel, ConvolutionKernel):
    """Any convolution."""

    def takes_sizes(self, g: ConvolutionGeometry, device: Device) -> str:
        """Decline devices that do not take the tile."""
        return self.too_large(g, device)


class GemmFullyConnected(GemmKernel, FullyConnectedKernel):
    """A matrix product: images of one pixel each."""

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline devices that do not take the tile."""
        return self.too_large(self.geometry(call), device) or super().can_run(call, device)

    def outputs_together(self, call: LayerCall) -> int:
        """Return the outputs of a tile."""
        return self._tile(self.geometry(call)).outputs

    def geometry(self, call: LayerCall) -> ConvolutionGeometry:
        """Return images of one pixel with as many channels as there are features."""
        return product_geometry(call)

    def matrix(self, call: LayerCall, weights: Mapping[str, Array]) -> Array:
        """Return the weights with features in the order of memory."""
        return features_last(call, weights["weight"])
