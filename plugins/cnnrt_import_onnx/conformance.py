"""The suite of the importer, for `cnnrt.testing`: a small chain and a small residual network. Needs hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cnnrt.testing.importer_suite import ImporterSuite
from cnnrt_import_onnx.importer import OnnxImporter


class OnnxSuite(ImporterSuite):
    """A chain of an older operator set and a residual network of a newer one, each with its weights."""

    importer = OnnxImporter()

    def models(self, folder: Path) -> Sequence[Sequence[Path]]:
        """Write both."""
        return [_chain(folder / "chain.onnx"), _residual(folder / "residual.onnx")]


def _chain(path: Path) -> list[Path]:
    from onnx import helper

    nodes = [
        helper.make_node("Conv", ["data", "w", "b"], ["conv"], kernel_shape=[3, 3], auto_pad="SAME_UPPER"),
        helper.make_node("Relu", ["conv"], ["relu"]),
        helper.make_node("MaxPool", ["relu"], ["pool"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("Gemm", ["flat", "m", "c"], ["scores"], transB=1),
        helper.make_node("Softmax", ["scores"], ["prob"]),
    ]
    return _written(path, nodes, "prob", 9, w=(4, 3, 3, 3), b=(4,), m=(5, 64), c=(5,))


def _residual(path: Path) -> list[Path]:
    from onnx import helper

    nodes = [
        helper.make_node("Conv", ["data", "w"], ["conv"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["conv", "scale", "shift", "mean", "variance"], ["norm"]),
        helper.make_node("Add", ["norm", "data"], ["sum"]),
        helper.make_node("Relu", ["sum"], ["relu"]),
        helper.make_node("GlobalAveragePool", ["relu"], ["mean_of_all"]),
        helper.make_node("Flatten", ["mean_of_all"], ["features"]),
    ]
    sizes = {"w": (3, 3, 3, 3), **dict.fromkeys(("scale", "shift", "mean", "variance"), (3,))}
    return _written(path, nodes, "features", 17, **sizes)


def _written(path: Path, nodes: Sequence[Any], output: str, opset: int, **weights: tuple[int, ...]) -> list[Path]:
    """Write a model on images of 3×8×8 whose weights are random, between 0 and 1."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    graph = helper.make_graph(
        nodes,
        path.stem,
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, 8, 8])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(random.random(shape, np.float32), name) for name, shape in weights.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    assert onnx.load(path).graph.name == path.stem
    return [path]
