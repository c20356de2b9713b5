"""The backend by cnnrt's conformance kit, and what is particular to it: reasons, tuning, threads, fallbacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import numexpr
import numpy as np
import pytest
from cnnrt_backend_numexpr import (
    FloatKernel,
    NormaliseChannels,
    NumexprBackend,
    NumexprSegment,
    PoolTaps,
    UnrolledWindows,
    expression,
)

from cnnrt import Net
from cnnrt.backend import Device, Segment
from cnnrt.errors import PlacementError
from cnnrt.layer import Array, Layer, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import TensorType
from cnnrt.testing import BackendSuite, Case, make_case
from cnnrt_layers import LRN, Convolution, Eltwise, Pooling, ReLU

CPU = Device("numexpr", "cpu")
NETFILE = """
netfile_version: 1
execution_mode: "numexpr"
layer { type: "ReLU" name: "r" bottom: "data" }
layer { type: "Softmax" name: "s" bottom: "data" }
layer { type: "Concat" name: "join" bottom: ["r", "s"] }
"""


class TestNumexpr(BackendSuite):
    """Every kernel against the references, isolation, errors, strict mode, threads, memory."""

    backend = "numexpr"


def compute(kernel: FloatKernel, case: Case) -> Array:
    """Return what a kernel gives with exactly the workspace that it states."""
    call = case.call
    workspace = np.full(kernel.workspace(call), 0xFF, np.uint8)
    y = np.full(call.outputs[0].shape, np.nan, np.float32)
    kernel.bind(call)(case.inputs, [y], kernel.pack(call, case.weights), workspace)
    return y


def exact(case: Case) -> Array:
    """Return the reference of a case in float64."""
    inputs, weights = case.in_float64()
    return case.call.reference(inputs, weights)[0]


def call_of(layer: Layer, *shapes: Shape) -> LayerCall:
    """Return a call without data."""
    outputs = layer.output_shapes(shapes, {})
    return LayerCall(layer, tuple(map(TensorType, shapes)), tuple(map(TensorType, outputs)))


@pytest.mark.parametrize("block_kib", UnrolledWindows.tunable["block_kib"])
def test_every_value_that_the_convolution_can_be_tuned_by_gives_the_right_result(block_kib: int) -> None:
    """The search space is data beside the kernel; `parameters` reports the value in force."""
    kernel = attrs.evolve(UnrolledWindows(), block_kib=block_kib)
    layer = Convolution(pad=(2, 1, 2, 1), stride=(2, 2), group=2)
    case = make_case(layer, [(2, 32, 61, 59)], {"weight": (6, 16, 5, 3), "bias": (6,)}, folded=(ReLU(),))
    np.testing.assert_allclose(compute(kernel, case), exact(case), rtol=1e-5, atol=1e-4)
    assert kernel.parameters(case.call) == {"block_kib": block_kib}
    products = 4 * 3 * case.call.outputs[0].shape[2] * case.call.outputs[0].shape[3]
    assert kernel.workspace(case.call) <= block_kib * 1024 + products


def test_a_block_has_at_least_one_row() -> None:
    """However wide the image is."""
    case = make_case(Convolution(), [(1, 64, 3, 900)], {"weight": (2, 64, 3, 3)})
    kernel = UnrolledWindows(block_kib=128)
    assert kernel.workspace(case.call) == 4 * (64 * 9 + 2) * 898
    np.testing.assert_allclose(compute(kernel, case), exact(case), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize(
    ("kernel", "call", "reason"),
    [
        (NormaliseChannels(), call_of(LRN(norm_region="within_channel"), (1, 2, 5, 5)), "across channels only"),
        (PoolTaps(), call_of(Pooling(kernel_size=(6, 6)), (1, 2, 12, 12)), "36 operands; numexpr takes 31"),
        (PoolTaps(), call_of(Pooling(global_pooling=True, pool="mean"), (1, 2, 7, 7)), "51 operands; numexpr takes 31"),
    ],
)
def test_a_kernel_that_declines_says_why(kernel: FloatKernel, call: LayerCall, reason: str) -> None:
    """The reason reaches the plan."""
    answer = kernel.can_run(call, CPU)
    assert isinstance(answer, str)
    assert reason in answer


def test_the_largest_expressions_that_are_accepted_run() -> None:
    """31 operands, as inputs and as the values of a window."""
    several = make_case(Eltwise(operation="max"), [(2, 3)] * 31)
    window = make_case(Pooling(kernel_size=(1, 29), pool="mean"), [(2, 3, 4, 32)])
    for case in (several, window):
        kernel = next(k for k in _kernels() if k.layer == case.layer.type)
        assert kernel.can_run(case.call, CPU) is True
        np.testing.assert_allclose(compute(kernel, case), exact(case), rtol=1e-5, atol=1e-6)


def test_an_input_in_float64_is_declined() -> None:
    """It computes in float32."""
    wide = TensorType((2, 2), "float64")
    for kernel in _kernels():
        if kernel.layer == "ReLU":
            assert kernel.can_run(LayerCall(ReLU(), (wide,), (wide,)), CPU) == "computes in float32, not in float64"


def test_a_number_that_is_an_operand_keeps_an_expression_in_float32() -> None:
    """And the same formula is compiled once."""
    names = ("x", "slope")
    scale = expression("x * slope", names)
    y = np.empty(3, np.float32)
    scale(np.arange(3, dtype=np.float32), np.float32(0.1), out=y)
    np.testing.assert_array_equal(y, np.arange(3, dtype=np.float32) * np.float32(0.1))
    assert expression("x * slope", names) is scale


def test_the_limit_of_threads_holds_during_a_run_and_is_restored() -> None:
    """The pool of threads is the process's, not the segment's."""
    before = numexpr.set_num_threads(2)
    try:
        segment = NumexprBackend().compile(Segment(0, CPU, ()), (), 1)
        assert isinstance(segment, NumexprSegment)
        seen = []

        class Steps:
            def run(self, frame: Sequence[Array], timer: object) -> None:
                seen.append(numexpr.get_num_threads())

        segment._steps = Steps()  # type: ignore[assignment]  # a probe in place of the kernels
        segment.run([])
        assert seen == [1]
        assert numexpr.get_num_threads() == 2
    finally:
        numexpr.set_num_threads(before)


def test_what_has_no_kernel_runs_by_reference_and_strict_refuses_it(tmp_path: Path) -> None:
    """The plan names the backend, the layer and the reason."""
    path = tmp_path / "net.netfile"
    path.write_text(NETFILE)
    x = np.linspace(-1, 1, 10, dtype=np.float32).reshape(2, 5)
    with Net(path) as net:
        y = net.compute(x)
        rows = {row.title: row for row in net.plan.rows}
    np.testing.assert_array_equal(y[:, :5], np.maximum(x, 0))
    np.testing.assert_allclose(y[:, 5:].sum(axis=1), 1, rtol=1e-6)
    assert [rows[name].backend for name in ("r", "s", "join")] == ["numexpr", "numexpr", "core"]
    assert "numexpr has no kernel for Concat" in rows["join"].why
    with pytest.raises(PlacementError, match="numexpr has no kernel for Concat"):
        Net(path, strict=True).compute(x)


def _kernels() -> list[FloatKernel]:
    from cnnrt_backend_numexpr import cnnrt_kernels

    return [kernel for kernel in cnnrt_kernels() if isinstance(kernel, FloatKernel)]
