"""Plans, their parts, and the two drivers.

Run and run_async give the same result and ask the same questions, whatever the order of the answers; a plan is closed
in every case; after the deadline nothing is asked.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
import trio

from mailauth.plan import (
    TIMED_OUT,
    Answer,
    Call,
    Execution,
    Gather,
    Outcome,
    Plan,
    PlanError,
    Question,
    ask,
    ask_all,
    run,
    run_all,
    run_async,
    side_by_side,
)
from mailauth.plan.drivers import running_trio
from mailauth.resolvers import ZoneResolver

QUESTION = Question("example.org", "A")
FOUND = Answer(Outcome.FOUND, (1,), 60)


def numbered(count: int) -> list[Question]:
    return [Question(f"n{i}.example", "A") for i in range(count)]


class Sync:
    """Answers everything at once; notes what it was asked."""

    def __init__(self, answer: Answer = FOUND) -> None:
        self.asked: list[Question] = []
        self._answer = answer

    def lookup(self, question: Question, time_limit: float | None) -> Answer:
        self.asked.append(question)
        return self._answer

    async def lookup_async(self, question: Question) -> Answer:
        return self.lookup(question, None)


class Held:
    """Holds every answer back until the test lets it go; for `submit`, and for asyncio and trio."""

    def __init__(self) -> None:
        self.asked: list[Question] = []
        self.cancelled: list[Question] = []
        self.futures: dict[Question, Future[Answer]] = {}

    def lookup(self, question: Question, time_limit: float | None) -> Answer:
        raise AssertionError("several questions are submitted")

    def submit(self, question: Question, time_limit: float | None) -> Future[Answer]:
        self.asked.append(question)
        self.futures[question] = Future()
        return self.futures[question]

    async def lookup_async(self, question: Question) -> Answer:
        self.asked.append(question)
        try:
            if trio.lowlevel.in_trio_task():
                await trio.sleep_forever()
            await asyncio.get_running_loop().create_future()
        except BaseException:
            self.cancelled.append(question)
            raise
        raise AssertionError("it never ends by itself")


class Failing:
    """Raises what it is given; such a resolver has a bug, and the caller is to learn of it."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def lookup(self, question: Question, time_limit: float | None) -> Answer:
        raise self._error

    async def lookup_async(self, question: Question) -> Answer:
        raise self._error


def synchronously(plan: Plan[Any], resolver: Any, **options: Any) -> Any:
    return run(plan, resolver, **options)


def in_asyncio(plan: Plan[Any], resolver: Any, **options: Any) -> Any:
    async def main() -> Any:
        return await run_async(plan, resolver, **options)

    return asyncio.run(main())


def in_trio(plan: Plan[Any], resolver: Any, **options: Any) -> Any:
    async def main() -> Any:
        return await run_async(plan, resolver, **options)

    return trio.run(main)


Driver = Callable[..., Any]
drivers = pytest.mark.parametrize("drive", [synchronously, in_asyncio, in_trio])


# --- combinators ---------------------------------------------------------------------------------------------


@drivers
def test_results_come_in_the_order_of_the_parts(drive: Driver) -> None:
    zone = ZoneResolver({(f"n{i}.example", "TXT"): [str(i)] for i in range(5)})
    answers = drive(ask_all(Question(f"n{i}.example", "TXT") for i in range(5)), zone)
    assert [answer.texts for answer in answers] == [(b"0",), (b"1",), (b"2",), (b"3",), (b"4",)]


@drivers
def test_side_by_side_gives_a_tuple(drive: Driver) -> None:
    def words() -> Plan[str]:
        answer = yield from ask(QUESTION)
        return str(answer.outcome)

    def number() -> Plan[int]:
        return 7
        yield

    assert drive(side_by_side(words(), number(), words()), Sync()) == ("found", 7, "found")


@drivers
def test_a_question_that_is_open_already_is_asked_once(drive: Driver) -> None:
    resolver = Sync()
    assert drive(side_by_side(ask(QUESTION), ask_all([QUESTION, QUESTION])), resolver) == (FOUND, [FOUND, FOUND])
    assert resolver.asked == [QUESTION]


