"""From the plain layout of images to channels last and back: a transposition of each image's channels and pixels."""

from __future__ import annotations

import math

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import Reorder
from cnnrt.tensor import PLAIN
from cnnrt_backend_threaded.cost_model import pass_seconds
from cnnrt_backend_threaded.emitter import Code, Index
from cnnrt_backend_threaded.native_kernel import CHANNELS_LAST, NativeKernel

PIXELS = 256
"""Of a unit."""


class Transpose(NativeKernel):
    """Moves values between the plain layout and NHWC."""

    layer = Reorder.type
    name = "transpose"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Return True for these two layouts."""
        layouts = {call.inputs[0].layout, call.outputs[0].layout}
        if layouts != {PLAIN, CHANNELS_LAST}:
            return f"the layouts are {' and '.join(sorted(layouts))}"
        return True

    def takes(self, call: LayerCall) -> str:
        """Return the input's layout."""
        return call.inputs[0].layout

    def gives(self, call: LayerCall) -> str:
        """Return the output's layout."""
        return call.outputs[0].layout

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return two passes over the values."""
        return pass_seconds(self.machine, 2 * math.prod(call.inputs[0].shape))

    def units(self, call: LayerCall) -> int:
        """Return images × blocks of pixels."""
        images, channels, height, width = call.inputs[0].shape
        return images * -(-height * width // PIXELS) if channels else 0

    def emit(self, call: LayerCall, code: Code) -> None:
        """Transpose square blocks in registers, and value by value what does not fill one."""
        _, channels, height, width = call.inputs[0].shape
        pixels = height * width
        source, target = code.argument(0), code.argument(1)
        to_last = call.outputs[0].layout == CHANNELS_LAST
        with code.loop(code.first, code.last) as unit:
            image, block = code.split(unit, -(-pixels // PIXELS))
            start = code.mul(image, channels * pixels)
            first = code.mul(block, PIXELS)
            last = code.smaller(code.add(first, PIXELS), pixels)
            reading, writing = code.at(source, start), code.at(target, start)

            def move(pixel: Index, channel: Index) -> None:
                plain = code.add(code.mul(channel, pixels), pixel)
                channels_last = code.add(code.mul(pixel, channels), channel)
                places = (plain, channels_last) if to_last else (channels_last, plain)
                code.store_value(code.load_value(reading, places[0]), writing, places[1])

            with code.loop(first, last) as pixel, code.loop(0, channels) as channel:
                move(pixel, channel)
