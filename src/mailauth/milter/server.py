"""An asyncio server for milters: `Milter` is what one writes, `MilterServer` runs it.

::

    class Tag(Milter):
        async def on_end_of_message(self, event):
            return [AddHeader("X-Seen", "yes"), Accept()]

    asyncio.run(MilterServer(Tag).serve("inet:127.0.0.1:8899"))

Events without a method are declined, so the mail server does not even send them. No mail logic of our own here.
"""

# SECURITY: what comes is bounded by the codec, how long it may take by `idle`. A method that raises is logged with its
# traceback and answered as `on_failure` says; a peer that breaks the protocol is cut off.

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeAlias

from mailauth.milter.protocol import (
    Abort,
    Accept,
    Actions,
    Body,
    Codec,
    Connect,
    ConnectionFailed,
    Continue,
    Data,
    Discard,
    EndOfHeader,
    EndOfMessage,
    Event,
    Header,
    Helo,
    Macros,
    Mail,
    Negotiate,
    Options,
    PeerError,
    Progress,
    Quit,
    Rcpt,
    Refuse,
    Reject,
    Response,
    Shutdown,
    Skip,
    Stage,
    TempFail,
    Unknown,
    Wanted,
)
from mailauth.milter.settings import OnFailure

_log = logging.getLogger("mailauth.milter")

Answer: TypeAlias = Response | Iterable[Response] | None
"""What a method returns: None goes on. At the end of a message several replies may change it; `Continue` is added."""

READ_OCTETS = 65_536
PROGRESS_SECONDS = 30.0
"""How often a mail server that waits for the end of a message hears that we are at work; Postfix waits 300 s."""
IDLE_SECONDS = 7210.0
"""How long a mail server may say nothing, as long as libmilter waits: a session of SMTP may be idle in between."""
WRITE_SECONDS = 60.0
"""How long a mail server may leave replies unread."""
FINISH_SECONDS = 0.05
"""At the end: for a message that has begun to come, but has not been read yet."""


class Milter:
    """One SMTP session, seen by a filter; write a subclass with the methods that are of interest.

    `actions` are the changes that it makes. `options` are for what cannot be seen from its methods, such as
    `Options.REJECTED_RCPT`, or the ``NO_REPLY_...`` of methods that always return None, which saves a round trip each.
    `macros` are asked for where the server lets itself be asked.

    `reset` is called before the first message and after each, whatever became of it: what belongs to one is set there.
    """

    actions: ClassVar[Actions] = Actions.ADD_HEADERS | Actions.CHANGE_HEADERS | Actions.QUARANTINE
    options: ClassVar[Options] = Options.NONE
    macros: ClassVar[Mapping[Stage, str]] = {}

    codec: Codec
    """What was agreed with the server, set before the first event."""

    def __init__(self) -> None:
        self._values: dict[Stage | None, Mapping[str, str]] = {}

    def macro(self, name: str) -> str | None:
        """The value of a macro, without braces: the latest that was sent; None if it was not."""
        found = [values[name] for values in self._values.values() if name in values]
        return found[-1] if found else None

    def note(self, macros: Macros) -> None:
        """Macros came."""
        self._values.pop(macros.stage, None)
        self._values[macros.stage] = macros.values

    def forget_macros(self, *, session: bool = False) -> None:
        """Drop the macros of a message, or all of them."""
        kept = () if session else (Stage.CONNECT, Stage.HELO)
        self._values = {stage: values for stage, values in self._values.items() if stage in kept}

    def reset(self) -> None:
        """A message begins or has ended."""

    async def on_connect(self, event: Connect) -> Answer:
        """A client has connected."""

    async def on_helo(self, event: Helo) -> Answer:
        """HELO or EHLO."""

    async def on_mail(self, event: Mail) -> Answer:
        """MAIL FROM."""

    async def on_rcpt(self, event: Rcpt) -> Answer:
        """RCPT TO, once for each recipient."""

    async def on_data(self, event: Data) -> Answer:
        """DATA."""

    async def on_unknown(self, event: Unknown) -> Answer:
        """A command that the server does not know."""

    async def on_header(self, event: Header) -> Answer:
        """A header field."""

    async def on_end_of_header(self, event: EndOfHeader) -> Answer:
        """The end of the header."""

    async def on_body(self, event: Body) -> Answer:
        """A chunk of the body."""

    async def on_end_of_message(self, event: EndOfMessage) -> Answer:
        """The end of the message: its changes, and the decision."""

    async def on_close(self) -> None:
        """The session has ended."""


