"""Memory layouts, and the pass that makes every change of layout a visible step.

A tensor's logical shape is always in NCHW order; its layout says how the values lie in memory. Kernels declare
which layout they take and give; where neighbours differ, a Reorder step is inserted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import attrs
import numpy as np

from cnnrt.backend import HostFunction, HostKernel, Packed
from cnnrt.errors import PlacementError
from cnnrt.layer import Array, Layer, Part, Place, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import PLAIN, TensorType

PERMUTATIONS: dict[str, tuple[int, ...]] = {"NHWC": (0, 2, 3, 1)}
"""Layouts beside the plain one: the logical axis that lies at each place in memory."""


def physical_shape(tensor: TensorType) -> Shape:
    """Return the shape of the C-contiguous array that holds a tensor in its layout."""
    if tensor.layout == PLAIN:
        return tensor.shape
    order = _order(tensor.layout, tensor.shape)
    return tuple(tensor.shape[axis] for axis in order)


def place_array(memory: Array, tensor: TensorType, offset: int = 0) -> Array:
    """Return the array that holds a tensor in its layout, from a byte of a contiguous array on."""
    if not tensor.nbytes:
        return np.empty(physical_shape(tensor), tensor.dtype)
    return np.ndarray(physical_shape(tensor), tensor.dtype, memory, offset, strides(tensor))


def strides(tensor: TensorType) -> tuple[int, ...] | None:
    """Return the bytes from one index to the next along each axis in memory; None: the values lie side by side."""
    if not tensor.pitch or not tensor.nbytes:
        return None
    shape = physical_shape(tensor)
    steps = [tensor.pitch * math.prod(shape[axis + 1 : -1]) for axis in range(len(shape) - 1)]
    return tuple(np.dtype(tensor.dtype).itemsize * step for step in (*steps, 1))


def extent_bytes(tensor: TensorType) -> int:
    """Return the bytes from a tensor's first value in memory to its last one."""
    shape = physical_shape(tensor)
    if not tensor.pitch or not tensor.nbytes:
        return tensor.nbytes
    return ((math.prod(shape[:-1]) - 1) * tensor.pitch + shape[-1]) * np.dtype(tensor.dtype).itemsize


def logical_view(array: Array, tensor: TensorType) -> Array:
    """Return a view of a tensor's array with the axes in logical (NCHW) order."""
    if tensor.layout == PLAIN:
        return array
    order = _order(tensor.layout, tensor.shape)
    return array.transpose([order.index(axis) for axis in range(len(order))])


def same_bytes(one: TensorType, other: TensorType) -> bool:
    """Tell whether two layouts of one logical shape put every value at the same place: axes of length 1 move freely."""

    def long_axes(tensor: TensorType) -> list[int]:
        axes = range(len(tensor.shape)) if tensor.layout == PLAIN else _order(tensor.layout, tensor.shape)
        return [axis for axis in axes if tensor.shape[axis] != 1]

    return long_axes(one) == long_axes(other)


def _order(layout: str, shape: Shape) -> tuple[int, ...]:
    order = PERMUTATIONS.get(layout)
    if order is None or len(order) != len(shape):
        raise PlacementError(f"layout {layout!r} is not known for a tensor of {len(shape)} dimensions")
    return order


@attrs.frozen(kw_only=True)
class Reorder(Layer):
    """Copies a value into another memory layout. Inserted by the core, never written in a NetFile."""

    type: ClassVar[str] = "Reorder"
    source: str
    target: str

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the input's logical shape."""
        return (inputs[0],)

    def flops(self, inputs: Sequence[Shape], outputs: Sequence[Shape], weights: Mapping[str, Shape]) -> int:
        """Return 0: values only move."""
        return 0

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Return the same values: a layout is invisible to the reference."""
        return (inputs[0].copy(),)

    def parts_at(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], places: Sequence[Place], output: int = 0
    ) -> Sequence[Part]:
        """Return the values at these places."""
        values = np.array([inputs[0][place] for place in places])
        return [Part(self, (values,), weights, tuple((place, (i,)) for i, place in enumerate(places)))]

    def error_bound(
        self, inputs: Sequence[Array], weights: Mapping[str, Array], exact: Sequence[Array]
    ) -> tuple[Array, ...]:
        """Return 0: values only move."""
        return (np.zeros_like(exact[0]),)


class ReorderKernel(HostKernel):
    """Reorders by a strided NumPy copy."""

    layer = Reorder.type
    backend = "core"
    name = "reorder"

    def writes_part(self, call: LayerCall) -> bool:
        """Return True: NumPy copies into any array."""
        return True

    def bind(self, call: LayerCall) -> HostFunction:
        """Return a copy from the input's layout to the output's; see HostKernel."""
        source, target = call.inputs[0], call.outputs[0]

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            logical_view(outputs[0], target)[...] = logical_view(inputs[0], source)

        return run
