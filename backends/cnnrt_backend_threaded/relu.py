"""ReLU on its own; usually it is folded into the layer before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.layer_call import LayerCall
from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.flat_work import FlatKernel

if TYPE_CHECKING:
    from cnnrt_layers.relu import ReLU


class Rectify(FlatKernel):
    """One comparison for each value."""

    layer = "ReLU"
    name = "flat"

    def combine(self, call: LayerCall, code: Code, values: Sequence[Value]) -> Value:
        """Return the values, negative ones times the slope."""
        return code.rectify(values[0], cast("ReLU", call.layer).negative_slope)
