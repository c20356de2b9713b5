"""A published detector, against the outputs of OpenCV."""

from pathlib import Path

import numpy as np
import pytest

from cli_suite.command import json_answer
from cnnrt import Net, convert


@pytest.fixture
def model(shared_folder: Path) -> Path:
    return shared_folder / "models" / "darknet-yolofastest-body"


@pytest.fixture
def files(model: Path) -> list[Path]:
    return [model / f"yolo-fastest-1.1_body{suffix}" for suffix in (".cfg", ".weights")]


def test_yolo_fastest_agrees_with_all_of_its_reference(tmp_path: Path, model: Path, files: list[Path]) -> None:
    found = json_answer("convert", *files, "-o", tmp_path / "yolo", "--verify", model / "reference.npz")["verification"]
    assert found["agrees"] is True
    compared = {value["name"] for value in found["values"]}
    assert compared == {"conv_0", "conv_120", "yolo_121", "conv_129", "yolo_130"}


def test_the_person_in_the_picture_is_found(tmp_path: Path, model: Path, files: list[Path]) -> None:
    picture = np.load(model / "reference.npz")["input"]
    with Net(convert(files, tmp_path / "yolo").netfile, execution_mode="sequential") as net:
        boxes = net.compute(picture)
    assert isinstance(boxes, dict)
    assert {name: value.shape for name, value in boxes.items()} == {"yolo_121": (1, 300, 6), "yolo_130": (1, 1200, 6)}
    rows = np.concatenate([value[0] for value in boxes.values()])
    x, y, width, height, _, score = rows[rows[:, 5].argmax()]
    assert score > 0.99
    assert 0 < x < 1
    assert 0 < y < 1
    assert 0.1 < width < 1
    assert 0.1 < height < 1
