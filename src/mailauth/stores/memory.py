"""`MemoryStore`: records in a dictionary, which live and die with their process."""

# SECURITY: whoever can connect can create records; their number is bounded (RFC 6647 section 8.2), and a store
# that is full says so, which by default lets mail through.

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar

from mailauth.greylist import AsyncStore, Entry, Page, Record, Store, StoreError, StoreErrorReason
from mailauth.greylist.service import NO_RESOLVER
from mailauth.plan import Plan, run

T = TypeVar("T")

MAX_RECORDS = 1_000_000
"""About 600 MB."""


class MemoryStore(Store):
    """Records in memory, for one process, its threads and its tests."""

    def __init__(self, *, max_records: int = MAX_RECORDS) -> None:
        self._records: dict[str, Record] = {}
        # (expires, key), possibly out of date: what counts is the record. Rebuilt when most of it is.
        self._queue: list[tuple[int, str]] = []
        self._lock = threading.Lock()
        self._max_records = max_records

    def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return [self._records.get(key) for key in keys]

    def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        with self._lock:
            if self._records.get(key) != expected:
                return False
            if record is None:
                self._records.pop(key, None)
                return True
            if expected is None and len(self._records) >= self._max_records:
                raise StoreError(f"the store is full: {self._max_records} records", StoreErrorReason.FULL)
            self._records[key] = record
            if expected is None or expected.expires != record.expires:
                self._enqueue(key, record)
            return True

    def _enqueue(self, key: str, record: Record) -> None:
        heapq.heappush(self._queue, (record.expires, key))
        if len(self._queue) > 2 * len(self._records) + 64:
            self._queue = [(record.expires, key) for key, record in self._records.items()]
            heapq.heapify(self._queue)

    def expire(self, now: float, limit: int) -> Sequence[Entry]:
        removed: list[Entry] = []
        with self._lock:
            while self._queue and self._queue[0][0] < now and len(removed) < limit:
                expires, key = heapq.heappop(self._queue)
                record = self._records.get(key)
                if record is not None and record.expires == expires:
                    del self._records[key]
                    removed.append((key, record))
        return removed

    def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        with self._lock:
            keys = sorted(key for key in self._records if key.startswith(prefix) and key > cursor)
            entries = [(key, self._records[key]) for key in islice(keys, limit)]
        return Page(entries, entries[-1][0] if len(keys) > len(entries) else "")

    def close(self) -> None:
        """Nothing to give back: the records stay as long as the object does."""


class AsyncMemoryStore(AsyncStore):
    """A `MemoryStore` for asyncio and trio: nothing in it ever waits, so no thread is needed."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def perform(self, plan: Callable[[Store], Plan[T]]) -> T:
        """Make a plan with this store and run it."""
        return run(plan(self._store), NO_RESOLVER, time_limit=None)

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return self._store.get(keys)

    async def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        return self._store.compare_and_set(key, expected, record)

    async def expire(self, now: float, limit: int) -> Sequence[Entry]:
        return self._store.expire(now, limit)

    async def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        return self._store.scan(prefix, cursor, limit)

    async def close(self) -> None:
        self._store.close()
