# What belongs here: the two drivers that run a plan against a resolver, and what they demand of a resolver.
# The only module of the inner layers that reads a clock. asyncio, trio and threads are imported when first needed.
#
# The deadline belongs to the driver: what is not answered by then is answered "timed out", and so is every
# question asked after it, so that each plan ends in an ordinary result.
"""`run` and `run_async`: run a plan against any resolver, with one deadline for the whole."""

from __future__ import annotations

import sys
import time
from collections import deque
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

from mailauth.plan.dns import TIMED_OUT, Answer, Question
from mailauth.plan.execution import Execution, Plan, Request, require_fresh

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from queue import SimpleQueue

    import trio

T = TypeVar("T")

DEFAULT_TIME_LIMIT = 20.0
"""Seconds for one whole evaluation; RFC 7208 section 4.6.4 asks for at least 20 for check_host()."""


_LONGEST_WAIT = 86_400.0
"""Seconds that a thread waits before it looks at the clock again; the system's calls do not take any number."""


class Resolver(Protocol):
    """What `run` needs: one question, one answer. DNS trouble is an `Outcome`, not an exception.

    `time_limit` is in seconds; None means no limit. A resolver may offer more methods, which the drivers use when
    they are there: `batch` (see `BatchResolver`) or `submit` (see `ConcurrentResolver`), without which several
    questions are asked one after another, and `lookup_now` (see `InstantResolver`), for answers that need no waiting.
    """

    def lookup(self, question: Question, time_limit: float | None, /) -> Answer: ...


class AsyncResolver(Protocol):
    """What `run_async` needs. It is called many times at once, and cancelled when the deadline is reached.

    A resolver may offer more methods, which the driver uses when they are there: `lookup_now` (see
    `InstantResolver`), and under asyncio `batch_async` (see `AsyncBatchResolver`) or `submit_async` (see
    `FutureResolver`).
    """

    async def lookup_async(self, question: Question, /) -> Answer: ...


@runtime_checkable
class ConcurrentResolver(Protocol):
    """A resolver that can look up several questions at the same time for a synchronous caller.

    The driver cancels the futures that it gives up.
    """

    def submit(self, question: Question, time_limit: float | None, /) -> Future[Answer]: ...


class Batch(Protocol):
    """Questions that one synchronous caller has open at the same time."""

    def ask(self, question: Question, time_limit: float | None, /) -> None:
        """Ask a question that is not open already, for at most `time_limit` seconds (None: no limit)."""

    def wait(self, time_limit: float | None, /) -> Sequence[tuple[Question, Answer]]:
        """What was answered since the last call, each question once; if nothing was, wait for it.

        `time_limit` is in seconds (None: no limit). It may return nothing before the time is over. A limit of 0 says
        that it is over: nothing is waited for, and nothing more is asked.
        """

    def close(self) -> None:
        """Give up what is open."""


@runtime_checkable
class BatchResolver(Protocol):
    """A resolver that can look up several questions at the same time in the thread of a synchronous caller."""

    def batch(self) -> Batch: ...


@runtime_checkable
class FutureResolver(Protocol):
    """A resolver for asyncio that needs no task for each question, which would cost more than the question."""

    def submit_async(self, question: Question, /) -> asyncio.Future[Answer]: ...


class AsyncBatch(Protocol):
    """Questions that one plan has open at the same time under asyncio; a callback is told the answers."""

    def ask(self, question: Question, /) -> None:
        """Ask a question that is not open already. Nothing is told before this returns."""

    def tell(self) -> None:
        """Tell at once what has been answered already."""

    async def close(self) -> None:
        """Give up what is open, and wait until it has ended. Nothing is told any more."""


@runtime_checkable
class AsyncBatchResolver(Protocol):
    """A resolver for asyncio that needs no future for each question, either."""

    def batch_async(self, told: Callable[[Question, Answer], None], /) -> AsyncBatch: ...


@runtime_checkable
class InstantResolver(Protocol):
    """A resolver that has some answers at hand (a zone in memory, a cache): the answer, or None if it must wait."""

    def lookup_now(self, question: Question, /) -> Answer | None: ...


_Submit: TypeAlias = "Callable[[Question, float | None], Future[Answer]]"


def _nothing_at_hand(question: Question) -> Answer | None:
    return None


def _too_late(question: Question) -> Answer | None:
    return TIMED_OUT


def _instant(resolver: object) -> Callable[[Question], Answer | None]:
    # Not isinstance(): asking a protocol costs more than a whole look-up in memory.
    return getattr(resolver, "lookup_now", _nothing_at_hand)


