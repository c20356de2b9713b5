"""Winograd's minimal filtering: its matrices are exact, it is chosen where it pays, and its errors stay small."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt.backend import Kernel
from cnnrt.testing.case import Case, make_case
from cnnrt.testing.kernel_checks import assert_kernel_agrees
from cnnrt.testing.kernel_run import run_kernel
from cnnrt.testing.suite_of import layer_suite
from cnnrt_backend_threaded.backend import ThreadedBackend
from cnnrt_backend_threaded.convolution_direct import DirectConvolution
from cnnrt_backend_threaded.convolution_winograd import (
    WinogradConvolution,
    WinogradFive,
    WinogradFour,
    WinogradThree,
    WinogradThreeSmall,
    WinogradTwo,
)
from cnnrt_layers import Convolution
from cnnrt_layers.winograd_matrices import Filtering, matrices

ALL = [WinogradTwo(), WinogradThreeSmall(), WinogradThree(), WinogradFour(), WinogradFive()]
KERNELS = pytest.mark.parametrize("kernel", ALL, ids=lambda kernel: kernel.name)
DEVICE = ThreadedBackend().devices()[0]


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_the_matrices_filter_exactly_whatever_the_points(outputs: int, taps: int, seed: int) -> None:
    points = tuple(Fraction(n // 2 * (-1) ** n, 2) for n in range(1, outputs + taps - 1))
    found = matrices(Filtering(outputs, taps, points))
    random = np.random.default_rng(seed)
    values, weights = random.standard_normal(outputs + taps - 1), random.standard_normal(taps)
    filtered = found.output @ ((found.weight @ weights) * (found.input @ values))
    np.testing.assert_allclose(filtered, np.correlate(values, weights), atol=1e-7)


def test_the_smallest_case_is_that_of_the_literature() -> None:
    """F(2, 3) with the points 0, 1, -1 and infinity: Lavin and Gray, equation 7, up to signs and halves."""
    found = matrices(Filtering(2, 3, (Fraction(0), Fraction(1), Fraction(-1))))
    assert np.abs(found.output).tolist() == [[1, 1, 1, 0], [0, 1, 1, 1]]
    assert np.abs(found.weight).tolist() == [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.5], [0, 0, 1]]
    assert np.abs(found.input).tolist() == [[1, 0, 1, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 1]]


@KERNELS
@pytest.mark.parametrize(("channels", "size"), [(16, 20), (64, 28), (256, 13)])
def test_errors_are_far_below_what_a_network_may_show(kernel: WinogradConvolution, channels: int, size: int) -> None:
    """Before a softmax 1e-5 of the largest value are allowed for all layers together; one layer takes 5e-6 at most."""
    taps = kernel.filtering.taps
    case = make_case(
        Convolution(pad=taps // 2), [(1, channels, size, size)], {"weight": (32, channels, taps, taps), "bias": (32,)}
    )
    (result,) = run_kernel(kernel, ThreadedBackend(), DEVICE, case, threads=2)
    exact = case.call.reference(*case.in_float64())[0]
    assert np.abs(result - exact).max() <= 5e-6 * np.abs(exact).max()


@KERNELS
def test_other_kernels_are_declined_with_the_reason(kernel: WinogradConvolution) -> None:
    taps = kernel.filtering.taps
    other = make_case(Convolution(), [(1, 3, 9, 9)], {"weight": (4, 3, 7, 7)})
    dilated = make_case(Convolution(dilation=2), [(1, 3, 19, 19)], {"weight": (4, 3, taps, taps)})
    uneven = make_case(Convolution(stride=(1, 2)), [(1, 3, 9, 9)], {"weight": (4, 3, taps, taps)})
    grouped = make_case(Convolution(stride=2, group=2), [(1, 4, 19, 19)], {"weight": (4, 2, 2 * taps, 2 * taps)})
    assert kernel.can_run(other.call, DEVICE) == f"the kernel is 7×7, not one of {taps}×{taps} taps"
    assert kernel.can_run(dilated.call, DEVICE) == "the kernel is dilated, or the strides down and across differ"
    assert kernel.can_run(uneven.call, DEVICE) == "the kernel is dilated, or the strides down and across differ"
    assert kernel.can_run(grouped.call, DEVICE) == "there are a stride and groups"


def agrees(kernel: WinogradConvolution, case: Case) -> None:
    assert_kernel_agrees(kernel, ThreadedBackend(), DEVICE, case, layer_suite(Convolution), threads=2)


@KERNELS
@settings(max_examples=12)
@given(data=st.data())
def test_strides_fall_into_phases(kernel: WinogradConvolution, data: st.DataObject) -> None:
    """A kernel of 11×11 with a stride of 4 is one of 3×3 on 16 times the channels, and so on."""
    stride = data.draw(st.integers(2, 5), "stride")
    taps = kernel.filtering.taps
    size = data.draw(st.integers(stride * (taps - 1) + 1, stride * taps), "kernel")
    image = [data.draw(st.integers(size, size + 20), "rows"), data.draw(st.integers(size, size + 20), "columns")]
    images, channels = data.draw(st.integers(1, 3), "images"), data.draw(st.integers(1, 5), "channels")
    outputs = data.draw(st.integers(1, 40), "outputs")
    layer = Convolution(stride=stride, pad=data.draw(st.integers(0, size - 1), "pad"))
    case = make_case(
        layer, [(images, channels, *image)], {"weight": (outputs, channels, size, size), "bias": (outputs,)}
    )
    assert kernel.can_run(case.call, DEVICE) is True
    agrees(kernel, case)


@KERNELS
@settings(max_examples=12)
@given(data=st.data())
def test_images_that_share_tiles_do_not_meet(kernel: WinogradConvolution, data: st.DataObject) -> None:
    """Images of a mosaic are as far apart as padding needs, whatever their sizes."""
    taps = kernel.filtering.taps
    images = data.draw(st.sampled_from([2, 4, 6, 12, 16]), "images")
    image = [data.draw(st.integers(taps, 9), "rows"), data.draw(st.integers(taps, 9), "columns")]
    layer = Convolution(pad=data.draw(st.integers(0, taps + 1), "pad"), group=2)
    case = make_case(layer, [(images, 4, *image)], {"weight": (6, 2, taps, taps)})
    agrees(kernel, case)


def test_a_batch_of_images_that_fill_their_tiles_badly_is_laid_out_as_a_mosaic() -> None:
    kernel = WinogradThree()

    def parameters(batch: int, size: int) -> Mapping[str, int | str]:
        case = make_case(Convolution(pad=1), [(batch, 8, size, size)], {"weight": (8, 8, 3, 3)})
        return kernel.parameters(case.call)

    assert parameters(16, 13)["images_together"] in ("2×2", "4×4")
    assert parameters(16, 13)["tiles"] == 14 * 14
    assert parameters(16, 28)["images_together"] == "1×1"
    assert parameters(1, 13)["tiles"] == 4 * 4


def test_it_is_chosen_where_it_saves_much_and_not_for_single_small_images() -> None:
    def seconds(kernel: Kernel, channels: int, size: int, batch: int) -> float:
        case = make_case(Convolution(pad=1), [(batch, channels, size, size)], {"weight": (channels, channels, 3, 3)})
        return kernel.estimate(case.call, DEVICE)

    direct, winograd = DirectConvolution(), WinogradThree()
    assert seconds(winograd, 64, 56, 4) < seconds(direct, 64, 56, 4)
    assert seconds(winograd, 256, 4, 1) > seconds(direct, 256, 4, 1)


def test_smaller_tiles_are_chosen_where_large_ones_would_read_more_weights_than_they_save_work() -> None:
    case = make_case(Convolution(pad=1), [(1, 512, 7, 7)], {"weight": (512, 512, 3, 3)})
    kernels = [DirectConvolution(), WinogradThreeSmall(), WinogradThree()]
    assert min(kernels, key=lambda kernel: kernel.estimate(case.call, DEVICE)).name == "winograd2x3"
