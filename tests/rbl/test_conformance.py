"""RFC 5782, by its own examples: sections 2.1 to 2.3, 2.4, 3, 5, 6 and 7."""

from __future__ import annotations

from typing import Any

import pytest

from mailauth.plan import Answer, Question, run
from mailauth.rbl import Listing, Monitor, check_health, judge, query
from mailauth.resolvers import Cache, CachingResolver, ZoneResolver

CLIENT = "192.0.2.99"
BAD = """
99.2.0.192.bad.example.com.  300 IN A   127.0.0.2
99.2.0.192.bad.example.com.  300 IN TXT "Dynamic address, see http://bad.example.com?192.0.2.99"
*.2.51.198.bad.example.com.  300 IN A   127.0.0.2
99.2.0.192.both.example.com. 300 IN A   127.0.0.6
99.2.0.192.many.example.com. 300 IN A   127.0.1.1
99.2.0.192.many.example.com. 300 IN A   127.0.1.2
99.2.0.192.relay.bad.example.com. 300 IN A 127.0.0.2
invalid.edu.doms.example.net. 300 IN A  127.0.0.2
"""
# Section 5: what MUST be there.
TEST_ENTRIES = """
2.0.0.127.{zone}. 300 IN A 127.0.0.2
2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.{zone}. 300 IN A 127.0.0.2
test.{zone}. 300 IN A 127.0.0.2
"""


class Asked:
    """A resolver that notes what it was asked."""

    def __init__(self, zone: ZoneResolver) -> None:
        self.zone = zone
        self.asked: list[str] = []

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        self.asked.append(str(question))
        return self.zone.lookup(question)


def dns(*zones: str) -> Asked:
    entries = "".join(TEST_ENTRIES.format(zone=zone) for zone in zones)
    return Asked(ZoneResolver.from_text(BAD + entries))


def listings(subject: str, *rules: str, resolver: Any = None) -> list[Listing]:
    return run(query(subject, rules), resolver or dns())


def test_2_1_an_entry_and_its_reason() -> None:
    resolver = dns()
    [listing] = listings(CLIENT, "bad.example.com", resolver=resolver)
    assert listing.listed
    assert listing.text == "Dynamic address, see http://bad.example.com?192.0.2.99"
    # What an A record holds is never asked, and no address: both questions are about the entry.
    assert resolver.asked == ["99.2.0.192.bad.example.com A", "99.2.0.192.bad.example.com TXT"]


def test_2_1_without_a_record_nothing_is_listed() -> None:
    resolver = dns()
    [listing] = listings("192.0.2.98", "bad.example.com", resolver=resolver)
    assert (listing.listed, listing.reason) == (False, "no-entry")
    assert resolver.asked == ["98.2.0.192.bad.example.com A"]


def test_2_1_a_text_alone_is_no_listing() -> None:
    zone = ZoneResolver({("99.2.0.192.bad.example.com", "TXT"): ["listed"]})
    assert not listings(CLIENT, "bad.example.com", resolver=zone)[0].listed


def test_2_1_a_value_other_than_127_0_0_2_is_a_listing_too() -> None:
    assert listings(CLIENT, "many.example.com")[0].codes == ("127.0.1.1", "127.0.1.2")
    assert listings(CLIENT, "many.example.com")[0].listed


def test_2_2_a_list_blocks_here_and_allows_there() -> None:
    for rule, action in (("bad.example.com reject", "reject"), ("bad.example.com allow", "allow")):
        assert judge(listings(CLIENT, rule)).action == action


def test_2_3_sublists_by_subdomains() -> None:
    found = listings(CLIENT, "relay.bad.example.com", "malware.bad.example.com")
    assert [listing.listed for listing in found] == [True, False]


@pytest.mark.parametrize(
    ("rule", "listed"),
    [
        ("both.example.com=127.0.0.[&2]", True),
        ("both.example.com=127.0.0.[&4]", True),
        ("both.example.com=127.0.0.[&8]", False),
        ("both.example.com=127.0.0.[&6]", True),
        ("both.example.com=127.0.0.2", False),
        ("many.example.com=127.0.1.1", True),
        ("many.example.com=127.0.1.2", True),
        ("many.example.com=127.0.1.3", False),
        ("many.example.com=127.0.1.[2..9]", True),
        ("many.example.com=127.0.1.[3..9]", False),
        ("many.example.com=127.0.[0..1].[1;5]", True),
    ],
)
def test_6_masks_and_ranges_select_sublists(rule: str, listed: bool) -> None:
    """Sections 2.3 and 6."""
    assert listings(CLIENT, rule)[0].listed == listed


