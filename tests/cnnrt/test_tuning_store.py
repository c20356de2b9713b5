"""The store of facts: whatever happens to it is a warning at most, never a failure and never a wrong result."""

from __future__ import annotations

import contextlib
import json
import logging
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cnnrt.tuning import store as module
from cnnrt.tuning.store import FILE, SCHEMA, Fact, Store, default_store, file_system
from cnnrt.tuning.turn import turn

KEY = {"call": {"layer": "Convolution"}, "threads": None}
posix = pytest.mark.skipif(os.name != "posix", reason="needs fork, signals and limits")


@pytest.fixture
def warnings_logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.WARNING, "cnnrt"):
        yield caplog


def assert_usable(folder: Path) -> None:
    """Facts go in, and come out in another process (a store of its own)."""
    Store(folder).put("measurement", {"proof": 1}, [1, 2.5, "x"])
    assert Store(folder).get("measurement", {"proof": 1}) == [1, 2.5, "x"]


def asked(path: Path, query: str) -> list[Any]:
    """What the file itself answers."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def test_facts_are_there_for_the_next_process(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.get("measurement", KEY) is None
    store.put("measurement", KEY, {"seconds": 0.25})
    store.put("quarantine", KEY, {"problem": "wrong"})
    later = Store(tmp_path)
    assert later.get("measurement", dict(reversed(KEY.items()))) == {"seconds": 0.25}
    assert later.get("quarantine", KEY) == {"problem": "wrong"}
    assert later.get("verification", KEY) is None


def test_facts_take_less_memory_than_their_keys_and_reading_them_again_not_twice_as_much(tmp_path: Path) -> None:
    count = 500
    keys = [{"device": "threaded:cpu", "call": {"shapes": [[1, 64, n, n]] * 40}, "number": n} for n in range(count)]
    Store(tmp_path).put_all([Fact("measurement", key, {"seconds": 0.25}, 1.0) for key in keys])
    store = Store(tmp_path)
    tracemalloc.start()
    try:
        assert store.get("measurement", keys[7]) == {"seconds": 0.25}
        store.refresh()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(len(json.dumps(key)) for key in keys) > 600 * count
    assert kept < 600 * count
    assert peak < 2.5 * 600 * count


def test_facts_are_listed_by_age_and_cleared_by_kind(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i in range(3):
        store.put("measurement", {"n": i}, i)
    store.put("verification", {"n": 0}, True)
    assert [f.value for f in store.facts("measurement")] == [0, 1, 2]
    assert store.clear("measurement") == 3
    assert Store(tmp_path).facts("measurement", "verification") == store.facts("verification")


def test_without_a_folder_facts_live_as_long_as_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNRT_CACHE", "")
    store = default_store()
    store.put("measurement", KEY, 1)
    assert default_store().get("measurement", KEY) == 1
    store.clear("measurement")


def test_a_write_ahead_log_where_the_file_system_allows_it(tmp_path: Path) -> None:
    assert_usable(tmp_path)
    assert asked(tmp_path / FILE, "PRAGMA journal_mode") == [("wal",)]


def test_none_on_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "file_system", lambda path: "nfs4")
    assert_usable(tmp_path)
    assert asked(tmp_path / FILE, "PRAGMA journal_mode") == [("delete",)]


def test_the_file_system_is_that_of_the_longest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text("/dev/a / ext4 rw 0 0\nserver:/home /home nfs4 rw 0 0\ntmpfs /home/me/tmp tmpfs rw 0 0\nbroken\n")
    assert file_system(Path("/home/me/.cache"), mounts) == "nfs4"
    assert file_system(Path("/home/me/tmp/x"), mounts) == "tmpfs"
    assert file_system(Path("/homework"), mounts) == "ext4"
    assert file_system(Path("/home"), tmp_path / "none") == ""


@pytest.mark.parametrize(
    "problem",
    [
        "locking protocol",
        "database is locked",
        "disk I/O error",
        "attempt to write a readonly database",
        "unable to open",
    ],
)
def test_a_file_that_cannot_be_used_is_logged_once_and_facts_stay_in_the_process(
    tmp_path: Path, problem: str, monkeypatch: pytest.MonkeyPatch, warnings_logged: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise sqlite3.OperationalError(problem)

    monkeypatch.setattr(sqlite3, "connect", fail)
    store = Store(tmp_path)
    store.put("measurement", KEY, 1)
    store.put("measurement", {"other": 1}, 2)
    assert store.get("measurement", KEY) == 1
    assert len(store.facts("measurement")) == 2
    (record,) = warnings_logged.records
    assert problem in record.getMessage()


def test_a_log_that_the_file_system_refuses_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(sqlite3.Connection):
        def execute(self, sql: str, *rest: Any) -> sqlite3.Cursor:
            if "journal_mode" in sql:
                raise sqlite3.OperationalError("locking protocol")
            return super().execute(sql, *rest)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Refusing, **k))
    assert_usable(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_corrupt_file_is_set_aside_and_begun_anew(
    tmp_path: Path, content: bytes, warnings_logged: pytest.LogCaptureFixture
) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert_usable(tmp_path)
    assert len(warnings_logged.records) == (1 if content else 0)
    if content:
        assert (tmp_path / FILE).with_suffix(".broken").read_bytes() == content


def test_a_file_that_was_cut_off_is_begun_anew(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for i in range(300):
        store.put("measurement", {"n": i}, "x" * 200)
    size = (tmp_path / FILE).stat().st_size
    os.truncate(tmp_path / FILE, size // 2)
    Store(tmp_path).facts("measurement")
    assert_usable(tmp_path)


def test_a_file_of_another_schema_is_begun_anew_if_older_and_left_alone_if_newer(
    tmp_path: Path, warnings_logged: pytest.LogCaptureFixture
) -> None:
    for version in (0, SCHEMA + 1):
        folder = tmp_path / str(version)
        folder.mkdir()
        connection = sqlite3.connect(folder / FILE)
        connection.execute("CREATE TABLE facts (something TEXT)")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
        connection.close()
    assert_usable(tmp_path / "0")
    assert warnings_logged.records == []
    newer = Store(tmp_path / str(SCHEMA + 1))
    newer.put("measurement", KEY, 1)
    assert newer.get("measurement", KEY) == 1
    (record,) = warnings_logged.records
    assert "newer cnnrt" in record.getMessage()
    columns = asked(tmp_path / str(SCHEMA + 1) / FILE, "PRAGMA table_info(facts)")
    assert [c[1] for c in columns] == ["something"]


def test_tables_of_another_form_are_begun_anew(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / FILE)
    connection.execute("CREATE TABLE facts (something TEXT)")
    connection.execute(f"PRAGMA user_version = {SCHEMA}")
    connection.commit()
    connection.close()
    assert_usable(tmp_path)


def test_rows_of_the_wrong_form_are_not_seen(tmp_path: Path) -> None:
    Store(tmp_path).put("measurement", KEY, 1)
    connection = sqlite3.connect(tmp_path / FILE)
    digest = connection.execute("SELECT digest FROM facts").fetchone()[0]
    rows = [
        ("measurement", "a", "{}", "{broken", 1.0),
        ("measurement", "b", "[]", "1", 1.0),
        ("measurement", digest[::-1], '{"other": 1}', "1", 1.0),
        ("gossip", "c", "{}", "1", 1.0),
        ("measurement", "d", "{}", "1", "yesterday"),
        ("measurement", "e", None, b"\xff\xfe", None),
        ("measurement", "f", "{}", "[" * 60000, 1.0),
        ("measurement", "g", "{}", '"' + "x" * 100_000 + '"', 1.0),
    ]
    connection.executemany("INSERT INTO facts VALUES (?, ?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    assert [f.key for f in Store(tmp_path).facts("measurement")] == [KEY]


def test_a_clock_that_goes_backwards_changes_nothing_but_the_order_of_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([2e9, 1e9, -5.0])
    monkeypatch.setattr(time, "time", lambda: next(times))
    store = Store(tmp_path)
    for i in range(3):
        store.put("measurement", {"n": i}, i)
    later = Store(tmp_path)
    assert [later.get("measurement", {"n": i}) for i in range(3)] == [0, 1, 2]
    assert [f.value for f in later.facts("measurement")] == [2, 1, 0]


@posix
def test_a_full_disk_is_a_warning(tmp_path: Path) -> None:
    script = f"""
