"""Handing messages on, to real servers and into a Maildir.

A message is taken by the next server for all recipients, octet by octet, or the client learns why not.
"""

from __future__ import annotations

import asyncio
import mailbox
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP

from mailauth.aiosmtpd import Accepted, LmtpDelivery, MaildirDelivery, SmtpDelivery, open_delivery
from mailauth.mail.reply import Reply
from mailauth.sync import Authenticator
from tests.servers import free_port

CONTENT = "Subject: Grüße\r\n\r\n.dot\r\n..\r\n.\r\nFrom here\r\n\r\n".encode()


def accepted(
    *recipients: str, sender: str = "ann@good.example", smtputf8: bool = False, content: bytes = CONTENT
) -> Accepted:
    report = Authenticator("mx.here.example", restrictions=None).session("192.0.2.1").report()
    return Accepted("id1", content, sender, recipients, report, smtputf8=smtputf8)


class NextServer:
    """A handler that keeps what it gets, and refuses the recipients whose name says so."""

    def __init__(self) -> None:
        self.got: list[tuple[str | None, list[str], bytes | None, list[str]]] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        code = address.partition("@")[0]
        if code in ("551", "553"):
            return {"551": "551 5.01.1 no", "553": "553 4.1.1 no"}[code]
        if code.isdigit():
            return f"{code} {code[0]}.1.1 no <{address}> here"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content, envelope.mail_options))
        if isinstance(server, LMTP):
            first = [f"452 4.2.2 <{to}> is full" if "full" in to else f"250 2.1.5 <{to}>" for to in envelope.rcpt_tos]
            return "\r\n".join(first)
        return "250 ok"


@asynccontextmanager
async def next_server(kind: Any, path: Path | None = None, **arguments: Any) -> AsyncIterator[tuple[NextServer, int]]:
    handler, loop = NextServer(), asyncio.get_running_loop()

    def factory() -> Any:
        return kind(handler, hostname="next.example", loop=loop, **{"enable_SMTPUTF8": True, **arguments})

    if path is not None:
        server: asyncio.Server = await loop.create_unix_server(factory, str(path))
        port = 0
    else:
        server = await loop.create_server(factory, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
    async with server:
        yield handler, port


def test_smtp_hands_on_every_octet() -> None:
    async def run() -> None:
        async with next_server(SMTP) as (server, port):
            deliver = SmtpDelivery("127.0.0.1", port, hostname="mx.here.example")
            assert await deliver(accepted("bob@here.example", '"a b"@here.example')) is None
            assert await deliver(accepted("bob@here.example", sender="")) is None
            assert await deliver(accepted("jürgen@bücher.example", smtputf8=True)) is None
            await asyncio.sleep(0)
        assert [content for _, _, content, _ in server.got] == [CONTENT] * 3
        assert server.got[0][1][:2] == ["bob@here.example", '"a b"@here.example']
        assert server.got[1][0] == "<>"
        assert server.got[2][1] == ["jürgen@bücher.example"]
        assert {option.partition("=")[0] for option in server.got[2][3]} == {"SIZE", "SMTPUTF8", "BODY"}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("recipients", "reply"),
    [
        (("bob@here.example", "550@x.example"), "550 5.1.1 The next server says: 550 no <550@x.example> here"),
        (("450@x.example", "bob@here.example"), "451 4.1.1 The next server says: 450 no <450@x.example> here"),
        # an enhanced code that is none, and one of another class
        (("551@x.example",), "550 5.0.0 The next server says: 551 5.01.1 no"),
        (("553@x.example",), "550 5.0.0 The next server says: 553 no"),
        (("421@x.example",), "451 4.1.1 The next server says: 421 no <421@x.example> here"),
    ],
)
def test_a_refused_recipient_refuses_the_message(recipients: tuple[str, ...], reply: str) -> None:
    async def run() -> None:
        async with next_server(SMTP) as (server, port):
            found = await SmtpDelivery("127.0.0.1", port)(accepted(*recipients))
        assert str(found) == reply
        assert server.got == []

    asyncio.run(run())


