"""Watches an evaluation and writes down what is asked, what is read, what each term does; it never changes a result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import cast

from mailauth.plan.dns import Answer, Question
from mailauth.plan.execution import Plan, Request
from mailauth.spf.compile import Networks, Step
from mailauth.spf.evaluate import Evaluation
from mailauth.spf.record import Record
from mailauth.spf.result import SpfResult
from mailauth.spf.terms import Asking, Mechanism, Redirect, Result, Term
from mailauth.spf.trace import MATCH, NO_MATCH, USED, TraceQuestion, TraceRecord, TraceTerm


@dataclass(slots=True)
class _OpenTerm:
    term: Term
    outcome: str = ""
    questions: list[TraceQuestion] = field(default_factory=list)
    record: _OpenRecord | None = None
    number: int = 0
    void: int = 0

    def closed(self) -> TraceTerm:
        record = None if self.record is None else self.record.closed(None)
        return TraceTerm(self.term, self.outcome, tuple(self.questions), record, self.number, self.void > 0)


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

    def __init__(self, domain: str, evaluation: Evaluation) -> None:
        self._root = _OpenRecord(domain)
        self._evaluation = evaluation
        self._number = evaluation.client.number
        self._open: list[_OpenTerm] = []
        self._explaining = False
        self._void = 0

    def count(self) -> None:
        """The evaluation asks something, or has ended: what the terms have cost so far is known."""
        evaluation = self._evaluation
        if self._open and not self._explaining:
            term = self._open[-1]
            if not term.number and isinstance(term.term, Asking):
                term.number = evaluation.lookups
            term.void += evaluation.void_lookups - self._void
        self._void = evaluation.void_lookups

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
                self.count()
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
    tracer = evaluation.tracer = Tracer(domain, evaluation)
    answer: Answer | None = None
    while True:
        try:
            request: Request = plan.send(answer)
        except StopIteration as stop:
            result: SpfResult = stop.value
            tracer.count()
            return replace(result, trace=tracer.finish(result.result))
        tracer.count()
        answer = yield request
        assert isinstance(request, Question)
        tracer.note(request, answer)
