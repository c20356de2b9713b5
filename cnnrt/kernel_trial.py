"""A kernel at work alone: compiled by its backend for one call, with random inputs and weights in its own layouts.

Kernels are verified, tuned and tested this way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import attrs
import numpy as np

from cnnrt.backend import (
    Backend,
    BufferSpec,
    Device,
    Kernel,
    Packed,
    Runnable,
    Segment,
    Step,
    StepTimer,
    StoredWeights,
    WeightPiece,
)
from cnnrt.layer import Array, Shape
from cnnrt.layer_call import LayerCall
from cnnrt.layouts import extent_bytes, logical_view, physical_shape, place_array
from cnnrt.stored_weights import HeldWeights
from cnnrt.tensor import TensorType

PERIOD = 999_983
"""Random values after which they repeat: a prime, so that no two rows of an array are alike."""
ALIGNMENT = 64
NAN_BYTE = 0xFF
"""Every float of these bytes is NaN, whatever its width."""


@attrs.frozen
class Resident:
    """Packed weights that stay in memory; satisfies `cnnrt.backend.Weights`."""

    packed: Packed
    nbytes: int = 0
    resident: bool = True

    def get(self) -> Packed:
        """Return them."""
        return self.packed

    def pieces(self) -> Iterator[WeightPiece]:
        """Yield them in one piece; nothing asks, since they are resident."""
        yield WeightPiece(self.packed, 0, 1)


@attrs.frozen
class Passing:
    """Weights that are packed slice by slice when they are asked for; satisfies `cnnrt.backend.Weights`."""

    kernel: Kernel
    call: LayerCall
    stored: StoredWeights
    nbytes: int = 0
    resident: bool = False

    def get(self) -> Packed:
        """Return all of them."""
        return self.kernel.pack_stored(self.call, self.stored)

    def pieces(self) -> Iterator[WeightPiece]:
        """Yield one slice after the other."""
        slices = self.kernel.slices(self.call)
        if slices == 1:
            yield WeightPiece(self.get(), 0, 1)
            return
        for first in range(slices):
            yield WeightPiece(self.kernel.pack_slices(self.call, self.stored, first, first + 1), first, first + 1)


@attrs.frozen
class KernelTrial:
    """A compiled call: its types in the kernel's layouts, its inputs, what runs it, and the scratch memory to give it.

    Backends with memory of their own are given none. `apart`: it runs on such a device, whose clock tells its time.
    """

    call: LayerCall
    inputs: tuple[Array, ...]
    runnable: Runnable
    workspace: TensorType
    apart: bool = False

    def run(self, outputs: Sequence[Array], workspace: Array, timer: StepTimer | None = None) -> None:
        """Compute the call into the outputs, which lie in the kernel's layouts."""
        self.runnable.run([*self.inputs, *outputs, workspace], timer)

    def buffers(self) -> tuple[list[Array], Array]:
        """Return fresh outputs and a workspace, all NaN, each beginning on a cache line."""
        return [unwritten(t) for t in self.call.outputs], unwritten(self.workspace)

    def plain(self, outputs: Sequence[Array]) -> list[Array]:
        """Return views of outputs with the axes in the order of their logical shapes."""
        return [logical_view(x, t) for x, t in zip(outputs, self.call.outputs, strict=True)]


def make_trial(
    kernel: Kernel,
    backend: Backend,
    device: Device,
    call: LayerCall,
    inputs: Sequence[Array],
    weights: Mapping[str, Array],
    threads: int | None,
    *,
    name: str = "trial",
    streamed: bool = False,
) -> KernelTrial:
    """Return a call compiled by the backend, for at most so many threads (None: no limit).

    `call`, `inputs` and `weights` (float32) are in the plain layout. `streamed`: the weights do not stay, but pass
    slice by slice.
    """
    kernel = kernel.for_threads(threads)
    placed = call_in_layouts(kernel, call)
    workspace = TensorType((kernel.workspace(placed),), "uint8")
    private = backend.own_memory(device) is not None
    tensors = (*placed.inputs, *placed.outputs)
    slots = tuple(range(len(tensors) + 1))
    stored, nbytes = HeldWeights(weights), kernel.packed_bytes(placed)
    held = (
        Passing(kernel, placed, stored, nbytes)
        if streamed
        else Resident(kernel.stay(kernel.pack_stored(placed, stored)), nbytes)
    )
    step = Step(
        layer_name=name,
        call=placed,
        kernel=kernel,
        inputs=slots[: len(placed.inputs)],
        outputs=slots[len(placed.inputs) : -1],
        weights=held,
        workspace=slots[-1],
    )
    specs = [*(BufferSpec(t, None) for t in tensors), BufferSpec(workspace, 0, private)]
    runnable = backend.compile(Segment(0, device, (step,)), specs, threads)
    own = tuple(in_layout(x, t) for x, t in zip(inputs, placed.inputs, strict=True))
    return KernelTrial(placed, own, runnable, TensorType((0,), "uint8") if private else workspace, private)


