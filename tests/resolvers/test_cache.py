"""`Cache` and `CachingResolver`.

An answer is kept as long as its TTL allows and no longer, within the bounds, and the resolver behind the cache is
asked for nothing that the cache holds.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from mailauth.plan import Answer, Exchange, Outcome, Question, ask, ask_all, run, run_async
from mailauth.resolvers import Cache, CachingResolver, ZoneResolver
from mailauth.resolvers.cache import MAX_NEGATIVE_TTL, MAX_TTL

QUESTION = Question("example.org", "A")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def found(ttl: int = 60, *records: Any) -> Answer:
    return Answer(Outcome.FOUND, records or (1,), ttl)


def numbered(i: int) -> Question:
    return Question(f"n{i}.example", "A")


def test_ttl_is_honoured_and_lessened(clock: Clock) -> None:
    cache = Cache(clock=clock)
    cache.put(QUESTION, found(60))
    assert cache.get(QUESTION) == found(60)
    clock.now += 10.5
    assert cache.get(QUESTION) == found(50)
    clock.now += 49.4
    assert cache.get(QUESTION) == found(1)
    clock.now += 0.1
    assert cache.get(QUESTION) is None
    assert len(cache) == 0


@pytest.mark.parametrize("outcome", [Outcome.NO_DATA, Outcome.NO_SUCH_NAME])
def test_negative_answers_are_kept_by_their_ttl(clock: Clock, outcome: Outcome) -> None:
    cache = Cache(clock=clock)
    cache.put(QUESTION, Answer(outcome, ttl=30))
    clock.now += 29
    assert cache.get(QUESTION) == Answer(outcome, ttl=1)
    clock.now += 1
    assert cache.get(QUESTION) is None


@pytest.mark.parametrize("ttl", [0, -1])
def test_what_has_no_ttl_is_not_kept(ttl: int) -> None:
    cache = Cache()
    cache.put(QUESTION, found(ttl))
    cache.put(QUESTION, Answer(Outcome.NO_DATA, ttl=ttl))
    assert cache.get(QUESTION) is None
    assert len(cache) == 0


@pytest.mark.parametrize("outcome", [Outcome.TIMED_OUT, Outcome.SERVER_FAILURE, Outcome.REFUSED])
def test_failures_are_kept_only_when_asked_for(clock: Clock, outcome: Outcome) -> None:
    cache = Cache(clock=clock)
    cache.put(QUESTION, Answer(outcome, ttl=3600))
    assert cache.get(QUESTION) is None
    cache = Cache(clock=clock, failure_ttl=5)
    cache.put(QUESTION, Answer(outcome, ttl=3600))
    clock.now += 4.9
    kept = cache.get(QUESTION)
    assert kept is not None
    assert kept.outcome is outcome
    clock.now += 0.1
    assert cache.get(QUESTION) is None


def test_ttls_are_capped(clock: Clock) -> None:
    cache = Cache(clock=clock)
    cache.put(QUESTION, found(2**31 - 1))
    cache.put(numbered(1), Answer(Outcome.NO_DATA, ttl=2**31 - 1))
    clock.now += MAX_NEGATIVE_TTL
    assert cache.get(numbered(1)) is None
    clock.now += MAX_TTL - MAX_NEGATIVE_TTL - 1
    assert cache.get(QUESTION) == found(1)
    clock.now += 1
    assert cache.get(QUESTION) is None


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = Cache(3)
    for i in range(3):
        cache.put(numbered(i), found())
    cache.get(numbered(0))
    cache.put(numbered(3), found())
    assert [cache.get(numbered(i)) is not None for i in range(4)] == [True, False, True, True]
    assert len(cache) == 3


def test_octets_are_bounded() -> None:
    cache = Cache(max_octets=50_000)
    for i in range(100):
        cache.put(numbered(i), found(60, b"x" * 9000))
    assert 4 <= len(cache) <= 5
    assert cache.get(numbered(99)) is not None
    cache.put(numbered(100), found(60, b"x" * 60_000))
    assert cache.get(numbered(100)) is None
    assert cache.get(numbered(99)) is not None


@pytest.mark.parametrize("record", [b"x" * 1000, "x" * 1000, Exchange(10, "x" * 1000)], ids=["TXT", "PTR", "MX"])
def test_the_octets_of_every_kind_of_record_count(record: Any) -> None:
    """Names in answers have up to a thousand characters, since odd octets are escaped."""
    cache = Cache(max_octets=50_000)
    for i in range(100):
        cache.put(numbered(i), found(60, *[record] * 10))
    assert 3 <= len(cache) <= 5


def test_a_new_answer_replaces_the_old_one(clock: Clock) -> None:
    cache = Cache(clock=clock)
    cache.put(QUESTION, found(60, 1))
    cache.put(QUESTION, found(90, 2))
    assert cache.get(QUESTION) == found(90, 2)
    assert len(cache) == 1
    cache.clear()
    assert cache.get(QUESTION) is None


@pytest.mark.parametrize("bad", [{"max_entries": 0}, {"max_octets": 0}, {"failure_ttl": -1}, {"failure_ttl": 301}])
def test_bad_bounds(bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Cache(**bad)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 5), st.integers(0, 20)),
        st.tuples(st.just("get"), st.integers(0, 5), st.just(0)),
        st.tuples(st.just("wait"), st.integers(0, 10), st.just(0)),
    ),
    max_size=60,
)


@given(operations, st.integers(1, 4))
def test_like_a_plain_model(steps: list[tuple[str, int, int]], size: int) -> None:
    """A list of [question, expiry], most recently used last, says the same."""
    clock = Clock()
    cache = Cache(size, clock=clock)
    model: list[tuple[int, float, int]] = []
    for kind, number, ttl in steps:
        if kind == "wait":
            clock.now += number
            continue
        entry = next((e for e in model if e[0] == number), None)
        if kind == "put":
            cache.put(numbered(number), found(ttl))
            if ttl > 0:
                model = [*[e for e in model if e[0] != number], (number, clock.now + ttl, ttl)][-size:]
            continue
        answer = cache.get(numbered(number))
        alive = entry is not None and entry[1] > clock.now
        assert (answer is not None) is alive
        if entry is not None:
            model = [e for e in model if e[0] != number] + ([entry] if alive else [])


def test_many_threads() -> None:
    cache = Cache(50, max_octets=40_000)
    errors: list[Exception] = []

    def work(seed: int) -> None:
        choose = random.Random(seed)
        try:
            for _ in range(2000):
                i = choose.randrange(100)
                if choose.random() < 0.5:
                    cache.put(numbered(i), found(60, i))
                elif (answer := cache.get(numbered(i))) is not None:
                    assert answer.records == (i,)
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(cache) <= 50


# --- CachingResolver -----------------------------------------------------------------------------------------


class Counting:
    """Answers, and counts how often it was asked, in every way that there is."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.asked = 0
        self.answer = found() if answer is None else answer

    def lookup(self, question: Question, time_limit: float | None) -> Answer:
        self.asked += 1
        return self.answer

    async def lookup_async(self, question: Question) -> Answer:
        return self.lookup(question, None)

    def submit(self, question: Question, time_limit: float | None) -> Future[Answer]:
        future: Future[Answer] = Future()
        future.set_result(self.lookup(question, None))
        return future


