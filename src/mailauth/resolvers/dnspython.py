# What belongs here: dnspython for synchronous callers, and the thread that does for them what takes more than one
# exchange of packets, while they wait for other answers.
# Every trouble becomes an `Outcome`; nothing that a server sends raises. The system's configuration is read by the
# first question, not before.
#
# SECURITY: see dnspython_async. The blocking path of dnspython is as strict: it takes a random id and port for each
# question and ignores a response that does not fit.
"""`DnspythonResolver`: DNS through dnspython, for synchronous callers."""

from __future__ import annotations

import asyncio
import inspect
import os
import threading
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Self

import dns.asyncresolver
import dns.exception
import dns.resolver

from mailauth.plan.dns import TIMED_OUT, Answer, Outcome, Question, not_asked
from mailauth.resolvers.dnspython_async import MAX_IN_FLIGHT, go_on, system_resolver
from mailauth.resolvers.dnspython_async import exchange as exchange_async
from mailauth.resolvers.dnspython_batch import DnspythonBatch, Room
from mailauth.resolvers.shortway import MAX_PACKET, Attempt, Verdict, attempt, open_socket, resolver_after
from mailauth.resolvers.wire import answer_of, failure_of, query_name, query_type

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

MAX_THREADS = 32
"""Threads for a caller's own kind of resolver, which can only be asked by blocking a thread."""


class DnspythonResolver:
    """Asks the system's name servers, or those of a dnspython resolver that the caller configured.

    `resolver` is a `dns.resolver.Resolver`; its name servers (DoT and DoH among them), time-outs, cache and keys
    are used, its search list is not. Without one, the system's configuration is read by the first question.
    May be shared between threads. `lookup` and `batch` ask in the calling thread; `submit` asks in one background
    thread, as `batch` does for what takes more than one exchange of UDP packets. The first need starts that thread;
    `close`, leaving a ``with`` block, dropping the resolver, or the end of the program ends it. All batches together
    have `max_in_flight` questions open at once, and so has the background thread; the others wait for their turn, and
    batches that have to wait take turns.

    Raises `TypeError` for a resolver of another kind, `ValueError` for a cap below 1; questions never raise.
    """

    def __init__(self, resolver: dns.resolver.Resolver | None = None, *, max_in_flight: int = MAX_IN_FLIGHT) -> None:
        resolve = getattr(resolver, "resolve", None)
        if resolver is not None and (not callable(resolve) or inspect.iscoroutinefunction(resolve)):
            raise TypeError(f"expected a dns.resolver.Resolver, not {type(resolver)}; see AsyncDnspythonResolver")
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight is at least 1, not {max_in_flight!r}")
        self._resolver = resolver
        self._max_in_flight = max_in_flight
        self._lock = threading.Lock()
        self._room = Room(max_in_flight)
        self._process = os.getpid()
        self._background: _Background | None = None
        self._end: Callable[[], object] | None = None

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        """Ask one question, in at most `time_limit` seconds."""
        answer = not_asked(question)
        if answer is not None:
            return answer
        if time_limit is not None and time_limit <= 0:
            return TIMED_OUT
        try:
            resolver = self._configured()
            return exchange(resolver, question, _lifetime(resolver, time_limit))
        except (dns.exception.DNSException, OSError) as error:
            return failure_of(error, question)

    def submit(self, question: Question, time_limit: float | None = None) -> Future[Answer]:
        """Ask one question in the background; cancelling the future gives it up."""
        answer = not_asked(question)
        try:
            background = self._start() if answer is None else None
        except (dns.exception.DNSException, OSError) as error:
            background, answer = None, failure_of(error, question)
        if background is not None:
            return background.submit(question, time_limit)
        future: Future[Answer] = Future()
        future.set_result(answer or TIMED_OUT)
        return future

    def batch(self) -> DnspythonBatch:
        """Several questions at once, for the calling thread."""
        with self._lock:
            # After a fork the threads that would leave room live on in the parent only.
            if self._process != os.getpid():
                self._process, self._room = os.getpid(), Room(self._max_in_flight)
            return DnspythonBatch(self._configured, self._room, self._hand_over)

    def _hand_over(self, question: Question, verdict: Verdict | None, time_limit: float) -> Future[Answer]:
        return self._start().submit(question, time_limit, verdict)

    def close(self) -> None:
        """End the background thread; questions that it has still open are answered "server failure"."""
        with self._lock:
            end, self._end, self._background = self._end, None, None
        if end is not None:
            end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _configured(self) -> dns.resolver.Resolver:
        if self._resolver is None:
            self._resolver = system_resolver(dns.resolver.Resolver)
        return self._resolver

    def _start(self) -> _Background:
        with self._lock:
            # After a fork the thread lives on in the parent only.
            if self._background is None or self._background.process != os.getpid():
                self._background = _Background(self._configured(), self._max_in_flight)
                self._end = weakref.finalize(self, self._background.close)
            return self._background


def exchange(resolver: dns.resolver.Resolver, question: Question, lifetime: float) -> Answer:
    """Ask one question, within `lifetime` seconds; raises dnspython's exceptions and `OSError`."""
    way = attempt(resolver, question) if type(resolver) is dns.resolver.Resolver else None
    if way is None:
        return _ask_at_length(resolver, question, lifetime)
    started = time.monotonic()
    verdict = _ask_shortly(way, started + min(lifetime, way.timeout))
    if isinstance(verdict, Answer):
        return verdict
    rest = lifetime - (time.monotonic() - started)
    if rest <= 0:
        return TIMED_OUT
    return _ask_at_length(resolver_after(verdict, resolver), question, rest, tcp=verdict is Verdict.USE_TCP)


