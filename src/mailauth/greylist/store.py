# What belongs here: what the machine asks of a store, as interfaces and as values that a plan yields, and the two
# short drivers. No store is implemented here, and nothing here knows one.
"""The store interface: three operations on single records, sync and async, and one more for looking at all."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from mailauth import MailAuthError
from mailauth.greylist.records import Record

T = TypeVar("T")

Entry: TypeAlias = tuple[str, Record]
"""A key and its record."""


class Trouble(StrEnum):
    """What is wrong with a store, as a stable code."""

    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed-out"
    LOCKED = "locked"
    CORRUPT = "corrupt"
    FULL = "full"
    READ_ONLY = "read-only"
    FOREIGN = "foreign"  # the file or table belongs to something else, or to a later version
    CONTENTION = "contention"
    OTHER = "other"


class StoreError(MailAuthError):
    """A store cannot do now what it is asked for. Stores raise nothing else; a check turns it into a decision."""

    def __init__(self, words: str, trouble: Trouble = Trouble.OTHER) -> None:
        super().__init__(words)
        self.trouble = trouble


class Page(NamedTuple):
    """Some of the entries, and the cursor that leads to the next page: empty at the end."""

    entries: Sequence[Entry]
    cursor: str


class Store(Protocol):
    """Keeps records by key. Safe to use from several threads. Raises `StoreError` and nothing else."""

    def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """The records of the keys, in their order; None where there is none."""

    def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        """Put `record` in the place of `expected`, atomically; None: no record. False if something else was there.

        When it returns True, the record outlives this process, however that ends (the memory store's does not).
        """

    def expire(self, now: float, limit: int) -> Sequence[Entry]:
        """Remove and return up to `limit` records with `expires` before `now`, the oldest first."""

    def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        """Some records whose keys begin with `prefix`; call again with the cursor until it is empty.

        A record that is written meanwhile may be seen in either state; where the store says so, also twice.
        """

    def close(self) -> None:
        """Give back files and connections; the store may be used again and then opens them anew."""


class AsyncStore(Protocol):
    """The same operations as `Store`, awaited."""

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]: ...

    async def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool: ...

    async def expire(self, now: float, limit: int) -> Sequence[Entry]: ...

    async def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page: ...

    async def close(self) -> None: ...


# --- operations as values ------------------------------------------------------------------------------------


class Get(NamedTuple):
    """Read the records of some keys; the answer is a sequence of records or None."""

    keys: tuple[str, ...]

    def on(self, store: Any) -> Any:
        """Call a store; an async store returns what is to be awaited."""
        return store.get(self.keys)


class CompareAndSet(NamedTuple):
    """Put one record in the place of another; the answer is whether it was there."""

    key: str
    expected: Record | None
    record: Record | None

    def on(self, store: Any) -> Any:
        """Call a store; an async store returns what is to be awaited."""
        return store.compare_and_set(self.key, self.expected, self.record)


class Expire(NamedTuple):
    """Remove some records whose time is over; the answer is the removed entries."""

    now: float
    limit: int

    def on(self, store: Any) -> Any:
        """Call a store; an async store returns what is to be awaited."""
        return store.expire(self.now, self.limit)


Operation: TypeAlias = Get | CompareAndSet | Expire
StorePlan: TypeAlias = Generator[Operation, Any, T]
"""Logic that yields operations and is sent their answers; a `StoreError` is thrown into it where it waits."""


def carry_out(plan: StorePlan[T], store: Store) -> T:
    """Run a plan to its end against a store."""
    try:
        operation = next(plan)
        while True:
            try:
                answer = operation.on(store)
            except StoreError as error:
                operation = plan.throw(error)
            else:
                operation = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        plan.close()


async def carry_out_async(plan: StorePlan[T], store: AsyncStore) -> T:
    """Run a plan to its end against an async store."""
    try:
        operation = next(plan)
        while True:
            try:
                answer = await operation.on(store)
            except StoreError as error:
                operation = plan.throw(error)
            else:
                operation = plan.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        plan.close()
