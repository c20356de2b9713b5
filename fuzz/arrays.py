"""Arrays: .npy as an input of `cnnrt run` and as a mean, .npz as an input."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random

import numpy as np

from cnnrt.cli.array_files import read_npz
from cnnrt.graph import GraphInput
from cnnrt.inputs import check_inputs
from cnnrt.npy_file import read_npy
from cnnrt.plugins import plugin_host
from cnnrt.stated_preprocessing import read_mean
from fuzz import worst_cases
from fuzz.mutations import INTEGERS, mutated
from fuzz.target import Guarded, Target
from fuzz.text_mutations import NUMBERS, mutated_tokens
from netfile_spec import CnnrtError

_DTYPES: tuple[str, ...] = (
    "'<f4'",
    "'<f8'",
    "'|u1'",
    "'>i8'",
    "'|b1'",
    "'<c16'",
    "'|O'",
    "'|V0'",
    "'<U99'",
    "'<M8[ns]'",
    "'f4,f4'",
    "'(9,9)f4'",
    "'99999999f4'",
)
_DTYPES += (
    "[('a', '<f4')]",
    "[('a', '<f4', (2, 2))]",
    "[]",
    "[()]",
    "('<f4', (1, 2))",
    "{}",
    "None",
    "1",
    "'<f2'",
    "'<f16'",
    "'x'",
)
_HEADERS = (
    "-" * 3000 + "1",
    "(" * 3000,
    "[" * 150 + "]" * 150,
    "{[]: 1}",
    "'''",
    "{1, 2}",
    "()",
    "{'descr': 1}",
    "1if 1else 1",
    "__import__('os').system('id')",
)
_WORDS = (
    *NUMBERS,
    *_DTYPES,
    *_HEADERS,
    "True",
    "False",
    "None",
    "'descr'",
    "'shape'",
    "L",
    "\\",
    "lambda: 0",
    "f'{1}'",
    "b''",
    "**{}",
    "*",
)


def _header(random: Random, shape: tuple[int, ...]) -> str:
    if random.random() < 0.05:
        return random.choice(_HEADERS)
    if random.random() < 0.3:
        shape = tuple(random.choice((*INTEGERS, -1, 10**30)) for _ in range(random.choice((0, 1, 2, 4, 9, 70))))
    dtype = random.choice(_DTYPES[:3]) if random.random() < 0.7 else random.choice(_DTYPES)
    text = f"{{'descr': {dtype}, 'fortran_order': {random.choice((False, True))}, 'shape': {shape}, }}"
    return mutated_tokens(random, text, (), _WORDS) if random.random() < 0.4 else text


def _npy(random: Random) -> bytes:
    shape = random.choice(((), (3,), (3, 1, 1), (3, 4, 4), (1, 3, 8, 8), (0, 3, 8, 8), (2, 0)))
    header = (_header(random, shape).ljust(random.choice((0, 118))) + "\n").encode("utf-8", "replace")[:60_000]
    major = random.choice((1, 1, 1, 1, 2, 3, 0, 9))
    length = struct.pack("<H" if major == 1 else "<I", len(header))
    values = random.choice((b"\0\0\x80?", b"\xff\xff\x7f\x7f", b"\0\0\xc0\x7f", random.randbytes(4))) * random.choice(
        (1, 3, 48, 192, 400)
    )
    return b"\x93NUMPY" + bytes([major, 0]) + length + header + values


def _make_npy(random: Random) -> bytes:
    data = _npy(random)
    return mutated(random, data, [_npy(random)]) if random.random() < 0.5 else data


def _make_npz(random: Random) -> bytes:
    """Return an archive written by zipfile, or by hand with wrong sizes, flags, methods and shared bytes."""
    if random.random() < 0.3:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for i in range(random.choice((0, 1, 1, 2))):
                archive.writestr(f"x{i}.npy", _npy(random))
        data = stream.getvalue()
    else:
        data = archive_bytes(random)
    return mutated(random, data, [archive_bytes(random)]) if random.random() < 0.4 else data


def archive_bytes(random: Random) -> bytes:
    """Return an archive written by hand: wrong sizes, flags, methods, names, and members that share their bytes."""
    body, directory = b"", b""
    members = random.choice((1, 1, 2, 3))
    for i in range(members):
        content = _npy(random) if random.random() < 0.8 else b""
        method = random.choice((0, 8, 8, 8, 12, 14, 93, 99))
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        packed = content if method == 0 else packer.compress(content) + packer.flush()
        name = random.choice(
            (f"x{i}.npy", "data.npy", "../x.npy", "/etc/x.npy", "x", "", "a" * 300 + ".npy", "é.npy")
        ).encode()
        size, packed_size = len(content), len(packed)
        if random.random() < 0.2:
            size = random.choice((*INTEGERS, size + 1, size - 1)) % 2**32
        if random.random() < 0.1:
            packed_size = random.choice((*INTEGERS, packed_size + 1)) % 2**32
        flags = random.choice((0, 0, 0, 0, 0, 1, 8, 0x800, 0xFFFF))
        crc = zlib.crc32(content) if random.random() < 0.9 else 0
        common = struct.pack("<HHHHHIIIHH", 20, flags, method, 0, 0, crc, packed_size, size, len(name), 0)
        place = len(body) if random.random() < 0.9 else random.choice((0, 2**32 - 1, len(body) + 1))
        body += b"PK\x03\x04" + common + name + packed
        directory += b"PK\x01\x02\x14\x00" + common + struct.pack("<HHHII", 0, 0, 0, 0, place) + name
        if random.random() < 0.1:
            directory *= random.choice((2, 50))
    end = struct.pack("<HHHHIIH", 0, 0, members, members, len(directory), len(body), 0)
    return body + directory + b"PK\x05\x06" + end


def _prepare(folder: Path) -> None:
    for i in range(40):
        for make, read in ((_make_npy, _read_npy), (_make_npz, _read_npz)):
            with suppress(CnnrtError):
                read(make(Random(i)), folder, nullcontext)
    np.save(folder / "mean.npy", np.zeros((3, 4, 4)))
    read_mean(folder / "mean.npy", plugin_host())


def _read_npy(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "x.npy"
    path.write_bytes(data)
    with guarded():
        if len(data) % 2:
            read_mean(path, plugin_host())
        else:
            check_inputs([GraphInput("data", None)], read_npy(path))


def _read_npz(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "x.npz"
    path.write_bytes(data)
    with guarded():
        for array in read_npz(path).values():
            assert array.size >= 0


NPY = Target(
    "npy",
    _prepare,
    _make_npy,
    _read_npy,
    ("cnnrt/npy_file.py", "cnnrt/stated_preprocessing.py", "cnnrt/inputs.py"),
    cases=worst_cases.NPY,
)
NPZ = Target(
    "npz",
    _prepare,
    _make_npz,
    _read_npz,
    ("cnnrt/cli/array_files.py",),
    cases=worst_cases.NPZ,
)
