"""TensorFlow's graphs: frozen ones, and SavedModels without their variables."""

from __future__ import annotations

import functools
import tempfile
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random

import numpy as np

from cnnrt_import_tensorflow.conformance import (
    Shape,
    Type,
    classifier_graph,
    constants,
    image_input,
    node,
    residual_graph,
    saved_graph,
    write_saved_model,
)
from cnnrt_import_tensorflow.importer import TensorFlowImporter
from cnnrt_import_tensorflow.supported import FRONT_END, RULES
from fuzz.message_mutations import field, mutated_message
from fuzz.mutations import INTEGERS, mutated
from fuzz.target import Guarded, Target
from netfile_spec import CnnrtError

_WORDS = tuple(op.encode() for op in (*RULES, *FRONT_END, "Const", "Placeholder", "^a", "a:1", "NCHW", "SAME"))
_LISTS = ((1, 1, 1, 1), (1, 2, 2, 1), (0, 0, 0, 0), (1,), (), (1, 2**31, 1, 1), (-1, 2, 3))
_CONSTANTS = {
    "i0": np.array(0, np.int32),
    "i1": np.array([1, 2], np.int32),
    "i2": np.array([-1, 12], np.int32),
    "i4": np.array([0, 3, 1, 2], np.int32),
    "p": np.array([[0, 0], [1, 1], [0, 2], [0, 0]], np.int32),
    "f0": np.array(0.5, np.float32),
    "f3": np.array([1, 2, 3], np.float32),
    "m": np.ones((3, 3), np.float32),
    "k": np.ones((3, 3, 3, 2), np.float32),
}


@functools.cache
def _graph(number: int) -> bytes:
    """Return a graph of nodes that fit one another more or less; the first three are whole networks."""
    if number < 3:
        return (classifier_graph, residual_graph, saved_graph)[number]()
    random = Random(number)
    graph = image_input("x", *random.choice(((4, 4, 3), (None, None, 3), (3,), (2, 3)))) + constants(_CONSTANTS)
    values = ["x", *_CONSTANTS]
    for i in range(random.choice((1, 3, 6, 12))):
        op = random.choice(tuple(RULES))
        rule = RULES[op]
        count = random.randint(rule.least, rule.most or rule.least + 2)
        inputs = [random.choice(values[-6:] if random.random() < 0.5 else values) for _ in range(count)]
        if random.random() < 0.7:
            inputs[0] = random.choice(("x", values[-1]))
        graph += node(
            op,
            f"n{i}",
            *inputs,
            strides=list(random.choice(_LISTS)),
            ksize=list(random.choice(_LISTS)),
            padding=random.choice(("SAME", "VALID", "EXPLICIT", "X")),
            data_format=random.choice(("NHWC", "NHWC", "NCHW", "X")),
            is_training=random.random() < 0.1,
            axis=random.choice(INTEGERS),
            num_split=random.choice((1, 3, 2**31)),
            block_size=random.choice((2, 2**31)),
            shrink_axis_mask=random.choice((0, 1, 2)),
            DstT=Type(random.choice((1, 3, 7, 99))),
            shape=Shape(random.choice(([], [None, 3], [2**40]))),
        )
        values.append(f"n{i}")
    if random.random() < 0.2:
        graph = field(1, 1) + field(2, field(2, graph))
    return graph


def _make(random: Random) -> bytes:
    data = _graph(random.choice((0, 1, 2, random.randrange(300))))
    way = random.random()
    if way < 0.3:
        return data
    if way < 0.8:
        for _ in range(random.choice((1, 1, 2, 4))):
            data = mutated_message(random, data)
        return data
    return mutated(random, data, [_graph(random.randrange(300))], _WORDS)


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "graph.pb"
    path.write_bytes(data)
    with guarded():
        for weights in TensorFlowImporter().read([path]).parameters.values():
            for name in weights:
                assert weights[name].dtype == np.float32


def _prepare(folder: Path) -> None:
    write_saved_model(folder)
    for i in range(60):
        with suppress(CnnrtError):
            _read(_graph(i), folder, nullcontext)


def _chain(op: str, count: int) -> bytes:
    return image_input("x", 4, 4, 3) + b"".join(node(op, f"n{i}", f"n{i - 1}" if i else "x") for i in range(count))


def _doubling(count: int) -> bytes:
    """Return constants each of which is the sum of the one before with itself."""
    return constants({"c0": np.ones((1000, 1000), np.float32)}) + b"".join(
        node("Add", f"c{i}", f"c{i - 1}", f"c{i - 1}") for i in range(1, count)
    )


CASES = (
    lambda: field(1, b"") * 1_000_000,
    lambda: _chain("Relu", 20_000),
    lambda: _chain("Identity", 40_000),
    lambda: _chain("Unheard", 20_000),
    lambda: _doubling(1000) + image_input("x", 1000, 1000) + node("Mul", "y", "x", "c999"),
    lambda: (
        constants({"c": np.ones((4000, 1), np.float32), "r": np.ones((1, 4000), np.float32)})
        + node("Mul", "y", "c", "r")
        + image_input("x", 4000, 4000)
        + node("Add", "z", "x", "y")
    ),
    lambda: field(1, field(1, b"n") + field(2, b"AddN") + b"\x1a\x01n" * 600_000),
    lambda: image_input("x", 2**31, 2**31, 3) + node("Relu", "y", "x"),
    lambda: (
        field(
            1,
            field(1, b"c")
            + field(2, b"Const")
            + field(5, field(1, b"value") + field(2, field(8, field(1, 3) + field(7, b"\1" * 2_000_000)))),
        )
        + node("Relu", "y", "c")
    ),
)


def _prepare_bundle(folder: Path) -> None:
    write_saved_model(folder)
    for number in range(20):
        with suppress(CnnrtError):
            _read_bundle(_make_bundle(Random(number)), folder, nullcontext)


@functools.cache
def _index() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write_saved_model(Path(folder))
        return (Path(folder) / "variables" / "variables.index").read_bytes()


def _make_bundle(random: Random) -> bytes:
    data = _index()
    return data if random.random() < 0.05 else mutated(random, data, [data], _WORDS)


def _read_bundle(data: bytes, folder: Path, guarded: Guarded) -> None:
    (folder / "variables" / "variables.index").write_bytes(data)
    with guarded():
        for weights in TensorFlowImporter().read([folder / "saved_model.pb"]).parameters.values():
            for name in weights:
                assert weights[name].dtype == np.float32


_FOLDER = "plugins/cnnrt_import_tensorflow/"
BUNDLE = Target(
    "tensor-bundle",
    _prepare_bundle,
    _make_bundle,
    _read_bundle,
    (_FOLDER + "tensor_bundle.py", _FOLDER + "variables.py"),
)
TARGET = Target(
    "graphdef",
    _prepare,
    _make,
    _read,
    tuple(
        _FOLDER + f
        for f in (
            "graph_file.py",
            "messages.py",
            "tensors.py",
            "walk.py",
            "arranging_rules.py",
            "value_rules.py",
            "window_rules.py",
        )
    ),
    cases=CASES,
)
