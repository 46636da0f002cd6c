"""`CaresResolver`: DNS through c-ares, for synchronous callers, asyncio and trio alike.

c-ares asks and waits in a thread of its own, one for each resolver. Its Python binding, pycares, comes with the "cares"
extra and is loaded only when `CaresResolver` is named. What c-ares refuses to ask is asked through dnspython.
"""

# SECURITY: the answers come from whoever runs the zone that is asked about. c-ares checks that an answer belongs to its
# question, in C; what is kept of it here is bounded (`MAX_RECORDS`, `MAX_CHAIN`), and names are escaped. Every question
# ends when c-ares has used up its tries.

from __future__ import annotations

import os
import re
import socket
import threading
import time
from concurrent.futures import Future
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Self

try:
    import pycares
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError("CaresResolver needs c-ares: pip install 'mailauth[cares]'", name="pycares") from _error

from mailauth.plan.dns import MAX_CHAIN, MAX_RECORDS, TIMED_OUT, Answer, Exchange, Outcome, Question, not_asked
from mailauth.plan.drivers import running_trio

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from mailauth.resolvers.system import AsyncDnspythonResolver, DnspythonResolver, Turns

MAX_IN_FLIGHT = 200
"""Questions in flight at once; the others wait. They share a socket, whose buffer holds some 200 answers on Linux."""
TIMEOUT = 2.0
TRIES = 2

# c-ares refuses to ask for names with other characters; they are rare, and left to dnspython.
_ASKABLE = re.compile(r"[A-Za-z0-9_./*-]+")

_IN, _CNAME, _SOA = 1, 5, 6
_TYPES = {
    "A": 1,
    "CNAME": 5,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
}  # RFC 1035 section 3.2.2, RFC 3596 section 2.1
_GREATEST_TTL = 2**31 - 1
_CLOSED = Answer(Outcome.SERVER_FAILURE, detail="the resolver was closed")

# After a fork the event thread of a channel lives on in the parent only; to destroy the channel would wait for it.
_INHERITED: list[pycares.Channel] = []


