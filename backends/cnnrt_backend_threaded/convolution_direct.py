"""Convolution as it is defined: tiles of neighbouring pixels, one kernel position after the other, no copy of windows.

The input's channels lie side by side, so for each row of the kernel a pixel's inputs are one run of memory (one group,
no dilation). Where windows meet padding, the rows that a unit needs are copied into the workspace with their padding,
once for all outputs. A 1×1 kernel on whole images is a matrix product of all pixels of the batch; where its pixels are
multiples of 4096 bytes apart, a unit's are copied as well, a cache line further apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.backend import Device, Packed, StoredWeights, Tunable, Tuning
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.stored_weights import HeldWeights
from cnnrt_backend_threaded.cost_model import product_seconds
from cnnrt_backend_threaded.emitter import FLOATS, I64, Code, Index, Value
from cnnrt_backend_threaded.machine_code import CodeRequest
from cnnrt_backend_threaded.native_kernel import (
    FOLDS_WITH_SUM,
    WritesPixels,
    adds_residual,
    apply_folded,
    pitch_of,
)
from cnnrt_backend_threaded.packing_code import packing_request
from cnnrt_backend_threaded.register_tile import ALL_VECTORS, Tile, add_products, choose_tile
from cnnrt_backend_threaded.target import Machine
from cnnrt_backend_threaded.weight_packing import common_lanes, pack_panels, rows_bytes
from cnnrt_layers.convolution_geometry import ConvolutionGeometry, convolution_geometry

LINE = 16
"""Floats of a cache line."""
SLAB_SHARE = 7 / 16
"""Of the second cache, for the rows that a unit reads, if possible: panels of weights pass through the rest."""
WAYS, WAY_BYTES = 8, 4096
"""Of the first cache: lines that are multiples of `WAY_BYTES` apart share `WAYS` places."""
UNITS_PER_THREAD = 4
"""At least so many, if there is anything to cut: a thread that is held up leaves its last units to the others."""


@attrs.frozen
class DirectPlan:
    """How one call is cut.

    - `geometry`: the call's, or that of the equal matrix product.
    - `tile`; `panels`: panels of weights in a group; `row_blocks`: parts of an image's rows; `parts`: of the panels.
    - `slab_rows`, `slab_columns`: the copy; 0: the input is read where it is. `pitch`: floats from pixel to pixel.
    """

    geometry: ConvolutionGeometry
    tile: Tile
    panels: int
    row_blocks: int
    parts: int
    slab_rows: int
    slab_columns: int
    pitch: int
    cycles: float

    @property
    def units(self) -> int:
        """Units of work: parts × images × blocks of rows, in this order."""
        return self.parts * self.geometry.images * self.row_blocks

    @property
    def slab_floats(self) -> int:
        """The values of one thread's slab, whole cache lines."""
        return -(-self.slab_rows * self.slab_columns * self.pitch // 16) * 16


class DirectConvolution(WritesPixels):
    """Any convolution."""

    layer = "Convolution"
    name = "direct"
    folds = FOLDS_WITH_SUM

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of its multiply-adds, or of reading its weights."""
        p = self.plan(call)
        tiles = p.cycles * p.geometry.groups * p.geometry.images
        return product_seconds(self.machine, 2 * tiles * p.geometry.depth, self.packed_bytes(call))

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return the tile and how the work is cut."""
        p = self.plan(call)
        return {
            "tile": f"{p.tile.rows}×{p.tile.columns} pixels × {p.tile.vectors * self.machine.target.lanes} outputs",
            "row_blocks": p.row_blocks,
            "output_parts": p.parts,
        }

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return the vectors of outputs in a tile; for each the cost model chooses the pixels."""
        return (Tunable("tile_vectors", ALL_VECTORS),)

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Tell whether it is another tile than the default."""
        return self.tuned(tuning).plan(call).tile != self.tuned({}).plan(call).tile

    def plan(self, call: LayerCall) -> DirectPlan:
        """Return how a call is cut."""
        fixed = self.tuning.get("tile_vectors")
        return plan(call, self.machine, ALL_VECTORS if fixed is None else (int(fixed),))

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of a slab for each thread."""
        return 4 * self.plan(call).slab_floats * self.machine.cores

    def packing(self, call: LayerCall) -> int:
        """Return the vectors of a panel, which depend on the size of the image."""
        return self.plan(call).tile.vectors

    def packed_arrays(self, call: LayerCall) -> int:
        """Return 2: panels and biases."""
        return 2

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole panels."""
        p = self.plan(call)
        outputs = p.geometry.groups * p.panels * p.tile.vectors * self.machine.target.lanes
        return 4 * outputs * (p.geometry.depth + 1)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the same as `pack_stored`."""
        return self.pack_stored(call, HeldWeights(weights))

    def pack_stored(self, call: LayerCall, stored: StoredWeights) -> Packed:
        """Return panels [group, panel, kernel row, kernel column, input, output] and biases, outputs filled up by 0."""
        p = self.plan(call)
        g, outputs = p.geometry, p.tile.vectors * self.machine.target.lanes
        packed, biases = pack_panels(stored, g.groups, g.group_inputs, math.prod(g.kernel), outputs, self.machine.cores)
        return packed.reshape(g.groups, p.panels, *g.kernel, g.group_inputs, outputs), biases

    def packing_bytes(self, call: LayerCall, slices: int) -> int:
        """Return the bytes of the rows that each thread reads at a time."""
        p = self.plan(call)
        outputs = p.tile.vectors * self.machine.target.lanes
        return rows_bytes(p.geometry.depth, outputs, p.panels, self.machine.cores)

    def packing_code(self, call: LayerCall) -> Sequence[CodeRequest]:
        """Return the code that fills panels."""
        return (packing_request(common_lanes(self.plan(call).tile.vectors * self.machine.target.lanes)),)

    def units(self, call: LayerCall) -> int:
        """Return the parts of the panels × images × blocks of rows."""
        return self.plan(call).units if np.prod(call.outputs[0].shape, dtype=object) else 0

    def emit(self, call: LayerCall, code: Code) -> None:
        """Copy a unit's rows where they need padding; then, panel after panel, go over them tile by tile."""
        p = self.plan(call)
        g = p.geometry
        images, *added, out, weights, biases, workspace = code.arguments(5 + adds_residual(call))
        slab = code.at(workspace, code.mul(code.thread, p.slab_floats))
        width = p.slab_columns or g.input_size[1]
        compute = _tile_function(call, code, p, width)
        outputs = p.tile.vectors * code.lanes
        height, columns = g.output_size

        with code.loop(code.first, code.last) as unit:
            part, image, block = code.split(unit, g.images, p.row_blocks)
            first_row = code.divide(code.mul(block, height), p.row_blocks)
            end_row = code.divide(code.mul(code.add(block, 1), height), p.row_blocks)
            pixels = code.mul(image, g.input_size[0] * g.input_size[1])
            source, origin = code.at(images, code.mul(pixels, g.inputs)), 0
            if p.slab_rows:
                _fill_slab(code, p, source, slab, first_row, end_row)
                source, origin = slab, first_row
            panels = g.groups * p.panels
            first_panel = code.divide(code.mul(part, panels), p.parts)
            end_panel = code.divide(code.mul(code.add(part, 1), panels), p.parts)
            with code.loop(first_panel, end_panel) as panel:
                group, number = code.split(panel, p.panels)
                panel_weights = code.at(weights, code.mul(panel, g.depth * outputs))
                panel_biases = code.at(biases, code.mul(panel, outputs))
                first_output = code.add(code.mul(group, g.group_outputs), code.mul(number, outputs))
                with code.loop(first_row, end_row, p.tile.rows) as at_row, code.loop(0, columns, p.tile.columns) as at:
                    # The last tile of a block, or of a row, overlaps the one before it: the same values once more.
                    row = at_row if p.tile.rows == 1 else code.smaller(at_row, code.sub(end_row, p.tile.rows))
                    column = at if columns % p.tile.columns == 0 else code.smaller(at, columns - p.tile.columns)
                    above = code.mul(code.sub(row, origin), g.stride[0] * width)
                    seen = code.mul(code.add(above, code.mul(column, g.stride[1])), p.pitch)
                    pixel = code.add(code.mul(code.add(code.mul(image, height), row), columns), column)
                    place = code.add(code.mul(pixel, pitch_of(call)), first_output)
                    code.call(
                        compute,
                        code.at(source, code.add(seen, code.mul(group, g.group_inputs))),
                        panel_weights,
                        panel_biases,
                        number,
                        *(code.at(image, place) for image in (out, *added)),
                    )


def plan(call: LayerCall, machine: Machine, vectors: Sequence[int] = ALL_VECTORS) -> DirectPlan:
    """Return how a call is cut for a machine, by a tile of as many vectors as one of these."""
    g = as_matrix_product(convolution_geometry(call))
    height, columns = g.output_size
    tile, cycles = choose_tile(machine.target, max(height, 1), max(columns, 1), g.group_outputs, vectors)
    panels = -(-g.group_outputs // (tile.vectors * machine.target.lanes))

    row_bytes = 4 * g.seen[1] * g.inputs
    fitting = max(
        tile.rows, (int(SLAB_SHARE * machine.second_cache) // max(row_bytes, 1) - g.reach(1, 0)) // g.stride[0] + 1
    )
    most_blocks = max(1, height // tile.rows)
    row_blocks = min(most_blocks, max(1, -(-height // fitting)))
    parts = 1
    wanted = UNITS_PER_THREAD * machine.cores
    if machine.cores > 1 and g.images * row_blocks < wanted:
        weight_bytes = 4 * g.groups * panels * tile.vectors * machine.target.lanes * g.depth
        if weight_bytes <= row_bytes * g.seen[0] * g.images:
            row_blocks = max(row_blocks, min(most_blocks, -(-wanted // max(g.images, 1))))
        parts = min(g.groups * panels, -(-wanted // max(g.images * row_blocks, 1)))
        if g.images * row_blocks * parts < machine.cores:  # few outputs: each thread reads all weights
            row_blocks = min(most_blocks, -(-machine.cores // max(g.images * parts, 1)))
    elif g.images == 1:  # few large units: as many for each thread
        row_blocks = min(most_blocks, -(-row_blocks // machine.cores) * machine.cores)
    pitch = g.inputs + LINE if _compete(g, tile) else g.inputs
    copied = g.padded or pitch > g.inputs
    slab = (g.reach(-(-height // row_blocks), 0), g.seen[1]) if copied else (0, 0)
    return DirectPlan(g, tile, panels, row_blocks, parts, *slab, pitch, cycles)


def _compete(g: ConvolutionGeometry, tile: Tile) -> bool:
    """Tell whether a matrix product's pixels lie so far apart that a tile's do not fit the first cache together."""
    product = g.kernel == (1, 1) and g.seen[1] == g.input_size[1] == 1
    return product and tile.pixels > WAYS * WAY_BYTES // math.gcd(4 * g.inputs, WAY_BYTES)


def as_matrix_product(g: ConvolutionGeometry) -> ConvolutionGeometry:
    """Return a 1×1 convolution of whole images as one of a single image, one pixel wide; others as they are."""
    if g.kernel != (1, 1) or g.stride != (1, 1) or g.padded or g.input_size != g.output_size:
        return g
    pixels = g.images * g.input_size[0] * g.input_size[1]
    return attrs.evolve(g, images=1, input_size=(pixels, 1), output_size=(pixels, 1), dilation=(1, 1))


def _fill_slab(code: Code, p: DirectPlan, source: Value, slab: Value, first_row: Index, end_row: Index) -> None:
    """Copy the rows that the windows of these output rows meet, with their padding; pixel by pixel apart as planned."""
    g = p.geometry
    channels, width = g.inputs, p.slab_columns
    left = min(g.before[1], width)
    middle = max(0, min(g.input_size[1], width - left))
    right = width - left - middle
    top = code.sub(code.mul(first_row, g.stride[0]), g.before[0])
    rows = code.add(code.mul(code.sub(code.sub(end_row, first_row), 1), g.stride[0]), g.reach(1, 0))
    with code.loop(0, rows) as row:
        line = code.at(slab, code.mul(row, width * p.pitch))
        image_row = code.add(top, row)

        def copy() -> None:
            if left:
                code.clear(line, left * channels)
            if middle:
                start = code.at(source, code.mul(image_row, g.input_size[1] * channels))
                code.copy(code.at(line, left * channels), start, middle * channels)
            if right:
                code.clear(code.at(line, (left + middle) * channels), right * channels)

        def clear() -> None:
            code.clear(line, width * channels)

        code.choose(code.inside(image_row, g.input_size[0]), copy, clear)


def _tile_function(call: LayerCall, code: Code, p: DirectPlan, width: int) -> Value:
    """Define the function that computes one tile: (inputs, weights, biases, number of the panel, outputs).

    Where a residual is added, it comes last.
    """
    g, tile = p.geometry, p.tile
    lanes, vectors = code.lanes, tile.vectors
    row_stride = width * p.pitch
    offsets = [
        r * g.stride[0] * row_stride + c * g.stride[1] * p.pitch for r in range(tile.rows) for c in range(tile.columns)
    ]
    joined = g.groups == 1 and g.dilation[1] == 1  # the inputs of a row of the kernel are neighbours
    taps, depth = (1, g.kernel[1] * g.inputs) if joined else (g.kernel[1], g.group_inputs)

    def body(inputs: Value, weights: Value, biases: Value, panel: Value, out: Value, *added: Value) -> None:
        start = [code.load(biases, v * lanes, aligned=True) for v in range(vectors)] * tile.pixels

        def kernel_row(r: Index, sums: list[Value]) -> list[Value]:
            def kernel_column(s: Index, inner: list[Value]) -> list[Value]:
                step = code.mul(r, g.dilation[0] * row_stride)
                seen = code.at(inputs, code.add(step, code.mul(s, g.dilation[1] * p.pitch)))
                place = code.mul(code.add(code.mul(r, taps), s), depth * vectors * lanes)
                return add_products(code, seen, offsets, code.at(weights, place), vectors, depth, inner)

            return code.accumulate(0, taps, sums, kernel_column)

        sums = code.accumulate(0, g.kernel[0], start, kernel_row)

        def store(outputs: int) -> None:
            for pixel in range(tile.pixels):
                place = (pixel // tile.columns * g.output_size[1] + pixel % tile.columns) * pitch_of(call)
                for v in range(vectors):
                    count = min(lanes, outputs - v * lanes)
                    if count > 0:
                        residual = [code.load(image, place + v * lanes, count) for image in added]
                        result = apply_folded(call, code, sums[pixel * vectors + v], *residual)
                        code.store(result, out, place + v * lanes, count)

        left_over = g.group_outputs - (p.panels - 1) * vectors * lanes
        if left_over == vectors * lanes:
            store(vectors * lanes)
        else:
            code.choose(code.less(panel, p.panels - 1), lambda: store(vectors * lanes), lambda: store(left_over))

    images = [FLOATS] * (1 + adds_residual(call))
    return code.function("tile", [FLOATS, FLOATS, FLOATS, I64, *images], body)
