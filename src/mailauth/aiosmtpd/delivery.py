"""Deliveries for `MailauthHandler`: `SmtpDelivery`, `LmtpDelivery`, `MaildirDelivery`, `open_delivery`.

Handing an accepted message on: to another server by SMTP or LMTP, or into a Maildir. Blocking work is done in threads
of its own.
"""

# SECURITY: addresses have passed parse_path (no controls). A site may take content with bare line ends; none leaves
# here over the network, where another reader could take one for the end of the message.
# A message is never half delivered and then refused for good: either the next server takes it for all recipients, or
# the client gets a temporary error.

from __future__ import annotations

import asyncio
import itertools
import os
import re
import secrets
import smtplib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias

from mailauth.aiosmtpd.content import bare_line_end
from mailauth.aiosmtpd.handler import Accepted, Deliver
from mailauth.config import parse_delivery_url
from mailauth.mail.reply import Reply

__all__ = ["Deliver", "LmtpDelivery", "MaildirDelivery", "NotDelivered", "SmtpDelivery", "open_delivery"]

MAX_AT_ONCE = 20
"""Messages that are handed on at the same time by one delivery; Postfix's default_destination_concurrency_limit."""
TIME_LIMIT = 120.0
"""Seconds for one step of the dialogue with the next server; the handler's own limit holds for all of it."""

Answer: TypeAlias = tuple[int, bytes]


class NotDelivered(Exception):
    """The next server did not take the message; `reply` is the reply to the client."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply))
        self.reply = reply


def open_delivery(url: str, *, hostname: str = "localhost") -> SmtpDelivery | LmtpDelivery | MaildirDelivery:
    """The delivery for ``smtp://host:port``, ``lmtp://host:port``, ``lmtp:///socket`` or ``maildir:/folder``.

    `hostname` is the name of this server. Raises `ValueError` for another URL.
    """
    where = parse_delivery_url(url)
    if where.scheme == "maildir":
        return MaildirDelivery(where.path, hostname=hostname)
    if where.scheme == "smtp":
        return SmtpDelivery(where.host, where.port, hostname=hostname)
    return LmtpDelivery(where.host or where.path, where.port, hostname=hostname)


class _Threads:
    """Calls `deliver` in threads, and turns what it raises into a reply."""

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(MAX_AT_ONCE, thread_name_prefix=name)

    async def __call__(self, message: Accepted) -> Reply | None:
        """Deliver the message; the reply is for the client."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, self.deliver, message)
        except NotDelivered as error:
            return error.reply

    def deliver(self, message: Accepted) -> Reply | None:
        """Deliver the message, in the calling thread."""
        raise NotImplementedError


class SmtpDelivery(_Threads):
    """Hands messages on to the SMTP server at `host` and `port`, under this server's name `hostname`.

    A recipient that the next server refuses makes the whole message refused, before any content is sent: so nobody gets
    it twice, and the client's side tells the sender.
    """

    protocol: type[smtplib.SMTP] = smtplib.SMTP  # the client that speaks to the next server

    def __init__(
        self, host: str, port: int = 25, *, hostname: str = "localhost", time_limit: float = TIME_LIMIT
    ) -> None:
        super().__init__("mailauth-delivery")
        self._host = host
        self._port = port
        self._hostname = hostname
        self._time_limit = time_limit

    def deliver(self, message: Accepted) -> Reply | None:
        """Deliver the message, in the calling thread. Raises `NotDelivered`."""
        try:
            with self.protocol(self._host, self._port, self._hostname, timeout=self._time_limit) as server:
                _require(server.ehlo())
                server.command_encoding = "utf-8"
                _require(server.docmd("MAIL", f"FROM:<{message.mail_from}>{_options(server, message)}"))
                for recipient in message.rcpt_to:
                    _require(server.docmd("RCPT", f"TO:<{recipient}>"))
                for answer in self._send(server, message):
                    _require(answer)
        except (OSError, smtplib.SMTPException) as error:
            words = type(error).__name__ if isinstance(error, smtplib.SMTPException) else error.strerror
            raise NotDelivered(Reply(451, "4.4.1", f"The next server does not answer: {words}")) from error
        return None

    def _send(self, server: smtplib.SMTP, message: Accepted) -> list[Answer]:
        return [_data(server, message)]


