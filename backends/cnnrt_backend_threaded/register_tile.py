"""The heart of every matrix product here: a tile of results in registers, to which products are added.

A tile is `pixels` rows (pixels of an image, or images) by `vectors` vectors of outputs. For each input the weights of
these outputs are loaded once, and the input of each pixel is broadcast: pixels × vectors multiply-adds for
vectors + pixels loads. Weights lie in panels: for each input one row with the weights of the tile's outputs, in the
order in which they are read.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.target import Target

UNROLLED = 448
"""Multiply-adds that are written out one after the other before a loop is made."""
LATENCY = 4
"""Cycles until a multiply-add's result can be added to; two are begun in each cycle."""
ALL_VECTORS = (1, 2, 3, 4)
"""Of outputs in a tile."""


@attrs.frozen
class Tile:
    """`rows` × `columns` pixels of an image by `vectors` vectors of outputs."""

    rows: int
    columns: int
    vectors: int

    @property
    def pixels(self) -> int:
        """The pixels of the tile."""
        return self.rows * self.columns


def most_pixels(target: Target, vectors: int) -> int:
    """Return how many pixels fit into the registers beside the weights and one broadcast value."""
    return max(1, (target.registers - vectors - 1) // vectors)


def cycles(pixels: int, vectors: int) -> float:
    """Return the cycles that one input takes: two multiply-adds and two loads begin in each."""
    return max(pixels * vectors / 2, (pixels + vectors) / 2, LATENCY) + 0.25


def choose_tile(
    target: Target, height: int, width: int, outputs: int, vectors_allowed: Sequence[int] = ALL_VECTORS
) -> tuple[Tile, float]:
    """Return the tile that covers an image of this size and so many outputs soonest, with the cycles for one input."""
    best: tuple[float, Tile] | None = None
    for vectors in vectors_allowed:
        blocks = -(-outputs // (vectors * target.lanes))
        most = most_pixels(target, vectors)
        for limit in range(1, min(width, most) + 1):
            across = -(-width // limit)
            columns = -(-width // across)
            deepest = min(most // columns, height) if columns == width else 1
            for rows in range(1, deepest + 1):
                tiles = across * -(-height // rows) * blocks
                cost = tiles * cycles(rows * columns, vectors)
                if best is None or cost < best[0]:
                    best = (cost, Tile(rows, columns, vectors))
    if best is None:
        return Tile(1, 1, 1), 0.0
    return best[1], best[0]


def add_products(
    code: Code,
    inputs: Value,
    offsets: Sequence[int],
    weights: Value,
    vectors: int,
    depth: Index,
    sums: Sequence[Value],
    ahead: int = 0,
    fetched: Sequence[int] | None = None,
) -> list[Value]:
    """Add the products of `depth` inputs to the sums, pixel by pixel and in each vector by vector.

    `offsets` are the places of the pixels' first inputs from `inputs`; the following ones lie side by side. `weights`
    points to the panel's row of the first input. `ahead`: bytes by which weights are prefetched, 0: not at all;
    `fetched`: only those of these vectors, and only into the second cache.
    """
    row = vectors * code.lanes
    unroll = _unroll(depth, len(offsets) * vectors)

    def add_one(k: Index, values: list[Value]) -> list[Value]:
        place = code.mul(k, row)
        loaded = [code.load(weights, code.add(place, v * code.lanes), aligned=True) for v in range(vectors)]
        if ahead:
            for v in range(vectors) if fetched is None else fetched:
                code.prefetch(weights, code.add(place, v * code.lanes + ahead // 4), 3 if fetched is None else 2)
        results = []
        for pixel, offset in enumerate(offsets):
            value = code.broadcast(inputs, code.add(k, offset))
            results += [
                code.multiply_add(value, weight, values[pixel * vectors + v]) for v, weight in enumerate(loaded)
            ]
        return results

    def add_some(k: Index, values: list[Value]) -> list[Value]:
        for u in range(unroll):
            values = add_one(code.add(k, u), values)
        return values

    whole = depth - depth % unroll if isinstance(depth, int) else depth
    results = code.accumulate(0, whole, sums, add_some, unroll)
    if isinstance(depth, int):
        for k in range(whole, depth):
            results = add_one(k, results)
    return results


def _unroll(depth: Index, products: int) -> int:
    if not isinstance(depth, int):
        return 1
    if depth * products <= UNROLLED:
        return max(depth, 1)
    most = max(1, min(8, UNROLLED // 3 // products))
    exact = [u for u in range(1, most + 1) if depth % u == 0]
    return exact[-1] if exact[-1] * 2 >= most else most
