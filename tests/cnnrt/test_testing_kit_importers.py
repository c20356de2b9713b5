"""The suite of an importer finds what is wrong with it; the damage that it does to files is the same each time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from cnnrt.errors import ImportFailure, Problem
from cnnrt.importer import ImportedModel, Importer
from cnnrt.testing import ImporterSuite
from cnnrt.testing.mutations import KINDS, mutations
from netfile_spec import InputBlock, NetFile, layer


class Words(Importer):
    """Reads a file whose text is names of ReLUs; wrong in the way that `fault` says."""

    name = "words"
    description = "names of ReLUs"

    def __init__(self, fault: str = "none") -> None:
        self.fault = fault
        self.seen = 0

    def recognises(self, files: Sequence[Path]) -> bool:
        if self.fault == "reads to recognise":
            return files[0].read_text().startswith("words")
        return self.fault == "claims everything" or (len(files) == 1 and files[0].suffix == ".words")

    def read(self, files: Sequence[Path]) -> ImportedModel:
        self.seen += 1
        if self.fault == "trusts the file":
            return self._model(files[0].read_bytes().decode().split())
        try:
            (file,) = files
            content = file.read_bytes()
            if self.fault == "writes beside the file":
                file.with_suffix(".cache").write_bytes(content)
            words = content.decode().split()
        except (OSError, ValueError) as error:
            raise ImportFailure([Problem(str(error))], file="words") from error
        return self._model([f"{word}{self.seen}" if self.fault == "remembers" else word for word in words])

    def _model(self, words: Sequence[str]) -> ImportedModel:
        kind = "NoSuchLayer" if self.fault == "unknown layers" else "ReLU"
        layers = [layer(kind, word) for word in words]
        return ImportedModel(NetFile(layers, [InputBlock("data", (2, 3, 3))], netfile_version=1))


def suite(fault: str = "none", *, models: bool = True) -> ImporterSuite:
    class WordsSuite(ImporterSuite):
        importer = Words(fault)

        def models(self, folder: Path) -> Sequence[Sequence[Path]]:
            path = folder / "small.words"
            path.write_text("one two three", encoding="utf-8")
            return [[path]] if models else []

    return WordsSuite()


CHECKS = (
    "its_own_models_are_recognised",
    "foreign_files_are_left_alone",
    "a_model_becomes_a_network",
    "reading_twice_gives_the_same",
    "reading_writes_nothing",
    "files_that_cannot_be_read",
    "mean_images_of_others",
)


@pytest.mark.parametrize("check", CHECKS)
def test_a_right_importer_passes(check: str, tmp_path: Path) -> None:
    getattr(suite(), f"test_{check}")(tmp_path)


@pytest.mark.parametrize(
    ("fault", "check", "message"),
    [
        ("claims everything", "foreign_files_are_left_alone", "recognises answered True for no files"),
        ("reads to recognise", "foreign_files_are_left_alone", "list index out of range"),
        ("unknown layers", "a_model_becomes_a_network", "NoSuchLayer"),
        ("remembers", "reading_twice_gives_the_same", "another NetFile the second time"),
        ("writes beside the file", "reading_writes_nothing", "changed files beside it"),
        ("trusts the file", "files_that_cannot_be_read", "list index out of range"),
    ],
)
def test_what_is_wrong_with_an_importer_is_found(fault: str, check: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=message):
        getattr(suite(fault), f"test_{check}")(tmp_path)


def test_an_error_of_another_kind_on_a_damaged_file_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"small.words, flipped bits, number \d+: UnicodeDecodeError.*CnnrtError"):
        suite("trusts the file").test_damaged_files(tmp_path, "flipped bits")


@pytest.mark.parametrize("damage", KINDS)
def test_damaged_files_do_a_right_importer_no_harm(damage: str, tmp_path: Path) -> None:
    suite().test_damaged_files(tmp_path, damage)
    assert (tmp_path / "models" / "small.words").read_text() == "one two three", "the file is put back"


def test_without_models_what_needs_them_is_skipped_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"state the suite of importer 'words', and models\(\) in it"):
        suite(models=False).test_its_own_models_are_recognised(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("content", [b"", b"a", b'layer { num: 12 name: "x" }' * 9, bytes(range(256))])
def test_damage_is_the_same_each_time_and_does_damage(kind: str, content: bytes) -> None:
    first = list(mutations(content, kind, 30, seed=1))
    assert first == list(mutations(content, kind, 30, seed=1))
    assert all(len(damaged) < 100 * len(content) + 10_000 for damaged in first)
    if len(content) > 1:
        assert len(set(first)) > 5
        assert sum(damaged != content for damaged in first) > 20


def test_damage_leaves_the_randomness_of_others_alone() -> None:
    random.seed(7)
    expected = random.random()
    random.seed(7)
    list(mutations(b"some content", "noise", 5))
    assert random.random() == expected
