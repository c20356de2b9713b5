"""ONNX's own tests of backends: every test whose operators are read passes, but for a short list of patterns."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import onnx
import pytest

from core_suite.printed import PRINTED
from onnx_suite.backend_tests import EXCLUDED, Outcome, Suite, exclusion, read

WRITTEN_FOR = "1.23."
"""Versions of onnx whose tests the list of exclusions is about."""

NEEDED = frozenset(
    {
        "Add",
        "ArgMax",
        "AveragePool",
        "BatchNormalization",
        "Cast",
        "Clip",
        "Concat",
        "Constant",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "Div",
        "Dropout",
        "Elu",
        "Expand",
        "Flatten",
        "Gather",
        "Gemm",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "GroupNormalization",
        "HardSigmoid",
        "Identity",
        "InstanceNormalization",
        "LRN",
        "LayerNormalization",
        "LeakyRelu",
        "LogSoftmax",
        "LpNormalization",
        "LpPool",
        "MatMul",
        "Max",
        "MaxPool",
        "MaxUnpool",
        "Mean",
        "Min",
        "Mul",
        "PRelu",
        "Pad",
        "Pow",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Resize",
        "Selu",
        "Sigmoid",
        "Slice",
        "Softmax",
        "Softplus",
        "Softsign",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Sub",
        "Sum",
        "Tanh",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Upsample",
    }
)
"""Operators of which at least one test of a single node has to pass."""


@pytest.fixture(scope="module")
def suite() -> Suite:
    if not onnx.__version__.startswith(WRITTEN_FOR):
        pytest.skip(f"the exclusions are about the tests of onnx {WRITTEN_FOR}x, this is {onnx.__version__}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the tests do when they are made
        return Suite()


@pytest.fixture(scope="module")
def outcomes(suite: Suite) -> list[Outcome]:
    """What became of the tests that are meant."""
    return suite.run(name for name in read(suite.operators) if exclusion(name) is None)


def test_every_test_that_is_meant_passes(outcomes: list[Outcome]) -> None:
    failed = [f"{outcome.name}: {outcome.failure}" for outcome in outcomes if outcome.failure]
    assert not failed, "\n".join(failed)
    assert len(outcomes) > 900


def test_each_operator_that_inference_needs_is_among_them(suite: Suite, outcomes: list[Outcome]) -> None:
    passed = {suite.operators[outcome.name] for outcome in outcomes if not outcome.failure}
    assert [op for op in sorted(NEEDED) if frozenset({op}) not in passed] == []


def test_what_is_excluded_is_there_and_would_not_pass(
    suite: Suite, record_property: Callable[[str, object], None]
) -> None:
    """The list is printed at the end of the run: it is part of what the suite says."""
    matched: dict[str, list[str]] = {pattern: [] for pattern in EXCLUDED}
    for name in read(suite.operators):
        if (pattern := exclusion(name)) is not None:
            matched[pattern].append(name)
    listed = [f"  {len(matched[pattern]):3} {pattern}: {reason}" for pattern, reason in EXCLUDED.items()]
    record_property(PRINTED, "\n".join(["excluded from ONNX's tests of backends:", *listed]))
    assert [pattern for pattern, names in matched.items() if not names] == []
    assert [outcome.name for names in matched.values() for outcome in suite.run(names) if not outcome.failure] == []
