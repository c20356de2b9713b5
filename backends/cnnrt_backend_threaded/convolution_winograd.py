"""Convolution by Winograd's minimal filtering: fewer multiplications, 2.25 for each output of 3×3 instead of 9.

A unit is a block of tiles, each of m × m outputs. Their inputs are transformed and kept position by position; then,
panel after panel of the weights, each position is a matrix product, whose results are transformed back, with bias and
ReLU. Tiles that reach over an edge go through a patch. `winograd_plan.py` says how strides fall into phases, and how
images share tiles.

Rounding errors grow by the transforms: `error_factor` states the bound, in units of that of a plain sum of products.
With points 0, ±3/4, ±3/2 they are a few times smaller than with 0, ±1, ±2; sums over channels are made in blocks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import ClassVar

import numpy as np

from cnnrt.backend import Device, Packed, Tunable, Tuning
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.aligned import aligned_floats
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
from cnnrt_backend_threaded.register_tile import add_products, cycles
from cnnrt_backend_threaded.weight_packing import common_lanes, for_each
from cnnrt_backend_threaded.winograd_packing import transform_panel, transform_request
from cnnrt_backend_threaded.winograd_plan import CACHE_PERCENT, VECTORS, WinogradPlan, plan_blocks
from cnnrt_backend_threaded.winograd_tiles import place_of, read_tile, write_tile
from cnnrt_backend_threaded.winograd_transform import apply_both_ways
from cnnrt_layers.convolution_geometry import convolution_geometry
from cnnrt_layers.winograd_matrices import Filtering, matrices

BLOCK = 128
"""Channels whose products are summed up in one go."""
CALL_CYCLES = 20
"""Cycles of a matrix product beside its multiply-adds and stores."""
FORWARD, BACKWARD = 14.0, 10.0
"""Instructions for each vector and position of the transforms of inputs and products: measured, spills included."""
SHARED_BYTES = 40e9
"""Bytes of weights a second that come from the third cache."""


class WinogradConvolution(WritesPixels):
    """A square kernel of `filtering.taps`, one step at a time."""

    layer = "Convolution"
    folds = FOLDS_WITH_SUM
    filtering: ClassVar[Filtering]
    error_factor: ClassVar[float]

    def error_bound(self, plain: Array) -> Array:
        """Return the largest bound in an image's channel, times `error_factor`.

        Each output is a sum over its whole tile, in which what is not its own cancels out, but for rounding errors.
        """
        most = plain.max(axis=(2, 3), keepdims=True) if plain.size else plain
        return np.broadcast_to(self.error_factor * most, plain.shape)

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True for a square kernel that falls into phases of so many taps, without dilation."""
        g = convolution_geometry(call)
        taps, stride = self.filtering.taps, g.stride[0]
        if g.dilation != (1, 1) or g.stride != (stride, stride):
            return "the kernel is dilated, or the strides down and across differ"
        if g.kernel[0] != g.kernel[1] or -(-g.kernel[0] // stride) != taps:
            phases = f" with a stride of {stride}" if stride > 1 else ""
            return f"the kernel is {g.kernel[0]}×{g.kernel[1]}{phases}, not one of {taps}×{taps} taps"
        if stride > 1 and g.groups > 1:
            return "there are a stride and groups"
        return True

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of the products and transforms, or of reading the weights, and again for each block."""
        p = self.plan(call)
        g, lanes = p.geometry, self.machine.target.lanes
        tiles = -(-p.block // p.rows) * p.blocks
        product = cycles(p.rows, VECTORS) * p.depth + p.rows * VECTORS + CALL_CYCLES
        work = 2.0 * g.groups * p.positions * tiles * p.panels * product
        transforms = FORWARD * -(-p.run // lanes) * p.stride * p.parts + BACKWARD * p.panels * VECTORS
        work += transforms * p.positions * p.all_tiles * g.groups
        weights = self.packed_bytes(call)
        again = max(p.blocks - 1, 0)
        return product_seconds(self.machine, work, weights) + weights * again / SHARED_BYTES

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return how the work is cut."""
        p = self.plan(call)
        grid = f"{p.mosaic.down}×{p.mosaic.across}"
        return {"tiles": p.all_tiles, "images_together": grid, "tiles_of_a_block": p.block, "output_parts": p.parts}

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return how much of the second cache a block of tiles may fill: others than the default."""
        return (Tunable("cache_percent", (25, 100, 200)),)

    def allows(self, call: LayerCall, tuning: Tuning) -> bool:
        """Tell whether it cuts the work otherwise than the default does."""
        return self.tuned(tuning).plan(call).block != self.tuned({}).plan(call).block

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of transformed inputs, products and a patch for each thread."""
        return 4 * self.plan(call).workspace * self.machine.cores

    def packed_arrays(self, call: LayerCall) -> int:
        """Return 2: transformed weights and biases."""
        return 2

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole panels of transformed weights."""
        p = self.plan(call)
        outputs = p.geometry.groups * p.panels * p.outputs
        return 4 * outputs * (p.positions * p.depth + 1)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return G w G' as [group, panel, position, phase and input, output], computed in float64, and biases."""
        p = self.plan(call)
        g = p.geometry
        packed = aligned_floats((g.groups, p.panels, p.positions, p.depth, p.outputs))
        biases = aligned_floats((g.groups, p.panels, p.outputs))
        biases[...] = 0
        by_group = weights["weight"].reshape(g.groups, g.group_outputs, g.group_inputs, *g.kernel)
        if "bias" in weights:
            biases.reshape(g.groups, -1)[:, : g.group_outputs] = weights["bias"].reshape(g.groups, -1)

        def transform(place: tuple[int, int]) -> None:
            group, panel = place
            chosen = _phases(by_group[group, panel * p.outputs : (panel + 1) * p.outputs], p.stride)
            transform_panel(self.filtering, chosen, packed[group, panel])

        places = [(group, panel) for group in range(g.groups) for panel in range(p.panels)]
        for_each(transform, places, self.machine.cores, packed.nbytes)
        return packed, biases

    def packing_code(self, call: LayerCall) -> Sequence[CodeRequest]:
        """Return the code that fills panels and transforms them."""
        lanes = common_lanes(self.plan(call).outputs)
        return packing_request(lanes), transform_request(self.filtering, lanes)

    def units(self, call: LayerCall) -> int:
        """Return parts of the panels × blocks of tiles."""
        p = self.plan(call)
        return p.parts * p.blocks if p.all_tiles else 0

    def plan(self, call: LayerCall) -> WinogradPlan:
        """Return how a call is cut."""
        percent = int(self.tuning.get("cache_percent", CACHE_PERCENT))
        return plan_blocks(convolution_geometry(call), self.filtering, self.machine, percent)

    def emit(self, call: LayerCall, code: Code) -> None:
        """Transform a block's inputs; for each panel multiply position by position and transform back."""
        p = self.plan(call)
        g = p.geometry
        images, *added, out, weights, biases, workspace = code.arguments(5 + adds_residual(call))
        transformed = code.at(workspace, code.mul(code.thread, p.workspace))
        products = code.at(transformed, p.transformed)
        patch = code.at(products, p.products)
        forward = _input_function(code, p, self.filtering)
        multiply = _product_function(code, p)
        backward = _output_function(call, code, p, self.filtering)

        with code.loop(code.first, code.last) as unit:
            part, block = code.split(unit, p.blocks)
            first_tile = code.divide(code.mul(block, p.all_tiles), p.blocks)
            end_tile = code.divide(code.mul(code.add(block, 1), p.all_tiles), p.blocks)
            count = code.sub(end_tile, first_tile)
            first_panel = code.divide(code.mul(part, p.panels), p.parts)
            end_panel = code.divide(code.mul(code.add(part, 1), p.panels), p.parts)
            with code.loop(0, g.groups) as group:
                with code.loop(0, count) as number:
                    place = place_of(code, p, self.filtering, code.add(first_tile, number))
                    target = code.at(transformed, code.mul(number, p.input_row))
                    read_tile(code, p, self.filtering, place, images, group, patch, target, forward)
                with code.loop(first_panel, end_panel) as panel:
                    chosen = code.add(code.mul(group, p.panels), panel)
                    size = p.depth * p.outputs
                    panel_weights = code.at(weights, code.mul(chosen, p.positions * size))
                    with code.loop(0, p.positions) as position, code.loop(0, count, p.rows) as at:
                        # The last rows overlap those before; a block of fewer rows computes some that nobody reads.
                        row = code.larger(code.smaller(at, code.sub(count, p.rows)), 0)
                        line = code.add(code.mul(position, p.block), row)
                        code.call(
                            multiply,
                            code.at(transformed, code.mul(line, p.input_row)),
                            code.at(panel_weights, code.mul(position, size)),
                            code.at(products, code.mul(line, p.outputs)),
                        )
                    panel_biases = code.at(biases, code.mul(chosen, p.outputs))
                    with code.loop(0, count) as number:
                        place = place_of(code, p, self.filtering, code.add(first_tile, number))
                        source = code.at(products, code.mul(number, p.outputs))
                        finish = backward, source, panel_biases
                        target = (out, *added), pitch_of(call)
                        write_tile(code, p, self.filtering, place, target, group, panel, finish, patch)


class WinogradTwo(WinogradConvolution):
    """F(4×4, 2×2): 25 products for 16 outputs, which take 64; of 3×3 with a stride of 2, 100 instead of 144."""

    name = "winograd4x2"
    error_factor = 3.0
    filtering = Filtering(4, 2, tuple(Fraction(n, 8) for n in (3, -3, 10, -10)))


class WinogradThreeSmall(WinogradConvolution):
    """F(2×2, 3×3): 16 products for 4 outputs, which take 36; for images that fill larger tiles badly."""

    name = "winograd2x3"
    error_factor = 1.0
    filtering = Filtering(2, 3, (Fraction(0), Fraction(1), Fraction(-1)))


class WinogradThree(WinogradConvolution):
    """F(4×4, 3×3): 36 products for 16 outputs, which take 144."""

    name = "winograd4x3"
    error_factor = 3.0
    filtering = Filtering(4, 3, tuple(Fraction(n, 4) for n in (0, 3, -3, 6, -6)))


class WinogradFour(WinogradConvolution):
    """F(4×4, 4×4): 49 products for 16 outputs, which take 256."""

    name = "winograd4x4"
    error_factor = 4.0
    filtering = Filtering(4, 4, tuple(Fraction(n, 8) for n in (3, -3, 7, -7, 14, -14)))


class WinogradFive(WinogradConvolution):
    """F(3×3, 5×5): 49 products for 9 outputs, which take 225."""

    name = "winograd3x5"
    error_factor = 4.0
    filtering = Filtering(3, 5, tuple(Fraction(n, 8) for n in (3, -3, 7, -7, 14, -14)))


def _phases(weight: Array, stride: int) -> Array:
    """Return (outputs, inputs, rows, columns) as (outputs, phases and inputs, taps, taps).

    Phases are counted row by row; taps that the kernel lacks are 0.
    """
    outputs, inputs, size, _ = weight.shape
    taps = -(-size // stride)
    whole = np.zeros((outputs, inputs, taps * stride, taps * stride), np.float32)
    whole[:, :, :size, :size] = weight
    by_phase = whole.reshape(outputs, inputs, taps, stride, taps, stride).transpose(0, 3, 5, 1, 2, 4)
    return by_phase.reshape(outputs, stride * stride * inputs, taps, taps)


def _input_function(code: Code, p: WinogradPlan, filtering: Filtering) -> Value:
    """Define B' d B for one row phase of a tile: (inputs, row stride, pixel stride, transformed)."""
    side = filtering.products
    matrix = matrices(filtering).input
    channels = p.run

    def body(inputs: Value, row_stride: Value, pixel_stride: Value, target: Value) -> None:
        # Whole vectors are stored: behind the last values come zeros, which the next phase overwrites, or a gap.
        def vector(first: Index, count: int | None) -> None:
            block = []
            for i in range(side):
                line = code.add(code.mul(row_stride, i), first)
                block.append([code.load(inputs, code.add(line, code.mul(pixel_stride, j)), count) for j in range(side)])
            for i, row in enumerate(apply_both_ways(code, matrix, block)):
                for j, value in enumerate(row):
                    code.store(value, target, code.add(first, (i * side + j) * p.block * p.input_row))

        whole = channels - channels % code.lanes
        with code.loop(0, whole, code.lanes) as first:
            vector(first, None)
        if channels % code.lanes:
            vector(whole, channels % code.lanes)

    return code.function("forward", [FLOATS, I64, I64, FLOATS], body)


def _product_function(code: Code, p: WinogradPlan) -> Value:
    """Define the product of some tiles and a panel at one position: (inputs, weights, products)."""
    offsets = [row * p.input_row for row in range(p.rows)]
    depth = p.depth

    def body(inputs: Value, weights: Value, out: Value) -> None:
        zeros = [code.zero()] * (p.rows * VECTORS)

        def block(first: Index, size: int, added: bool) -> None:
            chosen = code.at(weights, code.mul(first, p.outputs))
            sums = add_products(code, code.at(inputs, first), offsets, chosen, VECTORS, size, zeros)
            for i, value in enumerate(sums):
                place = i // VECTORS * p.outputs + i % VECTORS * code.lanes
                code.store(code.build.fadd(code.load(out, place), value) if added else value, out, place)

        start = min(BLOCK, depth)
        block(0, start, added=False)
        whole = depth - depth % BLOCK
        if whole > BLOCK:
            with code.loop(BLOCK, whole, BLOCK) as first:
                block(first, BLOCK, added=True)
        if depth > BLOCK and depth % BLOCK:
            block(whole, depth % BLOCK, added=True)

    return code.function("multiply", [FLOATS] * 3, body)


def _output_function(call: LayerCall, code: Code, p: WinogradPlan, filtering: Filtering) -> Value:
    """Define A' m A and what follows for a panel of a tile: (products, biases, row and pixel stride, outputs).

    Where a residual is added, it comes last; it may be in the same place as the outputs.
    """
    side = filtering.products
    matrix = matrices(filtering).output

    def body(products: Value, biases: Value, row_stride: Value, pixel_stride: Value, out: Value, *added: Value) -> None:
        with code.loop(0, p.outputs, code.lanes) as first:
            block = [
                [code.load(products, code.add(first, (i * side + j) * p.block * p.outputs)) for j in range(side)]
                for i in range(side)
            ]
            bias = code.load(biases, first, aligned=True)
            for i, row in enumerate(apply_both_ways(code, matrix, block)):
                for j, value in enumerate(row):
                    place = code.add(code.add(code.mul(row_stride, i), code.mul(pixel_stride, j)), first)
                    residual = [code.load(image, place) for image in added]
                    code.store(apply_folded(call, code, code.build.fadd(value, bias), *residual), out, place)

    images = [FLOATS] * (1 + adds_residual(call))
    return code.function("backward", [FLOATS, FLOATS, I64, I64, *images], body)
