"""Deconvolution, Resize, Interp, MaxUnpool, DepthToSpace and the like: by example, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cnnrt.errors import KeyValueError, ShapeError
from cnnrt.layer import Layer, Shape
from cnnrt_layers import (
    ChannelShuffle,
    Convolution,
    Deconvolution,
    DepthToSpace,
    Interp,
    MaxUnpool,
    Pooling,
    Resize,
    ROIPooling,
    SpaceToDepth,
)

LINE = np.float32([[[[1, 2, 4]]]])


def test_deconvolution_is_the_transpose_of_convolution() -> None:
    """For every x and y: <convolution of x, y> = <x, deconvolution of y>, with the same kernels and keys."""
    random = np.random.default_rng(0)
    weights = {"weight": random.standard_normal((4, 3, 3, 2))}
    keys: dict[str, Any] = {"stride": (2, 1), "pad": (1, 0, 0, 1), "dilation": (1, 2), "group": 2}
    x, y = random.standard_normal((1, 6, 8, 7)), random.standard_normal((1, 4, 4, 6))
    (forward,) = Convolution(**keys).reference([x], weights)
    assert forward.shape == y.shape
    (back,) = Deconvolution(**keys, output_pad=(0, 0)).reference([y], weights)
    assert back.shape == (1, 6, 8, 7)
    assert np.vdot(forward, y) == pytest.approx(np.vdot(x, back), rel=1e-12)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"scale": 2}, [1, 1, 2, 2, 4, 4]),
        ({"scale": 2, "rounding": "round_prefer_ceil", "coordinates": "asymmetric"}, [1, 2, 2, 4, 4, 4]),
        ({"size": [1, 6], "mode": "linear"}, [1, 1.25, 1.75, 2.5, 3.5, 4]),
        ({"size": [1, 5], "mode": "linear", "coordinates": "align_corners"}, [1, 1.5, 2, 3, 4]),
        ({"size": [1, 6], "mode": "linear", "coordinates": "asymmetric"}, [1, 1.5, 2, 3, 4, 4]),
        ({"size": [1, 1], "mode": "linear", "coordinates": "pytorch_half_pixel"}, [1]),
        ({"size": [1, 1], "mode": "linear"}, [2]),
    ],
    ids=str,
)
def test_resize(keys: dict[str, Any], expected: list[float]) -> None:
    layer = Resize(**(keys if keys.get("scale") is None else {**keys, "scale": [1, keys["scale"]]}))
    np.testing.assert_allclose(layer.reference([LINE], {})[0][0, 0, 0], expected, rtol=1e-6)


def test_resize_takes_the_size_of_a_second_input() -> None:
    (result,) = Resize().reference([LINE, np.zeros((1, 7, 2, 6))], {})
    np.testing.assert_array_equal(result, [[[[1, 1, 2, 2, 4, 4]] * 2]])


def test_interp_keeps_corners_in_place() -> None:
    (result,) = Interp(zoom_factor=2).reference([LINE], {})
    np.testing.assert_array_equal(result, [[[[1, 1.5, 2, 3, 4]]]])
    assert Interp(shrink_factor=2).output_shapes([(1, 1, 9, 8)], {}) == ((1, 1, 5, 4),)
    assert Interp(height=3, width=4, pad_beg=-1, pad_end=-1).output_shapes([(1, 1, 9, 8)], {}) == ((1, 1, 3, 4),)


def test_what_was_pooled_goes_back_to_its_place() -> None:
    x = np.float32([[[[1, 5, 2, 0], [3, 4, 9, 8]]]])
    maxima, places = Pooling(kernel_size=2, stride=2, mask=True).reference([x], {})
    np.testing.assert_array_equal(places, [[[[1, 6]]]])
    (back,) = MaxUnpool(kernel_size=2, stride=2).reference([maxima, places], {})
    np.testing.assert_array_equal(back, [[[[0, 5, 0, 0], [0, 0, 9, 0]]]])


def test_depth_and_space() -> None:
    x = np.arange(16, dtype=np.float32).reshape(1, 8, 1, 2)
    for mode, first in (("DCR", [0, 4, 1, 5]), ("CRD", [0, 2, 1, 3])):
        (spread,) = DepthToSpace(block=2, mode=mode).reference([x], {})
        assert spread.shape == (1, 2, 2, 4)
        assert list(spread[0, 0, 0]) == first
        (back,) = SpaceToDepth(block=2, mode=mode).reference([spread], {})
        np.testing.assert_array_equal(back, x)


def test_channel_shuffle_twice_with_the_other_factor_is_nothing() -> None:
    x = np.arange(6, dtype=np.float32).reshape(1, 6)
    (shuffled,) = ChannelShuffle(group=2).reference([x], {})
    np.testing.assert_array_equal(shuffled, [[0, 3, 1, 4, 2, 5]])
    np.testing.assert_array_equal(ChannelShuffle(group=3).reference([shuffled], {})[0], x)


def test_roi_pooling_keeps_the_maximum_of_each_cell() -> None:
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    rois = np.float32([[0, 0, 0, 6, 6], [0, 20, 20, 30, 30], [1, 0, 0, 1, 1]])
    inside, beyond, missing = ROIPooling(pooled_h=2, pooled_w=2, spatial_scale=0.5).reference([x, rois], {})[0]
    np.testing.assert_array_equal(inside, [[[5, 7], [13, 15]]])
    np.testing.assert_array_equal(beyond, [[[0, 0], [0, 0]]])
    assert np.isnan(missing).all()


@pytest.mark.parametrize(
    ("make", "key", "message"),
    [
        (lambda: Resize(size=2, scale=2), "scale", "expected either size or scale"),
        (lambda: Resize(scale=[1, 0]), "scale", "expected one or two positive numbers, got [1.0, 0.0]"),
        (lambda: Resize(mode="lanczos"), "mode", "expected one of nearest, linear, cubic"),
        (lambda: Interp(pad_beg=1), "pad_beg", "expected at most 0, got 1"),
        (lambda: Interp(height=2), "height", "expected both height and width"),
        (lambda: MaxUnpool(size=2, kernel_size=2), "kernel_size", "expected either size or kernel_size"),
        (lambda: Pooling(pool="mean", kernel_size=2, mask=True), "mask", "only a maximum has a place"),
        (lambda: DepthToSpace(block=0), "block", "expected at least 1, got 0"),
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
        (Deconvolution(), [(1, 3, 4, 4)], {"weight": (4, 2, 3, 3)}, "the input has 3 channels; weights 4×2×3×3 take 4"),
        (Deconvolution(group=2), [(1, 3, 4, 4)], {"weight": (3, 2, 1, 1)}, "group 2 does not divide the 3 channels"),
        (Deconvolution(pad=2), [(1, 1, 1, 1)], {"weight": (1, 1, 3, 3)}, "leave none after 2 and 2 are cut off"),
        (Resize(), [(1, 3, 4, 4)], {}, "expected size, scale or a second input"),
        (Resize(scale=0.1), [(1, 3, 4, 4)], {}, "an image of 4×4 cannot become one of 0×0 pixels"),
        (
            Interp(pad_beg=-2, pad_end=-2),
            [(1, 3, 4, 4)],
            {},
            "nothing is left of an image of 4×4 with 4 pixels cut off",
        ),
        (MaxUnpool(), [(1, 1, 2, 2)] * 2, {}, "expected size, kernel_size or a third input"),
        (MaxUnpool(size=2), [(1, 1, 2, 2), (1, 1, 2, 1)], {}, "1×1×2×2 values need as many places, got 1×1×2×1"),
        (DepthToSpace(block=2), [(1, 6, 2, 2)], {}, "6 channels do not fill blocks of 2×2 pixels"),
        (SpaceToDepth(block=2), [(1, 6, 3, 2)], {}, "does not divide into blocks of 2 pixels"),
        (ChannelShuffle(group=4), [(1, 6)], {}, "group 4 does not divide the 6 channels"),
        (
            ROIPooling(pooled_h=1, pooled_w=1),
            [(1, 1, 2, 2), (3, 4)],
            {},
            "expected regions of shape (regions, 5)",
        ),
    ],
)
def test_shapes_that_do_not_fit(layer: Layer, inputs: list[Shape], weights: dict[str, Shape], message: str) -> None:
    with pytest.raises(ShapeError) as caught:
        layer.output_shapes(inputs, weights)
    assert message in str(caught.value)
