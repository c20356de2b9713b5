"""Published models, converted and computed, against the outputs of another engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
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


@pytest.mark.parametrize(
    ("folder", "net"),
    [
        ("caffe-mtcnn", "det1"),
        ("caffe-mtcnn", "det2"),
        ("caffe-mtcnn", "det3"),
        ("face-slim320", "slim-320"),
    ],
)
def test_every_layer_that_is_not_supported_is_named_with_its_line(folder: str, net: str) -> None:
    prototxt = MODELS / folder / f"{net}.prototxt"
    lines = prototxt.read_text().splitlines()
    unsupported = [
        number for number, line in enumerate(lines, 1) if any(f'"{t}"' in line for t in ("PReLU", "Permute", "Reshape"))
    ]
    with pytest.raises(ImportFailure) as caught:
        CaffeImporter().read([prototxt, prototxt.with_suffix(".caffemodel")])
    assert [p.position.line for p in caught.value.problems if p.position] == unsupported
    assert all("is not supported" in p.message for p in caught.value.problems)
