"""Blocks: results do not depend on where a call is cut, and memory stays within what is stated."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnrt.backend import HostKernel, Kernel
from cnnrt.testing import kernel_checks
from cnnrt.testing.agreement import FLOAT32
from cnnrt.testing.case import Case, make_case
from cnnrt.testing.kernel_run import Guarded, run_kernel
from cnnrt_backend_sequential import (
    convolution_depthwise,
    convolution_plan,
    convolution_pointwise,
    eltwise,
    lrn,
    pooling,
    rectifier,
)
from cnnrt_backend_sequential.backend import SequentialBackend
from cnnrt_backend_sequential.kernels import sequential_kernels
from cnnrt_layers import LRN, Convolution, Eltwise, FullyConnected, Pooling, ReLU, Softmax
from cnnrt_layers.conformance.error_bounds import allowed_error
from cnnrt_layers.conformance.random_cases import random_cases
from layer_suite.network_cases import NETWORK_CASES

BACKEND = SequentialBackend()
DEVICE = BACKEND.devices()[0]
BLOCKED = [k for k in sequential_kernels() if k.layer in ("Convolution", "Pooling", "LRN", "Eltwise", "FullyConnected")]


def takes(kernel: Kernel, case: Case) -> bool:
    return kernel_checks.takes(kernel, case.call, DEVICE)


@contextmanager
def blocks_of(nbytes: int, columns: int, terms: int) -> Iterator[None]:
    """Cut calls into blocks of so many bytes; convolutions join images and unroll rows below these limits."""
    with (
        mock.patch.multiple(convolution_plan, BLOCK_BYTES=nbytes, FEW_COLUMNS=columns, SHORT_SUM=terms),
        mock.patch.object(convolution_pointwise, "BLOCK_BYTES", nbytes),
        mock.patch.object(convolution_depthwise, "BLOCK_BYTES", nbytes),
        mock.patch.object(pooling, "BLOCK_BYTES", nbytes),
        mock.patch.object(lrn, "BLOCK_BYTES", nbytes),
        mock.patch.object(rectifier, "BLOCK_BYTES", nbytes),
        mock.patch.object(eltwise, "CHUNK", max(1, nbytes // 16)),
    ):
        yield


@pytest.mark.parametrize("kernel", BLOCKED, ids=lambda k: f"{k.layer}-{k.name}")
@given(
    data=st.data(),
    nbytes=st.sampled_from([1, 300, 2000, 10_000, 1 << 20]),
    columns=st.sampled_from([1, 10, 96, 300]),
    terms=st.sampled_from([0, 20, 1000]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_results_are_right_wherever_a_call_is_cut(
    kernel: HostKernel, data: st.DataObject, nbytes: int, columns: int, terms: int
) -> None:
    case = data.draw(random_cases(kernel.layer).filter(lambda case: takes(kernel, case)))
    with blocks_of(nbytes, columns, terms):
        (result,) = run_kernel(kernel, BACKEND, DEVICE, case)
    inputs, weights = case.in_float64()
    (exact,) = case.call.reference(inputs, weights)
    allowed = allowed_error(case.call, inputs, weights, FLOAT32, lambda x, w: case.layer.reference(x, w)[0])
    assert np.all(np.abs(result - exact) <= allowed)


LARGE = {
    "AlexNet conv1": NETWORK_CASES["AlexNet conv1"].make,
    "AlexNet conv2": NETWORK_CASES["AlexNet conv2"].make,
    "convolution of tiny images": lambda: make_case(
        Convolution(pad=1), [(48, 64, 4, 4)], {"weight": (64, 64, 3, 3), "bias": (64,)}, folded=(ReLU(),)
    ),
    "VGG conv1_2": lambda: make_case(
        Convolution(pad=1), [(1, 64, 112, 224)], {"weight": (64, 64, 3, 3)}, folded=(ReLU(negative_slope=0.1),)
    ),
    "pointwise, leaky": lambda: make_case(
        Convolution(), [(2, 96, 54, 54)], {"weight": (96, 96, 1, 1), "bias": (96,)}, folded=(ReLU(negative_slope=0.1),)
    ),
    "depthwise": NETWORK_CASES["MobileNet conv2_1/dw"].make,
    "max pooling": lambda: make_case(Pooling(kernel_size=3, stride=2), [(4, 96, 55, 55)]),
    "mean pooling, leaky": lambda: make_case(
        Pooling(pool="mean", kernel_size=3, pad=1), [(1, 192, 56, 56)], folded=(ReLU(negative_slope=0.1),)
    ),
    "LRN across": lambda: make_case(LRN(), [(4, 96, 55, 55)]),
    "LRN within": lambda: make_case(LRN(norm_region="within_channel"), [(4, 96, 55, 55)]),
    "fully connected": lambda: make_case(
        FullyConnected(), [(16, 2048)], {"weight": (2048, 2048), "bias": (2048,)}, folded=(ReLU(),)
    ),
    "ReLU": lambda: make_case(ReLU(negative_slope=0.1), [(4, 96, 55, 55)]),
    "softmax": lambda: make_case(Softmax(), [(1, 21, 240, 320)]),
    "eltwise": lambda: make_case(Eltwise(coeff=[1, -1]), [(2, 256, 56, 56)] * 2),
}
"""Calls whose inputs or outputs take more than half a megabyte: a hidden copy of either would be seen."""


@pytest.mark.parametrize("name", LARGE)
def test_a_kernel_allocates_nothing_beside_its_workspace(name: str) -> None:
    case = LARGE[name]()
    kernels = [k for k in sequential_kernels() if k.layer == case.layer.type and takes(k, case)]
    assert kernels
    for kernel in kernels:
        assert isinstance(kernel, HostKernel)
        function = kernel.bind(case.call)
        packed = kernel.pack(case.call, case.weights)
        outputs = [Guarded(t).array for t in case.call.outputs]
        workspace = np.empty(kernel.workspace(case.call), np.uint8)
        function(case.inputs, outputs, packed, workspace)
        tracemalloc.start()
        try:
            function(case.inputs, outputs, packed, workspace)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # Views, and the fixed buffers in which NumPy converts between float32 and float64 (8192 values each).
        assert peak < 128 * 1024, f"{kernel.name} allocated {peak} bytes"


@pytest.mark.parametrize("name", ["AlexNet conv1", "AlexNet conv2", "VGG conv1_2"])
def test_convolution_never_holds_the_unrolled_matrix(name: str) -> None:
    case = LARGE[name]()
    (rows,) = (k for k in sequential_kernels() if k.name == "rows")
    _, channels, kernel_rows, kernel_columns = case.call.weights["weight"].shape
    height, width = case.call.outputs[0].shape[2:]
    unrolled = 4 * channels * kernel_rows * kernel_columns * height * width
    assert rows.workspace(case.call) <= convolution_plan.BLOCK_BYTES < unrolled


def test_the_workspace_does_not_grow_with_the_image_or_the_batch() -> None:
    (rows,) = (k for k in sequential_kernels() if k.name == "rows")

    def workspace(batch: int, height: int) -> int:
        shape = {"weight": (64, 64, 3, 3)}
        return rows.workspace(make_case(Convolution(pad=1), [(batch, 64, height, 64)], shape).call)

    assert workspace(1, 64) <= convolution_plan.BLOCK_BYTES
    assert workspace(8, 64) == workspace(1, 64)
    assert workspace(1, 2000) <= convolution_plan.BLOCK_BYTES
