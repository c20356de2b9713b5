"""Small models of Keras for the tests of its importer: arrays, what a model computes, and how it compares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from channels_last_suite import nhwc
from cnnrt import Net, convert
from cnnrt.errors import ImportFailure
from cnnrt_import_keras.conformance import (
    save_h5,
    sequential,
)
from cnnrt_import_keras.importer import KerasImporter

Array = np.ndarray[Any, np.dtype[Any]]


def values(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def outcome(tmp_path: Path, file: Path, images: Array) -> Array:
    """Convert a model and compute its output for images in Keras's axes."""
    with Net(convert(file, tmp_path / "net").netfile, execution_mode="sequential") as net:
        result = net.compute(nhwc.to_nchw(images))
    assert isinstance(result, np.ndarray)
    return result


def one(tmp_path: Path, config: dict[str, Any], arrays: Sequence[Array], shape: Any = None, **more: Any) -> Path:
    """Save a model of one layer."""
    return save_h5(
        tmp_path / "one.h5", sequential([config], shape or IMAGE.shape[1:]), {config["name"]: arrays}, **more
    )


def problems(file: Path) -> str:
    with pytest.raises(ImportFailure) as caught:
        KerasImporter().read([file])
    return str(caught.value)


def agrees(got: Array, wanted: Array) -> None:
    wanted = nhwc.to_nchw(wanted)
    assert got.shape == wanted.shape
    assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


IMAGE = values(2, 7, 6, 4)
K = values(3, 2, 4, 5, seed=1)
BIAS = values(5, seed=2)
STATS = [values(4, seed=s) ** 2 + 0.5 for s in range(4)]
