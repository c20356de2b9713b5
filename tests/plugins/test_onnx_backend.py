"""`cnnrt.onnx_backend`: models and nodes by ONNX's own interface."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cnnrt import onnx_backend
from cnnrt.errors import CnnrtError, ImportFailure, InputError
from onnx_suite.small_models import expected, make_model, node, values

CONV = [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["y"])]
SEQUENTIAL = {"execution_mode": "sequential"}


def test_a_model_runs_by_position_and_by_name() -> None:
    model = make_model(CONV, {"w": values(4, 3, 3, 3)}, outputs=["y", "c"])
    x = values(2, 3, 8, 8)
    wanted = expected(model, {"x": x}, ["y", "c"])
    for given in ([x], (x,), x, {"x": x}):
        y, c = onnx_backend.run_model(model, given, **SEQUENTIAL)
        np.testing.assert_allclose(y, wanted["y"], atol=1e-5)
        np.testing.assert_allclose(c, wanted["c"], atol=1e-5)


def test_weights_that_are_inputs_are_bound_until_they_change() -> None:
    model = make_model(CONV, inputs={"x": ["N", 3, 8, 8], "w": [4, 3, 3, 3]})
    prepared = onnx_backend.prepare(model, **SEQUENTIAL)
    x = values(2, 3, 8, 8)
    for seed in (1, 1, 2):
        given = {"x": x, "w": values(4, 3, 3, 3, seed=seed)}
        np.testing.assert_allclose(prepared.run(given)[0], expected(model, given, ["y"])["y"], atol=1e-5)


def test_outputs_have_the_types_of_the_model() -> None:
    model = make_model([node("ArgMax", ["x"], ["y"], axis=1)])
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    x = values(2, 3, 8, 8)
    (places,) = onnx_backend.run_model(model, [x], **SEQUENTIAL)
    assert places.dtype == np.int64
    np.testing.assert_array_equal(places, x.argmax(axis=1, keepdims=True))
    half = make_model([node("Relu", ["x"], ["y"])], kind=TensorProto.FLOAT16)
    (result,) = onnx_backend.run_model(half, [x.astype(np.float16)], **SEQUENTIAL)
    assert result.dtype == np.float16


def test_outputs_that_are_constants_or_inputs_come_too() -> None:
    nodes = [node("Relu", ["x"], ["y"]), node("Shape", ["x"], ["s"]), node("Identity", ["x"], ["same"])]
    model = make_model(nodes, outputs=["s", "y", "same"], inputs={"x": [2, 3, 8, 8]})
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    x = values(2, 3, 8, 8)
    shape, y, same = onnx_backend.run_model(model, [x], **SEQUENTIAL)
    assert shape.tolist() == [2, 3, 8, 8]
    np.testing.assert_array_equal(y, np.maximum(x, 0))
    np.testing.assert_array_equal(same, x)
    same[...] = 0
    assert x.any()


@pytest.mark.parametrize("shape", [(), (5,), (1,), (2, 3), (2, 3, 4, 5, 2)])
def test_values_of_any_rank(shape: tuple[int, ...]) -> None:
    x = np.asarray(values(*shape))
    (y,) = onnx_backend.run_node(node("Tanh", ["x"], ["y"]), [x], **SEQUENTIAL)
    assert y.shape == shape
    np.testing.assert_allclose(y, np.tanh(x), rtol=1e-6)


def test_values_that_share_no_batch() -> None:
    a, b = values(4, 1, 3), values(2, 1, seed=1)
    (y,) = onnx_backend.run_node(node("Mul", ["a", "b"], ["y"]), [a, b], **SEQUENTIAL)
    np.testing.assert_allclose(y, a * b, rtol=1e-6)


def test_a_node_states_its_outputs_by_name_and_type() -> None:
    split = node("Split", ["x"], ["left", "right"], axis=1, num_outputs=2)
    x = values(2, 4)
    outputs: Any = onnx_backend.run_node(split, [x], outputs_info=[(np.float32, (2, 2))] * 2, **SEQUENTIAL)
    np.testing.assert_array_equal(outputs.left, x[:, :2])
    np.testing.assert_array_equal(outputs.right, x[:, 2:])
    (old,) = onnx_backend.run_node(node("Softmax", ["x"], ["y"]), [x], opset_version=11, **SEQUENTIAL)
    np.testing.assert_allclose(old.sum(axis=1), 1, rtol=1e-6)


def test_which_devices_there_are() -> None:
    assert onnx_backend.supports_device("CPU")
    assert onnx_backend.supports_device("CPU:0")
    assert not onnx_backend.supports_device("CUDA")
    with pytest.raises(InputError, match="device 'CUDA': expected 'CPU'"):
        onnx_backend.prepare(make_model([node("Relu", ["x"], ["y"])]), "CUDA")


def test_what_cannot_be_run_says_everything_at_once() -> None:
    model = make_model([node("LSTM", ["x"], ["a"]), node("Loop", ["a"], ["y"])])
    assert not onnx_backend.is_compatible(model)
    assert onnx_backend.is_compatible(make_model([node("Relu", ["x"], ["y"])]))
    with pytest.raises(ImportFailure) as caught:
        onnx_backend.prepare(model)
    assert len(caught.value.problems) == 2
    prepared = onnx_backend.prepare(make_model([node("Relu", ["x"], ["y"])]), **SEQUENTIAL)
    with pytest.raises(InputError, match="2 inputs; the model has 1: x"):
        prepared.run([1, 2])
    with pytest.raises(InputError, match="the input 'x' is missing"):
        prepared.run({"z": values(1, 3, 8, 8)})
    with pytest.raises(CnnrtError, match="NaN or infinite"):
        prepared.run([np.full((1, 3, 8, 8), np.nan, np.float32)])


def test_external_data_lies_in_a_folder_that_is_stated(tmp_path: Path) -> None:
    w = values(4, 3, 3, 3)
    (tmp_path / "w.bin").write_bytes(w.tobytes())
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=w.shape, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    model, plain = make_model(CONV, {"w": tensor}), make_model(CONV, {"w": w})
    x = values(1, 3, 8, 8)
    (y,) = onnx_backend.run_model(model, [x], folder=tmp_path, **SEQUENTIAL)
    np.testing.assert_allclose(y, expected(plain, {"x": x}, ["y"])["y"], atol=1e-5)


def test_without_the_package_onnx_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CnnrtError, match=r"needs the package onnx .*: pip install \"cnnrt\[onnx\]\""):
        importlib.reload(onnx_backend)


def test_it_is_what_onnx_takes_for_a_backend() -> None:
    assert issubclass(onnx_backend.CnnrtBackend, onnx.backend.base.Backend)
    model = helper.make_model(helper.make_graph([], "empty", [], []))
    with pytest.raises(ImportFailure, match="holds no graph"):
        onnx_backend.prepare(model)
