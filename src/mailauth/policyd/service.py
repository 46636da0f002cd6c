"""`PolicyService`: the restrictions of an `Authenticator` as answers to Postfix.

One session for each delivery attempt (`instance`), so that what was found is not asked again at each RCPT. Postfix asks
at RCPT; with the service in other lists of restrictions, too, it is asked in their phases.
"""

# SECURITY: a client decides how many mails are begun, what they name, and how long its name servers take. Mails are
# bounded in number and in octets, each request in time, and a request that waits delays nobody else's.

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network

from mailauth.aio import Authenticator, Session
from mailauth.greylist import Action as GreylistAction
from mailauth.greylist import Decision as GreylistDecision
from mailauth.greylist import Reason as GreylistReason
from mailauth.mail.text import printable
from mailauth.plan import IPAddress
from mailauth.policyd.protocol import ProtocolError, Request, RequestParser, encode_action
from mailauth.policyd.settings import PolicyField, PolicySettings, read_whitelists
from mailauth.spf import received_spf
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
MAIL_OCTETS = 4096
"""Of the names and addresses of one mail: `max_mails` times as much is kept of all."""
MAX_RECIPIENTS = 1000
"""Of one mail; Postfix takes as many (smtpd_recipient_limit). With more of them it is asked anew."""
MAX_FIELD_OCTETS = 998
"""RFC 5322 section 2.1.1, for a field that is one line."""
DUNNO = "DUNNO"
_CONNECT, _HELO, _MAIL, _RCPT = range(4)
_PHASES = {
    "CONNECT": _CONNECT,
    "HELO": _HELO,
    "EHLO": _HELO,
    "MAIL": _MAIL,
    "RCPT": _RCPT,
    "DATA": 4,
    "END-OF-MESSAGE": 5,
}


class _Mail:
    """One delivery attempt: its session, how far it has come, and the fields that are still to be prepended."""

    def __init__(self, session: Session, fields: Sequence[PolicyField]) -> None:
        self.session = session
        self.lock = asyncio.Lock()
        self.phase = -1  # the last one that the session has seen, _MAIL at most
        self.helo = self.sender = ""  # as the session saw them
        self.early = NOTHING  # what was decided before RCPT
        self.answers: dict[str, Decision] = {}  # to each recipient
        self.fields = list(fields)
        self.octets = 0

    def continues(self, ip: IPAddress, request: Request) -> bool:
        """Whether the request is about this mail: MAIL may come again with another sender, once it was refused."""
        return (
            self.session.transaction.ip == ip
            and (self.phase < _HELO or self.helo == request.helo)
            and (self.phase < _MAIL or self.sender == request.sender)
            and len(self.answers) < MAX_RECIPIENTS
        )


