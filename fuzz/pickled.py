"""Pickles: read as data, as weights of Theano with a topology, and as layers of Lasagne."""

from __future__ import annotations

import io
import pickle
import struct
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from cnnrt.pickles import read_pickle
from cnnrt.plugins import plugin_host
from cnnrt.topology import put_together
from cnnrt_import_theano.conformance import TOPOLOGY
from cnnrt_import_theano.importer import TheanoImporter
from fuzz.mutations import BYTES, INTEGERS, mutated
from fuzz.target import Guarded, Target
from netfile_spec import CnnrtError

_GLOBALS = (
    "os\nsystem",
    "builtins\neval",
    "__builtin__\ngetattr",
    "numpy\nndarray",
    "numpy\ndtype",
    "numpy.core.multiarray\n_reconstruct",
    "numpy.core.multiarray\nscalar",
    "numpy._core.numeric\n_frombuffer",
    "collections\nOrderedDict",
    "copy_reg\n_reconstructor",
    "__builtin__\nobject",
    "_codecs\nencode",
    "lasagne.layers.dense\nDenseLayer",
    "lasagne.layers.input\nInputLayer",
    "theano.tensor.sharedvar\nTensorSharedVariable",
)
_OPCODES = b"(.012FGIJKLMNPQRSTUVXabcd}eghijl]opqrstu)BC" + bytes((0x80, 0x81, 0x82, *range(0x85, 0x95)))
_WORDS: tuple[bytes, ...] = (*BYTES, *(f"c{name}\n".encode() for name in _GLOBALS))
_WORDS += (b"h\x00", b"q\x00", b"R", b"b", b")R", b"}b", b"s", b"\x93")


def _array(random: Random) -> Any:
    shape = random.choice(((3, 2, 3, 3), (3,), (48, 5), (5,), (), (0, 3), (2, 3)))
    values = np.zeros(shape, random.choice(("<f4", "<f8", ">f4", "<f2", "|u1", "<i8")))
    return np.asfortranarray(values) if random.random() < 0.2 else values


def _value(random: Random, depth: int = 0) -> Any:
    kind = random.randrange(9 if depth < 4 else 5)
    if kind < 3:
        return _array(random)
    if kind < 5:
        return random.choice((None, True, random.choice(INTEGERS), 0.5, "text", b"bytes", np.float32(2), 2**200))
    inner = [_value(random, depth + 1) for _ in range(random.choice((0, 1, 2, 4)))]
    if kind == 5:
        return tuple(inner)
    if kind == 6:
        return {random.choice(("conv.W", "conv.b", "fc.W", "fc.b", "a", 3)): item for item in inner}
    if kind == 7:
        objects = np.empty(len(inner), object)
        for number, item in enumerate(inner):
            objects[number] = item
        return objects
    return inner


def _weights() -> list[Any]:
    return [np.zeros(shape, np.float32) for shape in ((3, 2, 3, 3), (3,), (48, 5), (5,))]


def _opcodes(random: Random) -> bytes:
    """Return opcodes in any order, with arguments that are mostly right."""
    parts = []
    for _ in range(random.choice((3, 10, 40))):
        code = bytes([random.choice(_OPCODES)])
        match code:
            case b"c" | b"i":
                parts.append(code + random.choice(_GLOBALS).encode() + b"\n")
            case b"K" | b"h" | b"q" | b"U" | b"C" | b"\x8c" | b"\x8a" | b"\x80" | b"\x82":
                parts.append(code + bytes([random.randrange(4)]) + b"abc"[: random.randrange(4)])
            case b"J" | b"j" | b"r" | b"T" | b"X" | b"B" | b"\x8b":
                parts.append(code + struct.pack("<I", random.choice(INTEGERS) % 2**32) + b"abc")
            case b"I" | b"L" | b"F" | b"S" | b"V" | b"P" | b"g" | b"p":
                parts.append(code + random.choice((b"1", b"0", b"'a'", b"-7", b"1e400", b"9" * 400)) + b"\n")
            case _:
                parts.append(code)
    return b"".join(parts) + b"."


def _pickle(random: Random) -> bytes:
    if random.random() < 0.3:
        return _opcodes(random)
    data = pickle.dumps(_weights() if random.random() < 0.3 else _value(random), random.randrange(6))
    return mutated(random, data, [_opcodes(random)], _WORDS) if random.random() < 0.7 else data


def _make_theano(random: Random) -> bytes:
    """Return a pickle, an array of objects, or an archive of both."""
    kind = random.random()
    if kind < 0.5:
        return b"P" + _pickle(random)
    objects = np.empty(4, object)
    objects[:] = _weights()
    stream = io.BytesIO()
    if kind < 0.75:
        np.save(stream, objects, allow_pickle=True)
        data = stream.getvalue()
        return b"Y" + (mutated(random, data, [_pickle(random)], _WORDS) if random.random() < 0.8 else data)
    np.savez(stream, *(_weights() if random.random() < 0.5 else [objects]))
    data = stream.getvalue()
    return b"Z" + (mutated(random, data, [_pickle(random)], _WORDS) if random.random() < 0.8 else data)


def _prepare(folder: Path) -> None:
    (folder / "layers.netfile").write_text(TOPOLOGY)
    for i in range(60):
        for make, read in ((_pickle, _read_pickle), (_make_theano, _read_theano)):
            with suppress(CnnrtError):
                read(make(Random(i)), folder, nullcontext)


def _read_pickle(data: bytes, folder: Path, guarded: Guarded) -> None:
    with guarded():
        read_pickle(data, file="x.pkl")


def _read_theano(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / {b"P": "x.pkl", b"Y": "x.npy", b"Z": "x.npz"}.get(data[:1], "x.pkl")
    path.write_bytes(data[1:])
    importer = TheanoImporter()
    with guarded():
        importer.recognises([path])
        with suppress(CnnrtError):
            importer.read([path])
        weights = importer.read_weights([path])
        model = put_together(weights, folder / "layers.netfile", str(path), flip_kernels=None, host=plugin_host())
        for layer in model.parameters.values():
            for values in layer.values():
                assert values.dtype == np.float32


def _bomb(head: bytes, piece: bytes, count: int, tail: bytes = b".") -> bytes:
    return head + piece * count + tail


PICKLE = Target(
    "pickle",
    _prepare,
    _pickle,
    _read_pickle,
    (
        "cnnrt/pickles/reader.py",
        "cnnrt/pickles/opcodes.py",
        "cnnrt/pickles/stack_machine.py",
        "cnnrt/pickles/arrays.py",
        "cnnrt/pickles/numpy_globals.py",
        "cnnrt/pickles/stand_ins.py",
    ),
    cases=(
        lambda: _bomb(b"]", b"\x94", 5_000_000),
        lambda: _bomb(b"\x80\x04", b"\x8f", 5_000_000),
        lambda: _bomb(b"", b"(", 5_000_000),
        lambda: _bomb(b"", b"K\x01", 5_000_000),
        lambda: _bomb(b"]q\x00", b"(h\x00h\x00lq\x00", 400_000),
        lambda: _bomb(b"", b"\x8a\xff" + b"\x7f" * 255, 50_000),
    ),
)
THEANO = Target(
    "theano",
    _prepare,
    _make_theano,
    _read_theano,
    (
        "plugins/cnnrt_import_theano/stored_arrays.py",
        "plugins/cnnrt_import_theano/tensors.py",
        "cnnrt/topology_match.py",
    ),
    cases=(lambda: b"P" + _bomb(b"cnumpy\nndarray\n0]q\x00", b"(h\x00h\x00lq\x00", 40),),
)
