"""The whole-message check, and what the sync and the async `Authenticator` share: how arguments become a policy."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from mailauth.dkim import DkimPolicy
from mailauth.dmarc import DmarcPolicy
from mailauth.dmarc.reports import Published, ReportStore, Row
from mailauth.mail import names
from mailauth.mail.lines import MessageSource, message_source
from mailauth.plan import DEFAULT_TIME_LIMIT, IPAddress, Plan
from mailauth.rbl import Monitor, RblPolicy, Rule, rules_of
from mailauth.restrictions.authentication import check_dkim, check_dmarc, check_spf
from mailauth.restrictions.base import checks_of
from mailauth.restrictions.client import permit_authenticated
from mailauth.restrictions.lists import reject_ebl_sender, reject_rbl
from mailauth.restrictions.phases import Restrictions
from mailauth.restrictions.recipient import greylist
from mailauth.spf import SpfPolicy
from mailauth.transaction.checks import Transaction, checks_for_report, lists_by_kind
from mailauth.transaction.decision import Decision
from mailauth.transaction.facts import bare_address, text_of
from mailauth.transaction.log import log_decision
from mailauth.transaction.policy import Policy
from mailauth.transaction.report import Report, make_report
from mailauth.transaction.reporting import add_to_reports
from mailauth.transaction.session import Decisions, worst

_log = logging.getLogger("mailauth.transaction")


class Greylister(Protocol):
    """What an authenticator demands of its greylist; in aio `check` is a coroutine function."""

    @property
    def check(self) -> Callable[..., Any]: ...


ResolverT = TypeVar("ResolverT")
GreylistT = TypeVar("GreylistT", bound=Greylister)


class AuthenticatorBase(Generic[ResolverT, GreylistT]):
    """What the sync and the async `Authenticator` share: how their arguments become a policy."""

    def __init__(
        self,
        hostname: str,
        *,
        authserv_id: str = "",
        rbl: Iterable[str | Rule] = (),
        rbl_monitor: Monitor | None = None,
        greylist: GreylistT | None = None,
        restrictions: Restrictions | None = None,
        delay_reject: bool = True,
        trace: bool = False,
        spf_policy: SpfPolicy | None = None,
        dkim_policy: DkimPolicy | None = None,
        rbl_policy: RblPolicy | None = None,
        dmarc_policy: DmarcPolicy | None = None,
        dmarc_reports: ReportStore | None = None,
        resolver: ResolverT | None = None,
        time_limit: float | None = DEFAULT_TIME_LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if restrictions is not None and not isinstance(restrictions, Restrictions):
            raise TypeError(f"restrictions is a Restrictions, not {type(restrictions).__name__}")
        if rbl_monitor is not None and not isinstance(rbl_monitor, Monitor):
            raise TypeError(f"rbl_monitor is a mailauth.rbl.Monitor, not {type(rbl_monitor).__name__}")
        rules = tuple(rules_of(rbl))
        if restrictions is None:
            restrictions = default_restrictions(rules, greylisting=greylist is not None)
        self.restrictions = restrictions
        self.policy = Policy(
            hostname=hostname,
            authserv_id=authserv_id,
            rbl=rules,
            rbl_monitor=rbl_monitor,
            greylist=None if greylist is None else greylist.check,
            delay_reject=delay_reject,
            trace=trace,
            spf_policy=spf_policy or SpfPolicy(),
            dkim_policy=dkim_policy or DkimPolicy(),
            rbl_policy=rbl_policy or RblPolicy(),
            dmarc_policy=dmarc_policy or DmarcPolicy(),
            dmarc_reports=None if dmarc_reports is None else self._adder(dmarc_reports),
        )
        self.clock = clock
        self.greylist = greylist
        self.resolver = resolver
        self.time_limit = time_limit

    def _adder(self, store: ReportStore) -> Callable[..., Any]:
        """The function that adds a row to the store; what fails there is logged, and no mail fails for it."""
        return lambda day, published, row: add_row(store, day, published, row)


def add_row(store: ReportStore, day: int, published: Published, row: Row) -> None:
    """Add a row to the store. What fails there is logged, and no mail fails for it."""
    try:
        store.add(day, published, row)
    except Exception as error:  # noqa: BLE001 - each driver has errors of its own
        _log.warning("a DMARC result about %s was not kept for reports: %s", published.domain, error)


def default_restrictions(rules: tuple[Rule, ...], *, greylisting: bool) -> Restrictions:
    """What is judged where the caller names no restrictions.

    Clients that authenticated are let through; listed clients are rejected; SPF fail is rejected (RFC 7208 section
    8.4) and SPF temperror deferred (8.6); the rest is greylisted. DKIM, DMARC and reverse DNS are reported and reject
    nothing (RFC 6376 section 6.3: no rejection only because a signature is missing or fails; RFC 9989 section 7.4).
    Where a list of DKIM domains counts, or one of e-mail addresses, they wait for the message.
    """
    trusted, lists = permit_authenticated(), lists_by_kind(rules)
    late = [*([reject_rbl()] if lists.dkim else []), *([reject_ebl_sender()] if lists.email else [])]
    return Restrictions(
        client=[trusted, reject_rbl()] if lists.client and not lists.dkim else [],
        recipient=[trusted, check_spf(), *([greylist()] if greylisting else [])],
        data=[check_dkim(), check_dmarc(), *([trusted, *late] if late else [])],
    )


def begin_message(
    policy: Policy,
    message: MessageSource,
    ip: str | IPAddress,
    *,
    helo: str | None,
    mail_from: str | None,
    rcpt_to: str | Sequence[str],
    authenticated: str | None,
    now: float,
    id: str,
) -> Transaction:
    """The transaction of one whole message. Raises `ValueError` and `TypeError` for the caller's mistakes."""
    source = message_source(message)
    recipients = [rcpt_to] if isinstance(rcpt_to, str) else rcpt_to
    return Transaction(
        names.parse_ip(ip),
        now=now,
        helo=None if helo is None else text_of("a HELO name", helo),
        mail_from=None if mail_from is None else bare_address(mail_from),
        recipients=[bare_address(recipient) for recipient in recipients],
        authenticated=None if authenticated is None else text_of("an identity", authenticated),
        message=source,
        id=text_of("an id", id),
        policy=policy,
    )


def authenticate(tx: Transaction, restrictions: Restrictions) -> Plan[Report]:
    """Every check side by side, those that the restrictions judge by included, then the decision for each recipient.

    The message was read by the transaction's verifier before.
    """
    everybody: list[str | None] = [*dict.fromkeys(tx.recipients)] or [None]
    tx.recipient = everybody[0]
    yield from tx.find([*checks_for_report(tx), *checks_of(restrictions, tx)])
    lists_decide = Decisions(restrictions)
    spoken: dict[str, Decision] = {}
    decisions = []
    for recipient in everybody:
        tx.recipient = recipient
        lists_decide.forget("recipient")
        decision = yield from lists_decide.up_to("data", tx)
        decisions.append(decision)
        if recipient is not None:
            spoken[recipient] = decision
        log_decision(tx, decision)
    whole = worst(decisions)
    yield from add_to_reports(tx, whole)
    return make_report(tx, restrictions, whole, spoken)