class PolicyService:
    """Answers policy requests. `authenticator`, `settings` and `networks` may be replaced at any time.

    Mails that have begun keep their authenticator. New settings have their white lists read anew; `OSError` of a file
    that cannot be read leaves all as it was. Clients in `networks`, and those that proved an identity (SASL), are not
    judged: DUNNO. `count` is called with the first word of each action, and with "failed" where something of ours
    failed.
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
        self._mails: OrderedDict[str, _Mail] = OrderedDict()  # the one that was asked about last at the end
        self._octets = 0  # of all of them
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
        except ConnectionError as error:
            # Postfix has gone, and asks again on another connection.
            _log.debug("connection lost: %s", error)
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
            action = self._failed(request, error)
            if not action:
                return None
        self.count(action.split(" ", 1)[0])
        return encode_action(action)

    def _failed(self, request: Request, error: Exception) -> str:
        """The configured action; "": close the connection."""
        self.count("failed")
        late = isinstance(error, TimeoutError)
        words = f"not within {self.settings.time_limit:g} s" if late else str(error) or type(error).__name__
        mail = printable(request.queue_id, 100) or "NOQUEUE"
        _log.error("%s: a request could not be answered: %s", mail, words, exc_info=None if late else error)
        if self.settings.on_error == "disconnect":
            return ""
        return DUNNO if self.settings.on_error == "dunno" else _DEFER

    async def action(self, request: Request) -> str:
        """The action for a request, in Postfix's words (access(5))."""
        ip = request.ip
        if ip is None or request.authenticated is not None or self._is_ours(ip):
            return DUNNO
        phase = _PHASES.get(request.state)
        if phase is None:
            return DUNNO  # VRFY, ETRN, and what later versions ask
        mail = self._mail_of(request, ip)
        async with mail.lock:
            if request.queue_id:
                mail.session.transaction.id = request.queue_id
            decision = await self._judge(mail, request, phase)
            if decision.reply is not None:
                return _refusal(decision)
            if self.settings.ok and decision.action is Action.PERMIT:
                return "OK"
            if mail.fields and request.state in ("RCPT", "DATA"):
                field = self._next_field(mail, request)
                if field is not None:
                    return f"PREPEND {field}"
            return DUNNO

    def _is_ours(self, ip: IPAddress) -> bool:
        return any(ip in network for network in self.networks if network.version == ip.version)

    def _mail_of(self, request: Request, ip: IPAddress) -> _Mail:
        """The mail that the request is about; without an instance each request is one of its own."""
        instance = request.instance
        mail = self._mails.get(instance)
        if mail is None or not mail.continues(ip, request):
            mail = _Mail(self.authenticator.session(ip, id=request.queue_id), self.settings.fields)
            if instance:
                self._forget(instance)
                self._mails[instance] = mail
        else:
            self._mails.move_to_end(instance)
        if instance:
            octets = len(instance) + len(request.helo) + len(request.sender) + len(request.recipient)
            mail.octets += octets
            self._octets += octets
            limit = self.settings.max_mails
            while len(self._mails) > limit or self._octets > limit * MAIL_OCTETS:
                self._forget(next(iter(self._mails)))
        return mail

    def _forget(self, instance: str) -> None:
        mail = self._mails.pop(instance, None)
        if mail is not None:
            self._octets -= mail.octets

    async def _judge(self, mail: _Mail, request: Request, phase: int) -> Decision:
        """Bring the session up to the phase, and return what is decided there."""
        session = mail.session
        while mail.phase < phase < _RCPT and not mail.early.refused:
            step = mail.phase + 1
            if step == _CONNECT:
                mail.early = await session.connect()
            elif step == _HELO and request.helo:
                mail.early = await session.helo(request.helo)
            elif step == _MAIL:
                mail.early = await session.mail(request.sender)
            mail.phase, mail.helo, mail.sender = step, request.helo, request.sender
        if mail.early.refused or phase < _RCPT:
            return mail.early
        recipient = request.recipient
        decision = mail.answers.get(recipient)
        if decision is None:
            if phase > _RCPT and mail.answers:
                # Asked at RCPT already, and nothing new is known: the message itself does not come here.
                return NOTHING
            if mail.phase < _MAIL:
                session.begin(request.helo or None, request.sender)
                mail.phase, mail.helo, mail.sender = _MAIL, request.helo, request.sender
            self._exempt(session, request)
            decision = mail.answers[recipient] = await session.rcpt(recipient)
        return decision

    def _exempt(self, session: Session, request: Request) -> None:
        """Leave out greylisting, and nothing else, for whom a white list names."""
        recipient, transaction = bare_address(request.recipient), session.transaction
        # Postfix's client_name is "unknown" unless the address has the name and the name the address.
        exemption = self._whitelists.exemption(transaction.ip, request.get("client_name"), recipient)
        if exemption is None and not recipient:
            # Of several recipients behind RCPT there is no triplet.
            exemption = GreylistReason.OFF, "no recipient"
        if exemption is not None:
            reason, entry = exemption
            transaction.greylisted[recipient] = GreylistDecision(GreylistAction.ACCEPT, reason, note=entry)

    def _next_field(self, mail: _Mail, request: Request) -> str | None:
        """The next field that this message is to get, on one line."""
        for name in mail.fields:
            text = " ".join(self._field(name, mail.session, request).split())
            if not text:
                continue  # it may be known with another recipient
            mail.fields.remove(name)
            if len(text.encode("utf-8", "replace")) <= MAX_FIELD_OCTETS:
                return text
            _log.warning("%s: left out, since it is too long for a line: %s", printable(request.queue_id, 100), name)
            break
        return None

    def _field(self, name: PolicyField, session: Session, request: Request) -> str:
        transaction, hostname = session.transaction, self.authenticator.policy.hostname
        if name == "received-spf":
            return "" if transaction.spf is None else received_spf(transaction.spf, receiver=hostname)
        if name == "x-greylist":
            delayed = transaction.greylisted.get(bare_address(request.recipient))
            return "" if delayed is None else (delayed.header_field(hostname) or b"").decode("ascii")
        return session.report().authentication_results.decode("utf-8")


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


_DEFER = "DEFER_IF_PERMIT 4.3.0 Temporary local problem; please try again later"


def _refusal(decision: Decision) -> str:
    """A refusal in Postfix's words. What is deferred must not hide a rejection behind it (POSTFIX: DEFER_IF_PERMIT)."""
    assert decision.reply is not None
    text = f"{decision.reply.enhanced} {decision.reply.text}"
    return f"DEFER_IF_PERMIT {text}" if decision.reply.code < 500 else f"{decision.reply.code} {text}"
