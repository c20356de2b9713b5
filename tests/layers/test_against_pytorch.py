"""The references once more against PyTorch, where it happens to be installed: it is too large to ask for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings

from cnnrt.testing.case import Case
from cnnrt_layers.conformance.random_cases import random_cases

torch = pytest.importorskip("torch", reason="PyTorch is not installed; ONNX and SciPy are the oracles that are")
functional = torch.nn.functional


def assert_agrees(case: Case, expected: object) -> None:
    (result,) = case.layer.reference(*case.in_float64())
    scale = max(1.0, *(float(np.abs(x).max(initial=0)) for x in case.inputs))
    np.testing.assert_allclose(result, expected, rtol=1e-11, atol=1e-11 * scale**2)


@given(random_cases("Convolution"))
@settings(max_examples=100, deadline=None)
def test_convolution(case: Case) -> None:
    layer, ((x,), weights) = case.layer, case.in_float64()
    assume(len(x))
    top, left, bottom, right = layer.pad
    padded = functional.pad(torch.tensor(x), (left, right, top, bottom))
    bias = torch.tensor(weights["bias"]) if "bias" in weights else None
    weight = torch.tensor(weights["weight"])
    assert_agrees(case, functional.conv2d(padded, weight, bias, layer.stride, 0, layer.dilation, layer.group))


@given(random_cases("Pooling"))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_pooling(case: Case) -> None:
    """PyTorch has Caffe's rule, for padding that is symmetric and at most half of the kernel."""
    layer, ((x,), _) = case.layer, case.in_float64()
    assume(len(x) and layer.pad[:2] == layer.pad[2:])
    kernel = layer.kernel_size or x.shape[2:]
    assume(all(2 * p <= k for p, k in zip(layer.pad, kernel, strict=False)))
    arguments = (torch.tensor(x), kernel, layer.stride, layer.pad[:2])
    if layer.pool == "max":
        assert_agrees(case, functional.max_pool2d(*arguments, ceil_mode=layer.ceil_mode))
    else:
        assert_agrees(case, functional.avg_pool2d(*arguments, layer.ceil_mode, layer.count_include_pad))


@given(random_cases("LRN"))
@settings(max_examples=100, deadline=None)
def test_lrn_across_channels(case: Case) -> None:
    layer, ((x,), _) = case.layer, case.in_float64()
    assume(len(x) and layer.norm_region == "across_channels")
    expected = functional.local_response_norm(torch.tensor(x), layer.local_size, layer.alpha, layer.beta, layer.k)
    assert_agrees(case, expected)


@given(random_cases("Softmax"))
@settings(max_examples=100, deadline=None)
def test_softmax(case: Case) -> None:
    (x,), _ = case.in_float64()
    assert_agrees(case, torch.softmax(torch.tensor(x), case.layer.axis))
