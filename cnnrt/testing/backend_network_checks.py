"""What networks on a backend have to hold: they keep apart, in threads too, and failures are named."""

from __future__ import annotations

import functools
import itertools
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

from cnnrt.backend import HostFunction, HostKernel, Packed
from cnnrt.errors import CnnrtError, PlacementError
from cnnrt.layer import Array, Layer, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder
from cnnrt.net import Net
from cnnrt.plugins import PluginHost
from cnnrt.testing.agreement import assert_agree
from cnnrt.testing.backend_facts import BackendFacts
from cnnrt.testing.case import Case, frozen, make_case
from cnnrt.testing.examination import examine
from cnnrt.testing.kernel_checks import takes
from cnnrt.testing.layer_net import LAYER, fits_a_net, net_inputs, write_layer_net
from cnnrt.testing.offered import extended
from cnnrt.testing.suite_of import layer_suite

NONE_FITS = "no call that a kernel takes can be the whole of a network"


@attrs.frozen(kw_only=True)
class Unheard(Layer):
    """Adds 1. No backend has a kernel for it."""

    type = "UnheardOfLayer"
    formula = "y = x + 1"

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        return (inputs[0],)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Add 1."""
        return (inputs[0] + inputs[0].dtype.type(1),)


class Failing(HostKernel):
    """A kernel that fails: when it is bound, or when it runs."""

    layer = Unheard.type
    name = "failing"

    def __init__(self, backend: str, when_bound: bool) -> None:
        self.backend = backend  # type: ignore[misc]  # one class for the kernels of many backends
        self.when_bound = when_bound

    def bind(self, call: LayerCall) -> HostFunction:
        """Fail, or return a function that fails."""
        if self.when_bound:
            raise ValueError("deliberately, in bind")

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            raise ValueError("deliberately, in run")

        return run


class BackendNetworkChecks(BackendFacts):
    """Checks of whole networks on the backend."""

    def test_strict_networks_run_by_kernels(self, layer_type: str | None) -> None:
        """What a kernel takes runs by it where fallbacks are forbidden; the plan says so, and the result is right."""
        suite = layer_suite(self.computed_layer(layer_type))

        def check(case: Case) -> None:
            assume(self._fits(case))
            with self._net(case, strict=True) as net:
                results = _computed(net, case)
                (row,) = (row for row in net.plan.rows if row.type != Reorder.type)
            assert row.backend == self.backend, f"the plan says that {row.backend!r} ran it"
            inputs, weights = case.in_float64()
            who = f"the network on {self.backend!r} ({row.kernel})"
            (kernel,) = (k for k in self.candidates(case.layer.type.lower()) if k.name == row.kernel)
            allowed = [kernel.error_bound(bound) for bound in suite.allowed_error(case)]
            assert_agree(results, case.call.reference(inputs, weights), allowed, who)

        examine(suite.cases(), check, self.examples(10), none=NONE_FITS, may_skip=True)

    def test_networks_keep_apart(self, layer_type: str | None) -> None:
        """Networks used in turn give the same bits as each gives alone: the backend keeps no state of a Net."""

        def check(pair: tuple[Case, Case]) -> None:
            assume(all(self._fits(case) for case in pair))
            cases = (*pair, _flipped(pair[0]))  # the last has the shapes of the first, and other values
            alone = []
            for case in cases:
                with self._net(case) as net:
                    alone.append(_computed(net, case))
            with ExitStack() as stack:
                nets = [stack.enter_context(self._net(case)) for case in cases]
                for turn, (net, case, expected) in itertools.product(
                    (1, 2), list(zip(nets, cases, alone, strict=True))
                ):
                    assert _same(_computed(net, case), expected), (
                        f"in turn {turn} the network of {case} gives something else than alone"
                    )

        cases = layer_suite(self.computed_layer(layer_type)).cases()
        examine(st.tuples(cases, cases), check, self.examples(6), none=NONE_FITS, may_skip=True)

    def test_networks_run_in_several_threads(self, layer_type: str | None) -> None:
        """Calls from four threads, on two networks at once, give the same bits as one after the other."""

        def check(pair: tuple[Case, Case]) -> None:
            assume(all(self._fits(case) for case in pair))
            with ExitStack() as stack:
                nets = [stack.enter_context(self._net(case, concurrency=2)) for case in pair]
                alone = [_computed(net, case) for net, case in zip(nets, pair, strict=True)]

                def work(number: int) -> None:
                    for _ in range(3):
                        assert _same(_computed(nets[number], pair[number]), alone[number]), (
                            "a call gave something else while others ran"
                        )

                _in_threads([functools.partial(work, number) for number in (0, 1, 0, 1)])

        cases = layer_suite(self.computed_layer(layer_type)).cases()
        examine(st.tuples(cases, cases), check, self.examples(3), none=NONE_FITS, may_skip=True)

    def test_layers_without_a_kernel_run_by_their_reference(self) -> None:
        """What the backend has no kernel for is computed all the same, and the plan says by what."""
        with self._net(_unheard(), host=extended(self.host(), layers=[Unheard])) as net:
            (result,) = _computed(net, _unheard())
            (row,) = net.plan.rows
        assert np.array_equal(result, _unheard().inputs[0] + np.float32(1)), (
            "the reference's result did not come through"
        )
        assert row.fallback, "the plan does not say that the layer fell back on its reference"
        assert self.backend in row.why, f"the plan's reason does not name the backend: {row.why!r}"

    def test_strict_mode_refuses_what_has_no_kernel(self) -> None:
        """With strict=True such a layer is an error that names it."""
        with (
            self._net(_unheard(), host=extended(self.host(), layers=[Unheard]), strict=True) as net,
            pytest.raises(PlacementError, match=LAYER),
        ):
            _computed(net, _unheard())

    @pytest.mark.parametrize("when", ["bind", "run"])
    def test_a_failing_kernel_is_named(self, when: str) -> None:
        """A kernel that fails is an error that names layer, kernel and backend; afterwards everything else works on."""
        kernels = [k for key, k in self.host().kernels().items() if key[1] == self.backend]
        if not all(isinstance(kernel, HostKernel) for kernel in kernels):
            pytest.skip(f"the kernels of {self.backend!r} are no HostKernels: a failing one cannot be made up for it")
        host = extended(self.host(), layers=[Unheard], kernels=[Failing(self.backend, when == "bind")])
        with self._net(_unheard(), host=host) as net, pytest.raises(CnnrtError) as caught:
            _computed(net, _unheard())
        message = str(caught.value)
        missing = [name for name in (LAYER, "failing", self.backend, "deliberately") if name not in message]
        assert not missing, f"the error does not say {', '.join(missing)}: {message}"
        self.test_layers_without_a_kernel_run_by_their_reference()

    def _fits(self, case: Case) -> bool:
        """Tell whether a network of the case alone would run by one of the backend's kernels."""
        device = self.device()
        able = any(takes(kernel, case.call, device) for kernel in self.candidates(case.layer.type.lower()))
        return able and fits_a_net(case)

    @contextmanager
    def _net(self, case: Case, *, host: PluginHost | None = None, **options: Any) -> Iterator[Net]:
        self.device()
        with tempfile.TemporaryDirectory() as folder:
            path = write_layer_net(Path(folder), case)
            with Net(path, execution_mode=self.backend, plugins=host or self.host(), **options) as net:
                yield net


def _unheard() -> Case:
    return make_case(Unheard(), [(2, 3, 4, 5)])


def _flipped(case: Case) -> Case:
    """Return the case with the values of inputs and weights in reverse order."""

    def flipped(x: Array) -> Array:
        return frozen(np.ascontiguousarray(np.flip(x)))

    weights = {name: flipped(w) for name, w in case.weights.items()}
    return attrs.evolve(case, inputs=tuple(flipped(x) for x in case.inputs), weights=weights)


def _computed(net: Net, case: Case) -> list[Array]:
    results = net.compute(net_inputs(case))
    return list(results.values()) if isinstance(results, dict) else [results]


def _same(first: Sequence[Array], second: Sequence[Array]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True))


def _in_threads(tasks: Sequence[Callable[[], None]]) -> None:
    """Run the tasks at once, and raise the first error of any."""
    failures: list[BaseException] = []
    start = threading.Barrier(len(tasks))

    def work(task: Callable[[], None]) -> None:
        try:
            start.wait()
            task()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