import logging, resource
from pathlib import Path
from cnnrt.tuning.store import Store
logging.basicConfig(format="%(message)s")
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
store = Store(Path({str(tmp_path)!r}))
for i in range(200):
    store.put("measurement", {{"n": i}}, "x" * 2000)
assert [store.get("measurement", {{"n": i}}) for i in range(200)] == ["x" * 2000] * 200
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "forgotten with this process" in done.stderr
    assert_usable(tmp_path)


@posix
def test_a_process_killed_while_it_writes_leaves_a_store_that_works(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from cnnrt.tuning.store import Store
from cnnrt.tuning.turn import turn
folder = Path({str(tmp_path)!r})
with turn(folder, 0) as granted:
    store, i = Store(folder), 0
    while True:
        store.put("measurement", {{"n": i}}, i)
        print(granted, flush=True)
        i += 1
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(5)] == ["True\n"] * 5
        process.send_signal(signal.SIGKILL)
    facts = Store(tmp_path).facts("measurement")
    assert len(facts) >= 5
    assert all(f.key == {"n": f.value} for f in facts)
    assert_usable(tmp_path)
    with turn(tmp_path, 0) as granted:
        assert granted, "the system gave the turn back"


def _write(folder: Path, first: int) -> None:
    store = Store(folder)
    for i in range(first, first + 40):
        store.put("measurement", {"n": i}, i)


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path, first)) for first in (0, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    assert sorted(f.value for f in Store(tmp_path).facts("measurement")) == [*range(40), *range(100, 140)]


@posix
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_fork_from_the_midst_of_writing_goes_on_by_itself(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.put("measurement", {"n": 0}, 0)
    with module._LOCK.held():  # as if another thread were writing
        child = os.fork()
        if child == 0:
            store.put("measurement", {"n": 1}, 1)
            os._exit(0 if store.get("measurement", {"n": 0}) == 0 else 1)
    _, status = os.waitpid(child, 0)
    assert status == 0
    store.put("measurement", {"n": 2}, 2)
    assert sorted(f.value for f in Store(tmp_path).facts("measurement")) == [0, 1, 2]


def test_threads_share_a_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    threads = [
        threading.Thread(target=lambda t=t: [store.put("measurement", {"n": [t, i]}, i) for i in range(10)])
        for t in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Store(tmp_path).facts("measurement")) == 40


@posix
def test_one_process_measures_at_a_time_and_others_wait_briefly(tmp_path: Path) -> None:
    with turn(tmp_path, 0) as first:
        assert first
        started = time.monotonic()
        with turn(tmp_path, 0.2) as second:
            assert not second
        assert 0.2 <= time.monotonic() - started < 5
    with turn(tmp_path, 0) as third:
        assert third


def test_where_files_cannot_be_locked_it_is_always_ones_turn(tmp_path: Path) -> None:
    with turn(tmp_path / "missing", 0) as one, turn(None, 0) as other:
        assert one
        assert other


def test_a_folder_that_cannot_be_made_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warnings_logged: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("cnnrt.cache_folder._reported", set())
    monkeypatch.setattr("cnnrt.tuning.store._stores", {})
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNRT_CACHE", str(tmp_path / "file"))
    default_store().put("measurement", KEY, 1)
    assert default_store().get("measurement", KEY) == 1
    assert len(warnings_logged.records) == 1