@drivers
def test_empty_together(drive: Driver) -> None:
    assert drive(ask_all([]), Sync()) == []
    assert drive(run_all([]), Sync()) == []


@drivers
def test_thousands_of_empty_together_need_no_stack(drive: Driver) -> None:
    def plan() -> Plan[int]:
        for _ in range(5000):
            assert (yield from ask_all([])) == []
        return 5000

    assert drive(plan(), Sync()) == 5000
    assert drive(run_all(plan() for _ in range(3)), Sync()) == [5000] * 3


@drivers
def test_plans_may_nest_deeply(drive: Driver) -> None:
    def nested(depth: int) -> Plan[int]:
        if depth == 0:
            yield from ask(QUESTION)
            return 0
        [below] = yield from run_all([nested(depth - 1)])
        return below + 1

    assert drive(nested(3000), Sync()) == 3000


@drivers
def test_a_plan_a_thousand_wide(drive: Driver) -> None:
    def part(i: int) -> Plan[int]:
        yield from ask(Question(f"a{i}.example", "A"))
        yield from ask_all([Question(f"b{i}.example", "A"), Question("common.example", "A")])
        return i

    resolver = Sync()
    assert drive(run_all(part(i) for i in range(1000)), resolver) == list(range(1000))
    assert len({*resolver.asked}) == 2001


# --- misuse ----------------------------------------------------------------------------------------------------


@drivers
def test_a_spent_plan_is_refused(drive: Driver) -> None:
    plan = ask(QUESTION)
    drive(plan, Sync())
    with pytest.raises(PlanError, match="was run before"):
        drive(plan, Sync())


@drivers
def test_a_plan_in_the_middle_is_refused(drive: Driver) -> None:
    plan = ask(QUESTION)
    next(plan)
    with pytest.raises(PlanError, match="was run before"):
        drive(plan, Sync())


@drivers
def test_one_plan_twice_among_the_parts_is_refused(drive: Driver) -> None:
    plan = ask(QUESTION)
    with pytest.raises(PlanError, match="was run before"):
        drive(run_all([plan, plan]), Sync())


@drivers
@pytest.mark.parametrize("thing", [None, "example.org", ask, object(), ("example.org", "A"), lambda: None])
def test_what_is_no_plan_is_refused(drive: Driver, thing: Any) -> None:
    with pytest.raises(TypeError, match="a plan is a generator"):
        drive(thing, Sync())


@drivers
@pytest.mark.parametrize("rubbish", [None, "example.org", ("example.org", "A"), 7, [QUESTION], FOUND])
def test_a_plan_that_yields_rubbish(drive: Driver, rubbish: Any) -> None:
    def alone() -> Plan[None]:
        yield rubbish

    def after_a_question() -> Plan[None]:
        yield QUESTION
        yield rubbish

    def among_parts() -> Plan[None]:
        yield Gather([QUESTION, rubbish])

    def in_a_part() -> Plan[None]:
        yield Gather([QUESTION, alone()])

    for plan in (alone(), after_a_question(), among_parts(), in_a_part()):
        with pytest.raises(PlanError):
            drive(plan, Sync())


def test_a_resolver_of_the_other_kind_is_refused() -> None:
    class OnlyAsync:
        async def lookup_async(self, question: Question) -> Answer:
            return FOUND

    class OnlySync:
        def lookup(self, question: Question, time_limit: float | None) -> Answer:
            return FOUND

    with pytest.raises(TypeError, match="use run_async"):
        run(ask(QUESTION), OnlyAsync())  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="use run"):
        in_asyncio(ask(QUESTION), OnlySync())


@drivers
@pytest.mark.parametrize("limit", [-1, -0.001, float("nan")])
def test_a_time_limit_is_not_negative(drive: Driver, limit: float) -> None:
    with pytest.raises(ValueError, match="time_limit"):
        drive(ask(QUESTION), Sync(), time_limit=limit)


# --- exceptions and closing --------------------------------------------------------------------------------------


def watched(log: list[str], name: str, *requests: Any) -> Plan[str]:
    try:
        for request in requests:  # noqa: UP028 - a tuple's iterator takes no answers
            yield request
    finally:
        log.append(name)
    return name


