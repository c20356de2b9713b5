"""Programs are built once for a device: known in the process, kept on disk, and rebuilt where anything differs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyopencl", reason="the OpenCL backend needs pyopencl")

from cnnrt.errors import DeviceLostError
from cnnrt_backend_opencl import binary_cache
from cnnrt_backend_opencl.backend import OpenCLBackend
from cnnrt_backend_opencl.binary_cache import cached_binary, keep_binary, program_key
from cnnrt_backend_opencl.failures import BuildFailure
from cnnrt_backend_opencl.session import PROGRAMS_KEPT, Session
from cnnrt_backend_opencl.sources import options_text
from opencl_suite.drivers import FaultyDriver, StubDriver

SOURCE = """
#ifndef N
#define N 1
#endif
__kernel void f(__global int *x) { x[0] = N; }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path))
    return tmp_path / "opencl"


def fresh() -> tuple[Session, Counter[str]]:
    """Return a session of a backend of its own, and what its driver does."""
    driver = FaultyDriver()
    backend = OpenCLBackend(driver)
    return backend.session(backend.devices()[-1]), driver.calls


def result(session: Session, program: Any) -> int:
    driver, queue = session.driver, session.queue()
    x = np.zeros(1, np.int32)
    buffer = driver.buffer(session.context, "both", 4)
    kernel = driver.kernel(program, "f")
    driver.set_argument(kernel, 0, buffer)
    driver.launch(queue, kernel, (1,), None)
    driver.read(queue, x, buffer)
    return int(x[0])


def test_a_program_is_built_once_and_kept(folder: Path) -> None:
    session, calls = fresh()
    assert result(session, session.program(SOURCE, {"N": 3})) == 3
    assert session.program(SOURCE, {"N": 3}) is session.program(SOURCE, {"N": 3})
    assert (calls["build"], calls["load"]) == (1, 0)
    another, calls = fresh()
    assert result(another, another.program(SOURCE, {"N": 3})) == 3
    assert (calls["build"], calls["load"]) == (0, 1)


def test_programs_that_nothing_uses_do_not_pile_up(folder: Path) -> None:
    driver = StubDriver()
    backend = OpenCLBackend(driver)
    session = backend.session(backend.devices()[0])
    used = session.program(SOURCE, {"N": 0})
    for n in range(1, 4 * PROGRAMS_KEPT):
        session.program(SOURCE, {"N": n})
    assert driver.still_alive()["program"] == PROGRAMS_KEPT + 1
    assert session.program(SOURCE, {"N": 0}) is used


def test_other_definitions_and_other_sources_are_other_programs(folder: Path) -> None:
    session, calls = fresh()
    assert [result(session, session.program(SOURCE, {"N": n})) for n in (3, 4)] == [3, 4]
    assert result(session, session.program(SOURCE.replace("= N", "= -N"), {"N": 4})) == -4
    assert result(session, session.program(SOURCE, {})) == 1
    assert calls["build"] == 4


@pytest.mark.parametrize("damage", ["cut short", "a wrong byte", "another's content", "empty"])
def test_a_damaged_file_is_as_good_as_none_and_is_replaced(folder: Path, damage: str) -> None:
    session, _ = fresh()
    session.program(SOURCE, {"N": 3})
    session.program(SOURCE, {"N": 4})
    files = sorted(folder.glob("*.bin"))
    assert len(files) == 2
    contents = [file.read_bytes() for file in files]
    for file, data, other in zip(files, contents, reversed(contents), strict=True):
        flipped = bytes([data[-7] ^ 1])
        damaged = {
            "cut short": data[:-10],
            "a wrong byte": data[:-7] + flipped + data[-6:],
            "another's content": other,
            "empty": b"",
        }
        file.write_bytes(damaged[damage])
    another, calls = fresh()
    assert [result(another, another.program(SOURCE, {"N": n})) for n in (3, 4)] == [3, 4]
    assert (calls["build"], calls["load"]) == (2, 0)
    third, calls = fresh()
    third.program(SOURCE, {"N": 3})
    assert (calls["build"], calls["load"]) == (0, 1)


def test_a_binary_that_the_driver_refuses_is_built_anew(folder: Path) -> None:
    session, _ = fresh()
    session.program(SOURCE, {"N": 3})
    driver = FaultyDriver()
    backend = OpenCLBackend(driver)
    driver.fail("load", "INVALID_BINARY: another version")
    again = backend.session(backend.devices()[-1])
    assert result(again, again.program(SOURCE, {"N": 3})) == 3
    assert (driver.calls["load"], driver.calls["build"]) == (1, 1)


def test_another_driver_has_other_files() -> None:
    keys = {program_key(*parts) for parts in (("s", "o", "d 1", "v"), ("s", "o", "d 2", "v"), ("s", "o", "d 1", "w"))}
    assert len(keys) == 3


def test_a_folder_that_cannot_be_used_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for place in ("", str(tmp_path / "file")):
        monkeypatch.setenv("CNNRT_CACHE", place)
        keep_binary("key", b"binary")
        assert cached_binary("key") is None


def test_the_oldest_go_when_there_are_too_many(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary_cache, "BOUND", 3000)
    for number in range(5):
        keep_binary(f"{number:064}", bytes(1000))
    kept = [n for n in range(5) if cached_binary(f"{n:064}") is not None]
    assert 4 in kept
    assert len(kept) == 2


def test_a_log_names_the_file_and_the_line(folder: Path) -> None:
    session, _ = fresh()
    with pytest.raises(BuildFailure, match=r"f\.cl:2:\d+: .*undeclared") as caught:
        session.program('#line 1 "f.cl"\n\n__kernel void f(__global int *x) { x[0] = M; }', {})
    assert "clBuildProgram failed" not in str(caught.value)


def test_numbers_in_definitions_lose_nothing() -> None:
    third = np.float32(1) / np.float32(3)
    text = options_text({"B": 1.0 / 3.0, "A": 7, "C": float("-inf"), "D": float("nan"), "E(v)": "max(v,0.0f)"})
    assert text.split() == [
        "-cl-std=CL1.2",
        "-DA=7",
        f"-DB={float(third).hex()}f",
        "-DC=-INFINITY",
        "-DD=NAN",
        "-DE(v)=max(v,0.0f)",
    ]


def test_a_device_whose_memory_forgets_is_not_set_up() -> None:
    class Forgetful(StubDriver):
        def read(self, queue: Any, array: Any, buffer: Any, offset: int = 0, *, wait: bool = True) -> Any:
            array[...] = 0

    backend = OpenCLBackend(Forgetful())
    (device,) = backend.devices()
    with pytest.raises(DeviceLostError, match="what is written to it does not come back"):
        backend.session(device)
    assert "cannot be set up" in backend.devices()[0].problem
