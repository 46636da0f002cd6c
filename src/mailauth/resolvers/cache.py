"""`Cache`, and `CachingResolver`, which puts one in front of any resolver.

Answers kept for as long as their TTL allows, and a resolver that asks another one only for the rest. No DNS library,
no event loop, no thread; the clock is an argument.
"""

# SECURITY: peers choose the names that are asked, and publish the answers. So both the number of entries and the
# octets in them are bounded, a TTL is capped, and what is pushed out is what was used longest ago.

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any

from mailauth.plan.dns import Answer, Exchange, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


MAX_ENTRIES = 10_000
MAX_OCTETS = 32 * 1024 * 1024
MAX_TTL = 86_400
"""Seconds that a record is kept at most. RFC 8767 section 4 recommends to cap TTLs at days to a week; a day is enough
to spare the servers, and bounds the life of a mistake."""
MAX_NEGATIVE_TTL = 10_800
"""RFC 2308 section 5: "values of one to three hours have been found to work well"."""
MAX_FAILURE_TTL = 300
"""RFC 2308 section 7.1 and RFC 9520 section 3.2: failures are cached for five minutes at most."""

_OCTETS_PER_ENTRY = 500
_OCTETS_PER_RECORD = 100


class Cache:
    """Answers by question. Thread-safe; bounded by entries and by octets (estimated).

    `clock` yields seconds and never goes back. `failure_ttl` is for how many seconds timeouts, server failures and
    refusals are kept: not at all unless asked for, since the next question may well succeed.

    Raises `ValueError` for a bound below 1, or a `failure_ttl` that is negative or over `MAX_FAILURE_TTL`.
    """

    def __init__(
        self,
        max_entries: int = MAX_ENTRIES,
        *,
        max_octets: int = MAX_OCTETS,
        failure_ttl: float = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_entries < 1 or max_octets < 1:
            raise ValueError("a cache holds at least one entry and one octet")
        if not 0 <= failure_ttl <= MAX_FAILURE_TTL:
            raise ValueError(f"failures are kept for 0 to {MAX_FAILURE_TTL} seconds, not {failure_ttl!r}")
        self._max_entries = max_entries
        self._max_octets = max_octets
        self._failure_ttl = failure_ttl
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[Question, tuple[float, Answer]] = OrderedDict()
        self._octets = 0

    def __len__(self) -> int:
        """The number of entries, those included that have expired and were not looked up since."""
        return len(self._entries)

    def get(self, question: Question) -> Answer | None:
        """The answer, its TTL lessened by its age; None if there is none, or none any more."""
        with self._lock:
            entry = self._entries.get(question)
            if entry is None:
                return None
            expiry, answer = entry
            left = expiry - self._clock()
            if left <= 0:
                self._drop(question)
                return None
            self._entries.move_to_end(question)
        ttl = ceil(left)
        if ttl >= answer.ttl:
            return answer
        return Answer(answer.outcome, answer.records, ttl, answer.detail, answer.exists)

    def put(self, question: Question, answer: Answer) -> None:
        """Keep an answer for as long as it may be kept."""
        seconds = self._seconds(answer)
        if seconds <= 0:
            return
        octets = _octets(question, answer)
        with self._lock:
            if question in self._entries:
                self._drop(question)
            if octets > self._max_octets:
                return
            self._entries[question] = (self._clock() + seconds, answer)
            self._octets += octets
            while len(self._entries) > self._max_entries or self._octets > self._max_octets:
                self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self._octets = 0

    def _drop(self, question: Question) -> None:
        _, answer = self._entries.pop(question)
        self._octets -= _octets(question, answer)

    def _seconds(self, answer: Answer) -> float:
        if answer.failed:
            return self._failure_ttl
        return min(answer.ttl, MAX_TTL if answer.found else MAX_NEGATIVE_TTL)


def _octets(question: Question, answer: Answer) -> int:
    data = sum(map(_length, answer.records))
    return _OCTETS_PER_ENTRY + len(question.name) + _OCTETS_PER_RECORD * len(answer.records) + data


def _length(record: object) -> int:
    match record:
        case bytes() | str():
            return len(record)
        case Exchange():
            return len(record.host) + _OCTETS_PER_RECORD
    return 0


_METHODS = ("lookup", "submit", "lookup_async")


class CachingResolver:
    """Asks `inner` only what the cache does not hold.

    Works over every resolver, for sync and async callers alike: it offers `lookup`, `submit` and `lookup_async` as far
    as `inner` does, and `lookup_now` for what the cache holds. Several may share one cache; `inner` remains the
    caller's to close.

    Raises `TypeError` for anything that is not a resolver.
    """

    lookup: Callable[[Question, float | None], Answer]
    submit: Callable[[Question, float | None], Future[Answer]]
    lookup_async: Callable[[Question], Coroutine[Any, Any, Answer]]

    def __init__(self, inner: Any, cache: Cache | None = None) -> None:
        # A driver finds out what a resolver can do by asking for its methods, so those that `inner` has not must be
        # missing here, too.
        offered = [name for name in _METHODS if hasattr(inner, name)]
        if not {"lookup", "lookup_async"}.intersection(offered):
            raise TypeError(f"a resolver has lookup() or lookup_async(); {type(inner).__name__} has neither")
        self._inner = inner
        self._inner_now: Callable[[Question], Answer | None] | None = getattr(inner, "lookup_now", None)
        # Not "cache or Cache()": an empty cache has length 0 and would be false.
        self.cache = Cache() if cache is None else cache
        for name in offered:
            setattr(self, name, getattr(self, f"_{name}"))

    def lookup_now(self, question: Question) -> Answer | None:
        """The answer, if the cache or the inner resolver has it without waiting."""
        answer = self.cache.get(question)
        if answer is None and self._inner_now is not None:
            answer = self._inner_now(question)
            if answer is not None:
                self.cache.put(question, answer)
        return answer

    def _lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        answer = self.lookup_now(question)
        if answer is None:
            answer = self._inner.lookup(question, time_limit)
            self.cache.put(question, answer)
        return answer

    async def _lookup_async(self, question: Question) -> Answer:
        answer = self.lookup_now(question)
        if answer is None:
            answer = await self._inner.lookup_async(question)
            self.cache.put(question, answer)
        return answer

    def _submit(self, question: Question, time_limit: float | None = None) -> Future[Answer]:
        answer = self.lookup_now(question)
        if answer is None:
            future: Future[Answer] = self._inner.submit(question, time_limit)
            # The first callback, so that the answer is kept before anybody else gets it.
            future.add_done_callback(partial(self._keep, question))
        else:
            future = Future()
            future.set_result(answer)
        return future

    def _keep(self, question: Question, future: Future[Answer]) -> None:
        if not future.cancelled() and future.exception() is None:
            self.cache.put(question, future.result())
