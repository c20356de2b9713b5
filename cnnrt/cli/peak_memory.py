"""The most memory that this process has held, as the system counts it."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from pathlib import Path

STATUS = Path("/proc/self/status")


def forget_peak() -> bool:
    """Let the count start again from what is held now; tells whether the system can do that (Linux)."""
    with suppress(OSError):
        # proc_pid_clear_refs(5): 5 resets the peak resident set size.
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return True
    return False


def peak_bytes() -> int:
    """Return the peak of the resident set in bytes."""
    with suppress(OSError):
        found = re.search(r"^VmHWM:\s+(\d+) kB$", STATUS.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return int(found[1]) << 10
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10