def _ask_at_length(resolver: dns.resolver.Resolver, question: Question, lifetime: float, tcp: bool = False) -> Answer:
    answer = resolver.resolve(
        query_name(question.name),
        query_type(question),
        tcp=tcp,
        raise_on_no_answer=False,
        lifetime=lifetime,
        search=False,
    )
    return answer_of(answer.response, question)


def _ask_shortly(way: Attempt, deadline: float) -> Answer | Verdict:
    try:
        with open_socket(way) as sock:
            sock.send(way.wire)
            verdict: Answer | Verdict = Verdict.WAIT
            while verdict is Verdict.WAIT:
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    return Verdict.ASK_AGAIN
                sock.settimeout(remaining)
                verdict = way.judge(sock.recv(MAX_PACKET))
            return verdict
    except OSError:  # a time-out among them
        return Verdict.ASK_AGAIN


def _lifetime(resolver: dns.resolver.BaseResolver, time_limit: float | None) -> float:
    return resolver.lifetime if time_limit is None else min(time_limit, resolver.lifetime)


class _Background:
    """A thread with an event loop, in which many questions are in flight at once.

    One thread costs less than a thread for each question, and a question that is given up is given up at once.
    """

    def __init__(self, resolver: dns.resolver.Resolver, max_in_flight: int) -> None:
        self.process = os.getpid()
        self._resolver = resolver
        self._twin = _asynchronous(resolver)
        self._turns = asyncio.Semaphore(max_in_flight)
        # Reentrant, since the garbage collector may close a dropped resolver in the midst of anything.
        self._lock = threading.RLock()
        self._closed = False
        self._loop = asyncio.new_event_loop()
        if self._twin is None:
            self._loop.set_default_executor(ThreadPoolExecutor(min(MAX_THREADS, max_in_flight), "mailauth-dns-own"))
        # A daemon, since a thread that is none would be waited for before anything could tell it to end.
        self._thread = threading.Thread(target=self._run, name="mailauth-dns", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            # The system has no thread left, or the program ends.
            self._loop.close()
            raise OSError(str(error)) from error

    def submit(self, question: Question, time_limit: float | None, verdict: Verdict | None = None) -> Future[Answer]:
        """Ask one question; with a `verdict`, its short way has been tried, and ended with that."""
        deadline = None if time_limit is None else time.monotonic() + time_limit
        future: Future[Answer] = Future()
        # Under the lock, so that nothing is given to the loop after it was told to stop.
        with self._lock:
            if self._closed:
                future.set_result(_CLOSED)
            else:
                self._loop.call_soon_threadsafe(self._begin, question, deadline, verdict, future)
        return future

    def close(self) -> None:
        if self.process != os.getpid():
            return
        with self._lock:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(_all_of(tasks))
        finally:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    def _begin(
        self, question: Question, deadline: float | None, verdict: Verdict | None, future: Future[Answer]
    ) -> None:
        task = self._loop.create_task(self._lookup(question, deadline, verdict))
        task.add_done_callback(partial(_finish, future))
        future.add_done_callback(partial(self._give_up, task))

    def _give_up(self, task: asyncio.Task[Answer], future: Future[Answer]) -> None:
        """The caller has cancelled the future, in the caller's thread; or it is done."""
        if future.cancelled():
            with self._lock:
                if not self._closed:
                    self._loop.call_soon_threadsafe(task.cancel)

    async def _lookup(self, question: Question, deadline: float | None, verdict: Verdict | None) -> Answer:
        try:
            async with self._turns:
                remaining = None if deadline is None else deadline - time.monotonic()
                if remaining is not None and remaining <= 0:
                    return TIMED_OUT
                return await self._ask(question, remaining, verdict)
        except (dns.exception.DNSException, OSError) as error:
            return failure_of(error, question)

    def _ask(
        self, question: Question, time_limit: float | None, verdict: Verdict | None
    ) -> Coroutine[None, None, Answer]:
        if self._twin is None:
            return asyncio.to_thread(exchange, self._resolver, question, _lifetime(self._resolver, time_limit))
        lifetime = _lifetime(self._twin, time_limit)
        if verdict is None:
            return exchange_async(self._twin, question, lifetime)
        return go_on(self._twin, question, verdict, lifetime)


def _asynchronous(resolver: dns.resolver.Resolver) -> dns.asyncresolver.Resolver | None:
    """The same configuration, cache and keys for use under asyncio; None for a kind whose ways are not known."""
    if type(resolver) is not dns.resolver.Resolver:
        return None
    twin = dns.asyncresolver.Resolver(configure=False)
    vars(twin).update(vars(resolver))
    return twin


_CLOSED = Answer(Outcome.SERVER_FAILURE, detail="the resolver was closed")


def _finish(future: Future[Answer], task: asyncio.Task[Answer]) -> None:
    error = None if task.cancelled() else task.exception()
    if not future.set_running_or_notify_cancel():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(_CLOSED if task.cancelled() else task.result())


async def _all_of(tasks: set[asyncio.Task[Answer]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
