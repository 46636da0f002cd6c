"""The store interface: three operations on single records, sync and async, and one more for looking at all."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeAlias

from mailauth import MailAuthError
from mailauth.greylist.records import Record

Entry: TypeAlias = tuple[str, Record]
"""A key and its record."""


class StoreErrorReason(StrEnum):
    """Why a store fails, as a stable code."""

    UNREACHABLE = "unreachable"  # no connection to the server, or the file cannot be opened
    TIMED_OUT = "timed-out"  # the server did not answer within the time limit of the store
    LOCKED = "locked"  # SQLite: others held the file for longer than the time limit
    CORRUPT = "corrupt"  # the file or table is damaged, or holds something that is no record
    FULL = "full"  # no room for a record: the disk, the server's memory, or the bound of the memory store
    READ_ONLY = "read-only"  # the file cannot be written, or the server is a replica
    FOREIGN = "foreign"  # the file or table belongs to something else, or to a later version
    CONTENTION = "contention"  # others changed the same record first, a hundred times in a row
    OTHER = "other"  # none of these; the words say what


class StoreError(MailAuthError):
    """An operation of a store failed. Stores raise nothing else; a check turns it into a decision."""

    def __init__(self, words: str, reason: StoreErrorReason = StoreErrorReason.OTHER) -> None:
        super().__init__(words)
        self.reason = reason


class Page(NamedTuple):
    """Some of the entries, and the cursor that leads to the next page: empty at the end."""

    entries: Sequence[Entry]
    cursor: str


class Store(Protocol):
    """Keeps records by key. Safe to use from several threads. Raises `StoreError` and nothing else.

    RFC 6647 sections 4.2 and 5: all MX hosts of a site share one.
    """

    def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """The records of the keys, in their order; None where there is none."""

    def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        """Replace `expected` by `record`, atomically; None: no record. False if something else was there.

        When it returns True, the record outlives this process, however that ends (the memory store's does not).
        """

    def expire(self, now: float, limit: int) -> Sequence[Entry]:
        """Remove and return up to `limit` records with `expires` before `now`, the oldest first."""

    def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        """Some records whose keys begin with `prefix`; call again with the cursor until it is empty.

        A record that is written meanwhile may be seen in either state; where the store says so, also twice.
        """

    def close(self) -> None:
        """Close files and connections; they are opened again when the store is used again."""


class AsyncStore(Protocol):
    """The same operations as `Store`, awaited.

    A store may offer one more, ``async def perform(plan)``: make a plan by calling `plan` with a `Store` of its own,
    and run it to its end. Where it is there, a check is carried out by it, and not operation by operation.
    """

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]: ...

    async def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool: ...

    async def expire(self, now: float, limit: int) -> Sequence[Entry]: ...

    async def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page: ...

    async def close(self) -> None: ...
