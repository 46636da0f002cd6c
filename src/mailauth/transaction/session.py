"""One SMTP session, phase by phase: the order of the dialogue, and which decision is spoken at which phase.

The phases are plans, which `mailauth.sync` and `mailauth.aio` run. What a restriction decides is its own affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mailauth import MailAuthError
from mailauth.mail.lines import MessageSource, message_source
from mailauth.plan import IPAddress, Plan
from mailauth.restrictions.base import PHASES, Phase, checks_of, evaluate_list
from mailauth.restrictions.phases import Restrictions
from mailauth.transaction.checks import DKIM, Transaction
from mailauth.transaction.decision import NOTHING, Action, Decision
from mailauth.transaction.facts import Fact, bare_address, text_of
from mailauth.transaction.log import log_decision
from mailauth.transaction.policy import Policy
from mailauth.transaction.report import Report, make_report
from mailauth.transaction.reporting import add_to_reports


class PhaseError(MailAuthError):
    """The caller named the phases of a session out of order, say RCPT before MAIL."""


class Decisions:
    """The decisions of the five lists, each found once for the facts that it depends on, and then kept.

    RFC-less territory, so the model is Postfix: a permit ends its own list only, the first refusal of any list wins,
    and a deferral for a DNS error acts only where nothing rejects.
    """

    def __init__(self, restrictions: Restrictions) -> None:
        self._lists = restrictions
        self._kept: dict[Phase, Decision] = {}

    def forget(self, *facts: Fact) -> None:
        """Decide anew what depends on these facts; without facts, everything."""
        stale = [phase for phase in self._kept if not facts or not self._lists.facts(phase).isdisjoint(facts)]
        for phase in stale:
            del self._kept[phase]

    def up_to(self, phase: Phase, tx: Transaction) -> Plan[Decision]:
        """The decision of all lists up to that of `phase`; those that wait for a fact have nothing to say yet."""
        found: list[Decision] = []
        for earlier in PHASES[: PHASES.index(phase) + 1]:
            restrictions = self._lists.of(earlier)
            decision = self._kept.get(earlier)
            if decision is None and restrictions:
                decision = yield from evaluate_list(restrictions, tx, phase)
            if decision is not None:
                self._kept[earlier] = decision
                found.append(decision)
                if decision.final:
                    break
        return first_decision(found)

    def of_data(self, tx: Transaction) -> Plan[Decision]:
        """The decision of the list ``data`` alone: what the others say was spoken to each recipient."""
        earlier = [kept for phase, kept in self._kept.items() if phase != "data"]
        decision = self._kept.get("data")
        if decision is None:
            decision = yield from evaluate_list(self._lists.data, tx, "data")
            assert decision is not None  # no fact comes after the message
            self._kept["data"] = decision
        return _with_warnings(decision, [*earlier, decision])


def first_decision(found: Sequence[Decision]) -> Decision:
    """What several lists decide: a refusal that is final, else one that acts if all else permits, else a permit."""
    first, weight = NOTHING, 0
    for decision in found:
        if decision.reply is not None:
            own = 2 if decision.if_permit else 3
        else:
            own = 1 if decision.action is Action.PERMIT else 0
        if own > weight:
            first, weight = decision, own
    return _with_warnings(first, found)


def _with_warnings(decision: Decision, found: Sequence[Decision]) -> Decision:
    """The decision with the warnings of all that were found."""
    warnings: tuple[Decision, ...] = ()
    for each in found:
        warnings += each.warnings
    return replace(decision, warnings=warnings) if warnings else decision


class Dialogue:
    """The phases of one session. Each phase method returns a plan of a `Decision`."""

    def __init__(self, policy: Policy, restrictions: Restrictions, ip: IPAddress, authenticated: str | None) -> None:
        self.transaction = Transaction(ip, policy=policy, authenticated=authenticated)
        self._restrictions = restrictions
        self._decisions = Decisions(restrictions)
        self._in_transaction = False
        self._spoken: dict[str, Decision] = {}  # to each recipient
        self._last = NOTHING

    def connect(self) -> Plan[Decision]:
        """The client has connected."""
        return self._phase("client")

    def helo(self, name: str) -> Plan[Decision]:
        """HELO or EHLO; it begins anew (RFC 5321 section 4.1.4)."""
        text_of("a HELO name", name)
        self.reset()
        self.transaction.helo = name
        self.transaction.forget("helo")
        self._decisions.forget("helo")
        return self._phase("helo")

    def mail(self, address: str) -> Plan[Decision]:
        """MAIL FROM; ``""`` or ``"<>"`` is the null sender."""
        address = bare_address(address)
        if self._in_transaction:
            raise PhaseError("MAIL twice in one transaction: call reset() or data() first")
        return self._mail(address)

    def _mail(self, address: str) -> Plan[Decision]:
        self.reset()
        self.transaction.mail_from = address
        decision = yield from self._phase("sender")
        # A sender that was refused has not begun a transaction: the client may name another one.
        self._in_transaction = not decision.refused
        return decision

    def begin(self, helo: str | None, sender: str) -> None:
        """HELO and MAIL at once, without a decision: the first `rcpt` judges by all of it."""
        sender = bare_address(sender)
        if helo is not None:
            self.transaction.helo = text_of("a HELO name", helo)
            self.transaction.forget("helo")
            self._decisions.forget("helo")
        self.reset()
        self.transaction.mail_from = sender
        self._in_transaction = True

    def rcpt(self, address: str) -> Plan[Decision]:
        """RCPT TO, once for each recipient; unless a refusal was spoken, the recipient belongs to the message."""
        address = bare_address(address)
        if not self._in_transaction:
            raise PhaseError("RCPT before MAIL")
        return self._rcpt(address)

    def _rcpt(self, address: str) -> Plan[Decision]:
        self.transaction.recipient = address
        self._decisions.forget("recipient")
        decision = yield from self._phase("recipient")
        self._spoken[address] = decision
        if not decision.refused:
            self.transaction.recipients.append(address)
        return decision

    def begin_data(self, message: MessageSource) -> bool:
        """The message after DATA; whether it has to be read, by the transaction's `begin_message`, before `data`."""
        source = message_source(message)
        if not self._in_transaction:
            raise PhaseError("DATA before MAIL")
        if not self.transaction.recipients:
            raise PhaseError("DATA without an accepted recipient")
        self._in_transaction = False
        self.transaction.message = source
        return DKIM in checks_of(self._restrictions.data, self.transaction)

    def data(self) -> Plan[Decision]:
        """Decide about the message. Whatever becomes of it, the next transaction may begin with `mail`."""
        tx = self.transaction
        decisions = []
        for recipient in dict.fromkeys(tx.recipients):
            # Only what judges by the recipient is judged again.
            tx.recipient = recipient
            if "recipient" in self._restrictions.facts("data"):
                self._decisions.forget("message")
            decision = yield from self._decisions.of_data(tx)
            decisions.append(decision)
            if decision.refused:
                self._spoken[recipient] = decision
        self._last = worst(decisions)
        yield from add_to_reports(tx, self._last)
        log_decision(tx, self._last)
        return self._last

    def report(self) -> Report:
        """What is known of the last transaction, and the decision of its last phase."""
        return make_report(self.transaction, self._restrictions, self._last, self._spoken)

    def reset(self) -> None:
        """RSET: forget the transaction, keep the client and its HELO name."""
        self.transaction.forget_transaction()
        self._decisions.forget("mail_from", "recipient", "message")
        self._in_transaction = False
        self._spoken = {}
        self._last = NOTHING

    def client_changed(self) -> None:
        """Something is known of the client that any list may judge by: judge them all anew."""
        self._decisions.forget()

    def _phase(self, phase: Phase) -> Plan[Decision]:
        decision = yield from self._decisions.up_to(phase, self.transaction)
        self._last = decision
        early = phase in ("client", "helo", "sender")
        # As Postfix with smtpd_delay_reject: what was found early is kept, and spoken when the recipient is known. What
        # acts only if nothing rejects waits for the recipient in any case.
        if early and (self.transaction.policy.delay_reject or decision.if_permit):
            return replace(NOTHING, warnings=decision.warnings) if decision.warnings else NOTHING
        if phase == "recipient" or decision.refused:
            log_decision(self.transaction, decision)
        return decision


