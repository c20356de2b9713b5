"""Packed weights move to a device once; another one gets them from there, as long as it lives."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt.errors import DeviceLostError
from cnnrt.layer import Array
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.device_weights import DeviceWeights
from cnnrt_backend_opencl.session import Session
from core_suite.small_networks import images
from opencl_suite.drivers import StubDriver


def session() -> Session:
    backend = OpenCLBackend(StubDriver())
    return backend.session(backend.devices()[0])


def held(weights: DeviceWeights, by: Session) -> list[Array]:
    return [buffer.memory.view(np.float32) for buffer in weights.on(by) if buffer is not None]


def test_a_second_device_gets_them_from_the_first() -> None:
    first, second = session(), session()
    arrays = images(3, 4), images(5)
    weights = DeviceWeights({"weight": arrays[0], "bias": arrays[1]})
    for by in (first, second):
        for array, expected in zip(held(weights, by), arrays, strict=True):
            assert np.array_equal(array, expected.reshape(-1))
    assert weights.on(first)[0] is weights.on(first)[0]
    assert weights.on(first)[0] is not weights.on(second)[0]


def test_they_go_with_the_only_device_that_had_them() -> None:
    first, second = session(), session()
    weights = DeviceWeights((images(3),))
    weights.on(first)
    first.lost = True
    with pytest.raises(DeviceLostError, match="went with the device"):
        weights.on(second)


def test_an_array_without_values_needs_no_buffer() -> None:
    assert DeviceWeights((np.zeros((0, 3), np.float32),)).on(session()) == (None,)


def test_the_host_keeps_none_where_one_device_is_in_use() -> None:
    """In a process of its own: here other tests have devices in use."""
    script = """
import weakref
import numpy as np
from cnnrt_backend_opencl.device_weights import DeviceWeights
from cnnrt_backend_opencl.session import only_session
from test_opencl_weights import session

assert only_session() is None
early = np.ones(8, np.float32)
waiting, reference = DeviceWeights((early,)), weakref.ref(early)
del early
assert reference() is not None, "nowhere to go yet"
used = session()
late = np.ones(8, np.float32)
moved, reference = DeviceWeights((late,)), weakref.ref(late)
del late
assert reference() is None
assert moved.on(used)[0].memory.view(np.float32).sum() == 8
"""
    here = str(__file__).rpartition("/")[0]
    path = f"import sys; sys.path[:0] = [{here!r}, {here.rpartition('/')[0]!r}]\n"
    subprocess.run([sys.executable, "-c", path + script], check=True, timeout=60)