_METHODS: Mapping[type, str] = {
    Connect: "on_connect",
    Helo: "on_helo",
    Mail: "on_mail",
    Rcpt: "on_rcpt",
    Data: "on_data",
    Unknown: "on_unknown",
    Header: "on_header",
    EndOfHeader: "on_end_of_header",
    Body: "on_body",
    EndOfMessage: "on_end_of_message",
}
_DECLINED: Mapping[str, Options] = {
    "on_connect": Options.NO_CONNECT,
    "on_helo": Options.NO_HELO,
    "on_mail": Options.NO_MAIL,
    "on_rcpt": Options.NO_RCPT,
    "on_data": Options.NO_DATA,
    "on_unknown": Options.NO_UNKNOWN,
    "on_header": Options.NO_HEADERS,
    "on_end_of_header": Options.NO_END_OF_HEADER,
    "on_body": Options.NO_BODY,
}
_FINAL = (Continue, Accept, Reject, TempFail, Refuse, Discard, Skip, Shutdown, ConnectionFailed)


def wanted_by(milter: type[Milter] | Milter) -> Wanted:
    """What a milter asks for: its events are those that it has methods for."""
    own = milter if isinstance(milter, type) else type(milter)
    options = own.options | Options.SKIP | Options.LEADING_SPACE
    for name, declined in _DECLINED.items():
        if getattr(own, name) is getattr(Milter, name):
            options |= declined
    return Wanted(own.actions, options, own.macros)


class MilterServer:
    """Serves mail servers: `milter` makes one `Milter` for each session.

    `handle` serves one connection, and is what `asyncio.start_server` wants; `serve` listens itself. `on_failure` is
    the answer where a method raises: "accept" or "tempfail" the message. `idle` seconds of silence end a connection.
    At the end of a message the mail server hears every `progress` seconds that a method is still at work.
    """

    def __init__(
        self,
        milter: Callable[[], Milter],
        *,
        on_failure: OnFailure = "tempfail",
        idle: float = IDLE_SECONDS,
        progress: float = PROGRESS_SECONDS,
    ) -> None:
        self.milter = milter
        self.on_failure = on_failure
        self.idle = idle
        self.progress = progress
        self._connections: set[_Connection] = set()
        self._finishing = False

    async def serve(self, address: str) -> None:
        """Listen at ``inet:HOST:PORT`` or ``unix:PATH`` until cancelled."""
        async with await self.listen(address) as server:
            await server.serve_forever()

    async def listen(self, address: str) -> asyncio.Server:
        """Begin to listen. Raises `ValueError` for anything that is not an address, and `OSError`.

        A unix socket that is there already is replaced, as asyncio does it; a file that is no socket stays.
        """
        kind, _, rest = address.partition(":")
        if kind == "unix" and rest:
            return await asyncio.start_unix_server(self.handle, rest)
        host, colon, port = rest.rpartition(":")
        if kind != "inet" or not colon or not port.isdecimal():
            raise ValueError(f"{address!r} is neither inet:HOST:PORT nor unix:PATH")
        return await asyncio.start_server(self.handle, host.strip("[]"), int(port))

    def finish(self) -> None:
        """End each connection as soon as no message is on its way; those between two messages at once."""
        self._finishing = True
        asyncio.get_running_loop().call_later(FINISH_SECONDS, self._finish)

    def _finish(self) -> None:
        for connection in list(self._connections):
            connection.finish()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until it ends."""
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.serve()
        except (ConnectionError, TimeoutError) as error:
            # The mail server has gone; what it had begun it begins again.
            _log.debug("connection lost: %s", error)
        finally:
            self._connections.discard(connection)
            if connection.timer is not None:
                connection.timer.cancel()
            try:
                await connection.close()
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    async with _or_abort(writer):
                        await writer.wait_closed()


@contextlib.asynccontextmanager
async def _or_abort(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Wait until the other side has read what was written; if it does not, the connection ends there and then."""
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            yield
    except TimeoutError:
        writer.transport.abort()
        raise


_QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux


