"""Published models, converted and computed, against the outputs of another engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from cnnrt import Net, convert
from cnnrt.layer import Array
from cnnrt_import_caffe.importer import CaffeImporter
from netfile_spec import Layout

MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="needs the shared models beside the repository")


def lenet() -> list[Path]:
    folder = MODELS / "caffe-lenet-mnist"
    return [folder / "lenet.prototxt", folder / "lenet_iter_10000.caffemodel"]


def cifar10() -> list[Path]:
    folder = MODELS / "caffe-v1-cifar10-quick"
    return [folder / "cifar10_quick.prototxt", folder / "cifar10_quick_iter_5000.caffemodel"]


def assert_agrees(got: Mapping[str, Array], expected: Mapping[str, Array], probabilities: str) -> None:
    """Probabilities to a mean squared error of 1e-12, everything else to 1e-5 of its largest value."""
    for name, value in got.items():
        difference = value.astype(np.float64) - expected[name]
        if name == probabilities:
            assert np.mean(difference**2) <= 1e-12, name
        else:
            assert np.abs(difference).max() <= 1e-5 * np.abs(expected[name]).max(), name


def compute(netfile: Path, images: Array, outputs: Sequence[str]) -> dict[str, Array]:
    with Net(netfile, execution_mode="sequential") as net:
        values = net.compute(images, outputs=list(outputs))
        assert isinstance(values, dict)
        return dict(values)


@pytest.mark.parametrize("layout", ["cnnrt", "cnndroid"])
def test_lenet_agrees_layer_by_layer(tmp_path: Path, layout: Layout) -> None:
    convert(lenet(), tmp_path / "lenet", layout=layout)
    reference = np.load(MODELS / "caffe-lenet-mnist" / "reference.npz")
    outputs = {"conv1": "conv1", "pool1": "pool1", "conv2": "conv2", "pool2": "pool2", "relu1": "relu1_ip1"}
    outputs |= {"ip2": "ip2", "prob": "prob"}
    got = compute(tmp_path / "lenet" / "net.netfile", reference["input"], list(outputs))
    assert_agrees(got, {name: reference[stored] for name, stored in outputs.items()}, "prob")


def test_lenet_knows_its_digits(tmp_path: Path) -> None:
    convert(lenet(), tmp_path / "lenet")
    digits = np.load(MODELS / "caffe-lenet-mnist" / "mnist500.npz")
    images = digits["images"][:, np.newaxis].astype(np.float32) / 256
    got = compute(tmp_path / "lenet" / "net.netfile", images, ["prob"])["prob"]
    assert (got.argmax(axis=1) == digits["labels"]).sum() == 500


def test_lenet_from_its_caffemodel_alone(tmp_path: Path) -> None:
    converted = convert(lenet()[1:], tmp_path / "lenet")
    assert any("(Data) of phase TRAIN stands for the input" in note for note in converted.notes)
    reference = np.load(MODELS / "caffe-lenet-mnist" / "reference.npz")
    got = compute(tmp_path / "lenet" / "net.netfile", reference["input"], ["loss"])
    assert_agrees(got, {"loss": reference["prob"]}, "loss")


def test_cifar10_of_the_v1_form_agrees_layer_by_layer(tmp_path: Path) -> None:
    convert(cifar10(), tmp_path / "cifar")
    reference = np.load(MODELS / "caffe-v1-cifar10-quick" / "reference.npz")
    outputs = ["pool1", "pool2", "pool3", "ip1", "ip2", "prob"]
    got = compute(tmp_path / "cifar" / "net.netfile", reference["input"], outputs)
    assert_agrees(got, {name: reference[name] for name in outputs}, "prob")


def test_the_mean_image_of_cifar10_turns_pixels_into_the_reference_input() -> None:
    folder = MODELS / "caffe-v1-cifar10-quick"
    mean = CaffeImporter().read_mean(folder / "mean.binaryproto")
    assert mean is not None
    assert mean.shape == (3, 32, 32)
    reference = np.load(folder / "reference.npz")
    pixels = reference["images_u8_rgb"].transpose(0, 3, 1, 2).astype(np.float32)
    np.testing.assert_allclose(pixels - mean, reference["input"], atol=1e-4)


MTCNN = {
    "det1": ["conv1", "pool1", "conv4-2", "prob1"],
    "det2": ["conv1", "pool1", "conv5-1", "conv5-2", "prob1"],
    "det3": ["conv1", "pool1", "conv6-1", "conv6-2", "conv6-3", "prob1"],
}


@pytest.mark.parametrize("net", MTCNN)
def test_mtcnn_agrees_layer_by_layer(tmp_path: Path, net: str) -> None:
    """Three nets with PReLU in place, a deploy file of the oldest kind of input, and several outputs."""
    prototxt = MODELS / "caffe-mtcnn" / f"{net}.prototxt"
    convert([prototxt, prototxt.with_suffix(".caffemodel")], tmp_path / net)
    reference = np.load(MODELS / "caffe-mtcnn" / f"reference-{net}.npz")
    got = compute(tmp_path / net / "net.netfile", reference["input"], MTCNN[net])
    assert_agrees(got, {name: reference[name] for name in MTCNN[net]}, "prob1")


def test_the_first_net_of_mtcnn_takes_images_of_any_size(tmp_path: Path) -> None:
    prototxt = MODELS / "caffe-mtcnn" / "det1.prototxt"
    convert([prototxt, prototxt.with_suffix(".caffemodel")], tmp_path / "det1")
    reference = np.load(MODELS / "caffe-mtcnn" / "reference-det1.npz")
    got = compute(tmp_path / "det1" / "net.netfile", reference["input_large"], ["conv4-2", "prob1"])
    assert_agrees(got, {name: reference[f"large_{name}"] for name in got}, "prob1")


def test_the_slim_face_detector_agrees(tmp_path: Path) -> None:
    """Permute, Reshape and Concat behind separable convolutions; blobs have numbers for names."""
    prototxt = MODELS / "face-slim320" / "slim-320.prototxt"
    convert([prototxt, prototxt.with_suffix(".caffemodel")], tmp_path / "slim")
    reference = np.load(MODELS / "face-slim320" / "reference-caffe.npz")
    stored = ["boxes", "scores", "blob_185", "blob_374"]
    names = {name.removeprefix("blob_"): name for name in stored}
    got = compute(tmp_path / "slim" / "net.netfile", reference["input"], list(names))
    assert_agrees(got, {name: reference[key] for name, key in names.items()}, "scores")
