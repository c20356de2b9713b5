"""A layer call with its data: what every test of the layer suite is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.layer import Array, Layer, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import TensorType


@attrs.frozen
class Case:
    """A call with float32 inputs and weights, all read-only, made from `seed`."""

    call: LayerCall
    seed: int
    inputs: tuple[Array, ...] = attrs.field(repr=False)
    weights: Mapping[str, Array] = attrs.field(repr=False)

    @property
    def layer(self) -> Layer:
        return self.call.layer

    def in_float64(self) -> tuple[tuple[Array, ...], dict[str, Array]]:
        """Return inputs and weights in float64: the same numbers, for computations that are to be trusted."""
        return tuple(_frozen(x.astype(np.float64)) for x in self.inputs), {
            name: _frozen(w.astype(np.float64)) for name, w in self.weights.items()
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

    `weight_shapes` are drawn like inputs; `weights` are given as they are.
    """
    rng = np.random.default_rng(seed)

    def values(shape: Shape) -> Array:
        drawn = rng.standard_normal(shape) * 2
        return np.asarray((np.round(drawn) if coarse else drawn) * scale, np.float32)

    inputs = tuple(_frozen(values(shape)) for shape in input_shapes)
    stored = {name: values(shape) for name, shape in (weight_shapes or {}).items()} | dict(weights or {})
    logical = layer.weight_shapes({name: w.shape for name, w in stored.items()}, input_shapes)
    shaped = {name: _frozen(w.reshape(logical[name]).astype(np.float32)) for name, w in stored.items()}
    call = LayerCall(
        layer,
        tuple(TensorType(tuple(shape)) for shape in input_shapes),
        tuple(TensorType(shape) for shape in layer.output_shapes(input_shapes, logical)),
        {name: TensorType(shape) for name, shape in logical.items()},
        folded,
    )
    return Case(call, seed, inputs, shaped)


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
