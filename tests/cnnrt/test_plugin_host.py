"""The plugin door: what fails stays alone and is named; names that collide are named; nothing is loaded early."""

from __future__ import annotations

import re
import sys
import textwrap
import threading
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from cnnrt import Net
from cnnrt.errors import NetFileError, PlacementError, PluginError, PluginWarning
from cnnrt.importer import ImportedModel, Importer
from cnnrt.keys import integer
from cnnrt.layer import Array, Layer, Shape
from cnnrt.loading import load_netfile
from cnnrt.plugins import PluginHost
from core_suite.plugins_in_memory import built_in, entry_point, host_of, plugin
from core_suite.small_networks import write_text
from core_suite.toy_backend import ToyBackend, ToyKernel


@attrs.frozen(kw_only=True)
class Double(Layer):
    """Twice the input."""

    type = "Double"

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (inputs[0] * 2,)


@attrs.frozen(kw_only=True)
class Triple(Double):
    """Three times the input."""

    type = "Triple"


class Nothing(Importer):
    """Recognises nothing."""

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]  # one class, several importers

    def recognises(self, files: Sequence[Path]) -> bool:
        return False

    def read(self, files: Sequence[Path]) -> ImportedModel:
        raise NotImplementedError


def raises(error: BaseException) -> Any:
    def load() -> types.ModuleType:
        raise error

    return load


def wrong_arguments() -> types.ModuleType:
    return plugin(cnnrt_layers=lambda colour: [])


def unknown_hook() -> types.ModuleType:
    return plugin(cnnrt_lairs=lambda: [Double])


def hook_that(error: BaseException) -> Any:
    def hook() -> list[Any]:
        raise error

    return lambda: plugin(cnnrt_layers=hook)


@attrs.frozen(kw_only=True)
class NamedAsTheLanguage(Double):
    type = "Odd"
    name: int = integer(1, doc="a key that the language itself has")


class NoAttrsClass(Layer):
    type = "Odd"

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (inputs[0],)


BROKEN = {
    "a missing import": (raises(ImportError("No module named 'torch'")), "ImportError: No module named 'torch'"),
    "an exit": (raises(SystemExit(3)), "SystemExit: 3"),
    "a syntax error": (raises(SyntaxError("invalid syntax")), "SyntaxError: invalid syntax"),
    "an older interface": (lambda: plugin(api=0), r"written for plugin_api 0; this cnnrt has plugin_api 1"),
    "no plugin_api": (lambda: plugin(api=None), r"states no plugin_api; this cnnrt has plugin_api 1"),
    "a hook with wrong arguments": (wrong_arguments, "colour"),
    "a hook that does not exist": (unknown_hook, "cnnrt_lairs"),
    "a hook that raises": (hook_that(ValueError("no device")), "ValueError: no device"),
    "a hook that exits": (hook_that(SystemExit(1)), "SystemExit"),
    "a hook that returns no list": (lambda: plugin(cnnrt_layers=lambda: 5), "TypeError"),
    "an instance for a class": (lambda: plugin(cnnrt_layers=lambda: [Double()]), "expected subclasses of .*Layer"),
    "a kernel that is none": (lambda: plugin(cnnrt_kernels=lambda: [ToyKernel]), "expected instances of .*Kernel"),
}


