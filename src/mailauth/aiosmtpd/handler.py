"""`MailauthHandler`: an aiosmtpd handler that authenticates mail and hands it on.

From aiosmtpd's hooks to the phases of a mailauth session, and from its decisions to replies. What is decided is the
session's; what only the protocol object can see or do is protocol.py's.
"""

# SECURITY: the peer calls the hooks in any order that SMTP commands can come in, as often as it likes, and may be gone
# at any time. So a phase is passed to the session only where the session stands ready for it, whatever aiosmtpd
# believes; what raises is logged and answered 451, with nothing of it in the reply.

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakKeyDictionary

from mailauth import authres
from mailauth.aiosmtpd.connections import Connections
from mailauth.aiosmtpd.content import bare_line_end
from mailauth.aiosmtpd.fields import Transaction, protocol_word, trace_fields
from mailauth.aiosmtpd.paths import parse_path
from mailauth.aiosmtpd.replies import reply_line
from mailauth.config.schema import DEFAULT_FIELDS, TraceField
from mailauth.mail import names
from mailauth.mail.header import split
from mailauth.mail.reply import Reply
from mailauth.plan import IPAddress
from mailauth.transaction.report import Report

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope
    from aiosmtpd.smtp import Session as SmtpSession

    from mailauth.aio import Authenticator, Session

_log = logging.getLogger("mailauth.aiosmtpd")

LOCAL_ERROR = Reply(451, "4.3.0", "Temporary local problem; please try again later")
MAX_HOPS = 100
"""RFC 5321 section 6.3: a message with more Received fields than this goes round in circles."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of a server. Times are in seconds; the defaults are those of ``[listen]`` and ``[deadlines]``.

    `max_junk_commands` bounds commands that bring no message nearer (NOOP, RSET, VRFY, EXPN, HELP, HELO, EHLO), counted
    since the last message that was accepted, as Postfix's smtpd_junk_command_limit does.
    """

    max_recipients: int = 1000  # of one message; the next is answered 452 (RFC 5321 section 4.5.3.1.10)
    max_connections: int = 500  # of all clients at the same time; the next is answered 421
    max_connections_per_client: int = 50  # of one address at the same time; our own clients have no such bound
    max_errors: int = 100  # replies of 4xx and 5xx in one session, which the last of them ends
    max_junk_commands: int = 100
    data: float = 1800.0  # from the reply to DATA to the last octet of the message
    delivery: float = 300.0  # for handing one message on; then the client is answered 451


@dataclass(frozen=True, slots=True)
class Accepted:
    """A message that was accepted, as it is handed on.

    `content` has our fields on top, forged ones of our name removed, and every other octet as it came. `mail_from` is
    ``""`` for the null sender. `trusted` says that the client is one of our own; such mail was signed where a key
    fits. `id` stands in Received and in the log.
    """

    id: str
    content: bytes
    mail_from: str
    rcpt_to: tuple[str, ...]  # those that were accepted
    report: Report
    smtputf8: bool = False  # MAIL said SMTPUTF8, and so must whoever hands it on (RFC 6531 section 3.5)
    trusted: bool = False


Deliver: TypeAlias = Callable[[Accepted], Awaitable[Reply | str | None]]
"""Takes charge of a message: returns None or a reply, or raises (then the client gets a temporary error)."""
Sign: TypeAlias = Callable[[bytes, float], Awaitable[bytes]]
"""The DKIM-Signature fields for a message, which may be empty; the second argument is the time."""


