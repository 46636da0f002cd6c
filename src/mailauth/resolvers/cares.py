# What belongs here: DNS through c-ares, for asyncio. Loaded only when `AiodnsResolver` is named; its Python binding,
# pycares, comes with the "aiodns" extra. c-ares is driven from the event loop itself, since the thread that it can
# start for this costs a wake-up for each answer.
#
# SECURITY: see cares_answers for what comes back. Every question ends when c-ares has used up its tries.
"""`AiodnsResolver`: DNS through c-ares, for asyncio."""

from __future__ import annotations

import asyncio
import re
import threading
import weakref
from collections import deque
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Protocol, Self

try:
    import pycares
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError("AiodnsResolver needs c-ares: pip install 'mailauth[aiodns]'", name="pycares") from _error

from mailauth.plan.dns import Answer, Question, not_asked
from mailauth.resolvers.cares_answers import CLOSED, TYPES, answer_of, require_type
from mailauth.resolvers.cares_sockets import sockets_in

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailauth.resolvers.dnspython_async import AsyncDnspythonResolver

MAX_IN_FLIGHT = 200
"""Questions in flight at once; the others wait. They share a socket, whose buffer holds some 200 answers on Linux."""
TIMEOUT = 2.0
TRIES = 2
_TICK = 0.1  # seconds between two looks at the clock, for c-ares to try again or to give up

# c-ares refuses to ask for names with other characters; they are rare, and left to dnspython.
_ASKABLE = re.compile(r"[A-Za-z0-9_./*-]+")


