"""Archives: zip, tar and tar.gz, opened and read to the last member."""

from __future__ import annotations

import gzip
import io
import tarfile
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random

from cnnrt.archives import open_archive
from fuzz.arrays import archive_bytes
from fuzz.mutations import BYTES, mutated
from fuzz.target import Guarded, Target
from netfile_spec import CnnrtError

_NAMES = ("contents.json", "0.npy", "data/1.npy", "../x", "/etc/x", "", "a" * 300, "é", "./x")
_TYPES = (tarfile.REGTYPE, tarfile.REGTYPE, tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE)
_TYPES += (tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, tarfile.CONTTYPE)


def _tar(random: Random) -> bytes:
    stream = io.BytesIO()
    kind = random.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    with tarfile.open(fileobj=stream, mode="w", format=kind, errors="replace") as archive:
        for _ in range(random.choice((0, 1, 2, 3))):
            member = tarfile.TarInfo(random.choice(_NAMES))
            content = random.randbytes(random.choice((0, 1, 600, 3000)))
            member.size, member.type = len(content), random.choice(_TYPES)
            member.linkname = random.choice(("", "contents.json", "/etc/passwd"))
            with suppress(ValueError):  # USTAR has no room for long names
                archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _make(random: Random) -> bytes:
    kind = random.random()
    data = archive_bytes(random) if kind < 0.4 else _tar(random)
    if random.random() < 0.7:
        data = mutated(random, data, [_tar(random)], (*BYTES, b"PaxHeader", b"21 size=99999999999\n", b"0000777\0"))
    if kind > 0.7:
        data = gzip.compress(data, 1, mtime=0)
        return mutated(random, data, [data]) if random.random() < 0.3 else data
    return data


def _prepare(folder: Path) -> None:
    for i in range(60):
        with suppress(CnnrtError):
            _read(_make(Random(i)), folder, nullcontext)


def _read(data: bytes, folder: Path, guarded: Guarded) -> None:
    path = folder / "x"
    path.write_bytes(data)
    with guarded(), open_archive(path) as archive:
        for name in archive.sizes:
            archive.read(name)


TARGET = Target(
    "archive",
    _prepare,
    _make,
    _read,
    ("cnnrt/archives.py",),
    cases=(
        lambda: gzip.compress(bytes(100 << 20), 1, mtime=0),
        lambda: gzip.compress(_many_members(20_000), 1, mtime=0),
    ),
)


def _many_members(count: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for number in range(count):
            archive.addfile(tarfile.TarInfo(str(number)))
    return stream.getvalue()