class CaresResolver:
    """Asks the system's name servers, or `nameservers` (addresses), through c-ares.

    `timeout` is in seconds for the first of `tries` tries; c-ares waits longer for each further one. `port` is for
    tests. `max_in_flight` questions are asked at once by synchronous callers, and as many in each event loop; the
    others wait for their turn. The system's configuration is read by the first question. c-ares has a cache of its
    own, which honours TTLs. May be shared between threads and event loops. `close`, leaving a ``with`` or ``async
    with`` block or dropping the resolver ends its thread.

    pycares 5 does not show the SOA record of most negative answers; their TTL is then 0.

    Raises `ValueError` for a cap below 1, for anything that is not an address and for a question of a type that no plan
    asks for; other questions never raise.
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
        self._options: dict[str, Any] = {"timeout": timeout, "tries": tries, "udp_port": port, "tcp_port": port}
        if nameservers is not None:
            # An invalid address is to be found here, and not by the first question.
            self._options["servers"] = [str(IPv6Address(s) if ":" in s else IPv4Address(s)) for s in nameservers]
        self._max_in_flight = max_in_flight
        self._room = threading.Semaphore(max_in_flight)
        self._turns: Turns | None = None
        self._lock = threading.Lock()
        self._channel: pycares.Channel | None = None
        self._process = os.getpid()
        self._substitute: DnspythonResolver | None = None
        self._substitute_async: AsyncDnspythonResolver | None = None

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        """Ask one question, in at most `time_limit` seconds."""
        answer = _not_sent(question)
        if answer is not None:
            return answer
        if not _is_askable(question):
            return self._dnspython().lookup(question, time_limit)
        deadline = None if time_limit is None else time.monotonic() + time_limit
        self._mind_forks()
        if not self._room.acquire(timeout=time_limit):
            return TIMED_OUT
        answers: SimpleQueue[Answer] = SimpleQueue()
        self._ask(question, answers.put, self._room.release)
        try:
            return answers.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
        except Empty:
            return TIMED_OUT

    def submit(self, question: Question, time_limit: float | None = None) -> Future[Answer]:
        """Ask one question in the background. It waits while as many as may be are in flight."""
        answer = _not_sent(question)
        if answer is None and not _is_askable(question):
            return self._dnspython().submit(question, time_limit)
        future: Future[Answer] = Future()
        self._mind_forks()
        if answer is None and not self._room.acquire(timeout=time_limit):
            answer = TIMED_OUT
        if answer is None:
            self._ask(question, lambda answer: _settle(future, answer), self._room.release)
        else:
            future.set_result(answer)
        return future

    async def lookup_async(self, question: Question) -> Answer:
        """Ask one question under asyncio or trio."""
        answer = _not_sent(question)
        if answer is not None:
            return answer
        if not _is_askable(question):
            return await self._dnspython_async().lookup_async(question)
        self._mind_forks()
        if self._turns is None:
            from mailauth.resolvers.system import Turns

            self._turns = Turns(self._max_in_flight)
        async with self._turns.here():
            return await (self._in_trio(question) if running_trio() else self._in_asyncio(question))

    async def _in_asyncio(self, question: Question) -> Answer:
        import asyncio

        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answer] = loop.create_future()

        def hand_over(answer: Answer) -> None:
            try:
                loop.call_soon_threadsafe(_settle, future, answer)
            except RuntimeError:
                return  # the loop has ended, and nobody waits

        self._ask(question, hand_over)
        return await future

    async def _in_trio(self, question: Question) -> Answer:
        import trio

        token, event, answers = trio.lowlevel.current_trio_token(), trio.Event(), SimpleQueue[Answer]()

        def hand_over(answer: Answer) -> None:
            answers.put(answer)
            try:
                token.run_sync_soon(event.set)
            except trio.RunFinishedError:
                return  # nobody waits

        self._ask(question, hand_over)
        await event.wait()
        return answers.get()

    def _ask(self, question: Question, done: Callable[[Answer], object], release: Callable[[], object] = bool) -> None:
        """Hand a question to c-ares; `release` and then `done` are called once, in whichever thread."""
        name = question.name.lower()
        pending = _Pending(name, question, done, release)
        try:
            self._open().query(name, _TYPES[question.type], callback=pending)
        except pycares.AresError as error:
            pending(None, error.args[0])
        except RuntimeError:
            # Another thread has closed the channel this moment.
            pending(None, pycares.errno.ARES_ECANCELLED)

    def _open(self) -> pycares.Channel:
        with self._lock:
            if self._channel is None:
                self._channel = pycares.Channel(**self._options)
            return self._channel

    def _mind_forks(self) -> None:
        """In a forked child, begin anew: what the parent has in flight is answered there."""
        if self._process != os.getpid():
            with self._lock:
                if self._channel is not None:
                    _INHERITED.append(self._channel)
                self._channel, self._process = None, os.getpid()
                self._room = threading.Semaphore(self._max_in_flight)

    def _dnspython(self) -> DnspythonResolver:
        if self._substitute is None:
            import dns.resolver

            from mailauth.resolvers.system import DnspythonResolver

            self._substitute = DnspythonResolver(self._configured(dns.resolver.Resolver))
        return self._substitute

    def _dnspython_async(self) -> AsyncDnspythonResolver:
        if self._substitute_async is None:
            import dns.asyncresolver

            from mailauth.resolvers.system import AsyncDnspythonResolver

            self._substitute_async = AsyncDnspythonResolver(self._configured(dns.asyncresolver.Resolver))
        return self._substitute_async

    def _configured(self, kind: Any) -> Any:
        """dnspython's resolver for the same name servers; None for those of the system."""
        from mailauth.resolvers.system import with_nameservers

        if "servers" not in self._options:
            return None
        resolver = with_nameservers(kind, self._options["servers"], self._options["udp_port"])
        resolver.timeout = self._options["timeout"]
        resolver.lifetime = self._options["timeout"] * self._options["tries"]
        return resolver

    def close(self) -> None:
        """End the thread of c-ares; questions that are still open are answered "server failure"."""
        with self._lock:
            channel, self._channel = self._channel, None
            substitute, self._substitute = self._substitute, None
        if substitute is not None:
            substitute.close()
        if channel is not None and self._process != os.getpid():
            _INHERITED.append(channel)
        elif channel is not None:
            channel.cancel()
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()


def _is_askable(question: Question) -> bool:
    """Whether c-ares asks it; the type SPF it gives back in another form than its other records."""
    return question.type != "SPF" and _ASKABLE.fullmatch(question.name) is not None


def _not_sent(question: Question) -> Answer | None:
    """The answer to a question that is not sent. Raises `ValueError` for a type that no plan asks for."""
    if question.type not in _TYPES and question.type != "SPF":
        raise ValueError(f"{question}: records are of type {', '.join(sorted(_TYPES))}")
    return not_asked(question)


