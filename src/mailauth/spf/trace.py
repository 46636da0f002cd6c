# SECURITY: a trace holds what the client and the DNS sent. Printed, everything outside printable US-ASCII is escaped.
"""The trace: a tree of records, terms, questions and answers, for people and for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mailauth.plan.dns import Answer, Question
from mailauth.spf.record import Record
from mailauth.spf.terms import Result, Term

MATCH = "match"
NO_MATCH = "no match"
USED = "used"
"""The outcome of a redirect whose record gave the result."""


@dataclass(frozen=True, slots=True)
class TraceQuestion:
    """A question to the DNS and the answer to it."""

    question: Question
    answer: Answer

    def lines(self) -> Iterator[str]:
        """One line for people."""
        records = ", ".join(map(_shown, self.answer.records)) or str(self.answer.outcome)
        yield f"? {escaped(str(self.question))}: {records}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.question.name,
            "type": self.question.type,
            "outcome": str(self.answer.outcome),
            "records": [_plain(record) for record in self.answer.records],
        }


@dataclass(frozen=True, slots=True)
class TraceTerm:
    """A term that was evaluated."""

    term: Term
    outcome: str
    """"match", "no match", "used" (a redirect), or the error that ended the evaluation."""
    questions: tuple[TraceQuestion, ...] = ()
    record: TraceRecord | None = None
    """What an include or redirect led to."""
    number: int = 0
    """Which of the lookups it was, of the ten that are allowed; 0: it asks nothing."""
    void: bool = False
    """Whether it found nothing, which only two terms may."""

    def lines(self) -> Iterator[str]:
        """For people, indented."""
        counted = f" (lookup {self.number}{', void' if self.void else ''})" if self.number else ""
        yield f"{escaped(str(self.term))}: {self.outcome}{counted}"
        for question in self.questions:
            yield from _indented(question.lines())
        if self.record is not None:
            yield from _indented(self.record.lines())

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "term": str(self.term),
            "outcome": self.outcome,
            "number": self.number,
            "void": self.void,
            "questions": [question.to_dict() for question in self.questions],
            "record": None if self.record is None else self.record.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """A domain whose record was evaluated, or that has none."""

    domain: str
    result: Result
    record: Record | None = None
    """The parsed record; None where there is none, it is in error, or the answer failed."""
    questions: tuple[TraceQuestion, ...] = ()
    """How the record was found, where no term above shows it."""
    terms: tuple[TraceTerm, ...] = ()
    """The terms that were evaluated, in their order."""
    explanation: tuple[TraceQuestion, ...] = ()
    """What was asked to explain a fail."""

    def lines(self) -> Iterator[str]:
        """For people, indented."""
        yield f"{self.domain or '(no domain)'}: {self.result}"
        for question in self.questions:
            yield from _indented(question.lines())
        for term in self.terms:
            yield from _indented(term.lines())
        if self.explanation:
            yield "  explanation"
            for question in self.explanation:
                yield from _indented(_indented(question.lines()))

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "domain": self.domain,
            "result": self.result.value,
            "record": None if self.record is None else str(self.record),
            "questions": [question.to_dict() for question in self.questions],
            "terms": [term.to_dict() for term in self.terms],
            "explanation": [question.to_dict() for question in self.explanation],
        }


def _indented(lines: Iterator[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def escaped(text: str) -> str:
    r"""The text in printable US-ASCII, everything else as ``\xNN``, ``\uNNNN`` or ``\n``."""
    return text if text.isascii() and text.isprintable() else ascii(text)[1:-1]


def _plain(record: Any) -> str:
    match record:
        case bytes():
            return record.decode("latin-1")
        case (preference, host):
            return f"{preference} {host or '.'}"
    return str(record)


def _shown(record: Any) -> str:
    text = escaped(_plain(record))
    return f'"{text}"' if isinstance(record, bytes) else text
