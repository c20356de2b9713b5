"""What a device can do: by which kernels choose sizes, and decline what would not run."""

from __future__ import annotations

import attrs

from cnnrt.backend import Device

STAGING = 8 << 20
"""Bytes of the process's memory through which a value goes to a device that shares no memory with it."""


@attrs.frozen
class Limits:
    """A device's limits, in its own report. The defaults are the least that OpenCL 1.2 asks of a full device.

    - `work_group`: most work-items of a group, in all; `work_items`: along each dimension.
    - `local_bytes`: local memory of a group; `local_is_fast`: it is memory of its own, not the cached global one.
    - `allocation_bytes`: the largest buffer; `memory_bytes`: all of the device's memory.
    - `compute_units`; `float_vector`: floats of the vectors that its compiler likes.
    - `cpu`: it is the machine's processor. `shares_memory`: host and device work in the same memory.
    - `parts`: a part of it with some of its compute units can be used as a device of its own.
    - `half`: it computes in half precision (cl_khr_fp16). `alignment`: bytes that parts of a buffer are aligned to.
    """

    work_group: int = 1
    work_items: tuple[int, ...] = (1, 1, 1)
    local_bytes: int = 32 << 10
    local_is_fast: bool = False
    allocation_bytes: int = 128 << 20
    memory_bytes: int = 128 << 20
    compute_units: int = 1
    float_vector: int = 1
    cpu: bool = False
    shares_memory: bool = False
    parts: bool = False
    half: bool = False
    alignment: int = 512


@attrs.frozen
class OpenCLDevice(Device):
    """A device of OpenCL with its limits."""

    limits: Limits = Limits()


def limits_of(device: Device) -> Limits:
    """Return a device's limits; the least ones for a device that is not OpenCL's."""
    return device.limits if isinstance(device, OpenCLDevice) else Limits()
