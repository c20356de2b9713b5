"""Parameter files in both layouts: opened, verified, loaded, mapped."""

from __future__ import annotations

import functools
import struct
import tempfile
from contextlib import nullcontext
from pathlib import Path
from random import Random
from typing import Any

import msgpack
import numpy as np

from fuzz import worst_cases
from fuzz.message_mutations import mutated_msgpack
from fuzz.mutations import INTEGERS, mutated
from fuzz.target import Guarded, Target
from netfile_spec import Layout, open_parameters, write_parameters
from netfile_spec.parameters.cnnrt_header import DTYPES, MAGIC

_NAMES = ("weight", "bias", "", "a" * 1025, "../x", "\0", "\x1b", "é", "0", "__class__", None, 7)


def _written(layout: Layout, tensors: dict[str, Any], *, flat: bool = True) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.msg")
        write_parameters(path, tensors, layout=layout, flat=flat)
        return path.read_bytes()


@functools.cache
def _new_seeds() -> tuple[bytes, ...]:
    one = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    return (
        _written("cnnrt", {"weight": one, "bias": np.ones(2, np.float32)}),
        _written("cnnrt", {dtype: one.astype(dtype) for dtype in DTYPES}),
        _written("cnnrt", {"scalar": np.ones((), np.float32), "none": np.zeros((0, 5), np.int8)}),
        _written("cnnrt", {}),
    )


@functools.cache
def _old_seeds() -> tuple[bytes, ...]:
    one = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    return (
        _written("cnndroid", {"weight": one, "bias": np.ones(2, np.float32)}),
        _written("cnndroid", {"weight": one.reshape(2, 12), "bias": np.ones(2, np.float32)}),
        _written("cnndroid", {"weight": one.reshape(2, 12)}, flat=False),
        msgpack.packb([[1, 2.5, -3], [4, 5, 300000]]) + msgpack.packb([1, 2]),
        msgpack.packb(one.astype(float).tolist()) + msgpack.packb([0.0] * 20),
        msgpack.packb([[], []]) + msgpack.packb([1.0]),
    )


def _make_new(random: Random) -> bytes:
    if random.random() < 0.5:
        return mutated(random, random.choice(_new_seeds()), _new_seeds())
    return _with_header(random)


def _with_header(random: Random) -> bytes:
    """Return a file whose header is well-formed MessagePack and wrong, or right by chance."""
    end = 0
    records: list[dict[str, Any]] = []
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        shape = [random.choice((0, 1, 2, 3, 16)) for _ in range(random.randint(0, 4))]
        dtype = random.choice(DTYPES)
        nbytes = int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize
        offset = -(-end // 64) * 64
        record = {
            "name": f"t{len(records)}",
            "dtype": dtype,
            "shape": shape,
            "offset": offset,
            "nbytes": nbytes,
            "crc32": 0,
        }
        end = offset + nbytes
        while random.random() < 0.35:
            key = random.choice((*record, "extra"))
            nasty: tuple[Any, ...] = (
                *INTEGERS,
                -1,
                1.5,
                True,
                None,
                [],
                {},
                "",
                *_NAMES,
                DTYPES[0],
                "object",
                [2**31 - 1] * 8,
                [1] * 9,
                [-1],
                ["a"],
            )
            match random.randrange(4):
                case 0 if key in record:
                    del record[key]
                case 1:
                    record["shape"] = [random.choice(INTEGERS) for _ in range(random.randint(0, 9))]
                case _:
                    record[key] = random.choice(nasty)
        records.append(record)
    if records and random.random() < 0.1:
        records.append(random.choice(records))
    odd: tuple[Any, ...] = ([], {"tensors": 1}, {}, {"tensors": [records]})
    content = {"tensors": records} if random.random() < 0.95 else random.choice(odd)
    header = _packed(content)
    if random.random() < 0.4:
        header = mutated_msgpack(random, header, ())
    length = len(header) if random.random() < 0.9 else random.choice(INTEGERS) % 2**32
    front = MAGIC + struct.pack("<II", random.choice((1, 1, 1, 1, 1, 1, 1, 1, 0, 2)), length) + header
    start = -(-len(front) // 64) * 64
    return front.ljust(start, b"\0") + bytes(min(end, 1 << 16))


def _packed(content: Any) -> bytes:
    packed: bytes = msgpack.packb(content)
    return packed


def _make_old(random: Random) -> bytes:
    seeds = _old_seeds()
    if random.random() < 0.5:
        return mutated_msgpack(random, random.choice(seeds), seeds)
    return mutated(random, random.choice(seeds), seeds)


def _prepare(folder: Path) -> None:
    for data in (*_new_seeds(), *_old_seeds()):
        _read(data, folder, nullcontext)


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "x.msg"
    path.write_bytes(data)
    with guarded(), open_parameters(path) as file:
        for tensor in file.tensors:
            loaded = file.load(tensor.name, verify=False)
            assert (loaded.shape, loaded.dtype.name, loaded.nbytes) == (tensor.shape, tensor.dtype, tensor.nbytes)
            if file.layout == "cnnrt":
                assert file.map(tensor.name).shape == tensor.shape
        file.verify()


_SHARED = "netfile_spec/parameters/"
NEW = Target(
    "parameters-cnnrt",
    _prepare,
    _make_new,
    _read,
    tuple(
        _SHARED + f
        for f in ("any_layout.py", "cnnrt_header.py", "cnnrt_layout.py", "parameter_file.py", "regular_file.py")
    ),
    cases=worst_cases.PARAMETERS,
)
OLD = Target(
    "parameters-cnndroid",
    _prepare,
    _make_old,
    _read,
    tuple(_SHARED + f for f in ("cnndroid_layout.py", "nested_list.py", "token_stream.py", "uniform_list.py")),
    cases=worst_cases.PARAMETERS,
)
