# What belongs here: the network resolvers on top of dnspython. Every trouble becomes an `Outcome`; nothing that a
# server sends raises. dnspython and the system's configuration are loaded by the first question, not before.
#
# SECURITY: the answers come from whoever runs the zone that is asked about. dnspython checks that an answer belongs
# to its question and ignores the others (time-out, not failure); a UDP answer is at most 64 KiB, a TCP answer too;
# `MAX_RECORDS` of it are kept, and every question ends with the resolver's lifetime at the latest.
"""`DnspythonResolver`: DNS through dnspython, for synchronous callers."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.resolver

from mailauth.plan.dns import TIMED_OUT, Answer, Outcome, Question, unaskable
from mailauth.resolvers.wire import answer_of, failure_of, query_name

if TYPE_CHECKING:
    from types import TracebackType

MAX_IN_FLIGHT = 64
"""Questions that `DnspythonResolver` has in flight at once, each in a thread of its own."""

# RFC 6891 section 6.2.5 and DNS flag day 2020: no fragments, and no TCP for a DKIM key of 2048 bits.
EDNS_PAYLOAD = 1232


def system_resolver(kind: type[Any]) -> Any:
    """A dnspython resolver with the system's configuration. Raises `dns.resolver.NoResolverConfiguration`."""
    resolver = kind()
    if resolver.edns < 0:
        resolver.use_edns(0, 0, EDNS_PAYLOAD)
    return resolver


class DnspythonResolver:
    """Asks the system's name servers, or those of a dnspython resolver that the caller configured."""

    def __init__(self, resolver: dns.resolver.Resolver | None = None, *, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        self._resolver = resolver
        self._max_in_flight = max_in_flight
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        """Ask one question; `time_limit` in seconds."""
        reason = unaskable(question.name)
        if reason is not None:
            return Answer(Outcome.NO_SUCH_NAME, detail=f"not asked: {reason}")
        if time_limit is not None and time_limit <= 0:
            return TIMED_OUT
        try:
            resolver = self._configured()
            lifetime = resolver.lifetime if time_limit is None else min(time_limit, resolver.lifetime)
            response = resolver.resolve(
                query_name(question.name), question.type, raise_on_no_answer=False, lifetime=lifetime, search=False
            ).response
        except (dns.exception.DNSException, OSError) as error:
            return failure_of(error, question)
        return answer_of(response, question)

    def _configured(self) -> dns.resolver.Resolver:
        if self._resolver is None:
            self._resolver = system_resolver(dns.resolver.Resolver)
        return self._resolver

    def submit(self, question: Question, time_limit: float | None = None) -> Future[Answer]:
        """Ask one question in the background."""
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._max_in_flight, "mailauth-dns")
            return self._pool.submit(self.lookup, question, time_limit)

    def close(self) -> None:
        """End the threads."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> DnspythonResolver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
