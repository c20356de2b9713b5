"""Convolution by register tiles, for devices that are processors."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

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
)
from cnnrt_backend_opencl.cost_model import pass_seconds, product_seconds
from cnnrt_backend_opencl.folding import folded_defines
from cnnrt_backend_opencl.half_weights import BOTH_TYPES, weight_bytes, weight_defines, weight_type
from cnnrt_backend_opencl.kernel import Input, Launch, Weight, Workspace
from cnnrt_backend_opencl.limits import limits_of
from cnnrt_backend_opencl.sources import Defines
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry

PIXELS, VECTORS, LANES = 6, 2, 8
"""Twelve sums of eight floats, two vectors of weights and one input: all that sixteen registers hold."""
ITEM_OPERATIONS = 1 << 19
"""Multiply-adds that are worth a work-item, about."""
ITEMS = 16
"""Least work-items for each compute unit, so that all end at about the same time."""
SHORT_RUN = 32
"""Inputs in a row of memory below which a tap's overhead shows: then whole rows of the kernel are read from a copy."""


class TileConvolution(ConvolutionKernel):
    """Sums in registers, weights in panels. Images with few channels are copied with their padding first."""

    name = "tile"
    source = "convolution_tile.cl"
    weight_types = BOTH_TYPES

    def takes_sizes(self, g: ConvolutionGeometry, device: Device) -> str:
        """Decline devices other than processors: their vectors are not for one work-item."""
        return "" if limits_of(device).cpu else "fits processors, which compute vectors in one work-item"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of whole panels and tiles, and of the copy."""
        g = convolution_geometry(call)
        panel = self._tile(g)[1] * LANES
        outputs = g.groups * -(-g.group_outputs // panel) * panel
        # Nearer to the peak than most: sums and weights never leave the registers. An item's set-up costs some 30 rows.
        seconds = product_seconds(device, 2 * outputs * pixels_of(g) * (g.depth + 30) / 1.6)
        return seconds + (pass_seconds(device, self.workspace(call) // 2) if self.workspace(call) else 0.0)

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the tile."""
        pixels, vectors = self._tile(convolution_geometry(call))
        return {"pixels": pixels, "vectors": vectors, "copied": int(self._copied(convolution_geometry(call)))}

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return the shape of the tile, and whether a padded copy is made."""
        return (Tunable("pixels", (6, 4, 5, 12)), Tunable("vectors", (2, 3, 1)), Tunable("copied", (0, 1)))

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Tell whether the tile fits the registers, and the copy is of use."""
        g = convolution_geometry(call)
        pixels, vectors, copied = (int(tuning[name]) for name in ("pixels", "vectors", "copied"))
        if copied and (g.groups > 1 or g.dilation[1] > 1):
            return False
        return 8 <= pixels * vectors <= 12 and (vectors - 1) * LANES < g.group_outputs

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of the padded copy."""
        g = convolution_geometry(call)
        rows, columns = _padded_size(g)
        return 4 * g.images * rows * columns * g.inputs if self._pads(g) else 0

    def packing(self, call: LayerCall) -> Hashable:
        """Return the width of a panel, the groups, and the zeros that follow the biases."""
        g = convolution_geometry(call)
        return self._tile(g)[1], g.groups, self._run(g)

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole panels, of biases and zeros."""
        g = convolution_geometry(call)
        panel = self._tile(g)[1] * LANES
        outputs = g.groups * -(-g.group_outputs // panel) * panel
        return weight_bytes(call, outputs * g.depth) + 4 * (outputs + self._run(g))

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return panels; biases, and zeros for what lies outside of the image."""
        g = convolution_geometry(call)
        panel = self._tile(g)[1] * LANES
        biases = biases_of(weights, g.outputs, g.groups, panel, zeros=self._run(g))
        dtype = weight_type(call)
        return panels(channels_last(weights["weight"], dtype), g.groups, panel, dtype), biases

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return the tile and what is folded in."""
        pixels, vectors = self._tile(convolution_geometry(call))
        return {**folded_defines(call), **weight_defines(call), "LANES": LANES, "PIXELS": pixels, "VECTORS": vectors}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return the copy, where there is one, and tiles × panels; neighbours share a panel."""
        g = convolution_geometry(call)
        pixels, vectors = self._tile(g)
        tiles = self._tiles(g, device)
        size = (-(-pixels_of(g) // (pixels * tiles)), g.groups * -(-g.group_outputs // (vectors * LANES)))
        found = []
        source: Input | Workspace = Input()
        before, image = g.before, g.input_size
        if self._pads(g):
            copy = _padded_size(g)
            numbers = (g.inputs, *image, *before, *copy)
            found.append(Launch("pad", (g.images * copy[0],), (1,), (Input(), Workspace(), *numbers)))
            source, before, image = Workspace(), (0, 0), copy
        run = self._run(g)
        taps = g.kernel[1] * g.group_inputs // run
        channels = (g.group_inputs, g.group_outputs, g.groups)
        sizes = (*channels, *image, *g.output_size, g.kernel[0], *g.stride, *g.dilation, *before)
        buffers = (source, Weight(0), Weight(1), *result_buffers(call))
        return [*found, Launch("tile", size, (1, 1), (*buffers, tiles, pixels_of(g), taps, run, *sizes))]

    def _tile(self, g: ConvolutionGeometry) -> tuple[int, int]:
        vectors = int(self.tuning.get("vectors", VECTORS if g.group_outputs > LANES else 1))
        return int(self.tuning.get("pixels", PIXELS if vectors > 1 else 2 * PIXELS)), vectors

    def _tiles(self, g: ConvolutionGeometry, device: Device) -> int:
        """Return how many tiles a work-item computes one after the other."""
        pixels, vectors = self._tile(g)
        worth = ITEM_OPERATIONS // (g.depth * pixels * vectors * LANES)
        count = g.groups * -(-g.group_outputs // (vectors * LANES))
        share = g.output_size[0] * g.output_size[1] // pixels * count // (ITEMS * limits_of(device).compute_units)
        return max(1, min(worth, share * max(1, g.images), 64))

    def _copied(self, g: ConvolutionGeometry) -> bool:
        """Tell whether a row of the kernel is read as one run: from a padded copy, or where nothing is padded."""
        default = g.group_inputs < SHORT_RUN and g.kernel[1] > 1 and g.groups == 1 and g.dilation[1] == 1
        return bool(self.tuning.get("copied", int(default)))

    def _run(self, g: ConvolutionGeometry) -> int:
        """Return how many inputs lie in one run of memory."""
        return g.group_inputs * (g.kernel[1] if self._copied(g) else 1)

    def _pads(self, g: ConvolutionGeometry) -> bool:
        return self._copied(g) and g.padded


def _padded_size(g: ConvolutionGeometry) -> tuple[int, int]:
    """Return the sides of the copy: what windows meet, and at least the image."""
    rows, columns = (max(g.seen[i], g.before[i] + g.input_size[i]) for i in (0, 1))
    return rows, columns
