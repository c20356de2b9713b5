"""The processor and memory in front of the user, as far as this process may use them.

Linux tells everything in /proc and /sys; other systems tell names, cores and memory, and the rest stays unknown.
"""

from __future__ import annotations

import math
import os
import platform
import re
import time
from collections.abc import Collection, Iterable
from pathlib import Path

import attrs

from cnnrt.control_groups import GroupLimits, read_group_limits

VECTOR_EXTENSIONS = {
    # x86: /proc/cpuinfo's name, and the one in the manuals
    "sse4_2": "SSE4.2",
    "avx": "AVX",
    "f16c": "F16C",
    "fma": "FMA",
    "avx2": "AVX2",
    "avx_vnni": "AVX-VNNI",
    "avx512f": "AVX-512F",
    "avx512bw": "AVX-512BW",
    "avx512vl": "AVX-512VL",
    "avx512_vnni": "AVX-512 VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "avx512_fp16": "AVX-512 FP16",
    "amx_tile": "AMX",
    "amx_int8": "AMX-INT8",
    "amx_bf16": "AMX-BF16",
    # ARM
    "neon": "NEON",
    "asimd": "NEON",
    "asimdhp": "FP16",
    "asimddp": "dot product",
    "i8mm": "I8MM",
    "bf16": "BF16",
    "sve": "SVE",
    "sve2": "SVE2",
    "sme": "SME",
    # RISC-V
    "v": "RVV",
}
"""Extensions that matter to convolutions: in the order in which they are listed."""
QUOTA_SECONDS = 1.0
"""For so long a control group's quota is taken for what it was: reading it takes a third of a millisecond."""


@attrs.frozen
class Cache:
    """One level of cache: bytes, and how many logical processors share one of them."""

    level: int
    kind: str
    bytes: int
    shared_by: int


@attrs.frozen
class Hardware:
    """What this process runs on.

    - `cores_online`: logical processors of the machine; `cores_allowed`: those that this process may run on (affinity);
      `quota`: processors' worth of time that its control group gives it, None: no limit.
    - `physical_cores`: cores behind the allowed ones, None: unknown.
    - `caches`, `vector_extensions`: empty where the system does not tell.
    - `memory_total`, `memory_available`: bytes of the machine, and what can be had now without swapping;
      `memory_limit`: the control group's, None: no limit.
    """

    processor: str
    architecture: str
    cores_online: int
    cores_allowed: int
    quota: float | None
    physical_cores: int | None
    caches: tuple[Cache, ...]
    vector_extensions: tuple[str, ...]
    memory_total: int
    memory_available: int
    memory_limit: int | None

    @property
    def cores_usable(self) -> int:
        """Threads that can run at the same time: the allowed cores, or what the quota pays for, rounded up."""
        return _usable(self.cores_allowed, self.quota)


def detect_hardware(system: Path = Path("/")) -> Hardware:
    """Return what this process runs on. `system` is where /proc and /sys are looked for."""
    cpuinfo = _text(system / "proc/cpuinfo")
    limits = read_group_limits(system)
    allowed = allowed_cores()
    total, available = _memory(system)
    return Hardware(
        processor=processor_name(cpuinfo),
        architecture=platform.machine(),
        cores_online=os.cpu_count() or 1,
        cores_allowed=len(allowed),
        quota=limits.cpus,
        physical_cores=_physical_cores(system, allowed),
        caches=_caches(system, min(allowed, default=0)),
        vector_extensions=_vector_extensions(cpuinfo),
        memory_total=total,
        memory_available=_within(limits, available),
        memory_limit=limits.memory,
    )


def processor_name(cpuinfo: str) -> str:
    """Return the processor's name as people know it ("AMD EPYC 9554"), else its architecture.

    `cpuinfo` is the text of /proc/cpuinfo, empty where there is none.
    """
    # x86 says "model name", POWER "cpu", RISC-V "uarch"; ARM "Hardware" or, on boards, "Model", if anything.
    for key in ("model name", "cpu", "uarch", "Hardware", "Model"):
        found = re.search(rf"^{key}\s*:[ \t]*(\S.*)$", cpuinfo, re.MULTILINE)
        if found:
            return found.group(1).strip()
    name = _sysctl("machdep.cpu.brand_string") if platform.system() == "Darwin" else ""
    return name or platform.processor() or platform.machine() or "unknown processor"


