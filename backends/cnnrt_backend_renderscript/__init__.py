"""The renderscript backend: kernels in RenderScript C99, as CNNdroid's were, for the host and for phones.

Android deprecated RenderScript, so nothing here needs Android: the scripts in `kernels/` are compiled by clang against
a header of our own (`runtime/renderscript.h`) and launched by a driver of our own (`runtime/launch.c`), which does what
AOSP's driver for processors does. It is code for processors wherever it runs, not for a phone's GPU.

To read it: `kernels/convolution_tile.rs` (a kernel), `convolution_tile.py` (what a call launches), `host_segment.py`
(what happens in a call).

From a segment to results:

1. A kernel's `launches(call)` says what one call of a layer does: scripts, globals, ranges, in order.
2. `program.segment_program` puts the launches of a segment together as data, a `Program`: buffers (slots of the frame,
   packed weights; float32 each) and steps (script, kernel, values of globals, numbers of buffers, items).
3. A device executes programs. `host_segment.py` compiles each script to a shared library (`library.py`), lays the steps
   out as a table of `struct rs_launch` and has the driver walk through it. Another device gets the same `Program` and
   needs nothing else: it allocates `buffers`, keeps those with a `step` filled with that step's packed weights, and for
   each call writes the slots that come in, for each step sets `scalars` and `allocations` and launches, then reads the
   slots that go out. `expansion.expand` gives the C text of a script, whose table `rs_script_ID` names its globals and
   kernels; ids keep scripts apart that are linked into one program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnnrt.hookspecs import hookimpl

if TYPE_CHECKING:
    from cnnrt.backend import Backend, Kernel

plugin_api = 1
kernels_for = ("renderscript",)


@hookimpl
def cnnrt_backends() -> list[Backend]:
    """Return the backend."""
    from cnnrt_backend_renderscript.backend import RenderScriptBackend

    return [RenderScriptBackend()]


@hookimpl
def cnnrt_kernels() -> list[Kernel]:
    """Return its kernels."""
    from cnnrt_backend_renderscript.kernel_list import renderscript_kernels

    return renderscript_kernels()
