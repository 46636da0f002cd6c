"""Plans: protocol logic that yields DNS questions and is sent the answers.

What a plan is, how plans are put together, and the sans-I/O engine that runs them. Nothing here reads a clock, opens
a socket, starts a thread or imports an event loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from types import GeneratorType
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
    """A plan was misused: run twice, or it yielded something else than a request (often a forgotten ``yield from``)."""


class Gather:
    """A request for several things at once: each part goes on at its own pace, the results keep their order."""

    __slots__ = ("known", "parts")

    def __init__(self, parts: Iterable[Question | Plan[Any]]) -> None:
        self.parts = tuple(parts)
        self.known: Sequence[Answer] = ()  # to the first of the parts

    def answers_now(self, lookup_now: LookupNow) -> list[Answer] | None:
        """All answers, if the parts are questions and none has to be waited for: 3 us of 5 for two questions gained."""
        self.known = answers = []
        for part in self.parts:
            answer = lookup_now(part) if type(part) is Question else None
            if answer is None:
                return None
            answers.append(answer)
        return answers


class Call:
    """A request to call a function outside of the plan: a store, or a restriction that the caller wrote.

    `run` calls the function; `run_async` calls it and awaits its result where that is awaitable. What the function
    returns is sent to the plan, an exception that it raises is thrown into the plan. The time limit of the plan, which
    is for the DNS, does not end a call.
    """

    __slots__ = ("arguments", "function")

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def __str__(self) -> str:
        return f"call of {getattr(self.function, '__qualname__', self.function)}"


Request: TypeAlias = Question | Call | Gather
"""What a plan may yield: one question, one call, or several questions and plans at once."""

Plan: TypeAlias = Generator[Request, Any, T]
"""A generator that yields requests, is sent their results, and returns a `T`.