def _unfit(resolver: object, method: str, driver: str, other: str) -> TypeError:
    return TypeError(f"{driver} needs a resolver with {method}(); {type(resolver).__name__} has none ({other})")


def _seconds(time_limit: float) -> float:
    if not time_limit >= 0:
        raise ValueError(f"time_limit is in seconds, not negative: {time_limit!r}")
    return time_limit


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
    if type(plan) is not GeneratorType or plan.gi_suspended or plan.gi_running or plan.gi_frame is None:
        require_fresh(plan)  # it says what is wrong
    if not callable(getattr(resolver, "lookup", None)):
        raise _unfit(resolver, "lookup", "run", "use run_async")
    deadline = None if time_limit is None else clock() + (time_limit if time_limit >= 0 else _seconds(time_limit))
    now: Callable[[Question], Answer | None] = getattr(resolver, "lookup_now", _nothing_at_hand)
    try:
        # The short way, as far as every answer is at hand: no bookkeeping at all.
        send = plan.send
        answer: Answer | None = None
        while True:
            request: Request = send(answer)
            answer = now(request) if type(request) is Question else None
            if answer is None:
                return _SyncDriver(resolver, now, deadline, clock).run(plan, request)
    except StopIteration as stop:
        if isinstance(plan, GeneratorType) and plan.gi_frame is not None:
            plan.close()
            raise _not_the_end() from stop
        # It has ended, and needs no close().
        result: T = stop.value
        return result
    except BaseException:
        plan.close()
        raise


def _not_the_end() -> RuntimeError:
    """For a resolver that raises `StopIteration`: a bug, and not what a plan says at its end (PEP 479)."""
    return RuntimeError("the resolver raised StopIteration")


class _SyncDriver:
    __slots__ = ("clock", "deadline", "now", "resolver")

    def __init__(
        self,
        resolver: Resolver,
        now: Callable[[Question], Answer | None],
        deadline: float | None,
        clock: Callable[[], float],
    ) -> None:
        self.resolver = resolver
        self.now = now
        self.deadline = deadline
        self.clock = clock

    def run(self, plan: Plan[T], request: Request) -> T:
        """Go on with a plan whose last request is not at hand. Raises `StopIteration` where the plan ends simply."""
        answer: Answer | None = None
        while type(request) is Question:
            request = plan.send(self.lookup(request) if answer is None else answer)
            answer = self.now(request) if type(request) is Question else None
        execution = Execution.adopt(plan, request)
        try:
            self.converse(execution)
        except StopIteration as error:
            raise _not_the_end() from error
        finally:
            execution.close()
        return execution.result

    def remaining(self) -> float | None:
        return None if self.deadline is None else self.deadline - self.clock()

    def lookup(self, question: Question) -> Answer:
        remaining = self.remaining()
        if remaining is not None and remaining <= 0:
            # From here on nothing is answered, not even what is at hand: the time is over once and for all.
            self.now = _too_late
            return TIMED_OUT
        answer = self.resolver.lookup(question, remaining)
        # A resolver may not keep to its limit. An answer that comes too late is none, as it is for `run_async`.
        return answer if self.deadline is None or self.clock() <= self.deadline else TIMED_OUT

    def converse(self, execution: Execution[Any]) -> None:
        questions = _settle(execution, execution.start(), self.now)
        batch = _batch(self.resolver)
        if batch is None:
            self.one_by_one(execution, questions)
            return
        try:
            self.at_once(execution, questions, batch)
        finally:
            batch.close()

    def one_by_one(self, execution: Execution[Any], questions: list[Question]) -> None:
        pending = list(reversed(questions))
        while pending:
            question = pending.pop()
            pending.extend(reversed(self.settle(execution, question, self.lookup(question))))

    def at_once(self, execution: Execution[Any], questions: list[Question], batch: Batch) -> None:
        still_open = 0
        while questions or still_open:
            remaining = self.remaining()
            if remaining is not None and remaining <= 0:
                self.expire(execution, batch)
                return
            if len(questions) == 1 and not still_open:
                # Alone, it is asked without a detour.
                questions = self.settle(execution, questions[0], self.lookup(questions[0]))
                continue
            for question in questions:
                batch.ask(question, remaining)
            answered = batch.wait(remaining)
            still_open += len(questions) - len(answered)
            questions = []
            for question, answer in answered:
                questions += self.settle(execution, question, answer)

    def settle(self, execution: Execution[Any], question: Question, answer: Answer) -> list[Question]:
        return _settle(execution, execution.answer(question, answer), self.now)

    def expire(self, execution: Execution[Any], batch: Batch) -> None:
        """What was answered in time counts, even if it was not taken in yet; nothing else is asked."""
        self.now = _too_late
        for question, answer in batch.wait(0):
            self.settle(execution, question, answer)
        execution.expire()