def allowed_cores() -> set[int]:
    """Return the logical processors that the calling thread may run on (affinity), as it is now."""
    try:
        return os.sched_getaffinity(0)
    except AttributeError:  # a system where threads are not bound to processors
        return set(range(os.cpu_count() or 1))


def usable_cores(allowed: Collection[int] | None = None) -> int:
    """Return how many threads can run at the same time now, as `Hardware.cores_usable`; takes about a microsecond.

    `allowed`: what `allowed_cores` gives. A quota that changes is seen within `QUOTA_SECONDS`.
    """
    global _quota, _quota_until
    now = time.monotonic()
    if now >= _quota_until:
        _quota = read_group_limits().cpus
        _quota_until = now + QUOTA_SECONDS
    return _usable(len(allowed_cores() if allowed is None else allowed), _quota)


_quota: float | None = None
_quota_until = -math.inf


def _usable(allowed: int, quota: float | None) -> int:
    return allowed if quota is None else min(allowed, max(1, math.ceil(quota)))


def _physical_cores(system: Path, allowed: Iterable[int]) -> int | None:
    """Count the cores behind logical processors: those that share one are each other's thread siblings."""
    cores = set()
    for number in allowed:
        siblings = _text(system / f"sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list").strip()
        if not siblings:
            return None
        cores.add(siblings)
    return len(cores) or None


def _caches(system: Path, number: int) -> tuple[Cache, ...]:
    """Return the caches of data of one logical processor, the nearest first."""
    caches = []
    for folder in sorted(system.glob(f"sys/devices/system/cpu/cpu{number}/cache/index*")):
        kind = _text(folder / "type").strip()
        size = re.fullmatch(r"(\d+)([KMG])", _text(folder / "size").strip())
        level = _text(folder / "level").strip()
        if size and level.isdigit() and kind in ("Data", "Unified"):
            nbytes = int(size[1]) << {"K": 10, "M": 20, "G": 30}[size[2]]
            shared = len(parse_cpu_list(_text(folder / "shared_cpu_list"))) or 1
            caches.append(Cache(int(level), kind.lower(), nbytes, shared))
    return tuple(sorted(caches, key=lambda cache: cache.level))


def parse_cpu_list(text: str) -> set[int]:
    """Return the processors in a list as the kernel writes it: "0-3,8"."""
    numbers: set[int] = set()
    for part in text.strip().split(","):
        found = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if found:
            numbers.update(range(int(found[1]), int(found[2] or found[1]) + 1))
    return numbers


def _vector_extensions(cpuinfo: str) -> tuple[str, ...]:
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    flags = set(found.group(1).split()) if found else set()
    if isa := re.search(r"^isa\s*:\s*rv\d+([a-z]*)", cpuinfo, re.MULTILINE):
        flags.update(set(isa.group(1)) & {"v"})
    return tuple(dict.fromkeys(name for flag, name in VECTOR_EXTENSIONS.items() if flag in flags))


def _memory(system: Path) -> tuple[int, int]:
    """Return the bytes of the machine, and those that can be had without swapping."""
    rows = dict(re.findall(r"^(\w+):\s+(\d+) kB$", _text(system / "proc/meminfo"), re.MULTILINE))
    if "MemTotal" in rows and "MemAvailable" in rows:
        return int(rows["MemTotal"]) << 10, int(rows["MemAvailable"]) << 10
    import psutil

    memory = psutil.virtual_memory()
    return memory.total, memory.available


def _within(limits: GroupLimits, available: int) -> int:
    if limits.memory is None:
        return available
    return min(available, max(0, limits.memory - (limits.memory_used or 0)))


def _sysctl(name: str) -> str:
    import subprocess

    try:
        command = ["/usr/sbin/sysctl", "-n", name]
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