class LmtpDelivery(SmtpDelivery):
    """Hands messages on by LMTP (RFC 2033) to `host` and `port`, or to the unix socket whose path is `host`.

    LMTP answers for each recipient after the content. If one of them is refused then, the client gets that reply;
    others may have the message, and get it once more if the client comes back.
    """

    protocol = smtplib.LMTP  # it says LHLO, and connects to unix sockets, too

    def _send(self, server: smtplib.SMTP, message: Accepted) -> list[Answer]:
        # RFC 2033 section 4.2: one reply for each recipient that was accepted.
        first = _data(server, message)
        return [first, *(server.getreply() for _ in message.rcpt_to[1:])]


_ANY_LINE_END = re.compile(rb"\r\n|\r|\n")


def _data(server: smtplib.SMTP, message: Accepted) -> Answer:
    """DATA. Raises `NotDelivered` where the next server does not even want to see the content."""
    # RFC 5321 section 2.3.8: CR and LF MUST NOT be transmitted but as CRLF.
    content = message.content if bare_line_end(message.content) is None else _ANY_LINE_END.sub(b"\r\n", message.content)
    try:
        return server.data(content)
    except smtplib.SMTPDataError as error:
        _require((error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""))
        raise


def _options(server: smtplib.SMTP, message: Accepted) -> str:
    """The parameters of MAIL. Raises `NotDelivered` where the next server cannot take what it would have to."""
    options = f" SIZE={len(message.content)}" if server.has_extn("size") else ""
    if message.smtputf8:
        if not server.has_extn("smtputf8"):
            # RFC 6531 section 3.5.
            raise NotDelivered(Reply(550, "5.6.7", "The next server does not take internationalized mail"))
        options += " SMTPUTF8"
    if not message.content.isascii() and server.has_extn("8bitmime"):
        options += " BODY=8BITMIME"
    return options


# RFC 3463 section 2: numbers of three digits at most, without leading zeros.
_ENHANCED = re.compile(r"([245]\.(?:0|[1-9][0-9]{0,2})\.(?:0|[1-9][0-9]{0,2})) ", re.ASCII)


def _require(answer: Answer) -> None:
    """Raise `NotDelivered` for a refusal; its text goes on to the client, cleaned where replies are sent."""
    code, octets = answer
    if 200 <= code < 400:
        return
    permanent = 500 <= code < 600
    text = " ".join(octets.decode("utf-8", "replace").split())
    found = _ENHANCED.match(text)
    fits = found is not None and found[1][0] == ("5" if permanent else "4")
    enhanced = found[1] if found is not None and fits else "5.0.0" if permanent else "4.0.0"
    words = text[found.end() :] if found is not None else text
    raise NotDelivered(Reply(550 if permanent else 451, enhanced, f"The next server says: {code} {words}"))


class MaildirDelivery(_Threads):
    """Writes each message as one file into the Maildir at `folder`, which is made if it is not there.

    Lines end in LF there, as everything on such systems expects. Return-Path and Delivered-To are put on top (RFC 5321
    section 4.4). The file is on the disk before the client gets the reply.
    """

    _counter = itertools.count()

    def __init__(self, folder: str | os.PathLike[str], *, hostname: str = "localhost") -> None:
        super().__init__("mailauth-maildir")
        self._folder = Path(folder)
        self._host = hostname.replace("/", "_").replace(":", "_")

    def deliver(self, message: Accepted) -> None:
        """Write the message, in the calling thread. Raises `OSError`."""
        for name in ("tmp", "new", "cur"):
            (self._folder / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{time.time():.6f}.P{os.getpid()}Q{next(self._counter)}R{secrets.token_hex(4)}.{self._host}"
        temporary = self._folder / "tmp" / name
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write((_delivery_fields(message) + message.content).replace(b"\r\n", b"\n"))
                file.flush()
                os.fsync(file.fileno())
            os.rename(temporary, self._folder / "new" / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(self._folder / "new")


def _delivery_fields(message: Accepted) -> bytes:
    lines = [f"Return-Path: <{message.mail_from}>", *(f"Delivered-To: {address}" for address in message.rcpt_to)]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8")


def _sync_folder(folder: Path) -> None:
    """The new name is on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
