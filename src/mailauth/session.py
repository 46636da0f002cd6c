# What belongs here: the order of an SMTP dialogue, and which verdict is spoken at which phase. What the restrictions
# are, is theirs to say; how effects are performed, is the driver's.
"""One SMTP session, phase by phase, as steps for the sync and async drivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from mailauth import MailAuthError, needs
from mailauth.evidence import Evidence
from mailauth.plan import IPAddress
from mailauth.report import Report, make_report
from mailauth.restrictions.base import evaluate_list
from mailauth.settings import PHASES, Phase, Settings
from mailauth.steps import Steps
from mailauth.verdict import NOTHING, Action, Decision


class PhaseError(MailAuthError):
    """The caller told the phases of a session out of order, say RCPT before MAIL."""


class Verdicts:
    """The verdicts of the restriction lists, each evaluated once for the facts it judges by.

    RFC-less territory, so the model is Postfix: a permit ends its own list only, the first rejection or deferral of
    any list wins, and a deferral for trouble in DNS acts only where nothing rejects.
    """

    def __init__(self, settings: Settings) -> None:
        self._lists = settings.restrictions
        self._kept: dict[Phase, Decision] = {}

    def forget(self, *phases: Phase) -> None:
        """Evaluate these lists anew: the facts that they judge by have changed."""
        for phase in phases:
            self._kept.pop(phase, None)

    def judge(self, until: Phase, evidence: Evidence) -> Steps[Decision]:
        """The verdict of all lists up to the phase `until`; lists that miss a fact have nothing to say yet."""
        found: list[Decision] = []
        for phase in PHASES[: PHASES.index(until) + 1]:
            decision = self._kept.get(phase)
            if decision is None:
                decision = yield from evaluate_list(self._lists.of(phase), evidence)
                if decision is None:
                    continue
                self._kept[phase] = decision
            found.append(decision)
            if _final(decision):
                break
        return _first_verdict(found)


def _final(decision: Decision) -> bool:
    return decision.action in (Action.REJECT, Action.DEFER) and not decision.if_permit


def _first_verdict(found: Sequence[Decision]) -> Decision:
    warnings = tuple(warning for decision in found for warning in decision.warnings)
    by_weight = (
        [decision for decision in found if _final(decision)]
        or [decision for decision in found if decision.if_permit]
        or [decision for decision in found if decision.action is Action.PERMIT]
        or [NOTHING]
    )
    return replace(by_weight[0], warnings=warnings)


class SessionSteps:
    """The phases of one session. Each phase method is a generator of effects that returns a `Decision`."""

    def __init__(self, settings: Settings, ip: IPAddress, authenticated: str | None) -> None:
        self._settings = settings
        self.evidence = Evidence(ip, settings, authenticated=authenticated)
        self._verdicts = Verdicts(settings)
        self._last = NOTHING

    def helo(self, name: str) -> Steps[Decision]:
        """HELO or EHLO; it begins anew (RFC 5321 section 4.1.4)."""
        self.reset()
        self.evidence.helo = name
        self.evidence.forget(*needs.HELO_KEYS)
        self._verdicts.forget("client", "helo")
        return self._phase("helo")

    def mail(self, address: str) -> Steps[Decision]:
        """MAIL FROM; ``""`` or ``"<>"`` is the null sender."""
        if self.evidence.mail_from is not None:
            raise PhaseError("MAIL twice in one transaction: call reset() or data() first")
        self.evidence.mail_from = address.strip().removeprefix("<").removesuffix(">")
        return self._phase("sender")

    def rcpt(self, address: str) -> Steps[Decision]:
        """RCPT TO, once for each recipient; unless a reject was spoken, the recipient belongs to the message."""
        if self.evidence.mail_from is None:
            raise PhaseError("RCPT before MAIL")
        return self._rcpt(address.strip().removeprefix("<").removesuffix(">"))

    def _rcpt(self, address: str) -> Steps[Decision]:
        self.evidence.recipient = address
        self._verdicts.forget("recipient")
        decision = yield from self._phase("recipient")
        if decision.action in (Action.NONE, Action.PERMIT):
            self.evidence.recipients.append(address)
        return decision

    def data(self, message: bytes | BinaryIO) -> Steps[Decision]:
        """The message after DATA; afterwards the next transaction may begin with `mail`."""
        if not self.evidence.recipients:
            raise PhaseError("DATA without an accepted recipient")
        self.evidence.message = message
        return self._phase("data")

    def report(self) -> Report:
        """What is known so far, and the verdict of the last phase."""
        return make_report(self.evidence, self._last)

    def reset(self) -> None:
        """RSET: forget the transaction, keep the client and its HELO name."""
        evidence = self.evidence
        evidence.mail_from = evidence.recipient = evidence.message = None
        evidence.recipients = []
        evidence.pipelined = False
        evidence.keep(lambda key: needs.of_connection(key, evidence.ip))
        self._verdicts.forget("sender", "recipient", "data")

    def _phase(self, phase: Phase) -> Steps[Decision]:
        decision = yield from self._verdicts.judge(phase, self.evidence)
        self._last = decision
        # As Postfix with smtpd_delay_reject: what was found early is kept, and spoken when the recipient is known.
        if self._settings.delay_reject and phase in ("helo", "sender"):
            return replace(NOTHING, warnings=decision.warnings)
        return decision


class SessionBase:
    """What the sync and the async `Session` share: everything that needs no waiting."""

    def __init__(self, settings: Settings, ip: IPAddress, authenticated: str | None) -> None:
        self._steps = SessionSteps(settings, ip, authenticated)

    @property
    def evidence(self) -> Evidence:
        """The facts and results so far."""
        return self._steps.evidence

    def authenticate(self, identity: str) -> None:
        """The client proved this identity by SMTP AUTH."""
        self._steps.evidence.authenticated = identity

    def note_pipelining(self) -> None:
        """The server saw octets waiting before it sent a reply that the client had to wait for (RFC 2920)."""
        self._steps.evidence.pipelined = True

    def reset(self) -> None:
        """The client said RSET, or the transaction ended: keep the client and its HELO name, forget the rest."""
        self._steps.reset()

    def report(self) -> Report:
        """Everything known so far; after `data` it holds the Authentication-Results field."""
        return self._steps.report()
