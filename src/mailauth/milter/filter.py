"""`MailFilter`: the milter that verifies mail from outside, and signs mail of our own clients.

Which message is verified, which is signed for whom, and what becomes of it. What the checks find is the transaction's,
what is refused the restrictions'; the protocol is protocol.py's.
"""

# SECURITY: header, body, HELO and addresses are the client's. The header is kept (bounded) until the end of the
# message, the body is hashed as it comes and never kept. A message is signed only for a client that is ours and may
# use the domain: by From alone, one customer could sign as another.

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any, ClassVar

from mailauth import authres
from mailauth.aio import Authenticator
from mailauth.dkim import MessageSigner, SigningError, SigningKey, SigningTable
from mailauth.dmarc import Policy as DmarcWish
from mailauth.dmarc.reports import Published, Row
from mailauth.mail import names
from mailauth.mail.author import author_address
from mailauth.mail.header import MAX_HEADER_FIELDS, MAX_HEADER_OCTETS, Header, split
from mailauth.mail.reply import Reply
from mailauth.mail.text import printable
from mailauth.milter.protocol import (
    Accept,
    Actions,
    Body,
    ChangeHeader,
    Connect,
    EndOfMessage,
    Helo,
    InsertHeader,
    Mail,
    Options,
    Quarantine,
    Rcpt,
    Refuse,
    Response,
    Stage,
    TempFail,
)
from mailauth.milter.protocol import Header as HeaderEvent
from mailauth.milter.server import Answer, Milter, MilterServer
from mailauth.milter.settings import MilterSettings, Mode
from mailauth.plan import Gather, IPAddress, Plan, ask_all
from mailauth.restrictions.authentication import check_dkim
from mailauth.restrictions.phases import Restrictions
from mailauth.spf import received_spf
from mailauth.transaction.checks import AUTHOR_WALK, IPREV, SPF, SPF_HELO, Check, Transaction
from mailauth.transaction.message import authenticate
from mailauth.transaction.report import Report

_log = logging.getLogger("mailauth.milter")

MAX_LOGGED = 10
"""Signatures whose results stand in a log line."""
MAX_LINE_OCTETS = 998
"""RFC 5322 section 2.1.1; Postfix breaks longer lines when it sends them on (smtp_line_length_limit)."""
MAX_RECIPIENTS = 10_000
"""Of one message; Postfix takes a thousand (smtpd_recipient_limit)."""
_TOO_LONG = Reply(552, "5.3.4", "The header of this message is too large")
_TOO_MANY = Reply(452, "4.5.3", "Too many recipients")  # RFC 5321 section 4.5.3.1.10
_NO_ADDRESS = names.parse_ip("0.0.0.0")  # of a client whose address is not known


