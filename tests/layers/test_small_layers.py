"""ReLU, Softmax, Eltwise, Concat, Flatten, Dropout: their corners, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest

from cnnrt.errors import ShapeError
from cnnrt.layer import Layer, Shape
from cnnrt_layers import Concat, Dropout, Eltwise, Flatten, ReLU, Softmax


def test_relu_keeps_infinities_and_what_is_not_a_number() -> None:
    x = np.array([-np.inf, -1.0, -0.0, 2.0, np.inf, np.nan])
    (plain,) = ReLU().reference([x], {})
    np.testing.assert_array_equal(plain, [0, 0, 0, 2, np.inf, np.nan])
    (leaky,) = ReLU(negative_slope=0.5).reference([x], {})
    np.testing.assert_array_equal(leaky, [-np.inf, -0.5, 0, 2, np.inf, np.nan])


def test_softmax_of_huge_scores_is_finite() -> None:
    (result,) = Softmax().reference([np.array([[1e30, 1e30, -1e30]], np.float32)], {})
    np.testing.assert_array_equal(result, [[0.5, 0.5, 0]])


def test_softmax_adds_up_to_one_along_its_axis_only() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    for axis in (1, 2, 3, -3, -1):
        (result,) = Softmax(axis=axis).reference([x], {})
        np.testing.assert_allclose(result.sum(axis=axis), 1, rtol=1e-14)


def test_eltwise_weighs_the_inputs_of_a_sum() -> None:
    a, b = np.array([1.0, 2.0], np.float32), np.array([10.0, 20.0], np.float32)
    (difference,) = Eltwise(coeff=[1, -0.5]).reference([a, b], {})
    np.testing.assert_array_equal(difference, [-4, -8])


def test_concat_follows_the_order_of_its_inputs() -> None:
    a, b = np.zeros((1, 1, 2)), np.ones((1, 2, 2))
    (result,) = Concat().reference([a, b, a], {})
    np.testing.assert_array_equal(result[0, :, 0], [0, 1, 1, 0])


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Flatten(), (2, 60)),
        (Flatten(axis=0), (120,)),
        (Flatten(axis=1, end_axis=2), (2, 12, 5)),
        (Flatten(axis=-2), (2, 3, 20)),
    ],
)
def test_flatten_joins_the_stated_axes(layer: Flatten, expected: Shape) -> None:
    assert layer.output_shapes([(2, 3, 4, 5)], {}) == (expected,)


def test_which_layers_do_nothing_in_inference() -> None:
    one, two = [(1, 3, 4, 4)], [(1, 3, 4, 4)] * 2
    assert Dropout().is_identity(one)
    assert Concat().is_identity(one)
    assert Eltwise().is_identity(one)
    assert Eltwise(coeff=[1]).is_identity(one)
    assert not Eltwise(coeff=[2]).is_identity(one)
    assert not Concat().is_identity(two)
    assert not Eltwise().is_identity(two)
    assert not ReLU().is_identity(one)
    assert Flatten.view


def test_moving_values_costs_no_operations() -> None:
    for layer in (Concat(), Dropout(), Flatten()):
        assert layer.flops([(2, 3)], [(2, 3)], {}) == 0
    assert Eltwise(coeff=[1, 2, 3]).flops([(2, 3)] * 3, [(2, 3)], {}) == 6 * 5
    assert ReLU().flops([(2, 3)], [(2, 3)], {}) == 6


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (Softmax(), [(10,)], "axis 1 does not exist in an input of shape 10: allowed are -1 to 0"),
        (Softmax(), [(4, 0)], "axis 1 of the input 4×0 has no values to choose from"),
        (
            Concat(),
            [(1, 3, 4, 4), (1, 3, 4, 4), (1, 3, 4, 5)],
            "expected inputs of equal shapes except for axis 1, got 1×3×4×4 and, as input 3, 1×3×4×5",
        ),
        (Concat(), [(1, 3, 4), (1, 3)], "got 1×3×4 and, as input 2, 1×3"),
        (Concat(axis=3), [(1, 3, 4)], "axis 3 does not exist in an input of shape 1×3×4: allowed are -3 to 2"),
        (Eltwise(), [(1, 3), (1, 2)], "equal or 1 along each axis, got 1×3 and, as input 2, 1×2"),
        (Eltwise(operation="sub"), [(1, 3)], "operation 'sub' takes exactly two inputs, got 1"),
        (Eltwise(coeff=[1, 2]), [(1, 3)] * 3, "expected one coeff for each of 3 inputs, got 2"),
        (Flatten(), [(4,)], "axis 1 does not exist in an input of shape 4"),
        (Flatten(end_axis=4), [(1, 2, 3, 4)], "end_axis 4 does not exist in an input of shape 1×2×3×4"),
        (Flatten(axis=2, end_axis=1), [(1, 2, 3)], "axis 2 comes after end_axis 1 in an input of shape 1×2×3"),
    ],
)
def test_shapes_that_do_not_fit(layer: Layer, inputs: list[Shape], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        layer.output_shapes(inputs, {})
    assert message in str(caught.value)
