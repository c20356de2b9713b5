"""TFLite's models: each kind of operator against NumPy in TFLite's own axes, and a published model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from channels_last_suite import nhwc
from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
from cnnrt_import_tflite.conformance import Field, ModelWriter, Numbers, TFLiteSuite
from cnnrt_import_tflite.importer import TFLiteImporter

Array = np.ndarray[Any, np.dtype[Any]]
Options = Mapping[int, Field]


class TestConformance(TFLiteSuite):
    """What every importer has to hold."""


def values(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def numbers(*values: int) -> Array:
    return np.array(values, np.int32)


IMAGE = values(2, 7, 6, 4)
K = values(3, 2, 4, 5, seed=1)
OHWI = K.transpose(3, 0, 1, 2)
BIAS = values(5, seed=2)


def window(padding: int, stride: int, activation: int, **more: Field) -> Options:
    return {0: ("b", padding), 1: ("i", stride), 2: ("i", stride), 3: ("b", activation), **more}  # type: ignore[dict-item]


def one(op: str, *constants: Array, options: Options | None = None, first: bool = True) -> bytes:
    """Return a model of one operator whose operands are the image and constants, in this order or the other."""
    writer = ModelWriter()
    writer.value("x", 1, *IMAGE.shape[1:])
    names = [writer.constant(f"c{i}", c) for i, c in enumerate(constants)]
    writer.operator(op, ["x", *names] if first else [*names, "x"], "y", options)
    return writer.model(["x"], ["y"])


def outcome(tmp_path: Path, model: bytes, images: Array = IMAGE) -> Array:
    """Convert a model and compute its output for images in TFLite's axes."""
    file = tmp_path / "model.tflite"
    file.write_bytes(model)
    with Net(convert(file, tmp_path / "net").netfile, execution_mode="sequential") as net:
        result = net.compute(nhwc.to_nchw(images))
    assert isinstance(result, np.ndarray)
    return result


def problems(tmp_path: Path, model: bytes) -> str:
    file = tmp_path / "model.tflite"
    file.write_bytes(model)
    with pytest.raises(ImportFailure) as caught:
        TFLiteImporter().read([file])
    return str(caught.value)


def agrees(got: Array, wanted: Array) -> None:
    wanted = nhwc.to_nchw(wanted)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


