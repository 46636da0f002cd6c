# What belongs here: what the sync and the async Authenticator share: how its arguments become settings, and the steps
# of authenticating a whole message. No effect is performed here.
"""The whole-message check, as steps for the sync and async drivers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, Generic, TypeVar

from mailauth.dkim import DkimPolicy
from mailauth.mail import names
from mailauth.plan import DEFAULT_TIME_LIMIT, IPAddress
from mailauth.rbl import RblPolicy, Rule, rules_of
from mailauth.restrictions import (
    check_dkim,
    check_spf,
    greylist,
    permit_authenticated,
    reject_rbl,
)
from mailauth.restrictions.base import PHASES, needs_of
from mailauth.restrictions.phases import Restrictions
from mailauth.spf import SpfPolicy
from mailauth.transaction import needs
from mailauth.transaction.decision import Decision
from mailauth.transaction.evidence import Evidence, bare_address, text_of
from mailauth.transaction.policy import Settings
from mailauth.transaction.report import Report, make_report
from mailauth.transaction.session import Verdicts, require_message, worst
from mailauth.transaction.steps import Steps

ResolverT = TypeVar("ResolverT")
GreylistT = TypeVar("GreylistT")


class AuthenticatorBase(Generic[ResolverT, GreylistT]):
    """What the sync and the async `Authenticator` share: the arguments, which are read only after construction.

    `hostname` is this server's name (the authserv-id of RFC 8601 and the receiver of RFC 7208), `rbl` the block lists
    to ask, `greylist` a `Greylist`, `restrictions` what rejects or defers (default: `default_restrictions`).
    `delay_reject` speaks what is found early at RCPT, as Postfix does. `trace` keeps the whole SPF evaluation in the
    report. `resolver` is the system's where none is given; `time_limit` (seconds) holds for the DNS of each phase or
    whole check; `clock` gives seconds since the epoch.

    Raises `ValueError` or `TypeError` for arguments that make no sense.
    """

    def __init__(
        self,
        hostname: str,
        *,
        rbl: Iterable[str | Rule] = (),
        greylist: GreylistT | None = None,
        restrictions: Restrictions | None = None,
        delay_reject: bool = True,
        trace: bool = False,
        spf_policy: SpfPolicy | None = None,
        dkim_policy: DkimPolicy | None = None,
        rbl_policy: RblPolicy | None = None,
        resolver: ResolverT | None = None,
        time_limit: float | None = DEFAULT_TIME_LIMIT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if restrictions is not None and not isinstance(restrictions, Restrictions):
            raise TypeError(f"restrictions is a Restrictions, not {type(restrictions).__name__}")
        rules = tuple(rules_of(rbl))
        if restrictions is None:
            restrictions = default_restrictions(rbl=bool(rules), greylisting=greylist is not None)
        self.settings = Settings(
            hostname=hostname,
            restrictions=restrictions,
            rbl=rules,
            greylisting=greylist is not None,
            delay_reject=delay_reject,
            trace=trace,
            spf_policy=spf_policy or SpfPolicy(),
            dkim_policy=dkim_policy or DkimPolicy(),
            rbl_policy=rbl_policy or RblPolicy(),
        )
        self.clock = clock
        self.greylist = greylist
        self.resolver = resolver
        self.time_limit = time_limit


def default_restrictions(*, rbl: bool, greylisting: bool) -> Restrictions:
    """What is judged where the caller names no restrictions.

    Clients that authenticated are let through; listed clients are rejected; SPF fail is rejected (RFC 7208 section
    8.4) and SPF temperror deferred (8.6); the rest is greylisted. DKIM and reverse DNS are reported and reject nothing
    (RFC 6376 section 6.3: no rejection only because a signature is missing or fails).
    """
    trusted = permit_authenticated()
    return Restrictions(
        client=[trusted, reject_rbl()] if rbl else [],
        recipient=[trusted, check_spf(), *([greylist()] if greylisting else [])],
        data=[check_dkim()],
    )


def check_message(
    settings: Settings,
    message: bytes | BinaryIO,
    ip: str | IPAddress,
    *,
    helo: str | None,
    mail_from: str | None,
    rcpt_to: str | Sequence[str],
    authenticated: str | None,
    now: float,
) -> Steps[Report]:
    """Authenticate one whole message. Raises, when called, for the caller's mistakes."""
    require_message(message)
    evidence = Evidence(
        names.parse_ip(ip),
        settings,
        now=now,
        helo=None if helo is None else text_of("a HELO name", helo),
        mail_from=None if mail_from is None else bare_address(mail_from),
        authenticated=None if authenticated is None else text_of("an identity", authenticated),
        message=message,
    )
    recipients = [rcpt_to] if isinstance(rcpt_to, str) else rcpt_to
    evidence.recipients = [bare_address(recipient) for recipient in recipients]
    return _check(settings, evidence)


def _check(settings: Settings, evidence: Evidence) -> Steps[Report]:
    """Every check side by side, those that the restrictions need included, then the verdict for each recipient."""
    everybody: list[str | None] = [*dict.fromkeys(evidence.recipients)] or [None]
    evidence.recipient = everybody[0]
    restrictions = [item for phase in PHASES for item in settings.restrictions.of(phase)]
    yield from evidence.gather([*needs.everything(evidence), *needs_of(restrictions, evidence)])
    verdicts = Verdicts(settings.restrictions)
    spoken: dict[str, Decision] = {}
    decisions = []
    for recipient in everybody:
        evidence.recipient = recipient
        verdicts.forget("recipient")
        decision = yield from verdicts.up_to("data", evidence)
        decisions.append(decision)
        if recipient is not None:
            spoken[recipient] = decision
    return make_report(evidence, worst(decisions), spoken)
