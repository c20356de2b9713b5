"""Archives are read where they lie; names, links, sizes and methods that mean harm are refused before unpacking."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from cnnrt.archives import ALWAYS_ALLOWED, MOST_MEMBERS, archive_kind, open_archive
from cnnrt.errors import ImportFailure

FILES = {"contents.json": b"{}", "data/weights.npy": bytes(range(256)) * 10}
KINDS = ("zip", "tar", "tar.gz")


def written(path: Path, kind: str, files: dict[str, bytes] | None = None) -> Path:
    files = FILES if files is None else files
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as tar:
        folder = tarfile.TarInfo("data")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ImportFailure) as caught, open_archive(path):
        pass
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_members_are_read_and_nothing_is_written(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path / "a.bin", kind)
    assert archive_kind(path) == kind
    with open_archive(path) as archive:
        assert archive.sizes == {name: len(content) for name, content in FILES.items()}
        assert {name: archive.read(name) for name in archive.sizes} == FILES
        with pytest.raises(ImportFailure, match='holds no "other"'):
            archive.read("other")
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 600, b"\x1f\x8b" + bytes(30), b"PK\x03\x04" + bytes(60)])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    assert str(tmp_path / "a") in refusal(tmp_path / "a")


def test_what_is_not_there_or_is_a_folder_is_no_archive(tmp_path: Path) -> None:
    assert archive_kind(tmp_path) is None
    assert archive_kind(tmp_path / "gone") is None
    assert "is no archive" in refusal(tmp_path / "gone")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "C:\\x", "C:/x", "a\\b", "x" * 2000, "a\x1b[31m"])
def test_names_that_lead_out_of_a_folder_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    assert "holds a file of the name" in refusal(written(tmp_path / "a", kind, {name: b"x"}))


@pytest.mark.parametrize("type", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_devices_and_pipes_of_a_tar_are_refused(tmp_path: Path, type: bytes) -> None:
    with tarfile.open(tmp_path / "a", "w") as archive:
        member = tarfile.TarInfo("contents.json")
        member.type, member.linkname = type, "/etc/passwd"
        archive.addfile(member)
    assert "is a link, a device" in refusal(tmp_path / "a")


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr("x", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x", b"2")
    assert "two files of the name" in refusal(tmp_path / "a")


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_an_archive_that_grows_without_measure_is_refused_before_it_does(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    size = ALWAYS_ALLOWED + (1 << 20)
    if kind == "zip":
        written(path, kind, {"x": bytes(size)})
    else:
        path.write_bytes(gzip.compress(bytes(size), 1))
    assert "would grow to" in refusal(path)


def test_members_that_share_their_bytes_are_added_up(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", bytes(16_000_000))
    one = stream.getvalue()
    at, end = one.index(b"PK\x01\x02"), one.index(b"PK\x05\x06")
    records = b"".join(one[at:end].replace(b"x", bytes([ord("a") + i])) for i in range(20))
    tail = struct.pack("<HHHHIIH", 0, 0, 20, 20, len(records), at, 0)
    (tmp_path / "a").write_bytes(one[:at] + records + b"PK\x05\x06" + tail)
    assert "would grow to 320,000,000" in refusal(tmp_path / "a")


def test_members_without_number_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a", "zip", {f"{i}": b"" for i in range(MOST_MEMBERS + 1)})
    assert "holds more than 10,000 files" in refusal(path)


def test_other_methods_and_encryption_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("x", b"x")
    assert "compressed in an unusual way" in refusal(tmp_path / "a")
    data = bytearray(written(tmp_path / "b", "zip", {"x": b"x"}).read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "b").write_bytes(data)
    assert "is encrypted" in refusal(tmp_path / "b")


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_archives_are_read_or_refused(tmp_path: Path, kind: str) -> None:
    whole = written(tmp_path / "whole", kind).read_bytes()
    random = np.random.default_rng(0)
    path, refused = tmp_path / "a", 0
    for _ in range(300):
        changed = bytearray(whole[: random.integers(len(whole))] if random.random() < 0.3 else whole)
        for place in random.integers(len(changed), size=3) if changed else ():
            changed[place] = random.integers(256)
        path.write_bytes(changed)
        try:
            with open_archive(path) as archive:
                for name in archive.sizes:
                    archive.read(name)
        except ImportFailure:
            refused += 1
    assert refused > 30