class _Connection:
    """One connection on its way: the session's milter, the codec, what is to be written."""

    def __init__(self, server: MilterServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.milter = server.milter()
        self.codec = self.milter.codec = Codec(wanted_by(self.milter))
        self.failed = False  # a method raised: the next reply that is due says so
        self.in_message = False
        self.loop = asyncio.get_running_loop()
        self.heard = self.loop.time()
        self.timer: asyncio.TimerHandle | None = None
        self.session_failed = False  # it did so before any message
        own = writer.get_extra_info("socket")
        self.socket = own if own is not None and own.family in (socket.AF_INET, socket.AF_INET6) else None

    async def serve(self) -> None:
        self._watch()
        while True:
            data = await self.reader.read(READ_OCTETS)
            self.heard = self.loop.time()
            if not data:
                return
            self._acknowledge()
            self.codec.feed(data)
            while (event := self.codec.next_event()) is not None:
                if isinstance(event, PeerError):
                    _log.warning("a mail server broke the milter protocol (%s): %s", event.reason, event.detail)
                    return
                if event == Quit():
                    return
                await self._serve(event)

    def _watch(self) -> None:
        """End the connection after the silence of `idle`; one timer for all reads, since most bring a packet only."""
        rest = self.heard + self.server.idle - self.loop.time()
        if rest <= 0:
            self.writer.close()
        else:
            self.timer = self.loop.call_later(rest, self._watch)

    def _acknowledge(self) -> None:
        """Acknowledge at once what came over TCP.

        Mail servers write several packets for which no reply comes, and wait with the next one (Nagle's algorithm)
        until the last is acknowledged, which a kernel puts off for 40 ms: 22 messages a second instead of 450.
        """
        if self.socket is not None and _QUICKACK is not None:
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)

    async def _serve(self, event: Event) -> None:
        match event:
            case Negotiate():
                self.milter.reset()  # before the first message, of which MAIL may not be sent
                await self._write(self.codec.accept_offer())
            case Macros():
                self.milter.note(event)
            case Abort():
                self._reset()
            case Quit():  # and another session follows
                await self.close()
                self.session_failed = self.failed = False
            case _:
                await self._answer(event)

    async def _answer(self, event: Event) -> None:
        if isinstance(event, Mail):
            # What came before belongs to the session, or to nothing; the macros of MAIL are here already.
            self.milter.reset()
            self.failed = self.session_failed
            self.in_message = True
        octets, ends = await self._answer_of(event)
        # All replies of one event in one write: a second one would wait for an acknowledgement of the first.
        if octets:
            await self._write(octets)
        if ends or isinstance(event, EndOfMessage):
            self._reset()

    async def _answer_of(self, event: Event) -> tuple[bytes, bool]:
        """The octets of the answer, and whether it ends the message. What fails has the configured answer."""
        if not self.failed:
            try:
                method: Callable[[Any], Awaitable[Answer]] = getattr(self.milter, _METHODS[type(event)])
                found = await (self._with_progress(method(event)) if isinstance(event, EndOfMessage) else method(event))
                return self._encoded(event, found)
            except Exception:  # noqa: BLE001  the server gets an answer whatever happens, and the log the traceback
                _log.exception("the milter failed at %s", type(event).__name__)
                self.failed = True
                self.session_failed |= isinstance(event, Connect | Helo)
        if not self.codec.reply_due:
            return b"", False
        answer = Accept() if self.server.on_failure == "accept" else TempFail()
        return self.codec.send(answer), not isinstance(event, Rcpt)

    def _encoded(self, event: Event, answer: Answer) -> tuple[bytes, bool]:
        replies = [] if answer is None else list(answer) if isinstance(answer, Iterable) else [answer]
        if not self.codec.reply_due:
            if replies and not isinstance(replies[-1], Continue):
                raise ValueError(f"{type(event).__name__} gets no reply, by the options of this milter")
            return b"", False
        if not replies or not isinstance(replies[-1], _FINAL):
            replies.append(Continue())
        last = replies[-1]
        ends = not isinstance(last, Continue | Skip) and not (
            isinstance(event, Rcpt) and isinstance(last, Reject | TempFail | Refuse)
        )
        return b"".join(map(self.codec.send, replies)), ends

    async def _with_progress(self, work: Awaitable[Answer]) -> Answer:
        task = asyncio.ensure_future(work)
        try:
            while True:
                done, _ = await asyncio.wait((task,), timeout=self.server.progress)
                if done:
                    return task.result()
                await self._write(self.codec.send(Progress()))
        finally:
            task.cancel()

    async def _write(self, octets: bytes) -> None:
        self.writer.write(octets)
        if self.writer.transport.get_write_buffer_size():
            async with _or_abort(self.writer):
                await self.writer.drain()

    def _reset(self) -> None:
        self.failed = self.session_failed
        self.milter.reset()
        self.milter.forget_macros()
        self.in_message = False
        if self.server._finishing:
            self.writer.close()

    def finish(self) -> None:
        """End the connection, unless a message is on its way."""
        if not self.in_message:
            self.writer.close()

    async def close(self) -> None:
        """The session has ended, or its connection."""
        self._reset()
        self.milter.forget_macros(session=True)
        try:
            await self.milter.on_close()
        except Exception:  # noqa: BLE001  the connection is closed whatever happens
            _log.exception("the milter failed at the end of a session")
