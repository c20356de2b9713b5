"""Convolution and FullyConnected in the shape of CNNdroid's kernels InFxOutFy: see `kernels/convolution_dot.rs`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.backend import Device, Packed, StoredWeights, Tunable
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.stored_weights import HeldWeights
from cnnrt.tensor import PLAIN
from cnnrt_backend_renderscript.convolution_geometry import (
    ReadGeometry,
    put_biases,
    read_geometry,
    takes_images,
    weight_order,
)
from cnnrt_backend_renderscript.cost_model import DOT_PRODUCTS, product_seconds
from cnnrt_backend_renderscript.program import Globals, Launch, output_of, weight_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import CHANNELS_LAST, FOLDS, ScriptKernel, activation, zeros32


class DotConvolution(ScriptKernel):
    """Sums are made across vectors of inputs. Variants that a phone may prefer, and the ancestor to compare with."""

    layer = "Convolution"
    name = "dot"
    folds = FOLDS

    def parameters(self, call: LayerCall) -> Mapping[str, int | str]:
        """Return x and y of InFxOutFy."""
        return {"inputs": int(self.tuning.get("inputs", 8)), "outputs": int(self.tuning.get("outputs", 4))}

    def tunables(self, call: LayerCall, device: Device) -> Sequence[Tunable]:
        """Return the paper's choices."""
        return (Tunable("inputs", (8, 4)), Tunable("outputs", (4, 8)))

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return the seconds of all products, those of filled-up channels included."""
        g = self._geometry(call)
        work = g.pixels * g.groups * self._panels(g) * self._outputs * math.prod(g.kernel) * g.filled_depth
        return product_seconds(work, self.packed_bytes(call), g.copy_values, DOT_PRODUCTS)

    def workspace(self, call: LayerCall) -> int:
        """Return the bytes of the padded images."""
        return 4 * self._geometry(call).copy_values

    def packing(self, call: LayerCall) -> tuple[int, ...]:
        """Return how many inputs and outputs go together, and the groups."""
        return (self._inputs, self._outputs, self._geometry(call).groups)

    def packed_values(self, call: LayerCall) -> Sequence[int]:
        """Return the values of whole panels and their biases."""
        g = self._geometry(call)
        return (g.groups * self._panels(g) * self._outputs * (math.prod(g.kernel) * g.filled_depth + 1),)

    def pack(self, call: LayerCall, weights: Mapping[str, Array]) -> Packed:
        """Return the same as `pack_stored`."""
        return self.pack_stored(call, HeldWeights(weights))

    def pack_stored(self, call: LayerCall, stored: StoredWeights) -> Packed:
        """Return panels [group, panel, kernel position, channels / 4, output, 4] and biases in one array."""
        g, width = self._geometry(call), self._outputs
        panels = self._panels(g)
        order, positions = weight_order(call), math.prod(g.kernel)
        packed = zeros32(*self.packed_values(call))
        body = packed[: g.groups * panels * width * positions * g.filled_depth]
        by_panel = body.reshape(g.groups, panels, positions, g.filled_depth // 4, width, 4)
        filled = np.zeros((width, positions, g.filled_depth), np.float32)
        for group, panel in np.ndindex(g.groups, panels):
            first, last = panel * width, min((panel + 1) * width, g.group_outputs)
            rows = stored.rows("weight", group * g.group_outputs + first, group * g.group_outputs + last)
            by_position = rows.reshape(-1, *order).transpose(0, 2, 1).reshape(last - first, positions, g.group_inputs)
            filled[: last - first, :, : g.group_inputs] = by_position
            filled[last - first :] = 0
            by_panel[group, panel] = filled.reshape(width, positions, -1, 4).transpose(1, 2, 0, 3)
        put_biases(packed[body.size :], stored, g)
        return (packed,)

    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return the copy, if there is one, and the convolution."""
        g = self._geometry(call)
        if not g.pixels:
            return ()
        panels = self._panels(g)
        globals_: Globals = {
            **g.steps(),
            **activation(call),
            "images": g.source(),
            "weights": weight_of(),
            "out": output_of(),
            "biases": g.groups * panels * self._outputs * math.prod(g.kernel) * g.filled_depth,
            "panels": panels,
        }
        script = Script("convolution_dot", {"INPUTS": self._inputs, "OUTPUTS": self._outputs})
        return (*g.copy(), Launch(script, "convolve", globals_, g.pixels * panels * g.groups))

    @property
    def _inputs(self) -> int:
        return int(self.tuning.get("inputs", 8))

    @property
    def _outputs(self) -> int:
        return int(self.tuning.get("outputs", 4))

    def _geometry(self, call: LayerCall) -> ReadGeometry:
        return read_geometry(call, self._inputs)

    def _panels(self, g: ReadGeometry) -> int:
        return -(-g.group_outputs // self._outputs)


class DotProduct(DotConvolution):
    """FullyConnected: images of one pixel, which has all features. After images these lie channels last."""

    layer = "FullyConnected"

    def takes(self, call: LayerCall) -> str:
        """Return NHWC where whole images are flattened."""
        return CHANNELS_LAST if takes_images(call) else PLAIN

    def gives(self, call: LayerCall) -> str:
        """Return the plain layout."""
        return PLAIN

    def packing(self, call: LayerCall) -> tuple[int, ...]:
        """Return how many inputs and outputs go together, and in which order the features come."""
        return (self._inputs, self._outputs, *weight_order(call))
