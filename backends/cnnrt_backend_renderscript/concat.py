"""Concatenation: runs of each input are copied to their places; see `kernels/copying.rs`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import physical_shape
from cnnrt_backend_renderscript.cost_model import pass_seconds
from cnnrt_backend_renderscript.physical_axis import physical_axis
from cnnrt_backend_renderscript.program import Globals, Launch, input_of, output_of
from cnnrt_backend_renderscript.script import Script
from cnnrt_backend_renderscript.script_kernel import ScriptKernel

if TYPE_CHECKING:
    from cnnrt_layers.concat import Concat

PIECE = 4096
"""Values that an item copies at most."""


class CopyRuns(ScriptKernel):
    """One launch for each input, a run for each place before the axis."""

    layer = "Concat"
    name = "copy"

    def estimate(self, call: LayerCall, device: Device) -> float:
        """Return a pass over input and output."""
        return pass_seconds(2 * math.prod(call.outputs[0].shape))

    def launches(self, call: LayerCall) -> Sequence[Launch]:
        """Return the copies."""
        axis = physical_axis(call.outputs[0], cast("Concat", call.layer).axis)
        places = math.prod(physical_shape(call.outputs[0])[:axis])
        runs = [math.prod(physical_shape(t)[axis:]) for t in call.inputs]
        starts = [0, *accumulate(runs)]
        found = []
        for index, (run, start) in enumerate(zip(runs, starts, strict=False)):
            if not run or not places:
                continue
            pieces = -(-run // PIECE)
            globals_: Globals = {
                "source": input_of(index),
                "out": output_of(),
                "run": run,
                "out_step": starts[-1],
                "out_start": start,
                "piece": PIECE,
                "pieces": pieces,
            }
            found.append(Launch(Script("copying"), "copy_runs", globals_, places * pieces))
        return found
