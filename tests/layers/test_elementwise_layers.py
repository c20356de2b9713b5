"""Activations and other functions of single values: their published points, their limits, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.layer import Layer, Shape
from cnnrt_layers import (
    ELU,
    GELU,
    SELU,
    Clip,
    Exp,
    HardSigmoid,
    HardSwish,
    Log,
    Mish,
    Power,
    PReLU,
    Scale,
    Sigmoid,
    Softplus,
    Softsign,
    Swish,
    TanH,
    Threshold,
    Unary,
)

NAN = float("nan")
INFINITY = float("inf")


@pytest.mark.parametrize(
    ("layer", "given", "expected"),
    [
        (Sigmoid(), [-INFINITY, -1000, 0, 40, INFINITY, NAN], [0, 0, 0.5, 1, 1, NAN]),
        (TanH(amplitude=1.7159, slope=2 / 3), [0, 1.5], [0, 1.7159 * math.tanh(1)]),
        (ELU(alpha=2), [-INFINITY, 0, 3], [-2, 0, 3]),
        (SELU(), [1, -INFINITY], [1.0507010221481323, -1.0507010221481323 * 1.6732631921768188]),
        (HardSigmoid(), [-3, -2.5, 0, 2.5, 3], [0, 0, 0.5, 1, 1]),
        (HardSwish(), [-3, -1.5, 0, 3, 4], [0, -0.375, 0, 3, 4]),
        (Swish(), [-1e6, 0, 1e6], [0, 0, 1e6]),
        (Mish(), [-1e6, 0, 1e6], [0, 0, 1e6]),
        (Softplus(), [-1e6, 0, 1e6], [0, math.log(2), 1e6]),
        (Softsign(), [-1, 0, 3], [-0.5, 0, 0.75]),
        (GELU(), [-40, 0, 1], [-0.0, 0, 0.8413447460685429]),
        (GELU(approximate="tanh"), [0, 1], [0, 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * 1.044715))]),
        (Threshold(threshold=1, value=-7), [0, 1, 2, NAN], [-7, -7, 2, -7]),
        (Clip(min=0, max=6), [-1, 3, 7, NAN], [0, 3, 6, NAN]),
        (Clip(max=2), [-1e9, 3], [-1e9, 2]),
        (Power(power=2, scale=3, shift=1), [0, -1], [1, 4]),
        (Power(power=0.5), [-1, 4], [NAN, 2]),
        (Power(power=0), [0, 5], [1, 1]),
        (Exp(), [0, 1], [1, math.e]),
        (Exp(base=2, scale=2, shift=1), [0, 1], [2, 8]),
        (Log(base=10), [100, 0, -1], [2, -INFINITY, NAN]),
        (Unary(operation="round"), [0.5, 1.5, -2.5], [0, 2, -2]),
        (Unary(operation="reciprocal"), [4, 0], [0.25, INFINITY]),
    ],
    ids=str,
)
def test_points_and_limits(layer: Layer, given: list[float], expected: list[float]) -> None:
    (result,) = layer.reference([np.array(given, np.float64)], {})
    np.testing.assert_allclose(result, expected, rtol=1e-15, atol=1e-15)


def test_prelu_multiplies_what_is_negative_by_the_slope_of_its_channel() -> None:
    x = np.float32([[[-2, 2], [-3, -1]]])
    (own,) = PReLU().reference([x], {"slope": np.float32([0.5, 10])})
    np.testing.assert_array_equal(own, [[[-1, 2], [-30, -10]]])
    (shared,) = PReLU().reference([x], {"slope": np.float32([0.5])})
    np.testing.assert_array_equal(shared, [[[-1, 2], [-1.5, -0.5]]])


def test_scale_lays_its_factors_along_the_axes_from_axis_on() -> None:
    x = np.ones((1, 2, 2), np.float32)
    factors, offsets = np.float32([2, 3]), np.float32([0.5, -1])
    (channels,) = Scale().reference([x], {"scale": factors, "bias": offsets})
    np.testing.assert_array_equal(channels, [[[2.5, 2.5], [2, 2]]])
    (columns,) = Scale(axis=-1).reference([x], {"scale": factors})
    np.testing.assert_array_equal(columns, [[[2, 3], [2, 3]]])
    (each_image,) = Scale(axis=0).reference([x, np.float32([[5, 7]])], {"bias": np.float32(1)})
    np.testing.assert_array_equal(each_image, [[[6, 6], [8, 8]]])


@pytest.mark.parametrize(
    ("make", "key", "message"),
    [
        (lambda: Clip(min=1, max=0), "min", "expected at most max 0.0, got 1.0"),
        (lambda: Exp(base=0), "base", "expected a positive number, or -1 for e, got 0.0"),
        (lambda: Log(base=1), "base", "there is no logarithm to the base 1"),
        (lambda: Unary(operation="gamma"), "operation", "expected one of sqrt"),
        (lambda: GELU(approximate="sigmoid"), "approximate", "expected one of none, tanh"),
    ],
)
def test_keys_that_are_refused(make: Any, key: str, message: str) -> None:
    with pytest.raises(KeyValueError) as caught:
        make()
    assert caught.value.key == key
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "inputs", "weights", "message"),
    [
        (PReLU(), [(1, 3, 4, 4)], {"slope": (4,)}, "has 3 channels: expected as many slopes, or one for all, got 4"),
        (PReLU(), [(3,)], {"slope": (3,)}, "expected input of shape (images, channels, ...), got 3"),
        (Scale(), [(1, 3, 4)], {"scale": (3, 5)}, "of the shape of the input 1×3×4 from axis 1 on, got 3×5"),
        (Scale(), [(1, 3, 4)], {}, "expected 'scale' or 'bias' in the parameter file, or a second input"),
        (Scale(), [(1, 3), (3,)], {"scale": (3,)}, "the second input is the factors"),
        (Scale(axis=4), [(1, 3)], {"scale": (3,)}, "axis 4 does not exist in an input of shape 1×3"),
    ],
)
def test_shapes_that_do_not_fit(layer: Layer, inputs: list[Shape], weights: dict[str, Shape], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        layer.output_shapes(inputs, weights)
    assert message in str(caught.value)


def test_which_do_nothing() -> None:
    one = [(1, 3, 4, 4)]
    assert Clip().is_identity(one)
    assert Power().is_identity(one)
    assert not Clip(min=0).is_identity(one)
    assert not Power(shift=1).is_identity(one)
    assert not Sigmoid().is_identity(one)
