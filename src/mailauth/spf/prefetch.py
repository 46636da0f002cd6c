"""Prefetching: what records may need is asked side by side.

Asking before it is needed. It decides nothing: the evaluation runs as ever, only that its questions find the answers
already there; what was not asked before, it asks itself. So neither the result nor the counts can depend on it.
"""

# SECURITY: no more terms are followed than one evaluation may (`SpfPolicy.max_lookups`), so a record makes it ask at
# most what an evaluation without any match would ask.

from __future__ import annotations

from collections.abc import Iterator

from mailauth.plan.dns import Answer, Question
from mailauth.plan.execution import Gather, Plan, Request
from mailauth.spf.compile import Lookup, Networks
from mailauth.spf.evaluate import Evaluation
from mailauth.spf.macros import target_name
from mailauth.spf.record import Record, parsed_record
from mailauth.spf.result import SpfResult
from mailauth.spf.terms import Ptr


def prefetched(evaluation: Evaluation, plan: Plan[SpfResult]) -> Plan[SpfResult]:
    """The same plan; what the records may ask is asked at once, level by level."""
    prefetch = _Prefetch(evaluation)
    if evaluation.question is not None:
        yield from prefetch.follow(evaluation.question)
    answer: Answer | None = None
    while True:
        try:
            request: Request = plan.send(answer)
        except StopIteration as stop:
            result: SpfResult = stop.value
            return result
        assert isinstance(request, Question)
        answer = prefetch.answers.get(request)
        if answer is None:
            answer = yield request


class _Prefetch:
    def __init__(self, evaluation: Evaluation) -> None:
        self.evaluation = evaluation
        self.answers: dict[Question, Answer] = {}
        self._asked: set[Question] = set()
        self._terms_left = evaluation.policy.max_lookups

    def follow(self, question: Question) -> Plan[None]:
        """Ask, and ask what follows from the answer."""
        if question in self._asked:
            return
        self._asked.add(question)
        answer: Answer = yield question
        self.answers[question] = answer
        further = list(self._further(question, answer))
        if further:
            yield Gather(self.follow(each) for each in further)

    def _further(self, question: Question, answer: Answer) -> Iterator[Question]:
        if question.type == "TXT":
            records = [record for record in map(parsed_record, answer.texts) if record is not None]
            if len(records) == 1 and isinstance(records[0], Record):
                yield from self._of_record(records[0], question.name)
        elif question.type == "MX" and len(answer.exchanges) <= self.evaluation.policy.max_mx_hosts:
            for name in filter(None, (target_name(exchange.host) for exchange in answer.exchanges)):
                yield Question(name, self.evaluation.client.address_type)

    def _of_record(self, record: Record, domain: str) -> Iterator[Question]:
        for step in record.program:
            if isinstance(step, Networks):
                if step.covers(self.evaluation.client.number):
                    return
                continue
            yield from self._of_term(step, domain)
        if record.redirect_step is not None:
            yield from self._of_term(record.redirect_step, domain)

    def _of_term(self, step: Lookup, domain: str) -> Iterator[Question]:
        # Names with %{p} are known only after questions of their own, and "ptr" is better not asked in advance.
        if not self._terms_left or "p" in step.letters or isinstance(step.term, Ptr):
            return
        self._terms_left -= 1
        question = self.evaluation.question_of(step, domain)
        if question is not None and self.evaluation.can_match(step):
            yield question
