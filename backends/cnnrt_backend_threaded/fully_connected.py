"""FullyConnected: every image's features by panels of weights, each of which is read from memory once.

Sums are made in blocks of features and then added up: over thousands of features in one row the rounding errors would
show (9216 of them in sequence: 3e-6 of the largest value). After images the features lie channels last, and the weights
are packed in that order instead of moving the values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import attrs

from cnnrt.backend import Device, Packed, StoredWeights
from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.stored_weights import HeldWeights, SomeRows
from cnnrt.tensor import PLAIN
from cnnrt_backend_threaded.cost_model import product_seconds
from cnnrt_backend_threaded.emitter import FLOATS, I64, Code, Index, Value
from cnnrt_backend_threaded.machine_code import CodeRequest
from cnnrt_backend_threaded.native_kernel import CHANNELS_LAST, FOLDS, WritesPixels, apply_folded, pitch_of
from cnnrt_backend_threaded.packing_code import packing_request
from cnnrt_backend_threaded.register_tile import add_products, cycles, most_pixels
from cnnrt_backend_threaded.target import Machine
from cnnrt_backend_threaded.weight_packing import common_lanes, pack_panels, rows_bytes

if TYPE_CHECKING:
    from cnnrt_layers.fully_connected import FullyConnected

VECTORS = 2
"""Of a panel."""
BLOCK = 512
"""Features of a block: their weights stay in the second cache for all images while the next ones are fetched."""
CHAINS = 8
"""Sums that have to grow side by side to hide the latency of a multiply-add."""
IMAGES = 56
"""Most images of a unit."""
AHEAD = 4096
"""Bytes by which weights are prefetched where they come from main memory."""
LARGE = 2**20
"""Bytes of weights that no second cache holds."""


@attrs.frozen
class ProductPlan:
    """`images` rows of `features` by `outputs`; units are panels × blocks of images, these of at most two sizes."""

    images: int
    features: int
    outputs: int
    panels: int
    image_blocks: int
    panel_outputs: int

    @property
    def sums(self) -> int:
        """Values of one thread's sums."""
        return -(-self.images // self.image_blocks) * self.panel_outputs


class PanelProduct(WritesPixels):
    """A matrix product; for one image, a pass over the weights."""

    layer = "FullyConnected"
    name = "panels"
    folds = FOLDS

    def takes(self, call: LayerCall) -> str:
        """Return NHWC where whole images are flattened."""
        return CHANNELS_LAST if _image(call) else PLAIN

    def gives(self, call: LayerCall) -> str:
        """Return the plain layout."""
        return PLAIN

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of the multiply-adds, or of reading the weights."""
        p = plan(call, self.machine)
        rows = most_pixels(self.machine.target, VECTORS)
        tiles = -(-p.images // rows)
        work = 2 * p.panels * tiles * cycles(-(-p.images // max(tiles, 1)), VECTORS) * p.features
        return product_seconds(self.machine, work, self.packed_bytes(call))

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of the sums of a unit for each thread."""
        return 4 * plan(call, self.machine).sums * self.machine.cores

    def packing(self, call: LayerCall) -> Shape:
        """Return the shape of the image whose values come channels last."""
        return _image(call)

    def packed_arrays(self, call: LayerCall) -> int:
        """Return 2: panels and biases."""
        return 2

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of whole panels."""
        p = plan(call, self.machine)
        return 4 * p.panels * p.panel_outputs * (p.features + 1)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the same as `pack_stored`."""
        return self.pack_stored(call, HeldWeights(weights))

    def pack_stored(self, call: LayerCall, stored: StoredWeights) -> Packed:
        """Return panels [panel, feature, output] and biases, filled up with zeros."""
        return self._packed(call, stored)

    def _packed(self, call: LayerCall, stored: StoredWeights) -> Packed:
        p = plan(call, self.machine)
        image = _image(call)
        channels = image[0] if image else p.features
        positions = math.prod(image[1:])
        packed, biases = pack_panels(stored, 1, channels, positions, p.panel_outputs, self.machine.cores)
        return packed.reshape(-1, p.features, p.panel_outputs), biases.reshape(-1, p.panel_outputs)

    def slices(self, call: LayerCall) -> int:
        """Return the panels."""
        return plan(call, self.machine).panels

    def pack_slices(self, call: LayerCall, stored: StoredWeights, first: int, last: int) -> Packed:
        """Return some panels and their biases."""
        width = plan(call, self.machine).panel_outputs
        return self._packed(call, SomeRows(stored, first * width, last * width))

    def packing_bytes(self, call: LayerCall, slices: int) -> int:
        """Return the bytes of the rows that each thread reads at a time."""
        p = plan(call, self.machine)
        return rows_bytes(p.features, p.panel_outputs, slices, self.machine.cores)

    def packing_code(self, call: LayerCall) -> Sequence[CodeRequest]:
        """Return the code that fills panels."""
        return (packing_request(common_lanes(plan(call, self.machine).panel_outputs)),)

    def units(self, call: LayerCall) -> int:
        """Return panels × blocks of images."""
        p = plan(call, self.machine)
        return p.panels * p.image_blocks if p.images else 0

    def emit(self, call: LayerCall, code: Code) -> None:
        """For each panel add up its products with the images block by block, then add the bias and store."""
        p = plan(call, self.machine)
        if not p.images:
            return
        features, out, weights, biases = (code.argument(i) for i in range(4))
        sums = code.at(code.argument(4), code.mul(code.thread, p.sums))
        fewest, more = divmod(p.images, p.image_blocks)
        sizes = sorted({fewest + 1, fewest} if more else {fewest})
        functions = {size: _unit_function(call, code, p, size) for size in sizes}
        with code.loop(code.first, code.last) as unit:
            panel, block = code.split(unit, p.image_blocks)
            arguments = [
                code.at(weights, code.mul(panel, p.features * p.panel_outputs)),
                code.at(biases, code.mul(panel, p.panel_outputs)),
                sums,
            ]

            def compute(size: int, first: Index) -> None:
                images = code.at(features, code.mul(first, p.features))
                place = code.add(code.mul(first, pitch_of(call)), code.mul(panel, p.panel_outputs))
                code.call(functions[size], images, *arguments, code.at(out, place), panel)

            if not more:
                compute(fewest, code.mul(block, fewest))
            else:
                # The first `more` blocks have one image more than the others.
                behind = code.add(code.mul(block, fewest), more)
                code.choose(
                    code.less(block, more),
                    lambda: compute(fewest + 1, code.mul(block, fewest + 1)),
                    lambda: compute(fewest, behind),
                )


def plan(call: LayerCall, machine: Machine) -> ProductPlan:
    """Return how a call is cut for a machine."""
    outputs, features = call.weights["weight"].shape
    images = math.prod(call.outputs[0].shape[:-1])
    width = VECTORS * machine.target.lanes
    return ProductPlan(images, features, outputs, -(-outputs // width), max(1, -(-images // IMAGES)), width)


def _image(call: LayerCall) -> Shape:
    """Return (channels, rows, columns) where the input is images whose values lie in another order; else nothing."""
    shape = call.inputs[0].shape
    whole = len(shape) == 4 and cast("FullyConnected", call.layer).axis % 4 == 1
    return shape[1:] if whole else ()


def _unit_function(call: LayerCall, code: Code, p: ProductPlan, images: int) -> Value:
    """Define the product of so many images and a panel: (images, weights, biases, sums, outputs, panel)."""
    lanes = code.lanes
    tiles = -(-images // most_pixels(code.target, VECTORS))
    edges = [images * i // tiles for i in range(tiles + 1)]
    ahead = (
        (AHEAD if tiles == 1 else 4 * BLOCK * p.panel_outputs)
        if 4 * p.panels * p.features * p.panel_outputs > LARGE
        else 0
    )

    def body(inputs: Value, weights: Value, biases: Value, sums: Value, out: Value, panel: Value) -> None:
        code.clear(sums, images * p.panel_outputs)

        def add_block(first: Index, depth: int) -> None:
            for number, (start, end) in enumerate(pairwise(edges)):
                rows = [code.mul(i, p.features) for i in range(start, end)]
                seen = code.at(inputs, first)
                chosen = code.at(weights, code.mul(first, p.panel_outputs))
                fetched = range(number, VECTORS, tiles)
                found = _block_sums(code, seen, rows, chosen, depth, ahead, fetched)
                for i, value in enumerate(found):
                    place = (start * VECTORS + i) * lanes
                    code.store(code.build.fadd(code.load(sums, place), value), sums, place)

        whole = p.features - p.features % BLOCK
        if whole:
            with code.loop(0, whole, BLOCK) as first:
                add_block(first, BLOCK)
        if p.features % BLOCK:
            add_block(whole, p.features % BLOCK)

        def store(outputs: int) -> None:
            with code.loop(0, images) as image:
                for v in range(-(-outputs // lanes)):
                    value = code.load(sums, code.add(code.mul(image, p.panel_outputs), v * lanes))
                    value = code.build.fadd(value, code.load(biases, v * lanes, aligned=True))
                    count = min(lanes, outputs - v * lanes)
                    place = code.add(code.mul(image, pitch_of(call)), v * lanes)
                    code.store(apply_folded(call, code, value), out, place, count)

        left_over = p.outputs - (p.panels - 1) * p.panel_outputs
        if left_over == p.panel_outputs:
            store(p.panel_outputs)
        else:
            code.choose(code.less(panel, p.panels - 1), lambda: store(p.panel_outputs), lambda: store(left_over))

    return code.function(f"unit{images}", [FLOATS] * 5 + [I64], body)


def _block_sums(
    code: Code, seen: Value, rows: list[int], weights: Value, depth: int, ahead: int, fetched: Sequence[int]
) -> list[Value]:
    """Return the sums of a block for some images: several for each, added up at the end, where images are few."""
    chains = max(1, min(CHAINS // (len(rows) * VECTORS), depth))
    while depth % chains:
        chains -= 1
    if chains == 1:
        zeros = [code.zero()] * (len(rows) * VECTORS)
        return add_products(code, seen, rows, weights, VECTORS, depth, zeros, ahead, fetched)
    # Chain c sums up the features c, c + chains, c + 2 * chains, ...: rows of the panel in the order of memory.
    width = VECTORS * code.lanes
    count = len(rows) * VECTORS

    def add_round(k: Index, values: list[Value]) -> list[Value]:
        results: list[Value] = []
        for chain in range(chains):
            own = values[chain * count : (chain + 1) * count]
            at = code.add(k, chain)
            panel = code.at(weights, code.mul(at, width))
            results += add_products(code, code.at(seen, at), rows, panel, VECTORS, 1, own, ahead, fetched)
        return results

    values = code.accumulate(0, depth, [code.zero()] * (count * chains), add_round, chains)
    while chains > 1:
        half = chains // 2
        folded = [code.build.fadd(values[i], values[i + half * count]) for i in range(half * count)]
        values = folded + values[2 * half * count :]
        chains -= half
    return values
