"""The suite of an importer: it knows its own files, reads them into networks, and survives damaged ones."""

from __future__ import annotations

import time
import tracemalloc
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from cnnrt.conversion import convert
from cnnrt.errors import CnnrtError, CnnrtWarning
from cnnrt.importer import ImportedModel, Importer
from cnnrt.layer import Array
from cnnrt.net import Net
from cnnrt.plugins import PluginHost, plugin_host
from cnnrt.testing.mutations import KINDS, mutations
from cnnrt.testing.offered import extended
from cnnrt.testing.suite_of import importer_suite
from cnnrt.topology import put_together
from netfile_spec import NetFile

FOREIGN: Mapping[str, bytes] = {
    "empty": b"",
    "no-suffix": b"\0\1\2\3",
    "noise.bin": bytes(range(256)),
    "net.netfile": b'layer { type: "ReLU" name: "r" }\n',
    "archive.zip": b"PK\x03\x04" + bytes(60),
    "picture.png": b"\x89PNG\r\n\x1a\n" + bytes(40),
    "pickle.pkl": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94.",
    "page.html": b"<!DOCTYPE html><html></html>",
}
"""Files that are nobody's model, by name."""
MOST_BYTES = 500 << 20
MOST_SECONDS = 20


class ImporterSuite:
    """Everything an importer has to hold. A subclass states `importer` and writes models for it to read.

        class TestPlainText(ImporterSuite):
            importer = PlainTextImporter()

            def models(self, folder):
                (folder / "net.txt").write_text("relu r")
                return [[folder / "net.txt"]]

    Models should be small, and have between them all that the format knows. `mutations`: how many damaged copies of
    each file are tried for each kind of damage. So that `cnnrt plugins verify` finds the models, the suite is part of
    the package and the importer names it: `suite = "cnnrt_plain_text.conformance:PlainTextSuite"`.
    """

    importer: ClassVar[Importer]
    mutations: ClassVar[int] = 25

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write models into the folder, which is empty, and return the files of each.

        Where files hold weights without topology, the last one of a model is a NetFile (.netfile) with their layers.
        """
        return ()

    @classmethod
    def host(cls) -> PluginHost:
        """Return a plugin host that knows the importer: what is installed, with it where it is not."""
        installed = plugin_host()
        if type(installed.importers().get(cls.importer.name)) is type(cls.importer):
            return installed
        return extended(installed, importers=[cls.importer])

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Repeat what is tried with damaged files for each kind of damage."""
        if "damage" in metafunc.fixturenames:
            metafunc.parametrize("damage", list(KINDS))

    def test_it_is_described(self) -> None:
        """Listings show its name and one line."""
        assert self.importer.name.strip(), f"{type(self.importer).__name__}.name is empty"
        assert self.importer.description.strip(), f"{type(self.importer).__name__}.description is empty"

    def test_its_own_models_are_recognised(self, tmp_path: Path) -> None:
        """It recognises each model, whatever the order of the files."""
        for files in self._models(tmp_path):
            own, _ = _split(files)
            for order in (own, list(reversed(own))):
                answer = self.importer.recognises(order)
                assert answer is True, f"recognises answered {answer!r} for {_named(order)}"

    def test_foreign_files_are_left_alone(self, tmp_path: Path) -> None:
        """It answers False, and raises nothing, for files of others, folders, and what is not there."""
        for name, content in FOREIGN.items():
            (tmp_path / name).write_bytes(content)
        (tmp_path / "folder").mkdir()
        foreign = [[tmp_path / name] for name in (*FOREIGN, "folder", "not-there", "x" * 300, "not/there")]
        for files in ([], *foreign, [files[0] for files in foreign]):
            answer = self.importer.recognises(files)
            assert answer is False, f"recognises answered {answer!r} for {_named(files) or 'no files'}"

    def test_models_of_other_importers_are_left_alone(self, tmp_path: Path) -> None:
        """What another installed importer reads, this one does not claim."""
        tried = 0
        for number, (name, other) in enumerate(self.host().importers().items()):
            if name == self.importer.name:
                continue
            folder = tmp_path / str(number)
            folder.mkdir()
            try:
                models = importer_suite(other)().models(folder)
            except ImportError:  # an extra of that importer is missing here, which is no fault of this one
                continue
            for files in models:
                tried += 1
                own, _ = _split(files)
                assert not self.importer.recognises(own), f"it claims {_named(own)}, which is for {name!r}"
        if not tried:
            pytest.skip("no other importer is installed that brings models along")

    def test_a_model_becomes_a_network(self, tmp_path: Path) -> None:
        """What is read can be written, opened as a Net, and computes where the model states its input shapes."""
        for number, files in enumerate(self._models(tmp_path)):
            model = self._read(files)
            assert isinstance(model, ImportedModel), f"read gives a {type(model).__name__}; expected an ImportedModel"
            assert isinstance(model.netfile, NetFile), "netfile is no NetFile"
            assert all(isinstance(note, str) for note in model.notes), "notes are texts"
            for layer, weights in model.parameters.items():
                wrong = [name for name, w in weights.items() if w.dtype != np.float32]
                assert not wrong, f"layer {layer!r}: {', '.join(wrong)} is not float32"
            folder = tmp_path / f"converted{number}"
            own, topology = _split(files)
            converted = convert(own, folder, importer=self.importer.name, topology=topology, plugins=self.host())
            with _cnnrt_warnings_allowed(), Net(converted.netfile, plugins=self.host()) as net:
                shapes = {i.name: i.shape for i in net.graph.inputs}
                if all(shapes.values()):
                    net.compute({name: np.zeros((1, *(shape or ())), np.float32) for name, shape in shapes.items()})

    def test_reading_twice_gives_the_same(self, tmp_path: Path) -> None:
        """It keeps nothing of what it read before."""
        for files in self._models(tmp_path):
            first, again = self._read(files), self._read(files)
            assert first.netfile == again.netfile, f"{_named(files)}: another NetFile the second time"
            assert first.notes == again.notes, f"{_named(files)}: other notes the second time"
            assert _equal(first.parameters, again.parameters), f"{_named(files)}: other weights the second time"

    def test_reading_writes_nothing(self, tmp_path: Path) -> None:
        """The model's files and their folder are as they were."""
        for files in self._models(tmp_path):
            before = _listing(tmp_path)
            self._read(files)
            assert _listing(tmp_path) == before, f"reading {_named(files)} changed files beside it"

    def test_files_that_cannot_be_read(self, tmp_path: Path) -> None:
        """No files, files that are not there, and folders in their place are CnnrtErrors."""
        assert isinstance(self._outcome([]), CnnrtError), "reading no files at all is no error"
        for files in self._models(tmp_path):
            missing = [file.with_name(f"missing-{file.name}") for file in files]
            assert isinstance(self._outcome(missing), CnnrtError), (
                f"reading {_named(missing)}, which is missing, is no error"
            )
            for file in missing:
                file.mkdir(exist_ok=True)
            assert isinstance(self._outcome(missing), CnnrtError), f"reading the folder {_named(missing)} is no error"

    def test_damaged_files(self, tmp_path: Path, damage: str) -> None:
        """Whatever is wrong in a file: it is read, or a CnnrtError says why not, soon and in little memory."""
        for files in self._models(tmp_path):
            for file in files:
                content = file.read_bytes()
                for number, damaged in enumerate(mutations(content, damage, self.mutations)):
                    file.write_bytes(damaged)
                    self._survive(files, f"{file.name}, {damage}, number {number}")
                file.write_bytes(content)

    def test_mean_images_of_others(self, tmp_path: Path) -> None:
        """For a file that is no mean image, `read_mean` gives None or raises a CnnrtError."""
        for name, content in FOREIGN.items():
            file = tmp_path / name
            file.write_bytes(content)
            try:
                found = self.importer.read_mean(file)
            except CnnrtError:
                continue
            assert found is None, f"read_mean takes {name} for a mean image"

    def _models(self, folder: Path) -> list[list[Path]]:
        beneath = folder / "models"
        beneath.mkdir(exist_ok=True)
        found = [list(files) for files in self.models(beneath)]
        if not found:
            pytest.skip(f"no models to read: state the suite of importer {self.importer.name!r}, and models() in it")
        return found

    def _read(self, files: Sequence[Path]) -> ImportedModel:
        """Return the model with its weights, which an importer may leave in the file until they are asked for."""
        own, topology = _split(files)
        with _cnnrt_warnings_allowed():
            if topology is None:
                model = self.importer.read(own)
            else:
                loose = self.importer.read_weights(own)
                model = put_together(loose, topology, str(own[0]), flip_kernels=None, host=self.host())
            for weights in model.parameters.values():
                for values in weights.values():
                    np.asarray(values)
        return model

    def _outcome(self, files: Sequence[Path]) -> ImportedModel | CnnrtError:
        try:
            return self._read(files)
        except CnnrtError as error:
            return error

    def _survive(self, files: Sequence[Path], what: str) -> None:
        started = time.perf_counter()
        tracemalloc.start()
        try:
            self._outcome(files)
            _, peak = tracemalloc.get_traced_memory()
        except Exception as error:
            raise AssertionError(
                f"{what}: {type(error).__name__}: {error}; expected success or a CnnrtError"
            ) from error
        finally:
            tracemalloc.stop()
        seconds = time.perf_counter() - started
        assert peak < MOST_BYTES, f"{what}: reading took {peak >> 20} MiB"
        assert seconds < MOST_SECONDS, f"{what}: reading took {seconds:.0f} s"


@contextmanager
def _cnnrt_warnings_allowed() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CnnrtWarning)
        yield


def _split(files: Sequence[Path]) -> tuple[Sequence[Path], Path | None]:
    """Return an importer's own files, and the topology that the last one may be."""
    if len(files) > 1 and files[-1].suffix == ".netfile":
        return files[:-1], files[-1]
    return files, None


def _named(files: Sequence[Path]) -> str:
    return ", ".join(file.name for file in files)


def _listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _equal(first: Mapping[str, Mapping[str, Array]], second: Mapping[str, Mapping[str, Array]]) -> bool:
    if {layer: set(weights) for layer, weights in first.items()} != {k: set(w) for k, w in second.items()}:
        return False
    return all(
        np.array_equal(w, second[layer][name]) for layer, weights in first.items() for name, w in weights.items()
    )
