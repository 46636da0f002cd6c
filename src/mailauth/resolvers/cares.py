# What belongs here: DNS through c-ares, for asyncio. Loaded only when `AiodnsResolver` is named; its Python binding,
# pycares, comes with the "aiodns" extra. c-ares is driven from the event loop itself, since the thread that it can
# start for this costs a wake-up for each answer.
#
# SECURITY: the answers come from whoever runs the zone that is asked about. c-ares checks that an answer belongs to
# its question, in C; what is kept of it here is bounded like everywhere (`MAX_RECORDS`, `MAX_CHAIN`), names are
# escaped, and every question ends when c-ares has used up its tries.
"""`AiodnsResolver`: DNS through c-ares, for asyncio."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections import deque
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Self

try:
    import pycares
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError("AiodnsResolver needs c-ares: pip install 'mailauth[aiodns]'", name="pycares") from _error

from mailauth.plan.dns import MAX_CHAIN, MAX_RECORDS, Answer, Exchange, Outcome, Question, not_asked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mailauth.resolvers.dnspython_async import AsyncDnspythonResolver

MAX_IN_FLIGHT = 200
"""Questions in flight at once; the others wait. They share a socket, whose buffer holds some 200 answers on Linux."""
TIMEOUT = 2.0
TRIES = 2
_TICK = 0.1  # seconds between two looks at the clock, for c-ares to try again or to give up

# c-ares refuses to ask for names with other characters; they are rare, and left to dnspython.
_ASKABLE = re.compile(r"[A-Za-z0-9_./*-]+")

_IN, _CNAME = 1, 5
_TYPES = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}  # RFC 1035 section 3.2.2, RFC 3596 section 2.1
_GREATEST_TTL = 2**31 - 1
_OUTCOMES = {
    pycares.errno.ARES_ENOTFOUND: Outcome.NO_SUCH_NAME,
    pycares.errno.ARES_ENODATA: Outcome.NO_DATA,
    pycares.errno.ARES_ETIMEOUT: Outcome.TIMED_OUT,
    pycares.errno.ARES_EREFUSED: Outcome.REFUSED,
}


class AiodnsResolver:
    """Asks the system's name servers, or `nameservers` (addresses), through c-ares. asyncio only.

    `timeout` is in seconds for the first of `tries` tries; c-ares waits longer for each further one. `port` is for
    tests. `max_in_flight` questions are asked at once, the others wait for their turn. The system's configuration
    is read by the first question. c-ares has a cache of its own, which honours TTLs.

    The TTL of an answer without records is 0, since c-ares hides the SOA record. Use aiodns 4 (pycares 5) or newer:
    older ones hide the TTL of MX, PTR and TXT records (0), cut TXT records at their first NUL, and do not say to
    which name a record belongs.

    Raises `ValueError` for a cap below 1 and for what is no address, `TypeError` when it is asked outside asyncio;
    questions never raise.
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

    async def lookup_async(self, question: Question) -> Answer:
        """Ask one question."""
        return await self.submit_async(question)

    def submit_async(self, question: Question) -> asyncio.Future[Answer]:
        """Ask one question; the future may be cancelled."""
        loop = _running_loop()
        future: asyncio.Future[Answer] = loop.create_future()
        answer = not_asked(question)
        if answer is not None:
            future.set_result(answer)
            return future
        if not _ASKABLE.fullmatch(question.name):
            return loop.create_task(self._unusual().lookup_async(question))
        channel = self._channels.get(loop)
        if channel is None:
            channel = self._open(loop)
        channel.add(question, future)
        return future

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
        channel = self._channels.pop(_running_loop(), None)
        if channel is not None:
            channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()


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


class _Channel:
    """c-ares within one event loop. All methods, and c-ares' callbacks, run in the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: dict[str, Any], max_in_flight: int) -> None:
        self._loop = loop
        self._cap = self._free = max_in_flight
        self._waiting: deque[tuple[Question, asyncio.Future[Answer]]] = deque()
        self._starting = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._channel: Any = pycares.Channel(sock_state_cb=self._socket_changed, **options)

    def add(self, question: Question, future: asyncio.Future[Answer]) -> None:
        if self._free:
            self._start(question, future)
        else:
            self._waiting.append((question, future))

    def close(self) -> None:
        # What waits is answered first, or it would start while the rest is being cancelled.
        waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            _settle(future, _CLOSED)
        self._channel.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self.abandon()

    def abandon(self) -> None:
        """Let c-ares close its sockets, in a thread of its own; from here on its callbacks do nothing."""
        self._closed = True
        self._channel.close()

    def _start(self, question: Question, future: asyncio.Future[Answer]) -> None:
        self._free -= 1
        name = question.name.lower()
        done = partial(self._done, name, question, future)
        try:
            self._channel.query(name, _TYPES[question.type], callback=done)
        except pycares.AresError as error:
            done(None, error.args[0])
        if self._timer is None and not future.done():
            self._timer = self._loop.call_later(_TICK, self._tick)

    def _done(self, name: str, question: Question, future: asyncio.Future[Answer], result: Any, error: Any) -> None:
        """c-ares' callback. It may come from within `query`, so it starts nothing itself."""
        if self._closed:
            return
        self._free += 1
        if self._waiting and not self._starting:
            self._starting = True
            self._loop.call_soon(self._start_waiting)
        if not future.done():
            future.set_result(_answer(name, question, result, error))

    def _start_waiting(self) -> None:
        self._starting = False
        while self._waiting and self._free and not self._closed:
            question, future = self._waiting.popleft()
            if not future.done():
                self._start(question, future)

    def _tick(self) -> None:
        self._timer = self._loop.call_later(_TICK, self._tick) if self._free < self._cap else None
        self._channel.process_fd(pycares.ARES_SOCKET_BAD, pycares.ARES_SOCKET_BAD)

    def _socket_changed(self, fd: int, readable: bool, writable: bool) -> None:
        if self._closed:
            return
        if readable:
            self._loop.add_reader(fd, self._channel.process_fd, fd, pycares.ARES_SOCKET_BAD)
        else:
            self._loop.remove_reader(fd)
        if writable:
            self._loop.add_writer(fd, self._channel.process_fd, pycares.ARES_SOCKET_BAD, fd)
        else:
            self._loop.remove_writer(fd)


