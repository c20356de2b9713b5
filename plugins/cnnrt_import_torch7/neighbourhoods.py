"""Normalisation by the neighbourhood: what surrounds a pixel, in all channels, weighed by a kernel.

Beyond the edges there is nothing: sums are divided by what the kernel gives for ones, which is computed by the same
convolution, whatever the size of the image.

Source: torch/nn (SpatialSubtractiveNormalization.lua, and likewise Divisive and Contrastive).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnrt.layer import Array
from cnnrt.model_builder import UNKNOWN
from cnnrt_import_torch7.modules import Flow, Module, Rule
from cnnrt_import_torch7.objects import Tensor

_MOST_VALUES = 1 << 26


def subtractive(module: Module, flow: Flow) -> Flow:
    """nn.SpatialSubtractiveNormalization: less the mean of the neighbourhood."""
    bottom, kernel = module.single(flow), _kernel(module)
    if kernel is None:
        return UNKNOWN
    mean = _per_one(module, bottom, _weighed(module, bottom, kernel, "_sum"), kernel)
    return module.add("Eltwise", [bottom, mean], {"operation": "sub"})


def divisive(module: Module, flow: Flow) -> Flow:
    """nn.SpatialDivisiveNormalization: divided by the deviation of the neighbourhood, unless that is too small."""
    bottom, kernel = module.single(flow), _kernel(module)
    if kernel is None:
        return UNKNOWN
    squares = module.add("Power", [bottom], {"power": 2.0}, suffix="_squares")
    deviation = module.add("Power", [_weighed(module, squares, kernel, "_sum")], {"power": 0.5}, suffix="_root")
    # Torch divides the root, not what is under it.
    adjusted = _per_one(module, bottom, deviation, kernel)
    limit = module.number("threshold", 1e-4)
    keys = {"threshold": limit, "value": module.number("thresval", limit)}
    divisor = module.add("Threshold", [adjusted], keys, suffix="_limited")
    return module.add("Eltwise", [bottom, divisor], {"operation": "div"})


def contrastive(module: Module, flow: Flow) -> Flow:
    """nn.SpatialContrastiveNormalization holds one of each, in this order."""
    return module.convert(module.field("normalizer"), f"{module.place}.normalizer".lstrip("."), flow)


def _kernel(module: Module) -> Array | None:
    """Return the weights of a convolution that gives the sum over all channels, (1, channels, rows, columns).

    Torch divides the kernel by its sum before; a kernel of one dimension serves rows and columns.
    """
    channels = module.integer("nInputPlane", least=1)
    tensor = module.field("kernel")
    if not isinstance(tensor, Tensor) or len(tensor.shape) not in (1, 2) or any(n % 2 == 0 for n in tensor.shape):
        module.problem("it has no kernel with a middle", expected="one of one or two dimensions, of odd sizes")
        return None
    rows, columns = tensor.shape if len(tensor.shape) == 2 else tensor.shape * 2
    if channels * rows * columns > _MOST_VALUES:
        module.problem(f"a kernel of {rows}×{columns} for {channels} channels", expected="a smaller one")
        return None
    stored = tensor.array().astype(np.float64)
    whole = stored if stored.ndim == 2 else np.outer(stored, stored)
    total = whole.sum()
    if not np.isfinite(total) or total == 0:
        module.problem("the numbers of its kernel have no sum that could be divided by")
        return None
    return np.broadcast_to((whole / (total * channels)).astype(np.float32), (1, channels, rows, columns)).copy()


def _weighed(module: Module, bottom: str, kernel: Array, suffix: str) -> str:
    rows, columns = kernel.shape[2:]
    return module.add("Convolution", [bottom], {"pad": (rows // 2, columns // 2)}, {"weight": kernel}, suffix)


def _per_one(module: Module, bottom: str, value: str, kernel: Array) -> str:
    """Return a value divided by what the kernel gives where every pixel is 1."""
    ones = module.add("Power", [bottom], {"scale": 0.0, "shift": 1.0}, suffix="_ones")
    inside = _weighed(module, ones, kernel, "_inside")
    return module.add("Eltwise", [value, inside], {"operation": "div"}, suffix="_adjusted")


RULES: Mapping[str, Rule] = {
    "SpatialSubtractiveNormalization": subtractive,
    "SpatialDivisiveNormalization": divisive,
    "SpatialContrastiveNormalization": contrastive,
}
