"""What parameter files must hold: checks that layers with a weight and an optional bias share."""

from __future__ import annotations

from collections.abc import Mapping

from cnnrt.errors import ShapeError
from cnnrt.layer import Shape, shape_text


def expect_stored(name: str, stored: Mapping[str, Shape]) -> Shape:
    """Return the shape stored under `name`; ShapeError where the parameter file holds no such thing."""
    if name not in stored:
        held = ", ".join(stored) or "nothing"
        raise ShapeError(f"expected {name!r} in the parameter file, which holds {held}")
    return stored[name]


def expect_bias(weights: Mapping[str, Shape], outputs: int) -> None:
    """Raise ShapeError unless the bias, where there is one, has exactly `outputs` values."""
    if "bias" in weights and weights["bias"] != (outputs,):
        raise ShapeError(
            f"expected a bias of {outputs} values, one for each output of the weights, "
            f"got {shape_text(weights['bias'])}"
        )
