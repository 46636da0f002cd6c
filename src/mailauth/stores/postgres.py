"""`PostgresStore` and `AsyncPostgresStore`: records in one table of PostgreSQL, shared by several hosts.

SQL only swaps and removes rows.
"""

# SECURITY: keys hold what a peer sent; they are bound as parameters, never part of a statement. Passwords in the URL
# are not shown.

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from mailauth import MailAuthError
from mailauth.greylist import AsyncStore, Entry, Page, Record, State, Store, StoreError, StoreErrorReason
from mailauth.stores.urls import DEFAULT_TIME_LIMIT, redact, why

if TYPE_CHECKING:
    import asyncio

SCHEMA_VERSION = 1
TABLE = "mailauth_greylist"
_COMMENT = f"mailauth greylist, schema {SCHEMA_VERSION}"
_SCHEMA_LOCK = 0x6D617467  # of two processes that make the table, one waits for the other
SCHEMA = f"""
CREATE TABLE {TABLE} (
    key text COLLATE "C" PRIMARY KEY,
    state text NOT NULL,
    first_seen double precision NOT NULL,
    last_seen double precision NOT NULL,
    deferred bigint NOT NULL,
    passed bigint NOT NULL,
    expires bigint NOT NULL,
    removed bigint NOT NULL
);
CREATE INDEX {TABLE}_expires ON {TABLE} (expires);
COMMENT ON TABLE {TABLE} IS '{_COMMENT}';
"""
# Not to_regclass(): a session keeps in its cache that there is no such table, and within a transaction does
# not hear that another has made it meanwhile.
_FIND = (
    "SELECT obj_description(oid, 'pg_class') FROM pg_catalog.pg_class WHERE relname = %s AND pg_table_is_visible(oid)"
)

_COLUMNS = "state, first_seen, last_seen, deferred, passed, expires, removed"
_TYPES = ("text", "float8", "float8", "int8", "int8", "int8", "int8")
_PLACES = ", ".join(f"%s::{kind}" for kind in _TYPES)
_SAME = f"({_COLUMNS}) = ({_PLACES})"
_GET = f"SELECT key, {_COLUMNS} FROM {TABLE} WHERE key = ANY(%s)"
# The two keys of a check: the server plans this once, but one with an array anew each time, as the array's length may
# change; and planning takes longer than reading.
_GET_TWO = f"SELECT key, {_COLUMNS} FROM {TABLE} WHERE key IN (%s, %s)"
_INSERT = f"INSERT INTO {TABLE} (key, {_COLUMNS}) VALUES (%s, {_PLACES}) ON CONFLICT (key) DO NOTHING"
_UPDATE = f"UPDATE {TABLE} SET ({_COLUMNS}) = ({_PLACES}) WHERE key = %s AND {_SAME}"
_DELETE = f"DELETE FROM {TABLE} WHERE key = %s AND {_SAME}"
# SKIP LOCKED: expiry waits for nobody. The second condition is checked again on rows that changed meanwhile.
_EXPIRE = f"""DELETE FROM {TABLE} WHERE key = ANY(ARRAY(
    SELECT key FROM {TABLE} WHERE expires < %s ORDER BY expires LIMIT %s FOR UPDATE SKIP LOCKED)
    ) AND expires < %s RETURNING key, {_COLUMNS}"""
_SCAN = f"SELECT key, {_COLUMNS} FROM {TABLE} WHERE key > %s AND key >= %s AND key < %s ORDER BY key LIMIT %s"

MAX_IDLE = 32
"""So many connections are kept open while nobody uses them."""

_STATES = {state.value: state for state in State}


def _driver() -> Any:
    try:
        import psycopg
    except ImportError:
        raise MailAuthError("the PostgreSQL store needs psycopg: pip install 'mailauth[postgres]'") from None
    return psycopg


