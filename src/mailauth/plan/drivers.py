"""`run` and `run_async`: run a plan against any resolver, with one deadline for the whole.

The only module of the inner layers that reads a clock. The deadline belongs to the driver: what is not answered by then
is answered "timed out", and so is every question asked after it, so that each plan ends in an ordinary result. asyncio,
trio and threads are imported when first needed.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from functools import partial
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from mailauth.plan.dns import TIMED_OUT, Answer, Outcome, Question
from mailauth.plan.execution import Call, Execution, Gather, LookupNow, Plan, Request, require_fresh, too_late

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Future
    from queue import SimpleQueue

    import trio

T = TypeVar("T")

DEFAULT_TIME_LIMIT = 20.0
"""Seconds for one whole evaluation; RFC 7208 section 4.6.4 asks for at least 20 for check_host()."""

_EARLY = 0.02
"""Seconds before the deadline from which a resolver's "timed out" is that of the time limit which it was given: its
clock is not ours, and a wait may end a little early."""

_LONGEST_WAIT = 86_400.0
"""Seconds that a thread waits before it looks at the clock again; the system's calls do not take any number."""


class Resolver(Protocol):
    """What `run` needs: one question, one answer. A DNS error is an `Outcome`, not an exception.

    `time_limit` is in seconds; None means no limit. A resolver may offer two more methods, which the drivers use when
    they are there: `submit` (see `ConcurrentResolver`), without which several questions are asked one after another,
    and `lookup_now` (see `InstantResolver`), for answers that need no waiting.
    """

    def lookup(self, question: Question, time_limit: float | None, /) -> Answer: ...


class AsyncResolver(Protocol):
    """What `run_async` needs. It is called many times at once, and cancelled when the deadline is reached.

    A resolver may offer `lookup_now` as well (see `InstantResolver`).
    """

    async def lookup_async(self, question: Question, /) -> Answer: ...


@runtime_checkable
class ConcurrentResolver(Protocol):
    """A resolver that can look up several questions at the same time for a synchronous caller.

    The driver cancels the futures that it gives up.
    """

    def submit(self, question: Question, time_limit: float | None, /) -> Future[Answer]: ...


@runtime_checkable
class InstantResolver(Protocol):
    """A resolver with answers that need no waiting (a zone in memory, a cache): the answer, or None if it must wait."""

    def lookup_now(self, question: Question, /) -> Answer | None: ...


_Submit: TypeAlias = "Callable[[Question, float | None], Future[Answer]]"


def _nothing_now(question: Question) -> Answer | None:
    return None


def _require_resolver(resolver: object, method: str, driver: str, other: str) -> None:
    if not callable(getattr(resolver, method, None)):
        raise TypeError(f"{driver} needs a resolver with {method}(); {type(resolver).__name__} has none ({other})")


def _require_time_limit(time_limit: float | None) -> None:
    if time_limit is not None and not time_limit >= 0:
        raise ValueError(f"time_limit is in seconds, not negative: {time_limit!r}")


def _resolver_stopped() -> RuntimeError:
    """For a resolver that raises `StopIteration`: a bug, and not the end of the plan (PEP 479)."""
    return RuntimeError("the resolver raised StopIteration")


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

    Raises `PlanError` for a plan that was run before, `TypeError` for anything that is not a plan or not a resolver and
    for a `Call` of an asynchronous function, and whatever the resolver or the plan raises; the plan is closed in every
    case.
    """
    require_fresh(plan)
    _require_resolver(resolver, "lookup", "run", "use run_async")
    _require_time_limit(time_limit)
    deadline = None if time_limit is None else clock() + time_limit
    now: LookupNow = getattr(resolver, "lookup_now", _nothing_now)
    try:
        # The fast path, without bookkeeping, as long as no answer has to be waited for: half the time of a lookup.
        request: Request = plan.send(None)
        while True:
            if type(request) is Question:
                answer = now(request)
                if answer is None:
                    return _SyncDriver(resolver, now, deadline, clock).run(plan, request)
                request = plan.send(answer)
            elif type(request) is Call:
                request = _call(plan, request)
            elif type(request) is Gather and (answers := request.answers_now(now)) is not None:
                request = plan.send(answers)
            else:
                return _SyncDriver(resolver, now, deadline, clock).run(plan, request)
    except StopIteration as stop:
        if isinstance(plan, GeneratorType) and plan.gi_frame is not None:
            plan.close()
            raise _resolver_stopped() from stop
        result: T = stop.value
        return result
    except BaseException:
        plan.close()
        raise


def _call(plan: Plan[Any], call: Call) -> Request:
    """Call the function for the plan; return the plan's next request. Raises `StopIteration` where the plan ends."""
    try:
        result = _outcome_of(call)
    except Exception as error:  # noqa: BLE001 - it belongs to the plan, which may know it
        return plan.throw(error)
    return plan.send(result)


