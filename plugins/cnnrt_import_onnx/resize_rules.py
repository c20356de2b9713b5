"""Resize and Upsample along rows and columns: sizes or factors, where pixels lie, and how values are made."""

from __future__ import annotations

import math

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode, shortest
from cnnrt_import_onnx.operands import axis_of, constant, integers_in, known_shape, value_of
from cnnrt_import_onnx.values import Inputs, Made, Operand, Outcome, Same
from netfile_spec import Value as KeyValue

_MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "cubic": "cubic"}
_COORDINATES = ("align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel")
_ROUNDINGS = ("ceil", "floor", "round_prefer_ceil", "round_prefer_floor")


def upsample(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Upsample, which Resize took the place of in operator set 10; its pixels lie at i / scale, rounded down."""
    value = value_of(node, inputs[0], findings)
    if node.opset < 9:
        factors: tuple[float, ...] | None = node.numbers("scales", findings)
    else:
        factors = _factors(node, inputs[1], findings)
    if value is None or factors is None:
        return None
    scaled = _along_rows_and_columns(node, value, dict(enumerate(factors)), findings)
    keys = _mode(node, findings)
    if scaled is None or keys is None:
        return None
    keys |= {"scale": scaled, "coordinates": "asymmetric"}
    return Made("Resize", (value,), keys | ({"rounding": "floor"} if keys["mode"] == "nearest" else {}))


def resize(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Resize; factors or sizes for all axes, or (since operator set 18) for those stated."""
    value = value_of(node, inputs[0], findings)
    shape = None if value is None else known_shape(node, value, findings)
    if value is None or shape is None:
        return None
    if node.opset < 11:
        inputs = (inputs[0], None, inputs[1], None)
    stated = node.integers("axes", tuple(range(len(shape))), findings, count=None)
    axes = [axis_of(node, axis, value, findings, batch=True) for axis in stated]
    keys = _keys(node, findings)
    if keys is None or None in axes:
        return None
    along = [axis for axis in axes if axis is not None]
    sizes = inputs[3]
    if sizes is not None:
        wanted = integers_in(node, sizes, "the sizes", findings)
        if wanted is None or len(wanted) != len(along):
            return None
        return _to_sizes(node, value, dict(zip(along, wanted, strict=True)), keys, findings)
    factors = _factors(node, inputs[2], findings)
    if factors is None or len(factors) != len(along):
        if factors is not None:
            findings.problem(f"{node.title}: {len(factors)} factors", expected=str(len(along)))
        return None
    scaled = _along_rows_and_columns(node, value, dict(zip(along, factors, strict=True)), findings)
    if scaled is not None and keys.get("coordinates") == "align_corners":
        uneven = [n is None or n * f != int(n * f) for n, f in zip(shape[2:], scaled, strict=True)]
        if any(u and f != int(f) for u, f in zip(uneven, scaled, strict=True)):
            expected = "sizes, or factors that give whole rows and columns"
            findings.problem(f"{node.title}: align_corners with factors {list(scaled)}", expected=expected)
            return None
    return None if scaled is None else Made("Resize", (value,), {"scale": scaled, **keys})


def _to_sizes(
    node: OnnxNode, value: Operand, wanted: dict[int, int], keys: dict[str, KeyValue], findings: Findings
) -> Outcome:
    shape = value.shape or ()
    others = [axis for axis, n in wanted.items() if axis < 2 and shape[axis] not in (None, n)]
    if len(shape) != 4 or others or any(n < 1 for n in wanted.values()):
        findings.problem(f"{node.title}: sizes {list(wanted.values())}", expected="other rows and columns of images")
        return None
    policy = node.text("keep_aspect_ratio_policy", "stretch", findings)
    rows, columns = (wanted.get(axis, shape[axis]) for axis in (2, 3))
    if policy != "stretch":
        ratios = [n / (shape[axis] or 1) for axis, n in wanted.items() if axis > 1]
        if None in shape[2:] or policy not in ("not_larger", "not_smaller") or not ratios:
            findings.problem(f"{node.title}: keep_aspect_ratio_policy {policy!r:.40} of sizes that are not known")
            return None
        # One factor for both; halves are rounded up.
        factor = min(ratios) if policy == "not_larger" else max(ratios)
        rows, columns = (
            math.floor(factor * (shape[axis] or 1) + 0.5) if axis in wanted else shape[axis] for axis in (2, 3)
        )
    if rows is None or columns is None:
        findings.problem(f"{node.title}: sizes of some axes only, and those of the others are not known")
        return None
    if (rows, columns) == shape[2:]:
        return Same(value)
    return Made("Resize", (value,), {"size": (rows, columns), **keys}, item=(shape[1], rows, columns))


def _along_rows_and_columns(
    node: OnnxNode, value: Operand, factors: dict[int, float], findings: Findings
) -> tuple[float, float] | None:
    shape = known_shape(node, value, findings)
    if shape is None:
        return None
    if (
        len(shape) != 4
        or any(axis < 2 and f != 1 for axis, f in factors.items())
        or min(factors.values(), default=0) <= 0
    ):
        shown = [factors.get(axis, 1.0) for axis in range(len(shape))]
        findings.problem(f"{node.title}: factors {shown}", expected="positive ones for rows and columns of images")
        return None
    return factors.get(2, 1.0), factors.get(3, 1.0)


def _factors(node: OnnxNode, given: Operand | None, findings: Findings) -> tuple[float, ...] | None:
    tensor = constant(node, given, "the factors", findings)
    if tensor is None or tensor.count > 32:
        return None
    return tuple(shortest(f) for f in tensor.array().reshape(-1))


def _mode(node: OnnxNode, findings: Findings) -> dict[str, KeyValue] | None:
    mode = node.text("mode", "nearest", findings)
    if mode not in _MODES:
        findings.problem(f"{node.title}: mode {mode!r:.40}", expected=" or ".join(_MODES))
        return None
    return {"mode": _MODES[mode]}


def _keys(node: OnnxNode, findings: Findings) -> dict[str, KeyValue] | None:
    keys = _mode(node, findings)
    if node.integer("antialias", 0, findings):
        findings.problem(
            f"{node.title}: antialias 1", expected="antialias 0: no layer of cnnrt blurs before it shrinks"
        )
        return None
    # Before operator set 11 pixels lay at i / scale.
    usual = "half_pixel" if node.opset >= 11 else "asymmetric"
    coordinates = node.text("coordinate_transformation_mode", usual, findings)
    if coordinates not in _COORDINATES:
        what = f"coordinate_transformation_mode {coordinates!r:.40}"
        findings.problem(f"{node.title}: {what}", expected=", ".join(_COORDINATES))
        return None
    rounding = node.text("nearest_mode", "round_prefer_floor" if node.opset >= 11 else "floor", findings)
    if rounding not in _ROUNDINGS:
        findings.problem(f"{node.title}: nearest_mode {rounding!r:.40}", expected=", ".join(_ROUNDINGS))
        return None
    if keys is None:
        return None
    if coordinates != "half_pixel":
        keys["coordinates"] = coordinates
    if keys["mode"] == "nearest" and rounding != "round_prefer_floor":
        keys["rounding"] = rounding
    if keys["mode"] == "cubic":
        coefficient = node.number("cubic_coeff_a", -0.75, findings)
        if coefficient != -0.75:
            keys["cubic_coeff"] = coefficient
        if node.integer("exclude_outside", 0, findings):
            keys["exclude_outside"] = True
    return keys
