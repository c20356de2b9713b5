"""Pooling: Caffe's windows, divisors, and what it refuses."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cnnrt.errors import ShapeError
from cnnrt.testing.case import Case
from cnnrt_layers import Pooling
from cnnrt_layers.conformance.random_cases import random_cases
from layer_suite.oracles import onnx_node


def pooled(layer: Pooling, rows: list[list[float]]) -> list[list[float]]:
    (result,) = layer.reference([np.array([[rows]], np.float32)], {})
    return result[0, 0].tolist()


@pytest.mark.parametrize(
    ("layer", "size", "expected"),
    [
        (Pooling(kernel_size=3, stride=2), 55, 27),  # AlexNet
        (Pooling(kernel_size=3, stride=2), 112, 56),  # GoogLeNet: 55.5 rounds up
        (Pooling(kernel_size=3, stride=2, ceil_mode=False), 112, 55),
        (Pooling(kernel_size=3, stride=2, pad=1), 112, 57),
        (Pooling(kernel_size=2, stride=2, pad=1), 3, 2),  # a third window would start beyond row 2
        (Pooling(kernel_size=1, stride=3), 5, 2),  # likewise, without padding
        (Pooling(kernel_size=3, stride=2), 2, 1),  # smaller than the kernel, but the stride bridges it
        (Pooling(kernel_size=2, pad=[1, 0, 0, 1]), 4, 4),
        (Pooling(global_pooling=True), 7, 1),
    ],
)
def test_output_size_is_caffes(layer: Pooling, size: int, expected: int) -> None:
    assert layer.output_shapes([(2, 3, size, size)], {}) == ((2, 3, expected, expected),)


def test_maximum_ignores_padding() -> None:
    assert pooled(Pooling(kernel_size=2, stride=2, pad=1), [[-1, -2], [-3, -4]]) == [[-1, -2], [-3, -4]]


def test_mean_divides_by_the_window_in_the_padded_image() -> None:
    image = [[4.0, 8.0], [12.0, 16.0]]
    assert pooled(Pooling(pool="mean", kernel_size=3, pad=1), image) == [[40 / np.float32(9)] * 2] * 2
    assert pooled(Pooling(pool="mean", kernel_size=3, pad=1, count_include_pad=False), image) == [[10.0] * 2] * 2


def test_mean_does_not_count_what_lies_beyond_the_padding() -> None:
    """The last window of three values reaches one beyond the image: Caffe divides by two."""
    image = [[1.0, 2.0, 3.0, 4.0]]
    assert pooled(Pooling(pool="mean", kernel_size=[1, 3], stride=2), image) == [[2.0, 3.5]]


def test_global_pooling_takes_the_whole_image() -> None:
    image = [[1.0, 2.0], [3.0, 6.0], [0.0, 0.0]]
    assert pooled(Pooling(global_pooling=True), image) == [[6.0]]
    assert pooled(Pooling(pool="mean", global_pooling=True), image) == [[2.0]]


@given(random_cases("Pooling").filter(lambda case: case.layer.pool == "max" and case.layer.dilation == (1, 1)))
@settings(max_examples=60, deadline=None)
def test_rounding_down_agrees_with_onnx(case: Case) -> None:
    """The oracle of the random suite is a loop over Caffe's definition; where ONNX means the same, it agrees too."""
    layer = attrs.evolve(case.call.layer, ceil_mode=False)
    (x,), _ = case.in_float64()
    kernel = layer.kernel_size or x.shape[2:]
    # Where padding differs from side to side ONNX's evaluator gives rows what columns should get.
    assume(len(x) and len(set(layer.pad)) == 1)
    assume(all(n + a + b >= k for n, a, b, k in zip(x.shape[2:], layer.pad[:2], layer.pad[2:], kernel, strict=True)))
    result = layer.reference([x], {})[0]
    expected = onnx_node("MaxPool", [x], kernel_shape=kernel, strides=layer.stride, pads=layer.pad)
    np.testing.assert_array_equal(result, expected)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_no_window_lies_in_the_padding_alone(data: st.DataObject) -> None:
    case = data.draw(random_cases("Pooling").filter(lambda case: case.layer.dilation == (1, 1) and not case.layer.mask))
    for along in case.call.layer.windows(case.call.input_shapes[0]):
        last = (along.count - 1) * along.stride - along.before
        assert last < along.size
        assert along.kernel > along.before
    ones = np.ones_like(case.inputs[0])
    uncounted = attrs.evolve(case.call.layer, pool="mean", count_include_pad=False)
    np.testing.assert_array_equal(uncounted.reference([ones], {})[0], 1)


def test_flops_count_each_value_of_each_window() -> None:
    layer = Pooling(kernel_size=3, stride=2)
    outputs = layer.output_shapes([(1, 96, 55, 55)], {})
    assert layer.flops([(1, 96, 55, 55)], outputs, {}) == 96 * 27 * 27 * 9


@pytest.mark.parametrize(
    ("layer", "input_shape", "message"),
    [
        (Pooling(kernel_size=2), (1, 10), "expected input of shape (images, channels, rows, columns), got 1×10"),
        (Pooling(global_pooling=True), (1, 3, 0, 4), "at least one row and one column, got 1×3×0×4"),
        (
            Pooling(kernel_size=4, pad=[0, 1]),
            (1, 3, 2, 9),
            "a kernel of 4 rows does not fit: the input has 2 rows, 2 with padding; "
            "use a larger input, a smaller kernel or more padding",
        ),
        (Pooling(kernel_size=3, stride=2, ceil_mode=False), (1, 3, 9, 2), "a kernel of 3 columns does not fit"),
    ],
)
def test_shapes_that_do_not_fit(layer: Pooling, input_shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        layer.output_shapes([input_shape], {})
    assert message in str(caught.value)
