"""Windows that slide over an image: where one starts, and which of its positions meet the image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from cnnrt_backend_threaded.emitter import Code, Index, Value

GROUP = 4
"""Vectors of channels that are computed at a time: enough for their latencies to overlap."""


@attrs.frozen
class Axis:
    """Windows of `kernel` positions, `dilation` apart, every `stride`, along `size` values after `before` zeros."""

    size: int
    kernel: int
    stride: int
    before: int
    dilation: int = 1


def meeting(code: Code, axis: Axis, window: Index) -> tuple[Index, Index, Index]:
    """Return the (possibly negative) place of a window's first position, and the range of positions in the image."""
    start = code.sub(code.mul(window, axis.stride), axis.before)
    first = code.divide(code.add(code.larger(code.sub(0, start), 0), axis.dilation - 1), axis.dilation)
    room = code.larger(code.sub(axis.size, start), 0)
    last = code.smaller(code.divide(code.add(room, axis.dilation - 1), axis.dilation), axis.kernel)
    return start, first, last


def channel_groups(code: Code, channels: int, body: Callable[[Index, Sequence[int | None]], None]) -> None:
    """Emit `body(first channel, lanes of each vector)` for all channels, `GROUP` vectors at a time.

    Lanes are None for a whole vector; the last vector of all may be a part of one.
    """
    whole, tail = divmod(channels, code.lanes)
    grouped = whole - whole % GROUP
    if grouped:
        with code.loop(0, grouped, GROUP) as vector:
            body(code.mul(vector, code.lanes), [None] * GROUP)
    rest = [None] * (whole - grouped) + ([tail] if tail else [])
    if rest:
        body(grouped * code.lanes, rest)


def over_positions(
    code: Code,
    rows: tuple[Index, Index, Index],
    columns: tuple[Index, Index, Index],
    steps: tuple[int, int],
    values: Sequence[Value],
    body: Callable[[Index, Index, Index, Index, list[Value]], list[Value]],
) -> list[Value]:
    """Carry `values` through `body(kernel row, kernel column, image row, image column, values)`.

    `rows` and `columns` are as `meeting` gives them, `steps` the dilations.
    """

    def along_row(r: Index, carried: list[Value]) -> list[Value]:
        image_row = code.add(rows[0], code.mul(r, steps[0]))

        def at(s: Index, inner: list[Value]) -> list[Value]:
            return body(r, s, image_row, code.add(columns[0], code.mul(s, steps[1])), inner)

        return code.accumulate(columns[1], columns[2], carried, at)

    return code.accumulate(rows[1], rows[2], values, along_row)