class MailauthHandler:
    """Joins an `mailauth.aio.Authenticator` to an aiosmtpd server. One handler serves all connections.

    `deliver` is awaited with each message that is accepted. `networks` are our own clients: their mail, and that of
    clients that authenticated, is signed by `sign`, and gets only those of `fields` that do not judge a stranger.
    `refuse_bare_line_ends` refuses messages with a CR or LF that is not part of a CRLF (RFC 5321 section 2.3.8).

    Works with any aiosmtpd server; `MailauthServer` adds what needs the protocol object: judging pipelining, reading
    large messages in bounded memory, time limits, the bounds of `limits`.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        deliver: Deliver,
        *,
        networks: Iterable[IPv4Network | IPv6Network] = (),
        sign: Sign | None = None,
        fields: Iterable[TraceField] = DEFAULT_FIELDS,
        limits: Limits | None = None,
        refuse_bare_line_ends: bool = True,
    ) -> None:
        self.authenticator = authenticator
        self.deliver = deliver
        self.networks = tuple(networks)
        self.sign = sign
        self.fields = tuple(fields)
        self.limits = limits or Limits()
        self.refuse_bare_line_ends = refuse_bare_line_ends
        self.connections = Connections(self.limits.max_connections, self.limits.max_connections_per_client)
        """How many there are, of all servers that have this handler."""
        self._sessions: WeakKeyDictionary[SmtpSession, Session] = WeakKeyDictionary()

    def client_ip(self, session: SmtpSession) -> IPAddress:
        """The client's address. Raises `ValueError` where there is none (a unix socket): override it there."""
        source = getattr(session.proxy_data, "src_addr", None)  # of the PROXY protocol
        if source is not None:
            return names.parse_ip(str(source))
        peer: Any = session.peer  # aiosmtpd calls it a string; of a socket it is a tuple
        return names.parse_ip(str(peer[0] if isinstance(peer, tuple) else peer))

    def is_ours(self, ip: IPAddress) -> bool:
        """Whether the address is in one of our networks."""
        return any(ip.version == network.version and ip in network for network in self.networks)

    def session_of(self, session: SmtpSession) -> Session:
        """The authenticator's session of this connection; it knows by now who has authenticated."""
        found = self._sessions.get(session)
        if found is None:
            found = self._sessions[session] = self.authenticator.session(self.client_ip(session))
        if session.authenticated and found.transaction.authenticated is None:
            found.authenticate(_identity(session))
        return found

    # --- aiosmtpd's hooks -------------------------------------------------------------------------------------

    async def handle_HELO(self, server: SMTP, session: SmtpSession, envelope: Envelope, hostname: str) -> str:
        """HELO."""
        refusal = await self._hello(server, session, hostname)
        if refusal is None:
            return f"250 {server.hostname}"
        return refusal

    async def handle_EHLO(
        self, server: SMTP, session: SmtpSession, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        """EHLO: the extensions, or a refusal."""
        refusal = await self._hello(server, session, hostname)
        if refusal is not None:
            return [refusal]
        extensions = [f"250-{word}" for word in getattr(server, "extensions", ())]
        offered = [line for line in responses[:-1] if line.strip() != "250-AUTH"]  # without mechanisms
        return [*offered, *extensions, responses[-1]]

    async def _hello(self, server: SMTP, session: SmtpSession, hostname: str) -> str | None:
        ours = self.session_of(session)
        ours.transaction.id = ""
        decision = await ours.helo(hostname)
        _note_pipelining(server, ours)
        if decision.reply is not None:
            session.host_name = None
            return _spoken(server, ours, decision.reply)
        session.host_name = hostname
        return None

    async def handle_MAIL(
        self, server: SMTP, session: SmtpSession, envelope: Envelope, address: str, mail_options: list[str]
    ) -> str:
        """MAIL FROM."""
        refused = _address_error(address, envelope)
        if refused is not None:
            return refused
        ours = self.session_of(session)
        ours.reset()  # whatever came before: a MAIL that was refused, a message that raised
        ours.transaction.id = secrets.token_hex(8)
        _note_pipelining(server, ours)
        decision = await ours.mail(address)
        if decision.reply is not None:
            refusal = _spoken(server, ours, decision.reply)
            ours.reset()
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(mail_options)
        return "250 2.1.0 Sender OK"

    async def handle_RCPT(
        self, server: SMTP, session: SmtpSession, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        """RCPT TO, for each recipient."""
        ours = self.session_of(session)
        if ours.transaction.mail_from is None:
            return "503 5.5.1 Need MAIL first"
        if not address.strip("<>"):
            return "501 5.1.3 A recipient is needed"
        if len(envelope.rcpt_tos) >= self.limits.max_recipients:
            return "452 4.5.3 Too many recipients"  # RFC 5321 section 4.5.3.1.10
        refused = _address_error(address, envelope)
        if refused is not None:
            return refused
        _note_pipelining(server, ours)
        decision = await ours.rcpt(address)
        if decision.reply is not None:
            return _spoken(server, ours, decision.reply)
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 Recipient OK"

    async def handle_RSET(self, server: SMTP, session: SmtpSession, envelope: Envelope) -> str:
        """RSET."""
        self.session_of(session).reset()
        return "250 2.0.0 OK"

    async def handle_DATA(self, server: SMTP, session: SmtpSession, envelope: Envelope) -> str:
        """The content of a message: judged, and handed on if it is accepted."""
        ours = self.session_of(session)
        try:
            return await self._message(server, session, envelope, ours)
        except Exception as error:  # noqa: BLE001  the peer gets an answer whatever happens, and the log the traceback
            return await self.handle_exception(error)
        finally:
            ours.reset()

    async def handle_exception(self, error: Exception) -> str:
        """Something of ours failed: the log gets the traceback, the client 451."""
        _log.error("an SMTP command failed: %s", type(error).__name__, exc_info=error)
        return str(LOCAL_ERROR)

    # --- a message --------------------------------------------------------------------------------------------

    async def _message(self, server: SMTP, session: SmtpSession, envelope: Envelope, ours: Session) -> str:
        content = envelope.original_content or b""
        if not ours.transaction.recipients:
            return "503 5.5.1 Need RCPT first"
        bare = bare_line_end(content) if self.refuse_bare_line_ends else None
        if bare is not None:
            return f"550 5.5.2 Bare <{bare}> received: lines end in CRLF"
        if len(split(content).header.all("received")) > MAX_HOPS:
            return "554 5.4.6 Too many hops: this message goes round in circles"
        _note_pipelining(server, ours)
        decision = await ours.data(content)
        if decision.reply is not None:
            return _spoken(server, ours, decision.reply)
        message = await self._accepted(session, envelope, ours, content)
        async with asyncio.timeout(self.limits.delivery):
            answer = await self.deliver(message)
        reply = answer or Reply(250, "2.0.0", f"OK, received as {message.id}")
        _log.info("%s: from=%r to=%r: %s", message.id, message.mail_from, message.rcpt_to, reply_line(reply).decode())
        return str(reply)

    async def _accepted(self, session: SmtpSession, envelope: Envelope, ours: Session, content: bytes) -> Accepted:
        report, tx = ours.report(), ours.transaction
        trusted = tx.authenticated is not None or self.is_ours(tx.ip)
        protocol = protocol_word(
            extended=session.extended_smtp,
            tls=session.ssl is not None,
            authenticated=tx.authenticated is not None,
            utf8=envelope.smtp_utf8,
        )
        now = self.authenticator.clock()
        transaction = Transaction(protocol, tx.id, now)
        content = authres.remove_forged(content, self.authenticator.policy.own_ids).message
        signatures = await self.sign(content, now) if self.sign is not None and trusted else b""
        # The fields say who a client is and whether it may send; of our own clients the world should not learn that.
        wanted = tuple(name for name in self.fields if name == "received") if trusted else self.fields
        return Accepted(
            id=tx.id,
            content=trace_fields(report, transaction, wanted) + signatures + content,
            mail_from=report.mail_from or "",
            rcpt_to=report.rcpt_to,
            report=report,
            smtputf8=envelope.smtp_utf8,
            trusted=trusted,
        )


def _spoken(server: SMTP, ours: Session, reply: Reply) -> str:
    """The line of a refusal; in UTF-8 only to a client that used it itself."""
    tx = ours.transaction
    used_utf8 = not ((tx.mail_from or "").isascii() and (tx.recipient or "").isascii())
    return reply_line(reply, utf8=server.enable_SMTPUTF8 and used_utf8).decode("utf-8")


def _note_pipelining(server: SMTP, ours: Session) -> None:
    if getattr(server, "talked_too_early", False):
        ours.note_pipelining()


def _address_error(address: str, envelope: Envelope) -> str | None:
    """RFC 6531 section 3.5: an address that is not ASCII needs SMTPUTF8 at MAIL.

    A text that is not an address is refused here, too: other servers read paths in their own way, controls and all.
    """
    path = parse_path(address if address == "<>" else f"<{address}>")
    if path is None or path.parameters or path.address != address.removeprefix("<>"):
        return "501 5.1.3 Bad address syntax"
    if address.isascii() or envelope.smtp_utf8:
        return None
    return "553 5.6.7 The address is not ASCII; MAIL did not say SMTPUTF8"


def _identity(session: SmtpSession) -> str:
    """The name that AUTH proved; authenticators leave it in several places."""
    data: Any = session.auth_data
    login = getattr(data, "login", data)
    if isinstance(login, bytes):
        return login.decode("utf-8", "replace")
    return login if isinstance(login, str) else "authenticated"
