"""What the threaded kernels can be tuned by: every variant computes the same, cuts the work otherwise, and says so."""

from __future__ import annotations

import pytest

pytest.importorskip("llvmlite", reason="the threaded backend needs llvmlite")

from cnnrt.backend import Tuning
from cnnrt.testing.agreement import assert_agree
from cnnrt.testing.case import Case, make_case
from cnnrt.testing.kernel_run import run_kernel
from cnnrt_backend_threaded.backend import ThreadedBackend
from cnnrt_backend_threaded.convolution_direct import DirectConvolution
from cnnrt_backend_threaded.convolution_winograd import WinogradConvolution, WinogradThree
from cnnrt_backend_threaded.native_kernel import NativeKernel
from cnnrt_layers import Convolution

BACKEND = ThreadedBackend()
(DEVICE,) = BACKEND.devices()


def case() -> Case:
    return make_case(Convolution(pad=(1, 1, 1, 1)), [(2, 40, 30, 30)], {"weight": (70, 40, 3, 3), "bias": (70,)})


def large_case() -> Case:
    """More than a share of the second cache holds."""
    return make_case(Convolution(pad=(1, 1, 1, 1)), [(2, 160, 40, 40)], {"weight": (8, 160, 3, 3), "bias": (8,)})


def variants(kernel: NativeKernel, one: Case) -> list[Tuning]:
    (tunable,) = kernel.tunables(one.call, DEVICE)
    tunings = [{tunable.name: value} for value in tunable.values]
    return [t for t in tunings if kernel.allows(one.call, t)]


@pytest.mark.parametrize(("kernel", "make"), [(DirectConvolution(), case), (WinogradThree(), large_case)])
def test_every_variant_computes_what_the_layer_says(kernel: NativeKernel, make: type[Case]) -> None:
    one = make()
    found = variants(kernel, one)
    assert found
    inputs, weights = one.in_float64()
    exact = one.call.reference(inputs, weights)
    seen = [str(kernel.parameters(one.call))]
    for tuning in found:
        variant = kernel.tuned(tuning)
        results = run_kernel(variant, BACKEND, DEVICE, one, threads=2)
        bounds = [variant.error_bound(b) for b in one.layer.error_bound(inputs, weights, exact)]
        assert_agree(results, exact, bounds, f"{kernel.name} with {tuning}")
        seen.append(str(variant.parameters(one.call)))
    assert len(set(seen)) == len(seen), "each says what it is"


def test_packing_tells_tiles_of_different_widths_apart() -> None:
    call, kernel = case().call, DirectConvolution()
    packings = {kernel.tuned(t).packing(call) for t in variants(kernel, case())}
    assert len(packings) >= 2


def test_what_is_fixed_changes_no_other_kernel() -> None:
    call = large_case().call
    kernel: WinogradConvolution = WinogradThree()
    before = kernel.parameters(call)
    assert kernel.tuned({"cache_percent": 200}).parameters(call) != before
    assert kernel.parameters(call) == before
    assert kernel.tuning == {}
