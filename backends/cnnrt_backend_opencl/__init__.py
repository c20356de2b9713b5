"""The OpenCL backend: any device of OpenCL 1.2.

A kernel is a class in a file of its own and a `.cl` file in `kernels/`, named in `kernel_list.py`. To write one:

- The `.cl` file compiles alone (with `-I kernels` where it includes a `.clh`): a header says what it computes, which
  sizes it assumes and what each `-D` means, with a default for each. It reads and writes buffers that are aligned to a
  float only: by vloadn and vstoren, or, where a compiler does not inline those (PoCL), by a vector type with a smaller
  alignment. Functions must take such buffers as float *, since compilers take an argument of that type for aligned all
  the same.
- The class derives from `OpenCLKernel` (`kernel.py`): `source` names the file, `defines(call, device)` gives the
  definitions, `launches(call, device)` what to run: function, global and local size, arguments (`Input`, `Output`,
  `Weight`, `Workspace`, `Local`, or a number: int is int, float is float, a tuple of them a vector).
  `pack(call, weights)` returns the weights as a tuple of arrays, which the runtime copies to the device once;
  `workspace(call)` the bytes of scratch memory there. One class may serve several layers (`rearrangement.py`).
- A source that includes `half_weights.clh` and reads weights by WEIGHT(w, i) keeps them in half precision where that is
  asked for: the class states `weight_types = BOTH_TYPES`, packs to `weight_type(call)` and adds `weight_defines(call)`
  to its definitions.
- Images lie channels last (NHWC) unless `takes` or `gives` says otherwise; everything else lies as in NumPy.
- `limits.py` tells what a device can do (`limits_of(device)`), `folding.py` defines FOLDED(v) for what was folded in,
  `cost_model.py` has the rates for `estimate`. Tunables are data, as for every kernel (`cnnrt/backend.py`).

The runtime: `driver.py` is the only file that speaks with pyopencl; `session.py` holds a device's context and programs;
`segment.py` runs a segment: one queue in order, values in an arena on the device, one wait at the end; `transfers.py`
brings arrays of the frame there and back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt.hookspecs import hookimpl

if TYPE_CHECKING:
    from cnnrt.backend import Backend, Kernel

plugin_api = 1
kernels_for = ("opencl",)


@hookimpl
def cnnrt_backends() -> list[Backend]:
    """Return the backend."""
    from cnnrt_backend_opencl.backend import OpenCLBackend

    return [OpenCLBackend()]


@hookimpl
def cnnrt_kernels() -> list[Kernel]:
    """Return its kernels; where pyopencl is missing, no device of theirs can be used, and it says so."""
    from cnnrt_backend_opencl.kernel_list import opencl_kernels

    return opencl_kernels()
