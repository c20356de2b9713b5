"""Cases made larger, empty or huge: what a layer and its kernels are asked beyond ordinary sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs
import numpy as np

from cnnrt.errors import ShapeError
from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import TensorType
from cnnrt.testing.case import Case, frozen

HUGE = (2**20, 2**31, 2**40, 2**62)
LARGE = 200_000
"""Values in the inputs when the reference's memory is measured: enough that what is unstated does not matter."""
MOST_REPEATS = 30
"""How often a case is repeated along one dimension to make it large."""


def is_batched(case: Case) -> bool:
    """Tell whether the first dimension of inputs and outputs is a batch: another size of it changes nothing else."""
    shapes, outputs = case.call.input_shapes, case.call.output_shapes
    sizes = {s[0] if s else -1 for s in (*shapes, *outputs)}
    if len(sizes) != 1 or -1 in sizes:
        return False

    def only_the_batch_changes(size: int) -> bool:
        given = accepted(case, [(size, *s[1:]) for s in shapes])
        return given == tuple((size, *s[1:]) for s in outputs)

    return only_the_batch_changes(0) and only_the_batch_changes(max(sizes) + 7)


def accepted(case: Case, inputs: Sequence[Shape]) -> tuple[Shape, ...] | None:
    """Return what the shape rule says to other inputs with the same weights, None where it refuses them."""
    try:
        return case.layer.output_shapes(inputs, case.call.weight_shapes)
    except ShapeError:
        return None


def enlarged(case: Case) -> list[Array]:
    """Return the case's inputs repeated along every dimension that the shape rule lets grow, last ones first."""
    inputs = list(case.inputs)
    for axis in reversed(range(min(x.ndim for x in inputs))):
        repeats = min(MOST_REPEATS, -(-LARGE // max(1, sum(x.size for x in inputs))))
        grown = [(*x.shape[:axis], x.shape[axis] * repeats, *x.shape[axis + 1 :]) for x in inputs]
        if repeats > 1 and accepted(case, grown) is not None:
            inputs = [np.concatenate([x] * repeats, axis=axis) for x in inputs]
    return [frozen(x) for x in inputs]


def enlarged_case(case: Case) -> Case:
    """Return the case with `enlarged` inputs."""
    inputs = enlarged(case)
    shapes = [x.shape for x in inputs]
    outputs = case.layer.output_shapes(shapes, case.call.weight_shapes)
    call = attrs.evolve(
        case.call, inputs=tuple(TensorType(s) for s in shapes), outputs=tuple(TensorType(s) for s in outputs)
    )
    return attrs.evolve(case, call=call, inputs=tuple(inputs))


def stretched(case: Case) -> Iterator[tuple[list[Shape], dict[str, Shape]]]:
    """Yield the case's shapes with one dimension of all inputs, or of one weight, empty or huge."""
    inputs, weights = list(case.call.input_shapes), case.call.weight_shapes
    for axis in range(min(len(s) for s in inputs)):
        for size in (0, *HUGE):
            yield [(*s[:axis], size, *s[axis + 1 :]) for s in inputs], weights
    for name, shape in weights.items():
        for axis in range(len(shape)):
            for size in (0, HUGE[-1]):
                yield inputs, {**weights, name: (*shape[:axis], size, *shape[axis + 1 :])}


def stretched_calls(case: Case) -> Iterator[LayerCall]:
    """Yield the calls with `stretched` shapes that the shape rule takes."""
    for inputs, stored in stretched(case):
        try:
            weights = case.layer.weight_shapes(stored, inputs)
            outputs = case.layer.output_shapes(inputs, weights)
        except ShapeError:
            continue
        yield attrs.evolve(
            case.call,
            inputs=tuple(TensorType(s) for s in inputs),
            outputs=tuple(TensorType(s) for s in outputs),
            weights={name: TensorType(shape) for name, shape in weights.items()},
        )
