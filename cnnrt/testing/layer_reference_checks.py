"""What a layer's shape rule and its reference have to hold."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs
import numpy as np
from hypothesis import assume

from cnnrt.errors import ShapeError
from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt.testing.agreement import FLOAT32, UNDERFLOW, assert_agree
from cnnrt.testing.case import Case, frozen
from cnnrt.testing.examination import examine
from cnnrt.testing.layer_class_checks import LayerClassChecks
from cnnrt.testing.other_shapes import LARGE, enlarged, is_batched, stretched

SHAPE_RULE_BYTES = 1 << 20
"""What answering a question about shapes may allocate."""
ENOUGH_VALUES = 8
"""Different results from which on it is no accident that all are float32 numbers."""
UNSTATED_BYTES = 300_000
"""NumPy buffers 8192 values of an operand at a time where it converts them; Python's objects take their share too."""


class LayerReferenceChecks(LayerClassChecks):
    """Checks of `output_shapes` and `reference`."""

    def test_shape_rule_agrees_with_the_reference(self) -> None:
        """The reference gives new arrays of the shapes that the rule states, in the dtype of the first input."""

        def check(case: Case) -> None:
            results = computed(case.layer, case.inputs, case.weights)
            shapes = tuple(r.shape for r in results)
            assert shapes == case.call.output_shapes, (
                f"the reference gives {_listed(shapes)}, the shape rule says {_listed(case.call.output_shapes)}"
            )
            for result in results:
                assert result.dtype == np.float32, f"the reference gives {result.dtype} for float32 inputs"
                assert result.flags.writeable, "the result is read-only; it belongs to the caller: copy it"
                assert not any(np.shares_memory(result, x) for x in case.inputs), (
                    "the result shares memory with an input; it belongs to the caller: copy it"
                )

        examine(self.cases(), check, 50, none=self.none_drawn())

    def test_float32_is_the_float64_result_rounded(self) -> None:
        """The reference gives float64 for float64, and for float32 the same but for a rounding: it accumulates wide."""

        def check(case: Case) -> None:
            exact = computed(case.layer, *case.in_float64())
            for value in exact:
                assert value.dtype == np.float64, f"the reference gives {value.dtype} for float64 inputs"
            allowed = [4 * FLOAT32 * np.abs(value) + UNDERFLOW for value in exact]
            single = computed(case.layer, case.inputs, case.weights)
            assert_agree(single, exact, allowed, "the reference in float32 (compute in float64 and round at the end)")

        examine(self.cases(), check, 50, none=self.none_drawn())

    def test_parts_give_the_values_of_the_whole(self) -> None:
        """At any places, the smaller calls of `parts_at` give what the whole call gives there."""

        def check(case: Case) -> None:
            inputs, weights = case.in_float64()
            random = np.random.default_rng(case.seed)
            for output, whole in enumerate(computed(case.layer, inputs, weights)):
                assume(whole.size)
                chosen = random.choice(whole.size, min(6, whole.size), replace=False)
                places = [tuple(int(i) for i in np.unravel_index(c, whole.shape)) for c in chosen]
                parts = case.layer.parts_at(inputs, weights, places, output)
                told = [pair for part in parts for pair in part.places]
                assert sorted(place for place, _ in told) == sorted(places), "parts are not of the places asked for"
                for part in parts:
                    result = computed(part.layer, part.inputs, part.weights)[output]
                    for place, in_part in part.places:
                        assert np.isclose(result[in_part], whole[place], rtol=1e-10, atol=1e-300, equal_nan=True), (
                            f"at {place} the whole gives {whole[place]}, the part {part} gives {result[in_part]}"
                        )

        examine(self.cases(), check, 25, none=self.none_drawn())

    def test_float64_inputs_are_computed_in_float64(self) -> None:
        """With float64 inputs, no value passes through float32: kernels are verified against such results."""

        def check(case: Case) -> None:
            inputs, weights = case.in_float64()
            random = np.random.default_rng(case.seed)
            # Numbers that float32 does not have, so that results which it has are no accident.
            fine = [frozen(x * (1 + FLOAT32 * random.random(x.shape))) for x in inputs]
            for result in computed(case.layer, fine, weights):
                broken = result[np.isfinite(result) & (result != np.floor(result))]
                lost = len(np.unique(broken)) >= ENOUGH_VALUES and bool((broken == broken.astype(np.float32)).all())
                assert not lost, (
                    f"all {broken.size} float64 results are float32 numbers: something is computed in float32"
                )

        examine(self.cases(), check, 25, none=self.none_drawn())

    def test_inputs_are_not_modified(self) -> None:
        """Inputs and weights, which are read-only, are as they were."""

        def check(case: Case) -> None:
            before = [x.copy() for x in (*case.inputs, *case.weights.values())]
            computed(case.layer, case.inputs, case.weights)
            after = (*case.inputs, *case.weights.values())
            assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(before, after, strict=True)), (
                "the reference changed its inputs or weights"
            )

        examine(self.cases(), check, 25, none=self.none_drawn())

    def test_results_are_the_same_each_time(self) -> None:
        """The same call gives the same bits, also after another call, and by another layer of the same keys."""

        def check(case: Case) -> None:
            first = computed(case.layer, case.inputs, case.weights)
            computed(case.layer, [frozen(x + 1) for x in case.inputs], case.weights)
            again = computed(attrs.evolve(cast(Any, case.layer)), case.inputs, case.weights)
            assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, again, strict=True)), (
                "the reference gives another result the second time"
            )

        examine(self.cases(), check, 25, none=self.none_drawn())

    def test_batches_of_none_one_and_many(self) -> None:
        """An empty batch gives empty results, and many items together give what each gives alone."""

        def check(case: Case) -> None:
            assume(is_batched(case) and case.call.input_shapes[0][0])
            count = case.call.input_shapes[0][0]
            together = computed(case.layer, case.inputs, case.weights)
            for first in range(count):
                alone = computed(case.layer, [x[first : first + 1] for x in case.inputs], case.weights)
                expected = [result[first : first + 1].astype(np.float64) for result in together]
                allowed = [4 * FLOAT32 * np.abs(value) + UNDERFLOW for value in expected]
                assert_agree(alone, expected, allowed, f"item {first} of {count} alone, against the whole batch,")
            shapes = [(0, *result.shape[1:]) for result in together]
            empty = computed(case.layer, [x[:0] for x in case.inputs], case.weights)
            assert [result.shape for result in empty] == shapes, (
                f"an empty batch gives {_listed([r.shape for r in empty])}, expected {_listed(shapes)}"
            )

        examine(
            self.cases(),
            check,
            40,
            none=f"no call of {self.layer.type} has a batch that may be of any size",
            may_skip=True,
        )

    def test_shape_rule_answers_for_empty_and_huge_sizes(self) -> None:
        """Whatever the sizes, the rule gives whole numbers or a ShapeError, at once and without allocating."""

        def check(case: Case) -> None:
            for inputs, weights in stretched(case):
                tracemalloc.start()
                try:
                    _ask(case.layer, inputs, weights)
                    _, peak = tracemalloc.get_traced_memory()
                finally:
                    tracemalloc.stop()
                assert peak < SHAPE_RULE_BYTES, (
                    f"asked about {_listed(inputs)}, the shape rule allocates {peak} bytes; it should not"
                )

        examine(self.cases(), check, 6, none=self.none_drawn())

    def test_reference_allocates_no_more_than_it_states(self) -> None:
        """On large inputs, the memory beside the results is at most what `reference_workspace` states."""

        def check(case: Case) -> None:
            inputs = enlarged(case)
            assume(sum(x.size for x in inputs) >= LARGE)
            shapes = [x.shape for x in inputs]
            outputs = case.layer.output_shapes(shapes, case.call.weight_shapes)
            stated = case.layer.reference_workspace(shapes, outputs, case.call.weight_shapes)
            tracemalloc.start()
            try:
                before, _ = tracemalloc.get_traced_memory()
                results = computed(case.layer, inputs, case.weights)
                used = tracemalloc.get_traced_memory()[1] - before - sum(r.nbytes for r in results)
            finally:
                tracemalloc.stop()
            assert used <= stated + UNSTATED_BYTES, (
                f"on {_listed(shapes)} the reference allocates {used} bytes beside its results, but "
                f"reference_workspace states {stated}: state more, or compute in place"
            )

        examine(self.cases(), check, 15, none=f"no call of {self.layer.type} can be made large", may_skip=True)


