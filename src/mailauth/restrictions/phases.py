"""`Restrictions`: the five lists of Postfix as one value. How they are evaluated is base.py's and session.py's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from mailauth.restrictions.base import FACT_OF, PHASES, Caller, Phase, Restriction, as_restriction
from mailauth.transaction.facts import Fact


@dataclass(frozen=True, slots=True, init=False)
class Restrictions:
    """The five lists of Postfix (smtpd_client_restrictions and so on), each evaluated in order.

    Items are values of `mailauth.restrictions`, or callables of the caller's own. A list may hold restrictions that
    judge by a later fact (the sender in the list of the client): it then waits for it, though not for the message,
    which comes when every recipient was answered. Raises `TypeError` for other items and `ValueError` for a
    restriction that needs the message outside of `data`.
    """

    client: tuple[Restriction, ...]
    helo: tuple[Restriction, ...]
    sender: tuple[Restriction, ...]
    recipient: tuple[Restriction, ...]
    data: tuple[Restriction, ...]
    _facts: dict[Phase, frozenset[Fact]] = field(compare=False, repr=False)

    def __init__(
        self,
        *,
        client: Iterable[Restriction | Caller] = (),
        helo: Iterable[Restriction | Caller] = (),
        sender: Iterable[Restriction | Caller] = (),
        recipient: Iterable[Restriction | Caller] = (),
        data: Iterable[Restriction | Caller] = (),
    ) -> None:
        for phase, items in zip(PHASES, (client, helo, sender, recipient, data), strict=True):
            restrictions = tuple(as_restriction(item) for item in _listed(phase, items))
            if phase != "data":
                _refuse_message(phase, restrictions)
            object.__setattr__(self, phase, restrictions)
        object.__setattr__(self, "_facts", {phase: frozenset(self._facts_of(phase)) for phase in PHASES})

    def of(self, phase: Phase) -> tuple[Restriction, ...]:
        """The list of one phase."""
        restrictions: tuple[Restriction, ...] = getattr(self, phase)
        return restrictions

    def facts(self, phase: Phase) -> frozenset[Fact]:
        """The facts on which the decision of this list depends, that of its own phase included."""
        return self._facts[phase]

    def __iter__(self) -> Iterator[Restriction]:
        """All restrictions, list by list."""
        return iter(self.client + self.helo + self.sender + self.recipient + self.data)

    def _facts_of(self, phase: Phase) -> set[Fact]:
        own = {FACT_OF[phase]} if phase in FACT_OF else set[Fact]()
        return own.union(*(restriction.requires for restriction in self.of(phase)))


def _listed(phase: Phase, items: Iterable[Restriction | Caller]) -> Iterable[Restriction | Caller]:
    if isinstance(items, Restriction) or callable(items):
        raise TypeError(f"{phase} is a list of restrictions, not one restriction")
    return items


def _refuse_message(phase: Phase, restrictions: Iterable[Restriction]) -> None:
    for restriction in restrictions:
        if "message" in restriction.requires:
            raise ValueError(f"{restriction.name} needs the message: it belongs into the list data, not {phase}")