def only(*methods: str) -> Any:
    """A resolver with these methods only."""
    names = {name: getattr(Counting, name) for name in ("lookup", *methods)}
    return type("Only", (), names)()


def drive_asyncio(plan: Any, resolver: Any) -> Any:
    async def main() -> Any:
        return await run_async(plan, resolver)

    return asyncio.run(main())


def drive_trio(plan: Any, resolver: Any) -> Any:
    async def main() -> Any:
        return await run_async(plan, resolver)

    return trio.run(main)


@pytest.mark.parametrize("drive", [run, drive_asyncio, drive_trio])
@pytest.mark.parametrize("make", [lambda: ask(QUESTION), lambda: ask_all([QUESTION, numbered(1)])])
def test_the_inner_resolver_is_asked_once(drive: Callable[..., Any], make: Callable[[], Any]) -> None:
    inner = Counting()
    resolver = CachingResolver(inner)
    first = drive(make(), resolver)
    count = inner.asked
    assert count in {1, 2}
    assert drive(make(), resolver) == first
    assert inner.asked == count


def test_sync_and_async_callers_share_the_cache() -> None:
    inner = Counting()
    resolver = CachingResolver(inner)
    run(ask(QUESTION), resolver)
    drive_asyncio(ask(QUESTION), resolver)
    drive_trio(ask(QUESTION), resolver)
    assert inner.asked == 1
    assert resolver.lookup_now(QUESTION) == found()


def test_the_callers_own_empty_cache_is_used() -> None:
    cache = Cache()
    assert not len(cache)
    resolver = CachingResolver(Counting(), cache)
    assert resolver.cache is cache
    run(ask(QUESTION), resolver)
    assert len(cache) == 1
    other = CachingResolver(Counting(), cache)
    assert other.lookup_now(QUESTION) == found()


def test_failures_are_asked_again() -> None:
    inner = Counting(Answer(Outcome.SERVER_FAILURE))
    resolver = CachingResolver(inner)
    for _ in range(3):
        assert run(ask(QUESTION), resolver).outcome is Outcome.SERVER_FAILURE
        run(ask_all([QUESTION, numbered(1)]), resolver)
    assert inner.asked == 9


METHODS = ("lookup", "submit", "lookup_async")


@pytest.mark.parametrize("offered", [("lookup",), ("lookup", "submit"), ("lookup", "lookup_async"), METHODS])
def test_it_offers_what_the_inner_resolver_offers(offered: tuple[str, ...]) -> None:
    resolver = CachingResolver(only(*offered))
    assert tuple(name for name in METHODS if hasattr(resolver, name)) == offered


def test_an_async_resolver_cannot_be_used_by_run() -> None:
    class OnlyAsync:
        async def lookup_async(self, question: Question) -> Answer:
            return found()

    resolver = CachingResolver(OnlyAsync())
    assert not hasattr(resolver, "lookup")
    with pytest.raises(TypeError, match="use run_async"):
        run(ask(QUESTION), resolver)
    assert drive_asyncio(ask(QUESTION), resolver) == found()


def test_what_is_no_resolver_is_refused() -> None:
    with pytest.raises(TypeError, match="has neither"):
        CachingResolver(object())


def test_over_a_zone_nothing_waits() -> None:
    zone = ZoneResolver({("example.org", "A"): ["192.0.2.1"]})
    resolver = CachingResolver(zone)
    assert run(ask(QUESTION), resolver) == zone.lookup(QUESTION)
    assert len(resolver.cache) == 1


def test_a_look_up_that_breaks_is_not_kept() -> None:
    class Breaking(Counting):
        def submit(self, question: Question, time_limit: float | None) -> Future[Answer]:
            future: Future[Answer] = Future()
            future.set_exception(LookupError("a bug"))
            return future

    resolver = CachingResolver(Breaking())
    with pytest.raises(LookupError, match="a bug"):
        run(ask_all([QUESTION, numbered(1)]), resolver)
    assert len(resolver.cache) == 0
