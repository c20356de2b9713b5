"""Windows that slide along one axis of an image: how many there are, and which values each one meets.

Convolution and Pooling are the same walk over rows and columns and differ only in how they round and clip.
"""

from __future__ import annotations

import attrs

from cnnrt.errors import ShapeError


@attrs.frozen
class Windows:
    """`count` windows of `kernel` values, `dilation` apart, each `stride` after the one before it.

    They slide along `size` values with padding of `before` and `after`; window 0 starts at value -before.
    """

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    count: int

    def overlap(self, position: int) -> tuple[slice, slice]:
        """Return which windows meet a real value at kernel position `position`, and those values.

        Both slices have the same length, so `out[windows] += weight[position] * values[taken]` is the definition
        of a convolution along this axis, and padding never has to be stored.
        """
        offset = position * self.dilation - self.before
        first = max(0, _divide_up(-offset, self.stride))
        stop = min(self.count, _divide_up(self.size - offset, self.stride))
        if stop <= first:
            return slice(0, 0), slice(0, 0)
        start = first * self.stride + offset
        return slice(first, stop), slice(start, start + (stop - first - 1) * self.stride + 1, self.stride)

    def cut(self, index: int) -> tuple[slice, int, int]:
        """Return the real values that one window meets, and the padding before and after them.

        On these values alone, with this padding, that window is the first.
        """
        start = index * self.stride - self.before
        end = start + self.dilation * (self.kernel - 1) + 1
        low = min(max(0, start), self.size)
        high = max(low, min(end, self.size))
        return slice(low, high), max(0, low - start), max(0, min(end, self.size + self.after) - high)


def convolution_windows(
    size: int, kernel: int, stride: int, dilation: int, before: int, after: int, unit: str
) -> Windows:
    """Return the windows of a convolution: floor((size + before + after - extent) / stride) + 1 of them.

    The extent of a window is dilation * (kernel - 1) + 1. `unit` ("rows", "columns") is for the ShapeError that
    says that not even one window fits.
    """
    extent = dilation * (kernel - 1) + 1
    padded = size + before + after
    if extent > padded:
        reach = f"reaches over {extent} (dilation {dilation})" if dilation > 1 else "does not fit"
        raise ShapeError(
            f"a kernel of {kernel} {unit} {reach}: the input has {size} {unit}, {padded} with padding; "
            f"use a larger input or more padding"
        )
    return Windows(size, kernel, stride, dilation, before, after, (padded - extent) // stride + 1)


def pooling_windows(
    size: int, kernel: int, stride: int, before: int, after: int, ceil_mode: bool, unit: str, dilation: int = 1
) -> Windows:
    """Return the windows of a pooling, by Caffe's rule: (size + before + after - extent) / stride + 1, rounded up.

    The extent of a window is dilation * (kernel - 1) + 1.

    The last window is dropped where it starts beyond the last real value, so that none consists of padding only.
    Without `ceil_mode` the division rounds down. `unit` is for the ShapeError that says that not even one fits.
    """
    extent = dilation * (kernel - 1) + 1
    room = size + before + after - extent
    count = (_divide_up(room, stride) if ceil_mode else room // stride) + 1
    if (count - 1) * stride >= size + before:
        # One is enough: the window before the last starts at most at size + after - extent, and after < extent.
        count -= 1
    if count < 1:
        raise ShapeError(
            f"a kernel of {extent} {unit} does not fit: the input has {size} {unit}, {size + before + after} "
            f"with padding; use a larger input, a smaller kernel or more padding"
        )
    return Windows(size, kernel, stride, dilation, before, after, count)


def _divide_up(a: int, b: int) -> int:
    return -(-a // b)
