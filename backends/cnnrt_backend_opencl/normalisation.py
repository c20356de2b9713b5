"""Layers that normalise groups of values: by their mean and variance, or by a norm."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cnnrt.backend import Device, Packed
from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import TensorType
from cnnrt_backend_opencl.cost_model import pass_seconds
from cnnrt_backend_opencl.grouped_axes import GroupedAxes, grouped_axes
from cnnrt_backend_opencl.kernel import Input, Launch, OpenCLKernel, Output, Weight
from cnnrt_backend_opencl.sources import Defines
from cnnrt_backend_opencl.strided_rows import MOST_AXES, countable
from cnnrt_layers.axes import resolve_axis
from cnnrt_layers.rearrangement import split_axis
from cnnrt_layers.strided_copy import shadows

if TYPE_CHECKING:
    from cnnrt_layers.normalize import Normalize

Grouping = tuple[Array, Sequence[int], Sequence[int]]
"""A view of the input, the axes of it along which values go together, and those along which weights have values."""


def _channels(layer: Any, x: Array) -> Grouping:
    return x, range(2, x.ndim), (1,)


def _parts_of_channels(layer: Any, x: Array) -> Grouping:
    split = split_axis(x, 1, layer.group, x.shape[1] // layer.group)
    return split, range(2, split.ndim), (1, 2)


def _last_axes(layer: Any, x: Array) -> Grouping:
    axes = range(resolve_axis(layer.axis, x.shape), x.ndim)
    return x, axes, axes


def _images(layer: Any, x: Array) -> Grouping:
    return x, range(1 if layer.across_channels else 2, x.ndim), ()


def _lines(layer: Any, x: Array) -> Grouping:
    axis = resolve_axis(layer.axis, x.shape)
    return x, range(axis, x.ndim) if layer.across_spatial else (axis,), (axis,)


GROUPINGS: Mapping[str, Callable[[Any, Array], Grouping]] = {
    "InstanceNorm": _channels,
    "GroupNorm": _parts_of_channels,
    "LayerNorm": _last_axes,
    "MVN": _images,
    "Normalize": _lines,
}
"""For each layer type, how its values go together."""


class NormaliseGroups(OpenCLKernel):
    """Any of these layers."""

    name = "groups"
    source = "groups.cl"

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Decline what cannot be counted in 32 bits, and many axes."""
        if not countable(call.inputs):
            return "counts values in 32 bits"
        depth = self._axes(call).depth
        return depth <= MOST_AXES or f"goes along {depth} axes, more than {MOST_AXES}"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return some passes over the input."""
        return pass_seconds(device, 6 * math.prod(call.inputs[0].shape))

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of scales and biases, of one each where there are none."""
        stored = (call.weight_shapes.get(name, ()) for name in ("scale", "bias"))
        return sum(4 * math.prod(shape) for shape in stored)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return scales and biases, one for all where there are none."""
        return tuple(
            np.asarray(weights.get(name, [absent]), np.float32) for name, absent in (("scale", 1), ("bias", 0))
        )

    def defines(self, call: LayerCall, device: Device) -> Mapping[str, Defines]:
        """Return what is divided by, and how groups are cut into work-items."""
        divisor, power = "VARIANCE", 2
        if self.layer == "MVN":
            divisor = "DEVIATION" if getattr(call.layer, "normalize_variance", True) else "NOTHING"
        elif self.layer == "Normalize":
            divisor, p = "NORM", cast("Normalize", call.layer).p
            power = int(p) if p in (1, 2) else 0
        return {**self._axes(call).defines(device), "DIVISOR": divisor, "POWER": power}

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch: all groups."""
        axes, layer = self._axes(call), cast("Any", call.layer)
        eps = layer.eps if self.layer in ("MVN", "Normalize") else layer.epsilon
        numbers = (float(eps), float(getattr(layer, "p", 2.0)))
        buffers = (Input(), Weight(0), Weight(1), Output())
        return [axes.launch("normalise", device, buffers, numbers)]

    def _axes(self, call: LayerCall) -> GroupedAxes:
        """Return the groups: steps in the input, in scales and in biases."""
        (whole,) = shadows(call.inputs)
        x, along, own = GROUPINGS[self.layer](call.layer, whole)
        terms = (_term(x.shape, own, call.weight_shapes.get(name, ())) for name in ("scale", "bias"))
        return grouped_axes([x, *terms], along)


def _term(shape: Shape, own: Sequence[int], stored: Shape) -> Array:
    """Return a view of weights in the shape of what they belong to; one weight serves all."""
    (term,) = shadows([TensorType(stored)])
    if math.prod(stored) == 1:
        return np.broadcast_to(term.reshape(()), shape)
    sizes = stored if len(stored) == len(own) else tuple(shape[axis] for axis in own)
    placed = [1] * len(shape)
    for axis, size in zip(own, sizes, strict=True):
        placed[axis] = size
    return np.broadcast_to(term.reshape(placed), shape)


NORMALISATIONS = tuple(NormaliseGroups(layer) for layer in GROUPINGS)
