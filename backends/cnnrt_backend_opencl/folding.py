"""What is folded into a call, as a macro that the kernels apply to each result."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.sources import Defines, literal

if TYPE_CHECKING:
    from cnnrt_layers.clip import Clip
    from cnnrt_layers.relu import ReLU

FOLDS = ("ReLU", "Clip")
"""The layers that `folded_defines` knows."""
FOLDS_WITH_SUM = (*FOLDS, "Eltwise")
"""Those of kernels that add a residual before anything else."""


def adds_residual(call: LayerCall) -> bool:
    """Tell whether a sum is folded in: its other summand is the input behind the layer's own."""
    return any(layer.type == "Eltwise" for layer in call.folded)


def adds_first(call: LayerCall) -> bool:
    """Tell whether nothing is folded in before a sum."""
    return all(layer.type != "Eltwise" for layer in call.folded[1:])


def folded_defines(call: LayerCall) -> dict[str, Defines]:
    """Return the definition of FOLDED(v), for a float or a vector of floats v, and of ADDED where there is a sum.

    Written with functions of OpenCL C that take vectors too. Unlike fmax, max(v, 0) keeps NaN on most devices.
    """
    value = "v"
    for layer in call.folded:
        if layer.type == "Eltwise":
            continue
        if layer.type == "ReLU":
            slope = cast("ReLU", layer).negative_slope
            value = f"max({value},0.0f)" if slope == 0 else f"(max({value},0.0f)+{literal(slope)}*min({value},0.0f))"
        else:
            clip = cast("Clip", layer)
            value = value if clip.min is None else f"max({value},{literal(clip.min)})"
            value = value if clip.max is None else f"min({value},{literal(clip.max)})"
    added: dict[str, Defines] = {"ADDED": 1} if adds_residual(call) else {}
    return added if value == "v" else {**added, "FOLDED(v)": value}
