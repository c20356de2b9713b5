"""Winograd's minimal filtering: its matrices are exact, it is chosen where it pays, and its errors stay small."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt.backend import Kernel
from cnnrt.testing.case import make_case
from cnnrt.testing.kernel_run import run_kernel
from cnnrt_backend_threaded.backend import ThreadedBackend
from cnnrt_backend_threaded.convolution_direct import DirectConvolution
from cnnrt_backend_threaded.convolution_winograd import WinogradConvolution, WinogradFive, WinogradThree
from cnnrt_backend_threaded.winograd_matrices import Filtering, matrices
from cnnrt_layers import Convolution

KERNELS = pytest.mark.parametrize("kernel", [WinogradThree(), WinogradFive()], ids=lambda kernel: kernel.name)
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
    other = make_case(Convolution(), [(1, 3, 9, 9)], {"weight": (4, 3, 2, 2)})
    strided = make_case(Convolution(stride=2), [(1, 3, 9, 9)], {"weight": (4, 3, taps, taps)})
    assert kernel.can_run(other.call, DEVICE) == f"the kernel is 2×2, not {taps}×{taps}"
    assert kernel.can_run(strided.call, DEVICE) == "the stride or the dilation is not 1"


def test_it_is_chosen_where_it_saves_much_and_not_for_single_small_images() -> None:
    def seconds(kernel: Kernel, channels: int, size: int, batch: int) -> float:
        case = make_case(Convolution(pad=1), [(batch, channels, size, size)], {"weight": (channels, channels, 3, 3)})
        return kernel.estimate(case.call, DEVICE)

    direct, winograd = DirectConvolution(), WinogradThree()
    assert seconds(winograd, 64, 56, 4) < seconds(direct, 64, 56, 4)
    assert seconds(winograd, 256, 4, 1) > seconds(direct, 256, 4, 1)
