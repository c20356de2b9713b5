"""A network of one layer, written to disk as a user's would be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import attrs
import numpy as np

from cnnrt.layer import Array, Layer
from cnnrt.testing.case import Case
from cnnrt.vocabulary import layer_keys
from netfile_spec import InputBlock, NetFile, write_model
from netfile_spec import layer as layer_block

LAYER = "under_test"
"""The layer's name in the network, and with 1, 2 and so on those of its outputs, where it has several.

What is folded into it is called folded1, folded2 and so on.
"""


def fits_a_net(case: Case) -> bool:
    """Tell whether a network can be handed the inputs: batches of equal sizes whose items have values."""
    shapes = case.call.input_shapes
    return all(len(s) > 1 and s[0] == shapes[0][0] and 0 not in s[1:] for s in shapes)


def stated_keys(layer: Layer) -> dict[str, Any]:
    """Return the keys of a layer that differ from their defaults, as a NetFile states them."""
    defaults = default_keys(type(layer))
    values = {field.name: getattr(layer, field.name) for field, _ in layer_keys(type(layer))}
    return {name: value for name, value in values.items() if name not in defaults or value != defaults[name]}


def default_keys(layer: type[Layer]) -> dict[str, Any]:
    """Return the default of each key that has one, as the layer keeps it."""
    return {
        field.name: cast(Any, field.converter).converter(field.default, field)
        for field, _ in layer_keys(layer)
        if field.default is not attrs.NOTHING
    }


def write_layer_net(folder: Path, case: Case, **header: Any) -> Path:
    """Write a network that computes the case: its layer, then what is folded into it. Returns the NetFile."""
    inputs = [InputBlock(name, shape[1:]) for name, shape in zip(_names(case), case.call.input_shapes, strict=True)]
    count = len(case.call.outputs)
    tops = None if count == 1 else [f"{LAYER}{number}" for number in range(1, count + 1)]
    own = list(case.call.own(_names(case)))
    blocks = [layer_block(case.layer.type, LAYER, bottom=own, top=tops, **stated_keys(case.layer))]
    for number, (folded, further) in enumerate(case.call.folded_with(_names(case)), start=1):
        bottom = [blocks[-1].name, *further] if further else None
        blocks.append(layer_block(folded.type, f"folded{number}", bottom=bottom, **stated_keys(folded)))
    parameters = {LAYER: {name: np.ascontiguousarray(w) for name, w in case.weights.items()}} if case.weights else {}
    return write_model(folder, NetFile(blocks, inputs, netfile_version=1, **header), parameters)


def net_inputs(case: Case) -> Mapping[str, Array]:
    """Return the case's inputs as `Net.compute` takes them."""
    return dict(zip(_names(case), case.inputs, strict=True))


def _names(case: Case) -> list[str]:
    return [f"input{number}" for number in range(1, len(case.inputs) + 1)]