@drivers
def test_an_exception_in_one_part_closes_the_others(drive: Driver) -> None:
    log: list[str] = []

    def breaks() -> Plan[None]:
        yield Question("breaks.example", "A")
        raise LookupError("a bug")

    parts = [watched(log, "first", QUESTION, Question("later.example", "A"), *numbered(9)), breaks()]
    with pytest.raises(LookupError, match="a bug"):
        drive(watched(log, "whole", Gather(parts)), Sync())
    assert log == ["first", "whole"]


@drivers
@pytest.mark.parametrize("wide", [False, True])
def test_an_exception_of_the_resolver_closes_the_plan(drive: Driver, wide: bool) -> None:
    log: list[str] = []
    request = Gather([QUESTION, Question("b.example", "A")]) if wide else QUESTION
    with pytest.raises(LookupError, match="a bug"):
        drive(watched(log, "closed", request), Failing(LookupError("a bug")))
    assert log == ["closed"]


class Exhausted:
    """Raises `StopIteration`, as a forgotten ``next(iter([]))`` does, in each place where a resolver is called."""

    def __init__(self, place: str) -> None:
        if place != "lookup":
            setattr(self, place, self.stop)

    def stop(self, *arguments: object) -> Any:
        raise StopIteration("not the end of a plan")

    def lookup(self, question: Question, time_limit: float | None) -> Answer:
        self.stop()
        raise AssertionError

    async def lookup_async(self, question: Question) -> Answer:
        return self.lookup(question, None)


@drivers
@pytest.mark.parametrize("place", ["lookup", "submit", "lookup_now"])
@pytest.mark.parametrize("wide", [False, True])
def test_what_a_resolver_raises_is_not_taken_for_the_end_of_the_plan(drive: Driver, place: str, wide: bool) -> None:
    log: list[str] = []
    request = Gather([QUESTION, Question("b.example", "A")]) if wide else QUESTION
    with pytest.raises(RuntimeError, match="StopIteration"):
        drive(watched(log, "closed", request), Exhausted(place))
    assert log == ["closed"]


@drivers
def test_closing_goes_on_where_a_part_breaks_while_it_is_closed(drive: Driver) -> None:
    log: list[str] = []

    def breaks_at_the_end() -> Plan[None]:
        try:
            yield Question("a.example", "A")
            yield Question("b.example", "A")
        finally:
            raise LookupError("in finally")

    def breaks() -> Plan[None]:
        yield Question("c.example", "A")
        raise ValueError("first")

    parts = [watched(log, "one", *numbered(5)), breaks_at_the_end(), watched(log, "two", *numbered(5)), breaks()]
    with pytest.raises((LookupError, ValueError)):
        drive(run_all(parts), Sync())
    assert sorted(log) == ["one", "two"]


class Stop(BaseException):
    pass


def test_cancelling_in_asyncio_closes_the_plan_and_the_look_ups_at_once() -> None:
    async def main() -> None:
        log: list[str] = []
        resolver = Held()
        plan = watched(log, "whole", Gather([QUESTION, watched(log, "part", Question("b.example", "A"))]))
        task = asyncio.create_task(run_async(plan, resolver))
        while len(resolver.asked) < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert log == ["part", "whole"]
        assert sorted(resolver.cancelled) == sorted(resolver.asked)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_cancelling_in_trio_closes_the_plan_and_the_look_ups_at_once() -> None:
    async def main() -> None:
        log: list[str] = []
        resolver = Held()
        plan = watched(log, "whole", Gather([QUESTION, watched(log, "part", Question("b.example", "A"))]))
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_async, plan, resolver)
                while len(resolver.asked) < 2:
                    await trio.lowlevel.checkpoint()
                scope.cancel()
        assert scope.cancelled_caught
        assert log == ["part", "whole"]
        assert sorted(resolver.cancelled) == sorted(resolver.asked)

    trio.run(main)