class MailFilter:
    """Verifies and signs for Postfix: `handle` serves one connection of it; one filter serves all that have its `mode`.

    `server` is its `MilterServer`, which can listen, too.

    `authenticator` makes the checks; of its restrictions the list ``data`` is judged here, the others are for whoever
    sees the phases. `table` says which keys sign for whom. `networks` are our own clients, besides those that
    authenticated: their mail is signed and not checked. `count` is called with a word for each thing that happens
    ("verified", "rejected", "deferred", "quarantined", "signed", "not-signed", "forged-removed", "failed").
    """

    def __init__(
        self,
        authenticator: Authenticator,
        *,
        table: SigningTable | None = None,
        settings: MilterSettings | None = None,
        networks: Iterable[IPv4Network | IPv6Network] = (),
        mode: Mode = "both",
        count: Callable[[str], object] = lambda what: None,
    ) -> None:
        self.mode = mode
        self.count = count
        self.use(authenticator, table=table, settings=settings, networks=networks)
        self.server = MilterServer(partial(_Session, self), on_failure=self.settings.on_failure)

    def use(
        self,
        authenticator: Authenticator,
        *,
        table: SigningTable | None = None,
        settings: MilterSettings | None = None,
        networks: Iterable[IPv4Network | IPv6Network] = (),
    ) -> None:
        """Go on with these from the next message on; `on_failure` stays."""
        self.authenticator = authenticator
        self.table = table
        self.settings = settings or MilterSettings()
        self.networks = tuple(networks)
        demanded = [check_dkim(require="author")] if self.settings.reject_no_aligned_dkim else []
        self.restrictions = Restrictions(data=[*authenticator.restrictions.data, *demanded])
        # Block lists have their say before the message; they are asked here only where the list `data` names them.
        listed = any("rbl" in restriction.name for restriction in self.restrictions.data)
        policy = authenticator.policy
        self.policy = replace(policy, rbl=policy.rbl if listed else (), greylist=None)
        if self.settings.quarantine:
            # What is put aside is reported so, whichever of the two settings asks for it.
            self.policy = replace(
                self.policy,
                dmarc_policy=replace(policy.dmarc_policy, quarantine=True),
                dmarc_reports=None if policy.dmarc_reports is None else partial(_held, policy.dmarc_reports),
            )

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a mail server until it ends."""
        await self.server.handle(reader, writer)

    def finish(self) -> None:
        """End each connection as soon as no message is on its way."""
        self.server.finish()


def _held(add: Callable[..., Any], day: int, published: Published, row: Row) -> Any:
    """Report a message that DMARC would have rejected as what became of it: it went to the hold queue."""
    if row.disposition == "reject":
        row = replace(row, disposition="quarantine", reasons=(*row.reasons, ("local_policy", "")))
    return add(day, published, row)


class _Session(Milter):
    """One SMTP session."""

    # Only the end of the message is answered: the others save a round trip each.
    options: ClassVar[Options] = (
        Options.NO_REPLY_CONNECT
        | Options.NO_REPLY_HELO
        | Options.NO_REPLY_MAIL
        | Options.NO_REPLY_RCPT
        | Options.NO_REPLY_HEADER
        | Options.NO_REPLY_BODY
    )
    macros = {Stage.MAIL: "i {auth_authen} {auth_type}", Stage.END_OF_MESSAGE: "i"}

    def __init__(self, own: MailFilter) -> None:
        super().__init__()
        self.filter = own
        self.client: Connect | None = None
        self.helo: str | None = None
        self._early: asyncio.Task[None] | None = None
        self.reset()

    def reset(self) -> None:
        self.sender: str | None = None
        self.identity: str | None = None
        self.recipients: list[str] = []
        self.fields: list[tuple[bytes, bytes]] = []
        self.octets = 0
        self.tx: Transaction | None = None
        self.signer: MessageSigner | None = None
        self.keys: tuple[SigningKey, ...] = ()
        self.lines: _LongLines | None = None
        self.begun = False
        if self._early is not None:
            self._early.cancel()
            self._early = None

    async def on_connect(self, event: Connect) -> None:
        self.client, self.helo = event, None

    async def on_helo(self, event: Helo) -> None:
        self.helo = event.name

    async def on_mail(self, event: Mail) -> None:
        self.sender = event.address
        self.identity = self.macro("auth_authen") or None

    async def on_rcpt(self, event: Rcpt) -> None:
        if len(self.recipients) <= MAX_RECIPIENTS:
            self.recipients.append(event.address)

    async def on_header(self, event: HeaderEvent) -> None:
        self.octets += len(event.name) + len(event.value) + 3
        if not self._too_large:
            self.fields.append((event.name, event.value))

    async def on_body(self, event: Body) -> None:
        self._feed(event.chunk)

    async def on_end_of_message(self, event: EndOfMessage) -> Answer:
        if self._too_large:
            return Refuse(_TOO_LONG)
        if len(self.recipients) > MAX_RECIPIENTS:
            return Refuse(_TOO_MANY)
        self._feed(event.chunk)
        changes: list[Response] = list(self._without_forged()) if self.filter.settings.remove_forged else []
        if self.tx is None:
            return [*changes, *_on_top(await self._signatures()), Accept()]
        self.tx.id = self.macro("i") or ""
        try:
            if self._early is not None:
                await self._early
            report = await self.filter.authenticator.run(authenticate(self.tx, self.filter.restrictions))
            return [*changes, *self._judged(report)]
        except Exception:  # noqa: BLE001  the mail server gets an answer whatever happens, and the log the traceback
            _log.exception("%s: not verified, since something of ours failed", self._id)
            self.filter.count("failed")
            if self.filter.settings.on_failure == "tempfail":
                return TempFail()
            # Whatever happened, no message goes on without a field that says so.
            failed = authres.dkim("temperror", reason="the message could not be verified")
            return [*changes, *_on_top(authres.build(self.filter.policy.authserv_id, failed)), Accept()]

    # --- the message as it comes ------------------------------------------------------------------------------

    @property
    def _id(self) -> str:
        return printable(self.macro("i") or "-", 100)

    @property
    def _too_large(self) -> bool:
        return self.octets > MAX_HEADER_OCTETS or len(self.fields) >= MAX_HEADER_FIELDS

    def _feed(self, chunk: bytes) -> None:
        if not self.begun:
            self._begin()
        if self.tx is not None and self.tx.verifier is not None:
            self.tx.verifier.feed(chunk)
        if self.signer is not None:
            try:
                self.signer.feed(chunk)
            except SigningError as error:
                self._not_signed(str(error))
        if self.lines is not None:
            self.lines.feed(chunk)

    def _begin(self) -> None:
        """The header is complete: now it is known what the message is to us."""
        self.begun = True
        # As Postfix will send it: folds are CRLF, and the blank behind the colon is there.
        lines = [
            b"%s:%s\r\n" % (name, value.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")) for name, value in self.fields
        ]
        octets = b"".join(lines) + b"\r\n"
        mode, ours = self.filter.mode, self._is_ours()
        if mode != "verify" and self.filter.table is not None:
            self._begin_signing(octets, ours)
        if mode != "sign" and not ours:
            ip = self._ip
            self.tx = tx = Transaction(
                _NO_ADDRESS if ip is None else ip,
                now=self.filter.authenticator.clock(),
                helo=self.helo,
                mail_from=None if ip is None else self.sender,
                recipients=list(self.recipients),
                message=b"",
                policy=self.filter.policy,
            )
            tx.begin_message().feed(octets)
            # What can be asked already is asked while the body comes in; the keys come from the cache then.
            self._early = asyncio.ensure_future(self.filter.authenticator.run(_early(tx)))

    @property
    def _ip(self) -> IPAddress | None:
        """The client's address; None where it has none."""
        if self.client is None or self.client.family not in ("4", "6"):
            return None
        try:
            return names.parse_ip(self.client.address)
        except ValueError:
            return None

    def _is_ours(self) -> bool:
        """Whether the client is one of our own: it authenticated, is in our networks, or came by a local socket."""
        if self.identity is not None or (self.client is not None and self.client.family == "L"):
            return True
        ip = self._ip
        return ip is not None and any(ip.version == net.version and ip in net for net in self.filter.networks)

    # --- signing ----------------------------------------------------------------------------------------------

    def _begin_signing(self, octets: bytes, ours: bool) -> None:
        table = self.filter.table
        assert table is not None
        author = author_address(split(octets).header)
        keys = table.keys_for(author) if author is not None else ()
        if not ours:
            if keys:
                self._not_signed(
                    f"the client {self._shown_client} is neither authenticated nor in networks{self._macro_hint()}"
                )
            return
        if author is None:
            self._not_signed("From does not name one author")
        elif not keys:
            self._not_signed(f"no key for {printable(author, 200)}")
        elif not self._may_use(author):
            who = "not authenticated" if self.identity is None else f"authenticated as {printable(self.identity, 200)}"
            self._not_signed(
                f"From is {printable(author, 200)}, but the client is {who}, and MAIL FROM is"
                f" <{printable(self.sender or '', 200)}>; allow in the signing table names who else may use it"
                f"{'' if self.identity else self._macro_hint()}"
            )
        else:
            self.keys = keys
            self.signer, self.lines = MessageSigner(keys, now=self.filter.authenticator.clock()), _LongLines()
            try:
                self.signer.feed(octets)
            except SigningError as error:
                self._not_signed(str(error))

    def _may_use(self, author: str) -> bool:
        domain = _domain(author)
        own = {_domain(address) for address in (self.identity, self.sender) if address}
        table = self.filter.table
        return (domain is not None and domain in own) or (table is not None and table.allows(author, self.identity))

    @property
    def _shown_client(self) -> str:
        return printable(self.client.address or self.client.hostname, 200) if self.client is not None else "(unknown)"

    def _macro_hint(self) -> str:
        """Postfix sends {auth_authen} only if it is named; newer versions let the filter ask for it."""
        if self.codec.actions & Actions.SET_MACROS or self.macro("auth_authen") is not None:
            return ""
        return "; if it did authenticate, milter_mail_macros in main.cf must name {auth_authen} (postconf -d shows how)"

    def _not_signed(self, why: str) -> None:
        self.signer = self.lines = None
        self.filter.count("not-signed")
        sender = printable(self.sender or "", 200)
        _log.info("%s: not signed: %s", self._id, why, extra={"sender": sender, "transaction_id": self._id})

    async def _signatures(self) -> bytes:
        if self.signer is None:
            return b""
        try:
            fields = await self.signer.finish_async()
        except SigningError as error:
            self._not_signed(str(error))
            return b""
        self.filter.count("signed")
        by = ", ".join(f"d={key.domain} s={key.selector}" for key in self.keys)
        _log.info("%s: signed: %s", self._id, by, extra={"transaction_id": self._id})
        if self.lines is not None and self.lines.found is not None:
            _log.warning(
                "%s: signed, but line %d of the body has more than %d octets: Postfix breaks it on the way out, and the"
                " signature with it (smtp_line_length_limit)",
                self._id,
                self.lines.found,
                MAX_LINE_OCTETS,
            )
        return fields

    # --- verifying --------------------------------------------------------------------------------------------

    def _judged(self, report: Report) -> Iterator[Response]:
        settings, count = self.filter.settings, self.filter.count
        count("verified")
        _log.info("%s: verified: %s", self._id, _results(report), extra={"transaction_id": self._id})
        decision, dmarc, why = report.decision, report.dmarc, ""
        aside = self.filter.policy.dmarc_policy.quarantine
        if report.reply is not None:
            if not (settings.quarantine and report.reply.permanent):
                count("rejected" if report.reply.permanent else "deferred")
                yield Refuse(report.reply)
                return
            why = f"{decision.restriction} ({decision.reason})"
        elif aside and dmarc is not None and dmarc.disposition is not DmarcWish.NONE:
            why = f"DMARC of {dmarc.author_domain} asks for {dmarc.disposition}"
        if why:
            count("quarantined")
            yield Quarantine(printable(why, 200))
        if "received-spf" in settings.fields and report.spf is not None:
            yield from _on_top(received_spf(report.spf, receiver=report.hostname).encode("ascii"))
        if "authentication-results" in settings.fields:
            yield from _on_top(report.authentication_results)
        yield Accept()

    def _without_forged(self) -> Iterator[Response]:
        """What takes away the fields that claim to be ours, the last one first: each deletion changes the count."""
        own = self.filter.policy.own_ids
        for forged in authres.find_forged(self.fields, own):
            assert forged.occurrence is not None
            self.filter.count("forged-removed")
            yield ChangeHeader(forged.occurrence, "Authentication-Results")
        # What only lax readers see as a field, within another one.
        seen: dict[bytes, int] = {}
        for name, value in self.fields:
            lower = name.lower()
            seen[lower] = seen.get(lower, 0) + 1
            if lower == b"authentication-results" or _ODD.search(value) is None or b"results" not in value.lower():
                continue
            octets = b"%s:%s\r\n" % (name, value.replace(b"\n", b"\r\n"))
            cleaned = authres.remove_forged_from_header(split(octets).header, own)
            if cleaned.removed and cleaned.message.startswith(name + b":"):
                self.filter.count("forged-removed")
                rest = cleaned.message[len(name) + 1 :].rstrip(b"\r\n").replace(b"\r\n", b"\n").replace(b"\r", b"")
                yield ChangeHeader(seen[lower], name.decode("ascii"), rest)


