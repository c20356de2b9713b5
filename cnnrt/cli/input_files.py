"""What `run` computes on: arrays or images, as batches of a bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np

from cnnrt.cli.array_files import read_npz
from cnnrt.cli.command_line import tell
from cnnrt.errors import InputError
from cnnrt.layer import Array
from cnnrt.net import Net
from cnnrt.npy_file import read_npy
from cnnrt.preprocessing import Preprocessing, preprocessing
from netfile_spec import InputBlock

IMAGES_AT_ONCE = 16
"""Images in a batch, where the user does not say."""


@attrs.frozen
class Batches:
    """What was given: `count` items, and `names` for them where they are files, else none.

    `arrays`: for each batch the arrays by input name, always with a batch dimension. It is gone through once; images
    are read when their turn comes.
    """

    count: int
    names: tuple[str, ...]
    arrays: Iterator[dict[str, Array]]


def open_inputs(net: Net, files: Sequence[Path], at_once: int | None) -> Batches:
    """Return the batches that `files` hold: one .npy, one .npz, or images.

    `at_once`: most items of a batch; None: as many as the network takes where it takes one number only, else 16 images
    or a whole array.
    """
    at_once = at_once or next((i.batch for i in net.graph.inputs if i.batch is not None), None)
    kinds = {file.suffix.lower() if file.suffix.lower() in (".npy", ".npz") else "image" for file in files}
    if kinds == {"image"}:
        return _images(net, files, at_once or IMAGES_AT_ONCE)
    if len(files) > 1:
        raise InputError("several inputs must all be images; give one .npy, or one .npz with an array for each input")
    arrays = _named_arrays(net, files[0]) if kinds == {".npz"} else _only_array(net, files[0])
    return _array_batches(net, {name: _as_float32(name, array) for name, array in arrays.items()}, at_once)


def _images(net: Net, files: Sequence[Path], at_once: int) -> Batches:
    name = _only_input(net, "images")
    block = next((b for b in net.netfile.inputs if b.name == name), InputBlock(name=name))
    reader = preprocessing(block, net.root)
    starts = range(0, len(files), at_once)
    arrays = ({name: _stacked(files[start : start + at_once], reader)} for start in starts)
    return Batches(len(files), tuple(str(f) for f in files), arrays)


def _stacked(files: Sequence[Path], reader: Preprocessing) -> Array:
    images = [reader.load(file) for file in files]
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            sizes = f"{_size(image)} pixels, {files[0]} {_size(images[0])}"
            raise InputError(f"{file} has {sizes}: images of different sizes make no batch; add --batch 1")
    return np.stack(images)


def _size(image: Array) -> str:
    return f"{image.shape[-2]}×{image.shape[-1]}"


def _only_array(net: Net, file: Path) -> dict[str, Array]:
    return {_only_input(net, "a .npy file"): read_npy(file)}


def _named_arrays(net: Net, file: Path) -> dict[str, Array]:
    """Return the arrays named after inputs; an only array is taken whatever its name, if there is only one input."""
    found = read_npz(file)
    inputs = [i.name for i in net.graph.inputs]
    named = {name: array for name, array in found.items() if name in inputs}
    if not named and len(found) == len(inputs) == 1:
        return {inputs[0]: next(iter(found.values()))}
    if not named:
        holds = ", ".join(found) or "nothing"
        raise InputError(f"{file}: holds {holds}; expected an array named {' or '.join(map(repr, inputs))}")
    others = [name for name in found if name not in named]
    if others:
        tell("note", f"{file}: also holds {', '.join(others)}, which is no input")
    return named


def _only_input(net: Net, what: str) -> str:
    names = [i.name for i in net.graph.inputs]
    if len(names) > 1:
        raise InputError(
            f"{what} cannot be told from one another: the network has several inputs ({', '.join(names)}); "
            "give one .npz with an array for each"
        )
    return names[0]


def _as_float32(name: str, array: Array) -> Array:
    """Return other floating-point numbers as float32. Integers could be pixels or numbers already scaled: not ours."""
    if array.dtype.kind == "f" and array.dtype != np.float32:
        tell("note", f"input {name!r}: {array.dtype} was converted to float32")
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is refused later
            return array.astype(np.float32)
    return array


def _array_batches(net: Net, arrays: dict[str, Array], at_once: int | None) -> Batches:
    ranks = {i.name: 3 if i.shape is None else len(i.shape) for i in net.graph.inputs}
    batched = {name: a[np.newaxis] if a.ndim == ranks[name] else a for name, a in arrays.items()}
    count = min(len(a) if a.ndim else 0 for a in batched.values())
    if at_once is None or at_once >= count:
        return Batches(count, (), iter([batched]))
    starts = range(0, count, at_once)
    return Batches(count, (), ({name: a[s : s + at_once] for name, a in batched.items()} for s in starts))
