"""Layers that only move values, on OpenCL: at sizes that random cases rarely reach, cut for either kind of device."""

from __future__ import annotations

import functools

import numpy as np
import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt.backend import Device
from cnnrt.layer import Layer, Shape
from cnnrt.testing.case import make_case
from cnnrt.testing.kernel_run import run_kernel
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.driver import Driver
from cnnrt_backend_opencl.limits import Limits, OpenCLDevice, limits_of
from cnnrt_backend_opencl.rearrangement import MOVES
from cnnrt_backend_opencl.strided_rows import RUN, strided_rows
from cnnrt_layers import ChannelShuffle, DepthToSpace, Gather, Pad, Permute, Slice, SpaceToDepth, StridedSlice, Tile
from opencl_suite.drivers import GraphicsCardDriver

KINDS = {"as a processor": Driver, "as a graphics card": GraphicsCardDriver}


@functools.cache
def backend_of(kind: str) -> OpenCLBackend:
    return OpenCLBackend(KINDS[kind]())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Permute(order=(0, 3, 1, 2)), (2, 19, 30, 41)),
        (Permute(order=(0, 2, 3, 1)), (2, 19, 30, 41)),
        (Permute(order=(5, 3, 1, 0, 2, 4)), (2, 3, 4, 5, 6, 7)),
        (Permute(order=(1, 0)), (3, 2 * RUN + 1)),
        (ChannelShuffle(group=4), (2, 120, 5, 7)),
        (Pad(before=(3, 1), after=(0, 2), value=-1.5), (2, 19, 30, 41)),
        (Pad(before=(3, 17), after=(2, 20), mode="reflect"), (2, 3, 30, 41)),
        (Pad(before=(20_000,), after=(1,)), (1, 3)),
        (Slice(axis=-1, slice_point=(7, 30)), (50, 3, 40)),
        (Slice(axis=0, parts=2), (2, 30_001)),
        (StridedSlice(axes=(1, 2), starts=(0, 50), ends=(50, 0), steps=(2, -1)), (2, 50, 60)),
        (DepthToSpace(block=3, mode="DCR"), (1, 72, 9, 11)),
        (SpaceToDepth(block=2, mode="CRD"), (1, 18, 8, 12)),
        (Tile(repeats=(2, 3, 1)), (3, 30, 40)),
        (Gather(axis=-1, indices=(*range(5, 35), 1, 1, 39)), (20, 40)),
    ],
    ids=lambda value: value.type if isinstance(value, Layer) else "x".join(map(str, value)),
)
def test_values_come_to_their_places(layer: Layer, shape: Shape, kind: str) -> None:
    backend = backend_of(kind)
    device = next(d for d in backend.devices() if not d.problem)
    assert limits_of(device).cpu == (kind == "as a processor")
    kernel = next(kernel for kernel in MOVES if kernel.layer == layer.type)
    case = make_case(layer, [shape], seed=0)
    assert kernel.can_run(case.call, device) is True
    results = run_kernel(kernel, backend, device, case)
    for result, expected in zip(results, layer.reference(case.inputs, {}), strict=True):
        assert np.array_equal(result, expected)


def device_with(limits: Limits) -> Device:
    return OpenCLDevice("opencl", "one", "one", limits=limits)


@pytest.mark.parametrize("inner", [1, 3, 64, 5000])
@pytest.mark.parametrize(
    "device",
    [
        device_with(Limits()),
        device_with(Limits(work_group=32, work_items=(256, 256, 64))),
        device_with(Limits(work_group=1024, work_items=(1024, 1, 1))),
        device_with(Limits(work_group=4096, work_items=(4096, 4096, 4096), cpu=True)),
    ],
    ids=["the least there is", "small groups", "groups along one dimension", "a processor"],
)
def test_work_items_cover_all_values_in_groups_that_the_device_takes(device: Device, inner: int) -> None:
    rows = strided_rows([(7, inner, 1), (inner, 1, 7)], 3, device)
    limits = limits_of(device)
    assert rows.counts == (1, 7, inner, 1, 1, 1, 1, 1)
    assert rows.size[0] * rows.run >= inner
    assert rows.size[1] >= rows.rows == 7
    assert rows.group[0] * rows.group[1] <= limits.work_group
    assert rows.group[0] <= limits.work_items[0]
    assert rows.group[1] <= limits.work_items[1]
    assert [size % group for size, group in zip(rows.size, rows.group, strict=True)] == [0, 0]


def test_a_layer_of_too_many_pieces_is_left_to_its_reference() -> None:
    case = make_case(Gather(axis=-1, indices=(0, 5, 7, 1) * 80), [(2, 9)], seed=0)
    kernel = next(kernel for kernel in MOVES if kernel.layer == "Gather")
    assert "pieces, more than 128" in str(kernel.can_run(case.call, device_with(Limits())))
