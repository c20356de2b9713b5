"""A kernel of this backend: what one call launches, and how its weights are packed."""

from __future__ import annotations

import abc
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, Kernel, Packed
from cnnrt.layer import Array, Layer, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import PLAIN
from cnnrt_backend_renderscript.program import Launch

if TYPE_CHECKING:
    from cnnrt_layers.clip import Clip
    from cnnrt_layers.relu import ReLU

CHANNELS_LAST = "NHWC"
"""The layout of images here, as it was CNNdroid's: a pixel's channels lie side by side and are read as vectors."""
MOST_VALUES = 2**31 - 1
"""Of an allocation: scripts count in 32 bits."""


VECTORS = "vectors"
"""The detail of a device that says how many bits its vectors have, "256 bits"; where there is none, 128."""


class ScriptKernel(Kernel):
    """Base of this backend's kernels. Packed weights are a tuple of flat float32 arrays of `packed_values` values."""

    backend = "renderscript"
    compiled = True

    def takes(self, call: LayerCall) -> str:
        """Return NHWC for images, the plain layout for everything else."""
        return layout_for(call.inputs[0].shape)

    def gives(self, call: LayerCall) -> str:
        """Return NHWC for images, the plain layout for everything else."""
        return layout_for(call.outputs[0].shape)

    def can_run(self, call: LayerCall, device: Device) -> bool | str:
        """Take what `takes_call` takes, of sizes that can be counted in 32 bits."""
        sizes = [math.prod(t.shape) for t in (*call.inputs, *call.outputs)]
        if max((*sizes, *self.packed_values(call), self.workspace(call) // 4)) > MOST_VALUES:
            return "an array has more than 2^31 values"
        answer = folded_bounds(call.folded)
        return answer if isinstance(answer, str) else self.takes_call(call)

    def takes_call(self, call: LayerCall) -> bool | str:
        """Return True, or why the kernel does not compute this call."""
        return True

    @abc.abstractmethod
    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return what a call launches, in order; nothing where there is nothing to compute."""

    def packed_values(self, call: LayerCall) -> Sequence[int]:
        """Return how many values each packed array has; nothing for layers without weights."""
        return ()

    def packed_bytes(self, call: LayerCall) -> int:
        """Return the bytes of the packed arrays."""
        return 4 * sum(self.packed_values(call))

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return no arrays: for layers without weights."""
        return ()


def layout_for(shape: Shape) -> str:
    """Return the layout in which a value of this shape lies between this backend's kernels."""
    return CHANNELS_LAST if len(shape) == 4 else PLAIN


FOLDS = ("ReLU", "Clip")
"""The layers that kernels here apply on the way out."""


def folded_bounds(folded: Sequence[Layer]) -> tuple[float, float, float] | str:
    """Return slope, lower and upper bound that do the same as folded layers behind a sum; or why there are none."""
    slope, low, high = 1.0, -math.inf, math.inf
    bounded = False
    for number, layer in enumerate(folded):
        if layer.type == "Eltwise":
            if number:
                return "does not add a residual behind other layers"
        elif layer.type == "ReLU":
            if bounded:
                return "does not apply a ReLU behind a Clip"
            below = cast("ReLU", layer).negative_slope
            # A negative slope made the value positive: what follows leaves it alone.
            slope = slope * below if slope > 0 else slope
        else:
            bounded = True
            stated = cast("Clip", layer)
            least = -math.inf if stated.min is None else stated.min
            most = math.inf if stated.max is None else stated.max
            low, high = (min(max(bound, least), most) for bound in (low, high))
    return slope, low, high


def adds_residual(call: LayerCall) -> bool:
    """Tell whether the first of the layers that are folded in is a sum; its other summand is the last input."""
    return bool(call.folded) and call.folded[0].type == "Eltwise"


def activation(call: LayerCall) -> dict[str, float]:
    """Return the globals of `activation.rsh` for what is folded into a call."""
    found = folded_bounds(call.folded)
    assert not isinstance(found, str), found  # `can_run` declined it
    return dict(zip(("slope", "low", "high"), found, strict=True))


def zeros32(values: int) -> Array:
    """Return so many zeros in float32 that begin on a cache line."""
    raw = np.zeros(4 * values + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + 4 * values].view(np.float32)


def flat32(array: Array) -> Array:
    """Return an array's values, flat and in float32, on a cache line."""
    flat = zeros32(array.size)
    flat[...] = array.reshape(-1)
    return flat
