"""Tiles of Winograd's filtering: where they are read and written, and the patch for those at an edge.

Places are counted in the mosaic's rows and columns, of inputs or outputs; `_image_of` leads to images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from cnnrt_backend_threaded.emitter import Code, Index, Value
from cnnrt_backend_threaded.winograd_plan import WinogradPlan
from cnnrt_layers.winograd_matrices import Filtering


@attrs.frozen
class Place:
    """Where a tile is: the first image of its mosaic, and its first output row and column there."""

    image: Index
    row: Index
    column: Index


def place_of(code: Code, p: WinogradPlan, filtering: Filtering, tile: Index) -> Place:
    """Return where a tile is, counted through all mosaics."""
    mosaic, down, across = code.split(tile, *p.tiles)
    images = code.mul(mosaic, p.mosaic.images)
    return Place(images, code.mul(down, filtering.outputs), code.mul(across, filtering.outputs))


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
    """Transform a tile's inputs, row phase after row phase: where they lie, or from the patch if some are padding."""
    g, side, stride = p.geometry, filtering.products, p.stride
    height, width = g.input_size
    offset = code.mul(group, g.group_inputs)
    left = code.sub(code.mul(place.column, stride), g.before[1])

    def pixel(image: Index, row: Index, column: Index) -> Value:
        number = code.add(code.mul(code.add(code.mul(image, height), row), width), column)
        return code.at(images, code.add(code.mul(number, g.inputs), offset))

    with code.loop(0, stride) as phase:
        top = code.add(code.sub(code.mul(place.row, stride), g.before[0]), phase)
        to = code.at(target, code.mul(phase, p.run))
        image, row, column = _image_of(code, p, place.image, top, left)
        last_row, last_column = (side - 1) * stride, (side - 1) * stride + stride - 1

        def from_image(image: Index = image, row: Index = row, column: Index = column, to: Value = to) -> None:
            strides = stride * width * g.inputs, stride * g.inputs
            code.call(forward, pixel(image, row, column), *strides, to)

        def from_patch(top: Index = top, to: Value = to) -> None:
            _fill_patch(code, p, side, place.image, top, left, pixel, patch)
            code.call(forward, patch, side * p.run, p.run, to)

        # Unsigned: a negative row or column is beyond the last one.
        inside = code.build.and_(
            code.inside(row, max(0, height - last_row)), code.inside(column, max(0, width - last_column))
        )
        code.choose(inside, from_image, from_patch)


def write_tile(
    code: Code,
    p: WinogradPlan,
    filtering: Filtering,
    place: Place,
    target: tuple[Sequence[Value], int],
    group: Index,
    panel: Index,
    finish: tuple[Value, Value, Value],
    patch: Value,
) -> None:
    """Transform a tile's products back: to where they belong, or by the patch if some are beyond an edge.

    `target`: the outputs, with the residual behind if one is added, and the values from pixel to pixel in both.
    `finish`: the function, the products, the biases.
    """
    images, pitch = target
    out, *added = images
    g, side = p.geometry, filtering.outputs
    height, width = g.output_size
    first_output = code.add(code.mul(group, g.group_outputs), code.mul(panel, p.outputs))
    left_over = g.group_outputs - (p.panels - 1) * p.outputs
    image, row, column = _image_of(code, p, place.image, place.row, place.column)

    def pixel(image: Index, row: Index, column: Index) -> Index:
        number = code.add(code.mul(code.add(code.mul(image, height), row), width), column)
        return code.add(code.mul(number, pitch), first_output)

    def to_image() -> None:
        here = pixel(image, row, column)
        code.call(*finish, width * pitch, pitch, *(code.at(values, here) for values in images))

    def to_patch() -> None:
        if added:
            over_pixels(lambda there, in_patch, count: code.copy(in_patch, code.at(added[0], there), count))
        code.call(*finish, side * p.outputs, p.outputs, *(patch for _ in images))
        over_pixels(lambda there, in_patch, count: code.copy(code.at(out, there), in_patch, count))

    def over_pixels(body: Callable[[Index, Value, Index], None]) -> None:
        count = code.smaller(code.sub(g.group_outputs, code.mul(panel, p.outputs)), p.outputs)
        extent = p.mosaic.extent(g.output_size)
        rows = code.smaller(code.sub(extent[0], place.row), side)
        columns = code.smaller(code.sub(extent[1], place.column), side)
        with code.loop(0, rows) as i, code.loop(0, columns) as j:
            where = _image_of(code, p, place.image, code.add(place.row, i), code.add(place.column, j))
            there = code.build.and_(code.inside(where[1], height), code.inside(where[2], width))
            with code.when(there):
                body(pixel(*where), code.at(patch, code.mul(code.add(code.mul(i, side), j), p.outputs)), count)

    inside = code.build.and_(code.inside(row, max(0, height - side + 1)), code.inside(column, max(0, width - side + 1)))
    if left_over != p.outputs:
        inside = code.build.and_(inside, code.less(panel, p.panels - 1))
    code.choose(inside, to_image, to_patch)