def _batch(resolver: Resolver) -> Batch | None:
    """Several questions at once, as far as the resolver can."""
    batch: Callable[[], Batch] | None = getattr(resolver, "batch", None)
    if batch is not None:
        return batch()
    submit: _Submit | None = getattr(resolver, "submit", None)
    return None if submit is None else _Futures(submit)


class _Futures:
    """The batch of a resolver that makes a future of each question."""

    __slots__ = ("done", "open", "submit")

    def __init__(self, submit: _Submit) -> None:
        from queue import SimpleQueue

        self.submit = submit
        self.open: dict[Question, Future[Answer]] = {}
        self.done: SimpleQueue[Question] = SimpleQueue()

    def ask(self, question: Question, time_limit: float | None) -> None:
        future = self.open[question] = self.submit(question, time_limit)
        future.add_done_callback(lambda _: self.done.put(question))

    def wait(self, time_limit: float | None) -> list[tuple[Question, Answer]]:
        from queue import Empty

        try:
            questions = [self.done.get(timeout=None if time_limit is None else min(time_limit, _LONGEST_WAIT))]
        except Empty:
            return []
        while not self.done.empty():
            questions.append(self.done.get())
        return [(question, self.open.pop(question).result()) for question in questions]

    def close(self) -> None:
        # The last first: what still waits for its turn must not get it from those that are given up.
        for future in reversed(self.open.values()):
            future.cancel()


# --- asynchronous -----------------------------------------------------------------------------------------


async def run_async(plan: Plan[T], resolver: AsyncResolver, *, time_limit: float | None = DEFAULT_TIME_LIMIT) -> T:
    """Run `plan` to its end under asyncio or trio and return its result; the same questions as `run` asks.

    `time_limit` (seconds; None for none) holds for the whole plan. Cancellation cancels the open look-ups and
    closes the plan at once. A plan whose answers are all at hand never waits. Raises what `run` raises.
    """
    require_fresh(plan)
    if not callable(getattr(resolver, "lookup_async", None)):
        raise _unfit(resolver, "lookup_async", "run_async", "use run, in a thread if need be")
    if time_limit is not None:
        _seconds(time_limit)
    conversation = _TrioConversation if _running_trio() else _AsyncioConversation
    return await conversation(plan, resolver).hold(time_limit)


def _running_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


class _AsyncioConversation(Generic[T]):
    """Looks up questions, and the questions that follow from their answers, until none is open.

    Callbacks, and no task but the caller's: asyncio's task groups cost several times as much. Each question is on its
    way before the plan is asked for the next one.
    """

    __slots__ = ("at_hand", "batch", "end", "execution", "may_ask", "now", "resolver", "still_open")

    def __init__(self, plan: Plan[T], resolver: AsyncResolver) -> None:
        self.execution = Execution(plan, self.ask)
        self.resolver = resolver
        self.now = _instant(resolver)
        self.at_hand: deque[tuple[Question, Answer]] = deque()
        self.batch: AsyncBatch | None = None
        self.still_open = 0
        self.may_ask = True

    async def hold(self, time_limit: float | None) -> T:
        """Ask until nothing is open or the time is over. Raises what a look-up or the plan raises."""
        import asyncio

        loop = asyncio.get_running_loop()
        deadline = None if time_limit is None else loop.time() + time_limit
        self.may_ask = time_limit != 0
        try:
            self.execution.start()
            self.take_what_is_at_hand()
            if self.still_open:
                await self.wait(loop, deadline)
            # What the deadline left open is answered "timed out", whichever questions still follow from it.
            self.execution.expire()
            return self.execution.result
        finally:
            try:
                self.execution.close()
            finally:
                # They know each other: if this stayed, both would wait for the garbage collector.
                batch, self.batch = self.batch, None
                if batch is not None:
                    await batch.close()

    async def wait(self, loop: asyncio.AbstractEventLoop, deadline: float | None) -> None:
        self.end: asyncio.Future[None] = loop.create_future()
        timer = None if deadline is None else loop.call_at(deadline, self.expire)
        try:
            await self.end
        finally:
            if timer is not None:
                timer.cancel()

    def ask(self, question: Question) -> None:
        """Called by the execution in the midst of its work: what is at hand is answered after that."""
        answer = self.now(question)
        if answer is not None:
            self.at_hand.append((question, answer))
        elif self.may_ask:
            if self.batch is None:
                self.batch = self.open_batch()
            self.still_open += 1
            self.batch.ask(question)

    def open_batch(self) -> AsyncBatch:
        batch: Callable[[Callable[[Question, Answer], None]], AsyncBatch] | None
        batch = getattr(self.resolver, "batch_async", None)
        return _AsyncFutures(self.resolver, self) if batch is None else batch(self.take_in)

    def take_what_is_at_hand(self) -> None:
        while self.at_hand:
            self.execution.answer(*self.at_hand.popleft())

    def take_in(self, question: Question, answer: Answer) -> None:
        self.still_open -= 1
        try:
            self.execution.answer(question, answer)
            self.take_what_is_at_hand()
        except BaseException as error:  # noqa: BLE001 - it is the caller's, who waits for the end
            self.finish(error)
        else:
            if not self.still_open:
                self.finish(None)

    def expire(self) -> None:
        """What was answered in time counts, even if it was not taken in yet."""
        self.now = _too_late
        if self.batch is not None:
            self.batch.tell()
        self.finish(None)

    def finish(self, error: BaseException | None) -> None:
        if self.end.done():
            return
        if error is None:
            self.end.set_result(None)
        elif isinstance(error, StopIteration):
            # A future refuses it.
            self.end.set_exception(_not_the_end())
        else:
            self.end.set_exception(error)


