"""Pooling: see `kernels/pooling.rs`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt_backend_renderscript.cost_model import pass_seconds
from cnnrt_backend_renderscript.program import Globals, Launch, input_of, output_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import ScriptKernel, activation

if TYPE_CHECKING:
    from cnnrt_layers.pooling import Pooling


class WindowPooling(ScriptKernel):
    """Maximum or mean."""

    layer = "Pooling"
    name = "windows"
    folds = ("ReLU",)

    def takes_call(self, call: LayerCall) -> bool | str:
        """Decline norms, places of maxima, and windows with gaps."""
        layer = cast("Pooling", call.layer)
        if layer.pool == "lp" or layer.mask:
            return "gives the maximum or the mean alone"
        return layer.dilation == (1, 1) or "takes windows without gaps"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over the values of all windows."""
        return pass_seconds(call.cost.flops / 4 + math.prod(call.inputs[0].shape))

    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return one launch over all output pixels."""
        layer = cast("Pooling", call.layer)
        images, channels, height, width = call.outputs[0].shape
        along_rows, along_columns = layer.windows(call.inputs[0].shape)
        padded = int(layer.count_include_pad)
        globals_: Globals = {
            **activation(call),
            "images": input_of(),
            "out": output_of(),
            "channels": channels,
            "image_rows": along_rows.size,
            "image_columns": along_columns.size,
            "rows": height,
            "columns": width,
            "kernel_rows": along_rows.kernel,
            "kernel_columns": along_columns.kernel,
            "stride_rows": along_rows.stride,
            "stride_columns": along_columns.stride,
            "top": along_rows.before,
            "left": along_columns.before,
            "counted_rows": along_rows.size + padded * along_rows.after,
            "counted_columns": along_columns.size + padded * along_columns.after,
            "counts_padding": padded,
        }
        kernel = "mean" if layer.pool == "mean" else "maximum"
        items = images * height * width
        return (Launch(Script("pooling"), kernel, globals_, items),) if items and channels else ()
