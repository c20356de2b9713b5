"""Preprocessing that a model's metadata state, put into the NetFile."""

from pathlib import Path

import numpy as np
import pytest

from cnnrt.importer import ImportedModel
from cnnrt_import_onnx.importer import OnnxImporter
from onnx_suite.small_models import make_model, node


def read(folder: Path, channels: int, **metadata: str) -> ImportedModel:
    model = make_model([node("Relu", ["x"], ["y"])], inputs={"x": ("N", channels, 8, 8)})
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = f"Image.{key}", value
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    return OnnxImporter().read([folder / "net.onnx"])


@pytest.mark.parametrize(
    ("pixels", "channels", "order"),
    [("Gray8", 1, "gray"), ("Rgb8", 3, "rgb"), ("Bgr8", 3, "bgr"), ("Bgra8", 3, "bgr"), ("BGR8", 3, "bgr")],
)
def test_the_pixel_format_is_the_channel_order(tmp_path: Path, pixels: str, channels: int, order: str) -> None:
    (block,) = read(tmp_path, channels, BitmapPixelFormat=pixels).netfile.inputs
    assert (block.channel_order, block.mean, block.scale) == (order, (), None)


@pytest.mark.parametrize(
    ("stated", "least", "largest"),
    [
        ("NominalRange_0_255", 0, 255),
        ("Normalized_0_1", 0, 1),
        ("Normalized_1_1", -1, 1),
        ("NominalRange_16_235", 16, 235),
    ],
)
def test_the_range_is_mean_and_scale(tmp_path: Path, stated: str, least: float, largest: float) -> None:
    (block,) = read(tmp_path, 3, BitmapPixelFormat="Rgb8", NominalPixelRange=stated).netfile.inputs
    mean = block.mean[0] if block.mean else 0
    values = (np.array([0, 255]) - mean) * (block.scale or 1)
    np.testing.assert_allclose(values, [least, largest], atol=1e-9)


def test_a_note_says_what_was_taken(tmp_path: Path) -> None:
    notes = read(tmp_path, 3, BitmapPixelFormat="Bgr8", NominalPixelRange="Normalized_1_1").notes
    assert any(
        'input "x", from the metadata: channel order bgr; mean 127.5; scale 0.00784314' in note for note in notes
    )


@pytest.mark.parametrize("metadata", [{}, {"BitmapPixelFormat": "Yuv"}, {"BitmapPixelFormat": "Gray8"}])
def test_what_does_not_fit_or_is_not_stated_stays_open(tmp_path: Path, metadata: dict[str, str]) -> None:
    model = read(tmp_path, 3, NominalPixelRange="Normalized_0_1", **metadata)
    assert model.netfile.inputs[0].channel_order is None
    assert model.netfile.inputs[0].scale is None


def test_a_published_model_states_it(shared_folder: Path) -> None:
    model = OnnxImporter().read([shared_folder / "models" / "onnx-mnist-cntk" / "mnist.onnx"])
    assert model.netfile.inputs[0].channel_order == "gray"