class _Wording:
    """What the sync and the async store have in common: statements, rows and errors."""

    def __init__(self, url: str, durability: str | None, time_limit: float) -> None:
        self._psycopg = _driver()
        try:
            self._psycopg.conninfo.conninfo_to_dict(url)
        except self._psycopg.Error as error:
            raise ValueError(f"{redact(url)}: {why(url, error)}") from None
        self._url = url
        self._shown = redact(url)
        self._time_limit = time_limit
        # normal: a commit is acknowledged before it is on disk; unnamed: as the server is set up.
        self._synchronous_commit = {"normal": "off", "full": "on"}.get(durability or "")

    def _options(self) -> dict[str, Any]:
        return {
            "autocommit": True,
            "application_name": "mailauth greylist",
            "connect_timeout": max(2, round(self._time_limit)),  # libpq takes 1 for 2
        }

    def _session(self) -> list[str]:
        settings = [
            f"SET statement_timeout = {math.ceil(self._time_limit * 1000)}",
            # A server may be set to a stricter level, at which who loses a race fails instead of seeing that it lost.
            "SET default_transaction_isolation = 'read committed'",
            # A statement's plan is kept: one that was made while the table was small would go on to read all of it.
            "SET enable_seqscan = off",
        ]
        if self._synchronous_commit is not None:
            settings.append(f"SET synchronous_commit = {self._synchronous_commit}")
        return settings

    def _require_ours(self, row: Any) -> bool:
        """Whether the table is there; `StoreError` if it is not ours."""
        if row is not None and row[0] != _COMMENT:
            words = f"{self._shown}: table {TABLE} is {row[0] or 'of another program'}; this is {_COMMENT}"
            raise StoreError(words, StoreErrorReason.FOREIGN)
        return row is not None

    def _record(self, row: Sequence[Any]) -> Record:
        state = _STATES.get(row[1])
        if state is None:
            raise StoreError(f"{self._shown}: a record in no state that there is: {row[1]!r}", StoreErrorReason.CORRUPT)
        return Record(state, *row[2:])

    def _entries(self, rows: Sequence[Sequence[Any]]) -> list[Entry]:
        return [(row[0], self._record(row)) for row in rows]

    def _by_key(self, keys: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Record | None]:
        found = dict(self._entries(rows))
        return [found.get(key) for key in keys]

    def _store_error(self, error: Exception) -> StoreError:
        errors = self._psycopg.errors
        words = f"{self._shown}: {' '.join(str(error).split())}"
        if isinstance(error, TimeoutError | errors.QueryCanceled | errors.ConnectionTimeout):
            return StoreError(f"{self._shown}: no answer within {self._time_limit:g} s", StoreErrorReason.TIMED_OUT)
        if isinstance(error, errors.DiskFull | errors.OutOfMemory):
            return StoreError(words, StoreErrorReason.FULL)
        if isinstance(error, errors.ReadOnlySqlTransaction):
            return StoreError(words, StoreErrorReason.READ_ONLY)
        if isinstance(error, errors.DataCorrupted | errors.IndexCorrupted):
            return StoreError(words, StoreErrorReason.CORRUPT)
        if isinstance(error, self._psycopg.OperationalError | OSError):
            return StoreError(words, StoreErrorReason.UNREACHABLE)
        return StoreError(words)


def _swap(key: str, expected: Record | None, record: Record | None) -> tuple[str, tuple[Any, ...]]:
    """The statement that changes exactly one row if the key holds what is expected."""
    if record is None:
        assert expected is not None
        return _DELETE, (key, *expected)
    if expected is None:
        return _INSERT, (key, *record)
    return _UPDATE, (*record, key, *expected)


