"""Where windows of convolutions and poolings lie: kernel_shape, strides, dilations, pads and auto_pad of ONNX.

auto_pad (deprecated, but common in older files) is settled here for the sizes that the model states: SAME makes the
output as large as the input divided by the stride, rounded up, and an odd pixel of padding goes to the end
(SAME_UPPER) or to the beginning (SAME_LOWER).
"""

from __future__ import annotations

import attrs

from cnnrt.findings import Findings
from cnnrt_import_onnx.nodes import OnnxNode
from cnnrt_import_onnx.values import Operand
from netfile_spec import Value as KeyValue

WINDOW_ATTRIBUTES = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")


@attrs.frozen
class WindowPlan:
    """Strides and dilations of each dimension, pads (all beginnings, then all ends); `automatic`: auto_pad's."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pad: tuple[int, ...]
    automatic: bool


def plan_windows(node: OnnxNode, kernel: tuple[int, ...], value: Operand, findings: Findings) -> WindowPlan:
    """Return how the node's windows of this size lie on `value`; findings say what is wrong."""
    rank = len(kernel)
    stride = node.integers("strides", (1,) * rank, findings, least=1, count=rank)
    dilation = node.integers("dilations", (1,) * rank, findings, least=1, count=rank)
    mode = node.text("auto_pad", "NOTSET", findings)
    if mode == "VALID":
        return WindowPlan(stride, dilation, (0,) * 2 * rank, True)
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        extents = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
        return WindowPlan(stride, dilation, _same(node, mode, stride, extents, value, findings), True)
    if mode != "NOTSET":
        findings.problem(f"{node.title}: auto_pad {mode!r:.40}", expected="NOTSET, VALID, SAME_UPPER or SAME_LOWER")
    pads = node.integers("pads", (0,) * 2 * rank, findings, least=0, count=2 * rank)
    return WindowPlan(stride, dilation, pads, False)


def _same(
    node: OnnxNode, mode: str, stride: tuple[int, ...], extents: tuple[int, ...], value: Operand, findings: Findings
) -> tuple[int, ...]:
    rank = len(stride)
    sizes = value.shape[2:] if value.shape is not None and len(value.shape) == rank + 2 else (None,) * rank
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
            return (0,) * 2 * rank
        else:
            total = max(0, (-(-size // step) - 1) * step + extent - size)
        less, more = total // 2, total - total // 2
        before.append(less if mode == "SAME_UPPER" else more)
        after.append(more if mode == "SAME_UPPER" else less)
    return *before, *after


def window_keys(plan: WindowPlan) -> dict[str, KeyValue]:
    """Return the keys of a layer of images that differ from their defaults, as short as they can be written."""
    keys: dict[str, KeyValue] = {}
    if any(plan.pad):
        rank = len(plan.pad) // 2
        top, left = (0,) * (2 - rank) + plan.pad[:rank]
        bottom, right = (0,) * (2 - rank) + plan.pad[rank:]
        keys["pad"] = shortest_pair((top, left)) if (top, left) == (bottom, right) else (top, left, bottom, right)
    for key, each in (("stride", plan.stride), ("dilation", plan.dilation)):
        if any(n != 1 for n in each):
            keys[key] = shortest_pair((1,) * (2 - len(each)) + each)
    return keys


def shortest_pair(pair: tuple[int, ...]) -> KeyValue:
    """Return one number where both are the same."""
    return pair[0] if pair[0] == pair[1] else pair