@pytest.mark.parametrize(("load", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_plugin_that_fails_is_named_and_the_others_work(load: Any, reason: str) -> None:
    before = entry_point("layer.a", plugin(cnnrt_layers=lambda: [Double]), "first")
    after = entry_point("layer.z", plugin(cnnrt_layers=lambda: [Triple]), "last")
    host = host_of(before, entry_point("layer.m", lambda: load(), "broken-one", "2.5"), after)

    with pytest.warns(PluginWarning, match=r"'layer.m' of broken-one 2.5 was left out"):
        layers = host.layers()

    assert set(layers) == {"double", "triple"}
    record = next(r for r in host.records() if r.distribution == "broken-one")
    assert re.search(reason, record.problem)
    assert record.origin == "broken-one 2.5"
    assert record.provides == []
    assert record.traceback.startswith("Traceback")


def test_a_plugin_with_one_bad_layer_provides_none_of_them() -> None:
    host = host_of(entry_point("layer.a", plugin(cnnrt_layers=lambda: [Double, 7])))
    with pytest.warns(PluginWarning, match="expected subclasses"):
        assert not host.layers()


@pytest.mark.parametrize("odd", [NoAttrsClass, NamedAsTheLanguage])
def test_a_layer_that_no_netfile_could_use_fails_its_plugin_and_not_every_netfile(
    tmp_path: Path, odd: type[Layer]
) -> None:
    host = host_of(*built_in("layer"), entry_point("layer.odd", plugin(cnnrt_layers=lambda: [odd])))
    path = write_text(tmp_path, 'layer { type: "ReLU" name: "relu" }')
    with pytest.warns(PluginWarning, match=r"layer\.odd"):
        assert load_netfile(path, host).layers[0].type == "ReLU"


@pytest.mark.filterwarnings("error::cnnrt.errors.PluginWarning")
def test_a_warning_that_is_made_an_error_leaves_the_host_whole() -> None:
    fine = entry_point("layer.z", plugin(cnnrt_layers=lambda: [Double]))
    host = host_of(entry_point("layer.a", raises(ImportError("gone"))), fine)
    with pytest.raises(PluginWarning):
        host.layers()
    assert set(host.layers()) == {"double"}


def test_two_plugins_of_one_layer_type_are_both_named_and_only_that_type_is_unusable(tmp_path: Path) -> None:
    @attrs.frozen(kw_only=True)
    class Other(Double):
        type = "DOUBLE"

    host = host_of(
        *built_in("layer", "backend"),
        entry_point("layer.a", plugin(cnnrt_layers=lambda: [Double, Triple]), "one", "1.1"),
        entry_point("layer.b", plugin(cnnrt_layers=lambda: [Other]), "two", "2.2"),
    )
    sentence = r"provided by one 1\.1 and by two 2\.2; neither is used"
    with pytest.raises(PluginError, match=sentence):
        host.layers().find("double")
    assert host.layers().find("triple") is Triple
    assert len(host.collisions()) == 1

    bad = write_text(tmp_path / "bad", 'layer { type: "ReLU" name: "r" }\nlayer { type: "Double" name: "d" }')
    with pytest.raises(NetFileError, match=sentence) as caught:
        Net(bad, plugins=host)
    assert f"{bad}:2:15" in str(caught.value)
    good = write_text(tmp_path / "good", 'layer { type: "Triple" name: "t" }')
    assert len(Net(good, plugins=host).graph.nodes) == 1


def test_the_first_two_of_three_that_collide_stay_out_as_well() -> None:
    points = [entry_point(f"layer.{x}", plugin(cnnrt_layers=lambda: [Double]), f"plugin-{x}") for x in "abc"]
    assert not host_of(*points).layers()


def test_kernels_of_one_name_collide_and_other_names_compete(tmp_path: Path) -> None:
    def kernels(*names: str) -> Any:
        return lambda: [ToyKernel("ReLU", name=name, seconds=1 + len(name)) for name in names]

    host = host_of(
        *built_in("layer"),
        entry_point("backend.a", plugin(cnnrt_backends=lambda: [ToyBackend()], cnnrt_kernels=kernels("x")), "one"),
        entry_point("backend.b", plugin(cnnrt_kernels=kernels("x", "longer")), "two"),
    )
    assert [name for _, _, name in host.kernels()] == ["longer"]
    path = write_text(tmp_path, 'input { shape: [3, 4, 4] }\nlayer { type: "ReLU" name: "r" }')
    (row,) = Net(path, plugins=host).plan.rows
    assert (row.backend, row.kernel) == ("toy", "longer")


def test_a_layer_whose_only_kernels_collide_says_so_in_the_plan(tmp_path: Path) -> None:
    module = [plugin(cnnrt_kernels=lambda: [ToyKernel("ReLU")]) for _ in range(2)]
    host = host_of(
        *built_in("layer"),
        entry_point("backend.toy", plugin(cnnrt_backends=lambda: [ToyBackend()]), "toys"),
        *(entry_point(f"backend.{d}", m, d) for d, m in zip(("one", "two"), module, strict=True)),
    )
    path = write_text(tmp_path, 'input { shape: [3, 4, 4] }\nlayer { type: "ReLU" name: "r" }')
    (row,) = Net(path, plugins=host).plan.rows
    assert row.fallback
    assert "one 1.0 and by two 1.0" in row.why


def test_backends_of_one_name_are_named_by_whoever_asks_for_them(tmp_path: Path) -> None:
    points = [entry_point(f"backend.{d}", plugin(cnnrt_backends=lambda: [ToyBackend()]), d) for d in ("one", "two")]
    host = host_of(*built_in("layer"), *points)
    path = write_text(tmp_path, 'input { shape: [3, 4, 4] }\nlayer { type: "ReLU" name: "r" }')
    with pytest.raises(PluginError, match=r"one 1\.0 and by two 1\.0"):
        Net(path, plugins=host, execution_mode="toy").prepare()
    with pytest.raises(PlacementError, match=r"one 1\.0 and by two 1\.0"):
        Net(path, plugins=host).prepare()


def test_importers_of_one_name_collide() -> None:
    points = [entry_point(f"importer.{d}", plugin(cnnrt_importers=lambda: [Nothing("x")]), d) for d in ("one", "two")]
    host = host_of(*points, entry_point("importer.y", plugin(cnnrt_importers=lambda: [Nothing("y")]), "three"))
    assert list(host.importers()) == ["y"]
    with pytest.raises(PluginError, match="importer 'x'"):
        host.importers().find("x")


def test_a_kind_is_loaded_when_it_is_asked_for_and_once() -> None:
    def nothing() -> list[Any]:
        return []

    kinds = ("layer", "backend", "importer")
    points = {kind: entry_point(f"{kind}.x", plugin(**{f"cnnrt_{kind}s": nothing})) for kind in kinds}
    host = host_of(*points.values())

    def loads() -> dict[str, int]:
        return {kind: point.loads for kind, point in points.items()}

    assert loads() == {"layer": 0, "backend": 0, "importer": 0}
    host.importers()
    assert loads() == {"layer": 0, "backend": 0, "importer": 1}
    host.layers()
    assert loads() == {"layer": 1, "backend": 0, "importer": 1}
    host.kernels()
    host.backends()
    host.layers()
    host.records()
    assert loads() == {"layer": 1, "backend": 1, "importer": 1}


def for_toys_alone(kernels: Any, backends: Any = ("toy",)) -> types.ModuleType:
    module = plugin(cnnrt_backends=lambda: [ToyBackend()], cnnrt_kernels=kernels)
    module.kernels_for = backends  # type: ignore[attr-defined]
    return module


def test_kernels_for_a_backend_are_loaded_when_it_is_asked_about() -> None:
    calls = []

    def kernels() -> list[ToyKernel]:
        calls.append("kernels")
        return [ToyKernel("Double")]

    host = host_of(entry_point("backend.x", for_toys_alone(kernels)))
    assert list(host.backends()) == ["toy"]
    assert list(host.kernels(["another"])) == calls == []
    for _ in range(2):
        assert list(host.kernels(["toy", "another"])) == [("double", "toy", "toy")]
        assert list(host.kernels()) == [("double", "toy", "toy")]
    assert calls == ["kernels"]


def test_listings_have_the_kernels_that_nobody_asked_for() -> None:
    host = host_of(entry_point("backend.x", for_toys_alone(lambda: [ToyKernel("Double")])))
    host.backends()
    (record,) = host.records()
    assert record.provides == ["toy", "Double/toy"]


def test_kernels_that_fail_when_they_are_asked_for_leave_the_backend_and_are_reported() -> None:
    def kernels() -> list[ToyKernel]:
        raise RuntimeError("no such library")

    host = host_of(entry_point("backend.x", for_toys_alone(kernels)))
    assert list(host.backends()) == ["toy"]
    with pytest.warns(PluginWarning, match=r"backend\.x.*no such library"):
        assert list(host.kernels(["toy"])) == []
    assert "no such library" in host.records()[0].problem


@pytest.mark.parametrize("stated", ["toy", 3, (1, 2)])
def test_kernels_for_what_is_no_list_of_names_is_an_error_of_the_plugin(stated: Any) -> None:
    host = host_of(entry_point("backend.x", for_toys_alone(list, stated)))
    with pytest.warns(PluginWarning, match="expected names of backends"):
        host.backends()


def test_one_module_may_serve_several_kinds_and_names() -> None:
    calls = []

    def kernels() -> list[ToyKernel]:
        calls.append("kernels")
        return [ToyKernel("Double")]

    module = plugin(cnnrt_layers=lambda: [Double], cnnrt_backends=lambda: [ToyBackend()], cnnrt_kernels=kernels)
    host = host_of(*(entry_point(name, module) for name in ("layer.x", "backend.x", "backend.y")))
    assert list(host.kernels()) == [("double", "toy", "toy")]
    assert (list(host.layers()), list(host.backends())) == (["double"], ["toy"])
    assert calls == ["kernels"]
    assert host.collisions() == ()


def test_an_entry_point_of_an_unknown_kind_is_listed_with_the_reason_and_not_loaded() -> None:
    points = [entry_point(name, raises(AssertionError("loaded"))) for name in ("gadget.x", "layer", "backend.")]
    host = host_of(*points, entry_point("layer.y", plugin(cnnrt_layers=lambda: [Double])))
    for _ in range(2):  # what is known does not depend on how often it is asked
        assert set(host.layers()) == {"double"}
        problems = {record.problem for record in host.records() if record.problem}
        assert len(problems) == 3
        assert all("is not of a known kind: expected layer.NAME, backend.NAME, importer.NAME" in p for p in problems)
    assert [p.loads for p in points] == [0, 0, 0]


def test_the_same_entry_point_seen_twice_counts_once() -> None:
    module = plugin(cnnrt_layers=lambda: [Double])
    host = host_of(entry_point("layer.x", module, "same"), entry_point("layer.x", module, "same"))
    assert set(host.layers()) == {"double"}
    assert len(host.records()) == 1


def test_threads_that_ask_at_once_load_a_plugin_once() -> None:
    point = entry_point("layer.x", plugin(cnnrt_layers=lambda: [Double]))
    host = host_of(point)
    barrier = threading.Barrier(8)
    seen: list[set[str]] = []

    def ask() -> None:
        barrier.wait()
        seen.append(set(host.layers()))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [{"double"}] * 8
    assert point.loads == 1


def test_an_installed_strangers_package_runs_in_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    (site / "snake-1.2.dist-info").mkdir(parents=True)
    (site / "snake-1.2.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: snake\nVersion: 1.2\n")
    (site / "snake-1.2.dist-info" / "entry_points.txt").write_text(
        "[cnnrt.plugins]\nlayer.snake = snake_of_a_stranger\nbackend.snake = snake_not_there\n"
    )
    (site / "snake_of_a_stranger.py").write_text(
        textwrap.dedent(
            """
            import attrs, numpy as np
            from cnnrt import hookimpl
            from cnnrt.layer import Layer

            plugin_api = 1

            @attrs.frozen(kw_only=True)
            class Snake(Layer):
                "x * sigmoid(x)"
                type = "Snake"
                def output_shapes(self, inputs, weights):
                    return (inputs[0],)
                def reference(self, inputs, weights):
                    x = inputs[0].astype(np.float64)
                    return ((x / (1 + np.exp(-x))).astype(inputs[0].dtype),)

            @hookimpl
            def cnnrt_layers():
                return [Snake]
            """
        )
    )
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "snake_of_a_stranger", raising=False)
    host = PluginHost()
    net = Net(write_text(tmp_path / "model", 'requires: "snake"\nlayer { type: "snake" name: "s" }'), plugins=host)
    x = np.linspace(-3, 3, 12, dtype=np.float32).reshape(3, 2, 2)
    with pytest.warns(PluginWarning, match=r"'backend.snake' of snake 1\.2 was left out: ModuleNotFoundError"):
        y = net.compute(x)
    np.testing.assert_allclose(y, x / (1 + np.exp(-x)), rtol=1e-6)
    assert net.plan.rows[0].fallback
    assert any(r.origin == "snake 1.2" and r.provides == ["Snake"] for r in host.records())


def test_what_ships_with_cnnrt_comes_in_by_the_same_door(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CNNRT_PLUGINS_BLOCK", raising=False)
    host = PluginHost()
    records = {(r.kind, r.name): r for r in host.records() if r.distribution == "cnnrt"}
    assert {("layer", "cnnrt"), ("backend", "sequential"), ("importer", "caffe")} <= set(records)
    assert not any(r.problem for r in records.values())
    assert "Convolution" in records["layer", "cnnrt"].provides
    assert host.collisions() == ()
