"""From the plain layout of images to channels last and back; see `kernels/copying.rs`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder
from cnnrt.tensor import PLAIN
from cnnrt_backend_renderscript.cost_model import pass_seconds
from cnnrt_backend_renderscript.program import Globals, Launch, input_of, output_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import CHANNELS_LAST, ScriptKernel


class Transpose(ScriptKernel):
    """A transposition of each image's channels and pixels."""

    layer = Reorder.type
    name = "transpose"

    def takes(self, call: LayerCall) -> str:
        """Return the input's layout."""
        return call.inputs[0].layout

    def gives(self, call: LayerCall) -> str:
        """Return the output's layout."""
        return call.outputs[0].layout

    def takes_call(self, call: LayerCall) -> bool | str:
        """Take these two layouts."""
        layouts = {call.inputs[0].layout, call.outputs[0].layout}
        return layouts == {PLAIN, CHANNELS_LAST} or f"the layouts are {' and '.join(sorted(layouts))}"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return two passes over the values."""
        return pass_seconds(2 * math.prod(call.inputs[0].shape))

    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return one launch, whose items write runs that lie side by side."""
        images, channels, height, width = call.inputs[0].shape
        pixels = height * width
        rows, columns = (channels, pixels) if call.inputs[0].layout == PLAIN else (pixels, channels)
        globals_: Globals = {"source": input_of(), "out": output_of(), "rows": rows, "columns": columns}
        items = images * columns
        return (Launch(Script("copying"), "transpose", globals_, items),) if items and rows else ()
