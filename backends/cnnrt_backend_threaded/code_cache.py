"""Code images on disk, one file each, by their key: a second start neither writes nor compiles any code.

Whatever is wrong with an entry (missing, cut short, damaged, of another key or another user), it is as if it were not
there, and is replaced. Several processes may read and write at once: entries appear whole, by renaming. What was not
used for longest goes when the folder grows beyond its bound.
"""

from __future__ import annotations

import itertools
import logging
import os

from cnnrt.cache_folder import cache_folder
from cnnrt.cached_file import make_room, open_cached, read_all, write_cached
from cnnrt_backend_threaded.code_image import MOST_BYTES, CodeImage, ImageFileError, from_file, to_file
from cnnrt_backend_threaded.executable_memory import map_copy, map_file

log = logging.getLogger("cnnrt.cache")

BOUND = 256 << 20
"""Bytes of all entries."""
LOOKING = 32
"""Entries that a process writes until it looks again how large the folder is; it does so at the first, too."""

_written = itertools.count()


def map_cached(key: str) -> dict[str, int] | None:
    """Return the addresses of the functions that are kept under a key, mapped now; None where there are none."""
    folder = cache_folder("code")
    descriptor = open_cached(folder / f"{key}.image") if folder else None
    if descriptor is None:
        return None
    try:
        data = read_all(descriptor, MOST_BYTES)
        if data is None:
            return None
        image, start = from_file(data, key)
        address = map_file(descriptor, start, len(image.code)) or map_copy(image.code)
    except (ImageFileError, OSError) as error:
        log.debug("the code kept as %s is not used: %s", key, error)
        return None
    finally:
        os.close(descriptor)
    return {name: address + offset for name, offset in image.entries.items()}


def keep(key: str, image: CodeImage) -> None:
    """Keep an image under a key, if that is possible."""
    folder = cache_folder("code")
    if folder and write_cached(folder / f"{key}.image", to_file(image, key)) and next(_written) % LOOKING == 0:
        make_room(folder, BOUND)


def map_image(image: CodeImage) -> dict[str, int]:
    """Return the addresses of an image's functions, mapped now. Raises OSError."""
    address = map_copy(image.code)
    return {name: address + offset for name, offset in image.entries.items()}