def _image_of(code: Code, p: WinogradPlan, first: Index, row: Index, column: Index) -> tuple[Index, Index, Index]:
    """Return the image at a place of a mosaic, and row and column there, which may be beyond its edges."""
    if p.mosaic.images == 1:
        return first, row, column
    down, across = _place_in_grid(code, p, row, 0), _place_in_grid(code, p, column, 1)
    image = code.add(first, code.add(code.mul(down, p.mosaic.across), across))
    rows, columns = p.mosaic.pitch
    return image, code.sub(row, code.mul(down, rows)), code.sub(column, code.mul(across, columns))


def _place_in_grid(code: Code, p: WinogradPlan, place: Index, axis: int) -> Index:
    """Return the grid's row (or column) of images at a place; of places before and behind, the first and the last."""
    last = (p.mosaic.down, p.mosaic.across)[axis] - 1
    return code.smaller(code.divide(code.larger(place, 0), p.mosaic.pitch[axis]), last)


def _fill_patch(
    code: Code,
    p: WinogradPlan,
    side: int,
    first: Index,
    top: Index,
    left: Index,
    pixel: Callable[[Index, Index, Index], Value],
    patch: Value,
) -> None:
    """Copy a tile's inputs of one row phase as far as they are there, image after image; the rest is zero."""
    height, width = p.geometry.input_size
    channels, span = p.geometry.group_inputs, side * p.stride
    code.clear(patch, side * span * channels)
    end = code.add(left, span)
    first_across = _place_in_grid(code, p, left, 1)
    last_across = _place_in_grid(code, p, code.sub(end, 1), 1)
    with code.loop(0, side) as i:
        image, row, _ = _image_of(code, p, first, code.add(top, code.mul(i, p.stride)), 0)
        with code.when(code.inside(row, height)), code.loop(first_across, code.add(last_across, 1)) as across:
            begin = code.mul(across, p.mosaic.pitch[1])
            from_column = code.larger(begin, left)
            count = code.sub(code.smaller(code.add(begin, width), end), from_column)
            source = pixel(code.add(image, across), row, code.sub(from_column, begin))
            place = code.add(code.mul(i, span), code.sub(from_column, left))
            with code.when(code.less(0, count)):
                _copy_pixels(code, p, code.at(patch, code.mul(place, channels)), source, count)


def _copy_pixels(code: Code, p: WinogradPlan, target: Value, source: Value, count: Index) -> None:
    """Copy the channels of neighbouring pixels, which in several groups have others between them."""
    channels, pitch = p.geometry.group_inputs, p.geometry.inputs
    if channels == pitch:
        code.copy(target, source, code.mul(count, channels))
        return
    with code.loop(0, count) as number:
        code.copy(code.at(target, code.mul(number, channels)), code.at(source, code.mul(number, pitch)), channels)
