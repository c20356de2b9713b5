"""Convolution as a matrix product in tiles of local memory, for GPUs; FullyConnected is one of images of one pixel."""

from __future__ import annotations

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
from cnnrt_backend_opencl.cost_model import product_seconds
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.fully_connected import FullyConnectedKernel, features_last, image_of, product_geometry
from cnnrt_backend_opencl.kernel import Argument, Input, Launch, OpenCLKernel, Weight
from cnnrt_backend_opencl.limits import Limits, limits_of
from cnnrt_backend_opencl.sources import Defines
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry

TILES = ("64x64x16/4x4", "128x64x16/8x4", "128x128x8/8x8", "32x32x16/2x4", "16x32x16/2x2")
"""Pixels x outputs x depth of a work-group's tile / pixels x outputs of a work-item."""
SMALL = "16x32x16/2x2"
BLOCK = 1024
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
        return 4 * (self.depth * (self.pixels + 1 + self.outputs) + 3 * self.pixels)

    def fits(self, limits: Limits) -> bool:
        """Tell whether a device takes such a group."""
        most = min(limits.work_group, limits.work_items[0])
        return self.workers <= most and self.local_bytes <= limits.local_bytes


def gemm_tile(text: str) -> GemmTile:
    """Return the tile that a text of `TILES` describes."""
    group, _, work = text.partition("/")
    return GemmTile(*(int(n) for n in (*group.split("x"), *work.split("x"))))


class GemmKernel(OpenCLKernel):
    """Base: a call as a convolution (`geometry`), multiplied tile by tile."""

    name = "gemm"
    source = "convolution_gemm.cl"

    def geometry(self, call: LayerCall) -> ConvolutionGeometry:
        """Return the sizes of the call."""
        return convolution_geometry(call)

    def matrix(self, call: LayerCall, weights: Mapping[str, Array]) -> Array:
        """Return the weights as rows of outputs whose depth runs as images lie in memory."""
        return channels_last(weights["weight"])

    def too_large(self, g: ConvolutionGeometry, device: Device) -> str:
        """Return what speaks against the tile on a device; empty: it takes such work-groups."""
        fits = self._tile(g).fits(limits_of(device))
        return "" if fits else "the device's work-groups or its local memory are too small"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of whole tiles, spread over the compute units."""
        g = self.geometry(call)
        tile = self._tile(g)
        down, across = self._counts(g, tile)
        units = limits_of(device).compute_units
        rounds = -(-down * across * g.groups // units)
        products = rounds * units * tile.pixels * tile.outputs * (g.depth + 2 * tile.depth)
        lost = 8 if limits_of(device).cpu else 1 / LOST_UNITS
        return product_seconds(device, 2 * products * lost)

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the tile."""
        return {"tile": self._text(self.geometry(call))}

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return the tiles that the device takes."""
        limits = limits_of(device)
        return (Tunable("tile", tuple(text for text in TILES if gemm_tile(text).fits(limits))),)

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Tell whether the tile is not much larger than the product."""
        g, tile = self.geometry(call), gemm_tile(str(tuning["tile"]))
        return tile.outputs < 2 * max(16, g.group_outputs) and tile.pixels < 2 * max(16, pixels_of(g))

    def packing(self, call: LayerCall) -> Hashable:
        """Return how wide a tile is, and in what order the depth runs."""
        g = self.geometry(call)
        return self._tile(g).outputs, g.groups, image_of(call)

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole tiles' weights and biases."""
        g = self.geometry(call)
        tile = self._tile(g)
        return 4 * g.groups * -(-g.group_outputs // tile.outputs) * tile.outputs * (g.depth + 1)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return weights as [group][depth][outputs of whole tiles], and biases."""
        g = self.geometry(call)
        width = self._tile(g).outputs
        whole = -(-g.group_outputs // width) * width
        return panels(self.matrix(call, weights), g.groups, whole), biases_of(weights, g.outputs, g.groups, width)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the tile and what is folded in."""
        g = self.geometry(call)
        tile = self._tile(g)
        return {
            **folded_defines(call),
            "TILE_PIXELS": tile.pixels,
            "TILE_OUTPUTS": tile.outputs,
            "TILE_DEPTH": tile.depth,
            "WORK_PIXELS": tile.work_pixels,
            "WORK_OUTPUTS": tile.work_outputs,
            "BLOCKS": int(g.depth > BLOCK),
            "BLOCK": BLOCK,
        }

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: a work-group for each tile of pixels × tile of outputs."""
        g = self.geometry(call)
        tile = self._tile(g)
        down, across = self._counts(g, tile)
        arguments: tuple[Argument, ...] = (Input(), Weight(0), Weight(1), *result_buffers(call), *size_arguments(g))
        return [Launch("product", (down * tile.workers, g.groups * across), (tile.workers, 1), arguments)]

    def _text(self, g: ConvolutionGeometry) -> str:
        default = TILES[0] if g.group_outputs >= 48 and pixels_of(g) >= 2048 else SMALL
        return str(self.tuning.get("tile", default))

    def _tile(self, g: ConvolutionGeometry) -> GemmTile:
        return gemm_tile(self._text(g))

    def _counts(self, g: ConvolutionGeometry, tile: GemmTile) -> tuple[int, int]:
        return -(-pixels_of(g) // tile.pixels), -(-g.group_outputs // tile.outputs)


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
