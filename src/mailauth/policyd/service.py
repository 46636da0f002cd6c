"""`PolicyService`: the restrictions of an `Authenticator` as answers to Postfix.

One session for each delivery attempt (`instance`), so that what MAIL found is not asked again at each RCPT. Postfix
asks at RCPT; with the service in other lists of restrictions, too, it is asked in their phases.
"""

# SECURITY: a client decides how many mails are begun and how long its name servers take. Mails are bounded in number,
# each request in time, and a request that waits delays nobody else's.

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network

from mailauth.aio import Authenticator, Session
from mailauth.greylist import Action as GreylistAction
from mailauth.greylist import Decision as GreylistDecision
from mailauth.mail.names import parse_ip
from mailauth.plan import IPAddress
from mailauth.policyd.protocol import ProtocolError, Request, RequestParser, encode_action
from mailauth.policyd.settings import PolicySettings, read_whitelists
from mailauth.spf import received_spf
from mailauth.transaction.checks import Transaction
from mailauth.transaction.decision import NOTHING, Action, Decision
from mailauth.transaction.facts import bare_address

_log = logging.getLogger("mailauth.policyd")

READ_OCTETS = 64 * 1024
IDLE_SECONDS = 7200.0
"""How long a connection may say nothing; Postfix closes it after 300 s (smtpd_policy_service_max_idle)."""
WRITE_SECONDS = 30.0
"""How long the other side may leave replies unread."""
FINISH_SECONDS = 0.05
"""At the end: for octets that have come, but have not been read yet."""
DUNNO = "DUNNO"
_PHASES = ("CONNECT", "HELO", "MAIL", "RCPT", "DATA", "END-OF-MESSAGE")


class _Mail:
    """One delivery attempt: its session, how far it has come, and the fields that are still to be prepended."""

    def __init__(self, session: Session, fields: Sequence[str]) -> None:
        self.session = session
        self.lock = asyncio.Lock()
        self.phase = -1  # the last of `_PHASES` that the session has seen
        self.early = NOTHING  # what was decided before RCPT
        self.answers: dict[str, Decision] = {}  # to each recipient
        self.fields = deque(fields)


