# What belongs here: the two drivers that run a plan against a resolver, and what they demand of a resolver.
# The only module of the inner layers that reads a clock. asyncio, trio and threads are imported when first needed.
#
# The deadline belongs to the driver: what is not answered by then is answered "timed out", and so is every
# question asked after it, so that each plan ends in an ordinary result.
"""`run` and `run_async`: run a plan against any resolver, with one deadline for the whole."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from mailauth.plan.dns import TIMED_OUT, Answer, Question
from mailauth.plan.execution import Execution, Plan, Request, require_fresh

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future
    from queue import SimpleQueue

T = TypeVar("T")

DEFAULT_TIME_LIMIT = 20.0
"""Seconds for one whole evaluation; RFC 7208 section 4.6.4 asks for at least 20 for check_host()."""


class Resolver(Protocol):
    """What `run` needs: one question, one answer. DNS trouble is an `Outcome`, not an exception.

    `time_limit` is in seconds; None means no limit. A resolver may offer two more methods, which the drivers
    use when they are there: `submit` (see `ConcurrentResolver`), without which several questions are asked one
    after another, and `lookup_now` (see `InstantResolver`), for answers that need no waiting.
    """

    def lookup(self, question: Question, time_limit: float | None) -> Answer: ...


class AsyncResolver(Protocol):
    """What `run_async` needs. It is called many times at once, and cancelled when the deadline is reached."""

    async def lookup_async(self, question: Question) -> Answer: ...


@runtime_checkable
class ConcurrentResolver(Protocol):
    """A resolver that can look up several questions at the same time for a synchronous caller."""

    def submit(self, question: Question, time_limit: float | None) -> Future[Answer]: ...


@runtime_checkable
class InstantResolver(Protocol):
    """A resolver that has some answers at hand (a zone in memory, a cache): the answer, or None if it must wait."""

    def lookup_now(self, question: Question) -> Answer | None: ...


def _nothing_at_hand(question: Question) -> Answer | None:
    return None


def _instant(resolver: object) -> Callable[[Question], Answer | None]:
    # Not isinstance(): asking a protocol costs more than a whole look-up in memory.
    return getattr(resolver, "lookup_now", _nothing_at_hand)


def _require(resolver: object, method: str, driver: str, other: str) -> None:
    if not callable(getattr(resolver, method, None)):
        raise TypeError(f"{driver} needs a resolver with {method}(); {type(resolver).__name__} has none ({other})")


def _deadline(time_limit: float | None, clock: Callable[[], float]) -> float | None:
    if time_limit is None:
        return None
    if not time_limit >= 0:
        raise ValueError(f"time_limit is in seconds, not negative: {time_limit!r}")
    return clock() + time_limit


def _settle(
    execution: Execution[Any], questions: list[Question], now: Callable[[Question], Answer | None]
) -> list[Question]:
    """Answer what needs no waiting, and what is asked because of it; return what does need waiting."""
    open_questions: list[Question] = []
    pending = list(reversed(questions))
    while pending:
        question = pending.pop()
        answer = now(question)
        if answer is None:
            open_questions.append(question)
        else:
            pending.extend(reversed(execution.answer(question, answer)))
    return open_questions


# --- synchronous ------------------------------------------------------------------------------------------


def run(
    plan: Plan[T],
    resolver: Resolver,
    *,
    time_limit: float | None = DEFAULT_TIME_LIMIT,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Run `plan` to its end and return its result.

    `time_limit` (seconds; None for none) holds for the whole plan; what is not answered by then is answered
    "timed out". `clock` is for tests. May be called from any thread, and inside a running event loop (which it
    then blocks).

    Raises `PlanError` for a plan that was run before, `TypeError` for what is no plan or no resolver, and
    whatever the resolver raises; the plan is closed in every case.
    """
    require_fresh(plan)
    _require(resolver, "lookup", "run", "use run_async")
    driver = _SyncDriver(resolver, _deadline(time_limit, clock), clock)
    try:
        return driver.run(plan)
    finally:
        plan.close()


