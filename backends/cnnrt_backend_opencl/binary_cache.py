"""Programs as the driver compiled them, on disk: a file for each, by its key.

The key holds the source, the options, the device with its driver, and pyopencl's version, so that nothing is ever
stale. A file that is damaged, cut short or of another user is as good as none, and is replaced.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from cnnrt.cache_folder import cache_folder

MAGIC = b"cnnrt-cl"
DIGEST = 32
MOST_BYTES = 64 << 20
FOLDER = "opencl"
BOUND = 256 << 20
"""Bytes of all files; the oldest go."""


def program_key(source: str, options: str, device: str, version: str) -> str:
    """Return what tells a program from others."""
    import hashlib  # here: OpenSSL takes megabytes

    return hashlib.sha256("\0".join((source, options, device, version)).encode()).hexdigest()


def cached_binary(key: str) -> bytes | None:
    """Return what is kept under a key; None where nothing is, or it is damaged."""
    folder = cache_folder(FOLDER)
    if folder is None:
        return None
    path = folder / f"{key}.bin"
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            foreign = hasattr(os, "getuid") and found.st_uid != os.getuid()
            if not stat.S_ISREG(found.st_mode) or foreign or found.st_size > MOST_BYTES:
                return None
            data = file.read()
        os.utime(path)
    except OSError:
        return None
    head = len(MAGIC) + DIGEST
    content = data[head:]
    if data[:head] != MAGIC + _digest(key, content) or not content:
        return None
    return content


def keep_binary(key: str, binary: bytes) -> None:
    """Keep a program under a key, if that is possible."""
    folder = cache_folder(FOLDER)
    if folder is None or not binary or len(binary) > MOST_BYTES:
        return
    beside = folder / f".{key}.{os.urandom(8).hex()}.part"
    with suppress(OSError):
        try:
            beside.write_bytes(MAGIC + _digest(key, binary) + binary)
            beside.replace(folder / f"{key}.bin")
        finally:
            beside.unlink(missing_ok=True)
        _make_room(folder)


def _digest(key: str, content: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(key.encode() + content).digest()


def _make_room(folder: Path) -> None:
    entries = sorted((f.stat().st_mtime, f.stat().st_size, f) for f in folder.glob("*.bin"))
    total = sum(size for _, size, _ in entries)
    for _, size, file in entries:
        if total <= BOUND:
            return
        file.unlink(missing_ok=True)
        total -= size
