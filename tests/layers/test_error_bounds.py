"""The bounds that kernels are held to: plain float32 stays within them, anything less precise does not."""

from __future__ import annotations

import numpy as np
import pytest

from cnnrt.testing.agreement import FLOAT32
from cnnrt.testing.case import Case
from cnnrt_layers.conformance.error_bounds import allowed_error
from layer_suite.network_cases import NETWORK_CASES

SUMS = pytest.mark.parametrize("name", ["LeNet conv2", "NIN cccp1", "MobileNet conv2_2/dw", "LeNet ip1", "AlexNet fc8"])


def share_of_bound(case: Case, result: np.ndarray) -> float:
    inputs, weights = case.in_float64()
    (exact,) = case.call.reference(inputs, weights)
    allowed = allowed_error(case.call, inputs, weights, FLOAT32, lambda x, w: case.layer.reference(x, w)[0])
    return float(np.max(np.abs(result - exact) / allowed))


@SUMS
def test_weights_in_half_precision_break_the_bound(name: str) -> None:
    case = NETWORK_CASES[name].make()
    rounded = {key: w.astype(np.float16).astype(np.float64) for key, w in case.weights.items()}
    assert share_of_bound(case, case.call.reference(case.in_float64()[0], rounded)[0]) > 10


@SUMS
def test_leaving_out_one_weight_breaks_the_bound(name: str) -> None:
    case = NETWORK_CASES[name].make()
    inputs, weights = case.in_float64()
    first = weights["weight"].copy()
    first[(slice(None), *[0] * (first.ndim - 1))] = 0
    assert share_of_bound(case, case.call.reference(inputs, {**weights, "weight": first})[0]) > 1000


@pytest.mark.parametrize("name", ["LeNet ip1", "AlexNet fc8"])
@pytest.mark.parametrize("order", ["as it comes", "one after the other"])
def test_float32_stays_within_the_bound(name: str, order: str) -> None:
    case = NETWORK_CASES[name].make()
    (x,), weight, bias = case.inputs, case.weights["weight"], case.weights["bias"]
    if order == "as it comes":
        result = x @ weight.T
    else:
        # A running sum is the least accurate order there is.
        result = np.stack([np.cumsum(row * weight, axis=1, dtype=np.float32)[:, -1] for row in x[:4]])
        result = np.concatenate([result, (x @ weight.T)[4:]])
    assert share_of_bound(case, np.maximum(result + bias, np.float32(0))) < 0.5