def test_an_exception_cancels_the_other_look_ups_in_asyncio() -> None:
    class Half(Held):
        async def lookup_async(self, question: Question) -> Answer:
            if question == QUESTION:
                await asyncio.sleep(0)
                raise LookupError("a bug")
            return await super().lookup_async(question)

    async def main() -> None:
        resolver = Half()
        with pytest.raises(LookupError, match="a bug"):
            await run_async(ask_all([Question("b.example", "A"), QUESTION]), resolver)
        assert resolver.cancelled == [Question("b.example", "A")]
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_futures_that_are_given_up_are_cancelled() -> None:
    class Breaking(Held):
        def submit(self, question: Question, time_limit: float | None) -> Future[Answer]:
            future = super().submit(question, time_limit)
            if question == QUESTION:
                future.set_exception(LookupError("a bug"))
            return future

    resolver = Breaking()
    with pytest.raises(LookupError, match="a bug"):
        run(ask_all([Question("b.example", "A"), QUESTION]), resolver)
    assert resolver.futures[Question("b.example", "A")].cancelled()


def test_run_works_inside_a_running_loop_and_from_any_thread() -> None:
    async def inside() -> Answer:
        return run(ask(QUESTION), Sync())

    assert asyncio.run(inside()) == FOUND
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(run(ask(QUESTION), Sync())))
    thread.start()
    thread.join()
    assert answers == [FOUND]


# --- the deadline --------------------------------------------------------------------------------------------------


