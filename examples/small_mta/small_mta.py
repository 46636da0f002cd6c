"""A small mail server on plain asyncio: it speaks SMTP, lets mailauth decide, and keeps what it accepts.

``python small_mta.py HOSTNAME PORT DOMAIN ...`` receives for the domains into ./mail. It is here for its tests,
test_small_mta.py: they show how mail software is tested with `mailauth.testing`.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mailauth.aio import Authenticator, Greylist, Session
from mailauth.authres import remove_forged
from mailauth.restrictions import Restrictions, check_dmarc, check_spf, greylist, reject_rbl, reject_unauth_destination

MAX_LINE = 4096  # RFC 5321 section 4.5.3.1 asks for 512 octets of command and 1000 of text
MAX_MESSAGE = 10 << 20
PATH = re.compile(r"(?i)(?:FROM|TO):[ ]?<([^<>\x00-\x20\x7f]*)>(?:[ ].*)?")  # RFC 5321 section 4.1.2, without quotes


@dataclass(frozen=True)
class Mail:
    """A message that was accepted, with our Authentication-Results on top."""

    mail_from: str
    rcpt_to: tuple[str, ...]
    content: bytes


Keep = Callable[[Mail], Awaitable[None]]


def restrictions(domains: Iterable[str], block_lists: Iterable[str] = ()) -> Restrictions:
    """What is refused: foreign recipients, listed clients, SPF and DMARC failures; new triplets have to come again."""
    recipient = [reject_unauth_destination(*domains), *map(reject_rbl, block_lists), check_spf(), greylist()]
    return Restrictions(recipient=recipient, data=[check_dmarc(reject=True, on_dns_error="defer")])


class SmallMta:
    """The server. `trusted` are addresses that may say who their client is (XCLIENT, as a proxy does)."""

    def __init__(self, authenticator: Authenticator, keep: Keep, trusted: Iterable[str] = ()) -> None:
        self.authenticator, self.keep, self.trusted = authenticator, keep, frozenset(trusted)

    async def start(self, address: str, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._serve, address, port, limit=MAX_LINE)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")[0]
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await Connection(self, reader, writer, peer).run()
        with suppress(ConnectionError):
            writer.close()
            await writer.wait_closed()


class Connection:
    """One client."""

    def __init__(self, mta: SmallMta, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str) -> None:
        self.mta, self.reader, self.writer, self.peer = mta, reader, writer, peer
        self.hostname = mta.authenticator.policy.hostname
        self.session: Session = mta.authenticator.session(peer)
        self.greeted = False
        self.mail_from: str | None = None
        self.rcpt_to: list[str] = []

    async def run(self) -> None:
        await self.say(f"220 {self.hostname} ESMTP")
        while True:
            try:
                line = await self.reader.readuntil(b"\n")
            except asyncio.LimitOverrunError:
                await self.say("500 5.5.2 Line too long")
                return
            verb, _, rest = line.decode("latin-1").rstrip("\r\n").partition(" ")
            if verb.upper() == "QUIT":
                await self.say("221 2.0.0 Bye")
                return
            command = getattr(self, f"do_{verb.lower()}", None) if verb.isalpha() and len(verb) < 10 else None
            await self.say(await command(rest) if command else "500 5.5.2 Command unknown")

    async def say(self, reply: str) -> None:
        self.writer.write(reply.encode("ascii", "replace") + b"\r\n")
        await self.writer.drain()

    async def do_xclient(self, rest: str) -> str:
        client = re.fullmatch(r"(?i)ADDR=([0-9a-f.:]+)", rest)
        if self.peer not in self.mta.trusted or client is None:
            return "550 5.7.0 Not for you"
        try:
            self.session = self.mta.authenticator.session(client[1])
        except ValueError:
            return "501 5.5.4 No address"
        self.reset()
        return f"220 {self.hostname} ESMTP"

    async def do_ehlo(self, rest: str) -> str:
        self.reset()
        self.greeted = True
        decision = await self.session.helo(rest.strip())
        return str(decision.reply) if decision.reply else f"250 {self.hostname}"

    do_helo = do_ehlo

    async def do_mail(self, rest: str) -> str:
        path = PATH.fullmatch(rest)
        if path is None or not self.greeted or self.mail_from is not None:
            return "503 5.5.1 Not now" if path else "501 5.1.7 Bad sender"
        decision = await self.session.mail(path[1])
        if decision.reply:
            return str(decision.reply)
        self.mail_from = path[1]
        return "250 2.1.0 OK"

    async def do_rcpt(self, rest: str) -> str:
        path = PATH.fullmatch(rest)
        if path is None or self.mail_from is None or len(self.rcpt_to) >= 100:
            return "503 5.5.1 Not now" if path else "501 5.1.3 Bad recipient"
        decision = await self.session.rcpt(path[1])
        if decision.reply:
            return str(decision.reply)
        self.rcpt_to.append(path[1])
        return "250 2.1.5 OK"

    async def do_data(self, rest: str) -> str:
        if not self.rcpt_to or self.mail_from is None:
            return "503 5.5.1 No recipients"
        await self.say("354 Go on")
        content = await self._message()
        if content is None:
            self.reset()
            return "552 5.3.4 Message too large"
        mail_from, rcpt_to = self.mail_from, tuple(self.rcpt_to)
        decision = await self.session.data(content)
        if not decision.reply:
            clean = remove_forged(content, self.hostname).message
            fields = self.session.report().authentication_results
            await self.mta.keep(Mail(mail_from, rcpt_to, fields + clean))
        self.reset()
        return str(decision.reply or "250 2.0.0 Kept")

    async def _message(self) -> bytes | None:
        """The message, dots undone (RFC 5321 section 4.5.2); None if it is too large. A line may have any length."""
        content, size, begins = bytearray(), 0, True
        while True:
            try:
                piece = await self.reader.readuntil(b"\r\n")
            except asyncio.LimitOverrunError as error:
                piece = await self.reader.readexactly(max(1, error.consumed))
            if begins and piece == b".\r\n":
                return bytes(content) if size <= MAX_MESSAGE else None
            piece, begins = piece[1:] if begins and piece[:1] == b"." else piece, piece.endswith(b"\r\n")
            size += len(piece)
            if size <= MAX_MESSAGE:
                content += piece

    async def do_rset(self, rest: str) -> str:
        self.reset()
        return "250 2.0.0 OK"

    async def do_noop(self, rest: str) -> str:
        return "250 2.0.0 OK"

    def reset(self) -> None:
        self.session.reset()
        self.mail_from, self.rcpt_to = None, []


async def main(hostname: str, port: str, *domains: str) -> None:
    folder, count = Path("mail"), 0
    folder.mkdir(exist_ok=True)

    async def keep(mail: Mail) -> None:
        nonlocal count
        count += 1
        (folder / f"{count:06}.eml").write_bytes(mail.content)

    authenticator = Authenticator(hostname, restrictions=restrictions(domains), greylist=Greylist("sqlite:greylist.db"))
    server = await SmallMta(authenticator, keep).start("", int(port))
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
