"""What happens inside `compute` once a shape is prepared: the functions that run are counted on two hands.

No hook of a plugin is called, nothing is looked up in the graph or among plugins, nothing is planned.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import cnnrt
from cnnrt import Net
from core_suite.plugins_in_memory import built_in, host_of
from core_suite.small_networks import images, write_chain, write_two_in_two_out

PACKAGE = Path(cnnrt.__file__).parent


def functions_called(call: Callable[[], Any]) -> dict[str, int]:
    """Return how often `call` enters each Python function of the package cnnrt, as "module.py:function"."""
    seen: dict[str, int] = {}

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            file = Path(frame.f_code.co_filename)
            if file.is_relative_to(PACKAGE):
                name = f"{file.relative_to(PACKAGE).as_posix()}:{frame.f_code.co_qualname}"
                if "<" not in frame.f_code.co_name:  # comprehensions and generators belong to their function
                    seen[name] = seen.get(name, 0) + 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return seen


CHECKING_INPUTS = {
    "inputs.py:check_inputs",
    "inputs.py:_check_array",
    "inputs.py:_check_shape",
    "finite_inputs.py:check_finite",
    "finite_inputs.py:_may_hold_others",
}
RUNNING = {
    "net.py:Net.compute",
    "net.py:Net._run",
    "net.py:Net._recovered",
    "net.py:Net._computed",
    "recovery.py:Recovery.computed",
    "recovery.py:Recovery.retried",
    "recovery.py:Recovery._in_halves",
    "net.py:Net._wanted",
    "net.py:Net._needed_inputs",
    "prepared_networks.py:PreparedNetworks.get",  # one look into a dict of what is prepared
    "prepared_networks.py:PreparedNetworks._check_open",
    "executor.py:Prepared.run",
    "executor.py:Prepared._run",
    "executor.py:Prepared._forget",
    "executor.py:_Views.show",  # slots that show arrays of this call
    "executor.py:_read_only",
    "host_segment.py:HostSegment.run",
    "host_segment.py:HostSegment._run",
    "weight_store.py:ResidentWeights.get",
}


KEEPING_BLAS_TO_ONE_THREAD = {
    "blas_guard.py:BlasGuard.__enter__",
    "blas_guard.py:BlasGuard.__exit__",
    "blas_guard.py:BlasGuard._libraries",
    "blas_guard.py:BlasGuard._restore_when_empty",
}
EVERYTHING = CHECKING_INPUTS | RUNNING | KEEPING_BLAS_TO_ONE_THREAD


def test_a_second_call_runs_a_handful_of_functions(tmp_path: Path) -> None:
    net = Net(write_chain(tmp_path))
    x = images(2, 3, 8, 8)
    net.compute(x)
    called = functions_called(lambda: net.compute(x))
    assert set(called) == EVERYTHING
    # Four layers run, in one segment; whatever belongs to a call as a whole happens once.
    assert called.pop("weight_store.py:ResidentWeights.get") == 4
    assert set(called.values()) == {1}


def test_several_inputs_and_outputs_look_up_no_more(tmp_path: Path) -> None:
    net = Net(write_two_in_two_out(tmp_path))
    x = {"left": images(2, 2, 6, 6), "right": images(2, 3, 6, 6)}
    net.compute(x)
    called = functions_called(lambda: net.compute(x))
    assert set(called) == EVERYTHING


def test_asking_for_values_by_name_resolves_these_names_and_nothing_else(tmp_path: Path) -> None:
    net = Net(write_chain(tmp_path))
    x = images(2, 3, 8, 8)
    net.compute(x, outputs=["conv"])
    called = functions_called(lambda: net.compute(x, outputs=["conv"]))
    assert set(called) - EVERYTHING == {"graph.py:Graph.resolve", "graph.py:Graph.values", "arguments.py:names_from"}


def test_the_first_call_does_look_things_up(tmp_path: Path) -> None:
    """Or the tests above would see nothing whatever happened."""
    net = Net(write_chain(tmp_path))
    called = functions_called(lambda: net.compute(images(2, 3, 8, 8)))
    assert {"prepare.py:plan_network", "placement.py:place", "plugins.py:PluginHost.kernels"} <= set(called)


def test_no_hook_is_called_inside_compute(tmp_path: Path) -> None:
    host = host_of(*built_in("layer", "backend"))
    calls: list[str] = []

    def before(hook_name: str, hook_impls: Any, kwargs: Any) -> None:
        calls.append(hook_name)

    def after(outcome: Any, hook_name: str, hook_impls: Any, kwargs: Any) -> None:
        pass

    undo = host._manager.add_hookcall_monitoring(before, after)
    try:
        net = Net(write_chain(tmp_path), plugins=host)
        net.prepare((2, 3, 8, 8))
        assert {"cnnrt_layers", "cnnrt_backends", "cnnrt_kernels"} == set(calls)
        calls.clear()
        net.compute(images(2, 3, 8, 8))
        net.compute(images(5, 3, 8, 8))  # not even a new shape asks plugins again
        assert calls == []
    finally:
        undo()


@pytest.mark.parametrize("names", [("pluggy",), ("importlib.metadata",)])
def test_compute_enters_no_code_of_the_plugin_system(tmp_path: Path, names: tuple[str, ...]) -> None:
    net = Net(write_chain(tmp_path))
    x = images(2, 3, 8, 8)
    net.compute(x)
    modules: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        modules.add(str(frame.f_globals.get("__name__", "")))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        net.compute(x)
    finally:
        sys.setprofile(before)
    assert "cnnrt.executor" in modules
    assert not [m for m in modules if m.startswith(names)]
