"""One kernel run under hostile conditions: nothing prepared for it but what its contract promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cnnrt.backend import Backend, Device, Kernel, Packed
from cnnrt.kernel_trial import NAN_BYTE, make_trial
from cnnrt.layer import Array
from cnnrt.layouts import extent_bytes, place_array
from cnnrt.tensor import TensorType
from cnnrt.testing.case import Case

GUARD = 256
"""Bytes before and after each array that must come back unchanged."""
GUARD_BYTE = 0xA5


class Guarded:
    """An array full of NaN between two guards, its first value on a cache line; gaps between runs are guarded too."""

    def __init__(self, tensor: TensorType) -> None:
        self._raw = np.full(extent_bytes(tensor) + 2 * GUARD + 64, GUARD_BYTE, np.uint8)
        self._type, self._start = tensor, GUARD + -(self._raw.ctypes.data + GUARD) % 64
        self.array: Array = self._fill(self._raw, NAN_BYTE)

    def intact(self) -> bool:
        """Tell whether the guards still hold what they held."""
        around = self._raw.copy()
        self._fill(around, GUARD_BYTE)
        return bool((around == GUARD_BYTE).all())

    def _fill(self, raw: Array, byte: int) -> Array:
        array = place_array(raw, self._type, self._start)
        array[...] = np.full(array.itemsize, byte, np.uint8).view(array.dtype)[0]
        return array


def run_kernel(kernel: Kernel, backend: Backend, device: Device, case: Case, *, threads: int | None = 1) -> list[Array]:
    """Compute a case twice through `backend.compile`, and return the outputs, in the plain layout.

    Inputs and weights are read-only, outputs and workspace start as NaN, the workspace has exactly the stated size,
    and the second run finds the workspace as the first one left it: asserts that guards stay intact, that inputs are
    as they were, and that both runs give the same bits.
    """
    trial = make_trial(kernel, backend, device, case.call, case.inputs, case.weights, threads, name="case")
    workspace = Guarded(trial.workspace)
    inputs = trial.inputs
    before = [x.copy() for x in inputs]
    runs: list[list[Array]] = []
    for _ in range(2):
        outputs = [Guarded(t) for t in trial.call.outputs]
        trial.run([o.array for o in outputs], workspace.array)
        assert workspace.intact(), f"{kernel.name} wrote beyond its workspace of {trial.workspace.nbytes} bytes"
        assert all(o.intact() for o in outputs), f"{kernel.name} wrote beyond its output"
        runs.append([o.array for o in outputs])
    assert _same_bits(inputs, before), f"{kernel.name} changed its inputs"
    assert _same_bits(*runs), f"{kernel.name} gives another result the second time"
    return [
        np.ascontiguousarray(x).reshape(t.shape) for x, t in zip(trial.plain(runs[0]), trial.call.outputs, strict=True)
    ]


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
