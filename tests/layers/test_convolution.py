"""Convolution: sizes, groups, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from cnnrt.errors import ShapeError
from cnnrt_layers import Convolution


def output_shape(layer: Convolution, input_shape: tuple[int, ...], **weights: tuple[int, ...]) -> tuple[int, ...]:
    (shape,) = layer.output_shapes([input_shape], weights)
    return shape


def test_definition_on_a_small_image() -> None:
    image = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3)
    weights = {"weight": np.array([[[[1, 2], [0, -1]]]], np.float32), "bias": np.array([0.5], np.float32)}
    (result,) = Convolution().reference([image], weights)
    # The kernel is not mirrored: the first value is 0 * 1 + 1 * 2 + 3 * 0 - 4 * 1 + 0.5.
    np.testing.assert_array_equal(result, [[[[-1.5, 0.5], [4.5, 6.5]]]])


@pytest.mark.parametrize(
    ("layer", "size", "kernel", "expected"),
    [
        (Convolution(stride=4), 227, 11, 55),
        (Convolution(stride=4), 224, 11, 54),  # 53.25 + 1: CNNdroid would have given 55
        (Convolution(stride=2), 6, 3, 2),  # 1.5 + 1: the last column is not used
        (Convolution(pad=2), 27, 5, 27),
        (Convolution(dilation=2, pad=2), 10, 3, 10),
    ],
)
def test_output_size_rounds_down(layer: Convolution, size: int, kernel: int, expected: int) -> None:
    shape = output_shape(layer, (1, 3, size, size), weight=(8, 3, kernel, kernel))
    assert shape == (1, 8, expected, expected)


def test_rows_and_columns_may_differ_in_everything() -> None:
    layer = Convolution(pad=[0, 1, 2, 3], stride=[1, 2], dilation=[2, 1])
    # rows: 10 + 0 + 2 - (2 * 2 + 1) + 1; columns: floor((20 + 1 + 3 - 5) / 2) + 1
    assert output_shape(layer, (4, 3, 10, 20), weight=(8, 3, 3, 5)) == (4, 8, 8, 10)


def test_each_group_sees_only_its_part_of_the_input() -> None:
    image = np.zeros((1, 4, 1, 1), np.float32)
    image[0, :2] = 1
    (result,) = Convolution(group=2).reference([image], {"weight": np.ones((6, 2, 1, 1), np.float32)})
    np.testing.assert_array_equal(result.ravel(), [2, 2, 2, 0, 0, 0])


def test_flops_are_those_published_for_alexnet() -> None:
    weights = {"weight": (96, 3, 11, 11), "bias": (96,)}
    outputs = Convolution(stride=4).output_shapes([(1, 3, 227, 227)], weights)
    assert Convolution(stride=4).flops([(1, 3, 227, 227)], outputs, weights) == 2 * 105_415_200
    grouped = {"weight": (256, 48, 5, 5)}
    outputs = Convolution(pad=2, group=2).output_shapes([(1, 96, 27, 27)], grouped)
    assert Convolution(pad=2, group=2).flops([(1, 96, 27, 27)], outputs, grouped) == 2 * 223_948_800


def test_sizes_beyond_any_machine_are_computed_exactly() -> None:
    huge = 2**62
    shape = output_shape(Convolution(pad=huge, stride=3), (huge, 1, huge, huge), weight=(1, 1, 1, 1))
    assert shape == (huge, 1, *[(3 * huge - 1) // 3 + 1] * 2)


@pytest.mark.parametrize(
    ("layer", "input_shape", "weights", "message"),
    [
        (
            Convolution(),
            (1, 800),
            {"weight": (8, 3, 5, 5)},
            "expected input of shape (images, channels, rows, columns), got 1×800",
        ),
        (Convolution(), (1, 3, 9, 9), {}, "expected 'weight' in the parameter file, which holds nothing"),
        (
            Convolution(),
            (1, 3, 9, 9),
            {"weight": (600,)},
            "expected weights of shape (outputs, inputs of the group, kernel rows, kernel columns), each at least 1, "
            "got 600",
        ),
        (Convolution(), (1, 3, 9, 9), {"weight": (8, 3, 0, 5)}, "each at least 1, got 8×3×0×5"),
        (
            Convolution(),
            (1, 4, 9, 9),
            {"weight": (8, 3, 5, 5)},
            "the input has 4 channels; weights 8×3×5×5 with group 1 take 1 × 3 = 3",
        ),
        (
            Convolution(),
            (1, 96, 27, 27),
            {"weight": (256, 48, 5, 5)},
            "the input has 96 channels; weights 256×48×5×5 with group 1 take 1 × 48 = 48; group 2 would fit",
        ),
        (
            Convolution(group=3),
            (1, 9, 9, 9),
            {"weight": (8, 3, 5, 5)},
            "group 3 does not divide the 8 outputs of the weights 8×3×5×5",
        ),
        (
            Convolution(),
            (1, 3, 9, 9),
            {"weight": (8, 3, 5, 5), "bias": (9,)},
            "expected a bias of 8 values, one for each output of the weights, got 9",
        ),
        (
            Convolution(pad=1),
            (1, 3, 9, 2),
            {"weight": (8, 3, 5, 5)},
            "a kernel of 5 columns does not fit: the input has 2 columns, 4 with padding; "
            "use a larger input or more padding",
        ),
        (
            Convolution(dilation=4),
            (1, 3, 9, 9),
            {"weight": (8, 3, 5, 5)},
            "a kernel of 5 rows reaches over 17 (dilation 4): the input has 9 rows, 9 with padding",
        ),
    ],
)
def test_shapes_that_do_not_fit(
    layer: Convolution, input_shape: tuple[int, ...], weights: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(ShapeError) as caught:
        output_shape(layer, input_shape, **weights)
    assert message in str(caught.value)
