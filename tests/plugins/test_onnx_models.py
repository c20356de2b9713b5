"""Whole networks: small ones of the common kinds, and published models against another engine's outputs."""

from pathlib import Path

import numpy as np
import pytest

from cnnrt import Net, convert
from onnx_suite.network_bodies import NETWORKS
from onnx_suite.small_models import assert_agrees, save, values

# What is left of each network to compute: what is folded stands behind the layer that it went into.
PLANS = {
    "alexnet": ["Convolution+1", "LRN", "Pooling", "Convolution+1", "Pooling", "Flatten", "FullyConnected+1"],
    "squeezenet": ["Convolution+1"] * 4 + ["Concat"] + ["Convolution+1"] * 3 + ["Concat", "Convolution"],
    "mobilenet": ["Convolution+2"] * 5 + ["Pooling", "Flatten", "FullyConnected"],
    "resnet": ["Convolution+2", "Pooling", "Convolution+2", "Convolution+1", "Eltwise+1", "Convolution+2"],
}


@pytest.mark.parametrize("name", NETWORKS)
def test_small_networks_of_the_common_kinds(tmp_path: Path, name: str) -> None:
    # As many images as AlexNet has channels in its LRN: ONNX's evaluator takes the one number for the other there.
    assert_agrees(tmp_path, NETWORKS[name](), {"x": values(8, 3, 16, 16)})


@pytest.mark.parametrize("name", NETWORKS)
def test_their_norms_and_relus_cost_no_pass_of_their_own(tmp_path: Path, name: str) -> None:
    converted = convert(save(tmp_path, NETWORKS[name]()), tmp_path / name)
    with Net(converted.netfile, strict=True) as net:
        rows = [row.type + (f"+{len(row.folded)}" if row.folded else "") for row in net.plan.rows]
    assert rows[: len(PLANS[name])] == PLANS[name]
    assert not {"BatchNorm", "ReLU", "Dropout"} & set(rows)


def agrees(netfile: Path, images: np.ndarray, wanted: np.ndarray, output: str) -> None:
    with Net(netfile, execution_mode="sequential") as net:
        got = net.compute(images, outputs=[output])[output]
    assert np.abs(got - wanted.reshape(got.shape)).max() <= 1e-5 * np.abs(wanted).max()


def test_mnist_of_cntk(tmp_path: Path, shared_folder: Path) -> None:
    """Operator set 7: auto_pad, biases that are added, weights that are reshaped, a batch of one stated."""
    folder = shared_folder / "models" / "onnx-mnist-cntk"
    netfile = convert(folder / "mnist.onnx", tmp_path / "mnist").netfile
    reference = np.load(folder / "reference.npz")
    agrees(netfile, reference["input"], reference["Plus214_Output_0"], "Plus214_Output_0")
    digits = np.load(folder / "mnist500.npz")
    with Net(netfile) as net:
        answers = net.compute(digits["images"][:, None].astype(np.float32)).argmax(axis=1)
    assert (answers == digits["labels"]).mean() >= 0.98


def test_cifar10_of_pytorch(tmp_path: Path, shared_folder: Path) -> None:
    """Operator set 10, with a Reshape to (-1, 2400)."""
    folder = shared_folder / "models" / "onnx-cifar10-winml"
    netfile = convert(folder / "ImageClassifier.onnx", tmp_path / "cifar").netfile
    reference = np.load(folder / "reference.npz")
    agrees(netfile, reference["input"], reference["modelOutput"], "modelOutput")


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("version-slim-320_without_postprocessing.onnx", {"scores": "scores", "boxes": "boxes"}),
        ("version-slim-320.onnx", {"scores": "postproc_scores", "boxes": "postproc_boxes"}),
    ],
)
def test_a_face_detector(tmp_path: Path, shared_folder: Path, file: str, names: dict[str, str]) -> None:
    """Operator set 9: shapes that are computed, rows of boxes, and (in one file) boxes that are decoded."""
    folder = shared_folder / "models" / "face-slim320"
    netfile = convert(folder / file, tmp_path / "faces").netfile
    reference = np.load(folder / "reference-onnx.npz")
    with Net(netfile, execution_mode="sequential") as net:
        got = net.compute(reference["input"], outputs=list(names))
    for name, value in names.items():
        assert got[name].shape == reference[value].shape
        assert np.abs(got[name] - reference[value]).max() <= 1e-5 * np.abs(reference[value]).max()