def _settle(future: Future[Answer] | asyncio.Future[Answer], answer: Answer) -> None:
    if isinstance(future, Future):
        if future.set_running_or_notify_cancel():
            future.set_result(answer)
    elif not future.done():
        future.set_result(answer)


class _Pending:
    """The callback of one question. c-ares may call it in the midst of `query`, which then raises as well."""

    __slots__ = ("done", "name", "question", "release")

    def __init__(
        self, name: str, question: Question, done: Callable[[Answer], object], release: Callable[[], object]
    ) -> None:
        self.name, self.question = name, question
        self.done: Callable[[Answer], object] | None = done
        self.release = release

    def __call__(self, result: Any, error: Any) -> None:
        done, self.done = self.done, None
        if done is not None:
            self.release()
            done(_answer_of(self.name, self.question, result, error))


_OUTCOMES = {
    pycares.errno.ARES_ENOTFOUND: Outcome.NO_SUCH_NAME,
    pycares.errno.ARES_ENODATA: Outcome.NO_DATA,
    pycares.errno.ARES_ETIMEOUT: Outcome.TIMED_OUT,
    pycares.errno.ARES_EREFUSED: Outcome.REFUSED,
}
_FACTS = frozenset({pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA})


def _answer_of(name: str, question: Question, result: Any, error: Any) -> Answer:
    """What c-ares' callback was given, as an answer to `question`; `name` is its name as it was asked."""
    if error is not None:
        if error == pycares.errno.ARES_ECANCELLED:
            return _CLOSED
        outcome = _OUTCOMES.get(error, Outcome.SERVER_FAILURE)
        return Answer(outcome, detail="" if error in _FACTS else f"c-ares: {pycares.errno.strerror(error)!s}")
    try:
        return _from_sections(name, question, result)
    except (ValueError, TypeError, AttributeError) as failure:
        return Answer(Outcome.SERVER_FAILURE, detail=f"c-ares: unreadable answer: {failure}")


def _from_sections(name: str, question: Question, result: Any) -> Answer:
    """The records of the name that was asked, or of the name that its CNAMEs lead to."""
    asked, ttl = _TYPES[question.type], _GREATEST_TTL
    for _ in range(MAX_CHAIN + 1):
        here = [record for record in result.answer if record.record_class == _IN and _name(record.name) == name]
        records = [record for record in here if record.type == asked]
        if records:
            ttl = min(ttl, *[record.ttl for record in records])
            unique = tuple(dict.fromkeys([_VALUES[question.type](record.data) for record in records]))
            detail = "" if len(unique) <= MAX_RECORDS else f"{MAX_RECORDS} of {len(unique)} records kept"
            # RFC 2181 section 8: a greater value is to be taken as zero; c-ares makes it the greatest.
            return Answer(Outcome.FOUND, unique[:MAX_RECORDS], ttl if 0 <= ttl < _GREATEST_TTL else 0, detail)
        aliases = [record for record in here if record.type == _CNAME]
        if not aliases:
            return Answer(Outcome.NO_DATA, ttl=_negative_ttl(name, result.authority, ttl))
        name, ttl = _name(aliases[0].data.cname), min(ttl, aliases[0].ttl)
    return Answer(Outcome.SERVER_FAILURE, detail=f"CNAME chain over {MAX_CHAIN} or a loop")


def _negative_ttl(name: str, authority: Sequence[Any], ttl: int) -> int:
    """RFC 2308 section 5: the lesser of the SOA's TTL and its MINIMUM field; without a SOA it may not be kept."""
    for record in authority:
        if record.type == _SOA and f".{name}".endswith(f".{_name(record.name)}"):
            least: int = min(ttl, record.ttl, record.data.minimum)
            return least
    return 0


# Block lists give the same few answers all day.
@lru_cache(maxsize=1024)
def _ipv4(text: str) -> IPv4Address:
    # Twice as fast as ipaddress' own parser, and c-ares wrote the text itself.
    return IPv4Address(socket.inet_aton(text))


_VALUES: dict[str, Any] = {
    "A": lambda data: _ipv4(data.addr),
    "AAAA": lambda data: IPv6Address(data.addr),
    "MX": lambda data: Exchange(data.priority, _name(data.exchange)),
    "CNAME": lambda data: _name(data.cname),
    "PTR": lambda data: _name(data.dname),
    "TXT": lambda data: data.data,
}

_ESCAPE = re.compile(rb"\\(\d{3}|.)", re.DOTALL)


def _name(text: str | bytes) -> str:
    """c-ares' text of a name as `Answer` has it; both escape, but not the same octets."""
    octets = text if isinstance(text, bytes) else text.encode("ascii")
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
