"""Where DMARC results are added up for aggregate reports: an SQLite file, or PostgreSQL. SQL only counts.

One connection for each store, taken in turns: a message adds one row, which costs less than its signature.
"""

# SECURITY: rows hold what peers sent; they are bound as parameters. A policy domain takes `MAX_ROWS` different rows a
# day, so that nobody fills the disk by sending mail from many names. A database that does not answer holds a message
# for twice the time limit at most: once for its turn, once for the database.

from __future__ import annotations

import math
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from mailauth import MailAuthError
from mailauth.dmarc.reports import MAX_ROWS, Published, ReportStore, Row
from mailauth.stores.urls import StoreUrl, parse_url, redact

T = TypeVar("T")

APPLICATION_ID = 0x6D617264  # "mard": mailauth reports of DMARC; shown by file(1)
_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS dmarc_domains (
        day INTEGER NOT NULL, domain TEXT NOT NULL, published TEXT NOT NULL, entries INTEGER NOT NULL,
        PRIMARY KEY (day, domain))""",
    """CREATE TABLE IF NOT EXISTS dmarc_rows (
        day INTEGER NOT NULL, domain TEXT NOT NULL, data TEXT NOT NULL, messages INTEGER NOT NULL,
        PRIMARY KEY (day, domain, data))""",
)
_TABLES = 2
_PUBLISH = """INSERT INTO dmarc_domains (day, domain, published, entries) VALUES (?, ?, ?, 0)
    ON CONFLICT (day, domain) DO UPDATE SET published = excluded.published"""
_COUNT = "UPDATE dmarc_rows SET messages = messages + 1 WHERE day = ? AND domain = ? AND data = ?"
_ROOM = "UPDATE dmarc_domains SET entries = entries + 1 WHERE day = ? AND domain = ? AND entries < ?"
_INSERT = "INSERT INTO dmarc_rows (day, domain, data, messages) VALUES (?, ?, ?, 1)"
_DOMAINS = "SELECT published FROM dmarc_domains WHERE day = ? ORDER BY domain"
_ROWS = "SELECT data, messages FROM dmarc_rows WHERE day = ? AND domain = ? ORDER BY messages DESC, data"
_FORGET = ("DELETE FROM dmarc_domains WHERE day < ?", "DELETE FROM dmarc_rows WHERE day < ?")

_SCHEMA_LOCK = APPLICATION_ID  # of two processes that make the tables in PostgreSQL, one waits for the other
_FIND = """SELECT count(*) FROM pg_catalog.pg_class
    WHERE relname IN ('dmarc_domains', 'dmarc_rows') AND pg_table_is_visible(oid)"""


class _Database(Protocol):
    """What SQLite and PostgreSQL do not have in common."""

    time_limit: float
    begin: str
    parameter: str

    def connect(self) -> Any:
        """A connection that commits each statement, with the tables there."""

    def refresh(self, connection: Any) -> None:
        """Called before each transaction."""

    def is_dead(self, connection: Any, error: Exception | None = None) -> bool:
        """Whether a kept connection is to be replaced, before it is used (no error) or after it failed."""


class _Sqlite:
    begin = "BEGIN IMMEDIATE"
    parameter = "?"

    def __init__(self, parsed: StoreUrl) -> None:
        self.path, self.time_limit = parsed.rest, parsed.time_limit
        self._identity: tuple[int, int] | None = None

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=self.time_limit, check_same_thread=False, isolation_level=None)
        try:
            self._require_ours(connection)
            self._use_wal(connection)
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            for statement in _SCHEMA:
                connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        self._identity = self._identify()
        return connection

    def _require_ours(self, connection: sqlite3.Connection) -> None:
        (program,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if program != APPLICATION_ID and (program or tables):
            raise MailAuthError(f"{self.path} is an SQLite file of another program, or of a greylist")

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        # Of several processes that change a new file to WAL at once, SQLite fails all but one without waiting.
        end = time.monotonic() + self.time_limit
        while True:
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                    raise
                time.sleep(random.uniform(0.001, 0.02))

    def refresh(self, connection: sqlite3.Connection) -> None:
        pass  # it has its time limit

    def is_dead(self, connection: sqlite3.Connection, error: Exception | None = None) -> bool:
        return error is None and self._identify() != self._identity  # the file was removed or replaced

    def _identify(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino


class _Postgres:
    begin = "BEGIN"
    parameter = "%s"

    def __init__(self, parsed: StoreUrl) -> None:
        try:
            import psycopg
        except ImportError:
            raise MailAuthError("PostgreSQL needs psycopg: pip install 'mailauth[postgres]'") from None
        self._psycopg = psycopg
        self.url, self.time_limit = parsed.rest, parsed.time_limit

    def connect(self) -> Any:
        from mailauth.stores.postgres import timed_connection_class

        connection = timed_connection_class().connect(
            self.url,
            autocommit=True,
            application_name="mailauth dmarc",
            connect_timeout=max(2, round(self.time_limit)),  # libpq takes 1 for 2
        )
        try:
            self.refresh(connection)
            connection.execute(f"SET statement_timeout = {math.ceil(self.time_limit * 1000)}")
            connection.execute("SET default_transaction_isolation = 'read committed'")
            # Who may not make tables may use those that are there.
            if connection.execute(_FIND).fetchone()[0] < _TABLES:
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
                    for statement in _SCHEMA:
                        connection.execute(statement)
        except BaseException:
            connection.close()
            raise
        return connection

    def refresh(self, connection: Any) -> None:
        connection.deadline = time.monotonic() + self.time_limit

    def is_dead(self, connection: Any, error: Exception | None = None) -> bool:
        return isinstance(error, self._psycopg.OperationalError) and connection.broken


class _SqlReportStore(ReportStore):
    """Both: the statements."""

    def __init__(self, database: _Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._connection: Any = None
        self._process = os.getpid()

    def add(self, day: int, published: Published, row: Row) -> None:
        domain, data = published.domain, row.to_json()

        def count(execute: Callable[..., Any]) -> None:
            # First the domain's row, whose lock makes those who count for it wait for each other.
            execute(_PUBLISH, (day, domain, published.to_json()))
            if execute(_COUNT, (day, domain, data)).rowcount == 0:
                if execute(_ROOM, (day, domain, MAX_ROWS)).rowcount == 1:
                    execute(_INSERT, (day, domain, data))

        self._transact(count)

    def domains(self, day: int) -> list[Published]:
        def select(execute: Callable[..., Any]) -> list[Published]:
            return [Published.from_json(published) for (published,) in execute(_DOMAINS, (day,)).fetchall()]

        return self._transact(select)

    def rows(self, day: int, domain: str) -> list[tuple[Row, int]]:
        def select(execute: Callable[..., Any]) -> list[tuple[Row, int]]:
            return [(Row.from_json(data), messages) for data, messages in execute(_ROWS, (day, domain)).fetchall()]

        return self._transact(select)

    def forget(self, before: int) -> None:
        def delete(execute: Callable[..., Any]) -> None:
            for statement in _FORGET:
                execute(statement, (before,))

        self._transact(delete)

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    def _transact(self, work: Callable[[Callable[..., Any]], T]) -> T:
        """Do the work in a transaction; a connection that was kept and has died is replaced once."""
        if self._process != os.getpid():
            # A connection must not be used in a forked child, nor closed there: that would end the parent's session.
            _left_behind.append(self._connection)
            self._connection, self._lock, self._process = None, threading.Lock(), os.getpid()
        if not self._lock.acquire(timeout=self._database.time_limit):
            raise TimeoutError(f"no turn within {self._database.time_limit:g} s")
        try:
            kept = self._connection is not None and not self._database.is_dead(self._connection)
            if not kept:
                self._drop()
            try:
                return self._attempt(work)
            except Exception as error:
                if not kept or not self._database.is_dead(self._connection, error):
                    raise
                self._drop()
                return self._attempt(work)
        except BaseException:
            self._drop()  # failed in the middle of something: what it would say next is not known
            raise
        finally:
            self._lock.release()

    def _attempt(self, work: Callable[[Callable[..., Any]], T]) -> T:
        if self._connection is None:
            self._connection = self._database.connect()
        connection, parameter = self._connection, self._database.parameter
        self._database.refresh(connection)

        def execute(statement: str, values: Sequence[Any] = ()) -> Any:
            return connection.execute(statement.replace("?", parameter), values)

        execute(self._database.begin)
        result = work(execute)
        execute("COMMIT")
        return result


_left_behind: list[object] = []


def open_report_store(url: str) -> ReportStore:
    """See `mailauth.stores.open_report_store`."""
    parsed = parse_url(url)
    if parsed.kind == "sqlite":
        return _SqlReportStore(_Sqlite(parsed))
    if parsed.kind == "postgresql":
        return _SqlReportStore(_Postgres(parsed))
    raise ValueError(f"{redact(url)}: DMARC results are kept in sqlite: or postgresql:")
