"""Programs as the driver compiled them, on disk: a file for each, by its key.

The key holds the source, the options, the device with its driver, and pyopencl's version, so that nothing is ever
stale. A file that is damaged, cut short or of another user is as good as none, and is replaced.
"""

from __future__ import annotations

from cnnrt.cache_folder import cache_folder
from cnnrt.cached_file import make_room, read_cached, write_cached

MAGIC = b"cnnrt-cl"
DIGEST = 32
MOST_BYTES = 64 << 20
FOLDER = "opencl"
BOUND = 256 << 20
"""Bytes of all files; what was not used for longest goes."""


def program_key(source: str, options: str, device: str, version: str) -> str:
    """Return what tells a program from others."""
    import hashlib  # here: OpenSSL takes megabytes

    return hashlib.sha256("\0".join((source, options, device, version)).encode()).hexdigest()


def cached_binary(key: str) -> bytes | None:
    """Return what is kept under a key; None where nothing is, or it is damaged."""
    folder = cache_folder(FOLDER)
    if folder is None:
        return None
    data = read_cached(folder / f"{key}.bin", MOST_BYTES)
    if data is None:
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
    if write_cached(folder / f"{key}.bin", MAGIC + _digest(key, binary) + binary):
        make_room(folder, BOUND)


def _digest(key: str, content: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(key.encode() + content).digest()
