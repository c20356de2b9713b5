"""What a fact about kernels holds for, as plain JSON: device, source, search space, threads, layer and shapes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from cnnrt.backend import Device, Kernel
from cnnrt.candidates import Candidate
from cnnrt.layer_call import LayerCall
from cnnrt.tensor import TensorType


def batch_bucket(images: int) -> int:
    """Return the bucket of a batch: 1, 2, 4, 8, 16, ..., the next one that is not smaller."""
    return 1 << (images - 1).bit_length() if images > 0 else 0


def batch_of(call: LayerCall) -> int | None:
    """Return the batch of a call, None where its inputs and outputs do not share one."""
    firsts = {t.shape[:1] for t in (*call.inputs, *call.outputs)}
    return next(iter(firsts))[0] if len(firsts) == 1 and firsts != {()} else None


def with_batch(call: LayerCall, batch: int) -> LayerCall:
    """Return the call on so many images."""

    def resized(tensors: Sequence[TensorType]) -> tuple[TensorType, ...]:
        return tuple(attrs.evolve(t, shape=(batch, *t.shape[1:])) for t in tensors)

    return attrs.evolve(call, inputs=resized(call.inputs), outputs=resized(call.outputs))


def in_bucket(call: LayerCall) -> LayerCall:
    """Return the call that stands for all whose batch is in the same bucket."""
    batch = batch_of(call)
    return call if batch is None else with_batch(call, batch_bucket(batch))


def call_key(call: LayerCall) -> dict[str, Any]:
    """Return what is called on what; layouts do not count, since kernels state theirs."""
    return {
        "layer": repr(call.layer),
        "folded": [repr(folded) for folded in call.folded],
        "inputs": [_tensor(t) for t in call.inputs],
        "outputs": [_tensor(t) for t in call.outputs],
        "weights": {name: _tensor(t) for name, t in sorted(call.weights.items())},
    }


def kernel_key(kernel: Kernel, device: Device) -> dict[str, Any]:
    """Return a kernel by name and source on a device: what is quarantined."""
    return {
        "kernel": f"{kernel.layer}/{kernel.backend}/{kernel.name}",
        "source": kernel.source_digest,
        "device": device.identity,
    }


def verification_key(kernel: Kernel, device: Device, call: LayerCall, threads: int | None) -> dict[str, Any]:
    """Return a kernel at work on exactly these shapes, by so many threads: its code is made for them."""
    return {**kernel_key(kernel, device), "tuning": dict(kernel.tuning), "call": call_key(call), "threads": threads}


def measurement_key(call: LayerCall, candidates: Sequence[Candidate], threads: int | None) -> dict[str, Any]:
    """Return a call in its bucket, and the kernels that compete with all that they can be tuned by."""
    standing = in_bucket(call)
    space = [
        {
            **kernel_key(c.kernel, c.device),
            "tunables": [[t.name, *t.values] for t in c.kernel.tunables(standing, c.device)],
        }
        for c in candidates
    ]
    return {
        "call": call_key(standing),
        "threads": threads,
        "space": sorted(space, key=lambda row: (row["device"], row["kernel"])),
    }


def _tensor(tensor: TensorType) -> list[Any]:
    return [tensor.dtype, *tensor.shape, *([f"pitch {tensor.pitch}"] if tensor.pitch else ())]