class Ticking:
    """A clock that goes on by one second for each lookup, and the resolver that makes it do so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.limits: list[float | None] = []

    def clock(self) -> float:
        return self.now

    def lookup(self, question: Question, time_limit: float | None) -> Answer:
        self.limits.append(time_limit)
        self.now += 1
        return FOUND


def one_after_another(questions: list[Question]) -> Plan[list[Outcome]]:
    outcomes = []
    for question in questions:
        answer = yield from ask(question)
        outcomes.append(answer.outcome)
    return outcomes


def test_run_has_one_deadline_for_the_whole() -> None:
    resolver = Ticking()
    outcomes = run(one_after_another(numbered(5)), resolver, time_limit=3, clock=resolver.clock)
    assert outcomes == [Outcome.FOUND] * 3 + [Outcome.TIMED_OUT] * 2
    assert resolver.limits == [3, 2, 1]


def test_run_has_one_deadline_for_questions_asked_together() -> None:
    resolver = Ticking()
    answers = run(ask_all(numbered(5)), resolver, time_limit=3, clock=resolver.clock)
    assert [answer.outcome for answer in answers] == [Outcome.FOUND] * 3 + [Outcome.TIMED_OUT] * 2


@pytest.mark.parametrize("together", [False, True])
def test_an_answer_that_comes_too_late_is_none(together: bool) -> None:
    """The resolver does not keep to its time limit: two seconds are left, and it takes five."""

    class Slow(Ticking):
        def lookup(self, question: Question, time_limit: float | None) -> Answer:
            self.now += 4
            return super().lookup(question, time_limit)

    resolver = Slow()
    plan = one_after_another(numbered(3))
    outcomes = run(run_all([plan]) if together else plan, resolver, time_limit=7, clock=resolver.clock)
    expected = [Outcome.FOUND, Outcome.TIMED_OUT, Outcome.TIMED_OUT]
    assert outcomes == ([expected] if together else expected)
    assert resolver.limits == [7, 2]


@pytest.mark.parametrize("drive", [in_asyncio, in_trio])
def test_look_ups_that_never_wait_end_at_the_deadline(drive: Driver) -> None:
    class Blocking:
        asked = 0

        async def lookup_async(self, question: Question) -> Answer:
            self.asked += 1
            time.sleep(0.06)
            return FOUND

    resolver = Blocking()
    outcomes = drive(one_after_another(numbered(20)), resolver, time_limit=0.1)
    assert outcomes[0] is Outcome.FOUND
    assert outcomes[2:] == [Outcome.TIMED_OUT] * 18
    # One may have begun, in the moment in which the time ran out.
    assert resolver.asked <= 3


@drivers
@pytest.mark.parametrize("limit", [float("inf"), 1e10])
def test_a_time_limit_may_be_any_number(drive: Driver, limit: float) -> None:
    class Instantly(Sync):
        def submit(self, question: Question, time_limit: float | None) -> Future[Answer]:
            future: Future[Answer] = Future()
            future.set_result(self.lookup(question, time_limit))
            return future

    assert drive(ask_all(numbered(3)), Instantly(), time_limit=limit) == [FOUND] * 3


def test_after_the_deadline_not_even_what_is_at_hand_is_answered() -> None:
    class WithSomeAtHand(Ticking):
        def lookup_now(self, question: Question) -> Answer | None:
            return FOUND if question.name.startswith("now") else None

    resolver = WithSomeAtHand()
    names = ["now0", "n1", "now2", "n3", "now4", "n5"]
    plan = one_after_another([Question(name, "A") for name in names])
    outcomes = run(plan, resolver, time_limit=1, clock=resolver.clock)
    assert outcomes == [Outcome.FOUND] * 3 + [Outcome.TIMED_OUT] * 3


@drivers
def test_no_time_at_all(drive: Driver) -> None:
    resolver = Sync()
    assert drive(ask(QUESTION), resolver, time_limit=0) == TIMED_OUT
    assert drive(ask_all(numbered(3)), resolver, time_limit=0) == [TIMED_OUT] * 3
    assert resolver.asked == []


def half_answered() -> Plan[list[Any]]:
    """Four questions at once; each goes on with another one."""

    def part(i: int) -> Plan[tuple[Outcome, Outcome]]:
        first = yield from ask(Question(f"first{i}.example", "A"))
        second = yield from ask(Question(f"second{i}.example", "A"))
        return first.outcome, second.outcome

    return run_all(part(i) for i in range(4))


def test_at_the_deadline_what_was_answered_counts_sync() -> None:
    class Half(Held):
        def submit(self, question: Question, time_limit: float | None) -> Future[Answer]:
            future = super().submit(question, time_limit)
            if question.name in {"first0.example", "first1.example", "second1.example"}:
                future.set_result(FOUND)
            return future

    resolver = Half()
    assert run(half_answered(), resolver, time_limit=0.5) == EXPECTED
    assert sorted(q.name for q in resolver.asked) == ASKED
    given_up = {question.name for question, future in resolver.futures.items() if future.cancelled()}
    assert given_up == {"first2.example", "first3.example", "second0.example"}


EXPECTED = [
    (Outcome.FOUND, Outcome.TIMED_OUT),
    (Outcome.FOUND, Outcome.FOUND),
    (Outcome.TIMED_OUT, Outcome.TIMED_OUT),
    (Outcome.TIMED_OUT, Outcome.TIMED_OUT),
]
ASKED = [f"first{i}.example" for i in range(4)] + ["second0.example", "second1.example"]


@pytest.mark.parametrize("drive", [in_asyncio, in_trio])
def test_at_the_deadline_what_was_answered_counts_async(drive: Driver) -> None:
    class Half(Held):
        async def lookup_async(self, question: Question) -> Answer:
            if question.name in {"first0.example", "first1.example", "second1.example"}:
                self.asked.append(question)
                return FOUND
            return await super().lookup_async(question)

    resolver = Half()
    assert drive(half_answered(), resolver, time_limit=0.5) == EXPECTED
    assert sorted(q.name for q in resolver.asked) == ASKED
    assert sorted(q.name for q in resolver.cancelled) == ["first2.example", "first3.example", "second0.example"]


def test_an_answer_that_is_there_at_the_deadline_counts_though_it_was_not_taken_in() -> None:
    class Late:
        """The second answer comes while the time runs out."""

        now = 0.0

        def lookup(self, question: Question, time_limit: float | None) -> Answer:
            raise AssertionError

        def submit(self, question: Question, time_limit: float | None) -> Future[Answer]:
            future: Future[Answer] = Future()
            future.set_result(FOUND)
            self.now += 0.6
            return future

    late = Late()
    assert run(ask_all(numbered(2)), late, time_limit=1, clock=lambda: late.now) == [FOUND, FOUND]


def test_an_answer_that_is_there_at_the_deadline_counts_in_asyncio() -> None:
    class OnTheDot:
        async def lookup_async(self, question: Question) -> Answer:
            if question != QUESTION:
                await asyncio.sleep(60)
            await asyncio.sleep(0.2)
            # Answered in the very step of the loop that makes the deadline due.
            time.sleep(0.6)
            return FOUND

    plan = ask_all([QUESTION, Question("b.example", "A")])
    assert in_asyncio(plan, OnTheDot(), time_limit=0.6) == [FOUND, TIMED_OUT]


class GivesUp:
    """A resolver with a time limit of its own, which it says in words of its own."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def lookup_async(self, question: Question) -> Answer:
        if running_trio():
            await trio.sleep(self.seconds)
        else:
            await asyncio.sleep(self.seconds)
        return Answer(Outcome.TIMED_OUT, detail="no server answers")

    def submit(self, question: Question, time_limit: float | None) -> Future[Answer]:
        future: Future[Answer] = Future()
        threading.Timer(self.seconds, lambda: future.set_running_or_notify_cancel() and self.give_up(future)).start()
        return future

    def give_up(self, future: Future[Answer]) -> None:
        future.set_result(Answer(Outcome.TIMED_OUT, detail="no server answers"))

    def lookup(self, question: Question, time_limit: float | None) -> Answer:
        return self.submit(question, time_limit).result()


