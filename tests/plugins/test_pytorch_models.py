"""Published state dicts with the layers that their sources state, against the outputs of other engines."""

from pathlib import Path

import numpy as np

from cnnrt import Net, convert
from pytorch_suite.topologies import CIFAR, face_detector, written


def test_a_classifier_in_the_zip_form(tmp_path: Path, shared_folder: Path) -> None:
    folder = shared_folder / "models" / "pytorch-cifar10-winml"
    converted = convert(folder / "myFirstModel.pth", tmp_path / "net", topology=written(tmp_path, CIFAR))
    reference = np.load(folder / "reference.npz")
    names = ["conv1", "pool", "fc1"]
    with Net(converted.netfile, execution_mode="sequential") as net:
        got = net.compute(reference["input"], outputs=names)
        assert net.netfile.inputs[0].channel_order == "rgb"
    for name in names:
        assert np.abs(got[name] - reference[name]).max() <= 1e-5 * np.abs(reference[name]).max(), name


def test_a_face_detector_in_the_form_before(tmp_path: Path, shared_folder: Path) -> None:
    folder = shared_folder / "models" / "face-slim320"
    topology = written(tmp_path, face_detector())
    converted = convert(folder / "version-slim-320.pth", tmp_path / "net", topology=topology)
    reference = np.load(folder / "reference-onnx.npz")
    with Net(converted.netfile, execution_mode="sequential") as net:
        got = net.compute(reference["input"], outputs=["scores", "boxes.raw"])
    for name, stored in {"scores": "scores", "boxes.raw": "boxes"}.items():
        assert np.abs(got[name] - reference[stored]).max() <= 1e-5 * np.abs(reference[stored]).max(), name
