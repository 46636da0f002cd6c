"""Random plans with random transcripts, through every driver.

For any plan and any answers, in any order of arrival, run (one by one, or at once) and run_async (asyncio with tasks,
with futures, with callbacks; trio) give the same result and ask the same questions.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.plan import Answer, Gather, Outcome, Plan, Question, run, run_async

# A plan as data: what it does, one step after another.
Step = Any


@dataclass(frozen=True)
class Ask:
    name: str


@dataclass(frozen=True)
class AtOnce:
    parts: tuple[Step, ...]


@dataclass(frozen=True)
class Steps:
    steps: tuple[Step, ...]


asks = st.builds(Ask, st.sampled_from([f"n{i}.example" for i in range(8)]))
plans = st.recursive(
    asks,
    lambda below: st.one_of(
        st.builds(AtOnce, st.lists(below, max_size=4).map(tuple)),
        st.builds(Steps, st.lists(below, max_size=4).map(tuple)),
    ),
    max_leaves=25,
)
transcripts = st.fixed_dictionaries({f"n{i}.example": st.sampled_from(list(Outcome)) for i in range(8)})


def build(step: Step) -> Plan[Any]:
    """The plan; it goes another way where an answer is a failure, so that answers matter."""
    match step:
        case Ask(name):
            answer = yield Question(name, "A")
            if answer.failed:
                return [answer.outcome, (yield Question(f"again.{name}", "A")).outcome]
            return [answer.outcome]
        case AtOnce(parts):
            return (yield Gather([Question(p.name, "A") if isinstance(p, Ask) else build(p) for p in parts]))
        case Steps(steps):
            results = []
            for one in steps:
                results.append((yield from build(one)))  # noqa: PERF401 - no "yield from" in a comprehension
            return results
    raise AssertionError(step)


class Transcript:
    """Answers as the transcript says; notes the questions, and answers in an order that the seed decides."""

    def __init__(self, outcomes: dict[str, Outcome], seed: int) -> None:
        self._outcomes = outcomes
        self.random = random.Random(seed)
        self.asked: Counter[Question] = Counter()

    def answer(self, question: Question) -> Answer:
        return Answer(self._outcomes.get(question.name, Outcome.NO_DATA))


class OneByOne(Transcript):
    def lookup(self, question: Question, time_limit: float | None) -> Answer:
        self.asked[question] += 1
        return self.answer(question)


class SomeAtHand(OneByOne):
    def lookup_now(self, question: Question) -> Answer | None:
        if self.random.random() < 0.5:
            return None
        self.asked[question] += 1
        return self.answer(question)


class AllAtOnce(OneByOne):
    """Answers from another thread, whichever open question comes up."""

    def __init__(self, outcomes: dict[str, Outcome], seed: int) -> None:
        super().__init__(outcomes, seed)
        self._open: list[tuple[Question, Future[Answer]]] = []
        self._changed = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> AllAtOnce:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify()
        self._thread.join()

    def submit(self, question: Question, time_limit: float | None) -> Future[Answer]:
        future: Future[Answer] = Future()
        with self._changed:
            self.asked[question] += 1
            self._open.append((question, future))
            self._changed.notify()
        return future

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._over or self._open)
                if not self._open:
                    return
                question, future = self._open.pop(self.random.randrange(len(self._open)))
            future.set_result(self.answer(question))


class AsyncTasks(Transcript):
    async def lookup_async(self, question: Question) -> Answer:
        self.asked[question] += 1
        for _ in range(self.random.randrange(4)):
            await (trio.lowlevel.checkpoint() if trio.lowlevel.in_trio_task() else asyncio.sleep(0))
        return self.answer(question)


def through(resolver: Any, step: Step) -> Any:
    if isinstance(resolver, AllAtOnce):
        with resolver:
            return run(build(step), resolver)
    if isinstance(resolver, OneByOne):
        return run(build(step), resolver)

    async def main() -> Any:
        return await run_async(build(step), resolver)

    return asyncio.run(main())


def through_trio(resolver: Any, step: Step) -> Any:
    async def main() -> Any:
        return await run_async(build(step), resolver)

    return trio.run(main)


@settings(max_examples=60, deadline=None)
@given(step=plans, outcomes=transcripts, seed=st.integers(0, 2**16))
@pytest.mark.parametrize(
    ("kind", "drive"),
    [
        (AllAtOnce, through),
        (AsyncTasks, through),
        (AsyncTasks, through_trio),
    ],
)
def test_every_driver_gives_the_same_result(
    kind: Any, drive: Any, step: Step, outcomes: dict[str, Outcome], seed: int
) -> None:
    """A random plan has the same result through every driver and every kind of resolver."""
    reference = OneByOne(outcomes, seed)
    expected = through(reference, step)
    resolver = kind(outcomes, seed)
    assert drive(resolver, step) == expected
    # Questions that are open at the same moment are merged, so the order of answers decides how often one name is
    # asked, but never which names.
    assert resolver.asked.keys() == reference.asked.keys()


@settings(max_examples=60, deadline=None)
@given(step=plans, outcomes=transcripts, seed=st.integers(0, 2**16))
@pytest.mark.parametrize("kind", [SomeAtHand, AllAtOnce, AsyncTasks])
def test_the_same_questions_the_same_number_of_times(
    kind: Any, step: Step, outcomes: dict[str, Outcome], seed: int
) -> None:
    """With a name of its own for each question nothing can be merged, and the multisets are equal."""
    counter = iter(range(10_000))

    def renamed(part: Step) -> Step:
        match part:
            case Ask(name):
                return Ask(f"x{next(counter)}.{name}")
            case AtOnce(parts):
                return AtOnce(tuple(map(renamed, parts)))
            case Steps(steps):
                return Steps(tuple(map(renamed, steps)))
        raise AssertionError(part)

    step = renamed(step)
    outcomes = {f"x{i}.{name}": outcome for i in range(100) for name, outcome in outcomes.items()}
    reference = OneByOne(outcomes, seed)
    expected = through(reference, step)
    resolver = kind(outcomes, seed)
    assert through(resolver, step) == expected
    assert resolver.asked == reference.asked