def worst(decisions: Sequence[Decision]) -> Decision:
    """One reply for all recipients after the message: a rejection of any, else a deferral of any, else the first."""
    for action in (Action.REJECT, Action.DEFER):
        for decision in decisions:
            if decision.action is action:
                return decision
    return decisions[0] if decisions else NOTHING


class SessionBase:
    """What the sync and the async `Session` share: everything that needs no waiting.

    A HELO name holds until the next one, which is what SPF goes by (RFC 7208 sections 2.5 and 7.3).
    """

    def __init__(
        self, policy: Policy, restrictions: Restrictions, ip: IPAddress, authenticated: str | None, id: str
    ) -> None:
        self._dialogue = Dialogue(policy, restrictions, ip, authenticated)
        self._dialogue.transaction.id = text_of("an id", id)

    @property
    def transaction(self) -> Transaction:
        """The facts and results so far."""
        return self._dialogue.transaction

    def authenticate(self, identity: str) -> None:
        """The client proved this identity by SMTP AUTH. Decisions that were not spoken yet are found anew."""
        self.transaction.authenticated = text_of("an identity", identity)
        self._dialogue.client_changed()

    def begin(self, helo: str | None, sender: str) -> None:
        """HELO and MAIL, for a server that hears of both when RCPT comes: the first `rcpt` judges by all of it.

        `helo` is None where the client did not say it; ``""`` is the null sender.
        """
        self._dialogue.begin(helo, sender)

    def note_pipelining(self) -> None:
        """The server saw octets waiting before it sent a reply that the client had to wait for (RFC 2920).

        It is held against the client until it disconnects, as Postfix does.
        """
        if not self.transaction.pipelined:
            self.transaction.pipelined = True
            self._dialogue.client_changed()

    def reset(self) -> None:
        """The client said RSET: keep the client and its HELO name, forget the rest."""
        self._dialogue.reset()

    def report(self) -> Report:
        """Everything known of the last transaction; after `data` it holds the Authentication-Results field."""
        return self._dialogue.report()
