# What belongs here: what a restriction is, and how a list of them is evaluated. No restriction of its own.
"""Restrictions as values, evaluated in order: the first verdict wins."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from mailauth.evidence import Evidence, Need
from mailauth.steps import Call, Steps
from mailauth.verdict import NOTHING, Action, Decision

_log = logging.getLogger("mailauth.restrictions")

OnTrouble: TypeAlias = Literal["defer", "pass"]
"""What trouble in DNS does: defer the mail unless something rejects it, or go on as if nothing was asked."""

Fact: TypeAlias = Literal["helo", "mail_from", "recipient", "message"]


def _no_needs(evidence: Evidence) -> tuple[Need, ...]:
    return ()


def _silent(evidence: Evidence) -> Decision:
    return NOTHING


@dataclass(frozen=True, slots=True)
class Restriction:
    """One restriction: what it must know, which checks it needs, and how it judges.

    `judge` is called when the checks of `needs` were made. `evaluate`, where it is set, takes the place of both.
    """

    name: str
    judge: Callable[[Evidence], Decision] = field(default=_silent, repr=False)
    requires: frozenset[Fact] = frozenset()
    needs: Callable[[Evidence], tuple[Need, ...]] = field(default=_no_needs, repr=False)
    evaluate: Callable[[Evidence], Steps[Decision]] | None = field(default=None, repr=False)
    note: str = ""

    def ready(self, evidence: Evidence) -> bool:
        """Whether the facts that it judges by are there."""
        return all(getattr(evidence, fact) is not None for fact in self.requires)

    def __str__(self) -> str:
        return f"{self.name} {self.note}".rstrip()


Caller: TypeAlias = Callable[[Evidence], Any]
"""A caller's own restriction: takes the evidence, returns a `Decision` or None; in aio it may be a coroutine."""


def as_restriction(item: Restriction | Caller) -> Restriction:
    """The restriction, or a caller's own callable as one. Raises `TypeError` for anything else."""
    if isinstance(item, Restriction):
        return item
    if not callable(item):
        raise TypeError(f"a restriction is a value of mailauth.restrictions or a callable, not {item!r}")
    name = getattr(item, "__name__", type(item).__name__)

    def evaluate(evidence: Evidence) -> Steps[Decision]:
        decision = yield Call(item, evidence)
        if decision is None:
            return NOTHING
        if not isinstance(decision, Decision):
            raise TypeError(f"the restriction {name} returned {decision!r}, not a Decision or None")
        return decision if decision.restriction else replace(decision, restriction=name)

    return Restriction(name, evaluate=evaluate)


def evaluate_list(restrictions: Sequence[Restriction], evidence: Evidence) -> Steps[Decision | None]:
    """The first verdict of the list; `NOTHING` at its end; None where a fact is missing that comes later.

    Restrictions that need no look-up are judged first, in order; at the first that does, the look-ups of all that
    follow are made side by side.
    """
    warnings: list[Decision] = []
    deferred: Decision | None = None
    for position, restriction in enumerate(restrictions):
        if not restriction.ready(evidence):
            return None
        decision = yield from _evaluate(restriction, restrictions[position:], evidence)
        warnings.extend(decision.warnings)
        if decision.if_permit:
            deferred = deferred or decision
        elif decision.action is Action.REJECT or decision.action is Action.DEFER:
            return replace(decision, warnings=tuple(warnings))
        elif decision.action is Action.PERMIT:
            return replace(deferred or decision, warnings=tuple(warnings))
    return replace(deferred or NOTHING, warnings=tuple(warnings))


def _evaluate(restriction: Restriction, rest: Sequence[Restriction], evidence: Evidence) -> Steps[Decision]:
    if restriction.evaluate is not None:
        decision: Decision = yield from restriction.evaluate(evidence)
        return decision
    if restriction.needs(evidence):
        needs = [need for later in rest if later.ready(evidence) for need in later.needs(evidence)]
        yield from evidence.gather(needs)
    return restriction.judge(evidence)


def warn_if_reject(restriction: Restriction | Caller) -> Restriction:
    """The restriction, whose rejections and deferrals are logged and reported, and do nothing else."""
    inner = as_restriction(restriction)

    def soften(decision: Decision) -> Decision:
        if decision.action not in (Action.REJECT, Action.DEFER):
            return decision
        _log.warning("would %s: %s (%s)", decision.action, decision.restriction, decision.reason)
        return Decision(Action.NONE, warnings=(decision,))

    if inner.evaluate is None:
        return replace(inner, judge=lambda evidence: soften(inner.judge(evidence)), note=f"{inner.note} (warn)")
    evaluate_inner = inner.evaluate

    def evaluate(evidence: Evidence) -> Steps[Decision]:
        return soften((yield from evaluate_inner(evidence)))

    return replace(inner, evaluate=evaluate, note=f"{inner.note} (warn)")