class _SyncDriver:
    __slots__ = ("clock", "deadline", "now", "resolver")

    def __init__(self, resolver: Resolver, deadline: float | None, clock: Callable[[], float]) -> None:
        self.resolver = resolver
        self.now = _instant(resolver)
        self.deadline = deadline
        self.clock = clock

    def run(self, plan: Plan[T]) -> T:
        # The short way, for plans that ask one question after another: no bookkeeping at all.
        now, send = self.now, plan.send
        try:
            request: Request = next(plan)
            while type(request) is Question:
                answer = now(request)
                request = send(self.lookup(request) if answer is None else answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
        execution = Execution.adopt(plan, request)
        try:
            self.converse(execution)
        finally:
            execution.close()
        return execution.result

    def remaining(self) -> float | None:
        return None if self.deadline is None else self.deadline - self.clock()

    def lookup(self, question: Question) -> Answer:
        remaining = self.remaining()
        if remaining is not None and remaining <= 0:
            return TIMED_OUT
        return self.resolver.lookup(question, remaining)

    def converse(self, execution: Execution[Any]) -> None:
        questions = _settle(execution, execution.start(), self.now)
        if isinstance(self.resolver, ConcurrentResolver):
            self.at_once(execution, self.resolver, questions)
        else:
            self.one_by_one(execution, questions)

    def one_by_one(self, execution: Execution[Any], questions: list[Question]) -> None:
        pending = list(reversed(questions))
        while pending:
            question = pending.pop()
            asked = execution.answer(question, self.lookup(question))
            pending.extend(reversed(_settle(execution, asked, self.now)))

    def at_once(self, execution: Execution[Any], resolver: ConcurrentResolver, questions: list[Question]) -> None:
        from queue import Empty, SimpleQueue

        done: SimpleQueue[tuple[Question, Future[Answer]]] = SimpleQueue()
        futures: dict[Question, Future[Answer]] = {}
        try:
            while questions or futures:
                remaining = self.remaining()
                if remaining is not None and remaining <= 0:
                    execution.expire()
                    return
                for question in questions:
                    futures[question] = _submit(resolver, question, remaining, done)
                try:
                    question, future = done.get(timeout=remaining)
                except Empty:
                    questions = []
                    continue
                del futures[question]
                questions = _settle(execution, execution.answer(question, future.result()), self.now)
        finally:
            for future in futures.values():
                future.cancel()


def _submit(
    resolver: ConcurrentResolver,
    question: Question,
    time_limit: float | None,
    done: SimpleQueue[tuple[Question, Future[Answer]]],
) -> Future[Answer]:
    future = resolver.submit(question, time_limit)
    future.add_done_callback(lambda finished: done.put((question, finished)))
    return future


# --- asynchronous -----------------------------------------------------------------------------------------


async def run_async(plan: Plan[T], resolver: AsyncResolver, *, time_limit: float | None = DEFAULT_TIME_LIMIT) -> T:
    """Run `plan` to its end under asyncio or trio and return its result; the same questions as `run` asks.

    `time_limit` (seconds; None for none) holds for the whole plan. Cancellation cancels the open look-ups and
    closes the plan at once. Raises what `run` raises.
    """
    require_fresh(plan)
    _require(resolver, "lookup_async", "run_async", "use run, in a thread if need be")
    _deadline(time_limit, time.monotonic)
    execution = Execution(plan)
    try:
        questions = _settle(execution, execution.start(), _instant(resolver))
        if questions:
            conversation = _AsyncConversation(execution, resolver)
            await (_in_trio if _running_trio() else _in_asyncio)(conversation, questions, time_limit)
            # What the deadline left open is answered "timed out", whichever questions still follow from it.
            execution.expire()
        return execution.result
    finally:
        execution.close()
        plan.close()


class _AsyncConversation:
    """Looks up questions, each in a task of its own, and the questions that follow from their answers."""

    __slots__ = ("execution", "now", "resolver")

    def __init__(self, execution: Execution[Any], resolver: AsyncResolver) -> None:
        self.execution = execution
        self.resolver = resolver
        self.now = _instant(resolver)

    async def pursue(self, question: Question, spawn: Callable[[Question], object]) -> None:
        """Look up one question; go on with the first that follows from it, and leave the others to new tasks."""
        asked = [question]
        while asked:
            question, *others = asked
            for other in others:
                spawn(other)
            answer = await self.resolver.lookup_async(question)
            asked = _settle(self.execution, self.execution.answer(question, answer), self.now)


def _running_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


async def _in_asyncio(conversation: _AsyncConversation, questions: list[Question], time_limit: float | None) -> None:
    import asyncio

    limit = asyncio.timeout(time_limit)
    try:
        async with limit, asyncio.TaskGroup() as group:

            def spawn(question: Question) -> None:
                tasks.add(task := group.create_task(conversation.pursue(question, spawn)))
                task.add_done_callback(tasks.discard)

            tasks: set[asyncio.Task[None]] = set()
            for question in questions:
                spawn(question)
    except TimeoutError:
        if not limit.expired():
            raise
    except BaseExceptionGroup as group_of_one:
        raise _first(group_of_one) from None


async def _in_trio(conversation: _AsyncConversation, questions: list[Question], time_limit: float | None) -> None:
    import trio

    try:
        with trio.move_on_after(float("inf") if time_limit is None else time_limit):
            async with trio.open_nursery() as nursery:

                def spawn(question: Question) -> None:
                    nursery.start_soon(conversation.pursue, question, spawn)

                for question in questions:
                    spawn(question)
    except BaseExceptionGroup as group_of_one:
        raise _first(group_of_one) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception inside a task group's wrapper, so that sync and async callers see the same one."""
    exception: BaseException = group
    while isinstance(exception, BaseExceptionGroup):
        exception = exception.exceptions[0]
    return exception
