"""`SqliteStore`: records in an SQLite file, shared by the processes of one host. SQL only swaps records."""

# Reads need no lock (WAL). Within a process one thread writes at a time, and takes the waiting writes of the others
# along in one transaction, so that with durability "full" they share one fsync. Between processes SQLite's write lock
# decides; it is asked for at random intervals that do not grow, as SQLite's own do, so that nobody starves.
#
# SECURITY: keys hold what a peer sent; they are bound as parameters, never part of a statement.

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from mailauth.greylist import Entry, Page, Record, State, Store, StoreError, StoreErrorReason
from mailauth.greylist.records import NEVER
from mailauth.stores.urls import DEFAULT_TIME_LIMIT

T = TypeVar("T")

APPLICATION_ID = 0x6D617467  # "matg": mailauth greylist; shown by file(1)
SCHEMA_VERSION = 1
SCHEMA = (
    # The key of a client is the beginning of its triplets' keys: WITHOUT ROWID keeps them on the same page.
    """CREATE TABLE greylist (
        key TEXT PRIMARY KEY NOT NULL,
        state TEXT NOT NULL,
        first_seen REAL NOT NULL,
        last_seen REAL NOT NULL,
        deferred INTEGER NOT NULL,
        passed INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        removed INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX greylist_expires ON greylist (expires)",
)
_COLUMNS = "state, first_seen, last_seen, deferred, passed, expires, removed"
_SAME = " AND ".join(f"{column} = ?" for column in _COLUMNS.split(", "))
# The number is the place of the key among those that were asked for: cheaper than to give the key back, and to compare.
_GET = f"SELECT 0, {_COLUMNS} FROM greylist WHERE key = ?"
_GET_TWO = f"{_GET} UNION ALL SELECT 1, {_COLUMNS} FROM greylist WHERE key = ?"
_INSERT = f"INSERT INTO greylist (key, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
_UPDATE = (
    "UPDATE greylist SET "
    + ", ".join(f"{column} = ?" for column in _COLUMNS.split(", "))
    + f" WHERE key = ? AND {_SAME}"
)
_DELETE = f"DELETE FROM greylist WHERE key = ? AND {_SAME}"
_EXPIRE = f"""DELETE FROM greylist WHERE key IN (
    SELECT key FROM greylist WHERE expires < ? ORDER BY expires LIMIT ?) RETURNING key, {_COLUMNS}"""
_ANY_DUE = "SELECT 1 FROM greylist WHERE expires < ? LIMIT 1"
_SCAN = f"SELECT key, {_COLUMNS} FROM greylist WHERE key > ? AND key >= ? AND key < ? ORDER BY key LIMIT ?"

CACHE_KIB = 16 * 1024
CHECKPOINT_PAGES = 4000
"""The log is carried over into the file when it has so many pages (16 MB); SQLite's own number is 1000. Each time takes
two fsyncs, and writes a page once that has changed often: a fifth of the cost of an insert is saved."""
LOCK_INTERVAL = 0.01
"""Seconds: on average so long until a busy write lock is asked for again. Far longer than a write takes: who has the
lock then does a number of writes, while processes that take turns after each write lose what they have in their caches
to each other. Not longer still: with durability "full" the lock is nearly always busy, and who asks less often may not
get it in time. Where two meet by chance, one of them is late by this much; a mail client does not notice."""
LOOK_INTERVAL = 1.0
"""Seconds: so often a store looks whether its file was removed or replaced."""
MAX_BATCH = 256
"""So many waiting writes share one transaction at most."""


class _Open(NamedTuple):
    """A connection, and which file it was opened to."""

    connection: sqlite3.Connection
    identity: tuple[int, int]


class _Write:
    """A write of one thread, carried out by whichever thread has the write lock."""

    __slots__ = ("abandoned", "arguments", "deadline", "done", "error", "result", "work")

    def __init__(self, deadline: float, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self.deadline = deadline
        self.work = work
        self.arguments = arguments
        self.done = False
        self.abandoned = False
        self.result: Any = None
        self.error: BaseException | None = None


class SqliteStore(Store):
    """Records in an SQLite file (WAL). Any number of threads and processes may share the file.

    `durability`: "normal" (PRAGMA synchronous=NORMAL) keeps every acknowledged write through a crash of the process;
    "full" also through a power cut, at the price of an fsync. `time_limit` (seconds) is the longest wait for a lock.
    A file that is missing is created, and one that was replaced is opened anew.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, durability: str | None = None, time_limit: float = DEFAULT_TIME_LIMIT
    ) -> None:
        self._reset()
        self.path = os.fspath(path)
        self._synchronous = {"normal": "NORMAL", "full": "FULL"}[durability or "normal"]
        self._time_limit = time_limit
        _stores.add(self)

    def __del__(self) -> None:
        # A connection that is dropped without being closed is a ResourceWarning from Python 3.13 on.
        self.close()

    def _reset(self) -> None:
        self._idle: deque[_Open] = deque()
        self._writes: deque[_Write] = deque()
        self._write_lock = threading.Lock()
        self._prepare_lock = threading.Lock()
        self._look_again = 0.0
        self._identity = (-1, -1)

    # --- the operations ---

    def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return self.with_connection(None, read, keys)

    def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        if expected is None and record is None:
            return self.get((key,))[0] is None
        statement, values = swap(key, expected, record)
        return self._write(change, statement, values)

    def expire(self, now: float, limit: int) -> Sequence[Entry]:
        # Read before write: nearly always there is nothing to do, and nobody need be kept waiting for that.
        if not self.with_connection(None, any_due, now):
            return []
        return self._write(expire, now, limit)

    def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        """See `mailauth.greylist.Store`; the order is that of the keys."""
        entries = self.with_connection(None, _entries, _SCAN, (cursor, prefix, prefix + "\x7f", limit))
        return Page(entries, entries[-1][0] if len(entries) == limit else "")

    def close(self) -> None:
        # Other threads may take the last one first.
        with suppress(IndexError):
            while True:
                self._idle.pop().connection.close()

    # --- writing ---

    def _write(self, work: Callable[..., T], *arguments: Any) -> T:
        """Have the work done in a transaction, with whatever other threads have to write."""
        if not self._writes and self._write_lock.acquire(blocking=False):
            # Nobody else has anything to write. What comes meanwhile is written by the next that gets the lock.
            try:
                return self.with_connection(None, work, *arguments)
            finally:
                self._write_lock.release()
        mine = _Write(time.monotonic() + self._time_limit, work, arguments)
        self._writes.append(mine)
        if not self._write_lock.acquire(timeout=self._time_limit):
            mine.abandoned = True
            raise StoreError(f"{self.path}: no write within {self._time_limit:g} s", StoreErrorReason.LOCKED)
        try:
            while not mine.done:
                self._write_batch(mine.deadline)
        finally:
            self._write_lock.release()
        if mine.error is not None:
            raise mine.error
        result: T = mine.result
        return result

    def _write_batch(self, deadline: float) -> None:
        batch: list[_Write] = []
        while self._writes and len(batch) < MAX_BATCH:
            write = self._writes.popleft()
            if not write.abandoned:
                batch.append(write)
        try:
            results = self.with_connection(deadline, _transaction, batch)
            for write, result in zip(batch, results, strict=True):
                write.result = result
        except BaseException as error:
            batch = self._those_who_fail(batch, error, deadline)
            for write in batch:
                write.error = error
            if not isinstance(error, StoreError):
                raise
        finally:
            for write in batch:
                write.done = True

    def _those_who_fail(self, batch: list[_Write], error: BaseException, deadline: float) -> list[_Write]:
        """Where no lock was got in one thread's time, the threads that came later have time left to ask for it."""
        now = time.monotonic()
        if now < deadline or not isinstance(error, StoreError) or error.reason is not StoreErrorReason.LOCKED:
            return batch
        self._writes.extendleft(reversed([write for write in batch if write.deadline > now]))
        return [write for write in batch if write.deadline <= now]

    def _when_free(self, deadline: float, work: Callable[..., T], connection: sqlite3.Connection, *arguments: Any) -> T:
        """Do something, again and again while another process has the lock that it needs.

        Reading needs one, too, for a moment: while the last process to close the file tidies up, or after a crash.
        """
        while True:
            try:
                return work(connection, *arguments)
            except sqlite3.OperationalError as error:
                remaining = deadline - time.monotonic()
                if not is_busy(error) or remaining <= 0:
                    raise
            time.sleep(min(random.uniform(0, 2 * LOCK_INTERVAL), remaining))

    # --- connections ---

    def with_connection(self, deadline: float | None, work: Callable[..., T], *arguments: Any) -> T:
        """Do something with an idle connection or a new one; one that fails is not used again.

        `deadline` is for all waiting; None: the time begins now.
        """
        now = time.monotonic()
        if deadline is None:
            deadline = now + self._time_limit
        opened: _Open | None = None
        try:
            opened = self._take(now, deadline)
            result = self._when_free(deadline, work, opened.connection, *arguments)
        except BaseException as error:
            if opened is not None:
                opened.connection.close()
            if isinstance(error, sqlite3.Error | OSError | StoreError | ValueError | OverflowError):
                raise _store_error(self.path, error) from error
            raise
        self._idle.append(opened)
        return result

    def _take(self, now: float, deadline: float) -> _Open:
        while True:
            try:
                opened = self._idle.pop()
            except IndexError:
                return self._connect(deadline)
            if self._is_still(opened.identity, now):
                return opened
            opened.connection.close()

    def _is_still(self, identity: tuple[int, int], now: float) -> bool:
        """Whether the path still names this file, looked at once in a while."""
        if now < self._look_again and identity == self._identity:
            return True
        self._look_again = now + LOOK_INTERVAL
        self._identity = _identity(self.path)
        return identity == self._identity

    def _connect(self, deadline: float) -> _Open:
        connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False, cached_statements=32
        )
        try:
            # One thread at a time: a new file becomes WAL only in a moment when nobody else looks at it, and a crowd of
            # threads that all look, and try again, might leave none.
            if not self._prepare_lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                raise StoreError(f"{self.path}: not opened within {self._time_limit:g} s", StoreErrorReason.LOCKED)
            try:
                self._when_free(deadline, self._prepare, connection)
            finally:
                self._prepare_lock.release()
            return _Open(connection, _identity(self.path))
        except BaseException:
            connection.close()
            raise

    def _prepare(self, connection: sqlite3.Connection) -> None:
        application, version = _schema_of(connection)
        if (application, version) != (APPLICATION_ID, SCHEMA_VERSION):
            _create(connection, self.path)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")


