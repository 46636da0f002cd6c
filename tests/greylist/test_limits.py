"""Limits and time spans of greylisting, on both sides of each edge: RFC 6647 section 5, RFC 5321 section 4.5.3.1."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from mailauth.greylist import (
    Action,
    Decision,
    GreylistPolicy,
    Mode,
    Reason,
    Record,
    State,
    StoreError,
    StoreErrorReason,
    credit,
    decide,
    normal_recipient,
    normal_sender,
)
from mailauth.greylist.check import Attempt
from mailauth.greylist.keys import MAX_KEY_OCTETS, parse_client
from mailauth.greylist.machine import admit
from mailauth.mail.names import parse_ip

T = 1_800_000_000.0
POLICY = GreylistPolicy()
DAY = 86400.0


@pytest.mark.parametrize(
    "values",
    [
        {"delay": 0},
        {"delay": 0.5},
        {"delay": 600, "retry_window": 660},  # the span of a minute, exactly
        {"lifetime": 3600.1},  # just longer than `refresh`
        {"auto_allow": 0},
        {"auto_allow": 1_000_000},
        {"auto_allow_interval": 0},
        {"refresh": 0},
        {"ipv4_prefix": 0, "ipv6_prefix": 0},
        {"ipv4_prefix": 32, "ipv6_prefix": 128},
        {"lifetime": 100 * 366 * DAY},
        {"mode": "off"},
        {"mode": "dry-run"},
    ],
)
def test_values_at_the_edge_are_taken(values: Mapping[str, object]) -> None:
    policy = GreylistPolicy(**values)  # type: ignore[arg-type]
    assert {name: getattr(policy, name) for name in values} == values


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"delay": -0.001}, "delay is out of range"),
        ({"delay": 600, "retry_window": 659.9}, "retry_window must be at least 60 s longer than delay"),
        ({"lifetime": 3600}, "refresh must be shorter than lifetime"),  # as long is not shorter
        ({"lifetime": 100 * 366 * DAY + 1}, "lifetime is out of range"),
        ({"auto_allow_interval": -1}, "auto_allow_interval is out of range"),
        ({"auto_allow_interval": False}, "auto_allow_interval is a number of seconds"),
        ({"refresh": -1}, "refresh is out of range"),
        ({"refresh": None}, "refresh is a number of seconds"),
        ({"retry_window": math.inf}, "retry_window is out of range"),
        ({"auto_allow": 1_000_001}, "auto_allow is between 0 and 1000000"),
        ({"auto_allow": True}, "auto_allow is a whole number"),
        ({"auto_allow": 10**5000}, "auto_allow is between 0 and 1000000, not a number that large"),
        ({"ipv4_prefix": -1}, "ipv4_prefix is between 0 and 32, not -1"),
        ({"ipv4_prefix": False}, "ipv4_prefix is a whole number"),
        ({"ipv6_prefix": 129}, "ipv6_prefix is between 0 and 128"),
        ({"ipv6_prefix": -1}, "ipv6_prefix is between 0 and 128"),
    ],
)
def test_values_behind_the_edge_are_not(values: Mapping[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GreylistPolicy(**values)  # type: ignore[arg-type]


def test_the_mode_is_a_mode_however_it_was_written() -> None:
    assert GreylistPolicy(mode="off").mode is Mode.OFF  # type: ignore[arg-type]


# --- a triplet, to the second (RFC 6647 section 5) ---


def waiting(first: float = T, **values: object) -> Record:
    return Record(State.WAITING, first, first, 1, 0, math.ceil(first + POLICY.retry_window))._replace(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (299.9, Reason.TOO_EARLY),
        (300, Reason.RETRIED),
        (2 * DAY, Reason.RETRIED),
        (2 * DAY + 0.1, Reason.TOO_LATE),
    ],
)
def test_the_delay_and_the_window_include_their_ends(after: float, reason: Reason) -> None:
    assert decide(waiting(), T + after, POLICY)[0].reason is reason


@pytest.mark.parametrize(("after", "reason"), [(35 * DAY, Reason.KNOWN), (35 * DAY + 0.1, Reason.EXPIRED)])
def test_the_lifetime_includes_its_end(after: float, reason: Reason) -> None:
    known = Record(State.KNOWN, T, T, 1, 1, math.ceil(T + POLICY.lifetime))
    assert decide(known, T + after, POLICY)[0].reason is reason


def test_each_record_says_when_it_has_run_out() -> None:
    """Stores remove by `expires` alone, so it is the end of what still counts, in whole seconds, rounded up."""
    _, new = decide(None, T + 0.5, POLICY)
    assert new == Record(State.WAITING, T + 0.5, T + 0.5, 1, 0, math.ceil(T + 0.5 + 2 * DAY))
    _, early = decide(new, T + 100, POLICY)
    assert early == Record(State.WAITING, T + 0.5, T + 100, 2, 0, math.ceil(T + 0.5 + 2 * DAY))
    _, passed = decide(early, T + 400, POLICY)
    assert passed == Record(State.KNOWN, T + 0.5, T + 400, 2, 1, math.ceil(T + 400 + 35 * DAY))
    _, used = decide(passed, T + 400 + 3600, POLICY)
    assert used == Record(State.KNOWN, T + 0.5, T + 4000, 2, 2, math.ceil(T + 4000 + 35 * DAY))
    _, late = decide(early, T + 3 * DAY, POLICY)
    assert late == Record(State.WAITING, T + 3 * DAY, T + 3 * DAY, 3, 0, math.ceil(T + 5 * DAY))
    _, expired = decide(used, T + 100 * DAY, POLICY)
    assert expired == Record(State.WAITING, T + 100 * DAY, T + 100 * DAY, 1, 0, math.ceil(T + 102 * DAY))


def test_a_use_is_written_down_at_most_once_in_the_refresh_time() -> None:
    known = Record(State.KNOWN, T, T, 1, 1, math.ceil(T + POLICY.lifetime))
    assert decide(known, T + 3599.9, POLICY)[1] is known
    assert decide(known, T + 3600, POLICY)[1] is not known


def test_what_a_decision_tells() -> None:
    decision, record = decide(None, T, POLICY)
    assert decision == Decision(Action.DEFER, Reason.NEW, 300, T, 1, 0.0)
    decision, record = decide(record, T + 299, POLICY)
    assert decision == Decision(Action.DEFER, Reason.TOO_EARLY, 1, T, 2, 0.0)
    decision, record = decide(record, T + 301, POLICY)
    assert decision == Decision(Action.ACCEPT, Reason.RETRIED, 0, T, 3, 301.0)
    decision, record = decide(record, T + 302, POLICY)
    assert decision == Decision(Action.ACCEPT, Reason.KNOWN, 0, T, 3, 0.0)


# --- a client ---


def test_successes_count_once_an_hour_until_there_are_enough() -> None:
    first = credit(None, T, POLICY)
    assert first == Record(State.COUNTING, T, T, 0, 1, math.ceil(T + POLICY.lifetime))
    assert credit(first, T + 3599.9, POLICY) is first
    second = credit(first, T + 3600, POLICY)
    assert second == Record(State.COUNTING, T, T + 3600, 0, 2, math.ceil(T + 3600 + POLICY.lifetime))
    third = credit(second, T + 7200, POLICY)
    fourth = credit(third, T + 10800, POLICY)
    assert (fourth.state, fourth.passed) == (State.COUNTING, 4)
    assert admit(fourth, T + 10801, POLICY) is None
    fifth = credit(fourth, T + 14400, POLICY)
    assert fifth == Record(State.ALLOWED, T, T + 14400, 0, 5, math.ceil(T + 14400 + POLICY.lifetime))
    admitted = admit(fifth, T + 20000, POLICY)
    assert admitted is not None
    decision, after = admitted
    assert decision == Decision(Action.ACCEPT, Reason.CLIENT_ALLOWED, 0, T, 6, 0.0)
    assert after == fifth._replace(last_seen=T + 20000, passed=6, expires=math.ceil(T + 20000 + POLICY.lifetime))


@pytest.mark.parametrize(("after", "let_through"), [(35 * DAY, True), (35 * DAY + 0.1, False)])
def test_an_allowed_client_stays_so_for_the_lifetime(after: float, let_through: bool) -> None:
    allowed = Record(State.ALLOWED, T, T, 0, 5, math.ceil(T + POLICY.lifetime))
    assert (admit(allowed, T + after, POLICY) is not None) is let_through
    # What has run out begins anew.
    assert credit(allowed, T + after, POLICY).passed == (5 if let_through else 1)


# --- keys ---


@pytest.mark.parametrize("normal", [normal_sender, normal_recipient])
def test_an_address_as_long_as_addresses_may_be_stands_for_itself(normal: object) -> None:
    """RFC 5321 section 4.5.3.1: 64 octets of local part, "@", 255 of domain."""
    assert callable(normal)
    longest = "a" * 64 + "@" + ".".join(["b" * 63] * 3 + ["c" * 63])
    assert len(longest) == 320
    assert normal(longest) == longest
    longer = normal("a" + longest)
    assert longer.startswith("a" * 64 + "%23sha256=")
    assert longer != normal("a" + longest.replace("c", "d"))


def test_a_key_holds_the_longest_parts() -> None:
    """A domain of 253 octets, two addresses of 320, and what separates them."""
    assert MAX_KEY_OCTETS == 253 + 1 + 320 + 1 + 320


@pytest.mark.parametrize(
    ("sender", "normal"),
    [
        # BATV: tag-type "prvs", a digit of the key, three of the day, six of the hash; deployed ones have up to twelve
        ("prvs=12345=ann@example.org", "prvs=#=ann@example.org"),
        ("prvs=123456=ann@example.org", "ann@example.org"),
        ("prvs=1234567890ab=ann@example.org", "ann@example.org"),
        ("PRVS=1234567890=Ann@example.org", "ann@example.org"),
        ("msprvs1=abc=ann@example.org", "ann@example.org"),
        ("btv1==abc==ann@example.org", "ann@example.org"),
        # SRS with each of its separators
        ("SRS0-hash=tt=example.org=ann@forward.example", "srs0=example.org=ann@forward.example"),
        ("SRS1+hash=f.example=-h=t=example.org=ann@second.example", "srs1=f.example=example.org=ann@second.example"),
        # a hexadecimal word of eight is a token, one of seven is a name; others from sixteen on
        ("m-0abcdef1@example.org", "m-#@example.org"),
        ("m-0abcdef@example.org", "m-0abcdef@example.org"),
        ("m-0abcdefghijklmno@example.org", "m-#@example.org"),
        ("m-0abcdefghijklmn@example.org", "m-0abcdefghijklmn@example.org"),
        ("m-abcdefabcdef@example.org", "m-abcdefabcdef@example.org"),
        ("m-7@example.org", "m-#@example.org"),
        ("7@example.org", "#@example.org"),
    ],
)  # fmt: skip
def test_what_varies_in_a_sender_and_what_does_not(sender: str, normal: str) -> None:
    assert normal_sender(sender) == normal


def test_a_network_of_a_person_is_kept_as_it_was_written() -> None:
    policy = GreylistPolicy(ipv4_prefix=20, ipv6_prefix=48)
    assert parse_client("192.0.31.7", policy) == "192.0.16.0/20"
    assert parse_client("2001:db8:1:2::7", policy) == "2001:db8:1::/48"
    assert parse_client("2001:db8:1:2::7/64", policy) == "2001:db8:1:2::/64"


# --- values ---


def test_an_attempt_needs_no_more_than_three_facts() -> None:
    attempt = Attempt(parse_ip("192.0.2.1"), "ann@example.org", "bob@example.net")
    assert (attempt.proven_domain, attempt.client_name, attempt.authenticated) == (None, None, False)


def test_a_decision_without_a_record() -> None:
    assert Decision(Action.ACCEPT, Reason.OFF).to_dict() == {
        "action": "accept",
        "reason": "off",
        "detail": "greylisting is off for this recipient",
        "retry_after": 0,
        "first_seen": None,
        "attempts": 0,
        "waited": 0.0,
        "dry_run": False,
        "reply": None,
    }


def test_codes_are_what_the_documentation_says() -> None:
    """A code is for programs and for years: docs/greylist.md."""
    assert {str(reason) for reason in StoreErrorReason} == {
        "unreachable", "timed-out", "locked", "corrupt", "full", "read-only", "foreign", "contention", "other",
    }  # fmt: skip
    assert StoreError("words").reason is StoreErrorReason.OTHER
    assert {str(mode) for mode in Mode} == {"on", "off", "dry-run"}
    assert Decision(Action.ACCEPT, Reason.RETRIED, waited=7.0).header_field("mx.example.net") == (
        b"X-Greylist: delayed 7 seconds by greylisting at mx.example.net\r\n"
    )
