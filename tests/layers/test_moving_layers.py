"""Reshape, Permute, Pad, Slice, StridedSlice, Split, Crop, Constant: by example, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.layer import Layer, Shape
from cnnrt_layers import Constant, Crop, Pad, Permute, Reshape, Slice, Split, StridedSlice

LINE = np.float32([[1, 2, 3]])
TO_THE_START = -(2**63) + 1


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Reshape(shape=[0, -1]), (2, 60)),
        (Reshape(shape=[-1], axis=1), (2, 60)),
        (Reshape(shape=[2, 6], axis=1, num_axes=1), None),
        (Reshape(shape=[2, 2, 3], axis=0, num_axes=2), None),
        (Reshape(shape=[6, -1], axis=1, num_axes=2), (2, 6, 2, 5)),
        (Reshape(shape=[1], axis=-1, num_axes=0), (2, 3, 4, 5, 1)),
        (Reshape(shape=[1, 1], axis=1, num_axes=0), (2, 1, 1, 3, 4, 5)),
        (Permute(order=[0, 2, 3, 1]), (2, 4, 5, 3)),
        (Permute(order=[0, 2]), (2, 4, 3, 5)),
        (Pad(before=[1, 2], after=[0, -1]), (2, 3, 5, 6)),
        (Pad(before=1, after=1, axes=1), (2, 5, 4, 5)),
        (StridedSlice(axes=[1, -1], starts=[0, -2], ends=[2, 100]), (2, 2, 4, 2)),
        (StridedSlice(axes=3, starts=-1, ends=TO_THE_START, steps=-2), (2, 3, 4, 3)),
    ],
    ids=str,
)
def test_shapes(layer: Layer, expected: Shape | None) -> None:
    given = [(2, 3, 4, 5)]
    if expected is None:
        with pytest.raises(ShapeError, match="do not fill the shape"):
            layer.output_shapes(given, {})
    else:
        assert layer.output_shapes(given, {}) == (expected,)


def test_what_is_left_over_does_not_depend_on_the_batch() -> None:
    layer = Reshape(shape=[0, -1, 2])
    assert layer.output_shapes([(3, 8)], {}) == ((3, 4, 2),)
    assert layer.output_shapes([(0, 8)], {}) == ((0, 4, 2),)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("constant", [9, 9, 1, 2, 3, 9]),
        ("edge", [1, 1, 1, 2, 3, 3]),
        ("reflect", [3, 2, 1, 2, 3, 2]),
        ("symmetric", [2, 1, 1, 2, 3, 3]),
        ("wrap", [2, 3, 1, 2, 3, 1]),
    ],
)
def test_each_mode_of_padding(mode: str, expected: list[float]) -> None:
    (result,) = Pad(before=2, after=1, mode=mode, value=9).reference([LINE], {})
    np.testing.assert_array_equal(result, [expected])


def test_slices_follow_one_another() -> None:
    x = np.arange(7, dtype=np.float32).reshape(1, 7)
    assert [list(y[0]) for y in Slice(slice_point=[1, 3]).reference([x], {})] == [[0], [1, 2], [3, 4, 5, 6]]
    assert [list(y[0]) for y in Slice(parts=3).reference([x], {})] == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_step_back_goes_to_the_very_first_value() -> None:
    (result,) = StridedSlice(axes=1, starts=-1, ends=TO_THE_START, steps=-1).reference([LINE], {})
    np.testing.assert_array_equal(result, [[3, 2, 1]])


def test_crop_takes_the_size_of_the_second_input() -> None:
    x = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    (result,) = Crop(offset=[1, 2]).reference([x, np.zeros((1, 9, 2, 2))], {})
    np.testing.assert_array_equal(result, x[:, :, 1:3, 2:4])


def test_constant_without_an_input_is_its_value() -> None:
    value = np.float32([[1, 2]])
    assert Constant().output_shapes([], {"value": (1, 2)}) == ((1, 2),)
    (result,) = Constant().reference([], {"value": value})
    np.testing.assert_array_equal(result, value)
    assert not np.shares_memory(result, value)


def test_which_do_nothing() -> None:
    one = [(1, 3, 4, 4)]
    assert Reshape.view
    for idle in (
        Split(),
        Slice(parts=1),
        Permute(order=[0, 1, 2]),
        Pad(before=[0, 0], after=[0, 0]),
        StridedSlice(axes=1, starts=0, ends=9),
    ):
        assert idle.is_identity(one), idle
    for busy in (Slice(slice_point=1), Permute(order=1), Pad(before=0, after=1), Crop(), Constant()):
        assert not busy.is_identity(one), busy


@pytest.mark.parametrize(
    ("make", "key", "message"),
    [
        (lambda: Reshape(shape=[-1, -1]), "shape", "expected at most one -1"),
        (lambda: Reshape(shape=[-2]), "shape", "expected at least -1, got -2"),
        (lambda: Permute(order=[1, 1]), "order", "expected each axis once, got [1, 1]"),
        (lambda: Pad(before=[1], after=[1, 2]), "after", "expected as many as in before, 1, got 2"),
        (lambda: Pad(before=-1, after=0, mode="edge"), "before", "mode 'constant' alone cuts off"),
        (lambda: Slice(), "slice_point", "expected either slice_point or parts"),
        (lambda: Slice(parts=2, slice_point=1), "slice_point", "expected either slice_point or parts"),
        (lambda: Slice(slice_point=[3, 1]), "slice_point", "expected points in ascending order, got [3, 1]"),
        (lambda: StridedSlice(axes=[1, 2], starts=0, ends=[1, 1]), "starts", "expected one for each of 2 axes, got 1"),
        (lambda: StridedSlice(axes=1, starts=0, ends=1, steps=0), "steps", "a step of 0 leads nowhere"),
        (lambda: Crop(offset=-1), "offset", "expected at least 0, got -1"),
        (lambda: Crop(offset=[]), "offset", "expected at least one integer, got none"),
    ],
)
def test_keys_that_are_refused(make: Any, key: str, message: str) -> None:
    with pytest.raises(KeyValueError) as caught:
        make()
    assert caught.value.key == key
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (Reshape(shape=7), [(2, 3)], "6 values of an input of shape 2×3 do not fill the shape [7]"),
        (Reshape(shape=[0, 0, 0, -1], axis=1), [(2, 3)], "has no axis 2, which 0 would keep"),
        (Reshape(shape=1, axis=3), [(2, 3)], "an input of shape 2×3 has no axes 3 to 2: check axis and num_axes"),
        (Permute(order=[0, 4]), [(2, 3)], "an input of shape 2×3 has no axis 4"),
        (
            Pad(before=3, after=0, mode="reflect"),
            [(1, 3)],
            "can put at most 2 values at either end of an axis",
        ),
        (Pad(before=1, after=1, mode="edge"), [(1, 0)], "an axis of the input 1×0 has no values to repeat"),
        (Pad(before=-2, after=-2), [(1, 3)], "more is cut off than an axis of the input 1×3 holds"),
        (Pad(before=[1, 1], after=[1, 1]), [(3,)], "2 axes are to be padded, an input of 3 has fewer"),
        (Pad(before=[1, 1], after=[1, 1], axes=[1, -1]), [(3, 3)], "axes [1, -1] name an axis of the input 3×3 twice"),
        (Slice(slice_point=4), [(1, 3)], "axis 1 of 1×3 ends before the slice point 4"),
        (Slice(parts=3), [(1, 2)], "axis 1 of 1×2 is too short for 3 pieces"),
        (Crop(), [(1, 2, 4, 4), (1, 2, 4)], "expected inputs of equal rank, got 1×2×4×4 and 1×2×4"),
        (Crop(offset=1), [(1, 2, 4, 4), (1, 2, 4, 3)], "4 values from place 1 on do not lie in an axis of length 4"),
        (Crop(offset=[1, 1, 1]), [(1, 2, 4, 4), (1, 2, 1, 1)], "is cut along 2 axes: expected 1 or 2 offsets, got 3"),
    ],
)
def test_shapes_that_do_not_fit(layer: Layer, inputs: list[Shape], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        layer.output_shapes(inputs, {})
    assert message in str(caught.value)
