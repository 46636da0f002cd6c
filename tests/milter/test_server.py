"""The asyncio server: a milter of one's own, its state from message to message, and what happens when it fails."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import ClassVar

import pytest

from mailauth.milter import (
    Accept,
    Actions,
    AddHeader,
    Body,
    Connect,
    EndOfMessage,
    Header,
    Mail,
    Milter,
    MilterServer,
    Options,
    Rcpt,
    Reject,
    ReplaceBody,
    Skip,
)
from mailauth.milter.server import Answer
from tests.milter.peer import connected, in_loop


class Tag(Milter):
    async def on_end_of_message(self, event: EndOfMessage) -> Answer:
        return [AddHeader("X-Seen", "yes"), Accept()]


class Counting(Milter):
    """Counts the header fields of each message."""

    options = Options.NO_REPLY_HEADER
    fields = 0
    closed: ClassVar[list[bool]] = []

    def reset(self) -> None:
        self.fields = 0

    async def on_mail(self, event: Mail) -> Answer:
        return None

    async def on_rcpt(self, event: Rcpt) -> Answer:
        return Reject() if event.address.startswith("bad") else None

    async def on_header(self, event: Header) -> Answer:
        self.fields += 1
        return None

    async def on_body(self, event: Body) -> Answer:
        return Skip()

    async def on_end_of_message(self, event: EndOfMessage) -> Answer:
        return [AddHeader("X-Fields", f"{self.fields} {self.macro('i')}")]

    async def on_close(self) -> None:
        self.closed.append(True)


@in_loop
async def test_three_lines_make_a_milter() -> None:
    async with connected(MilterServer(Tag)) as peer:
        # Everything that it has no method for is declined.
        assert peer.options & 0x37F == 0x37F
        for _ in range(2):
            assert await peer.ask(b"E") == [(b"h", b"X-Seen\0 yes\0"), (b"a", b"")]


@in_loop
async def test_each_message_of_a_session_begins_anew() -> None:
    async with connected(MilterServer(Counting)) as peer:
        for number in (1, 2, 3):
            peer.send(b"D", b"M" + f"i\0ID{number}\0".encode())
            assert await peer.ask(b"M", b"<ann@example.org>\0") == [(b"c", b"")]
            assert await peer.ask(b"R", b"<bad@example.net>\0") == [(b"r", b"")]
            assert await peer.ask(b"R", b"<bob@example.net>\0") == [(b"c", b"")]
            for _ in range(number):
                peer.send(b"L", b"Subject\0 x\0")
            if number == 2:
                peer.send(b"A")
                continue
            assert await peer.ask(b"B", b"body\r\n") == [(b"s", b"")]
            replies = await peer.ask(b"E")
            assert replies == [(b"h", f"X-Fields\0 {number} ID{number}\0".encode()), (b"c", b"")]
        Counting.closed.clear()
        peer.send(b"Q")
        assert await peer.reader.read() == b""
        assert Counting.closed == [True]


class Failing(Milter):
    options = Options.NO_REPLY_HEADER

    async def on_connect(self, event: Connect) -> Answer:
        if event.hostname == "broken":
            raise RuntimeError("no luck")
        return None

    async def on_mail(self, event: Mail) -> Answer:
        return None

    async def on_header(self, event: Header) -> Answer:
        raise TimeoutError("of our own, not of the connection")

    async def on_end_of_message(self, event: EndOfMessage) -> Answer:
        return None


@pytest.mark.parametrize(("on_failure", "answer"), [("accept", b"a"), ("tempfail", b"t")])
@in_loop
async def test_what_fails_is_answered_as_configured(
    on_failure: str, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    async with connected(MilterServer(Failing, on_failure=on_failure)) as peer:  # type: ignore[arg-type]
        assert await peer.ask(b"C", b"host\0U") == [(b"c", b"")]
        await peer.ask(b"M", b"<>\0")
        peer.send(b"L", b"a\0 b\0")  # fails, though nothing can be answered here
        assert await peer.ask(b"E") == [(answer, b"")]
        # The next message is another one.
        await peer.ask(b"M", b"<>\0")
        assert await peer.ask(b"E") == [(b"c", b"")]
        peer.send(b"K")
        assert await peer.ask(b"C", b"broken\0U") == [(answer, b"")]


class Slow(Milter):
    async def on_end_of_message(self, event: EndOfMessage) -> Answer:
        await asyncio.sleep(0.5)
        return Accept()


@in_loop
async def test_a_slow_filter_says_that_it_is_at_work() -> None:
    async with connected(MilterServer(Slow, progress=0.1)) as peer:
        replies = await peer.ask(b"E")
        assert replies[-1] == (b"a", b"")
        assert len(replies) > 2
        assert set(replies[:-1]) == {(b"p", b"")}


@in_loop
async def test_nonsense_ends_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with connected(MilterServer(Tag)) as peer:
        peer.send(b"?")
        assert await peer.reader.read() == b""
    assert "unknown-command" in caplog.text


@in_loop
async def test_silence_ends_the_connection() -> None:
    async with connected(MilterServer(Tag, idle=0.1)) as peer:
        assert await peer.reader.read() == b""


@in_loop
async def test_old_versions() -> None:
    """Version 2 knows no Skip, no events without reply and no leading blanks."""
    async with connected(MilterServer(Counting), version=2, actions=0x3F, options=0x7F) as peer:
        await peer.ask(b"M", b"<>\0")
        assert await peer.ask(b"L", b"Subject\0x\0") == [(b"c", b"")]
        assert await peer.ask(b"E") == [(b"h", b"X-Fields\x001 None\0"), (b"c", b"")]


@pytest.mark.parametrize("address", ["inet:25", "unix:", "tcp:127.0.0.1:25", "inet:localhost:x", ""])
@in_loop
async def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        await MilterServer(Tag).listen(address)


@in_loop
async def test_what_is_in_hand_is_finished() -> None:
    server = MilterServer(Counting)
    async with connected(server) as busy, connected(server) as idle:
        await busy.ask(b"M", b"<>\0")
        server.finish()
        assert await idle.reader.read() == b""
        assert (await busy.ask(b"E"))[-1] == (b"c", b"")
        assert await busy.reader.read() == b""


@in_loop
async def test_a_message_that_has_come_but_was_not_read_yet_is_finished() -> None:
    server = MilterServer(Counting)
    async with connected(server) as peer:
        peer.send(b"M", b"<>\0")
        server.finish()
        assert await peer.read() == (b"c", b"")
        assert (await peer.ask(b"E"))[-1] == (b"c", b"")
        assert await peer.reader.read() == b""


class Talkative(Milter):
    actions = Actions.CHANGE_BODY

    async def on_end_of_message(self, event: EndOfMessage) -> Answer:
        return [ReplaceBody(b"x" * 8_000_000)]


@in_loop
async def test_a_mail_server_that_reads_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailauth.milter.server.WRITE_SECONDS", 0.1)
    server = MilterServer(Talkative)
    async with connected(server) as peer:
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        peer.send(b"E")
        async with asyncio.timeout(10):
            while server._connections:
                await asyncio.sleep(0.01)
        peer.writer.transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await peer.reader.readexactly(8_000_000)


@in_loop
async def test_only_a_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "milter.sock"
    for _ in range(2):  # the second time there is an old one
        (await MilterServer(Tag).listen(f"unix:{path}")).close()
    path.unlink(missing_ok=True)
    path.write_text("not a socket")
    with pytest.raises(OSError, match="in use"):
        await MilterServer(Tag).listen(f"unix:{path}")
    assert path.read_text() == "not a socket"
