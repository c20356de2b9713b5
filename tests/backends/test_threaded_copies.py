"""Strided copies of the threaded backend at sizes that random cases do not reach: whole vectors, cut planes."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt.backend import Backend
from cnnrt.layer import Layer, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import TensorType
from cnnrt.testing.case import make_case
from cnnrt.testing.kernel_run import run_kernel
from cnnrt_backend_threaded.backend import ThreadedBackend
from cnnrt_backend_threaded.copy_code import plan_copy
from cnnrt_backend_threaded.kernels import threaded_kernels
from cnnrt_backend_threaded.rearrangement import CopyValues
from cnnrt_backend_threaded.target import Machine, forced_target, host_target
from cnnrt_layers import ChannelShuffle, DepthToSpace, Gather, Pad, Permute, Slice, SpaceToDepth, StridedSlice, Tile
from cnnrt_layers.strided_copy import Axis, strided_copies

TARGETS = ("host", "avx2", "sse")
SIZES = st.integers(1, 5) | st.integers(15, 40)


@functools.cache
def machine(target: str) -> Machine:
    return Machine(host_target() if target == "host" else forced_target(target), 2)


def kernel_for(layer: Layer, target: str) -> tuple[CopyValues, Backend]:
    found = [k for k in threaded_kernels(machine(target)) if k.layer == layer.type]
    assert isinstance(found[0], CopyValues)
    return found[0], ThreadedBackend(machine(target))


def check(layer: Layer, shape: Shape, target: str) -> None:
    """Assert that the kernel moves every value as the reference does."""
    case = make_case(layer, [shape], seed=0)
    kernel, backend = kernel_for(layer, target)
    assert kernel.can_run(case.call, backend.devices()[0]) is True
    results = run_kernel(kernel, backend, backend.devices()[0], case, threads=2)
    for result, expected in zip(results, layer.reference(case.inputs, {}), strict=True):
        assert np.array_equal(result, expected)


@pytest.mark.parametrize("target", TARGETS)
@given(st.data())
@settings(max_examples=25)
def test_axes_of_any_length_change_places(target: str, data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(SIZES, min_size=2, max_size=4)))
    check(Permute(order=tuple(data.draw(st.permutations(range(len(shape)))))), shape, target)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(2, 120, 5, 7), (1, 120, 900)], ids=["channels last", "plain"])
@pytest.mark.parametrize("group", [2, 3, 4, 5, 20, 40])
def test_channels_are_shuffled(group: int, shape: Shape, target: str) -> None:
    check(ChannelShuffle(group=group), shape, target)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Pad(before=(3, 1), after=(0, 2), value=-1.5), (2, 19, 30, 41)),
        (Pad(before=(3, 17), after=(2, 20), mode="reflect"), (2, 3, 30, 41)),
        (Pad(before=(19,), after=(20,), mode="symmetric"), (3, 40)),
        (Pad(before=(33,), after=(20,), mode="edge"), (3, 40)),
        (Pad(before=(20_000,), after=(1,)), (1, 3)),
        (Slice(parts=2), (2, 116, 9, 9)),
        (Slice(axis=-1, slice_point=(7, 30)), (50, 3, 40)),
        (Slice(axis=0, parts=2), (2, 30_001)),
        (StridedSlice(axes=(1, 2), starts=(0, 50), ends=(50, 0), steps=(2, -1)), (2, 50, 60)),
        (StridedSlice(axes=(2, 3), starts=(0, 1), ends=(50, 60), steps=(2, 2)), (1, 19, 50, 60)),
        (DepthToSpace(block=2, mode="CRD"), (1, 72, 9, 11)),
        (DepthToSpace(block=3, mode="DCR"), (1, 72, 9, 11)),
        (SpaceToDepth(block=2, mode="CRD"), (1, 18, 8, 12)),
        (SpaceToDepth(block=2, mode="DCR"), (1, 3, 40, 36)),
        (Tile(repeats=(2, 3, 1)), (3, 30, 40)),
        (Gather(indices=(2, 1, 0)), (2, 3, 40, 40)),
        (Gather(axis=-1, indices=(*range(5, 35), 1, 1, 39)), (20, 40)),
    ],
    ids=lambda value: value.type if isinstance(value, Layer) else "x".join(map(str, value)),
)
def test_values_come_to_their_places(layer: Layer, shape: Shape) -> None:
    for target in TARGETS:
        check(layer, shape, target)


def test_axes_that_go_on_evenly_on_both_sides_become_one() -> None:
    tensor = TensorType((2, 3, 5, 7))
    call = LayerCall(Slice(slice_point=(1,)), (tensor,), (TensorType((2, 1, 5, 7)), TensorType((2, 2, 5, 7))))
    one, other = strided_copies(call, Slice(slice_point=(1,)).moves)
    assert (one.output, one.source, one.axes) == (0, 0, (Axis(2, 35, 105), Axis(35, 1, 1)))
    assert (other.output, other.source, other.axes) == (1, 35, (Axis(2, 70, 105), Axis(70, 1, 1)))


def test_images_to_channels_last_are_one_run() -> None:
    """That is how they lie in memory."""
    layer = Permute(order=(0, 2, 3, 1))
    call = LayerCall(layer, (TensorType((2, 3, 5, 7), layout="NHWC"),), (TensorType((2, 5, 7, 3)),))
    (copy,) = strided_copies(call, layer.moves)
    assert copy.axes == (Axis(210, 1, 1),)


@pytest.mark.parametrize("shape", [(1, 2_000_000), (2, 1_000_000), (1000, 2000), (2_000_000, 1)])
def test_large_copies_are_cut_into_pieces_of_about_one_size(shape: Shape) -> None:
    layer = Permute(order=(1, 0))
    call = LayerCall(layer, (TensorType(shape),), (TensorType(shape[::-1]),))
    (copy,) = strided_copies(call, layer.moves)
    assert copy.size == math.prod(shape)
    assert 4096 <= copy.size / plan_copy(copy, 16).units <= 65536


def test_a_layer_of_too_many_pieces_is_left_to_its_reference() -> None:
    layer = Gather(axis=-1, indices=(0, 5, 7, 1) * 80)
    case = make_case(layer, [(2, 9)], seed=0)
    kernel, backend = kernel_for(layer, "host")
    assert "pieces" in str(kernel.can_run(case.call, backend.devices()[0]))


def test_a_number_beyond_float32_is_left_to_the_reference() -> None:
    case = make_case(Pad(before=(1,), after=(1,), value=1e39), [(2, 9)], seed=0)
    kernel, backend = kernel_for(case.layer, "host")
    assert "float32" in str(kernel.can_run(case.call, backend.devices()[0]))
