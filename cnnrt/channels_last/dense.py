"""Products with constant matrices.

Behind a flattened image the matrix is permuted, so that nothing is moved at run time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnrt.channels_last.axis_order import in_source_order
from cnnrt.channels_last.constants import Constant
from cnnrt.channels_last.network import Network
from cnnrt.channels_last.values import IMAGE_ORDER, Flow, Place, shape_words
from netfile_spec import Value as KeyValue


def dense(net: Network, place: Place, value: Flow, matrix: Constant, *, rows_are_outputs: bool) -> Flow:
    """Multiply the last axis by a matrix (features, outputs), or (outputs, features) where `rows_are_outputs`."""
    if value.failed:
        return value
    if len(matrix.shape) != 2 or 0 in matrix.shape or matrix.kind != "float":
        shown = shape_words(matrix.shape)
        return net.problem(place, f"weights of shape {shown}, {matrix.kind}", expected="a matrix of float numbers")
    if not value.item:
        return net.unknown_shape(place)
    outputs, features = matrix.shape if rows_are_outputs else matrix.shape[::-1]
    if value.item[-1] not in (None, features):
        shown = shape_words((None, *value.item))
        return net.problem(place, f"weights for {features} features of a value of shape {shown}")
    if value.order == IMAGE_ORDER:
        # At each pixel a product of its channels: a convolution by one pixel.
        kernels = matrix.weight((outputs, features, 1, 1), lambda m: m if rows_are_outputs else m.T, rows_are_outputs)
        return net.layer(place, "Convolution", [value], {}, {"weight": kernels}, item=(*value.item[:-1], outputs))
    keys: dict[str, KeyValue] = {}
    if value.rank > 1:
        value = in_source_order(net, place, value)
        keys["axis"] = -1
    folded = value.folded

    def values(stored: NDArray[Any]) -> NDArray[Any]:
        rows = stored if rows_are_outputs else stored.T
        if folded is None:
            return rows
        apart = rows.reshape(outputs, *folded.item)
        return np.transpose(apart, (0, *(1 + axis for axis in folded.order))).reshape(outputs, features)

    weight = matrix.weight((outputs, features), values, rows_are_outputs, folded)
    item = (*(value.item or ())[:-1], outputs)
    return net.layer(place, "FullyConnected", [value], keys, {"weight": weight}, item=item)
