"""One kernel run under hostile conditions: nothing prepared for it but what its contract promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from cnnrt.backend import Backend, BufferSpec, Device, Frame, Kernel, Packed, Segment, Step
from cnnrt.layer import Array
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import logical_view, physical_shape
from cnnrt.tensor import TensorType
from cnnrt.testing.case import Case, frozen

GUARD = 256
"""Bytes before and after each array that must come back unchanged."""
GUARD_BYTE = 0xA5
NAN_BYTE = 0xFF
"""Every float of these bytes is NaN, whatever its width."""


@attrs.frozen
class Resident:
    """Packed weights that stay in memory."""

    packed: Packed
    nbytes: int = 0
    resident: bool = True

    def get(self) -> Packed:
        """Return them."""
        return self.packed


class Guarded:
    """An array full of NaN between two guards, its first value on a cache line."""

    def __init__(self, tensor: TensorType) -> None:
        nbytes = tensor.nbytes
        raw = np.full(nbytes + 2 * GUARD + 64, GUARD_BYTE, np.uint8)
        start = GUARD + -(raw.ctypes.data + GUARD) % 64
        self._around = (raw[:start], raw[start + nbytes :])
        raw[start : start + nbytes] = NAN_BYTE
        self.array: Array = raw[start : start + nbytes].view(tensor.dtype).reshape(physical_shape(tensor))

    def intact(self) -> bool:
        """Tell whether the guards still hold what they held."""
        return all(bool((guard == GUARD_BYTE).all()) for guard in self._around)


def run_kernel(kernel: Kernel, backend: Backend, device: Device, case: Case, *, threads: int | None = 1) -> list[Array]:
    """Compute a case twice through `backend.compile`, and return the outputs, in the plain layout.

    Inputs and weights are read-only, outputs and workspace start as NaN, the workspace has exactly the stated size,
    and the second run finds the workspace as the first one left it: asserts that guards stay intact, that inputs are
    as they were, and that both runs give the same bits.
    """
    call = call_in_layouts(kernel, case.call)
    count_in, count_out = len(call.inputs), len(call.outputs)
    workspace_type = TensorType((kernel.workspace(call),), "uint8")
    step = Step(
        layer_name="case",
        call=call,
        kernel=kernel,
        inputs=tuple(range(count_in)),
        outputs=tuple(range(count_in, count_in + count_out)),
        weights=Resident(kernel.pack(call, case.weights), kernel.packed_bytes(call)),
        workspace=count_in + count_out,
    )
    buffers = [BufferSpec(t, None) for t in (*call.inputs, *call.outputs)] + [BufferSpec(workspace_type, 0)]
    runnable = backend.compile(Segment(0, device, (step,)), buffers, threads)

    workspace = Guarded(workspace_type)
    inputs = [in_layout(x, t) for x, t in zip(case.inputs, call.inputs, strict=True)]
    before = [x.copy() for x in inputs]
    runs: list[list[Array]] = []
    for _ in range(2):
        outputs = [Guarded(t) for t in call.outputs]
        frame: Frame = [*inputs, *(o.array for o in outputs), workspace.array]
        runnable.run(frame)
        assert workspace.intact(), f"{kernel.name} wrote beyond its workspace of {workspace_type.nbytes} bytes"
        assert all(o.intact() for o in outputs), f"{kernel.name} wrote beyond its output"
        runs.append([o.array for o in outputs])
    assert _same_bits(inputs, before), f"{kernel.name} changed its inputs"
    assert _same_bits(*runs), f"{kernel.name} gives another result the second time"
    return [
        np.ascontiguousarray(logical_view(x, t)).reshape(t.shape) for x, t in zip(runs[0], call.outputs, strict=True)
    ]


def call_in_layouts(kernel: Kernel, call: LayerCall) -> LayerCall:
    """Return the call with inputs and outputs in the layouts that the kernel takes and gives."""
    return attrs.evolve(
        call,
        inputs=tuple(attrs.evolve(t, layout=kernel.takes(call)) for t in call.inputs),
        outputs=tuple(attrs.evolve(t, layout=kernel.gives(call)) for t in call.outputs),
    )


def in_layout(array: Array, tensor: TensorType) -> Array:
    """Return a read-only copy of an array, given in the plain layout, as it lies in memory in the tensor's layout."""
    placed = np.empty(physical_shape(tensor), array.dtype)
    logical_view(placed, tensor)[...] = array
    return frozen(placed)


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


def _same_bits(first: Sequence[Array], second: Sequence[Array]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(first, second, strict=True))
