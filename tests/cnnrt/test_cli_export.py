"""`cnnrt export`: what it writes and says."""

from pathlib import Path

import pytest

from cli_suite.command import answer, complaint, json_answer
from cnnrt.demo import demo_netfile

pytest.importorskip("onnx", reason="onnx is not installed")


def test_it_tells_what_was_written_and_what_was_lost(tmp_path: Path) -> None:
    text = answer("export", demo_netfile(), "--to", "onnx", "-o", tmp_path / "lenet.onnx")
    assert text.splitlines()[0].split() == ["wrote", str(tmp_path / "lenet.onnx")]
    assert "ONNX has no place for preprocessing" in text
    assert (tmp_path / "lenet.onnx").is_file()


def test_as_json(tmp_path: Path) -> None:
    found = json_answer("export", demo_netfile(), "--to", "cnndroid", "-o", tmp_path / "lenet")
    assert found["target"] == str(tmp_path / "lenet")
    assert found["exporter"] == "cnndroid"


def test_shapes_may_be_stated(tmp_path: Path) -> None:
    (tmp_path / "net.netfile").write_text('layer { type: "ReLU" name: "r" }\n')
    where = ("export", tmp_path / "net.netfile", "--to", "onnx", "-o", tmp_path / "net.onnx")
    assert "input 'data' has no shape" in complaint(*where)
    answer(*where, "--input", "1,3,8,8")


def test_what_cannot_be_expressed_is_listed(tmp_path: Path) -> None:
    (tmp_path / "net.netfile").write_text(
        'netfile_version: 1\ninput { name: "data" shape: [3, 8, 8] }\n'
        'layer { type: "MVN" name: "m" }\nlayer { type: "Normalize" name: "n" }\n'
    )
    text = complaint("export", tmp_path / "net.netfile", "--to", "onnx", "-o", tmp_path / "net.onnx")
    assert "net.netfile:3:" in text
    assert "net.netfile:4:" in text
    assert not (tmp_path / "net.onnx").exists()
