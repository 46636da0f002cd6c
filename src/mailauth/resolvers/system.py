"""`DnspythonResolver` and `AsyncDnspythonResolver`: DNS through dnspython's own resolvers, asked plainly.

By default they ask the system's name servers; the system's configuration is read by the first question, not before.
Every DNS error becomes an `Outcome`; nothing that a server sends raises. No packet is built, sent or matched here.
"""

# SECURITY: dnspython takes a random id and port for each question, ignores a response that does not fit, and asks by
# TCP where an answer was truncated. Every question ends when the resolver's lifetime is over.

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakKeyDictionary

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.rcode
import dns.resolver

from mailauth.plan.dns import TIMED_OUT, Answer, Outcome, Question, not_asked
from mailauth.plan.drivers import running_trio
from mailauth.resolvers.wire import answer_of, failure_of, query_name, query_type

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

R = TypeVar("R", bound=dns.resolver.BaseResolver)

MAX_THREADS = 32
"""Questions that a synchronous caller has in flight at once; each blocks a thread."""
MAX_IN_FLIGHT = 200
"""The same for asynchronous callers. Each question holds a socket, and 1,024 files is a usual limit."""

# RFC 6891 section 6.2.5; 1232 octets are never fragmented (DNS flag day 2020), and hold a DKIM key of 2048 bits.
EDNS_PAYLOAD = 1232

_CLOSED = Answer(Outcome.SERVER_FAILURE, detail="the resolver was closed")


def with_nameservers(kind: type[R], nameservers: Sequence[str], port: int = 53) -> R:
    """A dnspython resolver that asks these addresses, and does not read the system's configuration."""
    resolver = kind(configure=False)
    resolver.port = port
    resolver.nameservers = list(nameservers)
    resolver.use_edns(0, 0, EDNS_PAYLOAD)
    return resolver


def _system(kind: type[R]) -> R:
    """A dnspython resolver with the system's configuration. Raises `dns.resolver.NoResolverConfiguration`."""
    resolver = kind()
    if resolver.edns < 0:
        resolver.use_edns(0, 0, EDNS_PAYLOAD)
    return resolver


def _without_edns(resolver: R, error: dns.resolver.NoNameservers) -> R | None:
    """A copy of the resolver to ask again, where a server did not know EDNS; None where that was not the fault."""
    # RFC 6891 section 7: FORMERR, without an OPT record; older servers say NOTIMP, too (RFC 2671 section 5.3).
    codes = (dns.rcode.FORMERR, dns.rcode.NOTIMP)
    responses = [response for *_, response in error.kwargs.get("errors", ()) if response is not None]
    if resolver.edns < 0 or not any(r.edns < 0 and r.rcode() in codes for r in responses):
        return None
    copy = type(resolver)(configure=False)
    vars(copy).update(vars(resolver))
    copy.use_edns(-1)  # RFC 6891 section 6.2.2
    return copy


def _arguments(question: Question, lifetime: float) -> dict[str, Any]:
    """How a question is put: an absolute name, no search list, and "no data" is an answer."""
    return {
        "qname": query_name(question.name),
        "rdtype": query_type(question),
        "raise_on_no_answer": False,
        "lifetime": lifetime,
        "search": False,
    }


