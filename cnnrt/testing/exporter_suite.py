"""The suite of an exporter: it writes what it can express, names what it cannot, and touches nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import attrs
import pytest

from cnnrt.demo import demo_netfile
from cnnrt.errors import CnnrtError, ExportFailure
from cnnrt.export import Export, export
from cnnrt.exporter import Exporter
from cnnrt.layer import Array, Layer, Shape
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing.offered import extended


@attrs.frozen(kw_only=True)
class Unheard(Layer):
    """A layer that no format has a form for."""

    type = "UnheardOf"

    def output_shapes(self, inputs: Sequence[Shape], weights: Mapping[str, Shape]) -> tuple[Shape, ...]:
        """Return the shape of the input."""
        return (inputs[0],)

    def reference(self, inputs: Sequence[Array], weights: Mapping[str, Array]) -> tuple[Array, ...]:
        """Return the input."""
        return (inputs[0].copy(),)


class ExporterSuite:
    """Everything an exporter has to hold. A subclass states `exporter`, an instance.

        class TestOnnx(ExporterSuite):
            exporter = OnnxExporter()

    What the written model computes is for tests of its own to find out, with another engine.
    """

    exporter: ClassVar[Exporter]

    @classmethod
    def host(cls) -> PluginHost:
        """Return a plugin host that knows the exporter, and a layer that it does not."""
        installed = plugin_host()
        known = type(installed.exporters().get(cls.exporter.name)) is type(cls.exporter)
        return extended(installed, layers=[Unheard], exporters=() if known else [cls.exporter])

    def test_it_is_described(self) -> None:
        """Listings show its name and one line; a suffix begins with a dot."""
        assert self.exporter.name.strip(), f"{type(self.exporter).__name__}.name is empty"
        assert self.exporter.description.strip(), f"{type(self.exporter).__name__}.description is empty"
        assert self.exporter.suffix == "" or self.exporter.suffix.startswith("."), "suffix is no suffix"

    def test_a_classifier_is_written_or_refused(self, tmp_path: Path) -> None:
        """A LeNet becomes a file or a folder that is not empty, or is refused."""
        try:
            done = self._export(demo_netfile(), tmp_path / "first")
        except ExportFailure:
            return
        assert done.target.is_dir() == (not self.exporter.suffix)
        assert _contents(done.target), "nothing was written"
        assert all(isinstance(note, str) for note in done.notes), "notes are texts"

    def test_writing_twice_gives_the_same(self, tmp_path: Path) -> None:
        """One network gives the same bytes each time."""
        try:
            first, again = (self._export(demo_netfile(), tmp_path / folder) for folder in ("first", "again"))
        except ExportFailure as failure:
            pytest.skip(f"it does not write this network: {failure}")
        assert _contents(first.target) == _contents(again.target)

    def test_a_layer_without_a_form_is_named_and_nothing_is_written(self, tmp_path: Path) -> None:
        """An unknown layer is an ExportFailure with its name and place; the folder stays empty."""
        netfile = tmp_path / "net.netfile"
        block = 'layer { type: "UnheardOf" name: "strange" }\n'
        netfile.write_text(f'netfile_version: 1\ninput {{ name: "data" shape: [3, 4, 4] }}\n{block}', encoding="utf-8")
        with pytest.raises(ExportFailure) as caught:
            self._export(netfile, tmp_path / "out")
        assert any("strange" in p.message and p.position for p in caught.value.problems), "the layer is not named"
        assert not list((tmp_path / "out").iterdir()), "something was left behind"

    def test_the_network_stays_as_it_is(self, tmp_path: Path) -> None:
        """Exporting changes nothing beside the NetFile."""
        before = _contents(demo_netfile().parent)
        with suppress(CnnrtError):
            self._export(demo_netfile(), tmp_path / "out")
        assert _contents(demo_netfile().parent) == before

    def _export(self, netfile: Path, folder: Path) -> Export:
        folder.mkdir()
        target = folder / f"model{self.exporter.suffix}"
        return export(netfile, target, to=self.exporter.name, plugins=self.host())


def _contents(path: Path) -> dict[str, bytes]:
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(p.relative_to(path)): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}
