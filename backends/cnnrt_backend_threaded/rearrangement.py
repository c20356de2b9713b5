"""Layers that only move values, and changes of layout: each a few strided copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder
from cnnrt.tensor import PLAIN
from cnnrt_backend_threaded.copy_code import CopyPlan, emit_copies, plan_copy
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code
from cnnrt_backend_threaded.native_kernel import CHANNELS_LAST, NativeKernel
from cnnrt_layers.strided_copy import Moves, strided_copies

if TYPE_CHECKING:
    from cnnrt_layers.permute import Permute
    from cnnrt_layers.rearrangement import Rearrangement

MOST_COPIES = 128
"""That code is written for; each is some loops of its own."""
MOST_VALUES = 2**56
"""Of an input or output: NumPy can count their bytes."""
LARGEST = float(np.finfo(np.float32).max)


class CopyValues(NativeKernel):
    """Base: computes a layer by the moves that it states."""

    name = "copies"

    def moves(self, call: LayerCall) -> Moves:
        """Return what states the moves."""
        return cast("Rearrangement", call.layer).moves

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline a hundred pieces and more, what no memory holds, and numbers that float32 does not."""
        if any(math.prod(max(1, n) for n in t.shape) > MOST_VALUES for t in (*call.inputs, *call.outputs)):
            return "there are more values than can be addressed"
        copies = strided_copies(call, self.moves(call))
        if any(math.isfinite(copy.value or 0) and abs(copy.value or 0) > LARGEST for copy in copies):
            return "a number is put there that float32 does not hold"
        return len(copies) <= MOST_COPIES or f"moves {len(copies)} pieces, more than {MOST_COPIES}"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over what is read and what is written."""
        return pass_seconds(self.machine, 2 * sum(math.prod(t.shape) for t in call.outputs))

    def units(self, call: LayerCall) -> int:
        """Return the units of all copies."""
        return sum(plan.units for plan in self._plans(call))

    def emit(self, call: LayerCall, code: Code) -> None:
        """Write the loops of one copy after the other."""
        outputs = [code.argument(len(call.inputs) + number) for number in range(len(call.outputs))]
        emit_copies(code, self._plans(call), outputs, code.argument(0))

    def _plans(self, call: LayerCall) -> Sequence[CopyPlan]:
        return [plan_copy(copy, self.machine.target.lanes) for copy in strided_copies(call, self.moves(call))]


class Transpose(CopyValues):
    """Moves values between the plain layout and NHWC."""

    layer = Reorder.type
    name = "transpose"

    def moves(self, call: LayerCall) -> Moves:
        """Return what copies all values: only their layouts differ."""

        def whole(x: Array, results: Sequence[Array]) -> Sequence[tuple[Array, Array]]:
            return [(results[0], x)]

        return whole

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True for these two layouts."""
        layouts = {call.inputs[0].layout, call.outputs[0].layout}
        if layouts != {PLAIN, CHANNELS_LAST}:
            return f"the layouts are {' and '.join(sorted(layouts))}"
        return True

    def takes(self, call: LayerCall) -> str:
        """Return the input's layout."""
        return call.inputs[0].layout

    def gives(self, call: LayerCall) -> str:
        """Return the output's layout."""
        return call.outputs[0].layout


class PermuteAxes(CopyValues):
    """Permute. (N, H, W, C) of images is how they lie in memory already, so that all of it is one run."""

    layer = "Permute"

    def takes(self, call: LayerCall) -> str:
        """Return NHWC for images, unless they come as (N, H, W, C) and become what the others are."""
        return PLAIN if self._order(call) == (0, 3, 1, 2) else super().takes(call)

    def gives(self, call: LayerCall) -> str:
        """Return NHWC for images, unless they become (N, H, W, C)."""
        return PLAIN if self._order(call) == (0, 2, 3, 1) else super().gives(call)

    def _order(self, call: LayerCall) -> tuple[int, ...]:
        return cast("Permute", call.layer).axes(len(call.inputs[0].shape))


class ShuffleChannels(CopyValues):
    """ChannelShuffle."""

    layer = "ChannelShuffle"


class CropValues(CopyValues):
    """Crop."""

    layer = "Crop"


class SpreadChannels(CopyValues):
    """DepthToSpace."""

    layer = "DepthToSpace"


class CopyDropout(CopyValues):
    """Dropout where a pass could not remove it."""

    layer = "Dropout"


class ExpandAxes(CopyValues):
    """Expand."""

    layer = "Expand"


class GatherPlaces(CopyValues):
    """Gather."""

    layer = "Gather"


class PadValues(CopyValues):
    """Pad."""

    layer = "Pad"


class SliceAxis(CopyValues):
    """Slice."""

    layer = "Slice"


class GatherPixels(CopyValues):
    """SpaceToDepth."""

    layer = "SpaceToDepth"


class SplitValue(CopyValues):
    """Split where a pass could not remove it."""

    layer = "Split"


class SliceSteps(CopyValues):
    """StridedSlice."""

    layer = "StridedSlice"


class TileAxes(CopyValues):
    """Tile."""

    layer = "Tile"


REARRANGEMENTS = (
    Transpose,
    PermuteAxes,
    ShuffleChannels,
    CropValues,
    SpreadChannels,
    CopyDropout,
    ExpandAxes,
    GatherPlaces,
    PadValues,
    SliceAxis,
    GatherPixels,
    SplitValue,
    SliceSteps,
    TileAxes,
)
