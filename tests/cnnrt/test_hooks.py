"""Every hook is documented, has an example that runs (docs/plugin-hooks.md), and a test of its own here."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import pytest

from cnnrt import Net, hookspecs
from cnnrt.conversion import convert
from cnnrt.export import export
from cnnrt.exporter import ExportedNetwork, Exporter
from cnnrt.importer import ImportedModel, Importer
from cnnrt.layer import Array, Layer, Shape
from cnnrt.meter import EnergyCounter, Meter
from cnnrt.plugin_discovery import HOOKS_OF_KIND
from core_suite.plugins_in_memory import built_in, entry_point, host_of, plugin
from core_suite.toy_backend import ToyBackend, ToyKernel
from netfile_spec import NetFile, layer

HOOKS = sorted(name for name in vars(hookspecs) if name.startswith("cnnrt_"))


@attrs.frozen(kw_only=True)
class Negate(Layer):
    """Minus the input."""

    type = "Negate"

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        return (inputs[0],)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        return (-inputs[0],)


class NegateImporter(Importer):
    name = "negate"

    def recognises(self, files: Sequence[Path]) -> bool:
        return files[0].suffix == ".negate"

    def read(self, files: Sequence[Path]) -> ImportedModel:
        return ImportedModel(NetFile(netfile_version=1, layers=[layer("Negate", "n")]))


class CountingExporter(Exporter):
    name = "counting"
    suffix = ".txt"

    def write(self, network: ExportedNetwork, target: Path) -> Sequence[str]:
        target.write_text(str(len(network.graph.nodes)))
        return ["counted"]


class Standstill(Meter):
    name = "standstill"

    def problem(self) -> str:
        return "it reads nothing"

    def open(self) -> EnergyCounter:
        raise NotImplementedError


def test_cnnrt_layers(tmp_path: Path) -> None:
    host = host_of(entry_point("layer.negate", plugin(cnnrt_layers=lambda: [Negate])))
    assert host.layers()["negate"] is Negate


def test_cnnrt_backends() -> None:
    backend = ToyBackend()
    host = host_of(entry_point("backend.toy", plugin(cnnrt_backends=lambda: [backend])))
    assert host.backends()[backend.name] is backend


def test_cnnrt_kernels() -> None:
    kernel = ToyKernel("ReLU")
    module = plugin(cnnrt_backends=lambda: [ToyBackend()], cnnrt_kernels=lambda: [kernel])
    host = host_of(*built_in("layer"), entry_point("backend.toy", module))
    assert list(host.kernels().values()) == [kernel]


def test_cnnrt_importers(tmp_path: Path) -> None:
    module = plugin(cnnrt_layers=lambda: [Negate], cnnrt_importers=lambda: [NegateImporter()])
    points = [entry_point(f"{kind}.negate", module) for kind in ("layer", "importer")]
    host = host_of(*built_in("backend"), *points)
    (tmp_path / "m.negate").write_text("")
    converted = convert(tmp_path / "m.negate", tmp_path / "out", plugins=host)
    y = Net(converted.netfile, plugins=host).compute(np.ones((1, 1, 1, 1), np.float32))
    assert y.item() == -1


def test_cnnrt_exporters(tmp_path: Path) -> None:
    exporter = entry_point("exporter.counting", plugin(cnnrt_exporters=lambda: [CountingExporter()]))
    host = host_of(*built_in("layer"), exporter)
    netfile = tmp_path / "n.netfile"
    netfile.write_text('netfile_version: 1\ninput { name: "data" shape: [3] }\nlayer { type: "ReLU" name: "r" }\n')
    done = export(netfile, tmp_path / "n.txt", to="counting", plugins=host)
    assert (done.notes, done.target.read_text()) == (("counted",), "1")


def test_cnnrt_meters() -> None:
    meter = Standstill()
    host = host_of(entry_point("meter.standstill", plugin(cnnrt_meters=lambda: [meter])))
    assert host.meters()[meter.name] is meter


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented_and_tested(name: str, repository: Path) -> None:
    specification = getattr(hookspecs, name)
    text = inspect.getdoc(specification) or ""
    assert "Called once" in text, "the docstring says when the hook is called"
    assert "@hookimpl" in text, "the docstring has an example"
    assert inspect.signature(specification).return_annotation is not inspect.Signature.empty
    assert name in {hook for hooks in HOOKS_OF_KIND.values() for hook in hooks}, "some kind of plugin is asked for it"

    page = (repository / "docs" / "plugin-hooks.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {name}\(.*?\) -> .*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section is not None, "docs/plugin-hooks.md has a section with the signature"
    assert re.search(rf"```python.*@hookimpl\ndef {name}\(", section[0], re.DOTALL), "with an example that is run"

    assert f"test_{name}" in vars(sys.modules[__name__]), "and the hook has a test of its own"


def test_the_hooks_are_those_that_are_called() -> None:
    assert sorted({hook for hooks in HOOKS_OF_KIND.values() for hook in hooks}) == HOOKS