@pytest.mark.parametrize("end", [b"\r.\r", b"\n.\n", b"\r.\r\n", b"\r\n.\r", b"\n.\r\n", b"\r\n.\n"])
@pytest.mark.parametrize("kind", [SMTP, LMTP])
def test_no_bare_line_end_is_handed_on(kind: Any, end: bytes) -> None:
    """Where the site takes them. What stands behind one stays content, dots and all, for every reader."""
    content = b"Subject: x\r\n\r\nbody" + end + b"MAIL FROM:<eve@x.example>\r\n"
    expected = b"Subject: x\r\n\r\nbody\r\n.\r\nMAIL FROM:<eve@x.example>\r\n"

    async def run() -> None:
        async with next_server(kind) as (server, port):
            deliver = (LmtpDelivery if kind is LMTP else SmtpDelivery)("127.0.0.1", port)
            assert await deliver(accepted("bob@here.example", content=content)) is None
        assert [octets for _, _, octets, _ in server.got] == [expected]

    asyncio.run(run())


class Unwilling(SMTP):
    """Refuses DATA before any content."""

    async def smtp_DATA(self, arg: str) -> None:
        await self.push("554 5.7.1 no valid recipients")  # type: ignore[no-untyped-call]


def test_a_next_server_that_refuses_data_is_believed() -> None:
    async def run() -> None:
        async with next_server(Unwilling) as (_, port):
            found = await SmtpDelivery("127.0.0.1", port)(accepted("bob@here.example"))
        assert str(found) == "550 5.7.1 The next server says: 554 no valid recipients"

    asyncio.run(run())


def test_what_the_next_server_cannot_take_is_refused() -> None:
    async def run() -> None:
        async with next_server(SMTP, enable_SMTPUTF8=False) as (server, port):
            found = await SmtpDelivery("127.0.0.1", port)(accepted("bob@here.example", smtputf8=True))
        assert str(found).startswith("550 5.6.7 ")
        assert server.got == []

    asyncio.run(run())


def test_a_next_server_that_is_not_there() -> None:
    found = asyncio.run(_deliver(SmtpDelivery("127.0.0.1", free_port())))
    assert found is not None
    assert (found.code, found.enhanced) == (451, "4.4.1")


async def _deliver(deliver: Callable[[Accepted], Any]) -> Reply | None:
    reply: Reply | None = await deliver(accepted("bob@here.example"))
    return reply


def test_lmtp_answers_for_each_recipient(tmp_path: Path) -> None:
    async def run() -> None:
        async with next_server(LMTP, tmp_path / "socket") as (server, _):
            deliver = open_delivery(f"lmtp://{tmp_path}/socket")
            assert isinstance(deliver, LmtpDelivery)
            assert await deliver(accepted("a@here.example", "b@here.example")) is None
            found = await deliver(accepted("a@here.example", "full@here.example", "b@here.example"))
            assert str(found) == "451 4.2.2 The next server says: 452 <full@here.example> is full"
        assert [content for _, _, content, _ in server.got] == [CONTENT] * 2

    asyncio.run(run())


def test_a_maildir_gets_one_file_for_each_message(tmp_path: Path) -> None:
    deliver = MaildirDelivery(tmp_path / "mail", hostname="mx.here.example")

    async def run() -> None:
        await asyncio.gather(*(deliver(accepted("bob@here.example", "eve@here.example")) for _ in range(30)))

    asyncio.run(run())
    box = mailbox.Maildir(tmp_path / "mail", create=False)
    assert len(box) == 30
    file = next((tmp_path / "mail" / "new").iterdir())
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_bytes() == (
        b"Return-Path: <ann@good.example>\nDelivered-To: bob@here.example\nDelivered-To: eve@here.example\n"
        + CONTENT.replace(b"\r\n", b"\n")
    )
    assert list((tmp_path / "mail" / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    "url", ["", "smtp:", "smtp://", "smtp:///x", "http://x", "maildir:", "maildir://host/x", "lmtp:", "smtp://h:99999"]
)
def test_urls_that_say_nothing(url: str) -> None:
    with pytest.raises(ValueError, match=r"smtp|maildir|[Pp]ort"):
        open_delivery(url)


@pytest.mark.server
def test_postfix_takes_every_octet() -> None:
    from tests.postfix import Postfix

    with Postfix("127.0.0.1", {"smtpd_recipient_restrictions": "permit", "smtputf8_enable": "no"}) as mta:
        deliver = SmtpDelivery("127.0.0.1", mta.port, hostname="mx.here.example")
        assert asyncio.run(deliver(accepted(mta.mailbox))) is None
        assert str(asyncio.run(deliver(accepted("nobody@elsewhere.example")))).startswith("5")
        (stored,) = mta.messages(1)
    # Postfix stores the lines of a Unix file, and completes the header.
    assert stored.partition(b"\n\n")[2] == CONTENT.partition(b"\r\n\r\n")[2].replace(b"\r\n", b"\n")