_stores: weakref.WeakSet[SqliteStore] = weakref.WeakSet()
_left_behind: list[object] = []


def _after_fork() -> None:
    # A connection must not be used in a forked child, nor closed there: that would give up the parent's locks.
    for store in _stores:
        _left_behind.append(store._idle)
        store._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _identity(path: str) -> tuple[int, int]:
    """Which file the path names now; nothing that was ever opened if there is none."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return -1, -1
    return status.st_dev, status.st_ino


def _schema_of(connection: sqlite3.Connection) -> tuple[int, int]:
    return (
        connection.execute("PRAGMA application_id").fetchone()[0],
        connection.execute("PRAGMA user_version").fetchone()[0],
    )


def _transaction(connection: sqlite3.Connection, batch: list[_Write]) -> list[Any]:
    """Do all the writes or none."""
    if len(batch) == 1:
        # One statement is a transaction of its own.
        return [batch[0].work(connection, *batch[0].arguments)]
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = [write.work(connection, *write.arguments) for write in batch]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results


def _create(connection: sqlite3.Connection, path: str) -> None:
    """Make the schema, unless another process was faster; refuse a file that holds something else."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        application, version = _schema_of(connection)
        if (application, version) == (0, 0):
            if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
                raise StoreError(f"{path} is an SQLite file of another program", StoreErrorReason.FOREIGN)
            for statement in SCHEMA:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif application != APPLICATION_ID:
            raise StoreError(f"{path} is an SQLite file of another program", StoreErrorReason.FOREIGN)
        elif version != SCHEMA_VERSION:
            words = f"{path} has schema version {version}; this release of mailauth knows {SCHEMA_VERSION}"
            raise StoreError(words, StoreErrorReason.FOREIGN)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