def _outcome_of(call: Call) -> Any:
    result = call.function(*call.arguments)
    if type(result) is CoroutineType:
        result.close()
        raise TypeError(f"{call} is asynchronous: use mailauth.aio")
    return result


class _SyncDriver:
    __slots__ = ("clock", "deadline", "execution", "now", "resolver")

    def __init__(self, resolver: Resolver, now: LookupNow, deadline: float | None, clock: Callable[[], float]) -> None:
        self.resolver = resolver
        self.now = now
        self.deadline = deadline
        self.clock = clock
        self.execution: Execution[Any] | None = None

    def run(self, plan: Plan[T], request: Request) -> T:
        """Go on with a plan from its last request. Raises `StopIteration` where the plan ends without `Gather`."""
        while True:
            if type(request) is Question:
                request = plan.send(self.now(request) or self.lookup(request))
            elif type(request) is Call:
                request = _call(plan, request)
            else:
                break
        execution: Execution[T] = Execution.adopt(plan, request, self.now)
        self.execution = execution
        try:
            self.converse(execution)
        except StopIteration as error:
            raise _resolver_stopped() from error
        finally:
            execution.close()
        return execution.result

    def remaining(self) -> float | None:
        return None if self.deadline is None else self.deadline - self.clock()

    def lookup(self, question: Question) -> Answer:
        remaining = self.remaining()
        if remaining is None:
            return self.resolver.lookup(question, None)
        if remaining > 0:
            answer = self.resolver.lookup(question, remaining)
            # A resolver may not keep to its limit. An answer that comes too late is none, as it is for `run_async`.
            if self.clock() <= self.deadline and not self.limit_reached(answer):  # type: ignore[operator]
                return answer
        self.now = too_late
        if self.execution is not None:
            self.execution.lookup_now = too_late
        return TIMED_OUT

    def limit_reached(self, answer: Answer) -> bool:
        """Whether a resolver gave a question up for our time limit, and not for one of its own."""
        if answer.outcome is not Outcome.TIMED_OUT or self.deadline is None:
            return False
        return self.clock() > self.deadline - _EARLY

    def converse(self, execution: Execution[Any]) -> None:
        questions = self.questions_of(execution, execution.start())
        submit: _Submit | None = getattr(self.resolver, "submit", None)
        if submit is not None:
            self.at_once(execution, questions, submit)
            return
        pending = list(reversed(questions))
        while pending:
            question = pending.pop()
            pending.extend(reversed(self.questions_of(execution, execution.answer(question, self.lookup(question)))))

    def questions_of(self, execution: Execution[Any], requests: list[Question | Call]) -> list[Question]:
        """Carry out the calls among the requests, and those that follow from them; return the questions."""
        questions: list[Question] = []
        pending = deque(requests)
        while pending:
            request = pending.popleft()
            if type(request) is Call:
                pending.extend(_call_within(execution, request))
            else:
                questions.append(request)  # type: ignore[arg-type]
        return questions

    def at_once(self, execution: Execution[Any], questions: list[Question], submit: _Submit) -> None:
        from queue import Empty, SimpleQueue

        pending = deque(questions)
        waiting: dict[Question, Future[Answer]] = {}
        done: SimpleQueue[Question] = SimpleQueue()
        try:
            while pending or waiting:
                remaining = self.remaining()
                if remaining is not None and remaining <= 0:
                    self.expire(execution, waiting)
                    return
                if len(pending) == 1 and not waiting:
                    # A single question needs no future.
                    question = pending.popleft()
                    pending.extend(self.questions_of(execution, execution.answer(question, self.lookup(question))))
                    continue
                if pending:
                    # One, and then the clock again: a resolver may wait until it takes another one.
                    question = pending.popleft()
                    future = waiting[question] = submit(question, remaining)
                    future.add_done_callback(partial(_put, done, question))
                    continue
                try:
                    answered = [done.get(timeout=None if remaining is None else min(remaining, _LONGEST_WAIT))]
                except Empty:
                    continue
                while not done.empty():
                    answered.append(done.get())
                for question in answered:
                    answer = waiting.pop(question).result()
                    if self.limit_reached(answer):
                        answer = TIMED_OUT
                    pending.extend(self.questions_of(execution, execution.answer(question, answer)))
        finally:
            # The last first: what still waits for its turn must not get it from those that are given up.
            for future in reversed(waiting.values()):
                future.cancel()

    def expire(self, execution: Execution[Any], waiting: dict[Question, Future[Answer]]) -> None:
        """What was answered in time counts, even if it was not taken in yet; no other question is asked."""
        execution.lookup_now = too_late
        for question in [question for question, future in waiting.items() if future.done()]:
            answer = waiting.pop(question).result()
            self.questions_of(
                execution, execution.answer(question, TIMED_OUT if answer.outcome is Outcome.TIMED_OUT else answer)
            )
        while calls := execution.expire():
            for call in calls:
                _call_within(execution, call)