class _AsyncFutures:
    """The batch of a resolver that makes a future or a task of each question."""

    __slots__ = ("conversation", "open", "submit")

    def __init__(self, resolver: AsyncResolver, conversation: _AsyncioConversation[Any]) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        submit: Callable[[Question], asyncio.Future[Answer]] | None = getattr(resolver, "submit_async", None)
        self.submit = submit or (lambda question: loop.create_task(resolver.lookup_async(question)))
        self.conversation = conversation
        self.open: dict[asyncio.Future[Answer], Question] = {}

    def ask(self, question: Question) -> None:
        future = self.submit(question)
        self.open[future] = question
        future.add_done_callback(self.take_in)

    def take_in(self, future: asyncio.Future[Answer]) -> None:
        question = self.open.pop(future, None)
        if question is None:
            return
        try:
            answer = future.result()
        except BaseException as error:  # noqa: BLE001 - it is the caller's, who waits for the end
            self.conversation.finish(error)
        else:
            self.conversation.take_in(question, answer)

    def tell(self) -> None:
        for future in [future for future in self.open if future.done()]:
            self.take_in(future)

    async def close(self) -> None:
        """Cancel what is still open, and wait until it has ended: no task outlives the plan."""
        import asyncio

        futures = list(self.open)
        self.open.clear()
        for future in futures:
            future.cancel()
        if futures:
            await asyncio.gather(*futures, return_exceptions=True)


class _TrioConversation(Generic[T]):
    """The same under trio: a task for each question, which goes on with the first question that follows."""

    __slots__ = ("deadline", "execution", "now", "resolver")

    def __init__(self, plan: Plan[T], resolver: AsyncResolver) -> None:
        self.execution = Execution(plan)
        self.resolver = resolver
        self.now = _instant(resolver)
        self.deadline = float("inf")

    async def hold(self, time_limit: float | None) -> T:
        """Ask until nothing is open or the time is over. Raises what a look-up or the plan raises."""
        try:
            questions = _settle(self.execution, self.execution.start(), self.now)
            if questions and time_limit != 0:
                await self.pursue_all(questions, time_limit)
            self.execution.expire()
            return self.execution.result
        finally:
            self.execution.close()

    async def pursue_all(self, questions: list[Question], time_limit: float | None) -> None:
        import trio

        if time_limit is not None:
            self.deadline = trio.current_time() + time_limit
        try:
            with trio.move_on_at(self.deadline):
                async with trio.open_nursery() as nursery:
                    for question in questions:
                        nursery.start_soon(self.pursue, question, nursery)
        except BaseExceptionGroup as group:
            # A caller who cancels hears of an error all the same, in whatever order the tasks ended.
            _, errors = group.split(trio.Cancelled)
            raise _first(errors or group) from None

    async def pursue(self, question: Question, nursery: trio.Nursery) -> None:
        import trio

        asked = [question]
        # A look-up that never waits passes no point at which trio could cancel it.
        while asked and trio.current_time() < self.deadline:
            question, *others = asked
            for other in others:
                nursery.start_soon(self.pursue, other, nursery)
            answer = await self.resolver.lookup_async(question)
            asked = _settle(self.execution, self.execution.answer(question, answer), self.now)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception inside a nursery's wrapper, so that all callers see the same one."""
    exception: BaseException = group
    while isinstance(exception, BaseExceptionGroup):
        exception = exception.exceptions[0]
    return exception
