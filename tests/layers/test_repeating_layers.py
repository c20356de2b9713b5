"""Expand, Tile, Gather, CumulativeSum: by example, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt_layers import CumulativeSum, Expand, Gather, Tile

ROWS = np.arange(6, dtype=np.float32).reshape(1, 2, 3)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Expand(shape=[2, 1, 1]), [[[0, 1, 2], [3, 4, 5]]] * 2),
        (Expand(shape=3), [[[0, 1, 2], [3, 4, 5]]]),
        (Tile(repeats=2), [[[0, 1, 2, 0, 1, 2], [3, 4, 5, 3, 4, 5]]]),
        (Tile(repeats=[2, 1]), [[[0, 1, 2], [3, 4, 5]] * 2]),
        (Gather(indices=[1, 0, -1]), [[[3, 4, 5], [0, 1, 2], [3, 4, 5]]]),
        (Gather(axis=-1, indices=2), [[[2], [5]]]),
        (CumulativeSum(axis=2), [[[0, 1, 3], [3, 7, 12]]]),
        (CumulativeSum(axis=2, exclusive=True), [[[0, 0, 1], [0, 3, 7]]]),
        (CumulativeSum(axis=-1, reverse=True), [[[3, 3, 2], [12, 9, 5]]]),
        (CumulativeSum(axis=1, reverse=True, exclusive=True), [[[3, 4, 5], [0, 0, 0]]]),
    ],
)
def test_by_example(layer: Any, expected: Any) -> None:
    (result,) = layer.reference([ROWS], {})
    np.testing.assert_array_equal(result, np.array(expected, np.float32))
    assert layer.output_shapes([ROWS.shape], {}) == (result.shape,)


def test_what_repeats_nothing_is_nothing() -> None:
    shapes = [(1, 2, 3)]
    assert Expand(shape=[1, 3]).is_identity(shapes)
    assert Tile(repeats=[1, 1]).is_identity(shapes)
    for busy in (Expand(shape=[4, 2, 3]), Tile(repeats=2), Gather(indices=[0, 1]), CumulativeSum()):
        assert not busy.is_identity(shapes)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Expand(shape=[2, 2]), "an input of shape 1×2×3 cannot be repeated to [2, 2]"),
        (Tile(repeats=[1, 1, 1, 2]), "4 repeats for an input of shape 1×2×3: it has fewer axes"),
        (Gather(indices=[0, 2]), "axis 1 of an input of shape 1×2×3 has no place 2"),
        (Gather(axis=3, indices=0), "axis 3 does not exist"),
        (CumulativeSum(axis=3), "axis 3 does not exist"),
    ],
)
def test_what_does_not_fit_is_a_shape_error(layer: Any, message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        layer.output_shapes([(1, 2, 3)], {})
    assert message in str(caught.value)


def test_a_length_is_at_least_one() -> None:
    with pytest.raises(KeyValueError, match="at least 1, got 0"):
        Expand(shape=[0, 1])
    with pytest.raises(KeyValueError, match="at least 1, got 0"):
        Tile(repeats=0)
