"""The inputs of a node as rules want them: values, constants, integers, axes. What is wrong with one is a problem."""

from __future__ import annotations

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.tensors import FLOATS, INTEGERS, Sizes, Tensor, shape_words
from cnnrt_import_onnx.values import Flow, Inputs, Operand

_MOST_INTEGERS = 1 << 16


def value_of(node: OnnxNode, given: Operand | None, findings: Findings) -> Operand | None:
    """Return an input that is there, computed or constant."""
    if given is None:
        findings.problem(f"{node.title}: an input is left out", expected="a value")
    return given


def values_of(node: OnnxNode, inputs: Inputs, findings: Findings) -> tuple[Operand, ...]:
    """Return the inputs where all of them are there; else nothing, and a problem."""
    values = tuple(x for x in inputs if x is not None)
    if len(values) == len(inputs) and values:
        return values
    findings.problem(f"{node.title}: an input is left out")
    return ()


def constant(node: OnnxNode, given: Operand | None, what: str, findings: Findings) -> Tensor | None:
    """Return an input that must be a constant of floating-point numbers; a problem where it is none."""
    if isinstance(given, Tensor):
        if given.kind in FLOATS:
            return given
        findings.problem(f"{node.title}: {what} of type {given.kind}", expected="floating-point numbers")
    elif given is None:
        findings.problem(f"{node.title}: {what} is left out")
    elif not given.failed:
        expected = "a constant (an initializer of the model)"
        findings.problem(f"{node.title}: {what} cannot be computed while the model runs", expected=expected)
    return None


def integers_in(node: OnnxNode, given: Operand | None, what: str, findings: Findings) -> tuple[int, ...] | None:
    """Return an input that must be a constant list of integers (or one), which stand for no number of images."""
    if isinstance(given, Tensor) and given.kind in INTEGERS and len(given.shape) < 2 and given.count <= _MOST_INTEGERS:
        if given.batch is None:
            return tuple(int(n) for n in given.array().reshape(-1))
        findings.problem(f"{node.title}: {what} depend on the number of images")
    elif not (isinstance(given, Flow) and given.failed):
        findings.problem(
            f"{node.title}: {what} are computed while the model runs",
            expected="integers that are constants",
            hint="export the model with fixed sizes, or simplify it (onnxsim), so that they are constants",
        )
    return None


def scalar_in(node: OnnxNode, given: Operand | None, what: str, findings: Findings) -> float | None:
    """Return an input that must be a constant of one number."""
    if isinstance(given, Tensor) and given.count == 1:
        return float(given.array().reshape(-1)[0])
    if not (isinstance(given, Flow) and given.failed):
        findings.problem(f"{node.title}: {what} is not one number that is constant", expected="a constant of one value")
    return None


def stated_axes(node: OnnxNode, inputs: Inputs, findings: Findings) -> tuple[int, ...] | None:
    """Return the axes that a node states: its second input, in older operator sets its attribute; () for none."""
    if len(inputs) > 1 and inputs[1] is not None:
        return integers_in(node, inputs[1], "the axes", findings)
    return node.integers("axes", (), findings, count=None)


def known_shape(node: OnnxNode, value: Operand, findings: Findings) -> Sizes | None:
    """Return a value's shape, where at least the number of dimensions is known; else None, and a problem."""
    if value.shape is None and not value.failed:
        findings.problem(
            f"{node.title}: what it does depends on the shape of its input, which is not known here",
            hint="state the shapes of the model's inputs in it (all but the batch)",
        )
    return value.shape


def known_sizes(node: OnnxNode, value: Operand, findings: Findings) -> tuple[int, ...] | None:
    """Return all sizes of a value, of a free batch those of one item; else None, and a problem."""
    shape = known_shape(node, value, findings)
    if shape is None:
        return None
    item = shape[1:] if value.free else shape
    if None in item:
        findings.problem(
            f"{node.title}: what it does depends on the shape of its input, of which {shape_words(shape)} is known",
            hint="state the shapes of the model's inputs in it (all but the batch)",
        )
        return None
    return tuple(n for n in item if n is not None)


def axis_of(
    node: OnnxNode, axis: int, value: Operand, findings: Findings, *, beyond: int = 0, batch: bool = False
) -> int | None:
    """Return an axis of a value, counted from 0; a problem where it has none, or it is the free batch.

    `beyond`: how many further places there are behind the last. `batch`: the batch will do as well.
    """
    shape = known_shape(node, value, findings)
    if shape is None:
        return None
    rank = len(shape) + beyond
    resolved = axis + rank if axis < 0 else axis
    if not 0 <= resolved < rank:
        findings.problem(f"{node.title}: axis {axis} of a value with {len(shape)} dimensions")
        return None
    if resolved == 0 and value.free and not batch:
        findings.problem(f"{node.title}: axis {axis}, which is the batch", expected="a dimension of each image")
        return None
    return resolved


def axes_of(node: OnnxNode, axes: tuple[int, ...], value: Operand, findings: Findings) -> tuple[int, ...] | None:
    """Return several axes of a value, each once, counted from 0; no axes mean all."""
    shape = known_shape(node, value, findings)
    if shape is None:
        return None
    found = [axis_of(node, axis, value, findings) for axis in (axes or range(len(shape)))]
    if None in found:
        return None
    resolved = tuple(sorted({axis for axis in found if axis is not None}))
    if len(resolved) < len(found):
        findings.problem(f"{node.title}: axes {list(axes)} name one twice")
        return None
    return resolved
