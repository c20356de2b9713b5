"""Broadcasting: how tensors of different shapes are combined value by value."""

from __future__ import annotations

from collections.abc import Sequence

from cnnrt.errors import ShapeError
from cnnrt.layer import Shape, shape_text


def broadcast_shape(shapes: Sequence[Shape]) -> Shape:
    """Return the common shape; ShapeError where lengths differ and neither is 1.

    Shapes are aligned at their ends, and missing axes count as length 1 (NumPy's and ONNX's rule). NumPy's own function
    is no help here: it refuses sizes beyond those of memory with another error.
    """
    rank = max(len(shape) for shape in shapes)
    result = [1] * rank
    for number, shape in enumerate(shapes, start=1):
        for axis, size in enumerate(shape, start=rank - len(shape)):
            if result[axis] == 1:
                result[axis] = size
            elif size not in (1, result[axis]):
                others = " and ".join(shape_text(s) for s in shapes[: number - 1])
                raise ShapeError(
                    f"expected inputs of shapes that fit, equal or 1 along each axis, got {others} and, as input "
                    f"{number}, {shape_text(shape)}"
                )
    return tuple(result)
