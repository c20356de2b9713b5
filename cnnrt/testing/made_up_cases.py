"""Random calls of a layer, made up from what its class says: arity, keys with their bounds, weights with their shapes.

The shape rule is asked whether it takes what was made up, so the calls are those that the layer allows. Where few are,
the layer's suite overrides `cases`.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import attrs
from hypothesis import reject
from hypothesis import strategies as st

from cnnrt.errors import CnnrtError, KeyValueError, ShapeError
from cnnrt.keys import Key
from cnnrt.layer import Layer, Shape
from cnnrt.plugins import plugin_host
from cnnrt.testing.case import Case, make_case
from cnnrt.vocabulary import layer_keys

BATCHES = st.sampled_from([1, 2, 3, 5, 0])
SEEDS = st.integers(0, 2**32 - 1)
NUMBERS = (0.0, 0.1, 0.5, 1.0, 2.0, -0.5, 10.0)
ATTEMPTS = 10
"""Calls that are tried for one case before another one is begun."""


@st.composite
def made_up_cases(draw: st.DrawFn, layer: type[Layer]) -> Case:
    """Draw a call of `layer` with its data; what the layer folds is folded in now and then."""
    for _ in range(ATTEMPTS):
        try:
            made = layer(**draw(made_up_keys(layer)))
            inputs = draw(input_shapes(layer))
            weights = weight_shapes(made, inputs[0], lambda: draw(st.integers(1, 6)))
            kept = {w.name for w in layer.weights if not w.optional or draw(st.booleans())}
            folded = draw(folded_layers(layer))
            return make_case(
                made,
                inputs,
                {name: shape for name, shape in weights.items() if name in kept},
                seed=draw(SEEDS),
                folded=folded,
            )
        except (KeyValueError, ShapeError):  # keys that do not go together, shapes that the layer does not take
            continue
    return reject()


@st.composite
def made_up_keys(draw: st.DrawFn, layer: type[Layer]) -> dict[str, Any]:
    """Draw values for the keys of a layer, each inside its bounds; optional ones are stated now and then."""
    stated = {}
    for field, key in layer_keys(layer):
        required = field.default is attrs.NOTHING
        if required or draw(st.booleans()):
            value = draw(key_values(key))
            if required or _takes(field, value):
                stated[field.name] = value
    return stated


def key_values(key: Key) -> st.SearchStrategy[Any]:
    """Return values that a key may hold, as a NetFile states them."""
    least = -2 if key.minimum is None else math.ceil(key.minimum)
    most = least + 5 if key.maximum is None else math.floor(key.maximum)
    integers = st.integers(least, max(least, min(least + 5, most)))
    numbers = st.sampled_from(
        sorted({n for n in (*NUMBERS, key.minimum, key.maximum) if n is not None and _inside(n, key)})
    )
    match key.kind:
        case "boolean":
            return st.booleans()
        case "integer":
            return integers
        case "number":
            return numbers
        case "integers":
            return integers | st.lists(integers, min_size=2, max_size=2)
        case "numbers":
            return st.lists(numbers, min_size=1, max_size=3)
        case "strings":
            return st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=3)
        case _:
            return st.sampled_from(sorted(key.choices) or ["a", "b"])


@st.composite
def input_shapes(draw: st.DrawFn, layer: type[Layer]) -> tuple[Shape, ...]:
    """Draw the shapes of a layer's inputs, images more often than others; several inputs are of equal shapes."""
    least, most = layer.inputs
    count = draw(st.integers(max(1, least), min(most or least + 2, least + 2)))
    rank = draw(st.sampled_from([4, 4, 4, 2, 2, 3, 1, 5]))
    shape = (draw(BATCHES), *(draw(st.integers(1, 7)) for _ in range(rank - 1)))
    return (shape,) * count


@st.composite
def folded_layers(draw: st.DrawFn, layer: type[Layer]) -> tuple[Layer, ...]:
    """Draw a layer that can be folded into this one, with its defaults, or none."""
    installed = plugin_host().layers()
    able = [installed[name.lower()] for name in layer.folds if name.lower() in installed]
    able = [folded for folded in able if folded.inputs == (1, 1)]
    if not able or draw(st.booleans()):
        return ()
    return (draw(st.sampled_from(able))(),)


def weight_shapes(layer: Layer, image: Shape, any_size: Callable[[], int]) -> dict[str, Shape]:
    """Return shapes of a layer's weights that fit its first input, worked out from what `WeightSpec.shape` says.

    In "(O, C / group, KH, KW)" N, C, H, W are sizes of the first input, K is the number of values of one item, and the
    names of integer keys are their values; any other name is a size of its own, the same in all weights. Raises
    ShapeError where something does not come out even, and CnnrtError where the text is no shape.
    """
    known = dict(zip(("N", "C", "H", "W"), image, strict=False))
    known["K"] = math.prod(image[1:])
    known |= {f.name: v for f, _ in layer_keys(type(layer)) if type(v := getattr(layer, f.name)) is int}
    return {
        spec.name: _shape(spec.shape, f"{layer.type}: weight {spec.name!r}", known, any_size) for spec in layer.weights
    }


def _shape(text: str, what: str, known: dict[str, int], any_size: Callable[[], int]) -> Shape:
    found = re.search(r"\(([^()]*)\)", text.replace("×", "*"))
    try:
        if found is None:
            raise ValueError("it has no parentheses")
        parts = [part for part in found[1].split(",") if part.strip()]
        return tuple(_size(ast.parse(part.strip(), mode="eval").body, known, any_size) for part in parts)
    except (ValueError, SyntaxError) as error:
        raise CnnrtError(
            f"{what}: the shape {text!r} says no sizes ({error}); write it like (O, C / group, KH, KW), or override "
            f"cases() in the layer's suite"
        ) from None


_OPERATIONS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def _size(node: ast.expr, known: dict[str, int], any_size: Callable[[], int]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Name(id=name):
            if name not in known:
                known[name] = any_size()
            return known[name]
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            whole, part = _size(left, known, any_size), _size(right, known, any_size)
            if part < 1 or whole % part:
                raise ShapeError(f"{part} does not divide {whole}")
            return whole // part
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_size(left, known, any_size), _size(right, known, any_size))
        case _:
            raise ValueError(f"{ast.unparse(node)!r} is no size")


def _takes(field: attrs.Attribute[Any], value: Any) -> bool:
    try:
        cast(Any, field.converter).converter(value, field)
    except KeyValueError:
        return False
    return True


def _inside(number: float, key: Key) -> bool:
    return (key.minimum is None or number >= key.minimum) and (key.maximum is None or number <= key.maximum)