def computed(layer: Layer, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
    """Return what the reference gives; asserts that it is a tuple of arrays and that no input was written to."""
    try:
        results = layer.reference(inputs, weights)
    except ValueError as error:
        if "read-only" in str(error):
            raise AssertionError(
                f"the reference writes to its inputs or weights, which are read-only: {error}"
            ) from error
        raise
    assert isinstance(results, tuple), f"the reference gives a {type(results).__name__}; expected a tuple of arrays"
    for result in results:
        assert isinstance(result, np.ndarray), f"the reference gives a {type(result).__name__}; expected arrays"
    return results


def _ask(layer: Layer, inputs: Sequence[Shape], stored: Mapping[str, Shape]) -> None:
    """Ask everything that a layer answers from shapes alone."""
    try:
        weights = layer.weight_shapes(stored, inputs)
        outputs = layer.output_shapes(inputs, weights)
    except ShapeError:
        return
    for shape in outputs:
        assert type(shape) is tuple, f"the shape rule gives {shape!r}; expected tuples"
        assert all(type(n) is int for n in shape), (
            f"the shape rule gives {shape!r}; expected Python integers, which cannot overflow"
        )
        assert all(n >= 0 for n in shape), f"the shape rule gives {shape_text(shape)} for {_listed(inputs)}"
    if any(math.prod(stored[name]) != math.prod(shape) for name, shape in weights.items()):
        return  # the core refuses this call
    cost = layer.cost(inputs, outputs, weights)
    workspace = layer.reference_workspace(inputs, outputs, weights)
    for what, number in (("flops", cost.flops), ("bytes", cost.bytes), ("reference_workspace", workspace)):
        assert type(number) is int, f"{what} gives {number!r}; expected a Python integer, which cannot overflow"
        assert number >= 0, f"{what} gives {number} for {_listed(inputs)}"
    assert isinstance(layer.is_identity(inputs), bool), "is_identity gives neither True nor False"


def _listed(shapes: Sequence[Shape]) -> str:
    return ", ".join(shape_text(s) for s in shapes) or "nothing"
