"""`check_health` (RFC 5782 section 5).

A list is healthy only if what must be listed is and what must not be listed is known not to be.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth.plan import Answer, Execution, Question, run
from mailauth.rbl import Health, Kind, Rule, RuleError, check_health
from mailauth.resolvers import ZoneResolver

# A busy machine is no failure.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

ZONE = "bl.example"
# RFC 5782 section 5, as the DNS has it.
MUST4, MUST_NOT4 = f"2.0.0.127.{ZONE}", f"1.0.0.127.{ZONE}"
MAPPED = "f.f.f.f" + ".0" * 20
MUST6, MUST_NOT6 = f"2.0.0.0.0.0.f.7.{MAPPED}.{ZONE}", f"1.0.0.0.0.0.f.7.{MAPPED}.{ZONE}"
MUST_D, MUST_NOT_D = f"test.{ZONE}", f"invalid.{ZONE}"
YES = ["127.0.0.2"]


def health(records: Any, failures: Any = None, zone: Any = ZONE) -> Health:
    return run(check_health(zone), ZoneResolver({(name, "A"): v for name, v in records.items()}, failures=failures))


def test_the_questions() -> None:
    questions = Execution(check_health(ZONE)).start()
    assert sorted(questions) == sorted(
        Question(name, "A") for name in (MUST4, MUST_NOT4, MUST6, MUST_NOT6, MUST_D, MUST_NOT_D)
    )


@pytest.mark.parametrize(
    ("zone", "count"),
    [
        ("zen.spamhaus.org", 4),
        (Rule(ZONE, kind=Kind.ADDRESS), 4),
        (Rule(ZONE, kind=Kind.DOMAIN), 2),
        ("dbl.spamhaus.org", 3),  # one more entry that is always there
        ("bl.sorbs.net", 0),
        ("ebl.msbl.org", 1),  # no more than that it does not list everything
    ],
)
def test_what_is_tested_follows_from_the_kind(zone: Any, count: int) -> None:
    assert len(Execution(check_health(zone)).start()) == count


@pytest.mark.parametrize(
    ("records", "failures", "result", "ipv4", "ipv6", "domain"),
    [
        ({MUST4: YES}, {}, "healthy", "healthy", "silent", "silent"),
        ({MUST4: YES, MUST6: YES}, {}, "healthy", "healthy", "healthy", "silent"),
        ({MUST6: YES}, {}, "healthy", "silent", "healthy", "silent"),
        ({MUST_D: YES}, {}, "healthy", "silent", "silent", "healthy"),
        ({MUST4: ["127.0.10.3", "127.0.0.4"]}, {}, "healthy", "healthy", "silent", "silent"),
        ({}, {}, "silent", "silent", "silent", "silent"),
        ({MUST_NOT4: YES}, {}, "lists-all", "lists-all", "silent", "silent"),
        ({MUST4: YES, MUST_NOT4: YES}, {}, "lists-all", "lists-all", "silent", "silent"),
        ({MUST4: YES, MUST6: YES, MUST_NOT6: YES}, {}, "lists-all", "healthy", "lists-all", "silent"),
        ({f"*.{ZONE}": YES}, {}, "lists-all", "lists-all", "lists-all", "lists-all"),
        ({f"*.{ZONE}": ["198.51.100.7"]}, {}, "lists-all", "lists-all", "lists-all", "lists-all"),
        # a public address about the test entry is no listing
        ({MUST4: ["198.51.100.7"]}, {}, "silent", "silent", "silent", "silent"),
        ({f"*.{ZONE}": ["127.255.255.254"]}, {}, "refused", "refused", "refused", "refused"),
        ({MUST4: ["127.255.255.255"]}, {}, "refused", "refused", "silent", "silent"),
        ({}, {(MUST4, "A"): "timeout"}, "temperror", "temperror", "silent", "silent"),
        # what must not be listed was not answered: the list may still list everything
        ({MUST4: YES}, {(MUST_NOT4, "A"): "servfail"}, "temperror", "temperror", "silent", "silent"),
        ({MUST4: YES}, {(MUST_NOT6, "A"): "servfail"}, "healthy", "healthy", "temperror", "silent"),
        ({MUST_NOT4: YES}, {(MUST4, "A"): "refused"}, "lists-all", "lists-all", "silent", "silent"),
    ],
)
def test_the_results(records: Any, failures: Any, result: str, ipv4: str, ipv6: str, domain: str) -> None:
    found = health(records, failures)
    assert found.result == result
    assert (found.of("ipv4"), found.of("ipv6"), found.of("domain")) == (ipv4, ipv6, domain)
    assert found.healthy == (result == "healthy")
    assert found.healthy or found.detail


def test_another_entry_will_do_where_the_catalogue_has_one() -> None:
    assert health({"dbltest.com.dbl.spamhaus.org": ["127.0.1.2"]}, zone="dbl.spamhaus.org").healthy
    assert health({"test.dbl.spamhaus.org": ["127.0.1.2"]}, zone="dbl.spamhaus.org").healthy


def test_a_lists_own_error_codes_are_errors() -> None:
    assert health({"*.multi.uribl.com": ["127.0.0.1"]}, zone="multi.uribl.com").result == "refused"


def test_a_dead_list() -> None:
    found = health({}, zone="ix.dnsbl.manitu.net")
    assert found.result == "dead"
    assert "2025-01-16" in found.detail


def test_the_filter_of_a_rule_does_not_matter() -> None:
    assert health({MUST4: YES}, zone=f"{ZONE}=127.0.0.10*3").healthy


def test_keys_are_masked() -> None:
    key = "abcdefghijkl1234mnopqrst56"
    found = health({}, zone=f"{key}.zen.dq.spamhaus.net")
    assert key not in f"{found} {found!r} {json.dumps(found.to_dict())}"
    assert found.zone == "***.zen.dq.spamhaus.net"


def test_to_dict() -> None:
    assert json.loads(json.dumps(health({MUST4: YES}).to_dict())) == {
        "zone": ZONE,
        "result": "healthy",
        "entries": {"ipv4": "healthy", "ipv6": "silent", "domain": "silent"},
        "detail": "",
    }


def test_a_bad_zone_raises_when_called() -> None:
    with pytest.raises(RuleError):
        check_health("zen")


answers = st.sampled_from(["none", "127.0.0.2", "127.255.255.254", "198.51.100.7", "timeout"])


@unhurried
@given(must=answers, must_not=answers)
def test_only_the_right_pair_is_healthy(must: str, must_not: str) -> None:
    """Healthy if and only if the one entry is there and the other is certainly not."""
    zone = ZoneResolver()

    class Pair:
        def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
            value = must if question.name == MUST4 else must_not
            if question.name not in {MUST4, MUST_NOT4} or value == "none":
                return zone.lookup(question)
            if value == "timeout":
                return ZoneResolver(failures={(question.name, "A"): "timeout"}).lookup(question)
            return ZoneResolver({(question.name, "A"): [value]}).lookup(question)

    found = run(check_health(Rule(ZONE, kind=Kind.ADDRESS)), Pair())
    assert found.healthy == (must == "127.0.0.2" and must_not == "none")


def test_test_points_of_its_own() -> None:
    """Spam Eating Monkey's lists of domains do not have the RFC's."""
    zone = "uribl.spameatingmonkey.net"
    names = sorted(question.name for question in Execution(check_health(zone)).start())
    assert names == [f"_dnsbl_.test.{zone}", f"_dnsblneg_.test.{zone}"]
    assert health({f"_dnsbl_.test.{zone}": YES}, zone=zone).healthy
    assert health({f"*.{zone}": YES}, zone=zone).result == "lists-all"
    assert health({f"test.{zone}": YES}, zone=zone).result == "silent"


def test_lists_of_one_version_of_ip_are_tested_for_it() -> None:
    zone = "bl.ipv6.spameatingmonkey.net"
    assert [kind for kind, _ in health({}, zone=zone).entries] == ["ipv6"]
    assert [kind for kind, _ in health({}, zone="bl.spameatingmonkey.net").entries] == ["ipv4"]


def test_a_list_of_hashes() -> None:
    zone = "ebl.msbl.org"
    assert health({}, zone=zone).healthy
    assert health({f"*.{zone}": YES}, zone=zone).result == "lists-all"
    assert health({f"*.{zone}": ["127.255.255.254"]}, zone=zone).result == "refused"
    assert health({}, {(f"{'0' * 40}.{zone}", "A"): "timeout"}, zone).result == "temperror"
