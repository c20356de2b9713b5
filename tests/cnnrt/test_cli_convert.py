"""`cnnrt convert`: options reach the NetFile, problems are listed, and it says what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import attrs
import numpy as np
import pytest

from cli_suite.command import answer, complaint, json_answer
from cli_suite.small_model import netfile, parameters
from cnnrt.errors import ImportFailure, Position, Problem
from cnnrt.importer import ImportedModel, Importer
from netfile_spec import InputBlock, read_netfile, read_parameters


class SmallImporter(Importer):
    """Reads any file as the small model, which states no preprocessing; "bad" ones have two problems."""

    name: ClassVar[str] = "small"
    description: ClassVar[str] = "the small model of the tests"

    def recognises(self, files: Sequence[Path]) -> bool:
        return True

    def read(self, files: Sequence[Path]) -> ImportedModel:
        if "bad" in files[0].name:
            problems = [
                Problem(f"layer type {t!r} is not supported", Position(n, 1)) for n, t in ((3, "SPP"), (9, "LSTM"))
            ]
            raise ImportFailure(problems, file=str(files[0]))
        stated = attrs.evolve(netfile(), inputs=(InputBlock("data", (1, 8, 8)),), labels=None)
        return ImportedModel(stated, parameters(), ("a dropout layer was left out",))

    def read_trusted(self, files: Sequence[Path]) -> ImportedModel:
        return attrs.evolve(self.read(files), notes=("what the file holds was run",))


@pytest.fixture
def model_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("cnnrt.conversion.choose_importer", lambda files, name, host: SmallImporter())
    path = tmp_path / "model.bin"
    path.write_bytes(b"a model")
    return path


def test_it_tells_what_was_written_and_what_is_next(model_file: Path, tmp_path: Path) -> None:
    text = answer("convert", model_file, "-o", tmp_path / "out")
    path = tmp_path / "out" / "net.netfile"
    assert text.splitlines()[0].split() == ["wrote", str(path)]
    assert "77, " in text
    assert "in 2 files (layout cnnrt)" in text
    assert "\nnotes\n  a dropout layer was left out\n" in text
    assert f"\n  cnnrt show {path}\n" in text
    assert "states no preprocessing" in text
    assert read_netfile(path).execution_mode == "parallel"


def test_a_file_is_run_only_where_it_is_trusted(model_file: Path, tmp_path: Path) -> None:
    assert "was run" not in answer("convert", model_file, "-o", tmp_path / "read")
    assert "was run" in answer("convert", model_file, "-o", tmp_path / "run", "--trust")


def test_stated_preprocessing_reaches_the_netfile(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("ant\nbee\ncat\n")
    text = answer(
        "convert", model_file, "-o", tmp_path / "out", "--mean", "33.5", "--scale", "0.5", "--channel-order", "gray",
        "--size", "10x12", "--labels", tmp_path / "names.txt",
    )  # fmt: skip
    stated = read_netfile(tmp_path / "out" / "net.netfile")
    block = stated.inputs[0]
    assert (block.mean, block.scale, block.channel_order, block.size) == ((33.5,), 0.5, "gray", (10, 12))
    assert stated.labels == ("ant", "bee", "cat")
    assert "states no preprocessing" not in text


def test_a_mean_may_be_a_file(model_file: Path, tmp_path: Path) -> None:
    mean = np.full((1, 8, 8), 7, np.float32)
    np.save(tmp_path / "mean.npy", mean)
    answer("convert", model_file, "-o", tmp_path / "out", "--mean", tmp_path / "mean.npy")
    block = read_netfile(tmp_path / "out" / "net.netfile").inputs[0]
    assert block.mean_file is not None
    np.testing.assert_array_equal(read_parameters(tmp_path / "out" / block.mean_file)["mean"], mean)


def test_one_number_is_height_and_width(model_file: Path, tmp_path: Path) -> None:
    answer("convert", model_file, "-o", tmp_path / "out", "--size", "9")
    assert read_netfile(tmp_path / "out" / "net.netfile").inputs[0].size == (9, 9)
    for wrong in ("0", "9x", "1x2x3", "big"):
        assert "expected HEIGHTxWIDTH" in complaint(
            "convert", model_file, "-o", tmp_path / "o", "--size", wrong, code=2
        )


def test_every_unsupported_layer_is_listed(tmp_path: Path, model_file: Path) -> None:
    bad = model_file.rename(tmp_path / "bad.bin")
    text = complaint("convert", bad, "-o", tmp_path / "out")
    assert f"{bad}:3:1: layer type 'SPP' is not supported" in text
    assert f"{bad}:9:1: layer type 'LSTM' is not supported" in text
    assert not (tmp_path / "out").exists()


def test_a_full_folder_needs_overwrite(model_file: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    assert "overwrite it (--overwrite)" in complaint("convert", model_file, "-o", tmp_path / "out")
    assert (tmp_path / "out" / "thesis.tex").exists()
    answer("convert", model_file, "-o", tmp_path / "out", "--overwrite")
    assert not (tmp_path / "out" / "thesis.tex").exists()


def test_as_json(model_file: Path, tmp_path: Path) -> None:
    found = json_answer("convert", model_file, "-o", tmp_path / "out", "--layout", "cnndroid")
    assert found == {
        "netfile": str(tmp_path / "out" / "net.netfile"),
        "importer": "small",
        "layout": "cnndroid",
        "layers": 5,
        "parameters": 77,
        "files": ["conv.msg", "score.msg"],
        "notes": ["a dropout layer was left out"],
    }
