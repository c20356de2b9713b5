"""FullyConnected by register tiles, for devices that are processors."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence

from cnnrt.backend import Device, Packed, Tunable, Tuning
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.convolution import biases_of, panels
from cnnrt_backend_opencl.cost_model import product_seconds, values_per_second
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.fully_connected import FullyConnectedKernel, image_of, in_order
from cnnrt_backend_opencl.half_weights import BOTH_TYPES, weight_bytes, weight_defines, weight_type
from cnnrt_backend_opencl.kernel import Input, Launch, Output, Weight
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines

LANES = 8
TILES = {1: 8, 2: 4, 3: 3, 4: 3, 6: 2}
"""Vectors of outputs by images at a time: as many sums as hide the latency of a multiply-add, and fit the registers."""
MOST_IMAGES = 48
"""Of a work-item: their sums stay in the first cache."""
BLOCK = 256


class TileFullyConnected(FullyConnectedKernel):
    """Panels of weights, each read from memory once for up to `MOST_IMAGES` images."""

    name = "tile"
    source = "fully_connected_tile.cl"
    weight_types = BOTH_TYPES

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline devices other than processors, and what cannot be counted in 32 bits."""
        if not limits_of(device).cpu:
            return "fits processors, which compute vectors in one work-item"
        return super().can_run(call, device)

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of the products, or of reading the weights."""
        images = math.prod(call.outputs[0].shape[:-1])
        reading = self.packed_bytes(call) / 4 / values_per_second(device) * -(-images // MOST_IMAGES)
        return max(product_seconds(device, call.cost.flops / 1.4), reading / 2)

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return images at a time."""
        return {"images": self._rows(call)}

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return how many images share a weight that was loaded."""
        return (Tunable("images", tuple(TILES)),)

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Tell whether there are as many images, and as many vectors of outputs."""
        rows = int(tuning["images"])
        outputs = call.weights["weight"].shape[0]
        return rows <= math.prod(call.outputs[0].shape[:-1]) and (TILES[rows] - 1) * LANES < outputs

    def outputs_together(self, call: LayerCall) -> int:
        """Return the width of a panel."""
        return self._panel(call)

    def packing(self, call: LayerCall) -> Hashable:
        """Return the width of a panel, and the image whose values come channels last."""
        return self._panel(call), image_of(call)

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole panels and biases."""
        outputs, features = call.weights["weight"].shape
        panel = self._panel(call)
        filled = -(-outputs // panel) * panel
        return weight_bytes(call, filled * features) + 4 * filled

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return panels [panel][feature][output], and biases."""
        panel = self._panel(call)
        matrix = in_order(call, weights["weight"])
        return panels(matrix, 1, panel, weight_type(call)), biases_of(weights, len(matrix), 1, panel)

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the tile and what is folded in."""
        rows = self._rows(call)
        return {
            **folded_defines(call),
            **weight_defines(call),
            "LANES": LANES,
            "VECTORS": TILES[rows],
            "ROWS": rows,
            "IMAGES": self._block(call),
            "BLOCK": BLOCK,
        }

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: panels × blocks of images."""
        images = math.prod(call.outputs[0].shape[:-1])
        outputs, features = call.weights["weight"].shape
        size = (-(-outputs // self._panel(call)), -(-images // self._block(call)))
        return [Launch("tile", size, (1, 1), (Input(), Weight(0), Weight(1), Output(), images, features, outputs))]

    def _rows(self, call: LayerCall) -> int:
        images = math.prod(call.outputs[0].shape[:-1])
        most = max(1, min(images, 4))
        return int(self.tuning.get("images", most))

    def _panel(self, call: LayerCall) -> int:
        return TILES[self._rows(call)] * LANES

    def _block(self, call: LayerCall) -> int:
        """Return the most images of a work-item: those at a time, and a power of two, so that few programs do."""
        images, rows = math.prod(call.outputs[0].shape[:-1]), self._rows(call)
        blocks = max(1, -(-images // MOST_IMAGES))
        times = -(-max(1, -(-images // blocks)) // rows)
        return min(rows << (times - 1).bit_length(), -(-MOST_IMAGES // rows) * rows)
