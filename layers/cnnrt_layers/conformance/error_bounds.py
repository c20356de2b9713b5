"""How far a correct computation may be from the exact result: the bound of each kind of layer.

`unit` is the unit roundoff u of the arithmetic in question: 2**-24 for float32, 2**-53 for float64.

Layers that state a bound of their own (`Layer.error_bound`) are held to that, the others to what is here. For sums of
products see `cnnrt_layers.sum_bound`. Kernels that compute something else than a sum of products (Winograd,
FFT) need bounds of their own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.rounding import FLOAT32, UNDERFLOW
from cnnrt_layers.sum_bound import sum_bound

Compute = Callable[[Sequence[Array], Mapping[str, Array]], Array]


def allowed_error(
    call: LayerCall, inputs: Sequence[Array], weights: Mapping[str, Array], unit: float, own: Compute
) -> Array:
    """Return, for each output value, the largest allowed difference from the exact result.

    `own` computes the layer without what is folded into it, exactly enough, from float64 arrays.
    """
    taken = call.own(inputs)
    exact = own(taken, weights)
    allowed = BOUNDS[call.layer.type.lower()](call.layer, taken, weights, unit, own, exact)
    for folded, further in call.folded_with(inputs):
        # Differences grow by at most a ReLU's slope, and product or sum is rounded once more; a Clip lets none grow.
        slope = max(1.0, abs(getattr(folded, "negative_slope", 1.0)))
        allowed = slope * (allowed + 2 * unit * (np.abs(exact) + sum(map(np.abs, further))))
    return allowed


def none(
    layer: Any, inputs: Sequence[Array], weights: Mapping[str, Array], unit: float, own: Compute, exact: Array
) -> Array:
    """Values are only moved or compared."""
    return np.zeros_like(exact)


def one_rounding(
    layer: Any, inputs: Sequence[Array], weights: Mapping[str, Array], unit: float, own: Compute, exact: Array
) -> Array:
    """A constant and the product with it are rounded."""
    return 2 * unit * np.abs(exact) + UNDERFLOW


def stated(
    layer: Any, inputs: Sequence[Array], weights: Mapping[str, Array], unit: float, own: Compute, exact: Array
) -> Array:
    """What the layer itself says of float32 (`Layer.error_bound`), in the arithmetic in question."""
    (bound, *_) = layer.error_bound(inputs, weights, (exact,))
    return np.asarray(bound * (unit / FLOAT32))


def lrn(
    layer: Any, inputs: Sequence[Array], weights: Mapping[str, Array], unit: float, own: Compute, exact: Array
) -> Array:
    """A sum of squares, all positive, to the power beta: a relative error of the base counts beta times."""
    terms = layer.local_size ** (1 if layer.norm_region == "across_channels" else 2)
    relative = abs(layer.beta) * (4 * math.sqrt(terms) + 8) + 16
    allowed: Array = relative * unit * np.abs(exact) + UNDERFLOW
    return allowed


def softmax(
    layer: Any, inputs: Sequence[Array], weights: Mapping[str, Array], unit: float, own: Compute, exact: Array
) -> Array:
    """The rounding of x - m becomes a relative error of exp(x - m), and weighs on the sum with its probability."""
    axis = layer.axis
    (x,) = inputs
    distance = x.max(axis=axis, keepdims=True) - x
    in_sum = (exact * distance).sum(axis=axis, keepdims=True)
    relative = distance + in_sum + 4 * math.sqrt(x.shape[axis]) + 16
    allowed: Array = relative * unit * exact + UNDERFLOW
    return allowed


def log_softmax(
    layer: Any, inputs: Sequence[Array], weights: Mapping[str, Array], unit: float, own: Compute, exact: Array
) -> Array:
    """Three terms, x, m and a logarithm, each rounded; the logarithm of a sum errs by the sum's relative error."""
    axis = layer.axis
    (x,) = inputs
    distance = x.max(axis=axis, keepdims=True) - x
    in_sum = (np.exp(exact) * distance).sum(axis=axis, keepdims=True)
    terms = 4 * math.sqrt(x.shape[axis]) + 16
    allowed: Array = unit * (2 * distance + 2 * np.abs(exact) + in_sum + terms) + UNDERFLOW
    return allowed


def batch_norm(
    layer: Any, inputs: Sequence[Array], weights: Mapping[str, Array], unit: float, own: Compute, exact: Array
) -> Array:
    """A sum of three products, whichever way it is computed: x, mean and shift, each with a rounded factor."""
    by_channel = (-1, *[1] * (exact.ndim - 2))
    factor = np.abs(layer.affine_terms(weights)[0]).reshape(by_channel)
    shift = np.abs(weights["shift"]).reshape(by_channel) if "shift" in weights else 0.0
    mean = np.abs(weights["mean"]).reshape(by_channel)
    allowed: Array = 4 * unit * (factor * (np.abs(inputs[0]) + mean) + shift) + 3 * UNDERFLOW
    return allowed


def eltwise(
    layer: Any, inputs: Sequence[Array], weights: Mapping[str, Array], unit: float, own: Compute, exact: Array
) -> Array:
    """A sum of as many products as there are inputs, or a product, each factor of which is rounded in."""
    match layer.operation:
        case "max" | "min":
            return np.zeros_like(exact)
        case "prod" | "div":
            return 2 * len(inputs) * (unit * np.abs(exact) + UNDERFLOW)
        case "pow":  # by way of a logarithm, whose rounding the exponential turns into a relative error
            digits = np.abs(np.log(np.abs(exact)))
            return (8 + 2 * np.where(np.isfinite(digits), digits, 0)) * unit * np.abs(exact) + UNDERFLOW
        case _:
            factors = layer.coeff or (1.0,) * len(inputs)
            divisor = len(inputs) if layer.operation == "mean" else 1
            squares = functools.reduce(np.add, ((x * (f / divisor)) ** 2 for x, f in zip(inputs, factors, strict=True)))
            return sum_bound(len(inputs) + 1, exact, squares, unit)


def resize(
    layer: Any, inputs: Sequence[Array], weights: Mapping[str, Array], unit: float, own: Compute, exact: Array
) -> Array:
    """Copies are exact; weights come of coordinates that are rounded, on the scale of a channel's largest value."""
    if getattr(layer, "mode", "linear") == "nearest":
        return np.zeros_like(exact)
    largest = np.abs(inputs[0]).max(axis=(2, 3), keepdims=True)
    # Where values beyond the edge are excluded, weights are divided by a sum that may be small.
    roundings = 512 if getattr(layer, "exclude_outside", False) else 32
    return np.broadcast_to(roundings * unit * largest + UNDERFLOW, exact.shape)


def deconvolution(
    layer: Any, inputs: Sequence[Array], weights: Mapping[str, Array], unit: float, own: Compute, exact: Array
) -> Array:
    """A sum of at most one product for each weight of an output, and the bias."""
    squares = own([x**2 for x in inputs], {name: w**2 for name, w in weights.items()})
    channels, _, rows, columns = weights["weight"].shape
    return sum_bound(channels * rows * columns // layer.group + 1, exact, squares, unit)


BOUNDS = {
    "accuracy": one_rounding,
    "batchnorm": batch_norm,
    "concat": none,
    "convolution": stated,
    "deconvolution": deconvolution,
    "dropout": none,
    "eltwise": eltwise,
    "interp": resize,
    "resize": resize,
    "flatten": none,
    "fullyconnected": stated,
    "logsoftmax": log_softmax,
    "lrn": lrn,
    "pooling": stated,
    "relu": one_rounding,
    "softmax": softmax,
    "yoloboxes": stated,
}
