"""`AsyncSqliteStore`: SQLite for asyncio, the decisions that wait at the same time in one transaction."""

# One thread takes whatever waits when it becomes free, so nothing is put off to gather more. It never waits itself:
# where another process has the write lock, or anything fails, each decision of the batch is made anew for itself, by
# the threads of `ThreadedStore`, with the waiting, the deadlines and the errors of `SqliteStore`. A decision is known
# to its caller only when the transaction of its batch is committed.

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from mailauth.greylist import Entry, Page, Record, Store
from mailauth.greylist.service import NO_RESOLVER
from mailauth.plan import Call, Plan, run
from mailauth.plan.drivers import running_trio
from mailauth.stores import sqlite
from mailauth.stores.threads import ThreadedStore

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

MAX_BATCH = 256
"""Decisions in one transaction at most."""


class _View(Store):
    """The store as the plans of a batch see it: in a transaction from the first write on."""

    connection: sqlite3.Connection

    def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return sqlite.read(self.connection, keys)

    def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        if expected is None and record is None:
            return self.get((key,))[0] is None
        self._begin()
        return sqlite.change(self.connection, *sqlite.swap(key, expected, record))

    def expire(self, now: float, limit: int) -> Sequence[Entry]:
        if not sqlite.any_due(self.connection, now):
            return []
        self._begin()
        return sqlite.expire(self.connection, now, limit)

    def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def _begin(self) -> None:
        if not self.connection.in_transaction:
            self.connection.execute("BEGIN IMMEDIATE")


class _Job:
    """A decision that waits: its plan, begun, and the future that its caller awaits."""

    __slots__ = ("future", "loop", "plan", "request")

    def __init__(self, plan: Plan[Any], request: Call, loop: asyncio.AbstractEventLoop) -> None:
        self.plan = plan
        self.request = request
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()


_ALONE = object()
"""What a caller gets whose decision was not made in a batch."""


class AsyncSqliteStore(ThreadedStore):
    """An SQLite file for asyncio and trio; under asyncio concurrent decisions share transactions."""

    def __init__(self, store: sqlite.SqliteStore) -> None:
        super().__init__(store)
        self._file = store
        self._view = _View()
        self._jobs: SimpleQueue[_Job | None] | None = None
        self._owner = -1  # the process that the thread belongs to
        self._queue_lock = threading.Lock()

    async def perform(self, plan: Callable[[Store], Plan[T]]) -> T:
        """Make a plan with this store and run it, all of its operations in one transaction of a worker thread."""
        if not running_trio():
            import asyncio

            begun = plan(self._view)
            try:
                request = begun.send(None)
            except StopIteration as stop:
                result: T = stop.value
                return result
            assert isinstance(request, Call)
            job = _Job(begun, request, asyncio.get_running_loop())
            self._put(job)
            outcome = await job.future
            if outcome is not _ALONE:
                made: T = outcome
                return made
        return await self._in_thread(_run_alone, plan, self._store)

    def _put(self, job: _Job) -> None:
        # With the lock, no job can come behind the None that ends the thread.
        with self._queue_lock:
            # A forked child has no threads but its first.
            if self._jobs is None or self._owner != os.getpid():
                self._jobs, self._owner = SimpleQueue(), os.getpid()
                threading.Thread(target=self._work, args=(self._jobs,), name="greylist-batches", daemon=True).start()
            self._jobs.put(job)

    async def close(self) -> None:
        """See `mailauth.greylist.Store`; the worker threads end, too."""
        with self._queue_lock:
            jobs, self._jobs = self._jobs, None
            if jobs is not None:
                jobs.put(None)
        await super().close()

    # --- in the worker thread ---

    def _work(self, jobs: SimpleQueue[_Job | None]) -> None:
        while (job := jobs.get()) is not None:
            batch = [job]
            while len(batch) < MAX_BATCH:
                try:
                    job = jobs.get_nowait()
                except Empty:
                    break
                if job is None:
                    jobs.put(None)
                    break
                batch.append(job)
            self._decide([each for each in batch if not each.future.cancelled()])

    def _decide(self, batch: list[_Job]) -> None:
        outcomes: Sequence[Any]
        try:
            outcomes = self._file.with_connection(time.monotonic(), self._in_transaction, batch)
        except Exception:  # noqa: BLE001 - each caller learns of its own error, when its decision is made anew
            outcomes = [_ALONE] * len(batch)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[_Job, Any]]] = {}
        for job, outcome in zip(batch, outcomes, strict=True):
            by_loop.setdefault(job.loop, []).append((job, outcome))
        for loop, made in by_loop.items():
            with suppress(RuntimeError):  # that loop has been closed: nobody waits
                loop.call_soon_threadsafe(_deliver, made)

    def _in_transaction(self, connection: sqlite3.Connection, batch: list[_Job]) -> Sequence[Any]:
        self._view.connection = connection
        try:
            outcomes = [_result(job) for job in batch]
            if connection.in_transaction:
                connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if not sqlite.is_busy(error):
                raise
            return [_ALONE] * len(batch)
        return outcomes


def _result(job: _Job) -> Any:
    """The result of a plan whose calls are carried out one after another."""
    request: Any = job.request
    try:
        while True:
            request = job.plan.send(request.function(*request.arguments))
    except StopIteration as stop:
        return stop.value


def _deliver(made: list[tuple[_Job, Any]]) -> None:
    for job, outcome in made:
        if not job.future.done():
            job.future.set_result(outcome)


def _run_alone(plan: Callable[[Store], Plan[T]], store: Store) -> T:
    return run(plan(store), NO_RESOLVER, time_limit=None)
