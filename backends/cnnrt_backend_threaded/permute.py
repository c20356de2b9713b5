"""Permute of images to channels last: how they lie in memory already, so that a copy is all there is to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import PLAIN
from cnnrt_backend_threaded.emitter import Code, Value
from cnnrt_backend_threaded.flat_work import FlatKernel
from cnnrt_backend_threaded.native_kernel import CHANNELS_LAST

if TYPE_CHECKING:
    from cnnrt_layers.permute import Permute


class CopyChannelsLast(FlatKernel):
    """(N, C, H, W) to (N, H, W, C), as detectors have it in front of their boxes."""

    layer = "Permute"
    name = "channels_last"

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take this order only."""
        shape = call.inputs[0].shape
        taken = len(shape) == 4 and cast("Permute", call.layer).axes(4) == (0, 2, 3, 1)
        return taken or "permutes images to channels last"

    def takes(self, call: LayerCall) -> str:
        """Return NHWC."""
        return CHANNELS_LAST

    def gives(self, call: LayerCall) -> str:
        """Return the plain layout."""
        return PLAIN

    def combine(self, call: LayerCall, code: Code, values: Sequence[Value]) -> Value:
        """Return the values."""
        return values[0]
