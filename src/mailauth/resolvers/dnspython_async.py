# What belongs here: dnspython for asyncio and trio. Every trouble becomes an `Outcome`; nothing that a server sends
# raises. The system's configuration is read by the first question, not before.
#
# SECURITY: see shortway for the packets. dnspython, where it takes over, is as strict: a random id and port for each
# question, and a response that does not fit is ignored. Every question ends when the resolver's lifetime is over.
"""`AsyncDnspythonResolver`: DNS through dnspython, for asynchronous callers."""

from __future__ import annotations

import asyncio
import inspect
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.resolver

from mailauth.plan.dns import TIMED_OUT, Answer, Question, not_asked
from mailauth.resolvers.shortway import Attempt, Verdict, attempt, open_socket, receive, resolver_after
from mailauth.resolvers.wire import answer_of, failure_of, query_name, query_type

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

R = TypeVar("R", bound=dns.resolver.BaseResolver)

MAX_IN_FLIGHT = 200
"""Questions in flight at once; the others wait. Each holds a socket, and 1,024 files is a usual limit."""

# RFC 6891 section 6.2.5; 1232 octets are never fragmented (DNS flag day 2020), and hold a DKIM key of 2048 bits.
EDNS_PAYLOAD = 1232


def system_resolver(kind: type[R]) -> R:
    """A dnspython resolver with the system's configuration. Raises `dns.resolver.NoResolverConfiguration`."""
    resolver = kind()
    if resolver.edns < 0:
        resolver.use_edns(0, 0, EDNS_PAYLOAD)
    return resolver


class AsyncDnspythonResolver:
    """Asks the system's name servers, or those of a dnspython resolver that the caller configured.

    For asyncio and trio. `resolver` is a `dns.asyncresolver.Resolver`; its name servers (DoT and DoH among them),
    time-outs, cache and keys are used, its search list is not. Without one, the system's configuration is read
    by the first question. `max_in_flight` questions are asked at once, the others wait for their turn.

    Raises `TypeError` for a resolver of another kind, `ValueError` for a cap below 1; questions never raise.
    """

    def __init__(
        self, resolver: dns.asyncresolver.Resolver | None = None, *, max_in_flight: int = MAX_IN_FLIGHT
    ) -> None:
        if resolver is not None and not inspect.iscoroutinefunction(getattr(resolver, "resolve", None)):
            raise TypeError(
                f"expected a dns.asyncresolver.Resolver, not {type(resolver).__name__}; see DnspythonResolver"
            )
        self._resolver = resolver
        self._turns = _Turns(max_in_flight)

    async def lookup_async(self, question: Question) -> Answer:
        """Ask one question."""
        answer = not_asked(question)
        if answer is not None:
            return answer
        async with self._turns.here():
            try:
                resolver = self._configured()
                return await exchange(resolver, question, resolver.lifetime)
            except (dns.exception.DNSException, OSError) as error:
                return failure_of(error, question)

    def _configured(self) -> dns.asyncresolver.Resolver:
        if self._resolver is None:
            self._resolver = system_resolver(dns.asyncresolver.Resolver)
        return self._resolver


class _Turns:
    """One semaphore for each event loop: asyncio's belong to the loop that they first waited in."""

    def __init__(self, cap: int) -> None:
        if cap < 1:
            raise ValueError(f"max_in_flight is at least 1, not {cap!r}")
        self._cap = cap
        self._lock = threading.Lock()
        self._semaphores: WeakKeyDictionary[Any, AbstractAsyncContextManager[Any]] = WeakKeyDictionary()

    def here(self) -> AbstractAsyncContextManager[Any]:
        trio = running_trio()
        loop: Any = asyncio.get_running_loop() if trio is None else trio.lowlevel.current_trio_token()
        semaphore = self._semaphores.get(loop)
        return self._first_in(loop) if semaphore is None else semaphore

    def _first_in(self, loop: Any) -> AbstractAsyncContextManager[Any]:
        trio = running_trio()
        # Under a lock, since every thread may have a loop of its own.
        with self._lock:
            # A semaphore of asyncio holds its loop, so that weak keys alone would keep every loop for ever.
            for other in [other for other in self._semaphores if getattr(other, "is_closed", bool)()]:
                del self._semaphores[other]
            semaphore = asyncio.Semaphore(self._cap) if trio is None else trio.Semaphore(self._cap)
            self._semaphores[loop] = semaphore
        return semaphore


def running_trio() -> Any:
    """The trio module if the caller runs under trio, else None."""
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_task() else None


async def exchange(resolver: dns.asyncresolver.Resolver, question: Question, lifetime: float) -> Answer:
    """Ask one question, within `lifetime` seconds; raises dnspython's exceptions and `OSError`."""
    way = attempt(resolver, question) if type(resolver) is dns.asyncresolver.Resolver else None
    if way is None:
        return await _ask_at_length(resolver, question, lifetime)
    started = time.monotonic()
    verdict = await _ask_shortly(way, min(lifetime, way.timeout))
    if isinstance(verdict, Answer):
        return verdict
    return await go_on(resolver, question, verdict, lifetime - (time.monotonic() - started))


async def go_on(resolver: dns.asyncresolver.Resolver, question: Question, verdict: Verdict, lifetime: float) -> Answer:
    """Ask where the short way ended with `verdict`; otherwise like `exchange`."""
    if lifetime <= 0:
        return TIMED_OUT
    return await _ask_at_length(resolver_after(verdict, resolver), question, lifetime, tcp=verdict is Verdict.USE_TCP)


async def _ask_at_length(
    resolver: dns.asyncresolver.Resolver, question: Question, lifetime: float, tcp: bool = False
) -> Answer:
    answer = await resolver.resolve(
        query_name(question.name),
        query_type(question),
        tcp=tcp,
        raise_on_no_answer=False,
        lifetime=lifetime,
        search=False,
        backend=dns.asyncbackend.get_backend("asyncio" if running_trio() is None else "trio"),
    )
    return answer_of(answer.response, question)


async def _ask_shortly(way: Attempt, timeout: float) -> Answer | Verdict:
    wait = _in_asyncio if running_trio() is None else _in_trio
    try:
        with open_socket(way) as sock:
            sock.setblocking(False)
            sock.send(way.wire)
            return await wait(sock, way, timeout)
    except (OSError, NotImplementedError):
        # The default event loop on Windows cannot wait for a socket that it did not make itself.
        return Verdict.ASK_AGAIN


async def _in_trio(sock: socket.socket, way: Attempt, timeout: float) -> Answer | Verdict:
    import trio

    with trio.move_on_after(timeout):
        while True:
            await trio.lowlevel.wait_readable(sock)
            verdict = receive(sock, way)
            if verdict is not Verdict.WAIT:
                return verdict
    return Verdict.ASK_AGAIN


async def _in_asyncio(sock: socket.socket, way: Attempt, timeout: float) -> Answer | Verdict:
    loop = asyncio.get_running_loop()
    verdict: asyncio.Future[Answer | Verdict] = loop.create_future()
    loop.add_reader(sock, _readable, sock, way, verdict)
    timer = loop.call_later(timeout, _tell, verdict, Verdict.ASK_AGAIN)
    try:
        return await verdict
    finally:
        timer.cancel()
        loop.remove_reader(sock)


def _readable(sock: socket.socket, way: Attempt, future: asyncio.Future[Answer | Verdict]) -> None:
    if not future.done():
        _tell(future, receive(sock, way))


def _tell(future: asyncio.Future[Answer | Verdict], verdict: Answer | Verdict) -> None:
    if verdict is not Verdict.WAIT and not future.done():
        future.set_result(verdict)
