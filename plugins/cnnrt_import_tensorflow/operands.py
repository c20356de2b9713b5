"""What goes into a rule and comes out of it: computed values, constants, and sizes that a graph computes with."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.shape_numbers import ShapeNumbers, numbers_of
from cnnrt.channels_last.values import Flow, shape_words
from cnnrt.channels_last.windows import Sliding
from cnnrt_import_tensorflow.nodes import Node


@attrs.frozen(eq=False)
class Spaced:
    """A value that was taken apart for a convolution with gaps (SpaceToBatchND), and what happened to it since.

    `pads` (top, bottom, left, right) were put around it; `convolution` is the node that came, with its kernels.
    """

    value: Flow
    gaps: tuple[int, int]
    pads: tuple[int, int, int, int]
    convolution: tuple[Node, Constant] | None = None


Operand = Flow | Constant | ShapeNumbers | Spaced
Result = Operand | Sequence[Operand]


@attrs.frozen(eq=False)
class Context:
    """What rules share: the network, and the batch that the model's inputs state (None: they leave it open)."""

    net: Network
    batch: int | None = None

    def computed(self, node: Node, operand: Operand) -> Flow:
        """Return an operand that must be computed by the layers before.

        A failed value and a problem where it is not.
        """
        if isinstance(operand, Flow):
            return operand
        what = "a constant" if isinstance(operand, Constant) else "made of sizes of values"
        return self.net.problem(node.place, f"its input is {what}", expected="a value computed from the model's inputs")

    def constant(self, node: Node, operand: Operand, what: str) -> Constant | None:
        """Return an operand that must be a constant; None, and a problem, where it is none."""
        if isinstance(operand, Constant):
            return operand
        if not (isinstance(operand, Flow) and operand.failed):
            self.net.problem(node.place, f"{what} cannot be computed while the model runs", expected="a constant")
        return None

    def numbers(self, node: Node, operand: Operand, what: str) -> tuple[int, ...] | None:
        """Return an operand that must be a short list of known integers; None, and a problem, where it is not."""
        found = numbers_of(operand)
        if found is not None and None not in found:
            return tuple(n for n in found if n is not None)
        if not (isinstance(operand, Flow) and operand.failed):
            shown = "" if found is None else f" ({shape_words(found)})"
            expected = "constants, or sizes of values other than the batch"
            self.net.problem(node.place, f"{what} depends on the input{shown}", expected=expected)
        return None


def failed(operands: Sequence[Operand]) -> bool:
    """Tell whether one of the operands comes from a problem that was told already."""
    return any(isinstance(o, Flow) and o.failed for o in operands)


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
