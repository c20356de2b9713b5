"""Units that see images: convolution, pooling, normalisation, cutting.

Source: veles.znicz. Convolution rounds its size down (conv.py); pooling rounds it up, and clips the last window
(pooling.py); what normalisation calls alpha is not divided by the number of channels (normalization.py). Pairs are
(along columns, along rows), borders (left, top, right, bottom); a kernel is (rows, columns, channels), flattened.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cnnrt_import_veles.reading import UNKNOWN_VALUE, Given, Reading
from netfile_spec import Value

MAX_POOLING, AVERAGE_POOLING, NORM = "MaxPooling", "AvgPooling", "LRNormalizerForward"
_TO_THE_END = 2**63 - 1
_NORM_DEFAULTS: Mapping[str, float] = {"alpha": 1e-4, "beta": 0.75, "k": 2, "n": 5}


def convolution(reading: Reading) -> Given:
    """Return the images behind the kernels, without an activation."""
    columns, rows = reading.sizes("kx", 1, 1), reading.sizes("ky", 1, 1)
    padding, sliding = reading.sizes("padding", 4, 0), reading.sizes("sliding", 2, 1)
    matrix = reading.matrix()
    if columns is None or rows is None or padding is None or sliding is None or matrix is None:
        return UNKNOWN_VALUE
    kernels, values = matrix.shape
    channels, rest = divmod(values, columns[0] * rows[0])
    if rest or not channels:
        return reading.problem(f"{values} values in a kernel of {rows[0]} by {columns[0]}")
    if reading.unit.data.get("n_kernels", kernels) != kernels:
        return reading.problem(f"{kernels} kernels where n_kernels says another number")
    if reading.bottom.channels not in (None, channels):
        return reading.problem(f"kernels for {channels} channels of images of {reading.bottom.channels}")
    apart = matrix.reshape(kernels, rows[0], columns[0], channels)
    weights = reading.with_bias(np.ascontiguousarray(apart.transpose(0, 3, 1, 2)))
    if weights is None:
        return UNKNOWN_VALUE
    left, top, right, bottom = padding
    keys: Mapping[str, Value] = {"pad": (top, left, bottom, right), "stride": (sliding[1], sliding[0])}
    return Given(reading.layer("Convolution", "conv", keys, weights), kernels)


def pooled(reading: Reading) -> Given:
    """Return the maximum or the mean of each window."""
    columns, rows, sliding = reading.sizes("kx", 1, 1), reading.sizes("ky", 1, 1), reading.sizes("sliding", 2, 1)
    if columns is None or rows is None or sliding is None:
        return UNKNOWN_VALUE
    pool = "max" if reading.unit.type == MAX_POOLING else "mean"
    size, stride = (rows[0], columns[0]), (sliding[1], sliding[0])
    keys: Mapping[str, Value] = {"pool": pool, "kernel_size": size, "stride": stride}
    return Given(reading.layer("Pooling", "pool", keys), reading.bottom.channels)


def normalised(reading: Reading) -> Given:
    """Return local response normalisation across channels, with znicz's numbers where the package states none."""
    found = {}
    for key, default in _NORM_DEFAULTS.items():
        value = reading.number(key, default)
        if value is None:
            return UNKNOWN_VALUE
        if reading.unit.data.get(key) is None:
            reading.model.note(f"{reading.place}: the package does not state its {key}; {default:g} is znicz's own")
        found[key] = value
    if not 0 <= found["n"] < 2**20 or found["alpha"] < 0 or found["k"] < 0:
        return reading.problem("numbers that cannot be", expected="n, alpha and k from 0")
    reach = int(found["n"] / 2)
    # An even n reaches as far to both sides as the odd number that follows.
    size = 2 * reach + 1
    keys: Mapping[str, Value] = {
        "local_size": size,
        "alpha": found["alpha"] * size,
        "beta": found["beta"],
        "k": found["k"],
    }
    return Given(reading.layer("LRN", "norm", keys), reading.bottom.channels)


def cut(reading: Reading) -> Given:
    """Return the images without their borders."""
    borders = reading.sizes("padding", 4, 0)
    if borders is None:
        return UNKNOWN_VALUE
    left, top, right, bottom = borders
    ends = tuple(-after if after else _TO_THE_END for after in (bottom, right))
    keys: Mapping[str, Value] = {"axes": (2, 3), "starts": (top, left), "ends": ends}
    return Given(reading.layer("StridedSlice", "cutter", keys), reading.bottom.channels)
