"""Convolution and FullyConnected by register tiles: see `kernels/convolution_tile.rs`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import attrs
import numpy as np

from cnnrt.backend import Device, Packed, StoredWeights, Tunable, Tuning
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.stored_weights import HeldWeights
from cnnrt.tensor import PLAIN
from cnnrt_backend_renderscript.convolution_geometry import (
    ReadGeometry,
    put_biases,
    read_geometry,
    takes_images,
    weight_order,
)
from cnnrt_backend_renderscript.cost_model import PRODUCTS, product_seconds
from cnnrt_backend_renderscript.program import Globals, Launch, input_of, output_of, weight_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import (
    CHANNELS_LAST,
    FOLDS,
    VECTORS,
    ScriptKernel,
    activation,
    adds_residual,
    zeros32,
)

BLOCK_PIXELS = 512
"""Output pixels that go through all panels before the next ones: their inputs stay in the second cache."""


MOST_WASTE = 1.1
"""Channels of wide tiles for each one of narrow tiles, both filled up, beyond which narrow ones are taken."""


@attrs.frozen
class Tile:
    """Pixels and channels that one item computes; sums of so many channels are vectors."""

    pixels: int
    channels: int


class TileConvolution(ScriptKernel):
    """Each value that is read meets the weights of all channels of a tile, in RenderScript's vectors of four.

    `lanes`: of a vector. `tiles`: those worth a try, the default first; the next one wastes less on few channels.
    """

    layer = "Convolution"
    name = "tile"
    folds: ClassVar[tuple[str, ...]] = ("Eltwise", *FOLDS)
    lanes: ClassVar[int] = 4
    rate: ClassVar[float] = PRODUCTS
    tiles: ClassVar[tuple[Tile, ...]] = (Tile(3, 16), Tile(6, 8), Tile(2, 32))

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline devices without vectors of so many lanes."""
        bits = int(device.details.get(VECTORS, "128").split()[0])
        if bits < 32 * self.lanes:
            return f"takes vectors of {32 * self.lanes} bits, the device's have {bits}"
        return super().can_run(call, device)

    def tile(self, call: LayerCall) -> Tile:
        """Return the tile in force."""
        default = self.default_tile(call)
        pixels, channels = self.tuning.get("pixels", default.pixels), self.tuning.get("channels", default.channels)
        return Tile(int(pixels), int(channels))

    def default_tile(self, call: LayerCall) -> Tile:
        """Return a tile of about 12 vectors of sums, which common processors have registers for."""
        outputs = read_geometry(call).group_outputs
        first, second = self.tiles[:2]
        wide, narrow = (-(-outputs // tile.channels) * tile.channels for tile in (first, second))
        return first if wide <= MOST_WASTE * narrow else second

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the tile."""
        return attrs.asdict(self.tile(call))

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return the tiles' sides."""
        pixels, channels = ({getattr(tile, side): None for tile in self.tiles} for side in ("pixels", "channels"))
        return (Tunable("pixels", tuple(pixels)), Tunable("channels", tuple(channels)))

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Take the tiles that are worth a try."""
        return Tile(int(tuning["pixels"]), int(tuning["channels"])) in self.tiles

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of all products, those of filled-up tiles included."""
        tile, g = self.tile(call), read_geometry(call)
        work = -(-g.pixels // tile.pixels) * tile.pixels * _panels(g, tile) * g.groups * tile.channels
        return product_seconds(
            work * math.prod(g.kernel) * g.group_inputs, self.packed_bytes(call), g.copy_values, self.rate
        )

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of the padded images."""
        return 4 * read_geometry(call).copy_values

    def packing(self, call: LayerCall) -> tuple[int, ...]:
        """Return the channels of a panel, and what else tells how weights are cut."""
        return (self.tile(call).channels, read_geometry(call).groups)

    def packed_values(self, call: LayerCall) -> Sequence[int]:
        """Return the values of whole panels and their biases."""
        tile, g = self.tile(call), read_geometry(call)
        return (_panels(g, tile) * g.groups * tile.channels * (math.prod(g.kernel) * g.group_inputs + 1),)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the same as `pack_stored`."""
        return self.pack_stored(call, HeldWeights(weights))

    def pack_stored(self, call: LayerCall, stored: StoredWeights) -> Packed:
        """Return panels [group, panel, kernel row, kernel column, channel, output] and biases in one array."""
        tile, g = self.tile(call), read_geometry(call)
        panels, width = _panels(g, tile), tile.channels
        channels, positions = weight_order(call)
        packed = zeros32(*self.packed_values(call))
        body = packed[: g.groups * panels * width * channels * positions]
        by_panel = body.reshape(g.groups, panels, positions, channels, width)
        for group, panel in np.ndindex(g.groups, panels):
            first, last = panel * width, min((panel + 1) * width, g.group_outputs)
            rows = stored.rows("weight", group * g.group_outputs + first, group * g.group_outputs + last)
            by_position = rows.reshape(last - first, channels, positions).transpose(2, 1, 0)
            by_panel[group, panel, :, :, : last - first] = by_position
        put_biases(packed[body.size :], stored, g)
        return (packed,)

    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return the padding, if there is any, and the convolution."""
        tile, g = self.tile(call), read_geometry(call)
        if not g.pixels:
            return ()
        panels = _panels(g, tile)
        tiles = -(-g.pixels // tile.pixels)
        blocks = max(1, g.pixels // BLOCK_PIXELS)
        block_tiles = -(-tiles // blocks)
        all_panels = panels * g.groups
        steps = g.steps()
        biases = all_panels * tile.channels * math.prod(g.kernel) * g.filled_depth
        if g.groups == 1 and g.dilation[1] == 1:  # the pixels of a kernel row lie side by side
            steps |= {"kernel_columns": 1, "depth": g.kernel[1] * g.filled_depth}
        globals_: Globals = {
            **steps,
            **activation(call),
            "images": g.source(),
            "weights": weight_of(),
            "out": output_of(),
            "residual": input_of(1) if adds_residual(call) else output_of(),
            "adds": int(adds_residual(call)),
            "biases": biases,
            "panels": panels,
            "all_panels": all_panels,
            "block_tiles": block_tiles,
        }
        script = Script("convolution_tile", {"PIXELS": tile.pixels, "CHANNELS": tile.channels, "LANES": self.lanes})
        return (*g.copy(), Launch(script, "convolve", globals_, -(-tiles // block_tiles) * block_tiles * all_panels))


class TileConvolution8(TileConvolution):
    """The same with vectors of eight, which RenderScript has no name for, but clang has."""

    name = "tile8"
    lanes = 8
    rate = 1.8 * PRODUCTS
    tiles = (Tile(6, 16), Tile(6, 8), Tile(4, 16))


class TileConvolution16(TileConvolution):
    """The same with vectors of sixteen."""

    name = "tile16"
    lanes = 16
    rate = 2.2 * PRODUCTS
    tiles = (Tile(6, 32), Tile(8, 16), Tile(6, 16))


class TileProduct(TileConvolution):
    """FullyConnected: images of one pixel, which has all features. After images these lie channels last.

    Tiles are wide and low: the weights, which are many, are read in long runs.
    """

    layer = "FullyConnected"
    folds = FOLDS
    tiles: ClassVar[tuple[Tile, ...]] = (Tile(2, 32), Tile(1, 32))

    def default_tile(self, call: LayerCall) -> Tile:
        """Return the largest tile that has not twice as many pixels as there are images, or more."""
        images = read_geometry(call).pixels
        return next((tile for tile in self.tiles if tile.pixels < 2 * images), self.tiles[-1])

    def takes(self, call: LayerCall) -> str:
        """Return NHWC where whole images are flattened."""
        return CHANNELS_LAST if takes_images(call) else PLAIN

    def gives(self, call: LayerCall) -> str:
        """Return the plain layout."""
        return PLAIN

    def packing(self, call: LayerCall) -> tuple[int, ...]:
        """Return the channels of a panel, and in which order the features come."""
        return (self.tile(call).channels, *weight_order(call))


class TileProduct8(TileProduct):
    """The same with vectors of eight."""

    name = "tile8"
    lanes = 8
    rate = 1.8 * PRODUCTS
    tiles = (Tile(4, 32), Tile(2, 32), Tile(1, 32))


class TileProduct16(TileProduct):
    """The same with vectors of sixteen."""

    name = "tile16"
    lanes = 16
    rate = 2.2 * PRODUCTS
    tiles = (Tile(6, 32), Tile(4, 32), Tile(2, 32), Tile(1, 32))


def _panels(g: ReadGeometry, tile: Tile) -> int:
    """Return the panels of a group."""
    return -(-g.group_outputs // tile.channels)
