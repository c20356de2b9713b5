"""A transposed convolution as convolutions: outputs whose places leave the same remainder, a phase, see the same taps.

Along an axis, output a gets weight r times input i wherever a + before = i * stride + r * dilation. With a + before =
q * stride + phase, the weights of a phase are every `tap_step`-th one from `tap` on, and those after the first meet
inputs that lie `lag_step` further back each, the first one `lag` before q.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import attrs

from cnnrt.layer_call import LayerCall

if TYPE_CHECKING:
    from cnnrt_layers.deconvolution import Deconvolution


MOST_PHASES = 64
"""Along an axis."""


@attrs.frozen
class Phase:
    """Outputs along one axis that see the same taps.

    `first`, `count`: their q. `shift`: output q * stride + shift. `tap`, `taps`, `lag`: see above; no taps: only the
    bias comes there.
    """

    first: int
    count: int
    shift: int
    tap: int
    taps: int
    lag: int


@attrs.frozen
class SpreadAxis:
    """`inputs` values along an axis, each spread over `kernel` of `outputs` places, of which `before` are cut off."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    dilation: int
    before: int

    @property
    def tap_step(self) -> int:
        """Kernel positions from one tap of a phase to the next."""
        return self.stride // math.gcd(self.stride, self.dilation)

    @property
    def lag_step(self) -> int:
        """Inputs from one tap of a phase to the next."""
        return self.dilation // math.gcd(self.stride, self.dilation)

    def phase(self, number: int) -> Phase:
        """Return the outputs whose place, with what is cut off, leaves this remainder; there may be none."""
        first = max(0, -((number - self.before) // self.stride))
        count = max(0, (self.outputs - 1 + self.before - number) // self.stride - first + 1)
        common = math.gcd(self.stride, self.dilation)
        shift = number - self.before
        # The least r with r * dilation = number, modulo the stride.
        tap = number // common * pow(self.dilation // common, -1, self.tap_step) % self.tap_step
        if number % common or tap >= self.kernel:
            return Phase(first, count, shift, 0, 0, 0)
        taps = (self.kernel - 1 - tap) // self.tap_step + 1
        return Phase(first, count, shift, tap, taps, (tap * self.dilation - number) // self.stride)

    def phases(self) -> list[Phase]:
        """Return all that have outputs."""
        return [phase for phase in (self.phase(number) for number in range(self.stride)) if phase.count]

    def reach(self, phases: Sequence[Phase]) -> int:
        """Return how far before q the inputs of any phase lie at most."""
        return max((phase.lag + (phase.taps - 1) * self.lag_step for phase in phases if phase.taps), default=0)


@attrs.frozen
class SpreadGeometry:
    """Images, groups with their channels, and the two axes: rows, columns."""

    images: int
    groups: int
    group_inputs: int
    group_outputs: int
    rows: SpreadAxis
    columns: SpreadAxis

    @property
    def inputs(self) -> int:
        """Channels of the input."""
        return self.groups * self.group_inputs

    @property
    def outputs(self) -> int:
        """Channels of the output."""
        return self.groups * self.group_outputs

    @property
    def positions(self) -> int:
        """Positions of the kernel."""
        return self.rows.kernel * self.columns.kernel


def spread_geometry(call: LayerCall) -> SpreadGeometry:
    """Return the sizes of a call of Deconvolution."""
    layer = cast("Deconvolution", call.layer)
    images, channels, *sizes = call.inputs[0].shape
    _, made, *kernel = call.weights["weight"].shape
    rows, columns = (
        SpreadAxis(sizes[i], call.outputs[0].shape[2 + i], kernel[i], layer.stride[i], layer.dilation[i], layer.pad[i])
        for i in (0, 1)
    )
    return SpreadGeometry(images, layer.group, channels // layer.group, made, rows, columns)


def strides_taken(call: LayerCall) -> bool | str:
    """Return True, or that there are too many phases: they are listed one by one."""
    stride = max(cast("Deconvolution", call.layer).stride)
    return stride <= MOST_PHASES or f"takes strides up to {MOST_PHASES}, not {stride}"
