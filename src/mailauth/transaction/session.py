# What belongs here: the order of an SMTP dialogue, and which verdict is spoken at which phase. What the restrictions
# are, is theirs to say; how effects are performed, is the driver's.
"""One SMTP session, phase by phase, as steps for the sync and async drivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from mailauth import MailAuthError
from mailauth.plan import IPAddress
from mailauth.restrictions.base import PHASES, Fact, Phase, evaluate_list
from mailauth.restrictions.phases import Restrictions
from mailauth.transaction.decision import NOTHING, Action, Decision
from mailauth.transaction.evidence import Evidence, bare_address, text_of
from mailauth.transaction.policy import Settings
from mailauth.transaction.report import Report, make_report
from mailauth.transaction.steps import Steps


class PhaseError(MailAuthError):
    """The caller told the phases of a session out of order, say RCPT before MAIL."""


class Verdicts:
    """The verdicts of the restriction lists, each found once for the facts that it depends on, and then kept.

    RFC-less territory, so the model is Postfix: a permit ends its own list only, the first refusal of any list wins,
    and a deferral for trouble in DNS acts only where nothing rejects.
    """

    def __init__(self, restrictions: Restrictions) -> None:
        self._lists = restrictions
        self._kept: dict[Phase, Decision] = {}

    def forget(self, *facts: Fact) -> None:
        """Judge anew what depends on these facts; without facts, everything."""
        stale = [phase for phase in self._kept if not facts or not self._lists.facts(phase).isdisjoint(facts)]
        for phase in stale:
            del self._kept[phase]

    def up_to(self, phase: Phase, evidence: Evidence) -> Steps[Decision]:
        """The verdict of all lists up to that of `phase`; those that wait for a fact have nothing to say yet."""
        found: list[Decision] = []
        for earlier in PHASES[: PHASES.index(phase) + 1]:
            decision = yield from self._of(earlier, phase, evidence)
            if decision is not None:
                found.append(decision)
                if decision.final:
                    break
        return first_verdict(found)

    def of_data(self, evidence: Evidence) -> Steps[Decision]:
        """The verdict of the list ``data`` alone: what the others say was spoken to each recipient."""
        decision = yield from self._of("data", "data", evidence)
        earlier = [kept for phase, kept in self._kept.items() if phase != "data"]
        assert decision is not None
        return replace(decision, warnings=_warnings([*earlier, decision]))

    def _of(self, phase: Phase, now: Phase, evidence: Evidence) -> Steps[Decision | None]:
        if phase not in self._kept:
            decision = yield from evaluate_list(self._lists.of(phase), evidence, now)
            if decision is None:
                return None
            self._kept[phase] = decision
        return self._kept[phase]


def first_verdict(found: Sequence[Decision]) -> Decision:
    """What several lists say together."""
    by_weight = (
        [decision for decision in found if decision.final]
        or [decision for decision in found if decision.refused]
        or [decision for decision in found if decision.action is Action.PERMIT]
        or [NOTHING]
    )
    return replace(by_weight[0], warnings=_warnings(found))


def _warnings(found: Sequence[Decision]) -> tuple[Decision, ...]:
    return tuple(warning for decision in found for warning in decision.warnings)


class SessionSteps:
    """The phases of one session. Each phase method returns a generator of effects that returns a `Decision`."""

    def __init__(self, settings: Settings, ip: IPAddress, authenticated: str | None) -> None:
        self._settings = settings
        self.evidence = Evidence(ip, settings, authenticated=authenticated)
        self._verdicts = Verdicts(settings.restrictions)
        self._in_transaction = False
        self._spoken: dict[str, Decision] = {}  # to each recipient
        self._last = NOTHING

    def connect(self) -> Steps[Decision]:
        """The client has connected."""
        return self._phase("client")

    def helo(self, name: str) -> Steps[Decision]:
        """HELO or EHLO; it begins anew (RFC 5321 section 4.1.4)."""
        text_of("a HELO name", name)
        self.reset()
        self.evidence.helo = name
        self.evidence.forget("helo")
        self._verdicts.forget("helo")
        return self._phase("helo")

    def mail(self, address: str) -> Steps[Decision]:
        """MAIL FROM; ``""`` or ``"<>"`` is the null sender."""
        address = bare_address(address)
        if self._in_transaction:
            raise PhaseError("MAIL twice in one transaction: call reset() or data() first")
        return self._mail(address)

    def _mail(self, address: str) -> Steps[Decision]:
        self.reset()
        self.evidence.mail_from = address
        decision = yield from self._phase("sender")
        # A sender that was refused has not begun a transaction: the client may name another one.
        self._in_transaction = not decision.refused
        return decision

    def rcpt(self, address: str) -> Steps[Decision]:
        """RCPT TO, once for each recipient; unless a refusal was spoken, the recipient belongs to the message."""
        address = bare_address(address)
        if not self._in_transaction:
            raise PhaseError("RCPT before MAIL")
        return self._rcpt(address)

    def _rcpt(self, address: str) -> Steps[Decision]:
        self.evidence.recipient = address
        self._verdicts.forget("recipient")
        decision = yield from self._phase("recipient")
        self._spoken[address] = decision
        if not decision.refused:
            self.evidence.recipients.append(address)
        return decision

    def data(self, message: bytes | BinaryIO) -> Steps[Decision]:
        """The message after DATA. Whatever becomes of it, the next transaction may begin with `mail`."""
        require_message(message)
        if not self._in_transaction:
            raise PhaseError("DATA before MAIL")
        if not self.evidence.recipients:
            raise PhaseError("DATA without an accepted recipient")
        return self._data(message)

    def _data(self, message: bytes | BinaryIO) -> Steps[Decision]:
        self._in_transaction = False
        evidence = self.evidence
        evidence.message = message
        decisions = []
        for recipient in dict.fromkeys(evidence.recipients):
            # Only what judges by the recipient is judged again.
            evidence.recipient = recipient
            if "recipient" in self._settings.restrictions.facts("data"):
                self._verdicts.forget("message")
            decision = yield from self._verdicts.of_data(evidence)
            decisions.append(decision)
            if decision.refused:
                self._spoken[recipient] = decision
        self._last = worst(decisions)
        return self._last

    def report(self) -> Report:
        """What is known of the last transaction, and the verdict of its last phase."""
        return make_report(self.evidence, self._last, self._spoken)

    def reset(self) -> None:
        """RSET: forget the transaction, keep the client and its HELO name."""
        self.evidence.forget_transaction()
        self._verdicts.forget("mail_from", "recipient", "message")
        self._in_transaction = False
        self._spoken = {}
        self._last = NOTHING

    def client_changed(self) -> None:
        """Something is known of the client that any list may judge by: judge them all anew."""
        self._verdicts.forget()

    def _phase(self, phase: Phase) -> Steps[Decision]:
        decision = yield from self._verdicts.up_to(phase, self.evidence)
        self._last = decision
        early = phase in ("client", "helo", "sender")
        # As Postfix with smtpd_delay_reject: what was found early is kept, and spoken when the recipient is known. What
        # acts only if nothing rejects waits for the recipient in any case.
        if early and (self._settings.delay_reject or decision.if_permit):
            return replace(NOTHING, warnings=decision.warnings)
        return decision


def worst(decisions: Sequence[Decision]) -> Decision:
    """One reply for all recipients after the message: a rejection of any, else a deferral of any, else the first."""
    for action in (Action.REJECT, Action.DEFER):
        for decision in decisions:
            if decision.action is action:
                return decision
    return decisions[0] if decisions else NOTHING


def require_message(message: bytes | BinaryIO) -> None:
    """Raise `TypeError` for what is neither octets nor a file."""
    if not isinstance(message, bytes) and not callable(getattr(message, "read", None)):
        raise TypeError(f"a message is bytes or a binary file, not {type(message).__name__}")


class SessionBase:
    """What the sync and the async `Session` share: everything that needs no waiting."""

    def __init__(self, settings: Settings, ip: IPAddress, authenticated: str | None) -> None:
        self._steps = SessionSteps(settings, ip, authenticated)

    @property
    def evidence(self) -> Evidence:
        """The facts and results so far."""
        return self._steps.evidence

    def authenticate(self, identity: str) -> None:
        """The client proved this identity by SMTP AUTH. Verdicts that were not spoken yet are found anew."""
        self._steps.evidence.authenticated = text_of("an identity", identity)
        self._steps.client_changed()

    def note_pipelining(self) -> None:
        """The server saw octets waiting before it sent a reply that the client had to wait for (RFC 2920).

        It is held against the client until it disconnects, as Postfix does.
        """
        if not self._steps.evidence.pipelined:
            self._steps.evidence.pipelined = True
            self._steps.client_changed()

    def reset(self) -> None:
        """The client said RSET: keep the client and its HELO name, forget the rest."""
        self._steps.reset()

    def report(self) -> Report:
        """Everything known of the last transaction; after `data` it holds the Authentication-Results field."""
        return self._steps.report()
