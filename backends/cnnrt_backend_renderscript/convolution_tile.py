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
from cnnrt_backend_renderscript.cost_model import product_seconds
from cnnrt_backend_renderscript.program import Globals, Launch, input_of, output_of, weight_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import (
    CHANNELS_LAST,
    FOLDS,
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
    """Pixels and channels that one item computes, channels in vectors of four."""

    pixels: int
    channels: int


class TileConvolution(ScriptKernel):
    """Each value that is read meets the weights of all channels of a tile.

    In the paper's words F1F{pixels x channels}: one input at a time, so many outputs for each thread.
    """

    layer = "Convolution"
    name = "tile"
    folds: ClassVar[tuple[str, ...]] = ("Eltwise", *FOLDS)

    def tile(self, call: LayerCall) -> Tile:
        """Return the tile in force."""
        default = self.default_tile(call)
        pixels, channels = self.tuning.get("pixels", default.pixels), self.tuning.get("channels", default.channels)
        return Tile(int(pixels), int(channels))

    def default_tile(self, call: LayerCall) -> Tile:
        """Return a tile of 12 vectors of sums, which common processors have registers for: wide, or wasting less."""
        outputs = read_geometry(call).group_outputs
        wide, narrow = (-(-outputs // channels) * channels for channels in (16, 8))
        return Tile(3, 16) if wide <= MOST_WASTE * narrow else Tile(6, 8)

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the tile."""
        return attrs.asdict(self.tile(call))

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return tiles that fit the registers of some processor."""
        return (Tunable("pixels", (6, 3, 2, 1)), Tunable("channels", (8, 16, 32)))

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Take tiles of 32 to 64 values, 8 to 16 vectors: enough sums to hide latencies, few enough for registers."""
        return 32 <= int(tuning["pixels"]) * int(tuning["channels"]) <= 64

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of all products, those of filled-up tiles included."""
        tile, g = self.tile(call), read_geometry(call)
        work = -(-g.pixels // tile.pixels) * tile.pixels * _panels(g, tile) * g.groups * tile.channels
        return product_seconds(work * math.prod(g.kernel) * g.group_inputs, self.packed_bytes(call), g.copy_values)

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
        script = Script("convolution_tile", {"PIXELS": tile.pixels, "VECTORS": tile.channels // 4})
        return (*g.copy(), Launch(script, "convolve", globals_, -(-tiles // block_tiles) * block_tiles * all_panels))


class TileProduct(TileConvolution):
    """FullyConnected: images of one pixel, which has all features. After images these lie channels last."""

    layer = "FullyConnected"
    folds = FOLDS

    def default_tile(self, call: LayerCall) -> Tile:
        """Return a wide and low tile: the weights, which are many, are read in long runs."""
        return Tile(1 if read_geometry(call).pixels == 1 else 2, 32)

    def takes(self, call: LayerCall) -> str:
        """Return NHWC where whole images are flattened."""
        return CHANNELS_LAST if takes_images(call) else PLAIN

    def gives(self, call: LayerCall) -> str:
        """Return the plain layout."""
        return PLAIN

    def packing(self, call: LayerCall) -> tuple[int, ...]:
        """Return the channels of a panel, and in which order the features come."""
        return (self.tile(call).channels, *weight_order(call))


def _panels(g: ReadGeometry, tile: Tile) -> int:
    """Return the panels of a group."""
    return -(-g.group_outputs // tile.channels)
