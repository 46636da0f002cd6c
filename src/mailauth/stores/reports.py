"""Where DMARC results are added up for aggregate reports: an SQLite file, or PostgreSQL. SQL only counts.

One connection for each store, taken in turns: a message adds one row, which costs less than its signature.
"""

# SECURITY: rows hold what peers sent; they are bound as parameters. A policy domain takes `MAX_ROWS` different rows a
# day, so that nobody fills the disk by sending mail from many names.

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TypeVar

from mailauth import MailAuthError
from mailauth.dmarc.reports import MAX_ROWS, Published, ReportStore, Row
from mailauth.stores.urls import parse_url, redact

T = TypeVar("T")

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS dmarc_domains (
        day INTEGER NOT NULL, domain TEXT NOT NULL, published TEXT NOT NULL, entries INTEGER NOT NULL,
        PRIMARY KEY (day, domain))""",
    """CREATE TABLE IF NOT EXISTS dmarc_rows (
        day INTEGER NOT NULL, domain TEXT NOT NULL, data TEXT NOT NULL, messages INTEGER NOT NULL,
        PRIMARY KEY (day, domain, data))""",
)
_PUBLISH = """INSERT INTO dmarc_domains (day, domain, published, entries) VALUES (?, ?, ?, 0)
    ON CONFLICT (day, domain) DO UPDATE SET published = excluded.published"""
_COUNT = "UPDATE dmarc_rows SET messages = messages + 1 WHERE day = ? AND domain = ? AND data = ?"
_ROOM = "UPDATE dmarc_domains SET entries = entries + 1 WHERE day = ? AND domain = ? AND entries < ?"
_INSERT = """INSERT INTO dmarc_rows (day, domain, data, messages) VALUES (?, ?, ?, 1)
    ON CONFLICT (day, domain, data) DO UPDATE SET messages = dmarc_rows.messages + 1"""
_DOMAINS = "SELECT published FROM dmarc_domains WHERE day = ? ORDER BY domain"
_ROWS = "SELECT data, messages FROM dmarc_rows WHERE day = ? AND domain = ? ORDER BY messages DESC, data"
_FORGET = ("DELETE FROM dmarc_rows WHERE day < ?", "DELETE FROM dmarc_domains WHERE day < ?")


class _SqlReportStore(ReportStore):
    """What SQLite and PostgreSQL have in common: the statements."""

    def __init__(self, connect: Callable[[], Any], parameter: str, broken: tuple[type[Exception], ...]) -> None:
        self._connect = connect
        self._parameter = parameter
        self._broken = broken
        self._lock = threading.Lock()
        self._connection: Any = None

    def add(self, day: int, published: Published, row: Row) -> None:
        domain, data = published.domain, row.to_json()

        def count(execute: Callable[..., Any]) -> None:
            execute(_PUBLISH, (day, domain, json.dumps(asdict(published))))
            if execute(_COUNT, (day, domain, data)).rowcount == 0:
                if execute(_ROOM, (day, domain, MAX_ROWS)).rowcount == 1:
                    execute(_INSERT, (day, domain, data))

        self._transact(count)

    def domains(self, day: int) -> list[Published]:
        def select(execute: Callable[..., Any]) -> list[Published]:
            found = [json.loads(published) for (published,) in execute(_DOMAINS, (day,)).fetchall()]
            return [Published(**{**values, "rua": tuple(values["rua"])}) for values in found]

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
        with self._lock:
            kept = self._connection is not None
            try:
                return self._attempt(work)
            except self._broken:
                self._drop()
                if not kept:
                    raise
                return self._attempt(work)

    def _attempt(self, work: Callable[[Callable[..., Any]], T]) -> T:
        if self._connection is None:
            self._connection = self._connect()
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.commit()
        connection = self._connection

        def execute(statement: str, values: Sequence[Any]) -> Any:
            return connection.execute(statement.replace("?", self._parameter), values)

        try:
            result = work(execute)
            connection.commit()
        except BaseException:
            with suppress(Exception):
                connection.rollback()
            raise
        return result


def open_report_store(url: str) -> ReportStore:
    """See `mailauth.stores.open_report_store`."""
    parsed = parse_url(url)
    if parsed.kind == "sqlite":

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(parsed.rest, timeout=parsed.time_limit, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            return connection

        return _SqlReportStore(connect, "?", (sqlite3.OperationalError,))
    if parsed.kind != "postgresql":
        raise ValueError(f"{redact(url)}: DMARC results are kept in sqlite: or postgresql:")
    try:
        import psycopg
    except ImportError:
        raise MailAuthError("PostgreSQL needs psycopg: pip install 'mailauth[postgres]'") from None

    def connect_to_server() -> Any:
        return psycopg.connect(parsed.rest, connect_timeout=max(2, round(parsed.time_limit)))

    return _SqlReportStore(connect_to_server, "%s", (psycopg.OperationalError,))