def test_6_the_same_entry_counts_here_and_not_there() -> None:
    """Values of one list are told apart by where the address was found: of the client itself, or further back."""
    client, further_back = listings(CLIENT, "many.example.com=127.0.1.[1..2]*5", "many.example.com=127.0.1.9*5")
    assert (client.score, further_back.score) == (5, 0)
    assert client.codes == further_back.codes


def test_6_every_a_record_of_a_list_is_a_listing() -> None:
    """All of 127.0.0.0/8, but for what lists and resolvers use otherwise; see docs/conformance.md."""
    for value in ("127.0.0.2", "127.0.0.3", "127.0.0.255", "127.0.1.1", "127.1.0.1", "127.200.3.4", "127.255.254.1"):
        zone = ZoneResolver({("99.2.0.192.bad.example.com", "A"): [value]})
        assert listings(CLIENT, "bad.example.com", resolver=zone)[0].listed, value
    for value in ("127.0.0.1", "127.0.4.1", "127.255.255.254", "198.51.100.7", "0.0.0.0"):
        zone = ZoneResolver({("99.2.0.192.bad.example.com", "A"): [value]})
        assert not listings(CLIENT, "bad.example.com", resolver=zone)[0].listed, value


def test_6_a_wildcard_for_a_network() -> None:
    found = [listings(ip, "bad.example.com")[0].listed for ip in ("198.51.2.1", "198.51.2.255", "198.51.3.1")]
    assert found == [True, True, False]


def test_3_a_name_stands_before_the_list() -> None:
    resolver = dns()
    assert listings("invalid.edu", "doms.example.net", resolver=resolver)[0].listed
    assert resolver.asked[0] == "invalid.edu.doms.example.net A"


def test_6_a_listing_is_kept_for_its_ttl_and_no_longer() -> None:
    """A resolver with a cache respects the TTL and discards what is older."""
    now = [0.0]
    inner = dns()
    cached = CachingResolver(inner, Cache(clock=lambda: now[0]))
    asked = []
    for now[0] in (0.0, 299.0, 300.0, 301.0):
        assert listings(CLIENT, "bad.example.com", resolver=cached)[0].listed
        asked.append(len(inner.asked))
    assert asked == [2, 2, 4, 4]


class TestTestEntries:
    """Section 5, and what section 7 makes of it."""

    def test_5_the_entries_that_must_and_must_not_be_there(self) -> None:
        resolver = dns("bl.example.com")
        found = run(check_health("bl.example.com"), resolver)
        assert found.healthy
        assert [(kind.value, result.value) for kind, result in found.entries] == [
            ("ipv4", "healthy"), ("ipv6", "healthy"), ("domain", "healthy"),
        ]  # fmt: skip
        six = "0.0.0.0.0.f.7.f.f.f.f" + ".0" * 20
        assert set(resolver.asked) == {
            f"{name}.bl.example.com A"
            for name in ("2.0.0.127", "1.0.0.127", f"2.{six}", f"1.{six}", "test", "invalid")
        }  # fmt: skip

    @pytest.mark.parametrize(
        "zone", ["*.bl.example.com. 300 IN A 127.0.0.2", "*.bl.example.com. 300 IN A 198.51.100.1"]
    )
    def test_7_a_wildcard_is_no_list(self, zone: str) -> None:
        assert run(check_health("bl.example.com"), ZoneResolver.from_text(zone)).result == "lists-all"

    def test_7_an_empty_zone_is_no_list(self) -> None:
        assert run(check_health("bl.example.com"), ZoneResolver({})).result == "silent"

    def test_5_7_a_monitor_tests_again_and_again_and_uses_no_list_that_fails(self) -> None:
        now = [0.0]
        monitor = Monitor(clock=lambda: now[0])
        good = dns("bad.example.com")
        gone = Asked(ZoneResolver.from_text("*.bad.example.com. 300 IN A 127.0.0.2"))
        results = []
        for now[0], resolver in (
            (0.0, good),
            (1800.0, gone),
            (3600.0, gone),
            (3601.0, gone),
            (3660.0, good),
            (3661.0, good),
        ):
            before = len(resolver.asked)
            [listing] = run(monitor.query(CLIENT, ["bad.example.com"]), resolver)
            tested = "2.0.0.127.bad.example.com A" in resolver.asked[before:]
            results.append((listing.listed, tested))
        assert results == [
            (True, True),  # the first time
            (True, False),  # within the hour nobody knows
            (False, True),  # it lists everything: not believed
            (False, False),  # out of service
            (False, True),  # tested again; asked from the next time on
            (True, False),
        ]
