"""Images, as preprocessing reads them."""

from __future__ import annotations

import functools
import io
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from cnnrt.preprocessing import Preprocessing
from fuzz import worst_cases
from fuzz.chunk_mutations import mutated_png
from fuzz.mutations import mutated
from fuzz.target import Guarded, Target
from netfile_spec import CnnrtError

_READERS = (
    Preprocessing("rgb", None, 1.0, None),
    Preprocessing("bgr", np.ones((3, 1, 1), np.float32), 0.5, (6, 7)),
    Preprocessing("gray", np.ones((1, 8, 9), np.float32), 1e38, None),
)
_WORDS: tuple[bytes, ...] = (
    b"\xff\xd8",
    b"\xff\xc0",
    b"\xff\xc2",
    b"\xff\xc4",
    b"\xff\xda",
    b"\xff\xd9",
    b"\xff\xdb",
    b"\xff\xdd",
    b"\xff\xe1",
    b"\xff\xfe",
)
_WORDS += (
    b"Exif\0\0MM\0*",
    b"GIF89a",
    b"RIFF",
    b"WEBPVP8X",
    b"VP8L",
    b"ANIM",
    b"BM",
    b"P6\n9999999 9999999\n255\n",
    b"P5 1 1 65535\n",
    b"II*\0",
)
_WORDS += (
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    b"SIMPLE  =",
    b"\x89PNG\r\n\x1a\n",
    b"\0" * 8,
    b"\xff" * 8,
)


@functools.cache
def _seeds() -> tuple[tuple[str, bytes], ...]:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 9, 4), np.uint8)
    picture = Image.fromarray(pixels[..., :3])
    seeds: list[tuple[str, bytes]] = []

    def add(image: Image.Image, kind: str, **options: Any) -> None:
        stream = io.BytesIO()
        image.save(stream, kind, **options)
        seeds.append((kind, stream.getvalue()))

    for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "I;16"):
        image = Image.fromarray(pixels[..., 0].astype(np.uint16)) if mode == "I;16" else picture.convert(mode)
        add(image, "PNG")
    add(picture.convert("P"), "PNG", transparency=3)
    add(picture, "PNG", save_all=True, append_images=[picture])
    add(picture, "JPEG")
    add(picture, "JPEG", progressive=True, quality=20)
    add(picture.convert("L"), "JPEG", restart_marker_blocks=1)
    add(picture.convert("CMYK"), "JPEG")
    add(picture, "GIF", save_all=True, append_images=[picture.rotate(90)])
    for mode in ("1", "L", "RGB"):
        add(picture.convert(mode), "BMP")
        add(picture.convert(mode), "PPM")
    add(picture, "WEBP", lossless=True)
    add(picture, "WEBP")
    add(picture, "WEBP", save_all=True, append_images=[picture.rotate(180)])
    for compression in ("raw", "tiff_lzw", "packbits", "tiff_adobe_deflate", "jpeg"):
        add(picture, "TIFF", compression=compression)
    return tuple(seeds)


def _make(random: Random) -> bytes:
    kind, data = random.choice(_seeds())
    others = [other for _, other in _seeds()]
    if kind == "PNG" and random.random() < 0.7:
        return mutated_png(random, data, others)
    return mutated(random, data, others, _WORDS)


def _prepare(folder: Path) -> None:
    for _, data in _seeds():
        for extra in range(3):
            with suppress(CnnrtError):
                _read(data + b"\0" * extra, folder, nullcontext)


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "image"
    path.write_bytes(data)
    with guarded():
        array = _READERS[len(data) % 3].load(path)
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert array.shape[0] in (1, 3)


TARGET = Target(
    "image",
    _prepare,
    _make,
    _read,
    ("cnnrt/preprocessing.py",),
    cases=worst_cases.IMAGE,
)
