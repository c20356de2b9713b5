"""Layers that only move values: a strided copy for each of the moves that the layer states."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds

if TYPE_CHECKING:
    from cnnrt_layers.rearrangement import Rearrangement


class CopyViews(HostKernel):
    """Base: no value is copied twice, and there is no workspace."""

    backend = "sequential"
    name = "copies"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return one pass over the values."""
        return passes_seconds(sum(math.prod(t.shape) for t in call.outputs), 1, len(call.outputs))

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the copies."""
        layer = cast("Rearrangement", call.layer)

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            for target, source in layer.moves(inputs[0], outputs):
                np.copyto(target, source, casting="same_kind")

        return run


class ShuffleChannels(CopyViews):
    """ChannelShuffle."""

    layer = "ChannelShuffle"


class CropValues(CopyViews):
    """Crop."""

    layer = "Crop"


class SpreadChannels(CopyViews):
    """DepthToSpace."""

    layer = "DepthToSpace"


class CopyDropout(CopyViews):
    """Dropout where a pass could not remove it."""

    layer = "Dropout"


class ExpandAxes(CopyViews):
    """Expand."""

    layer = "Expand"


class GatherPlaces(CopyViews):
    """Gather."""

    layer = "Gather"


class PadValues(CopyViews):
    """Pad."""

    layer = "Pad"


class PermuteAxes(CopyViews):
    """Permute."""

    layer = "Permute"


class SliceAxis(CopyViews):
    """Slice."""

    layer = "Slice"


class GatherPixels(CopyViews):
    """SpaceToDepth."""

    layer = "SpaceToDepth"


class SplitValue(CopyViews):
    """Split where a pass could not remove it."""

    layer = "Split"


class SliceSteps(CopyViews):
    """StridedSlice."""

    layer = "StridedSlice"


class TileAxes(CopyViews):
    """Tile."""

    layer = "Tile"


REARRANGEMENTS = (
    ShuffleChannels,
    CropValues,
    SpreadChannels,
    CopyDropout,
    ExpandAxes,
    GatherPlaces,
    PadValues,
    PermuteAxes,
    SliceAxis,
    GatherPixels,
    SplitValue,
    SliceSteps,
    TileAxes,
)