class DnspythonResolver:
    """Asks the system's name servers, or those of a dnspython resolver that the caller configured.

    `resolver` is a `dns.resolver.Resolver`; its name servers (DoT and DoH among them), timeouts, cache and keys are
    used, its search list is not. Without one, the system's configuration is read by the first question. May be shared
    between threads. `lookup` asks in the calling thread; `submit` asks in a pool of at most `max_in_flight` threads,
    which its first question starts; `close`, leaving a ``with`` block, dropping the resolver, or the end of the program
    ends them.

    Raises `TypeError` for a resolver of another kind, `ValueError` for a cap below 1 and for a question of a type that
    no plan asks for; other questions never raise.
    """

    def __init__(self, resolver: dns.resolver.Resolver | None = None, *, max_in_flight: int = MAX_THREADS) -> None:
        resolve = getattr(resolver, "resolve", None)
        if resolver is not None and (not callable(resolve) or inspect.iscoroutinefunction(resolve)):
            raise TypeError(f"expected a dns.resolver.Resolver, not {type(resolver)}; see AsyncDnspythonResolver")
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight is at least 1, not {max_in_flight!r}")
        self._resolver = resolver
        self._max_in_flight = max_in_flight
        self._lock = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None
        self._closing = threading.Event()
        self._process = os.getpid()

    @classmethod
    def asking(cls, nameservers: Sequence[str], port: int = 53) -> Self:
        """A resolver that asks these addresses in place of the system's name servers."""
        return cls(with_nameservers(dns.resolver.Resolver, nameservers, port))

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        """Ask one question, in at most `time_limit` seconds."""
        answer = not_asked(question)
        if answer is not None:
            return answer
        query_type(question)
        if time_limit is not None and time_limit <= 0:
            return TIMED_OUT
        try:
            resolver = self._configured()
            lifetime = resolver.lifetime if time_limit is None else min(time_limit, resolver.lifetime)
            return self._resolve(resolver, question, lifetime)
        except (dns.exception.DNSException, OSError) as error:
            return failure_of(error, question)

    def _resolve(self, resolver: dns.resolver.Resolver, question: Question, lifetime: float) -> Answer:
        started = time.monotonic()
        try:
            return answer_of(resolver.resolve(**_arguments(question, lifetime)).response, question)
        except dns.resolver.NoNameservers as error:
            other = _without_edns(resolver, error)
            if other is None:
                raise
        left = lifetime - (time.monotonic() - started)
        return answer_of(other.resolve(**_arguments(question, left)).response, question) if left > 0 else TIMED_OUT

    def submit(self, question: Question, time_limit: float | None = None) -> Future[Answer]:
        """Ask one question in a thread of the pool; a question that waits for its turn can be cancelled."""
        answer = not_asked(question)
        if answer is None:
            query_type(question)
            deadline = None if time_limit is None else time.monotonic() + time_limit
            try:
                pool, closing = self._threads()
                return pool.submit(self._lookup_until, question, deadline, closing)
            except RuntimeError as error:
                # The system has no thread left, the pool was closed this moment, or the program ends.
                answer = Answer(Outcome.SERVER_FAILURE, detail=str(error))
        future: Future[Answer] = Future()
        future.set_result(answer)
        return future

    def _lookup_until(self, question: Question, deadline: float | None, closing: threading.Event) -> Answer:
        if closing.is_set():
            return _CLOSED
        return self.lookup(question, None if deadline is None else deadline - time.monotonic())

    def close(self) -> None:
        """End the threads, once the questions in flight have ended; those that wait are answered "server failure"."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None and self._process == os.getpid():
            self._closing.set()
            pool.shutdown(wait=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _configured(self) -> dns.resolver.Resolver:
        if self._resolver is None:
            self._resolver = _system(dns.resolver.Resolver)
        return self._resolver

    def _threads(self) -> tuple[ThreadPoolExecutor, threading.Event]:
        with self._lock:
            # After a fork the threads live on in the parent only.
            if self._pool is None or self._process != os.getpid():
                self._pool = ThreadPoolExecutor(self._max_in_flight, "mailauth-dns")
                self._closing, self._process = threading.Event(), os.getpid()
            return self._pool, self._closing


class AsyncDnspythonResolver:
    """Asks the system's name servers, or those of a dnspython resolver that the caller configured.

    For asyncio and trio. `resolver` is a `dns.asyncresolver.Resolver`; its name servers (DoT and DoH among them),
    timeouts, cache and keys are used, its search list is not. Without one, the system's configuration is read
    by the first question. `max_in_flight` questions are asked at once, the others wait for their turn.

    Raises `TypeError` for a resolver of another kind, `ValueError` for a cap below 1 and for a question of a type that
    no plan asks for; other questions never raise.
    """

    def __init__(
        self, resolver: dns.asyncresolver.Resolver | None = None, *, max_in_flight: int = MAX_IN_FLIGHT
    ) -> None:
        if resolver is not None and not inspect.iscoroutinefunction(getattr(resolver, "resolve", None)):
            raise TypeError(
                f"expected a dns.asyncresolver.Resolver, not {type(resolver).__name__}; see DnspythonResolver"
            )
        self._resolver = resolver
        self._turns = Turns(max_in_flight)

    @classmethod
    def asking(cls, nameservers: Sequence[str], port: int = 53) -> Self:
        """A resolver that asks these addresses in place of the system's name servers."""
        return cls(with_nameservers(dns.asyncresolver.Resolver, nameservers, port))

    async def lookup_async(self, question: Question) -> Answer:
        """Ask one question."""
        answer = not_asked(question)
        if answer is not None:
            return answer
        query_type(question)
        async with self._turns.here():
            try:
                if self._resolver is None:
                    self._resolver = _system(dns.asyncresolver.Resolver)
                return await self._resolve(self._resolver, question)
            except (dns.exception.DNSException, OSError) as error:
                return failure_of(error, question)

    async def _resolve(self, resolver: dns.asyncresolver.Resolver, question: Question) -> Answer:
        started = time.monotonic()
        # Named, since dnspython asks the sniffio package, which need not be there.
        backend = dns.asyncbackend.get_backend("trio" if running_trio() else "asyncio")
        try:
            found = await resolver.resolve(**_arguments(question, resolver.lifetime), backend=backend)
            return answer_of(found.response, question)
        except dns.resolver.NoNameservers as error:
            other = _without_edns(resolver, error)
            if other is None:
                raise
        left = resolver.lifetime - (time.monotonic() - started)
        if left <= 0:
            return TIMED_OUT
        found = await other.resolve(**_arguments(question, left), backend=backend)
        return answer_of(found.response, question)


class Turns:
    """A cap for each event loop: a semaphore of asyncio belongs to the loop that it first waited in."""

    def __init__(self, cap: int) -> None:
        if cap < 1:
            raise ValueError(f"max_in_flight is at least 1, not {cap!r}")
        self._cap = cap
        self._lock = threading.Lock()
        self._semaphores: WeakKeyDictionary[Any, AbstractAsyncContextManager[Any]] = WeakKeyDictionary()

    def here(self) -> AbstractAsyncContextManager[Any]:
        """The semaphore of the running loop."""
        if running_trio():
            import trio

            loop: Any = trio.lowlevel.current_trio_token()
            make: Callable[[int], AbstractAsyncContextManager[Any]] = trio.Semaphore
        else:
            loop, make = asyncio.get_running_loop(), asyncio.Semaphore
        semaphore = self._semaphores.get(loop)
        if semaphore is None:
            # Under a lock, since every thread may have a loop of its own.
            with self._lock:
                # A semaphore of asyncio holds its loop, so that weak keys alone would keep every loop for ever.
                for other in [other for other in self._semaphores if getattr(other, "is_closed", bool)()]:
                    del self._semaphores[other]
                semaphore = self._semaphores[loop] = make(self._cap)
        return semaphore
