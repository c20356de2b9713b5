"""Tiles of Winograd's filtering in an image: where they are read and written, and the patch for those at an edge."""

from __future__ import annotations

import attrs

from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.winograd_matrices import Filtering
from cnnrt_backend_threaded.winograd_plan import WinogradPlan


@attrs.frozen
class Place:
    """Where a tile is: its image, and its first output row and column."""

    image: Index
    row: Index
    column: Index


def place_of(code: Code, p: WinogradPlan, filtering: Filtering, tile: Index) -> Place:
    """Return where a tile is, counted through all images."""
    image, down, across = code.split(tile, *p.tiles)
    return Place(image, code.mul(down, filtering.outputs), code.mul(across, filtering.outputs))


def read_tile(
    code: Code,
    p: WinogradPlan,
    filtering: Filtering,
    place: Place,
    images: Value,
    group: Index,
    patch: Value,
    target: Value,
    forward: Value,
) -> None:
    """Transform a tile's inputs: where they lie, or from the patch if some are padding."""
    g, side = p.geometry, filtering.products
    height, width = g.input_size
    top, left = code.sub(place.row, g.before[0]), code.sub(place.column, g.before[1])
    offset = code.mul(group, g.group_inputs)

    def pixel(row: Index, column: Index) -> Value:
        number = code.add(code.mul(code.add(code.mul(place.image, height), row), width), column)
        return code.at(images, code.add(code.mul(number, g.inputs), offset))

    def from_image() -> None:
        code.call(forward, pixel(top, left), width * g.inputs, g.inputs, target)

    def from_patch() -> None:
        code.clear(patch, side * side * p.input_row)
        first_row, end_row = code.larger(code.sub(0, top), 0), code.smaller(code.sub(height, top), side)
        first, end = code.larger(code.sub(0, left), 0), code.smaller(code.sub(width, left), side)
        with code.loop(first_row, end_row) as row, code.loop(first, end) as column:
            to = code.at(patch, code.mul(code.add(code.mul(row, side), column), p.input_row))
            code.copy(to, pixel(code.add(top, row), code.add(left, column)), g.group_inputs)
        code.call(forward, patch, side * p.input_row, p.input_row, target)

    # Unsigned: a negative row or column is beyond the last one.
    inside = code.build.and_(code.inside(top, max(0, height - side + 1)), code.inside(left, max(0, width - side + 1)))
    code.choose(inside, from_image, from_patch)


def write_tile(
    code: Code,
    p: WinogradPlan,
    filtering: Filtering,
    place: Place,
    out: Value,
    group: Index,
    panel: Index,
    source: Value,
    biases: Value,
    patch: Value,
    backward: Value,
) -> None:
    """Transform a tile's products back: to where they belong, or by the patch if some are beyond an edge."""
    g, side = p.geometry, filtering.outputs
    height, width = g.output_size
    first_output = code.add(code.mul(group, g.group_outputs), code.mul(panel, p.outputs))
    left_over = g.group_outputs - (p.panels - 1) * p.outputs

    def pixel(row: Index, column: Index) -> Value:
        number = code.add(code.mul(code.add(code.mul(place.image, height), row), width), column)
        return code.at(out, code.add(code.mul(number, g.outputs), first_output))

    def to_image() -> None:
        code.call(backward, source, biases, pixel(place.row, place.column), width * g.outputs, g.outputs)

    def to_patch() -> None:
        code.call(backward, source, biases, patch, side * p.outputs, p.outputs)
        rows = code.smaller(code.sub(height, place.row), side)
        columns = code.smaller(code.sub(width, place.column), side)
        count = code.smaller(code.sub(g.group_outputs, code.mul(panel, p.outputs)), p.outputs)
        with code.loop(0, rows) as row, code.loop(0, columns) as column:
            start = code.at(patch, code.mul(code.add(code.mul(row, side), column), p.outputs))
            code.copy(pixel(code.add(place.row, row), code.add(place.column, column)), start, count)

    inside = code.build.and_(
        code.inside(place.row, max(0, height - side + 1)), code.inside(place.column, max(0, width - side + 1))
    )
    if left_over != p.outputs:
        inside = code.build.and_(inside, code.less(panel, p.panels - 1))
    code.choose(inside, to_image, to_patch)
