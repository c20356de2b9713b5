"""The store: facts that this machine found out about its kernels, in an SQLite file of the private cache folder.

A fact is a kind, a key and a value, both plain JSON. Everything in the store can be found out again, so nothing that is
wrong with it (no folder, full disk, other locks, a broken file, another version's) stops a run: it is logged once, and
the process goes on with what it finds out itself.

Each access opens the file, and closes it: no connection is carried over a fork or left behind by a killed process. In
memory are the values alone, by the digests of their keys: thousands of keys take tens of MiB.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import attrs

from cnnrt.cache_folder import VARIABLE, cache_folder

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger("cnnrt.tuning")

Kind = Literal["measurement", "verification", "quarantine"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Key = Mapping[str, Any]
T = TypeVar("T")

SCHEMA = 1
FILE = "facts.sqlite"
PATIENCE = 2.0
"""Seconds to wait for another process's access."""
MOST_FACTS = 50_000
LONGEST_VALUE = 1 << 16
"""Characters; what is longer was not written here."""
NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "gpfs", "fuse.sshfs"}
"""Where shared memory, which a write-ahead log needs, does not reach all readers."""
_BROKEN = {1, 11, 17, 20, 26}
"""SQLite's codes ERROR (tables are missing), CORRUPT, SCHEMA, MISMATCH, NOTADB."""


@attrs.frozen
class Fact:
    """Something found out; `written` is the clock's time in seconds, for lists only."""

    kind: Kind
    key: Key
    value: Any
    written: float


class _UnusableError(Exception):
    """The store is of a newer version."""


class Store:
    """Facts in a folder, None: in this process only. Safe to use from several threads and processes.

    The folder may be a function, which is called when it is needed: planning alone makes none.
    """

    def __init__(self, folder: Path | Callable[[], Path | None] | None) -> None:
        self._folder = folder
        self._values: dict[tuple[str, str], Any] = {}
        self._own: dict[tuple[str, str], Fact] = {}
        self._reported: set[str] = set()
        self._read = False

    @property
    def path(self) -> Path | None:
        """The file, None where there is none."""
        folder = self._folder() if callable(self._folder) else self._folder
        return folder / FILE if folder else None

    def get(self, kind: Kind, key: Key) -> Any:
        """Return the value of a fact, None where it is not known."""
        if not self._read:
            self.refresh()
        wanted = (kind, _digest(key))
        own = self._own.get(wanted)
        return own.value if own else self._values.get(wanted)

    def put(self, kind: Kind, key: Key, value: Any) -> None:
        """Remember a fact."""
        self.put_all([Fact(kind, key, value, time.time())])

    def put_all(self, facts: Sequence[Fact]) -> None:
        """Remember all of these facts or, where the file cannot be written, keep them for this process."""
        rows = []
        for fact in facts:
            own = (fact.kind, _digest(fact.key))
            self._own[own] = fact
            rows.append((*own, json.dumps(fact.key), json.dumps(fact.value), fact.written))

        def write(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?, ?, ?, ?)", rows)

        self._do(write)

    def refresh(self) -> None:
        """Read what other processes found out."""
        self._read = True
        self._values = self._stored(lambda fact: fact.value)

    def facts(self, *kinds: Kind) -> list[Fact]:
        """Return all facts of these kinds, the oldest first."""
        found = {**self._stored(lambda fact: fact), **self._own}
        return sorted((f for f in found.values() if f.kind in kinds), key=lambda f: f.written)

    def _stored(self, wanted: Callable[[Fact], T]) -> dict[tuple[str, str], T]:
        """Return what is wanted of each fact in the file."""

        def read(connection: sqlite3.Connection) -> dict[tuple[str, str], T]:
            query = "SELECT kind, digest, key, value, written FROM facts WHERE length(value) <= ? LIMIT ?"
            rows = connection.execute(query, (LONGEST_VALUE, MOST_FACTS))
            return {(f.kind, digest): wanted(f) for digest, f in map(_fact, rows) if f is not None}

        return self._do(read) or {}

    def clear(self, *kinds: Kind) -> int:
        """Forget all facts of these kinds and return how many they were."""
        count = len(self.facts(*kinds))
        self._values = {known: value for known, value in self._values.items() if known[0] not in kinds}
        self._own = {own: fact for own, fact in self._own.items() if fact.kind not in kinds}

        def delete(connection: sqlite3.Connection) -> None:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("DELETE FROM facts WHERE kind = ?", [(kind,) for kind in kinds])

        self._do(delete)
        return count

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """Do something with the file; None, with the reason logged once, where that cannot be."""
        path = self.path
        if path is None:
            return None
        import sqlite3

        for attempt in (1, 2):
            try:
                with _LOCK.held(), contextlib.closing(_opened(path)) as connection:
                    return work(connection)
            except (sqlite3.Error, OSError, _UnusableError) as error:
                broken = getattr(error, "sqlite_errorcode", 0) & 0xFF in _BROKEN
                if attempt == 1 and broken and _set_aside(path):
                    self._report(f"it is broken ({error}) and was begun anew; the old one is beside it")
                else:
                    self._report(f"{error}; what is found out now is forgotten with this process")
                    return None
        return None

    def _report(self, problem: str) -> None:
        if not self._reported:
            log.warning("%s: %s", self.path, problem)
        self._reported.add(problem)


