"""What a process holds of memory, as the system counts it: its own, or another one's, from outside.

Linux tells more than others (proc_pid_status(5)): pages of the process's own apart from those of mapped files, which
belong to the page cache and are given back when others need them.
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

import attrs

PROC = Path("/proc")


@attrs.frozen
class ProcessMemory:
    """Bytes of a process now: `resident` in all, of which `anonymous` are its own and `file` those of mapped files.

    `peak`: the most that was resident since it began, or since `forget_peak`.
    """

    resident: int
    anonymous: int
    file: int
    peak: int


def memory_of(process: int | str = "self") -> ProcessMemory | None:
    """Return what a process (its number, or "self") holds; None where the system does not tell, or it is gone."""
    try:
        text = (PROC / str(process) / "status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    found = {name: int(kib) << 10 for name, kib in re.findall(r"^(Vm\w+|Rss\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    if not {"VmRSS", "VmHWM", "RssAnon", "RssFile"} <= set(found):
        return None
    return ProcessMemory(found["VmRSS"], found["RssAnon"], found["RssFile"], found["VmHWM"])


def forget_peak(process: int | str = "self") -> bool:
    """Let the count of the peak start again from what is held now; tells whether the system can do that (Linux)."""
    with suppress(OSError):
        # proc_pid_clear_refs(5): 5 resets the peak resident set size.
        (PROC / str(process) / "clear_refs").write_text("5", encoding="ascii")
        return True
    return False


def peak_bytes() -> int:
    """Return the peak of this process's resident set in bytes, on any system."""
    if found := memory_of():
        return found.peak
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
