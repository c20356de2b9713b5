"""Archives of strangers: zip, tar and tar.gz, read where they lie and never extracted to disk.

Names are checked, sizes are added up and compared with the archive's own before anything is unpacked.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import attrs

from cnnrt.errors import CnnrtError, ImportFailure, Problem
from netfile_spec.problems import quoted

LARGEST_RATIO = 20
"""Times an archive may grow when it is unpacked; weights hardly reach 3, a bomb reaches 1000."""

ALWAYS_ALLOWED = 64 << 20
"""Bytes to which any archive may grow: small files of zeros compress without bound."""

MOST_MEMBERS = 10_000
_LONGEST_NAME = 1_000
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_USTAR_AT, _USTAR = 257, b"ustar"


@attrs.define
class Archive:
    """An open archive: names of its files, each with its size in bytes. A context manager.

    Folders are left out; links, devices and encrypted members are refused where the archive is opened.
    """

    file: str
    sizes: Mapping[str, int]
    _read: Callable[[str], bytes]
    _close: Callable[[], None]

    def read(self, name: str) -> bytes:
        """Return the bytes of a member; ImportFailure where there is none of this name, or it is damaged."""
        if name not in self.sizes:
            raise ImportFailure([Problem(f"holds no {quoted(name)}")], file=self.file)
        try:
            content = self._read(name)
        except _DAMAGE as error:
            raise ImportFailure([Problem(f"{quoted(name)} cannot be unpacked: {error}")], file=self.file) from None
        if len(content) != self.sizes[name]:
            raise ImportFailure([Problem(f"{quoted(name)} is shorter than the archive says")], file=self.file)
        return content

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()


# What zipfile, tarfile and the decoders below them raise for damaged archives.
_DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
)


def archive_kind(file: Path) -> str | None:
    """Return "zip", "tar" or "tar.gz" by a file's first bytes, None for anything else; raises nothing."""
    try:
        if not file.is_file():
            return None
        with file.open("rb") as stream:
            head = stream.read(_USTAR_AT + len(_USTAR))
    except (OSError, ValueError):
        return None
    if head.startswith(_ZIP):
        return "zip"
    if head.startswith(_GZIP):
        return "tar.gz"
    return "tar" if head[_USTAR_AT:] == _USTAR else None


def open_archive(file: Path) -> Archive:
    """Return the archive in a file: zip, tar or tar.gz, told by its first bytes.

    Raises ImportFailure for anything else; for names that lead out of a folder or come twice, members that are neither
    files nor folders, more than 10,000 of them; and where all together are more than 64 MiB and more than 20 times
    what the archive takes.
    """
    kind = archive_kind(file)
    if kind is None:
        expected = "a zip, tar or tar.gz archive"
        raise ImportFailure([Problem("is no archive that is known", expected=expected)], file=str(file))
    try:
        if kind == "zip":
            return _zip(file)
        return _tar(file, compressed=kind == "tar.gz")
    except CnnrtError:
        raise
    except _DAMAGE as error:
        raise ImportFailure([Problem(f"cannot be read as {kind}: {error}")], file=str(file)) from None


def read_gzip(file: Path) -> bytes:
    """Return all that a .gz holds: up to what an archive may grow to, and not a byte more. Raises ImportFailure."""
    try:
        most = max(ALWAYS_ALLOWED, LARGEST_RATIO * file.stat().st_size)
        with gzip.open(file) as stream:
            content = stream.read(most + 1)
    except _DAMAGE as error:
        raise ImportFailure([Problem(f"cannot be read as gzip: {error}")], file=str(file)) from None
    _check_growth(file, len(content))
    return content


def _zip(file: Path) -> Archive:
    archive = zipfile.ZipFile(file)
    try:
        members: dict[str, zipfile.ZipInfo] = {}
        _check_number(file, len(archive.infolist()))
        for member in archive.infolist():
            if member.is_dir():
                continue
            _check_name(file, member.filename, members)
            if member.flag_bits & 1:
                _refuse(file, f"{quoted(member.filename)} is encrypted")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                _refuse(file, f"{quoted(member.filename)} is compressed in an unusual way", "stored or deflated")
            if member.compress_size > file.stat().st_size:
                _refuse(file, f"{quoted(member.filename)} would take more bytes than the archive has")
            members[member.filename] = member
        # All members together: in a crafted archive they may share the same compressed bytes.
        _check_growth(file, sum(member.file_size for member in members.values()))
    except BaseException:
        archive.close()
        raise

    def read(name: str) -> bytes:
        # With the size, since without it a member is unpacked to its end, whatever size is stated.
        with archive.open(members[name]) as stream:
            return stream.read(members[name].file_size)

    return Archive(str(file), {name: member.file_size for name, member in members.items()}, read, archive.close)


def _tar(file: Path, *, compressed: bool) -> Archive:
    stream: io.BufferedReader | io.BytesIO = io.BytesIO(read_gzip(file)) if compressed else file.open("rb")
    try:
        archive = tarfile.TarFile(fileobj=stream, mode="r")
        members: dict[str, tarfile.TarInfo] = {}
        for number, member in enumerate(archive):
            _check_number(file, number + 1)
            if member.isdir():
                continue
            name = member.name.removeprefix("./")
            _check_name(file, name, members)
            if not member.isreg() or member.issparse():
                _refuse(file, f"{quoted(name)} is a link, a device or a file with holes", "files and folders")
            members[name] = member
        _check_growth(file, sum(member.size for member in members.values()))
    except BaseException:
        stream.close()
        raise

    def read(name: str) -> bytes:
        extracted = archive.extractfile(members[name])
        return extracted.read() if extracted is not None else b""

    return Archive(str(file), {name: member.size for name, member in members.items()}, read, stream.close)


def _check_number(file: Path, number: int) -> None:
    if number > MOST_MEMBERS:
        _refuse(file, f"holds more than {MOST_MEMBERS:,} files")


def _check_name(file: Path, name: str, taken: Mapping[str, object]) -> None:
    parts = name.split("/")
    leads_out = name.startswith("/") or ".." in parts or "\\" in name or ":" in parts[0] or not name.isprintable()
    if not name or len(name) > _LONGEST_NAME or leads_out:
        _refuse(file, f"holds a file of the name {quoted(name)}", "names inside a folder")
    if name in taken:
        _refuse(file, f"holds two files of the name {quoted(name)}")


def _check_growth(file: Path, nbytes: int) -> None:
    size = file.stat().st_size
    if nbytes > max(ALWAYS_ALLOWED, LARGEST_RATIO * size):
        _refuse(file, f"its {size:,} bytes would grow to {nbytes:,} or more", f"at most {LARGEST_RATIO} times as many")


def _refuse(file: Path, message: str, expected: str = "") -> None:
    raise ImportFailure([Problem(message, expected=expected)], file=str(file))
