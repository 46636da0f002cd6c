"""Clients that stall, vanish, talk out of turn, never stop; and our own failures.

Whatever clients do, and however many, the server answers the others, lets the dead ones go, and holds no more than
its bounds.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.smtpd.server import GOOD, MESSAGE, OURS, STUFFED, Server, restrictions

Serve = Callable[..., Server]
ENVELOPE = b"MAIL FROM:<ann@good.example>\r\nRCPT TO:<bob@here.example>\r\n"
CLIENTS = 200


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what happens in the server's thread."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


async def one_client(port: int, number: int, all_there: asyncio.Event, arrived: Callable[[], None]) -> bytes:
    """A client that waits in the middle of its message until all others are there, too."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(f"127.1.0.{number % 250 + 1}", 0))
    await reader.readuntil(b"\r\n")
    for line in (b"EHLO c.example", b"MAIL FROM:<ann@open.example>", b"RCPT TO:<bob@here.example>", b"DATA"):
        writer.write(line + b"\r\n")
        while (await reader.readuntil(b"\r\n"))[3:4] == b"-":
            pass
    writer.write(STUFFED[:40])
    await writer.drain()
    arrived()
    await all_there.wait()
    writer.write(STUFFED[40:] + b"%d\r\n" % number + b".\r\n")
    reply = await reader.readuntil(b"\r\n")
    writer.close()
    await writer.wait_closed()
    return reply


def test_two_hundred_clients_at_once(serve: Serve) -> None:
    """All of them are in the middle of a message at the same time; everyone is served."""
    server = serve(restrictions(recipient=["check_spf"], data=["check_dkim"]), rest="[listen]\nfields = []\n")

    async def crowd() -> list[bytes]:
        all_there, there = asyncio.Event(), 0

        def arrived() -> None:
            nonlocal there
            there += 1
            if there == CLIENTS:
                assert server.handler.connections.total == CLIENTS
                all_there.set()

        return await asyncio.gather(*(one_client(server.port, n, all_there, arrived) for n in range(CLIENTS)))

    replies = asyncio.run(crowd())
    assert all(reply.startswith(b"250 2.0.0") for reply in replies)
    assert {accepted.content for accepted in server.delivered} == {MESSAGE + b"%d\r\n" % n for n in range(CLIENTS)}
    wait_until(lambda: server.handler.connections.total == 0)


def test_too_many_connections(serve: Serve) -> None:
    server = serve(rest="[listen]\nmax_connections = 5\nmax_connections_per_client = 2\n")
    first = [server.raw(), server.raw()]
    assert server.raw().greeting.startswith(b"421 4.7.0")  # a third of the same client
    ours = [server.raw(OURS) for _ in range(3)]  # ours are not counted one by one
    assert server.raw("127.0.0.5").greeting.startswith(b"421 4.7.0")  # a sixth of all
    for connection in (*first, *ours):
        assert connection.say(b"NOOP\r\n").startswith(b"250 ")
        connection.close()
    wait_until(lambda: server.handler.connections.total == 0)
    assert server.raw().say(b"NOOP\r\n").startswith(b"250 ")


@pytest.mark.parametrize(
    "said", [b"", b"EHLO x.example\r\nMAIL FR", b"EHLO x.example\r\n" + ENVELOPE + b"DATA\r\nSubject"]
)
def test_a_client_that_stalls_is_let_go(serve: Serve, said: bytes) -> None:
    server = serve(rest="[listen]\n[deadlines]\nidle = 0.2\n")
    raw = server.raw()
    raw.socket.sendall(said)
    lines = []
    while line := raw.line():
        lines.append(line)
    assert lines[-1].startswith(b"421 4.4.2")
    wait_until(lambda: server.handler.connections.total == 0)


def test_a_client_that_trickles_is_let_go(serve: Serve) -> None:
    """Never silent for long, and never done."""
    server = serve(rest="[listen]\n[deadlines]\nidle = 5\ndata = 0.3\n")
    raw = server.raw()
    for line in (b"EHLO x.example\r\n", *ENVELOPE.splitlines(keepends=True), b"DATA\r\n"):
        raw.say(line)
    stop = threading.Event()

    def trickle() -> None:
        while not stop.wait(0.01):
            try:
                raw.socket.sendall(b"x")
            except OSError:
                return

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        assert raw.reply().startswith(b"421 4.4.2")
    finally:
        stop.set()
        thread.join()
    wait_until(lambda: server.handler.connections.total == 0)
    assert server.delivered == []


def test_a_client_that_never_reads_is_cut_off(serve: Serve) -> None:
    server = serve(rest="[listen]\nmax_errors = 1000000\n[deadlines]\nidle = 0.5\n")
    raw = server.raw()
    raw.socket.settimeout(10)
    with pytest.raises(OSError):  # noqa: PT012  timeout while nobody takes our octets, then a reset
        while True:
            raw.socket.sendall(b"HELP\r\n" * 10_000)
    wait_until(lambda: server.handler.connections.total == 0)


