"""The kernels that can compute a call: all of all devices that may be used, with the reasons of those that cannot."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from cnnrt.backend import Device, Kernel
from cnnrt.layer_call import LayerCall
from cnnrt.plugins import PluginHost


@attrs.frozen
class Candidate:
    """A kernel on a device, and the seconds that its cost model expects.

    `memory`: the device's title where it computes in memory of its own; empty: in that of the process.
    """

    device: Device
    kernel: Kernel
    seconds: float
    memory: str = ""


@attrs.frozen
class Candidates:
    """Those that can, the one that is expected to be the fastest first, and why the others cannot."""

    able: tuple[Candidate, ...]
    reasons: tuple[str, ...]
    quarantined: tuple[str, ...] = ()


def find_candidates(
    call: LayerCall,
    devices: Sequence[Device],
    host: PluginHost,
    quarantine: Callable[[Kernel, Device], str],
    threads: int | None,
) -> Candidates:
    """Return the candidates for a call, for as many threads as the user allows (None: no limit).

    `quarantine` tells why a kernel must not be used on a device; empty: it may.
    """
    layer = call.layer.type
    known = host.kernels({device.backend for device in devices})
    able: list[Candidate] = []
    reasons: list[str] = []
    quarantined: list[str] = []
    for device in devices:
        memory = memory_of(device, host)
        kernels = [k for k in known.values() if k.layer.lower() == layer.lower()]
        own = [k for k in kernels if k.backend == device.backend]
        if not own:
            reasons.append(f"{device.backend} has no kernel for {layer}")
        reasons += [
            f"{device.backend}/{name}: {text}"
            for (of_layer, backend, name), text in known.collisions.items()
            if (of_layer, backend) == (layer.lower(), device.backend)
        ]
        for kernel in own:
            answer = _can_run(kernel, call, device)
            if answer is not True:
                reasons.append(f"{device.backend}/{kernel.name}: {answer}")
            elif kernel.compiled and (problem := quarantine(kernel, device)):
                quarantined.append(f"{device.backend}/{kernel.name} is quarantined: {problem}")
            else:
                # By what the kernel takes on the whole machine: results do not depend on the number of threads.
                able.append(Candidate(device, kernel.for_threads(threads), kernel.estimate(call, device), memory))
    able.sort(key=lambda c: c.seconds)
    return Candidates(tuple(able), (*reasons, *quarantined), tuple(quarantined))


def memory_of(device: Device, host: PluginHost) -> str:
    """Return the title of a device that computes in memory of its own; empty for others."""
    backend = host.backends().find(device.backend)
    return device.title if backend and backend.own_memory(device) is not None else ""


def _can_run(kernel: Kernel, call: LayerCall, device: Device) -> bool | str:
    for folded in call.folded:
        if folded.type not in kernel.folds:
            return f"does not apply a folded {folded.type}"
    for tensor in call.weights.values():
        if tensor.dtype not in kernel.weight_types:
            return f"does not keep weights in {tensor.dtype}"
    return kernel.can_run(call, device)
