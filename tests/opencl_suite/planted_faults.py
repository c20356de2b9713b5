"""Kernels with faults that Oclgrind has to find, run as any other: `python -m opencl_suite.planted_faults`."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from cnnrt.backend import Device
from cnnrt.layer_call import LayerCall
from cnnrt.testing.case import make_case
from cnnrt.testing.kernel_run import run_kernel
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.elementwise import ElementwiseKernel
from cnnrt_backend_opencl.kernel import Input, Launch, Output, Workspace
from cnnrt_layers.relu import ReLU
from opencl_suite.under_oclgrind import INSIDE

FAULTS = {
    "a value that nobody wrote": "y[i] = scratch[i] > 1.0f ? 0.0f : fmax(x[i], 0.0f);",
    "a write beyond the output": "y[i] = fmax(x[i], 0.0f); if (i == count - 1) y[count] = 0.0f;",
    "a read beyond the input": "y[i] = fmax(x[i + 1], 0.0f);",
    "a race": "scratch[0] = (float)i; y[i] = fmax(x[i], 0.0f);",
}


class Planted(ElementwiseKernel):
    """ReLU with a fault."""

    def __init__(self, body: str) -> None:
        super().__init__("ReLU")
        self.body = body

    def text(self) -> str:
        """Return a source with the fault in it."""
        arguments = "__global const float *x, __global float *y, __global float *scratch, int count"
        return f"__kernel void planted({arguments}) {{ const int i = get_global_id(0); {self.body} }}"

    def workspace(self, call: LayerCall) -> int:
        """Return as many bytes as the output has."""
        return call.outputs[0].nbytes

    def launches(self, call: LayerCall, device: Device) -> Sequence[Launch]:
        """Return one launch."""
        (count,) = call.outputs[0].shape
        return [Launch("planted", (count,), None, (Input(), Output(), Workspace(), count))]


def main() -> None:
    """Run a kernel with each fault."""
    backend = OpenCLBackend()
    (device,) = (d for d in backend.devices() if d.name == "oclgrind")
    for body in FAULTS.values():
        with contextlib.suppress(AssertionError):  # the kit may notice by itself
            run_kernel(Planted(body), backend, device, make_case(ReLU(), [(8,)]))
    Path(os.environ[INSIDE]).write_text(json.dumps({"runs": {"planted": len(FAULTS)}, "problems": []}))


if __name__ == "__main__":
    main()
