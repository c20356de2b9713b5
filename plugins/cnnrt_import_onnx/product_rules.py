"""Matrix products: Gemm and MatMul, with a constant matrix (FullyConnected) or of two values (MatMul)."""

from __future__ import annotations

import attrs

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.operands import constant, known_shape, value_of
from cnnrt_import_onnx.tensors import FLOATS, Tensor, shape_words
from cnnrt_import_onnx.values import Flow, Inputs, Made, Operand, bias_of, weight_of
from netfile_spec import Value as KeyValue


def gemm(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Gemm: alpha * A * B + beta * C."""
    value, matrix = value_of(node, inputs[0], findings), value_of(node, inputs[1], findings)
    if value is None or matrix is None:
        return None
    turned_a, turned_b = (bool(node.integer(key, 0, findings)) for key in ("transA", "transB"))
    for operand in (value, matrix):
        if operand.shape is not None and len(operand.shape) != 2:
            shown = shape_words(operand.shape)
            findings.problem(f"{node.title}: an input of shape {shown}", expected="two dimensions")
            return None
    if turned_a and value.free:
        findings.problem(f"{node.title}: transA 1, which mixes the images of a batch", expected="transA 0")
        return None
    alpha, beta = (node.number(key, 1.0, findings) for key in ("alpha", "beta"))
    added = inputs[2]
    if isinstance(matrix, Tensor):
        first = _turned(value) if turned_a else value
        made = _product(node, first, matrix, alpha, turned_b, findings)
        if made is None or added is None:
            return made
        if isinstance(added, Tensor):
            biased = with_bias(node, made, added, findings, factor=beta, quiet=True)
            if biased is not None:
                return biased
    else:
        operands = (_turned(value) if turned_a else value, _turned(matrix) if turned_b else matrix)
        made = Made("MatMul", operands)
        if alpha != 1:
            made = Made("Power", (made,), {"scale": alpha})
    return made if added is None else Made("Eltwise", (made, _scaled(added, beta)))


def matrix_product(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """MatMul: along the last dimension of the first and the last but one of the second input."""
    value, matrix = value_of(node, inputs[0], findings), value_of(node, inputs[1], findings)
    shape = None if value is None else known_shape(node, value, findings)
    if value is None or matrix is None or shape is None:
        return None
    if isinstance(matrix, Tensor) and matrix.rank == 2 and len(shape) > 1 and matrix.kind in FLOATS:
        made = _product(node, value, matrix, 1.0, False, findings)
        if made is None or len(shape) == 2:
            return made
        return attrs.evolve(made, keys={"axis": -1}, item=(*shape[1:-1], made.weights["weight"].shape[0]))
    return Made("MatMul", (value, matrix))


def with_bias(
    node: OnnxNode, made: Made, added: Tensor, findings: Findings, *, factor: float = 1.0, quiet: bool = False
) -> Made | None:
    """Return a Convolution or FullyConnected with a constant added to each channel of its output, as its bias.

    None where the constant is no such thing; `quiet`: without a problem, for another way.
    """
    outputs = made.weights["weight"].shape[0]
    rank = 4 if made.type == "Convolution" else 1 + len(made.item or (outputs,))
    channel = 1 if made.type == "Convolution" else rank - 1
    shape = (1,) * (rank - len(added.shape)) + added.shape
    fits = len(shape) == rank and all(n == 1 or (i == channel and n == outputs) for i, n in enumerate(shape))
    if added.kind not in FLOATS or not fits:
        if not quiet:
            shown = shape_words(added.shape)
            findings.problem(f"{node.title}: it adds a constant of shape {shown}")
        return None
    bias = bias_of(added, outputs, factor=factor, before=made.weights.get("bias"))
    return attrs.evolve(made, weights={**made.weights, "bias": bias})


def _product(
    node: OnnxNode, value: Operand | Made, matrix: Operand, factor: float, rows_are_outputs: bool, findings: Findings
) -> Made | None:
    tensor = constant(node, matrix, "the weights", findings)
    if tensor is None:
        return None
    if len(tensor.shape) != 2 or 0 in tensor.shape:
        findings.problem(f"{node.title}: weights of shape {shape_words(tensor.shape)}", expected="a matrix")
        return None
    weight = weight_of(tensor, axes=None if rows_are_outputs else (1, 0), factor=factor)
    return Made("FullyConnected", (value,), {}, {"weight": weight}, (weight.shape[0],))


def _turned(value: Operand) -> Made:
    return Made("Permute", (value,), {"order": (1, 0)})


def _scaled(value: Flow | Tensor | Made, factor: float) -> Flow | Tensor | Made:
    keys: dict[str, KeyValue] = {"scale": factor}
    return value if factor == 1 else Made("Power", (value,), keys)