_CLOSED = Answer(Outcome.SERVER_FAILURE, detail="the resolver was closed")


def _settle(future: asyncio.Future[Answer], answer: Answer) -> None:
    if not future.done():
        future.set_result(answer)


# --- c-ares' results as answers ------------------------------------------------------------------------------


def _answer(name: str, question: Question, result: Any, error: Any) -> Answer:
    if error is not None:
        if error == pycares.errno.ARES_ECANCELLED:
            return _CLOSED
        outcome = _OUTCOMES.get(error, Outcome.SERVER_FAILURE)
        detail = "" if error in _FACTS else f"c-ares: {pycares.errno.strerror(error)!s}"
        return Answer(outcome, detail=detail)
    try:
        return _from_sections(name, question, result) if hasattr(result, "answer") else _from_list(question, result)
    except (ValueError, TypeError, AttributeError) as failure:
        return Answer(Outcome.SERVER_FAILURE, detail=f"c-ares: unreadable answer: {failure}")


_FACTS = frozenset({pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA})


def _found(values: Iterable[Any], ttl: int) -> Answer:
    unique = tuple(dict.fromkeys(values))
    if not unique:
        return Answer(Outcome.NO_DATA)
    detail = "" if len(unique) <= MAX_RECORDS else f"{MAX_RECORDS} of {len(unique)} records kept"
    # RFC 2181 section 8: a greater value is to be taken as zero; c-ares makes it the greatest.
    return Answer(Outcome.FOUND, unique[:MAX_RECORDS], ttl if 0 <= ttl < _GREATEST_TTL else 0, detail)


def _from_sections(name: str, question: Question, result: Any) -> Answer:
    """pycares 5: the records of all sections; follow CNAMEs among the answers."""
    asked, ttl = _TYPES[question.type], _GREATEST_TTL
    for _ in range(MAX_CHAIN + 1):
        here = [record for record in result.answer if record.record_class == _IN and _name(record.name) == name]
        records = [record for record in here if record.type == asked]
        if records:
            return _found([_VALUES[question.type](r.data) for r in records], min(ttl, *[r.ttl for r in records]))
        aliases = [record for record in here if record.type == _CNAME]
        if not aliases:
            return Answer(Outcome.NO_DATA)
        name, ttl = _name(aliases[0].data.cname), min(ttl, aliases[0].ttl)
    return Answer(Outcome.SERVER_FAILURE, detail=f"CNAME chain over {MAX_CHAIN} or a loop")


_VALUES: dict[str, Any] = {
    "A": lambda data: _ipv4(data.addr),
    "AAAA": lambda data: IPv6Address(data.addr),
    "MX": lambda data: Exchange(data.priority, _name(data.exchange)),
    "PTR": lambda data: _name(data.dname),
    "TXT": lambda data: data.data,
}


def _from_list(question: Question, result: Any) -> Answer:
    """pycares before 5: the values only, CNAMEs followed by c-ares."""
    match question.type:
        case "A":
            return _found([_ipv4(item.host) for item in result], min((item.ttl for item in result), default=0))
        case "AAAA":
            return _found([IPv6Address(item.host) for item in result], min((item.ttl for item in result), default=0))
        case "MX":
            return _found([Exchange(item.priority, _name(item.host)) for item in result], 0)
        case "PTR":
            return _found([_name(alias) for alias in result.aliases or [result.name]], 0)
        case "TXT":
            return _found([_octets(item.text) for item in result], 0)


def _ipv4(text: str) -> IPv4Address:
    # Twice as fast as ipaddress' own parser, and c-ares wrote the text itself.
    return IPv4Address(socket.inet_aton(text))


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("ascii")


_ESCAPE = re.compile(rb"\\(\d{3}|.)", re.DOTALL)


def _name(text: str | bytes) -> str:
    """c-ares' text of a name as `Answer` has it; both escape, but not the same octets."""
    octets = _octets(text)
    if b"\\" not in octets and b" " not in octets:
        return octets.decode("ascii").lower().removesuffix(".")
    labels = re.findall(rb"(?:[^.\\]|\\\d{3}|\\.)+", octets, re.DOTALL)
    return ".".join([_label_text(_ESCAPE.sub(_unescape, label).lower()) for label in labels])


def _unescape(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    return bytes([int(escaped) & 0xFF]) if len(escaped) == 3 else escaped


_PLAIN = re.compile(rb"[a-z0-9_-]+")
_MUST_ESCAPE = b'"().;\\@$'


def _label_text(label: bytes) -> str:
    """A label as `Answer` has it: octets that host names do not have are escaped as in a master file."""
    if _PLAIN.fullmatch(label):
        return label.decode("ascii")
    # RFC 1035 section 5.1
    return "".join(
        f"\\{chr(octet)}" if octet in _MUST_ESCAPE else chr(octet) if 0x20 < octet < 0x7F else f"\\{octet:03}"
        for octet in label
    )
