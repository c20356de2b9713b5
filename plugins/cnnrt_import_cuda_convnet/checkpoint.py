"""A checkpoint as data: {"model_state": {"layers": ...}, "op": ...}, pickled by Python 2, alone or as "data" in a zip.

Format: cuda-convnet, util.py (`pickle`), gpumodel.py (`save_state`), layer.py. The options ("op") are objects of
cuda-convnet's own classes; they are read as records and not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cnnrt.archives import archive_kind, open_archive
from cnnrt.errors import CnnrtError, ImportFailure, Problem
from cnnrt.pickles import NUMPY_GLOBALS, PickledArray, opaque, read_pickle

STATE = b"model_state"
LARGEST_FILE = 4 << 30
_LOOKED_AT = 1 << 20
_MEMBER = "data"
_MOST_LAYERS = 8192
_MODULES = ("options", "layer", "convnet", "gpumodel", "util", "data", "convdata", "shownet", "python_util", "optparse")


def is_checkpoint(file: Path) -> bool:
    """Tell whether a file is a pickle, or a zip of one, that speaks of a model's state and NumPy; raises nothing."""
    if archive_kind(file) == "zip":
        try:
            with open_archive(file) as archive:
                return tuple(archive.sizes) == (_MEMBER,) and _speaks_of_state(archive.read(_MEMBER))
        except CnnrtError:
            return False
    try:
        if not file.is_file():
            return False
        with file.open("rb") as stream:
            data = stream.read(_LOOKED_AT)
            stream.seek(max(0, file.stat().st_size - _LOOKED_AT))
            return _speaks_of_state(data, stream.read(_LOOKED_AT))
    except (OSError, ValueError):
        return False


def _speaks_of_state(data: bytes, end: bytes = b"") -> bool:
    both = data + end
    stated = STATE in both and STATE + b"_" not in both  # model_state_dict is of others
    return data[:1] in (b"\x80", b"(") and stated and b"numpy" in both and b"torch" not in both


def read_layers(file: Path) -> list[Mapping[str, Any]]:
    """Return the layers in order, each a dictionary; raises ImportFailure."""
    try:
        if not file.is_file():
            raise _failure(file, "is no file")
        if file.stat().st_size > LARGEST_FILE:
            raise _failure(file, "is larger than 4 GiB")
        if archive_kind(file) == "zip":
            with open_archive(file) as archive:
                data = archive.read(_MEMBER)
        else:
            data = file.read_bytes()
    except (OSError, ValueError) as error:
        raise _failure(file, f"cannot be read: {error}") from error
    value = read_pickle(data, file=str(file), known=_globals).value
    state = value.get("model_state") if isinstance(value, dict) else None
    layers = state.get("layers") if isinstance(state, dict) else None
    if isinstance(layers, PickledArray):
        layers = layers.items
    if isinstance(layers, dict):  # cuda-convnet2 keeps them by name
        layers = list(layers.values())
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise _failure(file, "has no layers: expected a dictionary with model_state, and layers in it")
    if len(layers) > _MOST_LAYERS:
        raise _failure(file, f"has more than {_MOST_LAYERS:,} layers")
    return layers


def _globals(module: str, name: str) -> Callable[..., Any] | None:
    return opaque(module, name) if module.partition(".")[0] in _MODULES else NUMPY_GLOBALS(module, name)


def _failure(file: Path, message: str) -> ImportFailure:
    return ImportFailure([Problem(message)], file=str(file))
