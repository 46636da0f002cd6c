"""`ThreadedStore`: any store in worker threads; `NativeUnderAsyncio`: an asyncio driver, with threads under trio.

asyncio and trio are imported when first needed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from mailauth.greylist import AsyncStore, Entry, Page, Record, Store
from mailauth.plan.drivers import running_trio

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

P = ParamSpec("P")
T = TypeVar("T")

MAX_THREADS = 32
"""So many operations of one store run at once under asyncio; under trio its own limiter decides (40)."""


class ThreadedStore(AsyncStore):
    """A synchronous store for asyncio and trio, each operation in a worker thread.

    An operation whose caller is cancelled runs to its end in its thread; nobody hears of it.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._threads: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._lock = threading.Lock()

    async def _in_thread(self, function: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        if running_trio():
            import trio

            return await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)
        import asyncio

        with self._lock:  # another thread that closes the store leaves no pool that takes nothing more
            made = asyncio.get_running_loop().run_in_executor(self._pool(), function, *arguments)
        return await made

    def _pool(self) -> ThreadPoolExecutor:
        # A forked child has no threads but its first; a pool that was forked would wait for them for ever.
        if self._threads is None or self._process != os.getpid():
            from concurrent.futures import ThreadPoolExecutor

            self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="greylist")
            self._process = os.getpid()
        return self._threads

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return await self._in_thread(self._store.get, keys)

    async def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        return await self._in_thread(self._store.compare_and_set, key, expected, record)

    async def expire(self, now: float, limit: int) -> Sequence[Entry]:
        return await self._in_thread(self._store.expire, now, limit)

    async def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        return await self._in_thread(self._store.scan, prefix, cursor, limit)

    async def close(self) -> None:
        """See `mailauth.greylist.Store`; the worker threads end, too."""
        await self._in_thread(self._store.close)
        with self._lock:
            threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False)


class NativeUnderAsyncio(AsyncStore):
    """A store with an asyncio driver; under trio, which that driver does not know, another one in its place."""

    def __init__(self, native: AsyncStore, under_trio: Callable[[], AsyncStore]) -> None:
        self._native = native
        self._make_other = under_trio
        self._other: AsyncStore | None = None

    def _store(self) -> AsyncStore:
        if not running_trio():
            return self._native
        if self._other is None:
            self._other = self._make_other()
        return self._other

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return await self._store().get(keys)

    async def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        return await self._store().compare_and_set(key, expected, record)

    async def expire(self, now: float, limit: int) -> Sequence[Entry]:
        return await self._store().expire(now, limit)

    async def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        return await self._store().scan(prefix, cursor, limit)

    async def close(self) -> None:
        await self._store().close()
