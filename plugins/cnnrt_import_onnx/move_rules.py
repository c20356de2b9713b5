"""Operators that move values: Concat, Split, Slice, Pad, Transpose, Gather, Expand, Tile, DepthToSpace, its reverse."""

from __future__ import annotations

import math

from cnnrt.findings import Findings
from cnnrt_import_onnx.fold_moves import split_evenly
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.operands import axis_of, integers_in, known_shape, scalar_in, value_of, values_of
from cnnrt_import_onnx.tensors import INTEGERS, Sizes, Tensor, shape_words
from cnnrt_import_onnx.values import Inputs, Made, Operand, Outcome, Same, Several
from netfile_spec import Value as KeyValue


def concatenation(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """Concat of values, some of which may be constants."""
    values = values_of(node, inputs, findings)
    if not values:
        return None
    axis = node.integer("axis", None, findings)
    if "axis" not in node.attributes:
        return None
    guide = next((v for v in values if v.free and v.shape is not None), None)
    guide = guide or next((v for v in values if v.shape is not None), values[0])
    if guide.shape is None and axis > 0 and not guide.failed:
        return Made("Concat", values, {} if axis == 1 else {"axis": axis})
    resolved = axis_of(node, axis, guide, findings)
    if resolved is None:
        return None
    return Made("Concat", values, {} if resolved == 1 else {"axis": resolved}, item=_joined(values, resolved))


def _joined(values: tuple[Operand, ...], axis: int) -> Sizes | None:
    shapes = [v.shape for v in values if v.shape is not None]
    if len(shapes) < len(values) or any(len(shape) != len(shapes[0]) for shape in shapes) or axis == 0:
        return None
    lengths = [shape[axis] for shape in shapes]
    length = None if None in lengths else sum(n for n in lengths if n is not None)
    return (*shapes[0][1:axis], length, *shapes[0][axis + 1 :])


def split(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Split into parts of the lengths that it states, or of equal length; parts that nobody needs are not made."""
    value = value_of(node, inputs[0], findings)
    axis = None if value is None else axis_of(node, node.integer("axis", 0, findings), value, findings)
    if value is None or axis is None or value.shape is None:
        return None
    length, count = value.shape[axis], len(node.outputs)
    if inputs[1] is not None:
        lengths = integers_in(node, inputs[1], "the lengths", findings)
        if lengths is None:
            return None
    else:
        lengths = node.integers("split", (), findings, count=None)
    if not lengths:
        if length is None:
            findings.problem(f"{node.title}: its parts depend on the length of its input, which is unknown")
            return None
        lengths = split_evenly(length, count)
    if len(lengths) != count or min(lengths) < 0 or (length is not None and sum(lengths) != length):
        findings.problem(f"{node.title}: parts of {list(lengths)[:20]} of {length}", expected=f"{count} parts")
        return None
    points = [sum(lengths[:i]) for i in range(count + 1)]
    if count > 1 and all(node.outputs):
        keys: dict[str, KeyValue] = {} if axis == 1 else {"axis": axis}
        return Made("Slice", (value,), {**keys, "slice_point": tuple(points[1:-1])}, outputs=count)
    if count == 1:
        return Same(value)
    return Several(
        tuple(
            Made("StridedSlice", (value,), {"axes": (axis,), "starts": (start,), "ends": (end,)}) if name else None
            for name, start, end in zip(node.outputs, points, points[1:], strict=False)
        )
    )


def slice_(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Slice; places are attributes before operator set 10 and inputs since."""
    value = value_of(node, inputs[0], findings)
    if value is None:
        return None
    if node.opset < 10:
        starts = node.integers("starts", (), findings, count=None)
        ends = node.integers("ends", (), findings, count=None)
        axes = node.integers("axes", tuple(range(len(starts))), findings, count=None)
        steps: tuple[int, ...] | None = (1,) * len(starts)
    else:
        first = integers_in(node, inputs[1], "the starts", findings)
        last = integers_in(node, inputs[2], "the ends", findings)
        if first is None or last is None:
            return None
        starts, ends = first, last
        along = tuple(range(len(starts))) if inputs[3] is None else integers_in(node, inputs[3], "the axes", findings)
        steps = (1,) * len(starts) if inputs[4] is None else integers_in(node, inputs[4], "the steps", findings)
        if along is None or steps is None:
            return None
        axes = along
    if not len(starts) == len(ends) == len(axes) == len(steps or ()):
        findings.problem(f"{node.title}: {len(starts)} starts, {len(ends)} ends, {len(axes)} axes")
        return None
    return _sliced(node, value, list(zip(axes, starts, ends, steps or (), strict=True)), findings)


def _sliced(node: OnnxNode, value: Operand, cuts: list[tuple[int, int, int, int]], findings: Findings) -> Outcome:
    kept = []
    for axis, start, end, step in cuts:
        whole = step == 1 and start == 0 and end >= 2**31 - 1
        resolved = axis_of(node, axis, value, findings, batch=whole)
        if resolved is None:
            return None
        if not whole:
            kept.append((resolved, start, end, step))
    if not kept:
        return Same(value)
    keys: dict[str, KeyValue] = {
        "axes": tuple(axis for axis, *_ in kept),
        "starts": tuple(start for _, start, _, _ in kept),
        "ends": tuple(max(end, -(2**63) + 1) for _, _, end, _ in kept),
    }
    if any(step != 1 for *_, step in kept):
        keys["steps"] = tuple(step for *_, step in kept)
    item = None
    if value.shape is not None:
        cut = {axis for axis, *_ in kept}
        item = tuple(None if i in cut else n for i, n in enumerate(value.shape))[1:]
    return Made("StridedSlice", (value,), keys, item=item)


def pad(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Pad; widths are attributes before operator set 11 and inputs since, for all axes or (18) for those stated."""
    value = value_of(node, inputs[0], findings)
    shape = None if value is None else known_shape(node, value, findings)
    if value is None or shape is None:
        return None
    number: float | None = node.number("value", 0.0, findings)
    if node.opset < 11:
        widths: tuple[int, ...] | None = node.integers("pads", (), findings, count=None)
    else:
        widths = integers_in(node, inputs[1], "the pads", findings)
        number = 0.0 if inputs[2] is None else scalar_in(node, inputs[2], "the value", findings)
    stated = tuple(range(len(shape))) if inputs[3] is None else integers_in(node, inputs[3], "the axes", findings)
    if widths is None or stated is None or number is None:
        return None
    mode = node.text("mode", "constant", findings)
    if mode not in ("constant", "reflect", "edge", "wrap"):
        findings.problem(f"{node.title}: mode {mode!r:.40}", expected="constant, reflect, edge or wrap")
        return None
    if len(widths) != 2 * len(stated):
        findings.problem(f"{node.title}: {len(widths)} pads", expected=f"{2 * len(stated)}, two for each axis")
        return None
    padded = []
    for axis, before, after in zip(stated, widths, widths[len(stated) :], strict=False):
        resolved = axis_of(node, axis, value, findings, batch=not (before or after))
        if resolved is None:
            return None
        if before or after:
            padded.append((resolved, before, after))
    if not padded:
        return Same(value)
    keys: dict[str, KeyValue] = {
        "before": tuple(before for _, before, _ in padded),
        "after": tuple(after for _, _, after in padded),
        "axes": tuple(axis for axis, *_ in padded),
    }
    if mode != "constant":
        keys["mode"] = mode
    elif number:
        if not math.isfinite(number):
            findings.problem(f"{node.title}: it pads with {number}", expected="a finite number")
            return None
        keys["value"] = number
    added = {axis: before + after for axis, before, after in padded}
    item = tuple(None if n is None else n + added.get(i, 0) for i, n in enumerate(shape))[1:]
    return Made("Pad", (value,), keys, item=item)


def transpose(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Transpose; without perm the axes come in reverse order."""
    value = value_of(node, inputs[0], findings)
    if value is None:
        return None
    order = node.integers("perm", (), findings, count=None)
    if not order:
        shape = known_shape(node, value, findings)
        if shape is None:
            return None
        order = tuple(reversed(range(len(shape))))
    if sorted(order) != list(range(len(order))) or (value.shape is not None and len(value.shape) != len(order)):
        findings.problem(f"{node.title}: perm {list(order)[:32]}", expected="each axis once")
        return None
    if value.free and order[:1] != (0,):
        findings.problem(f"{node.title}: perm {list(order)} moves the batch", expected="the batch first")
        return None
    if order == tuple(range(len(order))):
        return Same(value)
    item = tuple(value.shape[axis] for axis in order)[1:] if value.shape is not None else None
    return Made("Permute", (value,), {"order": order}, item=item)


def gather(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Gather of a computed value at constant places along one axis."""
    value, places = value_of(node, inputs[0], findings), inputs[1]
    axis = None if value is None else axis_of(node, node.integer("axis", 0, findings), value, findings)
    if value is None or axis is None or value.shape is None:
        return None
    given = places.reshaped((places.count,)) if isinstance(places, Tensor) else places
    indices = integers_in(node, given, "the places", findings)
    if indices is None or not isinstance(places, Tensor):
        return None
    if not indices:
        findings.problem(f"{node.title}: it takes nothing", expected="at least one place")
        return None
    layer = Made("Gather", (value,), {"axis": axis, "indices": indices} if axis != 1 else {"indices": indices})
    if len(places.shape) == 1:
        item = tuple(len(indices) if i == axis else n for i, n in enumerate(value.shape))[1:]
        return Made(layer.type, layer.inputs, layer.keys, item=item)
    full = (*value.shape[:axis], *places.shape, *value.shape[axis + 1 :])
    if not full or (value.free and len(full) == 1):
        findings.problem(f"{node.title}: it leaves nothing but one number", expected="a dimension that is left")
        return None
    sizes = tuple(0 if i == 0 and value.free else -1 if n is None else n for i, n in enumerate(full))
    if sizes.count(-1) > 1:
        findings.problem(f"{node.title}: of its input's shape only {shape_words(value.shape)} is known")
        return None
    return Made("Reshape", (layer,), {"shape": sizes}, item=full[1:])


def expand(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Expand: a value repeated along axes of length 1 and along new ones in front, to a constant shape."""
    value = value_of(node, inputs[0], findings)
    if value is None or known_shape(node, value, findings) is None:
        return None
    target = inputs[1]
    if isinstance(target, Tensor) and target.kind in INTEGERS and target.batch is not None and value.free:
        wanted = [int(n) for n in target.array().reshape(-1)]
        # What a Shape gave for the batch keeps it, as a 1 does.
        if target.batch[1:].any() or len(wanted) != len(value.shape or ()):
            findings.problem(f"{node.title}: the number of images in another place than the first")
            return None
        sizes: tuple[int, ...] | None = (1, *wanted[1:])
    else:
        sizes = integers_in(node, target, "the sizes", findings)
    if sizes is None:
        return None
    if any(n < 0 for n in sizes):
        findings.problem(f"{node.title}: to {list(sizes)[:32]}", expected="sizes of at least 0")
        return None
    if not sizes or (all(n == 1 for n in sizes) and len(sizes) <= len(value.shape or ())):
        return Same(value)
    return Made("Expand", (value,), {"shape": sizes})


def tile(node: OnnxNode, inputs: Inputs, findings: Findings) -> Outcome:
    """Tile: a value repeated as often as it says along each axis."""
    value = value_of(node, inputs[0], findings)
    shape = None if value is None else known_shape(node, value, findings)
    repeats = None if value is None else integers_in(node, inputs[1], "the repeats", findings)
    if value is None or shape is None or repeats is None:
        return None
    if len(repeats) != len(shape) or min(repeats, default=1) < 1 or (value.free and repeats[0] != 1):
        findings.problem(f"{node.title}: repeats {list(repeats)[:32]} of {shape_words(shape)}", expected="one each")
        return None
    if all(n == 1 for n in repeats):
        return Same(value)
    item = tuple(None if n is None else n * r for n, r in zip(shape, repeats, strict=True))[1:]
    return Made("Tile", (value,), {"repeats": repeats}, item=item)


def depth_and_space(node: OnnxNode, inputs: Inputs, findings: Findings) -> Made | None:
    """DepthToSpace and SpaceToDepth, in both orders of the channels."""
    value, block = value_of(node, inputs[0], findings), node.integer("blocksize", None, findings)
    mode = node.text("mode", "DCR", findings)
    if mode not in ("DCR", "CRD"):
        findings.problem(f"{node.title}: mode {mode!r:.40}", expected="DCR or CRD")
        return None
    if value is None or block < 1:
        return None
    return Made(node.op, (value,), {"block": block} if mode == "DCR" else {"block": block, "mode": mode})