@pytest.mark.parametrize("drive", [run, in_asyncio, in_trio])
@pytest.mark.parametrize("plan", [lambda: ask_all([QUESTION]), lambda: ask_all(numbered(2))])
def test_who_gives_up_at_the_deadline_was_cut_off_by_it(drive: Driver, plan: Any) -> None:
    """Plans tell the deadline from other time-outs by the very value `TIMED_OUT`."""
    assert all(answer is TIMED_OUT for answer in drive(plan(), GivesUp(0.049), time_limit=0.05))
    assert not any(answer is TIMED_OUT for answer in drive(plan(), GivesUp(0.001), time_limit=5.0))


def test_a_caller_that_is_cancelled_twice_has_closed_its_plan() -> None:
    """The second time while a lookup, which was cancelled, takes long to end."""
    log: list[str] = []

    class Stubborn:
        async def lookup_async(self, question: Question) -> Answer:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                log.append("lookup cancelled")
                await asyncio.sleep(60)
            return FOUND

    async def main() -> None:
        task = asyncio.create_task(run_async(watched(log, "plan closed", QUESTION), Stubborn()))
        await asyncio.sleep(0.01)
        for _ in range(2):
            task.cancel()
            await asyncio.sleep(0.01)
        assert task.cancelled()
        assert sorted(log) == ["lookup cancelled", "plan closed"]

    asyncio.run(main())


@drivers
def test_no_limit(drive: Driver) -> None:
    assert drive(ask(QUESTION), Sync(), time_limit=None) == FOUND


# --- the engine ----------------------------------------------------------------------------------------------------


def test_execution_tells_what_to_ask_and_takes_answers_in_any_order() -> None:
    execution = Execution(ask_all(numbered(3)))
    questions = execution.start()
    assert questions == numbered(3) == execution.open_questions
    with pytest.raises(PlanError, match="has not finished"):
        execution.result  # noqa: B018
    for question in reversed(questions):
        assert not execution.finished
        assert execution.answer(question, Answer(Outcome.FOUND, (question.name,))) == []
    assert [answer.records for answer in execution.result] == [(q.name,) for q in questions]


def test_execution_is_started_once_and_takes_an_answer_once() -> None:
    execution = Execution(ask_all(numbered(2)))
    execution.start()
    with pytest.raises(PlanError, match="started before"):
        execution.start()
    execution.answer(numbered(1)[0], FOUND)
    with pytest.raises(PlanError, match="nobody waits"):
        execution.answer(numbered(1)[0], FOUND)


class StoreDown(Exception):
    pass


def stored(key: str) -> Plan[str]:
    """Asks a store, and the DNS before and after it."""
    before = yield QUESTION
    try:
        value: str = yield Call(lookup_in_store, key)
    except StoreDown:
        value = "no store"
    after = yield Question("b.example", "A")
    return f"{value} {before.outcome} {after.outcome}"


def lookup_in_store(key: str) -> str:
    if key == "down":
        raise StoreDown
    return f"value of {key}"


