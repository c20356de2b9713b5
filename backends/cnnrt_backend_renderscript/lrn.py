"""Local response normalisation: see `kernels/lrn.rs`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_renderscript.cost_model import pass_seconds
from cnnrt_backend_renderscript.program import Globals, Launch, input_of, output_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import ScriptKernel

if TYPE_CHECKING:
    from cnnrt_layers.lrn import LRN


class NormaliseNeighbours(ScriptKernel):
    """Across channels, or within one."""

    layer = "LRN"
    name = "neighbours"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over the neighbours of all values."""
        return pass_seconds(call.cost.flops)

    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return one launch over all pixels."""
        layer = cast("LRN", call.layer)
        images, channels, height, width = call.inputs[0].shape
        across = layer.norm_region == "across_channels"
        # Neighbours beyond the farthest value are zeros.
        reach = min(layer.local_size // 2, max(channels, height, width))
        globals_: Globals = {
            "images": input_of(),
            "out": output_of(),
            "channels": channels,
            "rows": height,
            "columns": width,
            "reach": reach,
            "scale": layer.alpha / (layer.local_size if across else layer.local_size**2),
            "offset": float(layer.k if across else 1),
            "beta": float(layer.beta),
        }
        items = images * height * width
        kernel = "across_channels" if across else "within_channel"
        return (Launch(Script("lrn"), kernel, globals_, items),) if math.prod(call.inputs[0].shape) else ()
