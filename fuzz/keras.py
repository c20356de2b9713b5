"""Keras's configurations, and what the process that reads HDF5 answers.

HDF5 itself is read by a library in C in a process of its own, which the guards here cannot watch: damaged files go
through it in the importer's conformance suite.
"""

from __future__ import annotations

import functools
import json
import struct
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from cnnrt.channels_last.constants import Constant, constant_of
from cnnrt_import_keras import hdf5, keras_file, walk
from cnnrt_import_keras.conformance import chain, functional, layer, residual
from cnnrt_import_keras.supported import OTHER_NAMES, RULES
from fuzz.mutations import mutated
from fuzz.target import Guarded, Target
from fuzz.text_mutations import NUMBERS, mutated_tokens
from netfile_spec import CnnrtError

_KINDS = (*RULES, *OTHER_NAMES, "Lambda", "InputLayer", "Functional")
_SETTINGS: dict[str, tuple[Any, ...]] = {
    "padding": ("same", "valid", "causal", [[1, 2], [0, 1]], 2**40),
    "strides": ([2, 2], None, [0, 1], 2**31),
    "kernel_size": ([3, 3], 1),
    "activation": ("relu", "softmax", "nothing", None, {"class_name": "ReLU", "config": {}}),
    "axis": (-1, [3], 1, 0, [1, 2], "x"),
    "data_format": ("channels_last", "channels_first", 3),
    "size": ([2, 2], [2**31, 2**31], -1),
    "target_shape": ([-1], [4, -1, -1], [2**31], []),
    "dims": ([2, 1, 3], [1], [9, 9, 9]),
    "scale": (0.5, [1, 2, 3], True, "x", [[[]]]),
    "mean": (None, [1, 2, 3], 0),
    "variance": (None, [1, 2, 3], 0),
    "cropping": ([[1, 1], [1, 1]], 2**31, [[9, 9], [9, 9]]),
    "interpolation": ("nearest", "bilinear", "x"),
}
_WORDS = (
    *NUMBERS,
    *(f'"{k}"' for k in _KINDS),
    *(f'"{s}"' for s in _SETTINGS),
    "null",
    "true",
    "[",
    "]",
    "{",
    "}",
    "[]",
)
_SHAPES = {
    "k/kernel:0": (3, 3, 3, 3),
    "d/kernel:0": (3, 3, 3, 1),
    "m/kernel:0": (3, 3),
    "b/bias:0": (3,),
    "s/gamma:0": (3,),
}
_FLOATS = {name: constant_of(np.ones(shape, np.float32), name) for name, shape in _SHAPES.items()}


@functools.cache
def _config(number: int) -> str:
    """Return a configuration of layers that fit one another more or less; the first two are whole networks."""
    if number < 2:
        return json.dumps((chain, residual)[number]()[0])
    random = Random(number)
    layers = [
        layer("InputLayer", "x", batch_input_shape=random.choice(([None, 8, 8, 3], [None, None, None, 3], [2, 3], [])))
    ]
    for i in range(random.choice((1, 2, 4, 8))):
        names = [entry["name"] for entry in layers]
        settings = {name: random.choice(given) for name, given in _SETTINGS.items() if random.random() < 0.25}
        count = random.choice((1, 1, 1, 2, 3))
        inputs = [random.choice(names[-2:] if random.random() < 0.8 else names) for _ in range(count)]
        layers.append(layer(random.choice(_KINDS), f"l{i}", *inputs, **settings))
    return json.dumps(functional(layers, [layers[-1]["name"]]))


@functools.cache
def _answer() -> bytes:
    """Return what the child answers for a small file."""
    entry = {"path": "model_weights/l/l/kernel:0", "shape": [2, 3], "dtype": "<f4", "offset": 0}
    texts = {"": {"model_config": _config(0)}, "model_weights": {"layer_names": ["l"], "keras_version": "2.0"}}
    text = json.dumps({"attributes": texts, "datasets": [entry]}).encode()
    text += b" " * (-(8 + len(text)) % 64)
    return struct.pack("<Q", len(text)) + text + bytes(24)


@functools.cache
def _fitting() -> dict[str, tuple[Constant, ...]]:
    """Return the weights of the whole networks, by layer."""
    owners = {"layers/conv2d": "shared", "layers/depthwise_conv2d": "depthwise"}
    stored = {**chain()[1], **{owners[path]: arrays for path, arrays in residual()[1].items()}}
    return {name: tuple(constant_of(array, name) for array in arrays) for name, arrays in stored.items()}


def _make(random: Random) -> bytes:
    if random.random() < 0.2:
        return mutated(random, _answer(), [_answer()])
    text = _config(random.choice((0, 1, random.randrange(400))))
    if random.random() < 0.3:
        return text.encode()
    return mutated_tokens(random, text, [_config(random.randrange(400))], _WORDS).encode("utf-8", "replace")


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    with guarded():
        if not data.startswith(b"{"):
            hdf5.read_answer(memoryview(data), "model.h5")
            return
        config = keras_file.parse_config(data.decode("utf-8", "replace"), "model.h5")
        random = Random(len(data))
        names = [f"l{i}" for i in range(8)]
        choices = [tuple(random.sample(list(_FLOATS.values()), random.choice((0, 1, 2, 4)))) for _ in names]
        by_layer = {**dict(zip(names, choices, strict=True)), **_fitting()}
        stored = keras_file.KerasFile(config, random.choice(("", "2.1", "3.0")), "theano", by_layer)
        for weights in walk.convert(stored, "model.h5").parameters.values():
            for name in weights:
                assert weights[name].dtype == np.float32


def _prepare(folder: Path) -> None:
    for i in range(120):
        with suppress(CnnrtError):
            _read(_config(i).encode(), folder, nullcontext)


def _chain(kind: str, count: int) -> bytes:
    layers = [layer("InputLayer", "x", batch_input_shape=[None, 4, 4, 3])]
    layers += [layer(kind, f"n{i}", f"n{i - 1}" if i else "x") for i in range(count)]
    return json.dumps(functional(layers, [f"n{count - 1}"])).encode()


def _nested(depth: int) -> bytes:
    inner: dict[str, Any] = functional(
        [layer("InputLayer", "x", batch_input_shape=[None, 4]), layer("ReLU", "y", "x")], ["y"]
    )
    for _ in range(depth):
        calls = {"name": "y", "inbound_nodes": [[["x", 0, 0, {}]]] * 20}
        inner = functional([layer("InputLayer", "x", batch_input_shape=[None, 4]), {**inner, **calls}], ["y"])
    return json.dumps(inner).encode()


CASES = (
    lambda: _chain("ReLU", 8_000),
    lambda: _chain("Unheard", 8_000),
    lambda: _chain("ReLU", 20_000),
    lambda: _nested(7),
    lambda: b'{"a":' * 50_000,
    lambda: b'{"class_name": "Sequential", "config": ' + b"[" * 90 + b"]" * 90 + b"}",
)
_FOLDER = "plugins/cnnrt_import_keras/"
TARGET = Target(
    "keras",
    _prepare,
    _make,
    _read,
    tuple(
        _FOLDER + f
        for f in (
            "model_config.py",
            "walk.py",
            "keras_layer.py",
            "window_layers.py",
            "value_layers.py",
            "arranging_layers.py",
        )
    ),
    cases=CASES,
)