class AiodnsResolver:
    """Asks the system's name servers, or `nameservers` (addresses), through c-ares. asyncio only.

    `timeout` is in seconds for the first of `tries` tries; c-ares waits longer for each further one. `port` is for
    tests. `max_in_flight` questions are asked at once, the others wait for their turn. The system's configuration
    is read by the first question. c-ares has a cache of its own, which honours TTLs. `close`, leaving an
    ``async with`` block or dropping the resolver closes its sockets.

    The TTL of an answer without records is 0, since c-ares hides the SOA record. Use aiodns 4 (pycares 5) or newer:
    older ones hide the TTL of MX, PTR and TXT records (0), cut TXT records at their first NUL, and do not say to
    which name a record belongs.

    Raises `ValueError` for a cap below 1, for what is no address and for a type that no plan asks for, `TypeError`
    when it is asked outside asyncio; other questions never raise.
    """

    def __init__(
        self,
        nameservers: Sequence[str] | None = None,
        *,
        port: int = 53,
        timeout: float = TIMEOUT,
        tries: int = TRIES,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        if max_in_flight < 1:
            raise ValueError(f"max_in_flight is at least 1, not {max_in_flight!r}")
        options: dict[str, Any] = {"timeout": timeout, "tries": tries, "udp_port": port, "tcp_port": port}
        if nameservers is not None:
            # An address that is none must not wait for the first question to be found out.
            options["servers"] = [str(IPv6Address(s) if ":" in s else IPv4Address(s)) for s in nameservers]
        self._options = options
        self._max_in_flight = max_in_flight
        self._substitute: AsyncDnspythonResolver | None = None
        self._lock = threading.Lock()
        self._channels: dict[asyncio.AbstractEventLoop, _Channel] = {}
        # A loop that goes on holds what it watches, so that a dropped resolver would keep its sockets for ever.
        weakref.finalize(self, _close_all, self._channels).atexit = False

    async def lookup_async(self, question: Question) -> Answer:
        """Ask one question."""
        return await self.submit_async(question)

    def submit_async(self, question: Question) -> asyncio.Future[Answer]:
        """Ask one question; the future may be cancelled."""
        loop = _running_loop()
        require_type(question)
        if is_unusual(question):
            return loop.create_task(self._unusual().lookup_async(question))
        asker = _Single(loop)
        self._here(loop).add(asker, question)
        asker.future.add_done_callback(self._need_no_more)
        return asker.future

    def _need_no_more(self, future: asyncio.Future[Answer]) -> None:
        """Nothing to do: until it is called, the future keeps the resolver from being dropped."""

    def batch_async(self, told: Callable[[Question, Answer], None]) -> _Batch:
        """Several questions at once; `told` is called with each question and its answer."""
        return _Batch(self._here(_running_loop()), told, self.submit_async)

    def _here(self, loop: asyncio.AbstractEventLoop) -> _Channel:
        channel = self._channels.get(loop)
        return self._open(loop) if channel is None else channel

    def _open(self, loop: asyncio.AbstractEventLoop) -> _Channel:
        # Under a lock, since every thread may have a loop of its own.
        with self._lock:
            for other in [other for other in self._channels if other.is_closed()]:
                self._channels.pop(other).abandon()
            channel = self._channels[loop] = _Channel(loop, self._options, self._max_in_flight)
        return channel

    def _unusual(self) -> AsyncDnspythonResolver:
        """Who is asked for names that c-ares refuses."""
        if self._substitute is None:
            self._substitute = _substitute(self._options)
        return self._substitute

    def close(self) -> None:
        """Close the sockets of the running loop; questions that are still open are answered "server failure"."""
        loop = _running_loop()
        with self._lock:
            channel = self._channels.pop(loop, None)
        if channel is not None:
            channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()


def _close_all(channels: dict[asyncio.AbstractEventLoop, _Channel]) -> None:
    """Close what a dropped resolver leaves behind; the garbage collector may call this in any thread."""
    for loop, channel in channels.items():
        try:
            loop.call_soon_threadsafe(channel.close)
        except RuntimeError:  # the loop has ended
            channel.abandon()


def _substitute(options: dict[str, Any]) -> AsyncDnspythonResolver:
    import dns.asyncresolver

    from mailauth.resolvers.dnspython_async import AsyncDnspythonResolver

    if "servers" not in options:
        return AsyncDnspythonResolver()
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = options["servers"], options["udp_port"]
    resolver.timeout, resolver.lifetime = options["timeout"], options["timeout"] * options["tries"]
    return AsyncDnspythonResolver(resolver)


def _running_loop() -> asyncio.AbstractEventLoop:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise TypeError("AiodnsResolver works under asyncio only; elsewhere use AsyncDnspythonResolver") from None


def is_unusual(question: Question) -> bool:
    """Whether the name can be asked, though not through c-ares."""
    return not _ASKABLE.fullmatch(question.name) and not_asked(question) is None


class _Asker(Protocol):
    """Who waits for answers."""

    @property
    def given_up(self) -> bool: ...

    def take(self, question: Question, answer: Answer) -> None: ...


class _Single:
    """One question, and the future of its answer."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Answer] = loop.create_future()

    @property
    def given_up(self) -> bool:
        return self.future.done()

    def take(self, question: Question, answer: Answer) -> None:
        if not self.future.done():
            self.future.set_result(answer)


class _Batch:
    """What `mailauth.plan.AsyncBatch` demands."""

    __slots__ = ("_channel", "_submit", "_tasks", "_told")

    def __init__(
        self,
        channel: _Channel,
        told: Callable[[Question, Answer], None],
        submit: Callable[[Question], asyncio.Future[Answer]],
    ) -> None:
        self._channel = channel
        self._told: Callable[[Question, Answer], None] | None = told
        self._submit: Callable[[Question], asyncio.Future[Answer]] | None = submit
        self._tasks: dict[asyncio.Future[Answer], Question] = {}

    @property
    def given_up(self) -> bool:
        return self._told is None

    def ask(self, question: Question) -> None:
        require_type(question)
        if is_unusual(question) and self._submit is not None:
            task = self._submit(question)
            self._tasks[task] = question
            task.add_done_callback(self._take_task)
        else:
            self._channel.add(self, question)

    def take(self, question: Question, answer: Answer) -> None:
        if self._told is not None:
            self._told(question, answer)

    def _take_task(self, task: asyncio.Future[Answer]) -> None:
        question = self._tasks.pop(task, None)
        if question is not None:
            # These never raise; a loop that ends may cancel them.
            self.take(question, CLOSED if task.cancelled() else task.result())

    def tell(self) -> None:
        self._channel.tell()
        for task in [task for task in self._tasks if task.done()]:
            self._take_task(task)

    async def close(self) -> None:
        # c-ares holds the batch until it gives up, too. Both of these hold the resolver, which may be dropped before.
        self._told = self._submit = None
        tasks = list(self._tasks)
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)


class _Channel:
    """c-ares within one event loop. All methods, and c-ares' callbacks, run in the loop's thread.

    The callbacks only note what was answered: whoever is told of it may ask the next question at once, which c-ares
    is not asked in the midst of its own work.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, options: dict[str, Any], max_in_flight: int) -> None:
        self._loop = loop
        self._cap = self._free = max_in_flight
        self._waiting: deque[tuple[_Asker, Question]] = deque()
        self._answered: list[tuple[_Asker, Question, Answer]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._channel: Any = pycares.Channel(sock_state_cb=self._socket_changed, **options)
        self._sockets = sockets_in(loop, self._process)

    def add(self, asker: _Asker, question: Question) -> None:
        answer = CLOSED if self._closed else not_asked(question)
        if answer is not None:
            self._note(asker, question, answer)
        elif self._free:
            self._start(asker, question)
        else:
            self._waiting.append((asker, question))
        if self._answered:
            # It ended in the asking: told of later, as all others are.
            self._loop.call_soon(self.tell)

    def tell(self) -> None:
        """Tell of what was answered, and start what waits for its turn."""
        answered, self._answered = self._answered, []
        for asker, question, answer in answered:
            asker.take(question, answer)
        while self._waiting and self._free:
            asker, question = self._waiting.popleft()
            if not asker.given_up:
                self._start(asker, question)
        if self._answered:
            self._loop.call_soon(self.tell)

    def close(self) -> None:
        # What waits is answered first, or it would start while the rest is being cancelled.
        while self._waiting:
            self._note(*self._waiting.popleft(), CLOSED)
        self._channel.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self.abandon()
        self.tell()

    def abandon(self) -> None:
        """Let c-ares close its sockets, in a thread of its own; from here on its callbacks do nothing."""
        self._closed = True
        self._sockets.close()
        self._channel.close()

    def _start(self, asker: _Asker, question: Question) -> None:
        self._free -= 1
        name = question.name.lower()
        done = partial(self._done, name, question, asker)
        try:
            self._channel.query(name, TYPES[question.type], callback=done)
        except pycares.AresError as error:
            done(None, error.args[0])
        if self._timer is None:
            self._timer = self._loop.call_later(_TICK, self._tick)

    def _done(self, name: str, question: Question, asker: _Asker, result: Any, error: Any) -> None:
        """c-ares' callback, which may come from within `query`."""
        if not self._closed:
            self._free += 1
            self._note(asker, question, answer_of(name, question, result, error))

    def _note(self, asker: _Asker, question: Question, answer: Answer) -> None:
        self._answered.append((asker, question, answer))

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK, self._tick) if self._free < self._cap else None
        self._process(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)

    def _process(self, readable: int, writable: int) -> None:
        self._channel.process_fd(readable, writable)
        if self._answered:
            self.tell()

    def _socket_changed(self, fd: int, readable: bool, writable: bool) -> None:
        if not self._closed:
            self._sockets.watch(fd, readable, writable)
