"""The suite of a layer finds what is wrong with it: deliberately wrong layers and kernels, and what is said of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis.strategies import SearchStrategy, just

from cnnrt.backend import HostFunction, HostKernel, Packed
from cnnrt.errors import CnnrtError, PluginError
from cnnrt.keys import METADATA, Key, integer, number
from cnnrt.layer import Array, Layer, Shape, WeightSpec
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import PluginHost
from cnnrt.testing import Case, LayerSuite, make_case
from cnnrt.testing.made_up_cases import weight_shapes
from cnnrt.testing.offered import offered
from cnnrt.testing.suite_of import layer_suite
from cnnrt_layers import Convolution, FullyConnected


@attrs.frozen(kw_only=True)
class Stretch(Layer):
    """Multiplies every value by `factor`. Any shape."""

    type = "Stretch"
    formula = "y = factor * x"
    factor: float = number(2.0, doc="what every value is multiplied by")

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return ((self.factor * inputs[0].astype(np.float64)).astype(inputs[0].dtype),)


class WrongShapeRule(Stretch):
    def output_shapes(self, inputs: Any, weights: Any) -> Any:
        return ((*inputs[0][:-1], inputs[0][-1] + 1),)


class WrongDtype(Stretch):
    def reference(self, inputs: Any, weights: Any) -> Any:
        return (inputs[0].astype(np.float64),)


class NoTuple(Stretch):
    def reference(self, inputs: Any, weights: Any) -> Any:
        return inputs[0] * 2


class GivesItsInput(Stretch):
    def reference(self, inputs: Any, weights: Any) -> Any:
        return (inputs[0].view(),)


class InFloat32(Stretch):
    def reference(self, inputs: Any, weights: Any) -> Any:
        return ((np.float32(self.factor) * inputs[0].astype(np.float32)).astype(inputs[0].dtype),)


class AccumulatesInFloat32(Stretch):
    def reference(self, inputs: Any, weights: Any) -> Any:
        sums = np.cumsum(np.repeat(inputs[0][..., None], 100, axis=-1), axis=-1, dtype=inputs[0].dtype)
        return (sums[..., -1],)


class WritesToInputs(Stretch):
    def reference(self, inputs: Any, weights: Any) -> Any:
        inputs[0][...] = 0
        return (inputs[0].copy(),)


class Forgetful(Stretch):
    calls = itertools.count()

    def reference(self, inputs: Any, weights: Any) -> Any:
        return (inputs[0] * np.asarray(next(self.calls) % 7, inputs[0].dtype),)


class AcrossItems(Stretch):
    def reference(self, inputs: Any, weights: Any) -> Any:
        centred = inputs[0].astype(np.float64) - (inputs[0].mean(axis=0, dtype=np.float64) if len(inputs[0]) else 0)
        return (centred.astype(inputs[0].dtype),)


class AllocatesToAnswer(Stretch):
    def output_shapes(self, inputs: Any, weights: Any) -> Any:
        return (np.zeros([min(n, 2**20) for n in inputs[0]]).shape,)


class NumpyIntegers(Stretch):
    def output_shapes(self, inputs: Any, weights: Any) -> Any:
        return (tuple(np.asarray(inputs[0], np.int64)),)


class FailsOnEmpty(Stretch):
    def output_shapes(self, inputs: Any, weights: Any) -> Any:
        return ((inputs[0][0], 12 // inputs[0][-1]),)


class UnderstatesItsMemory(Stretch):
    def reference_workspace(self, inputs: Any, outputs: Any, weights: Any) -> int:
        return 0


class Crashes(Stretch):
    def reference(self, inputs: Any, weights: Any) -> Any:
        raise RuntimeError("no such thing as a factor")


class Undocumented(Stretch):
    """Does what Stretch does."""

    formula = ""


@attrs.frozen(kw_only=True)
class BoundNotKept(Stretch):
    """Says that its key is bounded, but converts anything."""

    loose: float = attrs.field(
        default=1.0, converter=attrs.Converter(lambda v, f: float(v), takes_field=True),
        metadata={METADATA: Key("number", "not below 0", minimum=0)},
    )  # fmt: skip


@attrs.frozen(kw_only=True)
class FieldThatIsNoKey(Stretch):
    """Has a field that no NetFile can state."""

    hidden: int = 3


@attrs.frozen(kw_only=True)
class LosesItsKey(Stretch):
    """Keeps something else than what was stated."""

    places: int = integer(1, doc="how many")

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "places", self.places + 1)


WRONG: list[tuple[type[Layer], str, str]] = [
    (
        WrongShapeRule,
        "shape_rule_agrees_with_the_reference",
        "the reference gives 1×1×1×1, the shape rule says 1×1×1×2",
    ),
    (WrongDtype, "shape_rule_agrees_with_the_reference", "gives float64 for float32 inputs"),
    (NoTuple, "shape_rule_agrees_with_the_reference", "expected a tuple of arrays"),
    (GivesItsInput, "shape_rule_agrees_with_the_reference", "belongs to the caller: copy it"),
    (InFloat32, "float64_inputs_are_computed_in_float64", "float64 results are float32 numbers"),
    (AccumulatesInFloat32, "float32_is_the_float64_result_rounded", "compute in float64 and round at the end"),
    (WritesToInputs, "inputs_are_not_modified", "the reference writes to its inputs or weights"),
    (Forgetful, "results_are_the_same_each_time", "gives another result the second time"),
    (AcrossItems, "batches_of_none_one_and_many", "alone, against the whole batch, is off by"),
    (AllocatesToAnswer, "shape_rule_answers_for_empty_and_huge_sizes", "the shape rule allocates"),
    (NumpyIntegers, "shape_rule_answers_for_empty_and_huge_sizes", "expected Python integers, which cannot overflow"),
    (FailsOnEmpty, "shape_rule_answers_for_empty_and_huge_sizes", "ZeroDivisionError"),
    (UnderstatesItsMemory, "reference_allocates_no_more_than_it_states", "reference_workspace states 0"),
    (Crashes, "results_are_the_same_each_time", "RuntimeError: no such thing as a factor"),
    (Undocumented, "documentation_is_complete", "formula is empty"),
    (BoundNotKept, "bounds_of_keys_hold", "is documented to be at least 0, but took -0.001"),
    (FieldThatIsNoKey, "fields_are_keys", "the field hidden is no key of a NetFile"),
    (LosesItsKey, "keys_survive_a_netfile", "what was read back is another layer"),
]


def run_check(suite: type[LayerSuite], check: str, *arguments: Any) -> str:
    """Return what a check of a suite says is wrong; it must say something."""
    with pytest.raises((AssertionError, Exception)) as caught:  # a wrong layer may raise anything
        getattr(suite(), f"test_{check}")(*arguments)
    return f"{type(caught.value).__name__}: {caught.value}"


@pytest.mark.parametrize(("layer", "check", "message"), WRONG, ids=[layer.__name__ for layer, _, _ in WRONG])
def test_what_is_wrong_with_a_layer_is_found(layer: type[Layer], check: str, message: str) -> None:
    assert message in run_check(layer_suite(layer), check)


@pytest.mark.parametrize("check", sorted({check for _, check, _ in WRONG}))
def test_a_right_layer_passes_the_same_checks(check: str) -> None:
    getattr(layer_suite(Stretch)(), f"test_{check}")()


class StretchOnSequential(HostKernel):
    """A kernel for Stretch that is wrong in the way that `fault` says."""

    layer = "Stretch"
    backend = "sequential"
    name = "scale"

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.runs = 0

    def workspace(self, call: LayerCall) -> int:
        return -1 if self.fault == "negative workspace" else 64

    def bind(self, call: LayerCall) -> HostFunction:
        factor = np.float32(call.layer.factor)  # type: ignore[attr-defined]  # only Stretch comes here

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            self.runs += 1
            x, y = inputs[0], outputs[0]
            np.multiply(x, factor, out=y)
            match self.fault:
                case "half precision":
                    y[...] = (x.astype(np.float16) * factor).astype(np.float32)
                case "last value forgotten" if y.size:
                    y.reshape(-1)[-1] = np.nan
                case "beyond its workspace":
                    np.lib.stride_tricks.as_strided(workspace, (65,), (1,))[64] = 1
                case "beyond its output":
                    np.lib.stride_tricks.as_strided(y, (y.size + 1,), (4,))[y.size] = 1
                case "state between calls":
                    y += np.float32(self.runs % 2)

        return run


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        ("half precision", "kernel_agrees_with_the_reference", "kernel 'scale' of backend 'sequential' is off by"),
        ("last value forgotten", "kernel_agrees_with_the_reference", "left unwritten, or NaN was computed"),
        ("beyond its workspace", "kernel_agrees_with_the_reference", "wrote beyond its workspace of 64 bytes"),
        ("beyond its output", "kernel_agrees_with_the_reference", "wrote beyond its output"),
        ("state between calls", "kernel_agrees_with_the_reference", "gives another result the second time"),
        ("negative workspace", "kernel_states_what_holds", "workspace gave -1 bytes"),
    ],
)
def test_what_is_wrong_with_a_kernel_is_found(fault: str, check: str, message: str) -> None:
    suite = on_host(with_kernel(fault))
    assert message in run_check(suite, check, ("stretch", "sequential", "scale"))


def test_a_right_kernel_passes() -> None:
    suite = on_host(with_kernel("none"))()
    suite.test_kernel_agrees_with_the_reference(("stretch", "sequential", "scale"))
    suite.test_kernel_states_what_holds(("stretch", "sequential", "scale"))
    suite.test_networks_run_it_on_every_backend("sequential")


def with_kernel(fault: str) -> PluginHost:
    from cnnrt_backend_sequential.backend import SequentialBackend

    return offered(layers=[Stretch], backends=[SequentialBackend()], kernels=[StretchOnSequential(fault)])


def on_host(host: PluginHost) -> type[LayerSuite]:
    return type("StretchSuite", (LayerSuite,), {"layer": Stretch, "host": classmethod(lambda cls: host)})


def test_a_layer_that_is_not_installed_is_tested_in_networks_all_the_same() -> None:
    suite = layer_suite(Stretch)
    assert suite.host().layers()["stretch"] is Stretch
    suite().test_networks_run_it_on_every_backend("sequential")


def test_a_suite_without_a_single_case_fails_and_says_what_to_do() -> None:
    class NothingToTry(LayerSuite):
        layer = Stretch

        @classmethod
        def cases(cls) -> SearchStrategy[Case]:
            return just(make_case(Stretch(), [(1,)])).filter(lambda case: False)

    with pytest.raises(pytest.fail.Exception, match=r"override cases\(\) in its suite"):
        NothingToTry().test_layers_are_frozen_values()


def test_weight_shapes_are_worked_out_from_what_the_class_says() -> None:
    sizes = iter([7, 3, 5])
    assert weight_shapes(Convolution(group=2), (1, 4, 9, 9), lambda: next(sizes)) == {
        "weight": (7, 2, 3, 5),
        "bias": (7,),
    }
    assert weight_shapes(FullyConnected(), (2, 3, 4, 5), lambda: 6) == {"weight": (6, 60), "bias": (6,)}


def test_a_weight_shape_that_says_no_sizes_is_an_error_that_says_how_to_write_it() -> None:
    class Vague(Stretch):
        type = "Vague"
        weights = (WeightSpec("table", "one for each class", "what"),)

    with pytest.raises(CnnrtError, match=r"Vague: weight 'table'.*write it like \(O, C / group, KH, KW\)"):
        weight_shapes(Vague(), (1, 2), lambda: 1)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("no_such_module:Suite", "cannot be imported: No module named 'no_such_module'"),
        ("cnnrt.layer:Nothing", "cannot be imported"),
        ("cnnrt.layer:Layer", "expected a subclass of LayerSuite"),
    ],
)
def test_a_suite_that_is_none_is_an_error_that_names_the_layer(place: str, message: str) -> None:
    class Misplaced(Stretch):
        suite = place

    with pytest.raises(PluginError, match=f"layer Stretch.*{message}"):
        layer_suite(Misplaced)
