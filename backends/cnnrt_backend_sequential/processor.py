"""What the processor calls itself."""

from __future__ import annotations

import platform
from pathlib import Path


def processor_name() -> str:
    """Return the processor's name as people know it ("AMD EPYC 9554"), or its architecture where it tells none."""
    system = platform.system()
    name = ""
    if system == "Linux":
        name = _from_cpuinfo(Path("/proc/cpuinfo"))
    elif system == "Darwin":
        name = _from_sysctl()
    return name or platform.processor() or platform.machine() or "unknown processor"


def _from_cpuinfo(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    # x86 says "model name"; ARM kernels say "Hardware" or, on boards, "Model", if anything.
    for key in ("model name", "Hardware", "Model"):
        for line in lines:
            label, colon, value = line.partition(":")
            if colon and label.strip() == key and value.strip():
                return value.strip()
    return ""


def _from_sysctl() -> str:
    import subprocess

    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