class _Lock:
    """A lock of this process's threads that a forked child does not inherit locked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        with self._lock:
            yield


_LOCK = _Lock()
_stores: dict[str | None, Store] = {}


def default_store() -> Store:
    """Return this process's store of the cache folder."""
    stated = os.environ.get(VARIABLE)
    if stated not in _stores:
        _stores[stated] = Store(lambda: cache_folder("tuning"))
    return _stores[stated]


def _opened(path: Path) -> sqlite3.Connection:
    """Return a connection to a file of this version, made if need be."""
    import sqlite3

    connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA:
            raise _UnusableError(f"it was written by a newer cnnrt (version {version}, not {SCHEMA})")
        if version != SCHEMA:
            _begin(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _begin(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables; what an older version left is dropped."""
    import sqlite3

    with contextlib.suppress(sqlite3.OperationalError):  # without it, readers and writers wait for one another
        if file_system(path) not in NETWORK_FILE_SYSTEMS:
            connection.execute("PRAGMA journal_mode = WAL")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,):
            return  # another process was quicker
        connection.execute("DROP TABLE IF EXISTS facts")
        connection.execute(
            "CREATE TABLE facts"
            " (kind TEXT, digest TEXT, key TEXT, value TEXT, written REAL, PRIMARY KEY (kind, digest))"
        )
        connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _set_aside(path: Path) -> bool:
    """Rename a broken file; tell whether that went well."""
    try:
        path.replace(path.with_suffix(".broken"))
        for suffix in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
    except OSError:
        return False
    return True


def file_system(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Return the type of the file system that holds a path ("ext4", "nfs4"), empty where the system does not tell."""
    try:
        rows = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return ""
    around = [(len(row[1]), row[2]) for row in rows if len(row) > 2 and path.absolute().is_relative_to(row[1])]
    return max(around, default=(0, ""))[1]


def _digest(key: Key) -> str:
    import hashlib  # here: OpenSSL takes megabytes

    return hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]


def _fact(row: tuple[Any, ...]) -> tuple[str, Fact | None]:
    """Return the digest and the fact of a row, None where it is not of the right form."""
    kind, digest, key, value, written = row
    try:
        fact = Fact(kind, json.loads(key), json.loads(value), float(written))
    except (TypeError, ValueError, RecursionError):
        return str(digest), None
    good = kind in KINDS and isinstance(fact.key, dict) and _digest(fact.key) == digest
    return str(digest), fact if good else None