def _put(done: SimpleQueue[Question], question: Question, future: Future[Answer]) -> None:
    done.put(question)


def _call_within(execution: Execution[Any], call: Call) -> list[Question | Call]:
    try:
        result = _outcome_of(call)
    except Exception as error:  # noqa: BLE001 - it belongs to the plan, which may know it
        return execution.fail(call, error)
    return execution.answer(call, result)


# --- asynchronous -----------------------------------------------------------------------------------------


async def run_async(plan: Plan[T], resolver: AsyncResolver, *, time_limit: float | None = DEFAULT_TIME_LIMIT) -> T:
    """Run `plan` to its end under asyncio or trio and return its result; the same questions as `run` asks.

    `time_limit` (seconds; None for none) holds for the whole plan. Cancellation cancels the open lookups and closes
    the plan at once. A plan whose answers need no waiting never waits. Raises what `run` raises.
    """
    require_fresh(plan)
    _require_resolver(resolver, "lookup_async", "run_async", "use run, in a thread if need be")
    _require_time_limit(time_limit)
    driver = (_TrioDriver if running_trio() else _AsyncioDriver)(resolver, time_limit)
    try:
        request: Request = plan.send(None)
        while True:
            if type(request) is Question:
                answer = driver.now(request)
                if answer is None:
                    break
                request = plan.send(answer)
            elif type(request) is Call:
                try:
                    result = await _finish(request)
                except Exception as error:  # noqa: BLE001 - it belongs to the plan, which may know it
                    request = plan.throw(error)
                else:
                    request = plan.send(result)
            elif type(request) is Gather and (answers := request.answers_now(driver.now)) is not None:
                request = plan.send(answers)
            else:
                break
    except StopIteration as stop:
        if isinstance(plan, GeneratorType) and plan.gi_frame is not None:
            plan.close()
            raise _resolver_stopped() from stop
        value: T = stop.value
        return value
    except BaseException:
        plan.close()
        raise
    return await driver.run(Execution.adopt(plan, request, driver.now))


def running_trio() -> bool:
    """Whether the caller runs under trio; it is not imported for the question."""
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


async def _finish(call: Call) -> Any:
    result = call.function(*call.arguments)
    return await result if hasattr(result, "__await__") else result


