"""Work on values that lie evenly apart along several axes: work-items are runs of the innermost axis, in all rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from cnnrt.backend import Device
from cnnrt.tensor import TensorType
from cnnrt_backend_opencl.convolution import MOST_VALUES
from cnnrt_backend_opencl.kernel import flat_group, in_groups
from cnnrt_backend_opencl.limits import limits_of

MOST_AXES = 8
"""As many as a vector of integers holds."""
RUN = 4096
"""Values that a work-item of a processor takes at a time."""


@attrs.frozen
class StridedRows:
    """Axes as kernels take them, outermost first: values along each, and the steps in each array, in vectors of eight.

    `run`, `rows`: the values of a work-item, and the rows of all outer axes.
    """

    counts: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]
    run: int
    rows: int
    size: tuple[int, int]
    group: tuple[int, int]


def strided_rows(axes: Sequence[tuple[int, ...]], depth: int, device: Device) -> StridedRows:
    """Return how axes, at least one, are cut into work-items. Each is its values and the steps in some arrays.

    They are filled up to `depth` axes by outer ones of one value, for a kernel that is compiled for so many.
    """
    own = [(1,) * len(axes[0])] * (depth - len(axes)) + list(axes)
    *outer, inner = (axis[0] for axis in own)
    rows = math.prod(outer)
    limits = limits_of(device)
    run = max(1, min(RUN, inner)) if limits.cpu else 1
    items = -(-inner // run)
    whole = flat_group(limits, max(1, min(64, RUN // run)))
    across = min(whole, flat_group(limits, max(1, items)))
    down = min(whole // across, 1 << (limits.work_items[1].bit_length() - 1))
    counts, *steps = (column + (1,) * (MOST_AXES - depth) for column in zip(*own, strict=True))
    size = (in_groups(items, across), in_groups(rows, down))
    return StridedRows(counts, tuple(steps), run, rows, size, (across, down))


def countable(tensors: Sequence[TensorType]) -> bool:
    """Tell whether 32 bits count the values of each, an empty axis being taken for one of length 1.

    Views of what is larger cannot be made, even if it is empty.
    """
    return all(math.prod(max(1, n) for n in t.shape) <= MOST_VALUES for t in tensors)