@drivers
@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize(("key", "value"), [("a", "value of a"), ("down", "no store")])
def test_a_call_is_answered_by_what_the_function_returns_or_raises(
    drive: Driver, at_once: bool, key: str, value: str
) -> None:
    plan: Plan[Any] = run_all([stored(key), stored(key)]) if at_once else stored(key)
    expected = f"{value} found found"
    assert drive(plan, Sync()) == ([expected, expected] if at_once else expected)


@drivers
@pytest.mark.parametrize("at_once", [False, True])
def test_the_time_limit_does_not_end_a_call(drive: Driver, at_once: bool) -> None:
    plan: Plan[Any] = run_all([stored("a"), stored("b")]) if at_once else stored("a")
    result = drive(plan, Sync(), time_limit=0)
    assert result == (
        ["value of a timed-out timed-out", "value of b timed-out timed-out"]
        if at_once
        else "value of a timed-out timed-out"
    )


@drivers
@pytest.mark.parametrize("at_once", [False, True])
def test_an_exception_that_the_plan_does_not_know_comes_out(drive: Driver, at_once: bool) -> None:
    log: list[str] = []

    def broken() -> None:
        raise LookupError("a bug")

    request: Any = Gather([watched(log, "part", Call(broken)), QUESTION]) if at_once else Call(broken)
    with pytest.raises(LookupError, match="a bug"):
        drive(watched(log, "whole", request), Sync())
    assert log == (["part", "whole"] if at_once else ["whole"])


def test_a_call_of_a_coroutine_function_is_refused_by_run() -> None:
    async def asynchronous() -> None:
        raise AssertionError

    log: list[str] = []
    with pytest.raises(TypeError, match=r"mailauth\.aio"):
        run(watched(log, "closed", Call(asynchronous)), Sync())
    assert log == ["closed"]


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("drive", [in_asyncio, in_trio])
def test_run_async_awaits_the_result_of_a_call(drive: Driver, at_once: bool) -> None:
    async def asynchronous(value: int) -> int:
        await (trio.lowlevel.checkpoint() if trio.lowlevel.in_trio_task() else asyncio.sleep(0))
        return value

    def plan() -> Plan[int]:
        value: int = yield Call(asynchronous, 5)
        return value

    assert drive(run_all([plan(), plan()]) if at_once else plan(), Sync()) == ([5, 5] if at_once else 5)


def test_a_cancelled_caller_cancels_its_call() -> None:
    log: list[str] = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.append("call cancelled")
            raise

    async def main(request: Any) -> None:
        task = asyncio.create_task(run_async(watched(log, "plan closed", request), Sync()))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main(Call(slow)))
    asyncio.run(main(Gather([watched(log, "part closed", Call(slow))])))
    assert sorted(log) == ["call cancelled"] * 2 + ["part closed"] + ["plan closed"] * 2


def test_execution_may_be_closed_at_any_time() -> None:
    log: list[str] = []
    execution = Execution(watched(log, "closed", QUESTION))
    execution.start()
    execution.close()
    execution.close()
    assert log == ["closed"]
    with pytest.raises(PlanError, match="nobody waits"):
        execution.answer(QUESTION, FOUND)


def test_a_generator_that_is_dropped_leaves_nothing_behind() -> None:
    """An execution that nobody finishes is closed by Python itself; no warning, no exception."""
    execution = Execution(run_all([ask(QUESTION), ask_all(numbered(3))]))
    execution.start()
    del execution


def test_questions_come_in_the_order_of_the_parts() -> None:
    def parts() -> Iterator[Any]:
        yield QUESTION
        yield ask_all(numbered(2))
        yield Question("last.example", "MX")

    execution = Execution(run_all(parts()))
    assert {*execution.start()} == {QUESTION, *numbered(2), Question("last.example", "MX")}


def test_trio_tells_of_an_error_though_the_plan_is_cancelled() -> None:
    """Whichever lookup ends first."""

    class Failing:
        async def lookup_async(self, question: Question) -> Answer:
            try:
                await trio.sleep_forever()
            finally:
                if question.name == "n1.test":
                    raise LookupError("it could not be given up")
            raise AssertionError

    async def main() -> None:
        with trio.move_on_after(0.001):
            await run_async(ask_all([Question(f"n{i}.test", "A") for i in range(4)]), Failing())

    for _ in range(20):
        with pytest.raises(LookupError):
            trio.run(main)
