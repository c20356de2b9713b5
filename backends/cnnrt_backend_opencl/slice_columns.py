"""The outputs of a slice of weights, on their way to their columns of the output."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from cnnrt.layer_call import LayerCall
from cnnrt_backend_opencl.driver import BOTH, Handle
from cnnrt_backend_opencl.kernel import flat_group, in_groups
from cnnrt_backend_opencl.session import Session
from cnnrt_backend_opencl.sources import source_text

SOURCE = "slice_columns.cl"
VALUES = {2: "ushort", 4: "uint", 8: "ulong"}
"""Types of OpenCL C by their bytes."""


class SliceColumns:
    """A buffer for the outputs of one slice (`result`), and the kernel that copies them.

    (Not clEnqueueCopyBufferRect: PoCL 3.0 crashes where a buffer is a part of another one.)
    """

    def __init__(self, session: Session, whole: LayerCall, part: LayerCall, output: Handle, slot: int) -> None:
        """`output`: the buffer to which they go, or None: that of a slot of the frame."""
        driver, tensor = session.driver, whole.outputs[0]
        *rows, self._whole = tensor.shape
        self._rows, self._count = math.prod(rows), part.outputs[0].shape[-1]
        size = np.dtype(tensor.dtype).itemsize
        program = session.program(source_text(__package__, SOURCE), {"VALUE": VALUES[size]})
        self._driver = driver
        self._group = flat_group(session.device.limits, self._count)
        self._slot, self._inside = slot, output is not None
        self._kernel = driver.kernel(program, "put_columns")
        self.result: Handle = driver.buffer(session.context, BOTH, part.outputs[0].nbytes)
        for index, value in ((0, self.result), (2, np.int32(self._count)), (4, np.int32(self._whole))):
            driver.set_argument(self._kernel, index, value)
        if output is not None:
            driver.set_argument(self._kernel, 1, output)

    def put(self, queue: Handle, at: Mapping[int, Handle], number: int) -> Handle:
        """Copy the outputs of a slice, after what is in the queue; `at`: buffers of the frame. Return the event."""
        start = number * self._count
        columns = min(self._count, self._whole - start)
        if not self._inside:
            self._driver.set_argument(self._kernel, 1, at[self._slot])
        self._driver.set_argument(self._kernel, 3, np.int32(columns))
        self._driver.set_argument(self._kernel, 5, np.int32(start))
        size = (in_groups(columns, self._group), self._rows)
        return self._driver.launch(queue, self._kernel, size, (self._group, 1))
