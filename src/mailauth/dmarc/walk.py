"""The DNS tree walk (RFC 9989 section 4.10): the names of a domain that may have a record, and what is found there.

All names of a walk are known before the first answer, so they are asked at once. A `Walk` is a value: the
organizational domain and the policy record are read from it, and nothing is decided here.
"""

# SECURITY: the domain comes from the peer. A walk asks at most eight questions, however many labels there are.

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from mailauth.dmarc.record import DmarcRecord, Psd, RecordProblem, parse_record
from mailauth.mail.text import printable
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


@lru_cache(maxsize=1024)
def _walk_of(domain: str) -> tuple[tuple[str, ...], tuple[Question, ...]]:
    """Names and questions of a walk; a busy sender's is made again and again."""
    names = walk_names(domain)
    return tuple(names), tuple(map(question_at, names))


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

    @property
    def text(self) -> str:
        """The record as it is published, in printable characters; "" where there is not exactly one."""
        found = self.records
        return found[0] if len(found) == 1 else ""

    @property
    def records(self) -> tuple[str, ...]:
        """All DMARC records as they are published, in printable characters; there should be one."""
        return tuple(
            printable(text.decode("utf-8", "replace")) for text in self._texts if parse_record(text) is not None
        )

    @property
    def words(self) -> str:
        """What was found, in words: the record as it is published, or why there is none."""
        if self.record is not None:
            return self.text
        if self.why == "no-record":
            return "other text, no DMARC record" if self.answer.found else "no record"
        if self.why == "several-records":
            return "several records, which are all discarded"
        if self.why == "dns-error":
            return f"could not be looked up: {self.answer.outcome}"
        return next(found.words for text in self._texts if isinstance(found := parse_record(text), RecordProblem))

    @property
    def _texts(self) -> tuple[bytes, ...]:
        return self.answer.texts[:MAX_RECORDS] if self.answer.found else ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "question": str(question_at(self.name)),
            "outcome": self.answer.outcome.value,
            "text": self.text,
            "record": None if self.record is None else str(self.record),
            "why": self.why,
        }


def visit(name: str, answer: Answer) -> Visit:
    """What an answer says of a name (RFC 9989 section 4.10 step 2)."""
    if not answer.found:
        return Visit(name, answer, None, "dns-error" if answer.failed else "no-record")
    found = [record for text in answer.texts[:MAX_RECORDS] if (record := parse_record(text)) is not None]
    if len(found) != 1:
        return Visit(name, answer, None, "several-records" if found else "no-record")
    (only,) = found
    return Visit(name, answer, None, only.code) if isinstance(only, RecordProblem) else Visit(name, answer, only, "")


class Walk(NamedTuple):
    """A walk from `start`: its visits from the longest name to the one where it stopped.

    What lies above that is not looked at, DNS errors there included: it stands in `beyond`, since all names of a walk
    are asked at once, and the walk from another domain may come there. `organizational_domain` is that of the start
    (RFC 9989 section 4.10.2), None if a DNS error hides it.
    """

    start: str
    visits: tuple[Visit, ...]
    beyond: tuple[Visit, ...]
    organizational_domain: str | None

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
    def discarded(self) -> tuple[Visit, ...]:
        """The names that have DMARC records which do not count: several, or one that is unusable."""
        return tuple(visit for visit in self.visits if visit.why not in ("", "no-record", "dns-error"))

    @property
    def public_suffix(self) -> Visit | None:
        """The name above the start that says psd=y, if the walk came to one."""
        last = self.visits[-1]
        return last if last.name != self.start and last.record and last.record.psd is Psd.YES else None

    def record_at(self, name: str) -> DmarcRecord | None:
        """The record that the walk found at a name."""
        return next((visit.record for visit in self.visits if visit.name == name), None)


def walk_from(domain: str, known: Mapping[str, Visit]) -> Walk:
    """The walk from a domain, all of whose names were visited."""
    visits = tuple([known[name] for name in _walk_of(domain)[0]])
    for index, each in enumerate(visits, start=1):
        if each.stops:
            return Walk(domain, visits[:index], visits[index:], _organizational(visits[:index]))
    return Walk(domain, visits, (), _organizational(visits))


def _organizational(visits: tuple[Visit, ...]) -> str | None:
    """RFC 9989 section 4.10.2, from the visits of a walk up to its stop."""
    fewest = start = visits[0].name
    for name, _, record, why in visits:
        if record is not None:
            fewest = name
            if record.psd is Psd.YES and name != start:
                # One label below it, of the start's own labels: the walk may have passed over that name.
                return ".".join(start.split(".")[-2 - name.count(".") :])
        elif why == "dns-error":
            return None
    return fewest


def visit_all(domain: str) -> Plan[dict[str, Visit]]:
    """Visit the names of a walk, all at once."""
    names, questions = _walk_of(domain)
    answers = yield from ask_all(questions)
    return {name: visit(name, answer) for name, answer in zip(names, answers, strict=True)}


def walk(domain: str) -> Plan[Walk]:
    """A plan that walks from a domain: an A-label name in lower case without a final dot. One round of questions."""
    return walk_from(domain, (yield from visit_all(domain)))