class PolicyService:
    """Answers policy requests. `authenticator`, `settings` and `networks` may be replaced at any time.

    Mails that have begun keep their authenticator. New settings have their white lists read anew; `OSError` of a file
    that cannot be read leaves all as it was. Clients in `networks`, and those that proved an identity (SASL), are not
    judged: DUNNO. `count` is called with the first word of each action.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        settings: PolicySettings | None = None,
        networks: Sequence[IPv4Network | IPv6Network] = (),
        *,
        count: Callable[[str], object] = lambda what: None,
    ) -> None:
        self.authenticator = authenticator
        self.settings = settings or PolicySettings()
        self.networks: Sequence[IPv4Network | IPv6Network] = tuple(networks)
        self.count = count
        self._mails: OrderedDict[str, _Mail] = OrderedDict()
        self._connections: set[_Connection] = set()
        self._finishing = False

    @property
    def settings(self) -> PolicySettings:
        """What the administrator decided."""
        return self._settings

    @settings.setter
    def settings(self, settings: PolicySettings) -> None:
        self._whitelists, self._settings = read_whitelists(settings), settings

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: many requests, one after another, until the other side closes it."""
        connection = _Connection(self, reader, writer)
        self._connections.add(connection)
        try:
            await connection.serve()
        except ProtocolError as error:
            _log.warning("connection closed: %s", error)
        except ConnectionError:
            pass
        finally:
            self._connections.discard(connection)
            connection.close()

    @property
    def open(self) -> int:
        """The number of connections."""
        return len(self._connections)

    def finish(self) -> None:
        """End each connection as soon as its requests are answered; those without a request at once.

        To be called within the event loop, when no new connections are accepted any more.
        """
        self._finishing = True
        # A request may have come in the same turn of the loop.
        asyncio.get_running_loop().call_later(FINISH_SECONDS, self._finish)

    def _finish(self) -> None:
        for connection in list(self._connections):
            connection.finish()

    async def answer(self, request: Request) -> bytes | None:
        """The reply to a request; None: close the connection. Nothing that it meets is raised."""
        try:
            async with asyncio.timeout(self.settings.time_limit):
                action = await self.action(request)
        except Exception as error:  # noqa: BLE001 - whatever fails here is ours, and the mail must not suffer from it
            words = str(error) or type(error).__name__
            _log.exception("%s: a request could not be answered: %s", request.queue_id or "NOQUEUE", words)
            if self.settings.on_error == "disconnect":
                return None
            action = DUNNO
            if self.settings.on_error == "defer":
                action = "DEFER_IF_PERMIT 4.3.0 Temporary local problem; please try again later"
        self.count(action.split(" ", 1)[0])
        return encode_action(action)

    async def action(self, request: Request) -> str:
        """The action for a request, in Postfix's words (access(5))."""
        ip = request.ip
        if ip is None or request.authenticated is not None or self._is_ours(parse_ip(ip)):
            return DUNNO
        state = "HELO" if request.state == "EHLO" else request.state
        if state not in _PHASES:
            return DUNNO  # VRFY, ETRN, and what later versions ask
        mail = self._mail_of(request, ip)
        async with mail.lock:
            if request.queue_id:
                mail.session.transaction.id = request.queue_id
            decision = await self._judge(mail, request, _PHASES.index(state))
            if decision.reply is not None:
                return _refusal(decision)
            if mail.fields and state in ("RCPT", "DATA"):
                field = self._next_field(mail, request)
                if field is not None:
                    return f"PREPEND {field}"
            return "OK" if self.settings.ok and decision.action is Action.PERMIT else DUNNO

    def _is_ours(self, ip: IPAddress) -> bool:
        return any(ip in network for network in self.networks if network.version == ip.version)

    def _mail_of(self, request: Request, ip: IPAddress) -> _Mail:
        """The mail that the request is about; without an instance each request is one of its own."""
        mail = self._mails.get(request.instance)
        transaction = None if mail is None else mail.session.transaction
        if mail is None or transaction is None or transaction.ip != parse_ip(ip):
            session = self.authenticator.session(ip, id=request.queue_id)
            mail = _Mail(session, self.settings.fields)
            if request.instance:
                self._mails[request.instance] = mail
                if len(self._mails) > self.settings.max_mails:
                    self._mails.popitem(last=False)
        else:
            self._mails.move_to_end(request.instance)
        return mail

    async def _judge(self, mail: _Mail, request: Request, phase: int) -> Decision:
        """Bring the session up to the phase, and return what is decided there."""
        session = mail.session
        for index in range(mail.phase + 1, min(phase, 2) + 1):
            if not mail.early.refused:
                if index == 0:
                    mail.early = await session.connect()
                elif index == 1 and request.helo:
                    mail.early = await session.helo(request.helo)
                elif index == 2:
                    mail.early = await session.mail(request.sender)
                mail.phase = index
        if mail.early.refused or phase < 3:
            return mail.early
        if phase == 3:
            known = mail.answers.get(request.recipient)
            if known is None:
                self._exempt(session.transaction, request)
                known = mail.answers[request.recipient] = await session.rcpt(request.recipient)
            return known
        # Behind RCPT nothing new is known: the message itself does not come here.
        return NOTHING

    def _exempt(self, transaction: Transaction, request: Request) -> None:
        """Leave out greylisting, and nothing else, for whom a white list names."""
        # Postfix's client_name is "unknown" unless the address has the name and the name the address.
        found = self._whitelists.exemption(transaction.ip, request.get("client_name"), request.recipient)
        if found is not None:
            reason, entry = found
            accepted = GreylistDecision(GreylistAction.ACCEPT, reason, note=entry)
            transaction.greylisted[bare_address(request.recipient)] = accepted

    def _next_field(self, mail: _Mail, request: Request) -> str | None:
        """The next field that this message is to get, on one line."""
        transaction, hostname = mail.session.transaction, self.authenticator.policy.hostname
        while mail.fields:
            name, text = mail.fields.popleft(), ""
            if name == "received-spf" and transaction.spf is not None:
                text = received_spf(transaction.spf, receiver=hostname)
            elif name == "x-greylist":
                delayed = transaction.greylisted.get(request.recipient)
                text = "" if delayed is None else (delayed.header_field(hostname) or b"").decode("ascii")
            elif name == "authentication-results":
                text = mail.session.report().authentication_results.decode("utf-8")
            if text:
                return " ".join(text.split())
        return None


class _Connection:
    """One connection on its way."""

    def __init__(self, service: PolicyService, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.service, self.reader, self.writer = service, reader, writer
        self.parser = RequestParser()
        self.busy = False  # a request is being answered
        self.loop = asyncio.get_running_loop()
        self.heard = self.loop.time()
        self.timer = self.loop.call_later(IDLE_SECONDS, self._watch)

    async def serve(self) -> None:
        while data := await self.reader.read(READ_OCTETS):
            self.heard = self.loop.time()
            self.busy = True
            for request in self.parser.feed(data):
                reply = await self.service.answer(request)
                if reply is None:
                    return
                self.writer.write(reply)
                if self.writer.transport.get_write_buffer_size():
                    await self._drain()
            self.busy = False
            if self.service._finishing and self.parser.idle:
                return

    async def _drain(self) -> None:
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                await self.writer.drain()
        except TimeoutError:
            self.writer.transport.abort()
            raise ConnectionError("the replies are not read") from None

    def _watch(self) -> None:
        """End the connection after a long silence; one timer for all reads, since most bring one request."""
        rest = self.heard + IDLE_SECONDS - self.loop.time()
        if rest > 0 or self.busy:
            self.timer = self.loop.call_later(max(rest, 1.0), self._watch)
        else:
            self.writer.close()

    def finish(self) -> None:
        """End the connection, unless there is a request to answer."""
        if not self.busy and self.parser.idle:
            self.writer.close()

    def close(self) -> None:
        """Close the connection. What was written is sent, as long as the other side reads it."""
        self.timer.cancel()
        self.writer.close()
        if self.writer.transport.get_write_buffer_size():
            self.loop.call_later(WRITE_SECONDS, self.writer.transport.abort)


def _refusal(decision: Decision) -> str:
    """A refusal in Postfix's words. What is deferred must not hide a rejection behind it (POSTFIX: DEFER_IF_PERMIT)."""
    assert decision.reply is not None
    text = f"{decision.reply.enhanced} {decision.reply.text}"
    return f"DEFER_IF_PERMIT {text}" if decision.reply.code < 500 else f"{decision.reply.code} {text}"
