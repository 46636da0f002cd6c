"""The bounds of explanations, each counted to its edge, and that what is ordinary needs little of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mailauth.dkim import ExplainLimits, Explanation, HalfState, explain
from mailauth.dkim.explanation.bounds import Account, Budget, Exhausted
from mailauth.plan import run
from tests.dkim.altered import CHANGES, PLAIN, signed_message
from tests.dkim.makers import NOW, ed_key, ed_record, rsa_key, rsa_record, signed, zone

RECORD = rsa_record()
MANY = 64 * 1024 + 1


def only(message: bytes, record: Any = RECORD, **settings: Any) -> Explanation:
    (explanation,) = run(explain(message, now=NOW, **settings), zone(record))
    return explanation


def account(attempts: int = 100, clock: Callable[[], float] | None = None, **limits: Any) -> Account:
    return Account(Budget(ExplainLimits(attempts=attempts, **limits), 10, clock))


# --- the account ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["spend", "work"])
def test_so_many_octets_and_not_one_more(way: str) -> None:
    """`octets`, and the body so many times on top."""
    one = account(octets=100, octets_per_octet=3)
    getattr(one, way)(99)
    getattr(one, way)(31)
    getattr(one, way)(0)
    with pytest.raises(Exhausted):
        getattr(one, way)(1)


def test_searches_of_one_message_share_its_octets() -> None:
    budget = Budget(ExplainLimits(octets=100, octets_per_octet=0), 10, None)
    Account(budget).spend(60)
    Account(budget).work(40)
    with pytest.raises(Exhausted):
        Account(budget).spend(1)


def test_so_many_attempts_and_not_one_more() -> None:
    one = account(attempts=3)
    for number in range(3):
        assert one.attempts == number
        one.spend(1)
    with pytest.raises(Exhausted):
        one.spend(0)
    assert one.attempts == 3
    fewer = Account(Budget(ExplainLimits(attempts=3), 10, None), 1)
    fewer.spend(1)
    with pytest.raises(Exhausted):
        fewer.spend(1)


def test_what_is_gone_over_is_no_attempt() -> None:
    one = account(attempts=1)
    for _ in range(5):
        one.work(1)
    assert one.attempts == 0
    one.spend(1)


@pytest.mark.parametrize("way", ["spend", "work"])
def test_the_last_moment_is_still_in_time(way: str) -> None:
    now = 1000.0
    one = account(clock=lambda: now, seconds=2.5)
    now = 1002.5
    getattr(one, way)(MANY)
    now = 1002.75
    with pytest.raises(Exhausted):
        getattr(one, way)(MANY)
    # Without a clock, time does not count.
    getattr(account(seconds=0), way)(MANY)


def test_the_clock_is_looked_at_every_sixteenth_time_or_for_much() -> None:
    late = [0.0, *[99.0] * 1000]
    one = account(clock=lambda: late.pop(0), seconds=1)
    for _ in range(15):
        one.spend(64 * 1024)
    assert len(late) == 1000
    with pytest.raises(Exhausted):
        one.spend(1)
    one = account(clock=lambda: late.pop(0) - 99, seconds=1)
    one.spend(MANY)
    assert len(late) == 997


@pytest.mark.parametrize("name", list(vars(ExplainLimits())))
def test_a_bound_is_not_negative(name: str) -> None:
    ExplainLimits(**{name: 0})
    for value in (-1, -0.5, float("nan")):
        with pytest.raises(ValueError, match=name):
            ExplainLimits(**{name: value})


# --- the searches --------------------------------------------------------------------------------------------------

TAGGED = (b"Subject: Re:", b"Subject: [list] Re:")
HEADER = signed(PLAIN).replace(*TAGGED)
ED25519 = signed(PLAIN, key=ed_key()).replace(*TAGGED)


def test_the_attempts_that_the_body_needs_are_enough() -> None:
    message = signed(PLAIN, {"c": "simple/simple"}).replace(b"-- \r\n", b"--\r\n")
    whole = only(message)
    assert whole.body.state is HalfState.EXPLAINED
    needed = whole.body.attempts
    assert only(message, limits=ExplainLimits(attempts=needed)) == whole
    less = only(message, limits=ExplainLimits(attempts=needed - 1)).body
    assert (less.state, less.exhausted, less.attempts) == (HalfState.ALTERED, True, needed - 1)
    assert less.tried


@pytest.mark.parametrize(("message", "record", "name"), [
    (HEADER, RECORD, "attempts"),
    (ED25519, ed_record(), "verifications"),
])  # fmt: skip
def test_the_attempts_that_the_header_needs_are_enough(message: bytes, record: str, name: str) -> None:
    whole = only(message, record)
    assert whole.header.state is HalfState.EXPLAINED
    needed = whole.header.attempts
    assert only(message, record, limits=ExplainLimits(**{name: needed})) == whole
    less = only(message, record, limits=ExplainLimits(**{name: needed - 1})).header
    assert (less.exhausted, less.attempts) == (True, needed - 1)
    assert less.state in (HalfState.ALTERED, HalfState.UNKNOWN)
    # The other bound is that of the other kind of key.
    other = "verifications" if name == "attempts" else "attempts"
    assert only(message, record, limits=ExplainLimits(**{other: 0})).header == whole.header


def test_a_message_of_just_so_many_octets_is_searched() -> None:
    message = signed(PLAIN) + b"footer\r\n"
    most = ExplainLimits(message_octets=len(message))
    assert only(message, limits=most).body.state is HalfState.EXPLAINED
    more = only(message + b"x", limits=most).body
    assert (more.state, more.detail) == (HalfState.UNKNOWN, f"the message has more than {len(message)} octets")


def test_time_that_is_up_ends_the_search_of_the_header_too() -> None:
    ticks = iter(range(100_000))
    message = signed(PLAIN).replace(b"Date: ", b"Date: nothing that anybody guesses ")
    late = only(message, clock=lambda: next(ticks), limits=ExplainLimits(seconds=3)).header
    assert (late.state, late.exhausted) == (HalfState.ALTERED, True)
    assert late.attempts < 100


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.name)
def test_what_is_ordinary_needs_few_attempts(change: Any) -> None:
    """The likeliest guesses come first: a few hundred, of the forty thousand that are allowed."""
    for name in change.messages[:1]:
        message = change.apply(signed_message(name, "simple/simple", rsa_key()))
        explanation = only(message, limits=ExplainLimits(attempts=800))
        assert not explanation.header.exhausted
        assert not explanation.body.exhausted
