"""How the windows of a node lie: strides, dilations and padding, by its attributes."""

from __future__ import annotations

from cnnrt.channels_last.graph_rules import Context
from cnnrt.channels_last.windows import Sliding
from cnnrt_import_tensorflow.nodes import Node


def sliding_of(context: Context, node: Node, strides: str = "strides") -> Sliding | None:
    """Return how the windows of a node lie, by its attributes; None, and a problem, for what slides over other axes."""
    layout = node.text("data_format", "NHWC")
    padding = node.text("padding", "VALID")
    stride, dilation = node.integers(strides, (1, 1, 1, 1)), node.integers("dilations", (1, 1, 1, 1))
    explicit = node.integers("explicit_paddings")
    if layout not in ("NHWC", "NCHW") or len(stride) != 4 or len(dilation) != 4:
        shown = f"data_format {layout!r:.40}, strides {list(stride)[:8]}"
        context.net.problem(node.place, shown, expected="NHWC or NCHW")
        return None
    rows, columns, channels = (1, 2, 3) if layout == "NHWC" else (2, 3, 1)
    if any(n[axis] != 1 for n in (stride, dilation) for axis in (0, channels)):
        context.net.problem(node.place, f"strides {list(stride)} over batch or channels", expected="rows and columns")
        return None
    last = layout == "NHWC"
    steps, gaps = (stride[rows], stride[columns]), (dilation[rows], dilation[columns])
    if padding == "EXPLICIT" and len(explicit) == 8:
        around = (explicit[2 * rows], explicit[2 * columns], explicit[2 * rows + 1], explicit[2 * columns + 1])
        return Sliding(around, steps, gaps, last)
    if padding not in ("SAME", "VALID"):
        context.net.problem(node.place, f"padding {padding!r:.40}", expected="SAME, VALID or EXPLICIT")
        return None
    return Sliding("same" if padding == "SAME" else "valid", steps, gaps, last)
