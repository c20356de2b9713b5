"""Groups of values that go together along some axes: how they lie in memory, and how devices take them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import attrs

from cnnrt.backend import Device
from cnnrt.layer import Array
from cnnrt_backend_opencl.kernel import Argument, Launch, flat_group, in_groups
from cnnrt_backend_opencl.limits import Limits, limits_of
from cnnrt_backend_opencl.sources import Defines
from cnnrt_backend_opencl.strided_rows import MOST_AXES
from cnnrt_layers.strided_copy import joined_axes

SIDE_BY_SIDE = 16
"""Groups of a work-group of a processor: neighbours mostly lie in one line of the cache."""


@attrs.frozen
class GroupedAxes:
    """Axes from group to group, and within a group; each is its length and the steps in some arrays."""

    kept: list[tuple[int, ...]]
    together: list[tuple[int, ...]]

    @property
    def depth(self) -> int:
        """The axes of either kind at most."""
        return max(len(self.kept), len(self.together))

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return math.prod(axis[0] for axis in self.kept)

    @property
    def count(self) -> int:
        """How many values are in each."""
        return math.prod(axis[0] for axis in self.together)

    def defines(self, device: Device) -> dict[str, Defines]:
        """Return the definitions of groups.cl that these are compiled with."""
        workers, groups = self._cut(limits_of(device))
        return {"KEPT": len(self.kept), "TOGETHER": len(self.together), "WORKERS": workers, "GROUPS": groups}

    def launch(self, function: str, device: Device, buffers: Sequence[Argument], numbers: Sequence[float]) -> Launch:
        """Return a launch of all groups: buffers, how many groups and values, the axes in vectors, further numbers."""
        workers, groups = self._cut(limits_of(device))
        size = (workers, in_groups(self.groups, groups))
        arguments: tuple[Argument, ...] = (*buffers, self.groups, self.count, *self._vectors(), *numbers)
        return Launch(function, size, (workers, groups), arguments)

    def _vectors(self) -> list[tuple[int, ...]]:
        """Return lengths and steps of `kept`, then those of `together`."""
        both = (self.kept, self.together)
        return [column + (1,) * (MOST_AXES - len(axes)) for axes in both for column in zip(*axes, strict=True)]

    def _cut(self, limits: Limits) -> tuple[int, int]:
        if limits.cpu:
            return 1, min(flat_group(limits, SIDE_BY_SIDE), 1 << (limits.work_items[1].bit_length() - 1))
        return flat_group(limits, max(1, min(256, self.count))), 1


def grouped_axes(views: Sequence[Array], along: Sequence[int], others: Sequence[Array] = ()) -> GroupedAxes:
    """Return how the values of float32 views of one shape go together along some axes.

    `others`: views that lack these axes, such as a result.
    """
    kept = [axis for axis in range(views[0].ndim) if axis not in along]
    steps_within = [_steps(view, along) for view in views]
    steps_between = [*(_steps(view, range(len(kept))) for view in others), *(_steps(view, kept) for view in views)]
    between = list(zip((views[0].shape[axis] for axis in kept), *steps_between, strict=True))
    within = list(zip((views[0].shape[axis] for axis in along), *steps_within, strict=True))
    return GroupedAxes(
        joined_axes(between) or [(1,) * (1 + len(steps_between))],
        joined_axes(within) or [(1,) * (1 + len(steps_within))],
    )


def _steps(view: Array, axes: Sequence[int]) -> list[int]:
    return [view.strides[axis] // 4 for axis in axes]