CASES: dict[str, tuple[bytes, Callable[[Array], Array]]] = {
    "convolution with bias and ReLU": (
        one("CONV_2D", OHWI, BIAS, options=window(0, 2, 1)),
        lambda x: relu(nhwc.conv(x, K, (2, 2)) + BIAS),
    ),
    "convolution with gaps and ReLU6, without bias": (
        one("CONV_2D", OHWI, options={**window(1, 1, 3), 4: ("i", 1), 5: ("i", 2)}),
        lambda x: np.clip(nhwc.conv(x, K, padding="VALID", dilation=(2, 1)), 0, 6),
    ),
    "depthwise convolution with two kernels for each channel": (
        one("DEPTHWISE_CONV_2D", K[..., :2].reshape(1, 3, 2, 8), options={0: ("b", 0), 1: ("i", 2), 2: ("i", 2)}),
        lambda x: nhwc.depthwise(x, K[..., :2], (2, 2)),
    ),
    "pooling by mean, SAME, with ReLU": (
        one("AVERAGE_POOL_2D", options={**window(0, 2, 3), 3: ("i", 3), 4: ("i", 2), 5: ("b", 1)}),
        lambda x: relu(nhwc.mean_pool(x, (2, 3), (2, 2), "SAME")),
    ),
    "a product with a matrix flattens an image": (
        one("FULLY_CONNECTED", values(5, 168, seed=3), BIAS, options={0: ("b", 4)}),
        lambda x: np.tanh(x.reshape(2, -1) @ values(5, 168, seed=3).T + BIAS),
    ),
    "a product along the last axis": (
        one("FULLY_CONNECTED", values(5, 4, seed=3), options={2: ("B", 1)}),
        lambda x: x @ values(5, 4, seed=3).T,
    ),
    "a shape that is an option, as in older files": (
        one("RESHAPE", options={0: Numbers("i", [1, 42, 4])}),
        lambda x: x.reshape(2, 42, 4),
    ),
    "a constant on the left of a difference": (
        one("SUB", BIAS[:4], options={0: ("b", 1)}, first=False),
        lambda x: relu(BIAS[:4] - x),
    ),
    "padding, reflected": (
        one("MIRROR_PAD", numbers(0, 0, 1, 2, 0, 1, 0, 0).reshape(4, 2), options={0: ("b", 0)}),
        lambda x: np.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0)), "reflect"),
    ),
    "copies": (
        one("TILE", numbers(1, 2, 1, 3)),
        lambda x: np.tile(x, (1, 2, 1, 3)),
    ),
    "mean of rows and columns": (
        one("MEAN", numbers(1, 2), options={0: ("B", 1)}),
        lambda x: x.mean((1, 2), keepdims=True),
    ),
    "softmax of its input times beta": (
        one("SOFTMAX", options={0: ("f", 2.0)}),
        lambda x: nhwc.softmax(2 * x),
    ),
    "slopes for each channel": (
        one("PRELU", BIAS[:4].reshape(1, 1, 4)),
        lambda x: np.where(x > 0, x, BIAS[:4] * x),
    ),
    "a region": (
        one("SLICE", numbers(0, 1, 2, 0), numbers(-1, 3, -1, 2)),
        lambda x: x[:, 1:4, 2:, :2],
    ),
    "limits, and other activations in a row": (
        one("HARD_SWISH"),
        lambda x: x * np.clip(x + 3, 0, 6) / 6,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_tflite_defines(tmp_path: Path, name: str) -> None:
    model, wanted = CASES[name]
    agrees(outcome(tmp_path, model), wanted(IMAGE))


def test_a_transpose_at_the_end_gives_the_axes_that_it_asks_for(tmp_path: Path) -> None:
    writer = ModelWriter()
    writer.value("x", 1, 7, 6, 4)
    writer.operator("RELU", ["x"], "r")
    writer.operator("TRANSPOSE", ["r", writer.constant("axes", numbers(0, 2, 1, 3))], "y")
    got = outcome(tmp_path, writer.model(["x"], ["y"]))
    assert np.array_equal(got, relu(IMAGE).transpose(0, 2, 1, 3))


@pytest.mark.parametrize("axis", ["all", "each"])
def test_quantised_weights_are_dequantised(tmp_path: Path, axis: str) -> None:
    stored = np.random.default_rng(4).integers(-100, 100, (5, 3, 2, 4), np.int8)
    scale, zero = ([0.02], [7]) if axis == "all" else ([0.01, 0.02, 0.03, 0.04, 0.05], [1, 2, 3, 4, 5])
    writer = ModelWriter()
    writer.value("x", 1, 7, 6, 4)
    kernels = writer.constant("k", stored, scale, zero)
    writer.operator("CONV_2D", ["x", kernels], "y", window(0, 1, 0))
    real = (stored - np.reshape(zero, (-1, 1, 1, 1))) * np.reshape(scale, (-1, 1, 1, 1))
    agrees(outcome(tmp_path, writer.model(["x"], ["y"])), nhwc.conv(IMAGE, real.transpose(1, 2, 3, 0)))


def test_weights_of_half_precision_go_through_dequantize(tmp_path: Path) -> None:
    writer = ModelWriter()
    writer.value("x", 1, 7, 6, 4)
    half = OHWI.astype(np.float16)
    writer.operator("DEQUANTIZE", [writer.constant("k", half)], "wide")
    writer.operator("CONV_2D", ["x", "wide"], "y", window(0, 1, 0))
    agrees(
        outcome(tmp_path, writer.model(["x"], ["y"])), nhwc.conv(IMAGE, half.astype(np.float64).transpose(1, 2, 3, 0))
    )


def test_a_model_of_quantised_values_becomes_the_float_network_it_stands_for(tmp_path: Path) -> None:
    writer = ModelWriter()
    writer.value("x", 1, 7, 6, 4, kind="int8")
    writer.value("y", 1, 7, 6, 4, kind="int8")
    writer.operator("RELU", ["x"], "y")
    (tmp_path / "q.tflite").write_bytes(writer.model(["x"], ["y"]))
    assert any("quantised" in note for note in TFLiteImporter().read([tmp_path / "q.tflite"]).notes)


def test_all_that_stands_in_the_way_is_named_at_once(tmp_path: Path) -> None:
    writer = ModelWriter()
    writer.value("x", 1, 7, 6, 4)
    writer.operator("TOPK_V2", ["x"], "top")
    writer.operator("TFLite_Detection_PostProcess", ["top"], "boxes")
    writer.operator("ADD", ["x"], "lonely")
    said = problems(tmp_path, writer.model(["x"], ["boxes", "lonely"]))
    assert 'TOPK_V2 is not supported: it gives "top"' in said
    assert "custom operator TFLite_Detection_PostProcess is not supported" in said
    assert "do this step after the network" in said
    assert 'operator "lonely" (ADD): 1 inputs' in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (bytes(range(64)), "not a TFLite model"),
        (b"\xff\xff\xff\x7fTFL3" + bytes(40), "leads out of the file"),
        (b"\x10\0\0\0TFL3" + bytes(40), "no table"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in problems(tmp_path, content)


def test_a_constant_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    writer = ModelWriter()
    writer.value("x", 1, 7, 6, 4)
    writer.constant("c", BIAS)
    writer.tensors[-1][0] = Numbers("i", [1 << 30, 1 << 30])
    writer.operator("ADD", ["x", "c"], "y")
    assert 'the constant "c" cannot be read: 20 bytes for' in problems(tmp_path, writer.model(["x"], ["y"]))


def test_the_slim_face_detector(tmp_path: Path, shared_folder: Path) -> None:
    """Shapes that are computed from the batch, boxes of four scales joined, a softmax along the last axis."""
    folder = shared_folder / "models" / "face-slim320"
    converted = convert(folder / "version-slim-320_without_postprocessing.tflite", tmp_path / "slim")
    reference = np.load(folder / "reference-tflite.npz")
    with Net(converted.netfile, execution_mode="sequential") as net:
        got = net.compute(reference["input"])
    assert isinstance(got, dict)
    assert {value.shape for value in got.values()} == {(1, 4420, 4), (1, 4420, 2)}
    for value in got.values():
        wanted = reference["output0" if value.shape[-1] == 4 else "output1"]
        assert np.abs(value - wanted).max() <= 1e-5 * np.abs(wanted).max()
