"""Operations whose operands may be computed values, constants, or sizes that a graph computes with.

Of constants and of sizes they are done here, of values they become layers. An operand that depends on a problem that
was told gives another one, without a word.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from cnnrt.channels_last import regions, reshaping
from cnnrt.channels_last.activations import activation
from cnnrt.channels_last.arithmetic import combine
from cnnrt.channels_last.constants import MOST_VALUES, CannotCompute, Constant, constant_of
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.shape_numbers import ShapeNumbers, is_scalar, numbers_of, shape_numbers
from cnnrt.channels_last.strided import Masks, axis_cuts, cut_numbers
from cnnrt.channels_last.values import FAILED, Flow, Place, shape_words

Operand = Flow | Constant | ShapeNumbers
PAIRS: dict[str, Callable[..., Any]] = {
    "sum": np.add,
    "sub": np.subtract,
    "prod": np.multiply,
    "div": np.divide,
    "max": np.maximum,
    "min": np.minimum,
}
FLOORED: dict[str, Callable[..., Any]] = {"quotient": np.floor_divide, "remainder": np.mod}
"""Operations of integers, which are never done with computed values."""
SINGLE: dict[str, Callable[..., Any]] = {
    "abs": np.abs,
    "exponential": np.exp,
    "log": np.log,
    "negative": np.negative,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sqrt": np.sqrt,
    "square": np.square,
}
_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "max": np.max,
    "mean": np.mean,
    "min": np.min,
    "prod": np.prod,
    "sum": np.sum,
}


def failed(operands: Sequence[object]) -> bool:
    """Tell whether one of the operands comes from a problem that was told already."""
    return any(isinstance(o, Flow) and o.failed for o in operands)


def computed(net: Network, place: Place, operand: object) -> Flow:
    """Return an operand that must be computed by the layers before; a failed value and a problem where it is not."""
    if isinstance(operand, Flow):
        return operand
    what = "a constant" if isinstance(operand, Constant) else "made of sizes of values"
    return net.problem(place, f"its input is {what}", expected="a value computed from the model's inputs")


def constant(net: Network, place: Place, operand: object, what: str) -> Constant | None:
    """Return an operand that must be a constant; None, and a problem, where it is none."""
    if isinstance(operand, Constant):
        return operand
    if not failed([operand]):
        net.problem(place, f"{what} cannot be computed while the model runs", expected="a constant")
    return None


def known_numbers(net: Network, place: Place, operand: object, what: str) -> tuple[int, ...] | None:
    """Return an operand that must be a short list of known integers; None, and a problem, where it is not."""
    found = numbers_of(operand)
    if found is not None and None not in found:
        return tuple(n for n in found if n is not None)
    if not failed([operand]):
        shown = "" if found is None else f" ({shape_words(found)})"
        expected = "constants, or sizes of values other than the batch"
        net.problem(place, f"{what} depends on the input{shown}", expected=expected)
    return None


def compute(net: Network, place: Place, function: Callable[..., Any], constants: Sequence[Constant]) -> Operand:
    """Return a function of constants, value by value."""
    try:
        return net.arithmetic.apply(place.name, function, constants)
    except CannotCompute as error:
        return net.problem(place, str(error))


def of_two(net: Network, place: Place, operation: str, first: object, second: object) -> Operand:
    """Return arithmetic of two operands: one of PAIRS or FLOORED."""
    function = PAIRS.get(operation) or FLOORED[operation]
    if failed([first, second]):
        return FAILED
    if isinstance(first, Constant) and isinstance(second, Constant):
        return compute(net, place, function, [first, second])
    if isinstance(first, ShapeNumbers) or isinstance(second, ShapeNumbers):
        return _of_sizes(net, place, operation, function, first, second)
    if operation in FLOORED or not isinstance(first, Flow | Constant) or not isinstance(second, Flow | Constant):
        return net.problem(place, "of values that depend on the input", expected="constants")
    return combine(net, place, operation, first, second)


def squared_difference(net: Network, place: Place, first: object, second: object) -> Operand:
    """Return the square of a difference."""
    difference = of_two(net, Place(f"{place.name}/difference", place.title), "sub", first, second)
    return difference if failed([difference]) else of_one(net, place, "square", difference)


def of_one(net: Network, place: Place, operation: str, operand: object) -> Operand:
    """Return a function of one operand: one of SINGLE."""
    if isinstance(operand, Constant):
        return compute(net, place, SINGLE[operation], [operand])
    return activation(net, place, computed(net, place, operand), operation)


def total(net: Network, place: Place, operands: Sequence[object]) -> Operand:
    """Return the sum of any number of operands, one after the other."""
    if failed(operands):
        return FAILED
    result: object = operands[0]
    for number, operand in enumerate(operands[1:], start=2):
        inner = place if number == len(operands) else Place(f"{place.name}/{number}", place.title)
        result = of_two(net, inner, "sum", result, operand)
    return result if isinstance(result, Flow | Constant | ShapeNumbers) else FAILED


def _of_sizes(
    net: Network, place: Place, operation: str, function: Callable[..., Any], first: object, second: object
) -> Operand:
    """Return arithmetic with sizes: what the batch is a part of is unknown, as the batch itself is."""
    left, right = numbers_of(first), numbers_of(second)
    if not left or not right or 1 < len(left) != len(right) > 1:
        return net.problem(place, "of sizes and other values", expected="sizes of values and constants")
    count = max(len(left), len(right))
    left, right = (n * (count if len(n) == 1 else 1) for n in (left, right))
    if operation in ("div", *FLOORED) and 0 in right:
        return net.problem(place, "it divides a size by 0")
    values = [None if a is None or b is None else int(function(a, b)) for a, b in zip(left, right, strict=True)]
    return shape_numbers(values, scalar=is_scalar(first) and is_scalar(second))


def sizes_of(net: Network, place: Place, operand: object) -> Operand:
    """Return the shape of an operand, in which the batch is unknown."""
    if isinstance(operand, Constant):
        return shape_numbers(operand.shape)
    value = computed(net, place, operand)
    if value.failed:
        return value
    return net.unknown_shape(place) if value.sizes is None else shape_numbers((None, *value.sizes))


def reshape(net: Network, place: Place, operand: object, target: object, batch: int | None) -> Operand:
    """Reshape to the numbers that `target` holds; the items of a batch must stay apart."""
    if failed([operand, target]):
        return FAILED
    numbers = numbers_of(target)
    if numbers is None:
        return net.problem(place, "the shape that it gives depends on the input", expected="a constant")
    if isinstance(operand, Flow):
        return reshaping.reshape(net, place, operand, numbers, batch)
    if isinstance(operand, Constant) and None not in numbers:
        shape = [n for n in numbers if n is not None]
        if shape.count(-1) == 1:
            others = math.prod(n for n in shape if n != -1)
            shape[shape.index(-1)] = operand.count // others if others > 0 else 0
        if min(shape, default=0) < 0 or math.prod(shape) != operand.count:
            shown = shape_words(operand.shape)
            return net.problem(place, f"a constant of shape {shown} cannot have the shape {list(shape)}")
        return operand.reshaped(tuple(shape))
    if isinstance(operand, ShapeNumbers) and numbers in ((-1,), (len(operand.values),)):
        return ShapeNumbers(operand.values)
    return net.problem(place, "of sizes of values", expected="values")


def squeeze(net: Network, place: Place, operand: object, axes: Sequence[int]) -> Operand:
    """Drop axes of size 1; none named: all of them."""
    if isinstance(operand, Flow):
        return reshaping.squeeze(net, place, operand, axes)
    if isinstance(operand, Constant):
        rank = len(operand.shape)
        named = {a % rank for a in axes if -rank <= a < rank}
        dropped = named if axes else {i for i, n in enumerate(operand.shape) if n == 1}
        if all(operand.shape[i] == 1 for i in dropped):
            return operand.reshaped(tuple(n for i, n in enumerate(operand.shape) if i not in dropped))
    if isinstance(operand, ShapeNumbers) and len(operand.values) == 1:
        return ShapeNumbers(operand.values, scalar=True)
    return net.problem(place, f"axes {list(axes)[:8]} of sizes or of a constant that has no such ones")


def expand(net: Network, place: Place, operand: object, axis: int) -> Operand:
    """Add an axis of size 1."""
    if isinstance(operand, Flow):
        return reshaping.expand(net, place, operand, axis)
    if isinstance(operand, Constant) and -1 - len(operand.shape) <= axis <= len(operand.shape):
        shape = list(operand.shape)
        shape.insert(axis if axis >= 0 else axis + 1 + len(shape), 1)
        return operand.reshaped(tuple(shape))
    if isinstance(operand, ShapeNumbers) and operand.scalar and axis in (0, -1):
        return ShapeNumbers(operand.values)
    return net.problem(place, f"axis {axis} of sizes or of a constant that has no such one")


def transpose(net: Network, place: Place, operand: object, axes: Sequence[int]) -> Operand:
    """Put the axes into another order."""
    if not isinstance(operand, Constant):
        return reshaping.transpose(net, place, computed(net, place, operand), axes)
    if sorted(axes) != list(range(len(operand.shape))):
        return net.problem(place, f"the axes {list(axes)} of a constant of {len(operand.shape)} axes")
    shape = tuple(operand.shape[a] for a in axes)
    return Constant(place.name, shape, operand.kind, lambda: np.ascontiguousarray(operand.array().transpose(axes)))


def join(net: Network, place: Place, operands: Sequence[object], axis: int) -> Operand:
    """Join along an axis."""
    if failed(operands):
        return FAILED
    lists = [numbers_of(o) for o in operands]
    if not any(isinstance(o, Flow) for o in operands) and None not in lists:
        return shape_numbers([n for found in lists for n in found or ()])
    constants = [o for o in operands if isinstance(o, Constant)]
    if len(constants) < len(operands):
        return regions.concatenate(net, place, [computed(net, place, o) for o in operands], axis)
    if sum(c.count for c in constants) > MOST_VALUES:
        return net.problem(place, "it joins large constants", hint="save the model with its constants folded")
    try:
        return constant_of(np.concatenate([c.array() for c in constants], axis), place.name)
    except (ValueError, IndexError) as error:
        return net.problem(place, f"its constants cannot be joined: {error!s:.100}")


def stack(net: Network, place: Place, operands: Sequence[object], axis: int) -> Operand:
    """Stack single numbers to a list, which will be a shape."""
    if failed(operands):
        return FAILED
    found = [numbers_of(o) if is_scalar(o) else None for o in operands]
    if None in found or axis not in (0, -1):
        return net.problem(place, "it stacks values", expected="sizes, which make a shape")
    return shape_numbers([n for numbers in found for n in numbers or ()])


def look_up(net: Network, place: Place, operand: object, places: object) -> Operand:
    """Take some of a list of sizes."""
    if failed([operand, places]):
        return FAILED
    numbers, wanted = numbers_of(operand), numbers_of(places)
    if numbers is None or wanted is None or any(p is None or not -len(numbers) <= p < len(numbers) for p in wanted):
        return net.problem(place, "it looks values up", expected="sizes of values")
    return shape_numbers([numbers[p] for p in wanted if p is not None], scalar=is_scalar(places))


def cut(
    net: Network,
    place: Place,
    operand: object,
    places: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
    masks: Masks,
) -> Operand:
    """Take from starts to ends by steps, one for each axis: of sizes some of them, of values a region."""
    starts, ends, steps = places
    if not len(starts) == len(ends) == len(steps) or 0 in steps:
        return net.problem(place, f"from {list(starts)[:8]} to {list(ends)[:8]} by {list(steps)[:8]}")
    numbers = numbers_of(operand)
    if isinstance(operand, ShapeNumbers) or (isinstance(operand, Constant) and numbers is not None):
        taken = cut_numbers(numbers or (), starts, ends, steps, masks)
        return taken if taken is not None else net.problem(place, "it takes sizes that are not there")
    return axis_cuts(net, place, computed(net, place, operand), places, masks)


def cut_counted(net: Network, place: Place, operand: object, starts: Sequence[int], counts: Sequence[int]) -> Operand:
    """Take so many places from the starts on (-1: all that follow), one for each axis."""
    if len(starts) != len(counts) or min(starts, default=0) < 0:
        return net.problem(place, f"from {list(starts)[:8]}, {list(counts)[:8]} values")
    ends = tuple(start + count for start, count in zip(starts, counts, strict=True))
    whole = sum(1 << i for i, count in enumerate(counts) if count == -1)
    return cut(net, place, operand, (tuple(starts), ends, (1,) * len(starts)), Masks(end=whole))


def reduce(net: Network, place: Place, operand: object, operation: str, axes: Sequence[int], *, keep: bool) -> Operand:
    """Reduce by "mean", "sum", "max", "min" or "prod" along axes."""
    if isinstance(operand, Flow):
        return regions.reduce(net, place, operand, operation, axes, keep=keep)
    if isinstance(operand, ShapeNumbers):
        return ShapeNumbers((None,), scalar=True)
    if not isinstance(operand, Constant) or operand.count > MOST_VALUES or operand.kind == "text":
        return net.problem(place, "of a large constant")
    numbers = numbers_of(operand)
    if numbers is not None and operation in ("prod", "sum"):
        plain = [n for n in numbers if n is not None]
        result = sum(plain) if operation == "sum" else math.prod(plain)
        if abs(result) < 1 << 62:
            return shape_numbers([result], scalar=True)
        return net.problem(place, f"{result:.3g} is no size")
    try:
        reduced: Any = _REDUCTIONS[operation](operand.array(), axis=tuple(axes) or None, keepdims=keep)
    except (ValueError, TypeError, IndexError) as error:
        return net.problem(place, f"of a constant of shape {shape_words(operand.shape)}: {error!s:.100}")
    return constant_of(np.asarray(reduced), place.name)


def split(net: Network, place: Place, value: Flow, axis: int, sizes: Sequence[int] | int) -> list[Flow]:
    """Cut a value into pieces of these sizes (one may be -1), or into so many pieces of equal size."""
    if value.failed:
        return [FAILED]
    own = net.axis(place, axis, value) if value.item else None
    if own is None or value.sizes is None:
        return [FAILED if value.item and own is None else net.unknown_shape(place)]
    length = value.sizes[own]
    if isinstance(sizes, int):
        if not 0 < sizes <= length or length % sizes:
            return [net.problem(place, f"{sizes} pieces of {length} values")]
        sizes = (length // sizes,) * sizes
    if list(sizes).count(-1) == 1:
        rest = length - sum(n for n in sizes if n != -1)
        sizes = tuple(rest if n == -1 else n for n in sizes)
    return regions.split(net, place, value, axis, sizes)


def pad_pairs(net: Network, place: Place, operand: object) -> list[tuple[int, int]] | None:
    """Return paddings, a constant of two numbers for each axis, without those of the batch, which must be 0."""
    pads = constant(net, place, operand, "its paddings")
    if pads is None:
        return None
    if pads.kind != "integer" or len(pads.shape) != 2 or pads.shape[1] != 2 or pads.count > 32:
        net.problem(place, f"paddings of shape {shape_words(pads.shape)}", expected="two for each axis")
        return None
    pairs = [(int(before), int(after)) for before, after in pads.array()]
    if not pairs or pairs[0] != (0, 0) or any(n < 0 for p in pairs for n in p):
        net.problem(place, f"paddings {pairs[:8]}", expected="at least 0, and none of the batch")
        return None
    return pairs[1:]


def fill(net: Network, place: Place, shape: object, number: object) -> Operand:
    """Return a constant of one number in a shape."""
    sizes, value = known_numbers(net, place, shape, "its shape"), constant(net, place, number, "its number")
    if sizes is None or value is None:
        return FAILED
    if min(sizes, default=1) < 0 or math.prod(sizes) > MOST_VALUES or value.count != 1:
        return net.problem(place, f"a constant of shape {shape_words(sizes)}")
    return constant_of(np.full(sizes, value.array().reshape(-1)[0]), place.name)
