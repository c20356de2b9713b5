"""TFLite's models."""

from __future__ import annotations

import functools
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random

import numpy as np

from cnnrt_import_tflite.conformance import Field, ModelWriter, Numbers, classifier
from cnnrt_import_tflite.importer import TFLiteImporter
from cnnrt_import_tflite.supported import RULES
from fuzz.mutations import mutated
from fuzz.target import Guarded, Target
from netfile_spec import CnnrtError

_CONSTANTS = {
    "i0": np.array(0, np.int32),
    "i1": np.array([1, 2], np.int32),
    "i2": np.array([-1, 12], np.int32),
    "i4": np.array([0, 3, 1, 2], np.int32),
    "p": np.array([[0, 0], [1, 1], [0, 2], [0, 0]], np.int32),
    "f0": np.array(0.5, np.float32),
    "f3": np.array([1, 2, 3], np.float32),
    "m": np.ones((3, 3), np.float32),
    "k": np.ones((2, 3, 3, 3), np.float32),
    "d": np.ones((1, 3, 3, 3), np.float32),
}


@functools.cache
def _model(number: int) -> bytes:
    """Return a model of operators that fit one another more or less; the first two are whole networks."""
    if number < 2:
        return classifier(quantised=bool(number))
    random = Random(number)
    writer = ModelWriter()
    writer.value("x", *random.choice(((1, 4, 4, 3), (1, 3), (0, 3), (2, 2, 3), (4,))))
    for name, array in _CONSTANTS.items():
        scaled = random.random() < 0.1
        writer.constant(name, array, [0.5] * scaled, [1] * scaled, random.choice((0, 1, 9)))
    values = ["x", *_CONSTANTS]
    for i in range(random.choice((1, 3, 6, 12))):
        op = random.choice(tuple(RULES))
        rule = RULES[op]
        count = random.randint(rule.least, rule.most or rule.least + 2)
        inputs = [random.choice(values) for _ in range(count)]
        if random.random() < 0.7:
            inputs[0] = random.choice(("x", values[-1]))
        options: dict[int, Field] = {
            field: random.choice((("b", 1), ("i", 1), ("i", 2), ("i", 2**31 - 1), ("f", 0.5), Numbers("i", [1, 48])))
            for field in range(random.randint(0, 7))
        }
        values.append(writer.operator(op, inputs, f"n{i}", options))
    return writer.model(["x"], [values[-1]])


def _make(random: Random) -> bytes:
    data = _model(random.choice((0, 1, random.randrange(300))))
    return data if random.random() < 0.25 else mutated(random, data, [_model(random.randrange(300))])


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "model.tflite"
    path.write_bytes(data)
    with guarded():
        for weights in TFLiteImporter().read([path]).parameters.values():
            for name in weights:
                assert weights[name].dtype == np.float32


def _prepare(folder: Path) -> None:
    for i in range(60):
        with suppress(CnnrtError):
            _read(_model(i), folder, nullcontext)


def _chain(op: str, count: int) -> bytes:
    writer = ModelWriter()
    last = writer.value("x", 1, 4, 4, 3)
    for i in range(count):
        last = writer.operator(op, [last], f"n{i}")
    return writer.model(["x"], [last])


CASES = (
    lambda: _chain("RELU", 20_000),
    lambda: _chain("CAST", 20_000),
    lambda: _chain("unheard of", 20_000),
)
_FOLDER = "plugins/cnnrt_import_tflite/"
TARGET = Target(
    "tflite",
    _prepare,
    _make,
    _read,
    tuple(_FOLDER + f for f in ("flatbuffer.py", "schema.py", "tensors.py", "walk.py", "window_rules.py")),
    cases=CASES,
)
