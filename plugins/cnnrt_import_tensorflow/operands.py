"""What goes into a rule and comes out of it: computed values, constants, and sizes that a graph computes with."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cnnrt.channels_last import operands
from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.shape_numbers import ShapeNumbers
from cnnrt.channels_last.spaced import Spaced
from cnnrt.channels_last.values import Flow
from cnnrt.channels_last.windows import Sliding
from cnnrt_import_tensorflow.nodes import Node

Operand = Flow | Constant | ShapeNumbers | Spaced
Result = Operand | Sequence[Operand]


@attrs.frozen(eq=False)
class Context:
    """What rules share: the network, and the batch that the model's inputs state (None: they leave it open)."""

    net: Network
    batch: int | None = None

    def computed(self, node: Node, operand: Operand) -> Flow:
        """Return an operand that must be computed by the layers before."""
        return operands.computed(self.net, node.place, operand)

    def constant(self, node: Node, operand: Operand, what: str) -> Constant | None:
        """Return an operand that must be a constant; None, and a problem, where it is none."""
        return operands.constant(self.net, node.place, operand, what)

    def numbers(self, node: Node, operand: Operand, what: str) -> tuple[int, ...] | None:
        """Return an operand that must be a short list of known integers; None, and a problem, where it is not."""
        return operands.known_numbers(self.net, node.place, operand, what)


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
