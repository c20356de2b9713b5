"""ONNX's reference evaluator, an implementation of its operators that nobody of this house wrote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import helper
from onnx.reference import ReferenceEvaluator

from cnnrt.layer import Array


def onnx_node(op: str, arrays: Sequence[Array], opset: int = 17, **attributes: Any) -> Array:
    """Compute one node by ONNX's reference evaluator."""
    names = [f"x{i}" for i in range(len(arrays))]
    types = [helper.np_dtype_to_tensor_dtype(a.dtype) for a in arrays]
    given = [helper.make_tensor_value_info(n, t, a.shape) for n, t, a in zip(names, types, arrays, strict=True)]
    result = helper.make_tensor_value_info("y", types[0], None)
    graph = helper.make_graph([helper.make_node(op, names, ["y"], **attributes)], op, given, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return ReferenceEvaluator(model).run(None, dict(zip(names, arrays, strict=True)))[0]
