"""`cnnrt show`: layers, placement and memory, with and without shapes."""

from __future__ import annotations

from pathlib import Path

from cli_suite.command import answer, complaint, json_answer, run_cnnrt
from cli_suite.small_model import write_small_model
from cnnrt import Net
from netfile_spec import InputBlock


def test_layers_with_shapes_parameters_and_operations(tmp_path: Path) -> None:
    text = answer("show", write_small_model(tmp_path))
    rows = [line.split() for line in text.splitlines()]
    assert next(r for r in rows if r[:1] == ["conv"])[:6] == ["conv", "+", "relu", "Convolution", "1×2×6×6", "20"]
    assert next(r for r in rows if r[:1] == ["score"])[:4] == ["score", "FullyConnected", "1×3", "57"]


def test_where_each_layer_runs_and_why(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    text = answer("show", path, "--mode", "sequential")
    assert 'placement (execution_mode "sequential")' in text
    with Net(path, execution_mode="sequential") as net:
        for row in net.plan_for().rows:
            assert row.kernel in text
            assert row.why in text


def test_a_pipe_gets_names_whole_and_no_trailing_blanks(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    name = "a_name_that_is_longer_than_any_terminal_is_wide_" * 4
    path.write_text(path.read_text().replace('"prob"', f'"{name}"'))
    text = answer("show", path)
    assert [name, "Softmax", "1×3"] in [line.split()[:3] for line in text.splitlines()]
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_the_batch_is_the_stated_one(tmp_path: Path) -> None:
    assert "16×2×6×6" in answer("show", write_small_model(tmp_path), "--input", "16,1,8,8")


def test_without_shapes_it_shows_weights_and_what_to_add(tmp_path: Path) -> None:
    path = write_small_model(tmp_path, inputs=(InputBlock(name="data"),))
    result = run_cnnrt("show", path)
    assert result.exit_code == 0
    assert "weight 2×1×3×3, bias 2" in result.stdout
    assert "placement" not in result.stdout
    assert "add --input 1,3,227,227" in result.stderr


def test_no_weights_are_read(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    content = bytearray((tmp_path / "score.msg").read_bytes())
    content[-1] ^= 1  # reading it would find the checksum wrong
    (tmp_path / "score.msg").write_bytes(content)
    assert "score" in answer("show", path)


def test_an_unknown_input_names_the_known(tmp_path: Path) -> None:
    text = complaint("show", write_small_model(tmp_path), "--input", "dato=1,1,8,8")
    assert text == "error: --input: the network has no input 'dato'; did you mean 'data'?\n"


def test_a_shape_that_is_none_is_a_usage_error(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    for shape in ("1,2,x", "0,1,8,8", "=1,1,8,8", ""):
        assert "expected images, channels, rows and columns" in complaint("show", path, "--input", shape, code=2)


def test_the_ceiling_can_be_tried_out(tmp_path: Path) -> None:
    shown = json_answer("show", write_small_model(tmp_path), "--ram", "0.5")
    assert shown["plan"]["memory"]["ceiling"] == 1 << 19


def test_as_json(tmp_path: Path) -> None:
    shown = json_answer("show", write_small_model(tmp_path))
    assert shown["parameters"] == {"conv": 20, "score": 57}
    assert [row["layer"] for row in shown["plan"]["rows"]] == ["conv", "pool", "score", "prob"]
