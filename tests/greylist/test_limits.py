"""Limits and time spans of greylisting, on both sides of each edge: RFC 6647 section 5, RFC 5321 section 4.5.3.1."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence

import pytest

from mailauth.greylist import (
    Action,
    AsyncGreylist,
    Decision,
    Entry,
    Greylist,
    GreylistPolicy,
    Mode,
    Page,
    Patterns,
    Reason,
    Record,
    Settings,
    SettingsError,
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
from mailauth.greylist.machine import TRIPLET, Event, admit, event_for_triplet
from mailauth.greylist.settings import address_patterns
from mailauth.greylist.whitelist import ClientWhitelist, RecipientWhitelist
from mailauth.mail.names import parse_ip
from mailauth.stores.memory import MemoryStore

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
        ({"auto_allow": 1_000_001}, "auto_allow is between 0 and 1000000, not 1000001"),
        ({"auto_allow": True}, "auto_allow is a whole number"),
        ({"auto_allow": -(10**17)}, "not -100000000000000000"),
        ({"auto_allow": 10**18}, "not a number that large"),
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


@pytest.mark.parametrize(
    ("first", "delay", "now", "retry_after"),
    [
        # sums of floating-point numbers that come out slightly lower
        (1800000000.4, 428.1, 1800000230.5, 199),
        (1800000000.68015, 548.3, 1800000531.98015, 18),
        (1800000000.0, 300.0, 1800000299.0, 1),
    ],
)
def test_a_retry_that_comes_when_it_is_told_to_is_never_too_early(
    first: float, delay: float, now: float, retry_after: int
) -> None:
    policy = GreylistPolicy(delay=delay)
    decision, record = decide(waiting(first), now, policy)
    assert (decision.reason, decision.retry_after) == (Reason.TOO_EARLY, retry_after)
    assert decide(record, now + retry_after, policy)[0].reason is Reason.RETRIED


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


@pytest.mark.parametrize(
    ("record", "after"),
    [
        (None, 0.0),
        (waiting(), 10.0),
        (waiting(), 300.0),
        (waiting(), 3 * DAY),
        (waiting(state=State.KNOWN), 10.0),
        (waiting(state=State.KNOWN), 100 * DAY),
    ],
)
def test_the_table_says_which_state_follows(record: Record | None, after: float) -> None:
    event = event_for_triplet(record, T + after, POLICY)
    assert decide(record, T + after, POLICY)[1].state is TRIPLET[record and record.state, event].target


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
    assert {str(event) for event in Event} == {
        "new", "too-early", "retried", "too-late", "known", "expired", "success", "repeated", "enough",
        "client-allowed", "client-expired",
    }  # fmt: skip
    assert {str(mode) for mode in Mode} == {"on", "off", "dry-run"}
    assert Decision(Action.ACCEPT, Reason.RETRIED, waited=7.0).header_field("mx.example.net") == (
        b"X-Greylist: delayed 7 seconds by greylisting at mx.example.net\r\n"
    )


# --- a store that fails, and the time (RFC 6647 section 8.2) ---


class Failing(MemoryStore):
    """A store that nobody can reach."""

    def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        raise StoreError("nobody there", StoreErrorReason.UNREACHABLE)


@pytest.mark.parametrize(("on_error", "retry_after"), [("defer", 420), ("accept", 0)])
def test_who_is_deferred_because_of_the_store_is_told_when_to_come_back(on_error: str, retry_after: int) -> None:
    greylist = Greylist(Failing(), policy=GreylistPolicy(delay=420), on_error=on_error)
    decision = greylist.check("192.0.2.1", "ann@example.org", "bob@example.net", now=T)
    assert decision == Decision(Action(on_error), Reason.STORE_ERROR, retry_after, note="nobody there")


def test_a_dry_run_accepts_what_the_store_would_have_deferred() -> None:
    greylist = Greylist(Failing(), policy=GreylistPolicy(mode=Mode.DRY_RUN), on_error="defer")
    decision = greylist.check("192.0.2.1", "ann@example.org", "bob@example.net", now=T)
    assert (decision.action, decision.dry_run, decision.retry_after) == (Action.ACCEPT, True, 300)


@pytest.mark.parametrize("now", [1e12, -1e12, 0.0])
def test_seconds_are_taken_up_to_a_bound(now: float) -> None:
    greylist = Greylist(MemoryStore())
    assert greylist.check("192.0.2.1", "ann@example.org", "bob@example.net", now=now).reason is Reason.NEW


@pytest.mark.parametrize("now", [1e12 + 0.5, -1e12 - 0.5, math.inf, math.nan])
def test_what_cannot_be_seconds_is_the_callers_mistake(now: float) -> None:
    with pytest.raises(ValueError, match="now is in seconds since the epoch"):
        Greylist(MemoryStore()).check("192.0.2.1", "ann@example.org", "bob@example.net", now=now)


def test_expiry_comes_with_every_sixty_fourth_new_triplet_and_takes_four_times_as_many() -> None:
    store = MemoryStore()
    greylist = Greylist(store)
    for number in range(63):
        greylist.check(f"10.0.{number}.1", "ann@example.org", "bob@example.net", now=T)
    greylist.check("10.1.0.1", "ann@example.org", "bob@example.net", now=T + 3 * DAY)
    # The sixty-third are gone; the new one and the tally of the others are there.
    entries = dict(store.scan(limit=1000).entries)
    assert sorted(entries) == ["#waiting", "10.1.0.0/24 ann@example.org bob@example.net"]
    assert entries["#waiting"] == Record(State.TALLY, T + 3 * DAY, T + 3 * DAY, 63, 0, 2**53, 63)


def test_tallies_add_up() -> None:
    """Of two times of removal, the tally has the first and the last, and the sums."""
    greylist = Greylist(MemoryStore(), expire_every=None)
    greylist.check("192.0.2.1", "ann@example.org", "bob@example.net", now=T)
    greylist.check("192.0.2.1", "ann@example.org", "bob@example.net", now=T + 10)
    assert greylist.expire(now=T + 3 * DAY) == 1
    greylist.check("192.0.2.1", "ann@example.org", "bob@example.net", now=T + 4 * DAY)
    assert greylist.expire(now=T + 7 * DAY) == 1
    assert dict(greylist.store.scan().entries) == {
        "#waiting": Record(State.TALLY, T + 3 * DAY, T + 7 * DAY, 3, 0, 2**53, 2)
    }


# --- settings and white lists ---


@pytest.mark.parametrize(
    ("address", "patterns"),
    [
        ("Ann@B.Example.org", ("ann@b.example.org", "ann@", "b.example.org", ".b.example.org", ".example.org", ".org")),
        ("<ann@example.org>", ("ann@example.org", "ann@", "example.org", ".example.org", ".org")),
        ("<Postmaster>", ("postmaster@",)),
        ("<X>", ("x@",)),
        ("", ("<>",)),
        ("<>", ("<>",)),
    ],
)
def test_the_most_specific_pattern_comes_first(address: str, patterns: tuple[str, ...]) -> None:
    assert address_patterns(address) == patterns


@pytest.mark.parametrize("address", ["a" * 308 + "@example.org", "a" * 400 + "@example.org"])
def test_long_addresses_have_patterns_as_well(address: str) -> None:
    local_part = address.partition("@")[0]
    assert address_patterns(address)[:2] == (address, f"{local_part}@")


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (7, "a pattern is text"),
        ("", "a pattern is text"),
        pytest.param(10**5000, "not such a number", id="huge"),
        ("192.0.2.1/24", r"is no network .*; did you mean 192\.0\.2\.0/24\?"),
        ("192.0.2.300", "is no network"),
        ("2001:db8::x", "is no network"),
        ("@example.org", "neither a network, a domain nor an address"),
        ("ann@.example.org", "neither a network, a domain nor an address"),
        ("a b.example", "neither a network, a domain nor an address"),
        ("..example", "neither a network, a domain nor an address"),
    ],
)
def test_a_pattern_that_is_none(pattern: object, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        Patterns.of([pattern])  # type: ignore[list-item]


def test_patterns_are_kept_as_they_are_matched() -> None:
    patterns = Patterns.of(["192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "<>", "Ann@Example.ORG", "X@", ".B.example"])
    assert patterns.exact == {"<>", "ann@example.org", "x@", ".b.example"}
    assert dict(patterns.networks) == {
        (4, 8): frozenset({0xC00002}), (4, 0): frozenset({0xC0000207}), (6, 96): frozenset({0x20010DB8}),
    }  # fmt: skip
    assert patterns.match_ip(parse_ip("2001:db8:1::1")) == "2001:db8::/32"
    assert patterns.match_ip(parse_ip("192.0.3.1")) is None
    assert patterns.match_name("a.b.example") == ".b.example"
    assert patterns.match_name("b c") is None


@pytest.mark.parametrize(
    ("entry", "networks"),
    [
        ("10.1", {(4, 16): frozenset({0x0A01})}),
        ("10.1.2", {(4, 8): frozenset({0x0A0102})}),
        ("10.1.2.3", {(4, 0): frozenset({0x0A010203})}),
        ("10.1.2.3/16", {(4, 16): frozenset({0x0A01})}),
        ("2001:db8::7/32", {(6, 96): frozenset({0x20010DB8})}),
    ],
)
def test_first_octets_are_a_network(entry: str, networks: object) -> None:
    assert dict(ClientWhitelist.parse(entry).networks.networks) == networks


def test_what_is_longer_than_a_name_or_an_address_matches_nothing() -> None:
    """RFC 1035 section 2.3.4: 253 octets; RFC 5321 section 4.5.3.1: 320."""
    clients, recipients = ClientWhitelist.parse("/^a/"), RecipientWhitelist.parse("/^a/")
    assert clients.match(parse_ip("192.0.2.1"), "a" * 253) == "/^a/"
    assert clients.match(parse_ip("192.0.2.1"), "a" * 254) is None
    assert recipients.match("a" * 320) == "/^a/"
    assert recipients.match("a" * 321) is None
    assert clients.match(parse_ip("192.0.2.1"), "") is None


def test_each_refused_line_has_its_number_and_text() -> None:
    assert RecipientWhitelist.parse("a@\n# none\n b c \n@x\n", "lists").refused == (
        ("lists", 3, "b c", "an entry has no blanks"),
        ("lists", 4, "@x", "no local part; a domain is written x"),
    )
    assert ClientWhitelist.parse("a b").refused[0].filename == "<white list>"
    long = ClientWhitelist.parse("x " + "y" * 200).refused[0]
    assert str(long) == f"<white list>:1: {long.text[:100]!r}: an entry has no blanks"


@pytest.mark.parametrize(("entry", "is_expression"), [("/a/", True), ("/ab/", True), ("//", False), ("/a", False)])
def test_an_expression_stands_between_slashes(entry: str, is_expression: bool) -> None:
    assert bool(ClientWhitelist.parse(entry).expressions) is is_expression


def test_settings_say_postmaster_and_abuse() -> None:
    """RFC 5321 section 4.5.1, RFC 2142 section 4."""
    assert Settings().recipients.exact == {"postmaster@", "abuse@"}
    assert Settings().current().policy_for("bob@example.net") == GreylistPolicy()


@pytest.mark.parametrize(
    ("entry", "local_part", "holds"),
    [
        ("a", "a+b+c+d", True),
        ("a+b", "a+b+c+d", True),
        ("a+b+c", "a+b+c+d", True),
        ("a+b", "a+b+c", True),
        ("a+", "a++b", True),
        ("a", "a+", False),  # an extension has a character at least
        ("a", "a++", True),
        ("", "+a", False),
    ],
)
def test_an_extension_begins_at_any_plus_sign(entry: str, local_part: str, holds: bool) -> None:
    whitelist = RecipientWhitelist.parse(f"{entry}@")
    assert (whitelist.match(f"{local_part}@example.net") is not None) is holds


def test_the_log_speaks_of_stores_that_fail_and_of_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(clients=Patterns.of(["192.0.2.0/24"]))
    with caplog.at_level(logging.DEBUG, "mailauth.greylist"):
        greylist = Greylist(MemoryStore(), settings=settings)
        assert greylist.check("192.0.2.1", "ann@example.org", "bob@example.net", now=T).note == "192.0.2.0/24"
        assert greylist.check("203.0.113.1", "ann@example.org", "bob@example.net", now=T).note == ""
        assert caplog.text == ""
        Greylist(Failing()).check("203.0.113.1", "ann@example.org", "bob@example.net", now=T)
        assert "greylist store: nobody there; decision: accept (store-error)" in caplog.text


class Plainly:
    """An asynchronous store with the operations of the interface, and nothing beside them."""

    def __init__(self) -> None:
        self.store = MemoryStore()

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        return self.store.get(keys)

    async def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        return self.store.compare_and_set(key, expected, record)

    async def expire(self, now: float, limit: int) -> Sequence[Entry]:
        return self.store.expire(now, limit)

    async def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        return self.store.scan(prefix, cursor, limit)

    async def close(self) -> None:
        self.store.close()


def test_an_asynchronous_store_needs_no_more_than_the_interface() -> None:
    async def story() -> list[object]:
        async with AsyncGreylist(Plainly(), expire_every=None) as greylist:
            found: list[object] = [
                (await greylist.check("192.0.2.1", f"a{number}x@example.org", "bob@example.net", now=T)).reason
                for number in range(3)
            ]
            found += [await greylist.expire(now=T + 3 * DAY, limit=2) for _ in range(3)]
            return found

    assert asyncio.run(story()) == [Reason.NEW, Reason.NEW, Reason.NEW, 2, 1, 0]
