"""The greylisting machine: its table, its timing, its clocks.

Whatever the clock has done, a client that comes back in time is let through, and none that comes back
earlier by an unbroken clock is.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.greylist import (
    CLIENT,
    TRIPLET,
    Action,
    Decision,
    Event,
    GreylistPolicy,
    Mode,
    Reason,
    Record,
    State,
    admit,
    credit,
    decide,
)
from mailauth.greylist.decision import roughly
from mailauth.greylist.machine import event_for_client, event_for_success, event_for_triplet

POLICY = GreylistPolicy()
DAY = 86400.0
T = 1_800_000_000.0
WAITING = Record(State.WAITING, T, T, 1, 0, int(T + 2 * DAY))
KNOWN = Record(State.KNOWN, T, T + 300, 1, 1, int(T + 300 + 35 * DAY))
COUNTING = Record(State.COUNTING, T, T, 0, 1, int(T + 35 * DAY))
ALLOWED = Record(State.ALLOWED, T, T, 0, 5, int(T + 35 * DAY))


@pytest.mark.parametrize(
    ("record", "now", "action", "reason", "retry_after", "state", "deferred", "passed"),
    [
        pytest.param(None, T, "defer", "new", 300, "waiting", 1, 0, id="never seen"),
        pytest.param(WAITING, T, "defer", "too-early", 300, "waiting", 2, 0, id="at the same moment"),
        pytest.param(WAITING, T + 299.5, "defer", "too-early", 1, "waiting", 2, 0, id="half a second early"),
        pytest.param(WAITING, T + 300, "accept", "retried", 0, "known", 1, 1, id="when the delay is over"),
        pytest.param(WAITING, T + 2 * DAY, "accept", "retried", 0, "known", 1, 1, id="at the end of the window"),
        pytest.param(WAITING, T + 2 * DAY + 1, "defer", "too-late", 300, "waiting", 2, 0, id="after the window"),
        pytest.param(KNOWN, T + 301, "accept", "known", 0, "known", 1, 1, id="known, just used"),
        pytest.param(KNOWN, T + DAY, "accept", "known", 0, "known", 1, 2, id="known, used again"),
        pytest.param(KNOWN, T + 300 + 35 * DAY, "accept", "known", 0, "known", 1, 2, id="known, on its last day"),
        pytest.param(KNOWN, T + 301 + 35 * DAY, "defer", "expired", 300, "waiting", 1, 0, id="forgotten"),
        # clocks
        pytest.param(WAITING, T - 5, "defer", "too-early", 300, "waiting", 2, 0, id="clock back 5 s"),
        pytest.param(WAITING, T - 400 * DAY, "defer", "too-early", 300, "waiting", 2, 0, id="clock back a year"),
        pytest.param(KNOWN, T - 400 * DAY, "accept", "known", 0, "known", 1, 2, id="known, clock back a year"),
        # a record of a client under the key of a triplet: a store that was edited by hand
        pytest.param(ALLOWED, T + 300, "defer", "new", 300, "waiting", 1, 0, id="not a triplet's record"),
    ],
)
def test_a_triplet(
    record: Record | None,
    now: float,
    action: str,
    reason: str,
    retry_after: int,
    state: str,
    deferred: int,
    passed: int,
) -> None:
    decision, after = decide(record, now, POLICY)
    assert (decision.action, decision.reason, decision.retry_after) == (action, reason, retry_after)
    assert (after.state, after.deferred, after.passed) == (state, deferred, passed)


def test_no_write_for_a_known_triplet_in_use() -> None:
    decision, after = decide(KNOWN, T + 300 + POLICY.refresh - 1, POLICY)
    assert decision.reason is Reason.KNOWN
    assert after is KNOWN
    assert decide(KNOWN, T + 300 + POLICY.refresh, POLICY)[1] is not KNOWN


def test_rfc_6647_section_5_a_late_retry_resets_first_seen() -> None:
    late = T + 3 * DAY
    decision, after = decide(WAITING, late, POLICY)
    assert (decision.first_seen, after.first_seen) == (late, late)
    assert decide(after, late + 299, POLICY)[0].deferred
    assert not decide(after, late + 300, POLICY)[0].deferred


def test_a_record_may_be_removed_only_when_it_has_no_say_any_more() -> None:
    _, waiting = decide(None, T + 0.5, POLICY)
    assert event_for_triplet(waiting, waiting.expires + 1, POLICY) is Event.TOO_LATE
    assert event_for_triplet(waiting, waiting.expires - 1, POLICY) is Event.RETRIED
    _, known = decide(waiting, T + 400.5, POLICY)
    assert event_for_triplet(known, known.expires + 1, POLICY) is Event.EXPIRED
    assert event_for_triplet(known, known.expires - 1, POLICY) is Event.KNOWN


# --- clients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "now", "state", "passed"),
    [
        pytest.param(None, T, "counting", 1, id="first success"),
        pytest.param(COUNTING, T + 3599, "counting", 1, id="within the hour: not counted"),
        pytest.param(COUNTING, T + 3600, "counting", 2, id="an hour later"),
        pytest.param(COUNTING, T - 3599, "counting", 1, id="clock back, within the hour"),
        pytest.param(COUNTING, T - DAY, "counting", 2, id="clock back a day"),
        pytest.param(COUNTING._replace(passed=3), T + DAY, "counting", 4, id="fourth"),
        pytest.param(COUNTING._replace(passed=4), T + DAY, "allowed", 5, id="fifth: enough"),
        pytest.param(COUNTING._replace(passed=4), T + 36 * DAY, "counting", 1, id="too long ago: from the start"),
        pytest.param(ALLOWED, T + DAY, "allowed", 5, id="allowed meanwhile"),
        pytest.param(ALLOWED, T + 36 * DAY, "counting", 1, id="allowed, but too long ago"),
        pytest.param(WAITING, T, "counting", 1, id="not a client's record"),
    ],
)
def test_a_success_of_a_client(record: Record | None, now: float, state: str, passed: int) -> None:
    after = credit(record, now, POLICY)
    assert (after.state, after.passed) == (state, passed)


def test_rfc_6647_section_5_one_success_is_enough_where_the_policy_says_so() -> None:
    assert credit(None, T, GreylistPolicy(auto_allow=1)).state is State.ALLOWED


@pytest.mark.parametrize(
    ("record", "now", "admitted"),
    [
        (None, T, False),
        (COUNTING, T, False),
        (ALLOWED, T + 35 * DAY, True),
        (ALLOWED, T + 35 * DAY + 1, False),
        (ALLOWED, T - 1000 * DAY, True),
        (KNOWN, T, False),
    ],
)
def test_an_allowed_client_is_let_through(record: Record | None, now: float, admitted: bool) -> None:
    outcome = admit(record, now, POLICY)
    assert (outcome is not None) == admitted
    if outcome:
        assert (outcome[0].reason, outcome[0].deferred) == (Reason.CLIENT_ALLOWED, False)


# --- the table -----------------------------------------------------------------------------------------------

TIMES = st.floats(min_value=0, max_value=4e9, allow_nan=False)
POLICIES = st.builds(
    lambda delay, window, lifetime, auto_allow: GreylistPolicy(
        delay=delay, retry_window=delay + 60 + window, lifetime=3601 + lifetime, auto_allow=auto_allow
    ),
    st.floats(0, 1e5),
    st.floats(1, 1e6),
    st.floats(0, 1e7),
    st.integers(1, 10),
)
COUNTS = st.integers(0, 2**40)
RECORDS = st.builds(Record, st.sampled_from(State), TIMES, TIMES, COUNTS, COUNTS, COUNTS, COUNTS)


@given(RECORDS | st.none(), TIMES, POLICIES)
def test_the_table_has_an_entry_for_whatever_happens(record: Record | None, now: float, policy: GreylistPolicy) -> None:
    """Any record, any time, any policy: a decision, and the state that the table names."""
    decision, after = decide(record, now, policy)
    event = event_for_triplet(record, now, policy)
    transition = TRIPLET[None if record is None or event is Event.NEW else record.state, event]
    assert (after.state, decision.action, decision.reason) == (transition.target, transition.action, event.value)
    assert credit(record, now, policy).state in {State.COUNTING, State.ALLOWED}
    admit(record, now, policy)
    assert decision.to_dict()["detail"]


def test_every_entry_of_the_table_happens_and_no_other() -> None:
    times = [T, T + 300, T + 3 * DAY, T + 40 * DAY]
    triplets = {(record and record.state, event_for_triplet(record, now, POLICY))
                for record in (None, WAITING, KNOWN) for now in times}  # fmt: skip
    assert triplets == set(TRIPLET)
    clients = set()
    for client in (None, COUNTING, COUNTING._replace(passed=4), ALLOWED):
        for now in times:
            spoken = event_for_client(client, now, POLICY) if client else None
            if client is not None and spoken is not None:
                clients.add((client.state, spoken))
            if spoken is not Event.CLIENT_EXPIRED:
                for policy in (POLICY, replace(POLICY, auto_allow=1)):
                    clients.add((client and client.state, event_for_success(client, now, policy)))
    assert clients == set(CLIENT)


@given(st.lists(TIMES, min_size=1, max_size=20), POLICIES)
def test_clock_steps_never_lock_mail_out(clock: list[float], policy: GreylistPolicy) -> None:
    """After any history of clocks, no wait is longer than the delay, and coming back then is accepted."""
    record: Record | None = None
    for now in clock:
        decision, record = decide(record, now, policy)
        assert decision.retry_after <= max(1, math.ceil(policy.delay) + 1)
        if decision.deferred:
            assert decide(record, now + decision.retry_after, policy)[0].reason is Reason.RETRIED


@pytest.mark.parametrize("now", [1e300, -1e300, 2.0**60])
def test_a_time_too_large_to_count_seconds_does_not_hang(now: float) -> None:
    assert decide(None, now, POLICY)[0].retry_after >= 0


@given(TIMES, st.lists(st.floats(0, 1), max_size=10), POLICIES)
def test_never_early(first: float, fractions: list[float], policy: GreylistPolicy) -> None:
    """By a clock that only goes forward, nothing is accepted before the delay is over."""
    _, record = decide(None, first, policy)
    for fraction in sorted(fractions):
        now = first + policy.delay * fraction
        if now - first < policy.delay:
            decision, record = decide(record, now, policy)
            assert decision.reason is Reason.TOO_EARLY


# --- values --------------------------------------------------------------------------------------------------


@given(RECORDS)
def test_records_survive_their_text_form(record: Record) -> None:
    """To text and back is the same record."""
    assert Record.from_text(record.to_text()) == record


@pytest.mark.parametrize("text", ["", "waiting", "waiting 1 2 3 4 5", "gone 1.0 2.0 1 1 1 0", "waiting a b 1 1 1 0"])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Record.from_text(text)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"delay": -1}, "delay is out of range"),
        ({"delay": math.nan}, "delay is out of range"),
        ({"delay": "5m"}, "delay is a number of seconds"),
        ({"delay": True}, "delay is a number of seconds"),
        ({"delay": 7200, "retry_window": 7200}, "retry_window must be at least 60 s longer"),
        ({"lifetime": 100}, "refresh must be shorter than lifetime"),
        ({"ipv4_prefix": 33}, "ipv4_prefix is between 0 and 32"),
        ({"ipv6_prefix": 64.0}, "ipv6_prefix is a whole number"),
        ({"auto_allow": -1}, "auto_allow is between"),
        ({"mode": "maybe"}, "mode is one of on, off, dry-run"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GreylistPolicy(**values)  # type: ignore[arg-type]


def test_the_defaults() -> None:
    assert (POLICY.delay, POLICY.retry_window, POLICY.lifetime) == (300, 2 * DAY, 35 * DAY)
    assert (POLICY.auto_allow, POLICY.auto_allow_interval) == (5, 3600)
    assert (POLICY.ipv4_prefix, POLICY.ipv6_prefix, POLICY.mode) == (24, 64, Mode.ON)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "a minute"),
        (60, "a minute"),
        (61, "2 minutes"),
        (300, "5 minutes"),
        (7140, "119 minutes"),
        (7141, "2 hours"),
        (47 * 3600, "47 hours"),
        (47 * 3600 + 1, "2 days"),
        (10 * DAY, "10 days"),
    ],
)
def test_durations_in_words_never_promise_too_little(seconds: float, words: str) -> None:
    assert roughly(seconds) == words


def test_the_reply_of_a_deferral() -> None:
    decision, _ = decide(None, T, POLICY)
    # RFC 6647 section 5 (450), RFC 3463 section 2 (an enhanced code of the same class)
    assert str(decision.reply) == "450 4.7.1 Greylisted; please try again in 5 minutes or later"
    failed = Decision(Action.DEFER, Reason.STORE_ERROR, 300)
    assert str(failed.reply) == "451 4.3.0 Temporary local problem; please try again later"
    assert Decision(Action.ACCEPT, Reason.KNOWN).reply is None
    assert failed.as_dry_run().reply is None


def test_the_header_field_tells_the_delay_once() -> None:
    decision, known = decide(WAITING, T + 312.4, POLICY)
    assert decision.header_value("mx.example.net") == "delayed 312 seconds by greylisting at mx.example.net"
    field = decision.header_field("mx.example.net")
    assert field == b"X-Greylist: delayed 312 seconds by greylisting at mx.example.net\r\n"
    again, _ = decide(known, T + 400, POLICY)
    assert again.header_field("mx.example.net") is None
    with pytest.raises(ValueError, match="not a host name"):
        decision.header_field("mx.example.net\r\nX-Evil: 1")
