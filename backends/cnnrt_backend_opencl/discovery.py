"""The devices of all platforms: their names, what they are, and why one cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import attrs

from cnnrt_backend_opencl.driver import Driver, Handle
from cnnrt_backend_opencl.limits import Limits, OpenCLDevice

ALIGNMENT = 512
"""Bytes that values in a device's memory are aligned to: the most that a driver is known to ask (NVIDIA's)."""
BACKEND = "opencl"
INSTALL = 'pip install "cnnrt[opencl]"'

BY_COUNTS = 0x1087
"""CL_DEVICE_PARTITION_BY_COUNTS."""

SHORT_NAMES = {
    "portable computing language": "pocl",
    "nvidia cuda": "nvidia",
    "amd accelerated parallel processing": "amd",
    "oclgrind": "oclgrind",
    "clover": "clover",
    "rusticl": "rusticl",
    "apple": "apple",
    "arm platform": "arm",
    "qualcomm snapdragon(tm)": "adreno",
}
"""Platforms by how they call themselves, and how users may call them."""


@attrs.frozen
class Found:
    """A device in sight, and the driver's handle of it; None where it cannot be used."""

    device: OpenCLDevice
    handle: Handle


def find_devices(driver: Driver) -> list[Found]:
    """Return every device of every platform, graphics processors and accelerators first.

    Where there is none, one that cannot be used says why and what to install.
    """
    if not driver.installed:
        return [_missing(f"pyopencl is not installed: {INSTALL}")]
    try:
        platforms = driver.platforms()
    except ImportError as error:
        return [_missing(f"pyopencl cannot be imported ({error}): {INSTALL}")]
    except Exception as error:
        return [_missing(f"no platform could be listed: {error}")]
    seen = [pair for platform in platforms for pair in _of_platform(driver, platform)]
    if not seen:
        return [_missing(f"no platform with a device is here; install the device's driver, or PoCL by {INSTALL}")]
    seen.sort(key=lambda pair: pair[1] is not None and _is_cpu(pair[1]))  # stable: platforms stay in order
    counts: Counter[str] = Counter()
    found = []
    for index, (platform, handle) in enumerate(seen):
        short = _short_name(str(platform.name))
        found.append(_described(driver, platform, handle, short, counts[short], index))
        counts[short] += 1
    return found


def _of_platform(driver: Driver, platform: Handle) -> Iterator[tuple[Handle, Handle]]:
    try:
        handles = driver.devices(platform)
    except Exception:
        yield platform, None
        return
    yield from ((platform, handle) for handle in handles)


def _described(driver: Driver, platform: Handle, handle: Handle, short: str, number: int, index: int) -> Found:
    name = short if number == 0 else f"{short}:{number}"
    aliases = [str(index), f"{short}:{number}"]
    if handle is None:
        problem = f"the platform {platform.name} does not list its devices"
        return Found(OpenCLDevice(BACKEND, name, str(platform.name), problem, {}, tuple(aliases)), None)
    limits = _limits(handle)
    title = str(handle.name).strip()
    details = {
        "platform": str(platform.name),
        "platform version": str(platform.version),
        "driver": str(handle.driver_version),
        "version": str(handle.version),
        "compute units": str(limits.compute_units),
        "memory": f"{limits.memory_bytes >> 20} MiB",
        "largest buffer": f"{limits.allocation_bytes >> 20} MiB",
        "work-group": str(limits.work_group),
        "local memory": f"{limits.local_bytes >> 10} KiB",
    }
    kind = "the processor, not counted for parallel" if limits.cpu else "shares memory" if limits.shares_memory else ""
    description = f"{title} ({kind})" if kind else title
    return Found(
        OpenCLDevice(
            BACKEND, name, description, _problem(handle, limits), details, (*aliases, title), limits, alone=limits.cpu
        ),
        handle,
    )


def _problem(handle: Handle, limits: Limits) -> str:
    """Return why a device cannot be used; empty: it can."""
    if not handle.available:
        return "its driver says that it is not available"
    if not handle.compiler_available:
        return "its driver brings no compiler"
    if _version(str(handle.version)) < (1, 2):
        return f"it offers {handle.version}, OpenCL 1.2 is needed"
    if limits.alignment > ALIGNMENT:
        return f"it aligns parts of buffers to {limits.alignment} bytes, more than {ALIGNMENT}"
    return ""


def _limits(handle: Handle) -> Limits:
    return Limits(
        work_group=int(handle.max_work_group_size),
        work_items=tuple(int(size) for size in handle.max_work_item_sizes),
        local_bytes=int(handle.local_mem_size),
        local_is_fast=int(handle.local_mem_type) == 1,  # CL_LOCAL
        allocation_bytes=int(handle.max_mem_alloc_size),
        memory_bytes=int(handle.global_mem_size),
        compute_units=int(handle.max_compute_units),
        float_vector=max(1, int(handle.preferred_vector_width_float)),
        cpu=_is_cpu(handle),
        shares_memory=bool(handle.host_unified_memory),
        parts=BY_COUNTS in getattr(handle, "partition_properties", ()),
        half="cl_khr_fp16" in str(handle.extensions).split(),
        alignment=int(handle.mem_base_addr_align) // 8,
    )


def _is_cpu(handle: Handle) -> bool:
    return bool(int(handle.type) & 2)  # CL_DEVICE_TYPE_CPU


def _version(text: str) -> tuple[int, ...]:
    """Return the numbers of `OpenCL 1.2 ...`, which the standard fixes; (0,) where they are not there."""
    words = text.split()
    numbers = words[1].split(".") if len(words) > 1 else []
    return tuple(int(n) for n in numbers) if all(n.isdecimal() for n in numbers) and numbers else (0,)


def _short_name(platform: str) -> str:
    lower = platform.lower()
    if lower in SHORT_NAMES:
        return SHORT_NAMES[lower]
    if "intel" in lower:
        return "intel"
    return lower.split()[0] if lower.split() else "opencl"


def _missing(problem: str) -> Found:
    return Found(OpenCLDevice(BACKEND, "-", "any device of OpenCL 1.2", problem), None)