def _results(report: Report) -> str:
    """What was found, for the log: ``spf=pass dkim=pass (example.org) dmarc=pass``."""
    found = [("iprev", report.iprev), ("spf", report.spf)]
    words = [f"{name}={result.result}" for name, result in found if result is not None]
    words += [f"dkim={each.result} ({printable(each.domain or '-', 100)})" for each in report.dkim[:MAX_LOGGED]]
    words += ["dkim=none"] if not report.dkim else []
    words += [] if report.dmarc is None else [f"dmarc={report.dmarc.result}"]
    return " ".join(words)


# What may end a line for a reader that is laxer than Postfix.
_ODD = re.compile(rb"[\r\x0b\x0c\x1c-\x1e\x85\xa8\xa9]")


def _early(tx: Transaction) -> Plan[None]:
    """What is known to be asked as soon as the header is there."""
    checks: list[Check[Any]] = [IPREV, AUTHOR_WALK]
    if tx.helo is not None:
        checks.append(SPF_HELO)
    if tx.mail_from is not None:
        checks.append(SPF)
    questions = tx.verifier.questions if tx.verifier is not None else []
    yield Gather([tx.find(checks), *([ask_all(questions)] if questions else [])])


def _on_top(fields: bytes) -> list[Response]:
    """The replies that put these fields on top in their order: the last one first."""
    header: Header = split(fields + b"\r\n").header
    return [
        InsertHeader(0, raw.partition(b":")[0].decode("ascii"), raw.partition(b":")[2]) for raw, _ in header.pairs[::-1]
    ]


def _domain(address: str) -> str | None:
    """The domain of an address, or the address if it is one."""
    mailbox = names.split_address(address)
    return names.to_ascii(mailbox.domain if mailbox else address)


class _LongLines:
    """Finds the first line of a body that is too long for SMTP."""

    found: int | None = None
    _line = 1
    _octets = 0  # of the line that the last chunk ended in

    def feed(self, chunk: bytes) -> None:
        if self.found is not None:
            return
        first = chunk.find(b"\n")
        if self._octets + (len(chunk) if first < 0 else first) > MAX_LINE_OCTETS + 1:  # the CR is one of them
            self.found = self._line
            return
        long = _LONG_LINE.search(chunk, first + 1)
        if long is not None:
            self.found = self._line + chunk.count(b"\n", 0, long.start())
            return
        self._line += chunk.count(b"\n")
        self._octets = self._octets + len(chunk) if first < 0 else len(chunk) - chunk.rfind(b"\n") - 1


_LONG_LINE = re.compile(rb"[^\n]{%d}" % (MAX_LINE_OCTETS + 2))
