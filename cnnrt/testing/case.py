"""A layer call with its data: what every test of a layer or a kernel is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from cnnrt.layer import Array, Layer, Shape, shape_text
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import TensorType
from cnnrt.weight_storage import DEFAULT, rounded_weights, storing_weights


@attrs.frozen
class Case:
    """A call with float32 inputs and weights, all read-only, made from `seed`."""

    call: LayerCall
    seed: int
    inputs: tuple[Array, ...] = attrs.field(repr=False)
    weights: Mapping[str, Array] = attrs.field(repr=False)

    @property
    def layer(self) -> Layer:
        """The layer that is called."""
        return self.call.layer

    def __str__(self) -> str:
        """Return what is called on what, in one line."""
        parts = [f"{self.layer} on {', '.join(shape_text(s) for s in self.call.input_shapes)}"]
        kept = {name: "" if t.dtype == DEFAULT else f" {t.dtype}" for name, t in self.call.weights.items()}
        parts += [f"{name} {shape_text(s)}{kept[name]}" for name, s in self.call.weight_shapes.items()]
        parts += [f"then {folded}" for folded in self.call.folded]
        return f"<{'; '.join(parts)}; seed {self.seed}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # So that hypothesis shows the line above where a case fails, instead of every number.
        printer.text(str(self))

    def in_float64(self) -> tuple[tuple[Array, ...], dict[str, Array]]:
        """Return inputs and weights in float64, for computations that are to be trusted.

        They are the same numbers, but for weights that the call keeps in another type: those are rounded to it.
        """
        return tuple(frozen(x.astype(np.float64)) for x in self.inputs), {
            name: frozen(w.astype(np.float64)) for name, w in rounded_weights(self.call, self.weights).items()
        }


def make_case(
    layer: Layer,
    input_shapes: Sequence[Shape],
    weight_shapes: Mapping[str, Shape] | None = None,
    *,
    seed: int = 0,
    scale: float = 1.0,
    coarse: bool = False,
    folded: tuple[Layer, ...] = (),
    weights: Mapping[str, Array] | None = None,
) -> Case:
    """Return a case of normally distributed values times `scale`; `coarse` rounds them, so that many are equal.

    `weight_shapes`, as stored, are drawn like inputs; `weights` are given as they are. Raises ShapeError where the
    layer does not take these shapes.
    """
    rng = np.random.default_rng(seed)

    def values(shape: Shape) -> Array:
        drawn = rng.standard_normal(shape) * 2
        return np.asarray((np.round(drawn) if coarse else drawn) * scale, np.float32)

    inputs = tuple(frozen(values(shape)) for shape in input_shapes)
    stored = {name: values(shape) for name, shape in (weight_shapes or {}).items()} | dict(weights or {})
    logical = layer.weight_shapes({name: w.shape for name, w in stored.items()}, input_shapes)
    shaped = {name: frozen(w.reshape(logical[name]).astype(np.float32)) for name, w in stored.items()}
    call = LayerCall(
        layer,
        tuple(TensorType(tuple(shape)) for shape in input_shapes),
        tuple(TensorType(shape) for shape in layer.output_shapes(input_shapes, logical)),
        {name: TensorType(shape) for name, shape in logical.items()},
        folded,
    )
    return Case(call, seed, inputs, shaped)


def with_residual(case: Case, sum_layer: Layer) -> Case:
    """Return a case whose result is added to one input more, as large as the output, before the rest is applied."""
    (output,) = case.call.outputs
    added = np.random.default_rng(case.seed + 1).standard_normal(output.shape).astype(np.float32)
    first, rest = case.call.folded[: case.seed % 2], case.call.folded[case.seed % 2 :]
    call = attrs.evolve(case.call, inputs=(*case.call.inputs, output), folded=(*first, sum_layer, *rest))
    return attrs.evolve(case, call=call, inputs=(*case.inputs, frozen(added)))


def with_weights_in(case: Case, dtype: str) -> Case:
    """Return a case whose weights of two axes and more are to be kept in a type: a kernel rounds them."""
    return attrs.evolve(case, call=storing_weights(case.call, dtype))


def frozen(array: Array) -> Array:
    """Return the array, read-only from now on; what NumPy computes from a single value is made one again."""
    whole = np.asarray(array)
    whole.flags.writeable = False
    return whole
