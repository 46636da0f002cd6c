"""The DNS tree walk (RFC 9989 section 4.10): the names of a domain that may have a record, and what is found there.

All names of a walk are known before the first answer, so they are asked at once. A `Walk` is a value: the
organizational domain and the policy record are read from it, and nothing is decided here.
"""

# SECURITY: the domain comes from the peer. A walk asks at most eight questions, however many labels there are.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mailauth.dmarc.record import DmarcRecord, Psd, RecordProblem, parse_record
from mailauth.plan import Answer, Plan, Question, ask_all

MAX_WALK = 8
"""Questions of one walk (RFC 9989 section 4.10)."""

MAX_RECORDS = 100
"""TXT records that are looked at in one answer."""


def walk_names(domain: str) -> list[str]:
    """The names of a walk from `domain`, longest first: itself, then at most its right-most seven labels, downwards."""
    labels = domain.split(".")
    shorter = range(max(1, len(labels) - MAX_WALK + 1), len(labels))
    return [domain, *[".".join(labels[start:]) for start in shorter]]


def question_at(name: str) -> Question:
    """The question for the record of a name."""
    return Question(f"_dmarc.{name}", "TXT")


class Visit(NamedTuple):
    """One name of a walk: what came, the record if there is exactly one that is sound, or why there is none.

    `why` is "" for a record, "no-record", "several-records", "dns-error", or the code of a `RecordProblem`.
    """

    name: str
    answer: Answer
    record: DmarcRecord | None
    why: str

    @property
    def stops(self) -> bool:
        """Whether the walk ends here (RFC 9989 section 4.10 steps 2 and 6)."""
        return self.record is not None and self.record.psd is not Psd.UNKNOWN

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "question": str(question_at(self.name)),
            "outcome": self.answer.outcome.value,
            "record": None if self.record is None else str(self.record),
            "why": self.why,
        }


def visit(name: str, answer: Answer) -> Visit:
    """What an answer says of a name (RFC 9989 section 4.10 step 2)."""
    if answer.failed:
        return Visit(name, answer, None, "dns-error")
    found: list[DmarcRecord | RecordProblem] = []
    for text in answer.texts[:MAX_RECORDS] if answer.found else ():
        record = parse_record(text)
        if record is not None:
            found.append(record)
    if not found:
        return Visit(name, answer, None, "no-record")
    if len(found) > 1:
        return Visit(name, answer, None, "several-records")
    (only,) = found
    return Visit(name, answer, None, only.code) if isinstance(only, RecordProblem) else Visit(name, answer, only, "")


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk from `start`: its visits from the longest name to the one where it stopped.

    What lies above that is not looked at, DNS errors there included: it stands in `beyond`, since all names of a walk
    are asked at once, and the walk from another domain may come there.
    """

    start: str
    visits: tuple[Visit, ...]
    beyond: tuple[Visit, ...] = ()

    @property
    def own_record(self) -> DmarcRecord | None:
        """The record of the start itself."""
        return self.visits[0].record

    @property
    def failed(self) -> Visit | None:
        """The first name whose answer was a DNS error: what it would have said is not known."""
        return next((visit for visit in self.visits if visit.why == "dns-error"), None)

    @property
    def unusable(self) -> Visit | None:
        """The first name whose record has a tag twice or is too long."""
        return next((visit for visit in self.visits if visit.why in ("duplicate-tag", "too-long")), None)

    @property
    def public_suffix(self) -> Visit | None:
        """The name above the start that says psd=y, if the walk came to one."""
        last = self.visits[-1]
        return last if last.name != self.start and last.record and last.record.psd is Psd.YES else None

    @property
    def organizational_domain(self) -> str | None:
        """The organizational domain of the start (RFC 9989 section 4.10.2); None if a DNS error hides it."""
        if self.failed is not None:
            return None
        last = self.visits[-1]
        if last.record is not None and last.record.psd is Psd.NO:
            return last.name
        suffix = self.public_suffix
        if suffix is not None:
            # One label below it, of the start's own labels: the walk may have passed over that name.
            return ".".join(self.start.split(".")[-2 - suffix.name.count(".") :])
        found = [visit.name for visit in self.visits if visit.record is not None]
        return found[-1] if found else self.start

    def record_at(self, name: str) -> DmarcRecord | None:
        """The record that the walk found at a name."""
        return next((visit.record for visit in self.visits if visit.name == name), None)


def walk_from(domain: str, known: Mapping[str, Visit]) -> Walk:
    """The walk from a domain, all of whose names were visited."""
    visits = [known[name] for name in walk_names(domain)]
    end = next((index for index, each in enumerate(visits, start=1) if each.stops), len(visits))
    return Walk(domain, tuple(visits[:end]), tuple(visits[end:]))


def ask_names(names: list[str]) -> Plan[dict[str, Visit]]:
    """Visit names, all at once."""
    answers = yield from ask_all([question_at(name) for name in names])
    return {name: visit(name, answer) for name, answer in zip(names, answers, strict=True)}


def walk(domain: str) -> Plan[Walk]:
    """A plan that walks from a domain: an A-label name in lower case without a final dot. One round of questions."""
    return walk_from(domain, (yield from ask_names(walk_names(domain))))
