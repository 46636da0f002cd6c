# What belongs here: the record of an evaluation: what was asked, what was read, what each term did. It holds no times
# and no TTLs, so that the same DNS data give the same trace. The tracer looks on; it never changes what is evaluated.
#
# SECURITY: a trace holds what the client and the DNS sent. Printed, everything outside printable US-ASCII is escaped.
"""The trace: a tree of records, terms, questions and answers, for people and for JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from mailauth.plan.dns import Answer, Question
from mailauth.plan.execution import Plan, Request
from mailauth.spf.record import Networks, Record, Step
from mailauth.spf.terms import Mechanism, Redirect, Result, Term

if TYPE_CHECKING:
    from mailauth.spf.evaluation import Evaluation
    from mailauth.spf.result import SpfResult

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

    def lines(self) -> Iterator[str]:
        """For people, indented."""
        yield f"{escaped(str(self.term))}: {self.outcome}"
        for question in self.questions:
            yield from _indented(question.lines())
        if self.record is not None:
            yield from _indented(self.record.lines())

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "term": str(self.term),
            "outcome": self.outcome,
            "questions": [question.to_dict() for question in self.questions],
            "record": None if self.record is None else self.record.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class TraceRecord:
    """A domain whose record was evaluated, or that has none."""

    domain: str
    result: Result
    record: Record | None = None
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


# --- watching an evaluation -------------------------------------------------------------------------------


@dataclass(slots=True)
class _OpenTerm:
    term: Term
    outcome: str = ""
    questions: list[TraceQuestion] = field(default_factory=list)
    record: _OpenRecord | None = None

    def closed(self) -> TraceTerm:
        record = None if self.record is None else self.record.closed(None)
        return TraceTerm(self.term, self.outcome, tuple(self.questions), record)


@dataclass(slots=True)
class _OpenRecord:
    domain: str
    record: Record | None = None
    questions: list[TraceQuestion] = field(default_factory=list)
    terms: list[_OpenTerm] = field(default_factory=list)
    explanation: list[TraceQuestion] = field(default_factory=list)

    def closed(self, result: Result | None) -> TraceRecord:
        terms = tuple(term.closed() for term in self.terms)
        questions, explanation = tuple(self.questions), tuple(self.explanation)
        return TraceRecord(self.domain, result or _result_of(terms), self.record, questions, terms, explanation)


def _result_of(terms: tuple[TraceTerm, ...]) -> Result:
    """What an included or redirected record gave, as its last term tells."""
    last = terms[-1] if terms else None
    if last is None or last.outcome == NO_MATCH:
        return Result.NEUTRAL
    if last.outcome == USED:
        return Result.PERMERROR if last.record is None else last.record.result
    if last.outcome == MATCH:
        return cast("Mechanism", last.term).qualifier.result
    return Result(last.outcome)


class Tracer:
    """Takes notes while an evaluation runs.

    The terms that are being evaluated form a stack. A term that is still open when the evaluation goes on with an
    outer one has matched: where there is no match the next step is taken, and an error ends everything at once.
    """

    def __init__(self, domain: str, number: int) -> None:
        self._root = _OpenRecord(domain)
        self._number = number
        self._open: list[_OpenTerm] = []
        self._explaining = False

    def note(self, question: Question, answer: Answer) -> None:
        """A question was answered."""
        if self._explaining:
            place = self._root.explanation
        else:
            place = self._open[-1].questions if self._open else self._root.questions
        place.append(TraceQuestion(question, answer))

    def follow(self, record: Record, domain: str) -> Iterator[Step]:
        """The steps of a record, in their order: whoever takes the next one found no match in the last."""
        node = self._enter(record, domain)
        depth = len(self._open)
        for step in record.program:
            if isinstance(step, Networks):
                self._compare(node, step)
                yield step
            else:
                self._begin(node, step.term)
                yield step
                self._leave(depth + 1)
                self._open.pop().outcome = NO_MATCH
        ending = record.redirect or record.all
        if ending is not None:
            self._begin(node, ending)

    def begin_explanation(self) -> None:
        """The evaluation is over; what is asked from now on is for the explanation."""
        self._leave(0)
        self._explaining = True

    def finish(self, result: Result) -> TraceRecord:
        """The trace of an evaluation that ended so."""
        if result in (Result.TEMPERROR, Result.PERMERROR):
            for term in self._open:
                term.outcome = result.value
        else:
            self._leave(0)
        return self._root.closed(result)

    def _enter(self, record: Record, domain: str) -> _OpenRecord:
        if not self._open:
            self._root.record = record
            return self._root
        node = self._open[-1].record = _OpenRecord(domain, record)
        return node

    def _begin(self, node: _OpenRecord, term: Term) -> None:
        opened = _OpenTerm(term)
        node.terms.append(opened)
        self._open.append(opened)

    def _compare(self, node: _OpenRecord, networks: Networks) -> None:
        matching = networks.first_match(self._number) if networks.covers(self._number) else None
        for term in networks.terms:
            if term is matching:
                self._begin(node, term)
                return
            node.terms.append(_OpenTerm(term, NO_MATCH))

    def _leave(self, depth: int) -> None:
        while len(self._open) > depth:
            left = self._open.pop()
            left.outcome = USED if isinstance(left.term, Redirect) else MATCH


def traced(evaluation: Evaluation, plan: Plan[SpfResult]) -> Plan[SpfResult]:
    """The same plan, with the trace in its result."""
    domain = "" if evaluation.question is None else evaluation.domain
    tracer = evaluation.tracer = Tracer(domain, evaluation.client.number)
    answer: Answer | None = None
    while True:
        try:
            request: Request = plan.send(answer)
        except StopIteration as stop:
            result: SpfResult = stop.value
            return replace(result, trace=tracer.finish(result.result))
        answer = yield request
        assert isinstance(request, Question)
        tracer.note(request, answer)
