"""Restrictions as values, evaluated in order: the first decision wins. No restriction of its own stands here."""

# SECURITY: replies quote what the peer said. `quoted` makes it printable and short, whatever the reply's own checks
# do: a line end from the peer must not end our line.

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from mailauth.mail.text import printable
from mailauth.plan import Call, Plan
from mailauth.transaction.checks import Check, Transaction
from mailauth.transaction.decision import NOTHING, Action, Decision
from mailauth.transaction.facts import Fact
from mailauth.transaction.log import log_decision

OnDnsError: TypeAlias = Literal["defer", "pass"]
"""What a DNS error does: defer the mail, or go on as if nothing was asked."""

Phase: TypeAlias = Literal["client", "helo", "sender", "recipient", "data"]
PHASES: tuple[Phase, ...] = ("client", "helo", "sender", "recipient", "data")

FACT_OF: dict[Phase, Fact] = {"helo": "helo", "sender": "mail_from", "recipient": "recipient", "data": "message"}
"""The fact that becomes known in each phase."""

_PHASE_OF = {fact: PHASES.index(phase) for phase, fact in FACT_OF.items()}

MAX_QUOTED = 200
"""Characters of the peer's text in a reply, which has 512 octets in all (RFC 5321 section 4.5.3.1.5)."""


def quoted(text: str) -> str:
    """What the peer said, in angle brackets, fit for a reply of one line."""
    shown = printable(text, MAX_QUOTED + 1)
    return f"<{shown}>" if len(shown) <= MAX_QUOTED else f"<{shown[:MAX_QUOTED]}...>"


def enhanced(code: int, subject: str) -> str:
    """The enhanced status code whose class is that of the reply's code (RFC 3463 section 2)."""
    return f"{code // 100}.{subject}"


def require_refusal(code: int) -> int:
    """The caller's reply code. Raises `ValueError` if it does not refuse."""
    if not 400 <= code <= 599:
        raise ValueError(f"a refusal has a code from 400 to 599, not {code!r}")
    return code


@dataclass(frozen=True, slots=True)
class Restriction:
    """One restriction: the facts that it must know, the checks that it judges by, and how it judges.

    `judge` is called when `checks` were made (a function of the transaction where they depend on it); it returns a
    decision, or a plan of one where it has to ask something outside. `guards_relaying`: it keeps strangers from sending
    to the world through us. `may_open_relay`: what it permits may relay; not so for allow lists, which others write,
    and which may go by a name that the client chose.
    """

    name: str  # as decisions, the log and reports show it
    judge: Callable[[Transaction], Decision | Plan[Decision]] = field(repr=False)
    requires: frozenset[Fact] = frozenset()
    checks: Sequence[Check[Any]] | Callable[[Transaction], Sequence[Check[Any]]] = field(default=(), repr=False)
    note: str = ""  # what it was made with, for people: networks, lists
    guards_relaying: bool = False
    may_open_relay: bool = True

    def evaluate(self, tx: Transaction) -> Plan[Decision]:
        """Judge; the checks of `checks` were made."""
        decision = self.judge(tx)
        return decision if isinstance(decision, Decision) else (yield from decision)

    def __str__(self) -> str:
        return f"{self.name} {self.note}".rstrip()


Caller: TypeAlias = Callable[[Transaction], Any]
"""A caller's own restriction: takes the transaction, returns a `Decision` or None; in aio it may be a coroutine."""


def as_restriction(item: Restriction | Caller) -> Restriction:
    """The restriction, or a caller's own callable as one. Raises `TypeError` for anything else."""
    if isinstance(item, Restriction):
        return item
    if not callable(item):
        raise TypeError(f"a restriction is a value of mailauth.restrictions or a callable, not {item!r}")
    name = getattr(item, "__name__", type(item).__name__)

    def judge(tx: Transaction) -> Plan[Decision]:
        decision = yield Call(item, tx)
        if decision is None:
            return NOTHING
        if not isinstance(decision, Decision):
            raise TypeError(f"the restriction {name} returned {decision!r}, not a Decision or None")
        return decision if decision.restriction else replace(decision, restriction=name)

    return Restriction(name, judge)


def evaluate_list(restrictions: Sequence[Restriction], tx: Transaction, phase: Phase) -> Plan[Decision | None]:
    """The first decision of the list; `NOTHING` at its end; None where it must wait for a fact of a later phase.

    What is judged without a lookup is judged first, in order; at the first restriction that needs lookups, those of
    all that follow are made side by side. A fact that did not come in its phase (a client that said no HELO) will not
    come: the restriction that judges by it has nothing to say, as in Postfix, and the list goes on. So does a permit
    that would let a stranger relay, as Postfix's permit_dnswl_client.
    """
    warnings: list[Decision] = []
    deferred: Decision | None = None
    outcome = NOTHING
    known = tx.known
    found = False
    for position, restriction in enumerate(restrictions):
        if not restriction.requires <= known:
            if _must_wait(restriction.requires - known, phase):
                return None
            continue
        if restriction.checks and not found and (not callable(restriction.checks) or restriction.checks(tx)):
            yield from tx.find(checks_of(restrictions[position:], tx))
            found = True
        judged = restriction.judge(tx)
        decision = judged if isinstance(judged, Decision) else (yield from judged)
        warnings.extend(decision.warnings)
        if decision.if_permit:
            deferred = decision if deferred is None else deferred
        elif decision.action is not Action.NONE:
            if decision.action is Action.PERMIT and not restriction.may_open_relay:
                guards = [guard for guard in restrictions[position:] if guard.guards_relaying]
                if any(_must_wait(guard.requires - known, phase) for guard in guards):
                    return None
                if (yield from _any_refuses(guards, tx)):
                    continue
            outcome = decision
            break
    if deferred is not None and not outcome.refused:
        outcome = deferred
    return replace(outcome, warnings=tuple(warnings)) if warnings else outcome


def _must_wait(missing: Set[Fact], phase: Phase) -> bool:
    """Whether one of the facts is still to come."""
    return any(_PHASE_OF[fact] > PHASES.index(phase) for fact in missing)


def _any_refuses(guards: Sequence[Restriction], tx: Transaction) -> Plan[bool]:
    for guard in guards:
        if guard.requires <= tx.known and (yield from guard.evaluate(tx)).refused:
            return True
    return False


def checks_of(restrictions: Iterable[Restriction], tx: Transaction) -> list[Check[Any]]:
    """The checks that these restrictions judge by, as far as the facts are known."""
    known = tx.known
    checks: list[Check[Any]] = []
    for restriction in restrictions:
        if restriction.requires <= known:
            checks += restriction.checks(tx) if callable(restriction.checks) else restriction.checks
    return checks


def warn_if_reject(restriction: Restriction | Caller) -> Restriction:
    """The restriction, whose refusals are logged and reported, and do nothing else. What it permits is permitted."""
    inner = as_restriction(restriction)

    def judge(tx: Transaction) -> Plan[Decision]:
        decision = yield from inner.evaluate(tx)
        return would_refuse(tx, decision) if decision.refused else decision

    return replace(inner, judge=judge, note=f"{inner.note} (warn)".lstrip())


def would_refuse(tx: Transaction, refusal: Decision) -> Decision:
    """A refusal that is only logged and reported: nothing to say, with the refusal as a warning."""
    log_decision(tx, refusal, would=True)
    return Decision(Action.NONE, warnings=(*refusal.warnings, replace(refusal, warnings=())))