A plan performs no I/O and reads no clock. A `Question` is answered by an `Answer`, a `Call` by what the function
returns, `Gather` by a list.
"""


def ask(question: Question) -> Plan[Answer]:
    """Ask one question: ``answer = yield from ask(question)``."""
    answer: Answer = yield question
    return answer


def ask_all(questions: Iterable[Question]) -> Plan[list[Answer]]:
    """Ask several questions at once; the answers come in the order of the questions."""
    answers: list[Answer] = yield Gather(questions)
    return answers


def run_all(plans: Iterable[Plan[T]]) -> Plan[list[T]]:
    """Run plans of one kind side by side; none waits for another. The results come in the order of the plans."""
    results: list[T] = yield Gather(plans)
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
    results: list[Any] = yield Gather(plans)
    return tuple(results)


def require_fresh(plan: Plan[Any]) -> None:
    """Refuse anything that is not a plan, and a plan that was started before: it would yield None or half a result.

    Raises `TypeError` or `PlanError`.
    """
    if type(plan) is not GeneratorType:
        raise TypeError(f"a plan is a generator, not {type(plan).__name__}")
    if plan.gi_suspended or plan.gi_running or plan.gi_frame is None:
        raise PlanError(f"the plan {plan.__qualname__} was run before; make a new one")


class _Raised:
    """An exception on its way into the plan that asked for the call."""

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


class _Task:
    """A plan that is being run, and what it waits for."""

    __slots__ = ("index", "missing", "parent", "plan", "results")

    def __init__(self, plan: Plan[Any], parent: _Task | None, index: int) -> None:
        self.plan = plan
        self.parent = parent
        self.index = index  # the place in the parent's results
        self.results: list[Any] = []
        self.missing = 0


_BEGIN = object()

LookupNow: TypeAlias = Callable[[Question], Answer | None]


def _nothing_now(question: Question) -> Answer | None:
    return None


def too_late(question: Question) -> Answer | None:
    """In the place of `lookup_now` once the time is over: nothing is answered any more, not even from a cache."""
    return TIMED_OUT


class Execution(Generic[T]):
    """Runs one plan without any I/O: it says what to ask, and takes the answers as they come, in any order.

    This is the whole of what a driver needs; `run` and `run_async` are two of them. Typical use::

        execution = Execution(plan)
        questions = execution.start()
        while not execution.finished:
            question, answer = ...          # whichever answer comes first
            questions = execution.answer(question, answer)
        result = execution.result

    `lookup_now` gives answers that need no waiting, or None: such questions do not come out of `start` and `answer`.
    Among the questions there may be a `Call`: its result is given to `answer` as well, its exception to `fail`.

    A question that several parts have open at the same moment is asked once. An exception raised by the plan (a
    bug, or the caller's own mistake) comes out of `start` or `answer`, after every other part was closed. `close`
    may be called at any time.
    """

    def __init__(self, plan: Plan[T], lookup_now: LookupNow = _nothing_now) -> None:
        require_fresh(plan)
        self._set_up(plan, lookup_now)

    @classmethod
    def adopt(cls, plan: Plan[T], request: Request, lookup_now: LookupNow = _nothing_now) -> Execution[T]:
        """Take over a plan that a driver has advanced itself, up to `request`; `start` then returns its questions."""
        execution = cls.__new__(cls)
        execution._set_up(plan, lookup_now)
        execution._adopted = request
        return execution

    def _set_up(self, plan: Plan[T], lookup_now: LookupNow) -> None:
        self.lookup_now = lookup_now
        self._root = _Task(plan, None, 0)
        # Who waits for a question, and for which of its parts (None: for this question alone).
        self._waiting: dict[Question | Call, list[tuple[_Task, int | None]]] = {}
        self._asked: list[Question | Call] = []
        # Tasks that can go on, and what they are sent. A stack instead of recursion: plans may nest to any depth.
        self._ready: list[tuple[_Task, Any]] = []
        self._live: dict[_Task, None] = {self._root: None}
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
        return [request for request in self._waiting if type(request) is Question]

    def is_open(self, request: Question | Call) -> bool:
        """Whether somebody waits for the answer to the question, or the result of the call."""
        return request in self._waiting

    def start(self) -> list[Question | Call]:
        """Begin; return the first questions to ask."""
        if self._started:
            raise PlanError("the execution was started before")
        self._started = True
        if self._adopted is None:
            self._ready.append((self._root, _BEGIN))
        return self._go_on()

    def fail(self, call: Call, error: Exception) -> list[Question | Call]:
        """The function of an open call raised `error`; return the questions that are to be asked because of it."""
        return self.answer(call, _Raised(error))

    def answer(self, question: Question | Call, answer: Any) -> list[Question | Call]:
        """Give the answer to an open question; return the questions that are to be asked because of it."""
        waiting = self._waiting.pop(question, None)
        if waiting is None:
            raise PlanError(f"nobody waits for {question}")
        for task, index in reversed(waiting):
            if index is None:
                self._ready.append((task, answer))
            else:
                self._deliver(task, index, answer)
        return self._go_on()

    def expire(self) -> list[Call]:
        """The time is over: answer every question that is open, or is asked from now on, with "timed out".

        Returns the calls that are open: the time limit does not end them.
        """
        self.lookup_now = too_late
        for question in self.open_questions:
            # An answer may have closed others.
            if question in self._waiting:
                self.answer(question, TIMED_OUT)
        return [request for request in self._waiting if type(request) is Call]

    def close(self) -> None:
        """Close the plan and all its parts at once, the parts first."""
        live, self._live = self._live, {}
        self._waiting.clear()
        self._ready.clear()
        failure: BaseException | None = None
        for task in reversed(live):
            try:
                task.plan.close()
            except BaseException as error:  # noqa: BLE001 - a bug in one part must not leave the others open
                failure = failure or error
        if failure is not None:
            raise failure

    def _go_on(self) -> list[Question | Call]:
        """Advance whatever can be advanced; return the questions that are to be asked now."""
        try:
            if self._adopted is not None:
                request, self._adopted = self._adopted, None
                self._take(self._root, request)
            while self._ready:
                self._advance(*self._ready.pop())
        except BaseException:
            self.close()
            raise
        asked = self._asked.copy()
        self._asked.clear()
        return asked

    def _advance(self, task: _Task, value: Any) -> None:
        """Go on with a task until it has to wait."""
        if value is _BEGIN:
            # Asked only now, since one plan may stand twice among the parts.
            require_fresh(task.plan)
            value = None
        try:
            request = task.plan.throw(value.error) if type(value) is _Raised else task.plan.send(value)
            while type(request) is Question:
                answer = self.lookup_now(request)
                if answer is None:
                    break
                request = task.plan.send(answer)
        except StopIteration as stop:
            self._finish(task, stop.value)
        else:
            self._take(task, request)

    def _take(self, task: _Task, request: Request) -> None:
        """Begin what the task asks for."""
        if type(request) is Question or type(request) is Call:
            self._wait(request, task, None)
        elif isinstance(request, Gather):
            self._spread(task, request.parts, request.known)
        else:
            raise PlanError(f"a plan yielded {request!r}; is a 'yield from' missing?")

    def _spread(self, task: _Task, parts: tuple[Question | Plan[Any], ...], known: Sequence[Answer]) -> None:
        task.results = [None] * len(parts)
        task.missing = len(parts)
        children = []
        for index, part in enumerate(parts):
            if isinstance(part, Question):
                answer = known[index] if index < len(known) else self.lookup_now(part)
                if answer is None:
                    self._wait(part, task, index)
                else:
                    task.results[index] = answer
                    task.missing -= 1
            elif type(part) is GeneratorType:
                child = _Task(part, task, index)
                self._live[child] = None
                children.append((child, _BEGIN))
            else:
                raise PlanError(f"a plan asked for {part!r} together with others; a part is a question or a plan")
        self._ready.extend(reversed(children))
        if not task.missing:
            self._ready.append((task, task.results))

    def _wait(self, question: Question | Call, task: _Task, index: int | None) -> None:
        waiting = self._waiting.get(question)
        if waiting is None:
            self._waiting[question] = [(task, index)]
            self._asked.append(question)
        else:
            waiting.append((task, index))

    def _finish(self, task: _Task, value: Any) -> None:
        del self._live[task]
        if task.parent is None:
            self._result = value
            self.finished = True
        else:
            self._deliver(task.parent, task.index, value)

    def _deliver(self, task: _Task, index: int, value: Any) -> None:
        task.results[index] = value
        task.missing -= 1
        if not task.missing:
            self._ready.append((task, task.results))
