# What belongs here: what a plan is, how plans are put together, and the sans-I/O engine that runs them.
# Nothing here reads a clock, opens a socket, starts a thread or imports an event loop.
"""Plans: protocol logic that yields DNS questions and is sent the answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable
from typing import Any, Generic, TypeAlias, TypeVar, overload

from mailauth import MailAuthError
from mailauth.plan.dns import TIMED_OUT, Answer, Question

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")


class PlanError(MailAuthError):
    """A plan was misused: run twice, or it yielded what is no request (often a forgotten ``yield from``)."""


class Together:
    """A request for several things at once: each part goes on at its own pace, the results keep their order."""

    __slots__ = ("parts",)

    def __init__(self, parts: Iterable[Question | Plan[Any]]) -> None:
        self.parts = tuple(parts)


Request: TypeAlias = Question | Together
"""What a plan may yield: one question, or several questions and plans at once."""

Plan: TypeAlias = Generator[Request, Any, T]
"""A generator that yields requests, is sent their results, and returns a `T`.

A plan performs no I/O and reads no clock. A yielded `Question` is answered by an `Answer`, `Together` by a list.
"""


def ask(question: Question) -> Plan[Answer]:
    """Ask one question: ``answer = yield from ask(question)``."""
    answer: Answer = yield question
    return answer


def ask_all(questions: Iterable[Question]) -> Plan[list[Answer]]:
    """Ask several questions at once; the answers come in the order of the questions."""
    answers: list[Answer] = yield Together(questions)
    return answers


def run_all(plans: Iterable[Plan[T]]) -> Plan[list[T]]:
    """Run plans of one kind side by side; none waits for another. The results come in the order of the plans."""
    results: list[T] = yield Together(plans)
    return results


@overload
def side_by_side(p1: Plan[T1], p2: Plan[T2], /) -> Plan[tuple[T1, T2]]: ...
@overload
def side_by_side(p1: Plan[T1], p2: Plan[T2], p3: Plan[T3], /) -> Plan[tuple[T1, T2, T3]]: ...
@overload
def side_by_side(p1: Plan[T1], p2: Plan[T2], p3: Plan[T3], p4: Plan[T4], /) -> Plan[tuple[T1, T2, T3, T4]]: ...
@overload
def side_by_side(
    p1: Plan[T1], p2: Plan[T2], p3: Plan[T3], p4: Plan[T4], p5: Plan[T5], /
) -> Plan[tuple[T1, T2, T3, T4, T5]]: ...
def side_by_side(*plans: Plan[Any]) -> Plan[Any]:
    """Run plans of different kinds side by side; none waits for another.

    The time it takes is that of the slowest plan, not the sum, and a question that two of them have open at the
    same moment is asked once.
    """
    results: list[Any] = yield Together(plans)
    return tuple(results)


def require_fresh(plan: Plan[Any]) -> None:
    """Refuse what is no plan, and a plan that was started before: it would yield None or half a result.

    Raises `TypeError` or `PlanError`.
    """
    if not inspect.isgenerator(plan):
        raise TypeError(f"a plan is a generator, not {type(plan).__name__}")
    if inspect.getgeneratorstate(plan) != inspect.GEN_CREATED:
        raise PlanError(f"the plan {plan.__qualname__} was run before; make a new one")


class _Task:
    """A plan that is being run, and what it waits for."""

    __slots__ = ("index", "missing", "parent", "plan", "results")

    def __init__(self, plan: Plan[Any], parent: _Task | None, index: int) -> None:
        self.plan = plan
        self.parent = parent
        self.index = index  # the place in the parent's results
        self.results: list[Any] = []
        self.missing = 0


class Execution(Generic[T]):
    """Runs one plan without any I/O: it says what to ask, and is told the answers as they come, in any order.

    This is the whole of what a driver needs; `run` and `run_async` are two of them. Typical use::

        execution = Execution(plan)
        questions = execution.start()
        while not execution.finished:
            question, answer = ...          # whichever answer comes first
            questions = execution.answer(question, answer)
        result = execution.result

    An exception raised by the plan (a bug, or the caller's own mistake) comes out of `start` or `answer`, after
    every other part was closed. `close` may be called at any time.
    """

    def __init__(self, plan: Plan[T]) -> None:
        require_fresh(plan)
        self._set_up(plan)

    @classmethod
    def adopt(cls, plan: Plan[T], request: Request) -> Execution[T]:
        """Take over a plan that a driver has advanced itself, up to `request`; `start` then returns its questions."""
        execution = cls.__new__(cls)
        execution._set_up(plan)
        execution._adopted = request
        return execution

    def _set_up(self, plan: Plan[T]) -> None:
        self._root = _Task(plan, None, 0)
        # A question that several parts have open is asked once; all who wait for it stand here.
        self._waiting: dict[Question, list[tuple[_Task, int | None]]] = {}
        self._asked: list[Question] = []
        self._live: set[_Task] = {self._root}
        self._started = False
        self._adopted: Request | None = None
        self._result: T | None = None
        self.finished = False

    @property
    def result(self) -> T:
        """What the plan returned; `PlanError` as long as it has not finished."""
        if not self.finished:
            raise PlanError("the plan has not finished")
        return self._result  # type: ignore[return-value]

    @property
    def open_questions(self) -> list[Question]:
        """The questions that are not answered yet."""
        return list(self._waiting)

    def start(self) -> list[Question]:
        """Begin; return the first questions to ask."""
        if self._started:
            raise PlanError("the execution was started before")
        self._started = True
        self._guarded(self._begin)
        return self._new_questions()

    def answer(self, question: Question, answer: Answer) -> list[Question]:
        """Give the answer to an open question; return the questions that are to be asked because of it."""
        waiting = self._waiting.pop(question, None)
        if waiting is None:
            raise PlanError(f"nobody waits for {question}")
        self._guarded(self._hand_out, waiting, answer)
        return self._new_questions()

    def expire(self) -> None:
        """The time is over: answer everything that is open, and whatever is asked after, with "timed out"."""
        while self._waiting:
            for question in list(self._waiting):
                if question in self._waiting:
                    self.answer(question, TIMED_OUT)

    def close(self) -> None:
        """Close the plan and all its parts at once."""
        live, self._live = self._live, set()
        self._waiting.clear()
        for task in live:
            task.plan.close()

    def _guarded(self, step: Callable[..., None], *arguments: Any) -> None:
        try:
            step(*arguments)
        except BaseException:
            self.close()
            raise

    def _begin(self) -> None:
        request = self._adopted
        if request is None:
            self._advance(self._root, None)
        elif self._take(self._root, request):
            self._advance(self._root, self._root.results)

    def _new_questions(self) -> list[Question]:
        asked, self._asked = self._asked, []
        return asked

    def _hand_out(self, waiting: list[tuple[_Task, int | None]], answer: Answer) -> None:
        for task, index in waiting:
            if index is None:
                self._advance(task, answer)
            else:
                self._deliver(task, index, answer)

    def _advance(self, task: _Task, value: Any) -> None:
        while True:
            try:
                request = task.plan.send(value)
            except StopIteration as stop:
                self._finish(task, stop.value)
                return
            if not self._take(task, request):
                return
            value = task.results

    def _take(self, task: _Task, request: Request) -> bool:
        """Begin what the task asks for; whether all of it is there already."""
        if type(request) is Question:
            self._wait(request, task, None)
            return False
        if isinstance(request, Together):
            return self._spread(task, request.parts)
        raise PlanError(f"a plan yielded {request!r}; is a 'yield from' missing?")

    def _spread(self, task: _Task, parts: tuple[Question | Plan[Any], ...]) -> bool:
        task.results = [None] * len(parts)
        # One more than there are, so that a part that ends at once does not resume the task in mid-loop.
        task.missing = len(parts) + 1
        for index, part in enumerate(parts):
            if isinstance(part, Question):
                self._wait(part, task, index)
            else:
                require_fresh(part)
                child = _Task(part, task, index)
                self._live.add(child)
                self._advance(child, None)
        task.missing -= 1
        return not task.missing

    def _wait(self, question: Question, task: _Task, index: int | None) -> None:
        waiting = self._waiting.get(question)
        if waiting is None:
            self._waiting[question] = [(task, index)]
            self._asked.append(question)
        else:
            waiting.append((task, index))

    def _finish(self, task: _Task, value: Any) -> None:
        self._live.discard(task)
        if task.parent is None:
            self._result = value
            self.finished = True
        else:
            self._deliver(task.parent, task.index, value)

    def _deliver(self, task: _Task, index: int, value: Any) -> None:
        task.results[index] = value
        task.missing -= 1
        if not task.missing:
            self._advance(task, task.results)