# --- rows ----------------------------------------------------------------------------------------------------


_STATES = {state.value: state for state in State}
_NAMES = {state: state.value for state in State}


def _record(row: tuple[Any, ...]) -> Record:
    """The record of a row, whose first column is its key or place; `ValueError` if it is none."""
    _, state, first_seen, last_seen, deferred, passed, expires, removed = row
    # A column has a type only by custom, and a bit that has tipped over can change it; so it can a count.
    if (
        state not in _STATES
        or not (type(first_seen) is type(last_seen) is float)
        or not (type(deferred) is type(passed) is type(expires) is type(removed) is int)
        or deferred > NEVER
        or passed > NEVER
        or expires > NEVER
        or removed > NEVER
    ):
        raise ValueError("not a record")
    return _new(Record, (_STATES[state], first_seen, last_seen, deferred, passed, expires, removed))


_new = tuple.__new__  # NamedTuple's own constructor is slow


def _entry(row: tuple[Any, ...]) -> Entry:
    if type(row[0]) is not str:
        raise ValueError("not a key")
    return row[0], _record(row)


def _readable(rows: Sequence[tuple[Any, ...]]) -> Iterator[Entry]:
    for row in rows:
        with suppress(ValueError):
            yield _entry(row)


def _rows(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    return connection.execute(statement, values).fetchall()


def _entries(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> list[Entry]:
    return [_entry(row) for row in _rows(connection, statement, values)]


def any_due(connection: sqlite3.Connection, now: float) -> bool:
    """Whether a record has run out."""
    return bool(_rows(connection, _ANY_DUE, (now,)))


def expire(connection: sqlite3.Connection, now: float, limit: int) -> list[Entry]:
    """Remove and return records that have run out."""
    # Rows that are not records were removed with the others; they are not reported.
    return list(_readable(_rows(connection, _EXPIRE, (now, limit))))


def change(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> bool:
    """Carry out what `swap` says; whether the record was what was expected."""
    return connection.execute(statement, values).rowcount == 1


def read(connection: sqlite3.Connection, keys: Sequence[str]) -> list[Record | None]:
    """The records of the keys. Raises `ValueError` for what is none."""
    if len(keys) == 2:
        # The keys of a check: one statement takes one lock.
        records: list[Record | None] = [None, None]
        for row in connection.execute(_GET_TWO, keys).fetchall():
            records[row[0]] = _record(row)
        return records
    rows = [connection.execute(_GET, (key,)).fetchone() for key in keys]
    return [None if row is None else _record(row) for row in rows]


def swap(key: str, expected: Record | None, record: Record | None) -> tuple[str, tuple[Any, ...]]:
    """The statement that changes exactly one row if the key holds what is expected."""
    if record is None:
        assert expected is not None
        return _DELETE, (key, *_row(expected))
    if expected is None:
        return _INSERT, (key, *_row(record))
    return _UPDATE, (*_row(record), key, *_row(expected))


def _row(record: Record) -> tuple[Any, ...]:
    # A plain str: for a subclass the driver first looks for an adapter, each time.
    return _NAMES[record.state], *record[1:]


# --- errors --------------------------------------------------------------------------------------------------

_REASONS = {
    sqlite3.SQLITE_BUSY: StoreErrorReason.LOCKED,
    sqlite3.SQLITE_LOCKED: StoreErrorReason.LOCKED,
    sqlite3.SQLITE_CORRUPT: StoreErrorReason.CORRUPT,
    sqlite3.SQLITE_NOTADB: StoreErrorReason.CORRUPT,
    sqlite3.SQLITE_FULL: StoreErrorReason.FULL,
    sqlite3.SQLITE_READONLY: StoreErrorReason.READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: StoreErrorReason.UNREACHABLE,
    sqlite3.SQLITE_PERM: StoreErrorReason.UNREACHABLE,
    sqlite3.SQLITE_AUTH: StoreErrorReason.UNREACHABLE,
}


def _code(error: sqlite3.Error) -> int:
    """SQLite's error code. An `OperationalError` of the driver itself has none: it met text that is not UTF-8."""
    own = sqlite3.SQLITE_CORRUPT if isinstance(error, sqlite3.OperationalError) else sqlite3.SQLITE_ERROR
    return getattr(error, "sqlite_errorcode", own) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another connection has the lock."""
    return _code(error) == sqlite3.SQLITE_BUSY


def _store_error(path: str, error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    if isinstance(error, sqlite3.Error):
        return StoreError(f"{path}: {error}", _REASONS.get(_code(error), StoreErrorReason.OTHER))
    if isinstance(error, ValueError | OverflowError):
        return StoreError(f"{path}: {error}", StoreErrorReason.CORRUPT)
    return StoreError(f"{path}: {error}", StoreErrorReason.UNREACHABLE)
