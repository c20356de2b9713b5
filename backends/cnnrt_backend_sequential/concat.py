"""Concatenation: each input is copied into its slice of the output."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, cast

import numpy as np

from cnnrt.backend import Device, HostFunction, HostKernel, Packed
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt_backend_sequential.cost_model import passes_seconds

if TYPE_CHECKING:
    from cnnrt_layers.concat import Concat


class CopySlices(HostKernel):
    """One copy for each input; no workspace."""

    layer = "Concat"
    backend = "sequential"
    name = "copy"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return one pass over the values."""
        return passes_seconds(call.outputs[0].nbytes // 4, 1, len(call.inputs))

    def bind(self, call: LayerCall) -> HostFunction:
        """Return the copies into slices fixed here."""
        rank = len(call.outputs[0].shape)
        axis = cast("Concat", call.layer).axis % rank
        edges = [0, *accumulate(t.shape[axis] for t in call.inputs)]
        places = [(slice(None),) * axis + (slice(start, stop),) for start, stop in pairwise(edges)]

        def run(inputs: Sequence[Array], outputs: Sequence[Array], weights: Packed, workspace: Array) -> None:
            for x, place in zip(inputs, places, strict=True):
                np.copyto(outputs[0][place], x)

        return run
