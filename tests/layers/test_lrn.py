"""LRN: where the neighbours are, and what alpha is divided by."""

from __future__ import annotations

import numpy as np
import pytest

from cnnrt.errors import ShapeError
from cnnrt_layers import LRN


def test_across_channels_alpha_is_divided_by_the_number_of_channels() -> None:
    image = np.array([1.0, 2.0, 3.0]).reshape(1, 3, 1, 1)
    (result,) = LRN(local_size=3, alpha=6.0, beta=1.0, k=2.0).reference([image], {})
    # k + alpha / 3 * sum: 2 + 2 * (1 + 4), 2 + 2 * (1 + 4 + 9), 2 + 2 * (4 + 9)
    np.testing.assert_allclose(result.ravel(), [1 / 12, 2 / 30, 3 / 28], rtol=1e-15)


def test_within_a_channel_the_area_divides_and_k_is_not_used() -> None:
    image = np.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    (result,) = LRN(local_size=3, alpha=9.0, beta=0.5, k=100.0, norm_region="within_channel").reference([image], {})
    # Every window holds all four values and five zeros beyond the edges: 1 + 9 / 9 * 30.
    np.testing.assert_allclose(result, image / np.sqrt(31), rtol=1e-15)


def test_channels_do_not_mix_within_a_channel() -> None:
    image = np.ones((1, 2, 1, 1))
    image[0, 0] = 1000
    (result,) = LRN(local_size=1, norm_region="within_channel").reference([image], {})
    np.testing.assert_allclose(result[0, 1], 2**-0.75, rtol=1e-15)


@pytest.mark.parametrize("region", ["across_channels", "within_channel"])
def test_small_neighbourhoods_beside_large_values_stay_exact(region: str) -> None:
    """A running sum would have lost them: 1e16 + 1 is 1e16 in float64."""
    image = np.ones((1, 40, 1, 40))
    image[0, 0, 0, 0] = 1e8
    layer = LRN(local_size=3, alpha=3.0, beta=1.0, norm_region=region)
    (result,) = layer.reference([image], {})
    neighbours = 3.0 if region == "across_channels" else 1.0
    np.testing.assert_allclose(result[0, 30, 0, 30], 1 / (1 + neighbours), rtol=1e-15)


def test_a_neighbourhood_of_any_stated_size_ends_with_the_image() -> None:
    image = np.ones((1, 3, 1, 1))
    (result,) = LRN(local_size=10**12 + 1, alpha=10**12 + 1, beta=1.0).reference([image], {})
    np.testing.assert_allclose(result.ravel(), 1 / 4)


def test_input_must_be_images() -> None:
    with pytest.raises(ShapeError, match="expected input of shape"):
        LRN().output_shapes([(1, 10)], {})
