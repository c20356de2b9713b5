"""A file of Keras as a configuration and stored arrays, whichever of its formats it has.

- .h5, .hdf5: HDF5 whose attribute `model_config` is the configuration, weights in the group `model_weights`. Without a
  configuration it holds weights alone, in groups for layers right in the root.
- .keras (Keras 3, and 2 since 2.12): a zip of config.json, metadata.json and model.weights.h5.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from cnnrt.archives import archive_kind, open_archive
from cnnrt.channels_last.constants import Constant
from cnnrt_import_keras.hdf5 import Hdf5, failure, read_hdf5

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MOST_CONFIG = 64 << 20
_DEEPEST = 100


@attrs.frozen(eq=False)
class KerasFile:
    """A file as read: the configuration (None: weights alone), the versions that it states, its arrays.

    `by_layer` holds the arrays of each layer in Keras's order (formats of HDF5); `by_path` those of a .keras, by the
    path of a layer in it and the number of its variable.
    """

    config: Mapping[str, Any] | None
    version: str
    backend: str
    by_layer: Mapping[str, tuple[Constant, ...]] = attrs.field(factory=dict)
    by_path: Mapping[str, tuple[Constant, ...]] | None = None


def read_file(path: Path) -> KerasFile:
    """Return what a file holds; raises ImportFailure where it is none of Keras's, or damaged."""
    try:
        if not path.is_file():
            raise failure(str(path), "is not a regular file" if path.exists() else "does not exist")
        if archive_kind(path) == "zip":
            return _zipped(path)
        with path.open("rb") as stream:
            return _plain(read_hdf5(stream, str(path)), str(path))
    except OSError as error:
        raise failure(str(path), f"cannot be read: {error.strerror or error}") from None


def _zipped(path: Path) -> KerasFile:
    with open_archive(path) as archive:
        missing = [name for name in (_CONFIG, _WEIGHTS) if name not in archive.sizes]
        if missing:
            raise failure(str(path), f"a zip archive without {' and '.join(missing)}", "give the .keras that was saved")
        if archive.sizes[_CONFIG] > _MOST_CONFIG:
            raise failure(str(path), f"a configuration of {archive.sizes[_CONFIG]:,} bytes")
        config = parse_config(archive.read(_CONFIG).decode("utf-8", "replace"), str(path))
        metadata = archive.read(_METADATA).decode("utf-8", "replace") if _METADATA in archive.sizes else "{}"
        version = parse_config(metadata, str(path)).get("keras_version", "")
        with tempfile.TemporaryFile() as stream:
            stream.write(archive.read(_WEIGHTS))
            stored = read_hdf5(stream, str(path))
    return KerasFile(config, str(version), "tensorflow", by_path=_by_path(stored))


def _by_path(stored: Hdf5) -> dict[str, tuple[Constant, ...]]:
    """Return the variables of each path that has any ("layers/conv2d/vars/0"), in the order of their numbers."""
    numbered: dict[str, dict[int, Constant]] = {}
    for path, array in stored.arrays.items():
        owner, _, number = path.rpartition("/vars/")
        if owner and number.isascii() and number.isdigit() and len(number) < 6:
            numbered.setdefault(owner, {})[int(number)] = array
    return {owner: tuple(found[n] for n in sorted(found)) for owner, found in numbered.items()}


def _plain(stored: Hdf5, file: str) -> KerasFile:
    top = stored.attributes.get("", {})
    text = top.get("model_config")
    config = parse_config(text, file) if isinstance(text, str) else None
    group = "model_weights" if "model_weights" in stored.attributes else ""
    own = stored.attributes.get(group, {})
    if not _listed(own, "layer_names") and config is None:
        raise failure(
            file, "an HDF5 file that is not of Keras: it has no layer_names", "give the file that Keras saved"
        )
    by_layer = {}
    for layer in _listed(own, "layer_names"):
        inside = f"{group}/{layer}" if group else layer
        names = _listed(stored.attributes.get(inside, {}), "weight_names")
        arrays = [stored.arrays.get(f"{inside}/{name}") for name in names]
        # The name is that of the variable, not of the layer's group.
        by_layer[layer] = tuple(
            attrs.evolve(array, name=name) for name, array in zip(names, arrays, strict=True) if array is not None
        )
    version = own.get("keras_version") or top.get("keras_version") or ""
    backend = own.get("backend") or top.get("backend") or ""
    return KerasFile(config, _one(version), _one(backend), by_layer)


def _listed(attributes: Mapping[str, str | tuple[str, ...]], name: str) -> list[str]:
    """Return a list of texts; long ones are in attributes with numbers behind their name."""
    value = attributes.get(name)
    if value is not None:
        return [value] if isinstance(value, str) else list(value)
    found: list[str] = []
    number = 0
    while (part := attributes.get(f"{name}{number}")) is not None:
        found += [part] if isinstance(part, str) else part
        number += 1
    return found


def _one(value: str | tuple[str, ...]) -> str:
    return value if isinstance(value, str) else next(iter(value), "")


def parse_config(text: str, file: str) -> dict[str, Any]:
    """Return a configuration's JSON, an object of bounded depth; raises ImportFailure."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise failure(file, "its configuration is no JSON", "the file is damaged") from None
    if not isinstance(value, dict) or _depth_exceeds(value, _DEEPEST):
        raise failure(file, "its configuration is no model", "the file is damaged")
    return value


def _depth_exceeds(value: object, most: int) -> bool:
    level: list[object] = [value]
    for _ in range(most):
        inner: list[object] = []
        for item in level:
            if isinstance(item, dict):
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        if not inner:
            return False
        level = inner
    return True
