"""Stores by URL: ``memory:``, ``sqlite:``, ``redis:`` (Valkey, too), ``postgresql:``.

A store keeps records and swaps one for another; it decides nothing. `open_store` and `open_async_store` choose it by
its URL, and import its driver when the first store of its kind is opened. Reading order: urls.py, memory.py (the
shortest store), sqlite.py, redis.py, postgres.py, threads.py (synchronous stores for asynchronous callers),
batches.py (SQLite under asyncio), reports.py (DMARC results for aggregate reports).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailauth.stores.urls import StoreUrl, parse_url

if TYPE_CHECKING:
    from mailauth.dmarc.reports import ReportStore
    from mailauth.greylist import AsyncStore, Store
    from mailauth.stores.sqlite import SqliteStore

__all__ = ["open_async_store", "open_report_store", "open_store"]


def open_store(url: str, *, time_limit: float | None = None) -> Store:
    """The store at `url`, for synchronous callers; nothing is connected before it is first used.

    - ``memory:``: within this process only.
    - ``sqlite:///var/lib/mailauth/greylist.db`` or ``sqlite:relative.db``: one file for all processes of a host;
      ``?durability=full`` makes each decision survive a power cut, ``normal`` (the default) a crash of the process.
    - ``redis://host/0``, ``rediss:``, ``valkey:``, ``valkeys:``, ``unix:``; ``?prefix=`` instead of ``greylist:``.
    - ``postgresql://user@host/database``: libpq's own parameters, and ``?durability=`` as above.

    `time_limit` (or ``?time_limit=`` in the URL) is in seconds and holds for each operation. Raises `ValueError`
    for a URL that makes no sense, and `mailauth.MailAuthError` where the driver is not installed.
    """
    parsed = parse_url(url, time_limit)
    if parsed.kind == "memory":
        from mailauth.stores.memory import MemoryStore

        return MemoryStore()
    if parsed.kind == "sqlite":
        return _sqlite(parsed)
    if parsed.kind == "redis":
        from mailauth.stores.redis import RedisStore

        return RedisStore(parsed.rest, prefix=parsed.option("prefix"), time_limit=parsed.time_limit)
    from mailauth.stores.postgres import PostgresStore

    return PostgresStore(parsed.rest, durability=parsed.option("durability"), time_limit=parsed.time_limit)


def open_async_store(url: str, *, time_limit: float | None = None) -> AsyncStore:
    """The store at `url`, for asynchronous callers; the same URLs as `open_store`.

    asyncio: Redis and PostgreSQL by their asyncio drivers, SQLite in worker threads, concurrent decisions in one
    transaction. trio: all of them; those drivers know only asyncio, so Redis and PostgreSQL run in worker threads, too.
    Memory needs no waiting anywhere.
    """
    parsed = parse_url(url, time_limit)
    if parsed.kind == "memory":
        from mailauth.stores.memory import AsyncMemoryStore, MemoryStore

        return AsyncMemoryStore(MemoryStore())
    from mailauth.stores.threads import NativeUnderAsyncio, ThreadedStore

    if parsed.kind == "sqlite":
        from mailauth.stores.batches import AsyncSqliteStore

        return AsyncSqliteStore(_sqlite(parsed))
    if parsed.kind == "redis":
        from mailauth.stores.redis import AsyncRedisStore

        native: AsyncStore = AsyncRedisStore(parsed.rest, prefix=parsed.option("prefix"), time_limit=parsed.time_limit)
    else:
        from mailauth.stores.postgres import AsyncPostgresStore

        native = AsyncPostgresStore(parsed.rest, durability=parsed.option("durability"), time_limit=parsed.time_limit)
    return NativeUnderAsyncio(native, lambda: ThreadedStore(open_store(url, time_limit=time_limit)))


def open_report_store(url: str) -> ReportStore:
    """The store of DMARC results for aggregate reports: ``sqlite:`` or ``postgresql:``, as `open_store` has them.

    In PostgreSQL it may share the database with a greylist: the tables are others; an SQLite file it has for itself.
    Safe to share between threads and processes, and in a forked child. Raises `ValueError` for another kind of URL, and
    `mailauth.MailAuthError` where the driver is not installed.
    """
    from mailauth.stores.reports import open_report_store as open_at

    return open_at(url)


def _sqlite(parsed: StoreUrl) -> SqliteStore:
    from mailauth.stores.sqlite import SqliteStore

    return SqliteStore(parsed.rest, durability=parsed.option("durability"), time_limit=parsed.time_limit)
