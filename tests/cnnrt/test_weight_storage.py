"""Weights that are kept in half precision: which, how they are rounded, and what reading them takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from cnnrt.errors import ParameterFileError
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import plugin_host
from cnnrt.stored_weights import HeldWeights
from cnnrt.testing.case import make_case, with_weights_in
from cnnrt.weight_storage import BLOCK, fitting, kept_type, reading_bytes, rounded_weights, storing_weights
from core_suite.small_networks import images

PRODUCT = plugin_host().layers()["fullyconnected"]()
NORM = plugin_host().layers()["batchnorm"]()


def half_product(outputs: int, features: int) -> LayerCall:
    case = make_case(PRODUCT, [(1, features)], {"weight": (outputs, features), "bias": (outputs,)})
    return with_weights_in(case, "float16").call


def test_matrices_are_kept_in_it_and_vectors_are_not() -> None:
    call = half_product(5, 7)
    assert {name: t.dtype for name, t in call.weights.items()} == {"weight": "float16", "bias": "float32"}
    assert kept_type(call) == "float16"
    assert call.loaded_bytes == 4 * (5 * 7 + 5)
    statistics = make_case(NORM, [(1, 3, 2, 2)], weights={"mean": images(3), "variance": np.ones(3, np.float32)}).call
    assert storing_weights(statistics, "float16") == statistics
    assert kept_type(statistics) == ""


def test_rounding_is_to_the_nearest_and_to_even_between_two() -> None:
    between = np.float32([[1 + 2**-11, 1 + 3 * 2**-11, 2**-25, 3 * 2**-25, 65504, -(2.0**-14) / 3]])
    got = rounded_weights(half_product(1, 6), {"weight": between})["weight"]
    assert got.dtype == np.float32
    smallest = round(2.0**24 * 2.0**-14 / 3) * 2.0**-24
    assert got.tolist() == [[1, 1 + 2**-9, 0, 2**-23, 65504, -smallest]]


@pytest.mark.parametrize("outputs", [1, 3, 700])
def test_they_are_read_in_blocks_of_rows_and_come_rounded(outputs: int) -> None:
    features = BLOCK // 100
    call = half_product(outputs, features)
    weights = {"weight": images(outputs, features), "bias": images(outputs)}
    read = fitting(call, HeldWeights(weights), "w.msg").load()
    assert np.array_equal(read["weight"], weights["weight"].astype(np.float16))
    assert read["weight"].dtype == np.float16
    assert np.array_equal(read["bias"], weights["bias"])


def test_they_are_never_there_in_float32_as_a_whole() -> None:
    call = half_product(256, 4096)
    stored = fitting(call, HeldWeights({"weight": images(256, 4096), "bias": images(256)}), "w.msg")
    tracemalloc.start()
    try:
        read = stored.load()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read["weight"].nbytes <= peak <= reading_bytes(call) + 4096
    assert reading_bytes(call) < 0.75 * call.loaded_bytes


def test_one_that_is_too_large_is_an_error_however_it_is_read() -> None:
    weights = {"weight": images(4, 5), "bias": np.full(4, 1e30, np.float32)}
    weights["weight"][3, 1] = -70000
    stored = fitting(half_product(4, 5), HeldWeights(weights), "w.msg")
    assert np.array_equal(stored.rows("weight", 0, 3), weights["weight"][:3])
    assert np.array_equal(stored.rows("bias", 0, 4), weights["bias"]), "vectors stay in float32"
    for read in (stored.load, lambda: stored.rows("weight", 2, 4)):
        with pytest.raises(ParameterFileError, match=r"w\.msg: weight holds values up to 70000 in magnitude"):
            read()


def test_what_stays_in_float32_is_not_looked_at() -> None:
    held = HeldWeights({"weight": images(4, 5)})
    assert fitting(make_case(PRODUCT, [(1, 5)], {"weight": (4, 5)}).call, held, "w.msg") is held
