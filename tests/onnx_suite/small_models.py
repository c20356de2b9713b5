"""Small ONNX models made on the spot, what the importer makes of them, and what they compute by somebody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from cnnrt import Net
from cnnrt.errors import ImportFailure
from cnnrt.importer import ImportedModel
from cnnrt.layer import Array
from cnnrt_import_onnx.importer import OnnxImporter
from netfile_spec import LayerBlock, write_model

Shape = Sequence[int | str]
IMAGE = ("N", 3, 8, 8)
node = helper.make_node


def values(*shape: int, seed: int = 0) -> Array:
    """Return float32 values around 0."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def statistics(channels: int) -> dict[str, Array]:
    """Return scale, shift, mean and variance of a BatchNormalization."""
    rng = np.random.default_rng(channels)
    return {
        "scale": values(channels, seed=1),
        "shift": values(channels, seed=2),
        "mean": values(channels, seed=3),
        "variance": rng.random(channels, np.float32) + np.float32(0.1),
    }


def make_model(
    nodes: Sequence[Any],
    weights: Mapping[str, Array | Any] | None = None,
    *,
    inputs: Mapping[str, Shape | None] | None = None,
    outputs: Sequence[str] | None = None,
    opset: int = 17,
    ir_version: int = 8,
    kind: int = TensorProto.FLOAT,
) -> Any:
    """Return a model of these nodes; its input is "x" of `IMAGE` and its output the last node's, unless stated."""
    tensors = [
        numpy_helper.from_array(w, name) if isinstance(w, np.ndarray) else w for name, w in (weights or {}).items()
    ]
    shapes = {"x": IMAGE} if inputs is None else inputs
    given = [helper.make_tensor_value_info(name, kind, shape) for name, shape in shapes.items()]
    last = [nodes[-1].output[0]] if outputs is None else outputs
    results = [helper.make_tensor_value_info(name, kind, None) for name in last]
    graph = helper.make_graph(nodes, "small", given, results, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)


def save(folder: Path, model: Any) -> Path:
    """Write a model to `folder`/model.onnx."""
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def read(folder: Path, model: Any) -> ImportedModel:
    """Return what the importer makes of a model."""
    return OnnxImporter().read([save(folder, model)])


def layers(folder: Path, model: Any) -> dict[str, LayerBlock]:
    """Return the layer blocks of a model by name."""
    return {block.name: block for block in read(folder, model).netfile.layers}


def problems(folder: Path, model: Any) -> list[str]:
    """Return the problems of a model that cannot be imported: message, expected, hint, each in one text."""
    with pytest.raises(ImportFailure) as caught:
        read(folder, model)
    assert all(text in str(caught.value) for p in caught.value.problems for text in (p.message, p.expected, p.hint))
    return [" | ".join(t for t in (p.message, p.expected, p.hint) if t) for p in caught.value.problems]


def computed(folder: Path, model: Any, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
    """Convert a model and compute these values of it."""
    imported = read(folder, model)
    with Net(write_model(folder / "net", imported.netfile, imported.parameters)) as net:
        result = net.compute(dict(inputs) if len(inputs) > 1 else next(iter(inputs.values())), outputs=outputs)
    assert isinstance(result, dict)
    return result


def expected(model: Any, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
    """Compute the same by ONNX's own evaluator."""
    results = ReferenceEvaluator(model).run(list(outputs), dict(inputs))
    return dict(zip(outputs, results, strict=True))


def assert_agrees(
    folder: Path, model: Any, inputs: Mapping[str, Array] | None = None, wanted: Array | None = None
) -> None:
    """Assert that a converted model gives what the model does: by ONNX's evaluator, or `wanted` where that is wrong."""
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model))
    given = inputs or {"x": values(2, 3, 8, 8)}
    names = [output.name for output in model.graph.output]
    exact = expected(model, given, names) if wanted is None else {names[0]: wanted}
    got = computed(folder, model, given, names)
    for name in names:
        assert got[name].shape == exact[name].shape
        difference = np.abs(got[name].astype(np.float64) - exact[name])
        assert difference.max() <= 1e-5 * max(1.0, np.abs(exact[name]).max()), name