def _select(keys: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
    """The statement that reads the records of the keys."""
    return (_GET_TWO, tuple(keys)) if len(keys) == 2 else (_GET, (list(keys),))


def _scan_bounds(prefix: str, cursor: str, limit: int) -> tuple[Any, ...]:
    return cursor, prefix, prefix + "\x7f", limit


def _has_rows(cursor: Any) -> bool:
    # Not `cursor.description`, which makes an object for each column.
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0


class PostgresStore(_Wording, Store):
    """Records in PostgreSQL 12 or newer. The table is made when it is missing; connections are kept and shared.

    `durability`: "full" waits until a write is on the server's disk, "normal" does not (a crash of the server may
    lose its last half second, a crash of this process loses nothing); without it, the server's own setting holds.
    """

    def __init__(self, url: str, *, durability: str | None = None, time_limit: float = DEFAULT_TIME_LIMIT) -> None:
        super().__init__(url, durability, time_limit)
        self._idle: deque[Any] = deque()
        self._process = os.getpid()

    def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return self._by_key(keys, self._query(*_select(keys))[0])

    def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        if expected is None and record is None:
            return self.get((key,))[0] is None
        return self._query(*_swap(key, expected, record))[1] == 1

    def expire(self, now: float, limit: int) -> Sequence[Entry]:
        return self._entries(self._query(_EXPIRE, (now, limit, now))[0])

    def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        """See `mailauth.greylist.Store`; the order is that of the keys."""
        entries = self._entries(self._query(_SCAN, _scan_bounds(prefix, cursor, limit))[0])
        return Page(entries, entries[-1][0] if len(entries) == limit else "")

    def close(self) -> None:
        # Other threads may take the last one first.
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _query(self, statement: str, values: tuple[Any, ...]) -> tuple[list[Any], int]:
        """Rows and row count."""
        try:
            return self._query_soon(statement, values)
        except (self._psycopg.Error, OSError) as error:
            raise self._store_error(error) from error

    def _query_soon(self, statement: str, values: tuple[Any, ...]) -> tuple[list[Any], int]:
        """A kept connection that has died meanwhile is replaced once."""
        connection, kept = self._take()
        try:
            try:
                result = self._execute(connection, statement, values)
            except self._psycopg.OperationalError:
                if not (kept and connection.broken):
                    raise
                connection.close()
                self.close()
                connection = self._connect()
                result = self._execute(connection, statement, values)
        except BaseException:
            # Failed in the middle of something: what the connection would say next is unknown.
            connection.close()
            raise
        self._give_back(connection)
        return result

    def _execute(self, connection: Any, statement: str, values: tuple[Any, ...]) -> tuple[list[Any], int]:
        connection.deadline = time.monotonic() + self._time_limit
        cursor = connection.execute(statement, values)
        return (cursor.fetchall() if _has_rows(cursor) else []), cursor.rowcount

    def _take(self) -> tuple[Any, bool]:
        if self._process != os.getpid():
            # A connection must not be used in a forked child, nor closed there: that would end the parent's session.
            _left_behind.append(self._idle)
            self._idle, self._process = deque(), os.getpid()
        try:
            return self._idle.pop(), True
        except IndexError:
            return self._connect(), False

    def _give_back(self, connection: Any) -> None:
        if len(self._idle) < MAX_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _connect(self) -> Any:
        connection = timed_connection_class().connect(self._url, **self._options())
        try:
            connection.deadline = time.monotonic() + self._time_limit
            for statement in self._session():
                connection.execute(statement)
            if not self._require_ours(connection.execute(_FIND, (TABLE,)).fetchone()):
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
                    if not self._require_ours(connection.execute(_FIND, (TABLE,)).fetchone()):
                        connection.execute(SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection


_left_behind: list[object] = []


@lru_cache(maxsize=1)
def timed_connection_class() -> Any:
    """A connection that gives up at a deadline of its own, even where the server does not answer at all."""
    psycopg = _driver()

    class TimedConnection(psycopg.Connection):  # type: ignore[misc, name-defined]
        deadline = float("inf")

        def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
            return super().wait(_until(gen, lambda: self.deadline), *arguments, **options)

    return TimedConnection


@lru_cache(maxsize=1)
def _prompt_connection_class() -> Any:
    """A connection that ends at once when it is cancelled: the driver's own first asks the server, for seconds."""
    psycopg = _driver()

    class PromptConnection(psycopg.AsyncConnection):  # type: ignore[misc, name-defined]
        async def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
            return await psycopg.waiting.wait_async(gen, self.pgconn.socket)

    return PromptConnection


def _until(waiting: Any, deadline: Any) -> Generator[Any, Any, Any]:
    """The driver's own generator, which asks for readiness, and is resumed several times a second in any case."""
    try:
        request = next(waiting)
        while True:
            ready = yield request
            if not ready and time.monotonic() >= deadline():
                raise TimeoutError
            request = waiting.send(ready)
    except StopIteration as stop:
        return stop.value


class AsyncPostgresStore(_Wording, AsyncStore):
    """`PostgresStore` for asyncio. Connections belong to an event loop; another loop gets its own."""

    def __init__(self, url: str, *, durability: str | None = None, time_limit: float = DEFAULT_TIME_LIMIT) -> None:
        super().__init__(url, durability, time_limit)
        self._idle: deque[Any] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._permits: Any = None

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return self._by_key(keys, (await self._query(*_select(keys)))[0])

    async def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        if expected is None and record is None:
            return (await self.get((key,)))[0] is None
        return (await self._query(*_swap(key, expected, record)))[1] == 1

    async def expire(self, now: float, limit: int) -> Sequence[Entry]:
        return self._entries((await self._query(_EXPIRE, (now, limit, now)))[0])

    async def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        """See `mailauth.greylist.Store`; the order is that of the keys."""
        entries = self._entries((await self._query(_SCAN, _scan_bounds(prefix, cursor, limit)))[0])
        return Page(entries, entries[-1][0] if len(entries) == limit else "")

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()

    async def _query(self, statement: str, values: tuple[Any, ...]) -> tuple[list[Any], int]:
        """Rows and row count. A kept connection that has died meanwhile is replaced once."""
        import asyncio

        self._adopt(asyncio.get_running_loop())
        try:
            async with asyncio.timeout(self._time_limit), self._permits:
                return await self._query_soon(statement, values)
        except (self._psycopg.Error, OSError) as error:
            raise self._store_error(error) from error

    async def _query_soon(self, statement: str, values: tuple[Any, ...]) -> tuple[list[Any], int]:
        kept = bool(self._idle)
        connection = self._idle.pop() if kept else await self._connect()
        try:
            try:
                result = await self._execute(connection, statement, values)
            except self._psycopg.OperationalError:
                if not (kept and connection.broken):
                    raise
                await connection.close()
                await self.close()
                connection = await self._connect()
                result = await self._execute(connection, statement, values)
        except BaseException:
            # Cancelled or failed in the middle of something: what the connection would say next is unknown.
            await connection.close()
            raise
        self._idle.append(connection)
        return result

    def _adopt(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not loop:
            import asyncio

            # Connections of a loop that has ended cannot be closed any more, only let go.
            self._idle, self._loop, self._permits = deque(), loop, asyncio.Semaphore(MAX_IDLE)

    async def _execute(self, connection: Any, statement: str, values: tuple[Any, ...]) -> tuple[list[Any], int]:
        cursor = await connection.execute(statement, values)
        return (await cursor.fetchall() if _has_rows(cursor) else []), cursor.rowcount

    async def _connect(self) -> Any:
        connection = await _prompt_connection_class().connect(self._url, **self._options())
        try:
            for statement in self._session():
                await connection.execute(statement)
            if not self._require_ours(await (await connection.execute(_FIND, (TABLE,))).fetchone()):
                async with connection.transaction():
                    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
                    if not self._require_ours(await (await connection.execute(_FIND, (TABLE,))).fetchone()):
                        await connection.execute(SCHEMA)
        except BaseException:
            await connection.close()
            raise
        return connection