def trial_bytes(kernel: Kernel, call: LayerCall) -> int:
    """Return the bytes that a trial of a kernel holds beside the plain inputs and weights."""
    placed = call_in_layouts(kernel, call)
    tensors = sum(t.nbytes for t in (*placed.inputs, *placed.outputs))
    return tensors + kernel.workspace(placed) + kernel.packed_bytes(placed)


def plain_bytes(call: LayerCall) -> int:
    """Return the bytes of a call's plain inputs and weights."""
    return sum(t.nbytes for t in call.inputs) + call.loaded_bytes


def call_in_layouts(kernel: Kernel, call: LayerCall) -> LayerCall:
    """Return the call with inputs and outputs in the layouts that the kernel takes and gives."""
    return call.in_layouts(kernel.takes(call), kernel.gives(call))


def in_layout(array: Array, tensor: TensorType) -> Array:
    """Return a read-only copy of an array, given in the plain layout, as it lies in memory in the tensor's layout."""
    placed = np.empty(physical_shape(tensor), array.dtype)
    logical_view(placed, tensor)[...] = array
    placed.flags.writeable = False
    return placed


def random_arrays(call: LayerCall, seed: int = 0) -> tuple[list[Array], dict[str, Array]]:
    """Return normally distributed float32 inputs and weights for a call, the same for the same seed.

    A weight that has a least value (`WeightSpec.least`) lies above it. Large weights are read-only and share memory:
    their rows are windows, some steps apart, of the same numbers.
    """
    base = np.random.default_rng(seed).standard_normal(PERIOD, np.float32)
    least = {spec.name.lower(): spec.least for spec in call.layer.weights}
    start = 0

    def values(shape: Shape) -> Array:
        nonlocal start
        flat = np.empty(math.prod(shape), np.float32)
        for first in range(0, flat.size, PERIOD):
            block = flat[first : first + PERIOD]
            head = min(block.size, PERIOD - start)
            block[:head] = base[start : start + head]
            block[head:] = base[: block.size - head]
        start = (start + 7919) % PERIOD
        return flat.reshape(shape)

    inputs = [values(t.shape) for t in call.inputs]
    weights = {}
    for name, tensor in call.weights.items():
        weights[name] = _windows(base, tensor.shape) if math.prod(tensor.shape) > PERIOD else values(tensor.shape)
        bound = least.get(name.lower())
        if bound is not None:
            weights[name] = np.abs(weights[name]) + np.float32(bound)
    return inputs, weights


def unwritten(tensor: TensorType) -> Array:
    """Return an array full of NaN that begins on a cache line."""
    raw = np.full(extent_bytes(tensor) + ALIGNMENT, NAN_BYTE, np.uint8)
    return place_array(raw, tensor, -raw.ctypes.data % ALIGNMENT)


def _windows(base: Array, shape: Shape) -> Array:
    """Return an array of this shape whose rows (axis 0) are windows of `base`, repeated if it is shorter than a row."""
    row = math.prod(shape[1:])
    line = np.resize(base, row + max(base.size, shape[0]))
    step = (line.size - row) // shape[0]
    inner = [4 * math.prod(shape[i + 1 :]) for i in range(1, len(shape))]
    return np.lib.stride_tricks.as_strided(line, shape, (4 * step, *inner), writeable=False)
