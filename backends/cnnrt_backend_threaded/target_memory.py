"""What LLVM said of this processor, remembered, so that the next start need not load LLVM to ask again.

Only where the system describes its processor as a whole, in /proc/cpuinfo: elsewhere two processors with unequal
instructions might be taken for one another.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import attrs

from cnnrt.cache_folder import cache_folder
from cnnrt.cached_file import read_cached, write_cached
from cnnrt_backend_threaded.processor_target import Target

_CHANGING = re.compile(r"^(processor|cpu MHz|bogomips|core id|apicid|initial apicid|physical id)\b.*$", re.M | re.I)


def remembered_target() -> Target | None:
    """Return the target of this processor, if LLVM was asked before."""
    import hashlib  # here: OpenSSL takes megabytes

    place = _place()
    data = place and read_cached(place)
    if not data:
        return None
    try:
        digest, _, text = data.decode().partition("\n")
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            return None
        return Target(**json.loads(text))
    except (ValueError, TypeError):
        return None


def remember_target(target: Target) -> Target:
    """Keep a target for the next start, and return it."""
    import hashlib  # here: OpenSSL takes megabytes

    if place := _place():
        text = json.dumps(attrs.asdict(target))
        write_cached(place, f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}".encode())
    return target


def _place() -> Path | None:
    import hashlib  # here: OpenSSL takes megabytes

    from cnnrt_backend_threaded.code_key import compiler_version

    processor = describe_processor()
    folder = cache_folder("code") if processor else None
    if folder is None:
        return None
    name = hashlib.sha256(f"{compiler_version()}\n{processor}".encode()).hexdigest()
    return folder / f"{name}.target"


def describe_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return what does not change in the description of the first processor; empty where there is none."""
    try:
        first = cpuinfo.read_text(errors="replace").partition("\n\n")[0]
    except OSError:
        return ""
    return _CHANGING.sub("", first) if re.search(r"^(flags|Features)\s*:", first, re.M) else ""
