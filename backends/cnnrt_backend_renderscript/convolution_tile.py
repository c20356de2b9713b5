"""Convolution and FullyConnected by register tiles: see `kernels/convolution_tile.rs`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import attrs
import numpy as np

from cnnrt.backend import Device, Packed, Tunable, Tuning
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import PLAIN
from cnnrt_backend_renderscript.convolution_geometry import ReadGeometry, image_order, read_geometry
from cnnrt_backend_renderscript.cost_model import product_seconds
from cnnrt_backend_renderscript.program import Globals, Launch, output_of, weight_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import CHANNELS_LAST, FOLDS, ScriptKernel, activation, flat32

if TYPE_CHECKING:
    from cnnrt_layers.fully_connected import FullyConnected

BLOCK_PIXELS = 512
"""Output pixels that go through all panels before the next ones: their inputs stay in the second cache."""


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
    folds = FOLDS

    def tile(self, call: LayerCall) -> Tile:
        """Return the tile in force."""
        pixels, channels = self.tuning.get("pixels"), self.tuning.get("channels")
        return Tile(int(pixels or self._pixels(call)), int(channels or 8))

    def _pixels(self, call: LayerCall) -> int:
        return 6 if read_geometry(call).pixels > 1 else 1

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the tile."""
        return attrs.asdict(self.tile(call))

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return tiles that fit the registers of some processor."""
        return (Tunable("pixels", (6, 4, 8)), Tunable("channels", (8, 16)))

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Take tiles of at most 96 values, 24 vectors."""
        return int(tuning["pixels"]) * int(tuning["channels"]) <= 96

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
        """Return panels [group, panel, kernel row, kernel column, channel, output] and biases in one array."""
        g = read_geometry(call)
        by_position = weights["weight"].transpose(0, 2, 3, 1).reshape(g.groups, g.group_outputs, -1)
        return self._packed(call, by_position, weights.get("bias"))

    def _packed(self, call: LayerCall, rows: Array, bias: Array | None) -> Packed:
        """Return panels of rows [group, output, depth], and biases."""
        tile, g = self.tile(call), read_geometry(call)
        panels, width = _panels(g, tile), tile.channels
        depth = rows.shape[2]
        (size,) = self.packed_values(call)
        packed = flat32(np.zeros(size, np.float32))
        body = packed[: g.groups * panels * width * depth].reshape(g.groups, panels, depth, width)
        for panel in range(panels):
            own = rows[:, panel * width : (panel + 1) * width]
            body[:, panel, :, : own.shape[1]] = own.transpose(0, 2, 1)
        if bias is not None:
            biases = packed[body.size :].reshape(g.groups, panels * width)
            biases[:, : g.group_outputs] = bias.reshape(g.groups, -1)
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

    def takes(self, call: LayerCall) -> str:
        """Return NHWC where whole images are flattened."""
        return CHANNELS_LAST if takes_images(call) else PLAIN

    def gives(self, call: LayerCall) -> str:
        """Return the plain layout."""
        return PLAIN

    def packing(self, call: LayerCall) -> tuple[int, ...]:
        """Return the channels of a panel, and in which order the features come."""
        return (self.tile(call).channels, *image_order(call))

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return panels and biases, features in the order of the values."""
        channels, positions = image_order(call)
        weight = weights["weight"]
        rows = weight.reshape(len(weight), channels, positions).transpose(0, 2, 1).reshape(1, len(weight), -1)
        return self._packed(call, rows, weights.get("bias"))


def takes_images(call: LayerCall) -> bool:
    """Tell whether a FullyConnected reads the values of whole images channels last."""
    return len(call.inputs[0].shape) == 4 and cast("FullyConnected", call.layer).axis % 4 == 1


def _panels(g: ReadGeometry, tile: Tile) -> int:
    """Return the panels of a group."""
    return -(-g.group_outputs // tile.channels)
