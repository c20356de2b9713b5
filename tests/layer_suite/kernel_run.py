"""One kernel run under hostile conditions: nothing prepared for it but what its contract promises."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np

from cnnrt.backend import Backend, BufferSpec, Device, Frame, Kernel, Packed, Segment, Step
from cnnrt.layer import Array
from cnnrt.tensor import TensorType
from layer_suite.case import Case

GUARD = 256
"""Bytes before and after each array that must come back unchanged."""
GUARD_BYTE = 0xA5
NAN_BYTE = 0xFF
"""Every float of these bytes is NaN, whatever its width."""


@attrs.frozen
class Resident:
    """Packed weights that stay in memory."""

    packed: Packed
    resident: bool = True

    def get(self) -> Packed:
        return self.packed


class Guarded:
    """An array full of NaN between two guards, its first value on a cache line."""

    def __init__(self, tensor: TensorType) -> None:
        nbytes = tensor.nbytes
        raw = np.full(nbytes + 2 * GUARD + 64, GUARD_BYTE, np.uint8)
        start = GUARD + -(raw.ctypes.data + GUARD) % 64
        self._around = (raw[:start], raw[start + nbytes :])
        raw[start : start + nbytes] = NAN_BYTE
        self.array: Array = raw[start : start + nbytes].view(tensor.dtype).reshape(tensor.shape)

    def intact(self) -> bool:
        return all((guard == GUARD_BYTE).all() for guard in self._around)


def run_kernel(kernel: Kernel, backend: Backend, device: Device, case: Case) -> list[Array]:
    """Compute a case twice through `backend.compile`, and return the outputs.

    Inputs and weights are read-only, outputs and workspace start as NaN, the workspace has exactly the stated size,
    and the second run finds the workspace as the first one left it: asserts that guards stay intact and that both
    runs give the same bits.
    """
    call = case.call
    count_in, count_out = len(call.inputs), len(call.outputs)
    workspace_type = TensorType((kernel.workspace(call),), "uint8")
    step = Step(
        layer_name="case",
        call=call,
        kernel=kernel,
        inputs=tuple(range(count_in)),
        outputs=tuple(range(count_in, count_in + count_out)),
        weights=Resident(kernel.pack(call, case.weights)),
        workspace=count_in + count_out,
    )
    buffers = [BufferSpec(t, None) for t in (*call.inputs, *call.outputs)] + [BufferSpec(workspace_type, 0)]
    runnable = backend.compile(Segment(0, device, (step,)), buffers, 1)

    workspace = Guarded(workspace_type)
    runs = []
    for _ in range(2):
        outputs = [Guarded(t) for t in call.outputs]
        frame: Frame = [*case.inputs, *(o.array for o in outputs), workspace.array]
        runnable.run(frame)
        assert workspace.intact(), f"{kernel.name} wrote beyond its workspace of {workspace_type.nbytes} bytes"
        assert all(o.intact() for o in outputs), f"{kernel.name} wrote beyond its output"
        runs.append([o.array for o in outputs])
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first, second, err_msg=f"{kernel.name} gives another result the second time")
    return runs[0]


def packed_bytes(packed: Packed) -> int | None:
    """Return the bytes of packed weights where they are arrays in mappings or sequences; None: something else."""
    if isinstance(packed, np.ndarray):
        return packed.nbytes
    if isinstance(packed, Mapping):
        return packed_bytes(list(packed.values()))
    if isinstance(packed, list | tuple):
        sizes = [packed_bytes(part) for part in packed]
        return None if None in sizes else sum(size for size in sizes if size is not None)
    return 0 if packed is None else None
