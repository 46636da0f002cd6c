"""`RecordingResolver`: passes questions on to another resolver, and notes what was asked, when, and what came back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from mailauth.plan.dns import Answer, Question

MAX_RECORDED = 10_000
"""Questions that are kept; later ones are asked, and not noted."""


class Asked(NamedTuple):
    """A question with its answer. `at` is when it was asked, in seconds since the recorder was made; `took` how long it
    took, in seconds; 0 where the answer was known already (a cache, a zone in memory)."""

    question: Question
    answer: Answer
    at: float
    took: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values; of the answer only how it ended and how many records it had."""
        return {
            "name": self.question.name,
            "type": self.question.type,
            "outcome": str(self.answer.outcome),
            "records": len(self.answer.records),
            "at": round(self.at, 6),
            "took": round(self.took, 6),
        }


class RecordingResolver:
    """A resolver around another one, with the methods that the other one has: for sync or async callers, or both.

    `clock` gives seconds; `note` is called with each question and its answer, one at a time. May be shared between
    threads. Raises `TypeError` for an object that is not a resolver.
    """

    lookup: Callable[[Question, float | None], Answer]
    submit: Callable[[Question, float | None], Future[Answer]]
    lookup_now: Callable[[Question], Answer | None]
    lookup_async: Callable[[Question], Any]

    def __init__(
        self,
        resolver: object,
        *,
        clock: Callable[[], float] = time.monotonic,
        note: Callable[[Question, Answer], object] | None = None,
    ) -> None:
        methods = [name for name in ("lookup", "submit", "lookup_now", "lookup_async") if hasattr(resolver, name)]
        if "lookup" not in methods and "lookup_async" not in methods:
            raise TypeError(f"{type(resolver).__name__} is no resolver: it has neither lookup() nor lookup_async()")
        self._resolver: Any = resolver
        self._clock = clock
        self._on_answer = note
        self._start = clock()
        self._lock = threading.Lock()
        self._asked: list[Asked] = []
        # Drivers go by which methods are there.
        for name in methods:
            setattr(self, name, getattr(self, f"_{name}"))

    @property
    def asked(self) -> tuple[Asked, ...]:
        """What was asked so far, in the order in which it was asked."""
        with self._lock:
            return tuple(sorted(self._asked, key=lambda each: each.at))

    @property
    def questions(self) -> tuple[Question, ...]:
        """The questions alone, in the order in which they were asked."""
        return tuple(each.question for each in self.asked)

    def _note(self, question: Question, started: float, answer: Answer) -> Answer:
        took = self._clock() - started
        with self._lock:
            if len(self._asked) < MAX_RECORDED:
                self._asked.append(Asked(question, answer, started - self._start, took))
            if self._on_answer is not None:
                self._on_answer(question, answer)
        return answer

    def _lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        started = self._clock()
        return self._note(question, started, self._resolver.lookup(question, time_limit))

    def _lookup_now(self, question: Question) -> Answer | None:
        answer: Answer | None = self._resolver.lookup_now(question)
        return answer if answer is None else self._note(question, self._clock(), answer)

    def _submit(self, question: Question, time_limit: float | None = None) -> Future[Answer]:
        future: Future[Answer] = self._resolver.submit(question, time_limit)
        future.add_done_callback(partial(self._note_future, question, self._clock()))
        return future

    def _note_future(self, question: Question, started: float, future: Future[Answer]) -> None:
        # A future that was cancelled, or whose resolver raised, has no answer.
        if not future.cancelled() and future.exception() is None:
            self._note(question, started, future.result())

    async def _lookup_async(self, question: Question) -> Answer:
        started = self._clock()
        return self._note(question, started, await self._resolver.lookup_async(question))
