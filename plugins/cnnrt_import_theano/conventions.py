"""How Theano's users and Lasagne store the weights of each layer.

Source: the parameters of lasagne.layers in the order in which `get_all_params` gives them. Dense layers hold (inputs,
outputs), convolutions (outputs, inputs, rows, columns).
"""

from __future__ import annotations

import numpy as np

from cnnrt.layer import Array, Layer
from cnnrt.loose_weights import Conventions, StoredWeight

FLIP_REASON = "as Theano's convolution and Lasagne's Conv2DLayer have it; Lasagne's dnn layers do not"


def _variance(inverse_deviation: Array, layer: Layer) -> Array:
    """Return the variance of Lasagne's inv_std = 1 / sqrt(variance + epsilon)."""
    epsilon = float(getattr(layer, "epsilon", 0.0))
    return np.maximum(1 / inverse_deviation**2 - epsilon, 0)


_KERNELS = (StoredWeight("weight", ("w",)), StoredWeight("bias", ("b",)))

CONVENTIONS: Conventions = {
    "Convolution": _KERNELS,
    "Deconvolution": _KERNELS,
    "FullyConnected": (StoredWeight("weight", ("w",), (1, 0)), StoredWeight("bias", ("b",))),
    "BatchNorm": (
        StoredWeight("shift", ("beta",)),
        StoredWeight("scale", ("gamma",)),
        StoredWeight("mean", ("mean",)),
        StoredWeight("variance", ("inv_std",), values=_variance),
    ),
    "PReLU": (StoredWeight("slope", ("alpha",)),),
}