class _AsyncioDriver:
    """Looks up questions, and the questions that follow from their answers, each in a task, until none is open."""

    __slots__ = ("deadline", "ended", "now", "resolver", "tasks", "wake_up")

    def __init__(self, resolver: AsyncResolver, time_limit: float | None) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        self.resolver = resolver
        self.now: LookupNow = getattr(resolver, "lookup_now", _nothing_now)
        self.deadline = None if time_limit is None else loop.time() + time_limit
        self.tasks: dict[asyncio.Future[Any], Question | Call] = {}
        self.ended: deque[asyncio.Future[Any]] = deque()
        self.wake_up: asyncio.Future[None] = loop.create_future()

    async def run(self, execution: Execution[T]) -> T:
        import asyncio

        loop = asyncio.get_running_loop()
        tasks = self.tasks
        try:
            requests = execution.start()
            if self.deadline is None or loop.time() < self.deadline:
                self.begin(requests)
            while not execution.finished:
                if self.deadline is not None and loop.time() >= self.deadline:
                    self.expire(execution)
                elif not self.ended:
                    await self.wait(loop)
                while self.ended:
                    task = self.ended.popleft()
                    if task in tasks:
                        is_over = self.deadline is not None and loop.time() > self.deadline - _EARLY
                        self.begin(_take(execution, tasks.pop(task), task, is_over))
            return execution.result
        finally:
            try:
                execution.close()
            finally:
                # No task outlives the plan.
                for task in tasks:
                    task.cancel()
                if tasks:
                    await asyncio.gather(*tasks, return_exceptions=True)

    def begin(self, requests: list[Question | Call]) -> None:
        import asyncio

        for request in requests:
            if type(request) is Question:
                task = asyncio.ensure_future(self.resolver.lookup_async(request))
            else:
                assert type(request) is Call
                task = asyncio.ensure_future(_finish(request))
            self.tasks[task] = request
            task.add_done_callback(self.note)

    def note(self, task: asyncio.Future[Any]) -> None:
        self.ended.append(task)
        if not self.wake_up.done():
            self.wake_up.set_result(None)

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until a task has ended or the deadline is reached."""
        wake_up = self.wake_up = loop.create_future()
        timer = None if self.deadline is None else loop.call_at(self.deadline, _wake, wake_up)
        try:
            await wake_up
        finally:
            if timer is not None:
                timer.cancel()

    def expire(self, execution: Execution[Any]) -> None:
        """What was answered in time counts, even if it was not taken in yet; no other question is asked."""
        self.deadline = None
        execution.lookup_now = too_late
        for task, request in list(self.tasks.items()):
            if type(request) is Question and task.done():
                self.begin(_take(execution, self.tasks.pop(task), task, is_over=True))
        begun = set(self.tasks.values())
        self.begin([call for call in execution.expire() if call not in begun])
        for task, request in self.tasks.items():
            if type(request) is Question:
                task.cancel()


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _take(
    execution: Execution[Any], request: Question | Call, task: asyncio.Future[Any], is_over: bool
) -> list[Question | Call]:
    """Take in what came of a question or call, the time `is_over` or not; return what is asked because of it."""
    if type(request) is Call and not task.cancelled():
        error = task.exception()
        if isinstance(error, Exception):
            return execution.fail(request, error)
    elif not execution.is_open(request):
        return []  # the time was over, and the task was cancelled
    result = task.result()
    if is_over and type(request) is Question and result.outcome is Outcome.TIMED_OUT:
        result = TIMED_OUT
    return execution.answer(request, result)


class _TrioDriver:
    """The same under trio: a task for each question, which goes on with the first question that follows."""

    __slots__ = ("deadline", "execution", "now", "resolver")

    def __init__(self, resolver: AsyncResolver, time_limit: float | None) -> None:
        import trio

        self.resolver = resolver
        self.now: LookupNow = getattr(resolver, "lookup_now", _nothing_now)
        self.deadline = float("inf") if time_limit is None else trio.current_time() + time_limit

    async def run(self, execution: Execution[T]) -> T:
        import trio

        self.execution = execution
        try:
            async with trio.open_nursery() as nursery:
                self.begin(execution.start(), nursery)
            return execution.result
        except BaseExceptionGroup as group:
            # A caller who cancels hears of an error all the same, in whatever order the tasks ended.
            _, errors = group.split(trio.Cancelled)
            raise _first(errors or group) from None
        finally:
            execution.close()

    def begin(self, requests: list[Question | Call], nursery: trio.Nursery) -> None:
        for request in requests:
            nursery.start_soon(self.pursue, request, nursery)

    async def pursue(self, request: Question | Call, nursery: trio.Nursery) -> None:
        if type(request) is Question:
            answer = await self.lookup(request)
            following = self.execution.answer(request, answer)
        else:
            assert type(request) is Call
            try:
                result = await _finish(request)
            except Exception as error:  # noqa: BLE001 - it belongs to the plan, which may know it
                following = self.execution.fail(request, error)
            else:
                following = self.execution.answer(request, result)
        self.begin(following, nursery)

    async def lookup(self, question: Question) -> Answer:
        import trio

        # A lookup that never waits passes no point at which trio could cancel it.
        if trio.current_time() < self.deadline:
            with trio.move_on_at(self.deadline):
                answer = await self.resolver.lookup_async(question)
                if answer.outcome is not Outcome.TIMED_OUT or trio.current_time() <= self.deadline - _EARLY:
                    return answer
        self.execution.lookup_now = too_late
        return TIMED_OUT


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception inside a nursery's wrapper, so that all callers see the same one."""
    exception: BaseException = group
    while isinstance(exception, BaseExceptionGroup):
        exception = exception.exceptions[0]
    return exception
