"""`cnnrt plugins verify`: what a name stands for, a grade for each check, and wrong plugins, each on its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import settings

from cli_suite.command import answer, complaint, run_cnnrt
from cnnrt.errors import PluginError
from cnnrt.layer import Array, Layer, Shape
from cnnrt.plugins import PluginHost
from cnnrt.testing import LayerSuite
from cnnrt.testing.grading import Grade, grade
from cnnrt.testing.subjects import Subject, find_subjects
from core_suite.plugins_in_memory import built_in, entry_point, host_of, plugin
from core_suite.toy_backend import ToyBackend, ToyKernel


@attrs.frozen(kw_only=True)
class Double(Layer):
    """Twice the input. Any shape."""

    type = "Double"
    formula = "y = 2 * x"

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (inputs[0] * 2,)


class Crashing(Double):
    """Promises much."""

    type = "Crashing"

    def reference(self, inputs: Any, weights: Any) -> Any:
        raise ZeroDivisionError("as it came")


def no_import() -> Any:
    raise ImportError("No module named 'torch'")


def layers_of(*layers: type[Layer], api: Any = 1) -> Any:
    return plugin(api, cnnrt_layers=lambda: list(layers))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> PluginHost:
    """The built-in layers and backends with strangers: a right one and wrong ones of every kind."""
    twins = [entry_point(f"layer.twin{n}", layers_of(type("Twin", (Double,), {"type": "Twin"})), d) for n, d in PAIR]
    found = host_of(
        *built_in("layer", "backend"),
        entry_point("layer.double", layers_of(Double), "right-one", "2.0"),
        entry_point("layer.crash", layers_of(Crashing), "crashing-one"),
        entry_point("layer.old", layers_of(Double, api=0), "old-one", "0.3"),
        entry_point("layer.gone", no_import, "broken-one"),
        *twins,
        entry_point(
            "backend.toy",
            plugin(cnnrt_backends=lambda: [ToyBackend()], cnnrt_kernels=lambda: [ToyKernel("ReLU")]),
            "toys",
        ),
        entry_point("layer.fast", plugin(cnnrt_kernels=lambda: [ToyKernel("Softmax", name="fast", folds=())]), "speed"),
    )
    monkeypatch.setattr("cnnrt.plugins.plugin_host", lambda: found)
    return found


PAIR = ((1, "first-twin"), (2, "second-twin"))


@pytest.mark.filterwarnings("ignore::cnnrt.errors.PluginWarning")
@pytest.mark.parametrize(
    ("name", "kind", "expected"),
    [
        ("double", None, [("layer", "Double")]),
        ("DOUBLE", "layer", [("layer", "Double")]),
        ("right_one", None, [("layer", "Double")]),
        ("layer.double", None, [("layer", "Double")]),
        ("sequential", None, [("backend", "sequential")]),
        ("toys", None, [("backend", "toy")]),
        ("speed", None, [("kernels", "fast on toy")]),
        ("old-one", None, [("layer", "old")]),
        ("twin", None, [("layer", "twin")]),
    ],
)
def test_what_a_name_stands_for(host: PluginHost, name: str, kind: str | None, expected: list[tuple[str, str]]) -> None:
    assert [(s.kind, s.name) for s in find_subjects(host, name, kind)] == expected


@pytest.mark.filterwarnings("ignore::cnnrt.errors.PluginWarning")
def test_a_distribution_stands_for_all_that_it_provides(host: PluginHost) -> None:
    found = {(s.kind, s.name) for s in find_subjects(host, "cnnrt")}
    assert {("layer", "Convolution"), ("layer", "ReLU"), ("backend", "sequential")} <= found
    assert ("layer", "Double") not in found


@pytest.mark.filterwarnings("ignore::cnnrt.errors.PluginWarning")
def test_an_unknown_name_is_an_error_with_the_nearest(host: PluginHost) -> None:
    with pytest.raises(PluginError, match="is named 'Dubble'; did you mean 'Double'"):
        find_subjects(host, "Dubble")
    with pytest.raises(PluginError, match="no installed backend is named 'Double'"):
        find_subjects(host, "Double", "backend")


def test_a_right_plugin_is_graded_green_among_wrong_ones(host: PluginHost) -> None:
    text = answer("plugins", "verify", "Double", "--verbose")
    assert "right-one 2.0" in text
    assert "Double: keys survive a netfile" in text
    assert "Double: networks run it on every backend [sequential]" in text
    assert "no installed backend has a kernel for Double" in text
    assert text.endswith("no check failed\n")


def test_a_crashing_layer_is_graded_with_what_it_raises(host: PluginHost) -> None:
    result = run_cnnrt("plugins", "verify", "Crashing", "--json")
    assert result.exit_code == 1
    checks = {c["check"]: c for c in json.loads(result.stdout)["checks"]}
    failed = checks["shape rule agrees with the reference"]
    assert failed["outcome"] == "fail"
    assert "ZeroDivisionError: as it came" in failed["reason"]
    assert "Crashing() on 1×1" in failed["reason"], "the smallest call that shows it"
    assert failed["details"].count("reference") >= 1
    assert checks["documentation is complete"]["outcome"] == "pass", "what is right is graded so"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("old-one", "it is written for plugin_api 0; this cnnrt has plugin_api 1: update one of the two"),
        ("broken-one", "it was left out: ImportError: No module named 'torch'"),
        ("Twin", "is provided by first-twin 1.0 and by second-twin 1.0; neither is used: uninstall one of the two"),
    ],
)
def test_plugins_that_cannot_be_used_are_graded_with_the_reason(host: PluginHost, name: str, message: str) -> None:
    result = run_cnnrt("plugins", "verify", name)
    assert result.exit_code == 1
    assert "can be used" in result.stdout
    assert message in result.stdout
    assert result.stdout.endswith("1 check failed\n")


def test_kernels_for_the_layers_of_others_are_graded_too(host: PluginHost) -> None:
    result = run_cnnrt("plugins", "verify", "speed", "--json")
    found = json.loads(result.stdout)
    assert {c["kind"] for c in found["checks"]} == {"kernels"}
    outcomes = {c["check"].removesuffix(" [softmax/fast]"): c["outcome"] for c in found["checks"]}
    assert outcomes["kernel agrees with the reference"] == "pass"
    # The toy runs the reference, which takes memory of its own.
    assert outcomes["kernel allocates nothing beside its workspace"] == "fail"
    assert (found["passed"], result.exit_code) == (False, 1)


def test_an_unknown_name_leaves_with_1() -> None:
    assert "no installed importer is named 'nobody'" in complaint("plugins", "verify", "nobody", "--kind", "importer")


def test_options_of_the_list_do_not_belong_to_its_subcommands() -> None:
    assert "--json belongs behind verify" in complaint("plugins", "--json", "verify", "ReLU", code=2)


def test_a_suite_that_cannot_be_imported_is_a_grade() -> None:
    class Misplaced(Double):
        type = "Misplaced"
        suite = "no_such_module:Suite"

    (subject,) = find_subjects(host_of(entry_point("layer.m", layers_of(Misplaced))), "misplaced")
    (found,) = grade([subject])
    assert (found.outcome, found.check) == ("fail", "can be used")
    assert "its suite 'no_such_module:Suite' cannot be imported" in found.reason


def test_grading_is_reproducible_and_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the folder it is called in, nor its conftest, nor the profile of hypothesis that is loaded counts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conftest.py").write_text("raise RuntimeError('never imported')")
    before = settings.default.max_examples, dict(os.environ)
    suite = type("DoubleSuite", (LayerSuite,), {"layer": Double})
    told: list[Grade] = []
    runs = [grade([Subject("layer", "Double", "here", suite)], told.append) for _ in range(2)]
    assert [(g.check, g.outcome) for g in runs[0]] == [(g.check, g.outcome) for g in runs[1]]
    assert told == [*runs[0], *runs[1]]
    assert {g.outcome for g in runs[0]} == {"pass", "skip"}
    assert (settings.default.max_examples, dict(os.environ)) == before
    assert [p.name for p in tmp_path.iterdir()] == ["conftest.py"]


@pytest.mark.parametrize("missing", ["hypothesis", "pytest"])
def test_without_the_extra_the_error_says_what_to_install(missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; from cnnrt.cli import main; main()"
    command = [sys.executable, "-c", program, "plugins", "verify", "ReLU"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 1
    assert (
        f'error: cnnrt.testing needs {missing}, which is not installed: pip install "cnnrt[testing]"' in result.stderr
    )
    assert "Traceback" not in result.stderr
