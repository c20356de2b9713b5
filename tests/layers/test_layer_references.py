"""Every layer's reference on random shapes: right, of the shape that its rule states, within the stated memory."""

from __future__ import annotations

import gc
import tracemalloc

import attrs
import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from cnnrt.layer import Layer
from cnnrt.testing.agreement import FLOAT64, assert_agree, rounding_bound
from cnnrt.testing.case import Case
from cnnrt.testing.suite_of import layer_suite
from cnnrt_layers import cnnrt_layers
from cnnrt_layers.conformance.error_bounds import BOUNDS, allowed_error
from cnnrt_layers.conformance.random_cases import RANDOM_CASES, random_cases
from layer_suite.network_cases import NETWORK_CASES
from layer_suite.oracles import ORACLES, oracle

EVERY_LAYER = pytest.mark.parametrize("layer", cnnrt_layers(), ids=lambda layer: layer.type)
EVERY_NETWORK_CASE = pytest.mark.parametrize("name", NETWORK_CASES)


@EVERY_LAYER
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_reference_agrees_with_an_independent_computation(layer: type[Layer], data: st.DataObject) -> None:
    case = data.draw(layer_suite(layer).cases())
    inputs, weights = case.in_float64()
    with np.errstate(all="ignore"):
        expected = oracle(case.layer, inputs, weights)
        allowed = float64_bound(case)
    assert_agree(case.layer.reference(inputs, weights), expected, allowed, "the reference")


def float64_bound(case: Case) -> tuple[np.ndarray, ...]:
    """Return by how much the reference in float64 and the oracle, which both err, may differ."""
    own = attrs.evolve(case, call=attrs.evolve(case.call, folded=()))
    if case.layer.type.lower() in BOUNDS:
        inputs, weights = case.in_float64()
        bound = allowed_error(own.call, inputs, weights, FLOAT64, lambda x, w: oracle(case.layer, x, w)[0])
        return (2 * bound + np.finfo(np.float64).tiny, *(np.zeros(s) for s in case.call.output_shapes[1:]))
    return tuple(2 * bound for bound in rounding_bound(own, FLOAT64))


@EVERY_LAYER
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_reference_keeps_its_contract(layer: type[Layer], data: st.DataObject) -> None:
    """Inputs are read-only here, so that writing to one of them fails."""
    case = data.draw(layer_suite(layer).cases())
    singles = case.layer.reference(case.inputs, case.weights)
    assert tuple(single.shape for single in singles) == case.call.output_shapes, (
        "the shape rule and the reference agree"
    )
    doubles = case.layer.reference(*case.in_float64())
    for single, double in zip(singles, doubles, strict=True):
        assert single.dtype == np.float32
        assert single.flags.writeable
        assert not any(np.shares_memory(single, x) for x in case.inputs), "the result belongs to the caller"
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(
                single, double.astype(np.float32), err_msg="float32 is rounded once, at the end"
            )


@EVERY_LAYER
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_cost_and_workspace_are_plain_numbers(layer: type[Layer], data: st.DataObject) -> None:
    call = data.draw(layer_suite(layer).cases()).call
    shapes = call.input_shapes, call.output_shapes, call.weight_shapes
    cost = call.layer.cost(*shapes)
    values = sum(t.nbytes for t in (*call.inputs, *call.outputs, *call.weights.values()))
    assert (type(cost.flops), cost.bytes) == (int, values)
    assert cost.flops >= 0
    assert type(call.layer.reference_workspace(*shapes)) is int


@EVERY_NETWORK_CASE
def test_reference_allocates_no_more_than_it_states(name: str) -> None:
    case = NETWORK_CASES[name].make()
    call = case.call
    stated = call.layer.reference_workspace(call.input_shapes, call.output_shapes, call.weight_shapes)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        results = case.layer.reference(case.inputs, case.weights)
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    used = peak - sum(r.nbytes for r in results)
    # NumPy buffers 8192 values of an operand at a time where it converts them; Python's objects take their share too.
    assert used <= stated + 300_000, f"states {stated} bytes, uses {used}"


def test_the_suite_knows_every_layer() -> None:
    types = {layer.type.lower() for layer in cnnrt_layers()}
    assert set(ORACLES) == types
    assert set(RANDOM_CASES) | set(BOUNDS) <= types


def test_network_cases_are_the_layers_of_real_networks() -> None:
    """Spot checks against the published shapes."""
    shapes = {
        "AlexNet conv1": (1, 96, 55, 55),
        "AlexNet conv2": (1, 256, 27, 27),
        "AlexNet pool1": (2, 96, 27, 27),
        "GoogLeNet pool1": (1, 64, 56, 56),
        "CIFAR-10 pool2": (16, 32, 8, 8),
        "MobileNet conv2_2/dw": (1, 64, 56, 56),
        "DeepLab fc6, a part": (1, 32, 41, 41),
    }
    for name, shape in shapes.items():
        assert NETWORK_CASES[name].make().call.output_shapes == (shape,), name


def test_results_of_an_empty_batch_are_empty() -> None:
    """Random cases include empty batches: this is the guard that they do."""
    thorough = settings(max_examples=2000, deadline=None, database=None)
    case = find(random_cases("convolution"), lambda case: case.call.input_shapes[0][0] == 0, settings=thorough)
    assert case.layer.reference(case.inputs, case.weights)[0].size == 0
