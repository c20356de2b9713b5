"""Preprocessing that the user states when converting, put into the NetFile for good.

Deploy files of Caffe hold neither mean nor scale nor labels; who converts a model knows them, who runs it later
should not have to.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np

from cnnrt.errors import InputError
from cnnrt.labels import read_label_file
from cnnrt.layer import Array, shape_text
from cnnrt.npy_file import read_npy
from cnnrt.plugins import PluginHost
from netfile_spec import InputBlock, Layout, NetFile, write_parameters

MEAN_FILE = "mean.msg"
LABEL_FILE = "labels.txt"
INLINE_LABELS = 20
"""Up to so many labels are written into the NetFile itself, more go into a file beside it."""


@attrs.frozen
class PreprocessingOptions:
    """What the user says of preprocessing: it wins over what the model's files state.

    - `mean`: numbers for each channel (or one for all), or a file: .npy, or a mean file that an importer knows.
    - `scale`: factor after the mean was subtracted. `channel_order`: "rgb", "bgr" or "gray".
    - `size`: (height, width) that images are resized to. `labels`: a text file, one class on each line.
    """

    mean: str | Path | Sequence[float] | None = None
    scale: float | None = None
    channel_order: str | None = None
    size: tuple[int, int] | None = None
    labels: str | Path | None = None


def state_preprocessing(
    netfile: NetFile, options: PreprocessingOptions, folder: Path, layout: Layout, host: PluginHost
) -> NetFile:
    """Return the NetFile with the options in it; files that it then names are written into `folder`."""
    if options.labels is not None:
        netfile = attrs.evolve(netfile, labels=_labels(Path(options.labels), folder))
    if all(v is None for v in (options.mean, options.scale, options.channel_order, options.size)):
        return netfile
    if len(netfile.inputs) > 1:
        names = ", ".join(repr(i.name) for i in netfile.inputs)
        raise InputError(f"the network has several inputs ({names}): state their preprocessing in the NetFile")
    block = netfile.inputs[0] if netfile.inputs else InputBlock()
    block = attrs.evolve(
        block,
        scale=block.scale if options.scale is None else options.scale,
        channel_order=options.channel_order or block.channel_order,
        size=options.size or block.size,
    )
    if options.mean is not None:
        block = _with_mean(block, options.mean, folder, layout, host)
    return attrs.evolve(netfile, inputs=(block,))


def read_mean(file: Path, host: PluginHost) -> Array:
    """Return the mean in a file as float32 (channels, rows, columns); per-channel means have one row and column."""
    if not file.is_file():
        raise InputError(f"{file}: there is no such mean file")
    mean = _read_npy(file)
    for importer in () if mean is not None else host.importers().values():
        mean = importer.read_mean(file)
        if mean is not None:
            break
    if mean is None:
        raise InputError(f"{file}: no mean file that is known: expected .npy, or one of an importer (.binaryproto)")
    if mean.ndim == 1:
        mean = mean[:, np.newaxis, np.newaxis]
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim != 3 or not np.isfinite(mean).all():
        raise InputError(f"{file}: expected a finite mean of channels×rows×columns, got {shape_text(mean.shape)}")
    return np.ascontiguousarray(mean, np.float32)


def _read_npy(file: Path) -> Array | None:
    if file.suffix.lower() != ".npy":
        return None
    mean = read_npy(file)
    if mean.dtype.kind not in "fiu":
        raise InputError(f"{file}: expected an array of numbers, got {mean.dtype}")
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is refused below
        return np.array(mean, np.float32)


def _with_mean(
    block: InputBlock, mean: str | Path | Sequence[float], folder: Path, layout: Layout, host: PluginHost
) -> InputBlock:
    if not isinstance(mean, str | Path):
        return attrs.evolve(block, mean=tuple(float(m) for m in mean), mean_file=None)
    image = read_mean(Path(mean), host)
    if block.shape is not None and image.shape[0] != block.shape[0]:
        raise InputError(f"{mean}: has {image.shape[0]} channels, the network's input {block.shape[0]}")
    if image.shape[1:] == (1, 1):
        return attrs.evolve(block, mean=tuple(float(m) for m in image.reshape(-1)), mean_file=None)
    write_parameters(folder / MEAN_FILE, {"mean": _centre(image, block, mean)}, layout=layout)
    return attrs.evolve(block, mean=(), mean_file=MEAN_FILE)


def _centre(image: Array, block: InputBlock, file: str | Path) -> Array:
    """Cut the middle of a mean image to the input's size, as Caffe's transformer does with its centre crop."""
    size = block.size or (block.shape[1:] if block.shape and len(block.shape) == 3 else None)
    if size is None:
        return image
    rows, columns = size
    top, left = (image.shape[1] - rows) // 2, (image.shape[2] - columns) // 2
    if top < 0 or left < 0:
        shown = shape_text(image.shape[1:])
        raise InputError(f"{file}: the mean image is {shown}, smaller than the input ({shape_text(size)})")
    return np.ascontiguousarray(image[:, top : top + rows, left : left + columns])


def _labels(file: Path, folder: Path) -> tuple[str, ...] | str:
    labels = read_label_file(file)
    if not labels:
        raise InputError(f"{file}: holds no labels")
    if len(labels) <= INLINE_LABELS:
        return labels
    shutil.copyfile(file, folder / LABEL_FILE)
    return LABEL_FILE
