"""Darknet's files as tests need them, and the loops of Darknet that define what some sections mean."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
from cnnrt.importer import ImportedModel
from cnnrt.layer import Array
from cnnrt_import_darknet.importer import DarknetImporter

NET = "[net]\nchannels=3\nheight=6\nwidth=8\n"


def values(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def write(
    folder: Path, cfg: str, weights: Sequence[Array] = (), version: tuple[int, int, int] = (0, 2, 0)
) -> list[Path]:
    """Write a cfg and a .weights file with these arrays one after the other."""
    paths = [folder / "net.cfg", folder / "net.weights"]
    paths[0].write_text(cfg, encoding="utf-8")
    long = version[0] * 10 + version[1] >= 2 and max(version[:2]) < 1000
    header = struct.pack("<3i", *version) + struct.pack("<q" if long else "<i", 12345)
    paths[1].write_bytes(header + b"".join(array.astype("<f4").tobytes() for array in weights))
    return paths


def read(folder: Path, sections: str, weights: Sequence[Array] = (), **how: tuple[int, int, int]) -> ImportedModel:
    return DarknetImporter().read(write(folder, NET + sections, weights, **how))


def compute(folder: Path, sections: str, images: Array, weights: Sequence[Array] = (), net: str = NET) -> Array:
    """Convert a net and return the output that it gives for the images."""
    converted = convert(write(folder, net + sections, weights), folder / "out", overwrite=True)
    with Net(converted.netfile, execution_mode="sequential") as network:
        result = network.compute(images)
    assert not isinstance(result, dict)
    return np.asarray(result)


def failure(folder: Path, sections: str, weights: Sequence[Array] = ()) -> ImportFailure:
    """Import a net that cannot be imported and return the error."""
    try:
        model = read(folder, sections, weights)
    except ImportFailure as error:
        return error
    raise AssertionError(f"imported without an error: {model.netfile}")


def pooled(image: Array, size: int, stride: int, padding: int) -> Array:
    """Return what forward_maxpool_layer gives: windows begin at -padding / 2, rounded towards 0."""
    channels, height, width = image.shape
    rows, columns = (height + padding - size) // stride + 1, (width + padding - size) // stride + 1
    result = np.full((channels, rows, columns), -np.inf, np.float32)
    for k, i, j in np.ndindex(result.shape):
        for n, m in np.ndindex(size, size):
            row, column = -(padding // 2) + i * stride + n, -(padding // 2) + j * stride + m
            if 0 <= row < height and 0 <= column < width:
                result[k, i, j] = max(result[k, i, j], image[k, row, column])
    return result


def reorganised(image: Array, stride: int) -> Array:
    """Return what reorg_cpu gives with forward=0, index by index."""
    c, h, w = image.shape
    flat, out = image.reshape(-1), np.empty(image.size, np.float32)
    out_c = c // (stride * stride)
    for k, j, i in np.ndindex(c, h, w):
        offset, c2 = divmod(k, out_c)
        w2, h2 = i * stride + offset % stride, j * stride + offset // stride
        out[i + w * (j + h * k)] = flat[w2 + w * stride * (h2 + h * stride * c2)]
    return out.reshape(c * stride * stride, h // stride, w // stride)