@pytest.mark.parametrize("said", [b"EHLO", ENVELOPE, ENVELOPE + b"DATA\r\n", ENVELOPE + b"DATA\r\n" + STUFFED])
def test_a_client_that_vanishes_leaves_nothing_behind(
    serve: Serve, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve()
    raw = server.raw()
    raw.say(b"EHLO x.example\r\n")
    raw.socket.sendall(said)
    wait_until(lambda: server.handler.connections.total == 1)
    raw.close()
    wait_until(lambda: server.handler.connections.total == 0)
    assert server.delivered == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert server.raw().say(b"EHLO x.example\r\n").startswith(b"250 ")


# --- talking out of turn --------------------------------------------------------------------------------------

NO_PIPELINING = restrictions(recipient=["reject_unauth_pipelining"], data=["reject_unauth_pipelining"])


def test_a_group_of_commands_is_welcome(serve: Serve) -> None:
    """RFC 2920 section 3.1: MAIL, RCPT and DATA in one group, and the next group behind the message."""
    server = serve(NO_PIPELINING)
    raw = server.raw()
    raw.say(b"EHLO mx.good.example\r\n")
    raw.socket.sendall(ENVELOPE + b"DATA\r\n")
    assert [raw.reply()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
    raw.socket.sendall(STUFFED + b".\r\n" + ENVELOPE + b"DATA\r\n")
    assert [raw.reply()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
    assert raw.say(STUFFED + b".\r\n").startswith(b"250")
    assert len(server.delivered) == 2


@pytest.mark.parametrize(
    "groups",
    [
        # behind EHLO, before the server could say that it can take groups
        [(b"EHLO mx.good.example\r\n" + ENVELOPE, [b"250", b"250", b"503"])],
        # in a session without extensions
        [(b"HELO mx.good.example\r\n", [b"250"]), (ENVELOPE, [b"250", b"503"])],
        # a message behind DATA, before the server could say that it wants it
        [
            (b"EHLO mx.good.example\r\n", [b"250"]),
            (ENVELOPE, [b"250", b"250"]),
            (b"DATA\r\n" + STUFFED + b".\r\n", [b"354", b"503"]),
        ],
        # once is enough for the whole connection
        [(b"EHLO mx.good.example\r\nRSET\r\n", [b"250", b"250"]), (ENVELOPE, [b"250", b"503"])],
    ],
)
def test_whoever_talks_too_early_is_refused_where_that_is_wanted(
    serve: Serve, groups: list[tuple[bytes, list[bytes]]]
) -> None:
    server = serve(NO_PIPELINING)
    raw = server.raw()
    for octets, replies in groups:
        raw.socket.sendall(octets)
        assert [raw.reply()[:3] for _ in replies] == replies
    assert server.delivered == []


# --- our own failures -----------------------------------------------------------------------------------------


def test_a_delivery_that_raises_is_answered_451(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = serve()

    async def fail(message: Any) -> None:
        raise RuntimeError("secret of ours")

    server.on_delivery = fail
    with server.client() as client:
        client.docmd("MAIL FROM:<ann@good.example>")
        client.docmd("RCPT TO:<bob@here.example>")
        code, text = client.data(MESSAGE)
        assert (code, text) == (451, b"4.3.0 Temporary local problem; please try again later")
        server.on_delivery = None
        client.docmd("MAIL FROM:<ann@good.example>")
        client.docmd("RCPT TO:<bob@here.example>")
        assert client.data(MESSAGE)[0] == 250
    assert [record.name for record in caplog.records if record.exc_info] == ["mailauth.aiosmtpd"]


def test_a_delivery_that_takes_too_long_is_answered_451(serve: Serve) -> None:
    server = serve(rest="[listen]\n[deadlines]\ndelivery = 0.1\n")

    async def never(message: Any) -> None:
        await asyncio.Event().wait()

    server.on_delivery = never
    with server.client() as client:
        client.docmd("MAIL FROM:<ann@good.example>")
        client.docmd("RCPT TO:<bob@here.example>")
        assert client.data(MESSAGE)[0] == 451


def test_while_we_are_slow_the_client_may_be_silent(serve: Serve) -> None:
    server = serve(rest="[listen]\n[deadlines]\nidle = 1.0\n")

    async def slowly(message: Any) -> None:
        await asyncio.sleep(1.5)

    server.on_delivery = slowly
    with server.client() as client:
        client.docmd("MAIL FROM:<ann@good.example>")
        client.docmd("RCPT TO:<bob@here.example>")
        assert client.data(MESSAGE)[0] == 250


def test_a_check_that_raises_is_answered_451(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        async def lookup_async(self, question: Any) -> Any:
            raise RuntimeError("secret of ours")

    server = serve(restrictions(sender=["reject_unknown_sender_domain"]), resolver=Broken())
    raw = server.raw()
    raw.say(b"EHLO x.example\r\n")
    for _ in range(2):
        assert raw.say(b"MAIL FROM:<ann@good.example>\r\n") == (
            b"451 4.3.0 Temporary local problem; please try again later\r\n"
        )
    assert raw.say(b"RCPT TO:<bob@here.example>\r\n").startswith(b"503")
    assert b"secret" not in raw.say(b"NOOP\r\n")
    assert len([record for record in caplog.records if record.exc_info]) == 2


# --- any dialogue at all --------------------------------------------------------------------------------------

WORDS = st.sampled_from(
    [
        b"EHLO x.example", b"HELO x.example", b"EHLO", b"EHLO a b", b"MAIL FROM:<ann@good.example>", b"MAIL FROM:<>",
        b"MAIL FROM:<ann@nowhere.example>", b"MAIL FROM:<ann@good.example> SMTPUTF8", b"MAIL FROM:<\xc3\xbc@x.example>",
        b"MAIL", b"MAIL FROM:", b"MAIL FROM:<<>", b"RCPT TO:<bob@here.example>", b"RCPT TO:<x@elsewhere.example>",
        b"RCPT TO:<>", b"RCPT", b"DATA", b"DATA x", b".", b"Subject: x", b"", b"RSET", b"RSET x", b"NOOP", b"VRFY x",
        b"VRFY \xff\r", b"HELP", b"HELP MAIL", b"AUTH PLAIN", b"AUTH LOGIN x", b"STARTTLS", b"EXPN x", b"\xff\xfe",
        b"XCLIENT ADDR=1", b"BDAT 5",
    ]
)  # fmt: skip
LINES = st.lists(WORDS | st.binary(max_size=40), max_size=25)


@pytest.mark.parametrize("plain", [False, True])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, ends=st.sampled_from([b"\r\n", b"\n"]))
def test_no_dialogue_makes_us_fail(
    serve: Serve, caplog: pytest.LogCaptureFixture, plain: bool, lines: list[bytes], ends: bytes
) -> None:
    """Any lines in any order: well-formed replies, never our own error, and never phases out of order."""
    from aiosmtpd.smtp import SMTP

    kind = {"kind": SMTP} if plain else {}
    server = serve(restrictions(sender=["reject_unknown_sender_domain"], recipient=["check_spf"]), **kind)
    caplog.clear()
    raw = server.raw(GOOD)
    raw.socket.sendall(b"EHLO x.example\r\n" + ends.join(lines) + b"\r\n.\r\nQUIT\r\n*\r\nQUIT\r\n\r\n.\r\nQUIT\r\n")
    replies = []
    while line := raw.line():
        replies.append(line)
    raw.close()
    server.close()
    assert not [record for record in caplog.records if record.name.startswith("mailauth") and record.exc_info]
    for reply in replies if not plain else []:
        assert reply[:3].isdigit()
        assert reply[3:4] in b" -"
        assert reply.endswith(b"\r\n")
        assert reply.rstrip(b"\r\n").decode().isprintable()
        assert not reply.startswith(b"451 4.3.0")


def test_no_log_line_shows_what_moves_the_cursor(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    raw = serve().raw()
    for line in (b"\x1b[2JX\ry", b"EHLO \x1b[2J\ry", b"MAIL FROM:<\x1b[2J\ry@x.example>", b"VRFY \x1b\r\x00"):
        raw.say(line + b"\r\n")
    assert any("unrecognised" in message for message in caplog.messages)
    assert [message for message in caplog.messages if not message.isprintable()] == []


@pytest.mark.parametrize(
    "command", [b"NOOP", b"RSET", b"VRFY bob", b"HELP", b"EHLO mx.good.example", b"HELO mx.good.example", b"noop x"]
)
def test_commands_that_bring_no_message_nearer_are_bounded(serve: Serve, command: bytes) -> None:
    """100 of them, as Postfix's smtpd_junk_command_limit; then the connection is closed."""
    raw = serve().raw()
    replies = [raw.say(command + b"\r\n") for _ in range(101)]
    assert not [reply for reply in replies[:100] if not reply.startswith(b"2")]
    assert replies[100].startswith(b"421 4.7.0 ")
    assert raw.line() == b""


def test_the_bound_of_junk_commands_is_configured(serve: Serve) -> None:
    raw = serve(rest="[listen]\nmax_junk_commands = 2\n").raw()
    replies = [raw.say(line)[:3] for line in (b"NOOP\r\n", b"RSET\r\n", b"HELP\r\n")]
    assert replies == [b"250", b"250", b"421"]


def test_junk_commands_sent_at_once_get_one_refusal(serve: Serve) -> None:
    raw = serve().raw()
    raw.socket.sendall(b"NOOP\r\n" * 5000)
    replies = []
    while line := raw.line():
        replies.append(line)
    assert len(replies) == 101
    assert replies[-1].startswith(b"421 4.7.0 ")


def test_a_client_with_many_messages_is_not_sent_away(serve: Serve) -> None:
    """A message that is accepted begins the count anew: RSET before each is what polite clients say."""
    server = serve(restrictions())
    raw = server.raw()
    raw.say(b"EHLO mx.good.example\r\n")
    for _ in range(5):
        for _ in range(60):
            assert raw.say(b"RSET\r\n").startswith(b"250 ")
        for line in (*ENVELOPE.splitlines(keepends=True), b"DATA\r\n"):
            raw.say(line)
        assert raw.say(b"Subject: x\r\n\r\n.\r\n").startswith(b"250 2.0.0")
