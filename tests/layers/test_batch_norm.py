"""BatchNorm: its definition by example, its terms, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.layer import Shape
from cnnrt.testing.case import Case
from cnnrt_layers import BatchNorm
from cnnrt_layers.conformance.random_cases import random_cases

STATISTICS = {"mean": np.float32([1, 10]), "variance": np.float32([4, 0])}


def test_each_channel_is_normalised_scaled_and_shifted() -> None:
    x = np.float32([[[[3, 1]], [[10, 11]]]])
    (normal,) = BatchNorm(epsilon=0.25).reference([x], STATISTICS)
    np.testing.assert_allclose(normal, [[[[2 / 4.25**0.5, 0]], [[0, 2]]]], rtol=1e-7)
    (scaled,) = BatchNorm(epsilon=0.25).reference([x], {**STATISTICS, "scale": np.float32([1, 3])})
    np.testing.assert_allclose(scaled, [[[[2 / 4.25**0.5, 0]], [[0, 6]]]], rtol=1e-7)
    (shifted,) = BatchNorm(epsilon=0.25).reference([x], {**STATISTICS, "shift": np.float32([0, -1])})
    np.testing.assert_allclose(shifted, [[[[2 / 4.25**0.5, 0]], [[-1, 1]]]], rtol=1e-7)


def test_features_are_channels_too() -> None:
    (result,) = BatchNorm(epsilon=0).reference(
        [np.float32([[3, 9], [1, 11]])], {**STATISTICS, "variance": np.float32([4, 1])}
    )
    np.testing.assert_array_equal(result, [[1, -1], [0, 1]])


@given(random_cases("BatchNorm"))
@settings(max_examples=60)
def test_its_terms_are_what_its_reference_does(case: Case) -> None:
    (x,), weights = case.in_float64()
    factor, offset = case.layer.affine_terms(weights)
    by_channel = (-1, *[1] * (x.ndim - 2))
    (expected,) = case.layer.reference([x], weights)
    size = np.abs(factor.reshape(by_channel) * x) + np.abs(offset.reshape(by_channel))
    assert np.all(
        np.abs(factor.reshape(by_channel) * x + offset.reshape(by_channel) - expected) <= 1e-14 * size + 1e-300
    )


@pytest.mark.parametrize(
    ("shape", "weights", "message"),
    [
        ((7,), {"mean": (7,), "variance": (7,)}, "expected input of shape (images, channels, ...), got 7"),
        ((1, 3, 4, 4), {"variance": (3,)}, "expected 'mean' in the parameter file, which holds variance"),
        ((1, 3, 4, 4), {"mean": (3,)}, "expected 'variance' in the parameter file"),
        (
            (1, 3, 4, 4),
            {"mean": (3,), "variance": (4,)},
            "the input has 3 channels: expected as many values of variance, got 4",
        ),
        ((1, 3), {"mean": (3,), "variance": (3,), "shift": (1, 3)}, "as many values of shift, got 1×3"),
    ],
)
def test_shapes_that_do_not_fit(shape: Shape, weights: dict[str, Shape], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        BatchNorm().output_shapes([shape], weights)
    assert message in str(caught.value)


def test_epsilon_is_not_negative() -> None:
    with pytest.raises(KeyValueError, match="epsilon: expected at least 0"):
        BatchNorm(epsilon=-1e-5)


def test_a_factor_and_an_offset_for_each_value() -> None:
    assert BatchNorm().flops([(2, 3, 4, 4)], [(2, 3, 4, 4)], {}) == 2 * 96
