"""`cnnrt check`: good models are summed up, bad ones get every problem named."""

from __future__ import annotations

from pathlib import Path

from cli_suite.command import answer, complaint, json_answer, run_cnnrt
from cli_suite.small_model import SHAPE, write_small_model
from cnnrt import Net
from core_suite.small_networks import filters, images, write_network
from netfile_spec import InputBlock, layer, open_parameters, write_parameters


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_good_model_is_summed_up(tmp_path: Path) -> None:
    text = answer("check", write_small_model(tmp_path))
    facts = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert facts["good"] == str(tmp_path / "net.netfile")
    assert facts["shapes"] == "data 1×1×8×8 -> prob 1×3"
    assert facts["parameters"].startswith("77 in 2 files")
    assert facts["labels"] == "3 labels"


def test_the_folder_may_be_named_instead_of_the_netfile(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    assert answer("check", tmp_path) == answer("check", path)


def test_every_damaged_file_is_named_at_its_place(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    flip_a_bit(tmp_path / "conv.msg")
    flip_a_bit(tmp_path / "score.msg")
    text = complaint("check", path)
    for name in ("conv.msg", "score.msg"):
        line = 1 + path.read_text().splitlines().index(f'  parameters_file: "{name}"')
        assert f"{path}:{line}:" in text
    assert text.endswith(f"{path}: 2 problems\n")


def test_wiring_and_damage_are_reported_together(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    (tmp_path / "conv.msg").unlink()
    flip_a_bit(tmp_path / "score.msg")
    text = complaint("check", path)
    assert "no file 'conv.msg'" in text
    assert "score.msg" in text
    assert text.count("conv.msg' in this folder") == 1, "a missing file is one problem"


def test_shapes_that_do_not_fit_are_found_for_the_stated_input(tmp_path: Path) -> None:
    path = write_small_model(tmp_path, inputs=(InputBlock(name="data"),))
    assert "add --input 1,3,227,227" in run_cnnrt("check", path).stderr
    assert "data 2×1×8×8 -> prob 2×3" in answer("check", path, "--input", "2,1,8,8")
    assert "layer 'conv' (Convolution)" in complaint("check", path, "--input", "1,2,8,8")


def test_unreadable_preprocessing_and_labels_are_problems(tmp_path: Path) -> None:
    block = InputBlock(name="data", shape=SHAPE, mean_file="mean.msg")
    text = complaint("check", write_small_model(tmp_path, inputs=(block,), labels="names.txt"))
    assert "mean.msg" in text
    assert "names.txt" in text


def test_a_mode_that_is_not_here_is_a_note_not_a_problem(tmp_path: Path) -> None:
    result = run_cnnrt("check", write_small_model(tmp_path, execution_mode="abacus"))
    assert result.exit_code == 0
    assert "note: the model is good, but it cannot run here as it is: no backend is named 'abacus'" in result.stderr


def test_problems_as_json(tmp_path: Path) -> None:
    path = write_small_model(tmp_path)
    path.write_text(path.read_text().replace("kernel_size: 2", "kernel_sise: 2"))
    result = run_cnnrt("check", path, "--json")
    assert result.exit_code == 1
    import json

    found = json.loads(result.stdout)
    assert found["good"] is False
    (problem,) = found["problems"]
    assert "kernel_sise" in problem["message"]
    assert path.read_text().splitlines()[problem["line"] - 1].strip() == "kernel_sise: 2"


def test_a_good_model_as_json(tmp_path: Path) -> None:
    found = json_answer("check", write_small_model(tmp_path))
    assert found["good"] is True
    assert found["problems"] == []


def test_cnndroids_layout_is_advised_to_be_converted_and_the_advice_works(tmp_path: Path) -> None:
    layers = [layer("Convolution", "conv", pad=1), layer("FullyConnected", "fc")]
    parameters = {"conv": filters(1, 4, 2, 3, 3), "fc": filters(2, 5, 144)}
    netfile = write_network(tmp_path, layers, parameters, inputs=[InputBlock("data", (2, 6, 6))])
    for name, tensors in parameters.items():
        write_parameters(tmp_path / f"{name}.msg", tensors, layout="cnndroid")
    x = images(2, 2, 6, 6)
    before = Net(netfile).compute(x)
    (note,) = json_answer("check", netfile, "--json")["notes"]
    for name in parameters:
        exec(note.partition("To convert a file: ")[2], {"file": tmp_path / f"{name}.msg"})
    assert open_parameters(tmp_path / "fc.msg").layout == "cnnrt"
    assert Net(netfile).compute(x).tobytes() == before.tobytes()
    assert json_answer("check", netfile, "--json")["notes"] == []
