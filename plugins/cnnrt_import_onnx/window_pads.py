"""Where windows of convolutions and poolings lie: kernel_shape, strides, dilations, pads and auto_pad of ONNX.

auto_pad (deprecated, but common in older files) is settled here for the sizes that the model states: SAME makes the
output as large as the input divided by the stride, rounded up, and an odd pixel of padding goes to the end
(SAME_UPPER) or to the beginning (SAME_LOWER).
"""

from __future__ import annotations

import attrs

from cnnrt_import_onnx.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.values import Flow
from netfile_spec import Value as KeyValue

WINDOW_ATTRIBUTES = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")


@attrs.frozen
class WindowPlan:
    """Strides and dilations (rows, columns), pads (top, left, bottom, right); `automatic`: the pads are auto_pad's."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pad: tuple[int, ...]
    automatic: bool


def plan_windows(node: OnnxNode, kernel: tuple[int, ...], value: Flow, findings: Findings) -> WindowPlan:
    """Return how the node's windows of `kernel` rows and columns lie on `value`; findings say what is wrong."""
    stride = node.integers("strides", (1, 1), findings, least=1)
    dilation = node.integers("dilations", (1, 1), findings, least=1)
    mode = node.text("auto_pad", "NOTSET", findings)
    if mode == "VALID":
        return WindowPlan(stride, dilation, (0, 0, 0, 0), True)
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        extents = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
        return WindowPlan(stride, dilation, _same(node, mode, stride, extents, value, findings), True)
    if mode != "NOTSET":
        findings.problem(f"{node.title}: auto_pad {mode!r:.40}", expected="NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    return WindowPlan(stride, dilation, node.integers("pads", (0, 0, 0, 0), findings), False)


def _same(
    node: OnnxNode, mode: str, stride: tuple[int, ...], extents: tuple[int, ...], value: Flow, findings: Findings
) -> tuple[int, ...]:
    sizes = value.item[1:] if value.item is not None and len(value.item) == 3 else (None, None)
    before, after = [], []
    for size, step, extent in zip(sizes, stride, extents, strict=True):
        if step == 1:
            total = extent - 1
        elif size is None:
            if not value.failed:
                findings.problem(
                    f"{node.title}: auto_pad {mode} with a stride depends on the size of the image, which is unknown",
                    hint="state the input's rows and columns in the model, or export it with explicit pads",
                )
            return 0, 0, 0, 0
        else:
            total = max(0, (-(-size // step) - 1) * step + extent - size)
        less, more = total // 2, total - total // 2
        before.append(less if mode == "SAME_UPPER" else more)
        after.append(more if mode == "SAME_UPPER" else less)
    return *before, *after


def window_keys(plan: WindowPlan) -> dict[str, KeyValue]:
    """Return the keys of a layer that differ from their defaults, as short as they can be written."""
    keys: dict[str, KeyValue] = {}
    if any(plan.pad):
        top, left, bottom, right = plan.pad
        keys["pad"] = _shortest((top, left)) if (top, left) == (bottom, right) else plan.pad
    for key, pair in (("stride", plan.stride), ("dilation", plan.dilation)):
        if pair != (1, 1):
            keys[key] = _shortest(pair)
    return keys


def _shortest(pair: tuple[int, ...]) -> KeyValue:
    return pair[0] if pair[0] == pair[1] else pair
