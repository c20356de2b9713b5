"""Checkpoints of cuda-convnet: dictionaries of layers with keys that are missing or of another kind."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from copy import copy
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from cnnrt_import_cuda_convnet.conformance import checkpoint, pickled, small_layers
from cnnrt_import_cuda_convnet.importer import CudaConvnetImporter
from cnnrt_import_cuda_convnet.layers import RULES
from cnnrt_import_cuda_convnet.neurons import KNOWN
from fuzz.mutations import BYTES, mutated
from fuzz.target import Guarded, Target
from netfile_spec import CnnrtError

_ODD: tuple[Any, ...] = (None, -1, 0, 2**31 - 1, 0.5, float("nan"), 1e300, "text", [], {}, [1, 2], [-1], True)
_KEYS = ("type", "name", "inputs", "channels", "imgSize", "filters", "filterSize", "padding", "stride", "groups")
_KEYS += (
    "weights",
    "biases",
    "outputs",
    "sizeX",
    "start",
    "size",
    "scale",
    "pow",
    "neuron",
    "modulesX",
    "keep",
    "coeffs",
)


def _make(random: Random) -> bytes:
    layers = small_layers()
    for _ in range(random.choice((0, 1, 1, 3))):
        layer = random.choice(layers)
        key = random.choice(_KEYS)
        layer[key] = copy(random.choice((*_ODD, np.zeros((3, 4), "f4"), [np.zeros((18, 4))])))
    for _ in range(random.choice((0, 0, 1))):
        kind = random.choice((*RULES, "local", "cost.logreg"))
        neuron = {"type": random.choice(KNOWN), "params": random.choice(({}, {"a": 2.0, "b": 0.5}, {"a": "x"}))}
        inputs = [random.choice((4, 5, "conv1", "gone"))]
        layers.insert(6, {"type": kind, "name": "more", "inputs": inputs, "neuron": neuron})
    data = pickled(checkpoint(layers))
    return mutated(random, data, [pickled(checkpoint(layers[:3]))], BYTES) if random.random() < 0.4 else data


def _prepare(folder: Path) -> None:
    for i in range(60):
        with suppress(CnnrtError):
            _read(_make(Random(i)), folder, nullcontext)


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "1.5"
    path.write_bytes(data)
    importer = CudaConvnetImporter()
    with guarded():
        importer.recognises([path])
        importer.read([path])


TARGET = Target(
    "cuda-convnet",
    _prepare,
    _make,
    _read,
    (
        "plugins/cnnrt_import_cuda_convnet/checkpoint.py",
        "plugins/cnnrt_import_cuda_convnet/layers.py",
        "plugins/cnnrt_import_cuda_convnet/neurons.py",
    ),
)
