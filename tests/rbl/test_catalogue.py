"""The catalogue of well-known lists.

The catalogue agrees with itself, and with what the lists say of themselves (the table below is written from their
pages, not from the code).
"""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest

from mailauth.mail.names import is_fqdn
from mailauth.rbl import Kind, Rule, catalogue
from mailauth.rbl.catalogue import LISTS, Sense, State, Use, find, live
from mailauth.rbl.listing import counts, errors_of, meanings_of

FACTS = [
    ("zen.spamhaus.org", "127.0.0.2", "SBL"),
    ("zen.spamhaus.org", "127.0.0.3", "CSS"),
    ("zen.spamhaus.org", "127.0.0.4", "XBL"),
    ("zen.spamhaus.org", "127.0.0.7", "XBL"),
    ("zen.spamhaus.org", "127.0.0.9", "DROP"),
    ("zen.spamhaus.org", "127.0.0.10", "provider"),
    ("zen.spamhaus.org", "127.0.0.11", "Spamhaus"),
    ("zen.spamhaus.org", "127.255.255.252", "misspelt"),
    ("zen.spamhaus.org", "127.255.255.254", "public resolver"),
    ("zen.spamhaus.org", "127.255.255.255", "too many queries"),
    ("dbl.spamhaus.org", "127.0.1.2", "spam"),
    ("dbl.spamhaus.org", "127.0.1.6", "botnet"),
    ("dbl.spamhaus.org", "127.0.1.105", "malware"),
    ("dbl.spamhaus.org", "127.0.1.255", "an address was asked"),
    ("bl.spamcop.net", "127.0.0.2", "listed"),
    ("dnsbl-1.uceprotect.net", "127.0.0.2", "listed"),
    ("rep.mailspike.net", "127.0.0.10", "worst"),
    ("rep.mailspike.net", "127.0.0.14", "neutral"),
    ("rep.mailspike.net", "127.0.0.20", "excellent"),
    ("list.dnswl.org", "127.0.5.0", "none"),
    ("list.dnswl.org", "127.0.15.3", "high"),
    ("list.dnswl.org", "127.0.0.255", "too many queries"),
    ("multi.uribl.com", "127.0.0.1", "refused"),
    ("multi.uribl.com", "127.0.0.6", "black"),
    ("multi.surbl.org", "127.0.0.1", "refused"),
    ("multi.surbl.org", "127.0.0.72", "phishing"),
    ("dbl.spamhaus.org", "127.0.1.4", "phish"),
    ("dbl.spamhaus.org", "127.0.1.5", "malware"),
    ("dbl.spamhaus.org", "127.0.1.102", "abused legitimate"),
    ("dbl.spamhaus.org", "127.0.1.104", "abused legitimate"),
    ("dbl.spamhaus.org", "127.0.1.106", "abused legitimate"),
    ("dnsbl-2.uceprotect.net", "127.0.0.2", "listed"),
    ("dnsbl-3.uceprotect.net", "127.0.0.2", "listed"),
    ("b.barracudacentral.org", "127.0.0.2", "listed"),
    ("psbl.surriel.com", "127.0.0.2", "listed"),
    ("rep.mailspike.net", "127.0.0.11", "very bad"),
    ("rep.mailspike.net", "127.0.0.12", "bad"),
    ("rep.mailspike.net", "127.0.0.13", "neutral"),
    ("rep.mailspike.net", "127.0.0.16", "neutral"),
    ("rep.mailspike.net", "127.0.0.18", "good"),
    ("list.dnswl.org", "127.0.5.1", "low"),
    ("list.dnswl.org", "127.0.255.2", "medium"),
    ("hostkarma.junkemailfilter.com", "127.0.0.1", "good"),
    ("hostkarma.junkemailfilter.com", "127.0.0.2", "black"),
    ("hostkarma.junkemailfilter.com", "127.0.0.3", "yellow"),
    ("hostkarma.junkemailfilter.com", "127.0.0.4", "brown"),
]

# What counts as a listing without a filter, and every other answer in 127.0.0.0/24 or 127.0.1.0/24 does not.
COUNTED = {
    "zen.spamhaus.org": [*range(2, 8), 9, 10, 11],
    "dbl.spamhaus.org": [256 + n for n in (2, 4, 5, 6, 102, 103, 104, 105, 106)],
    "bl.spamcop.net": [2],
    "dnsbl-1.uceprotect.net": [2],
    "b.barracudacentral.org": [2],
    "psbl.surriel.com": [2],
    "rep.mailspike.net": [10, 11, 12],
    "list.dnswl.org": [1, 2, 3, 257, 258, 259],
    "multi.uribl.com": [n for n in range(2, 256) if n & 14],
    "multi.surbl.org": [n for n in range(2, 256) if n & (8 | 16 | 64 | 128)],
    "hostkarma.junkemailfilter.com": [2, 4],
}

ADDRESSES_TO_REJECT = {
    "zen.spamhaus.org",
    "sbl.spamhaus.org",
    "xbl.spamhaus.org",
    "pbl.spamhaus.org",
    "zen.dq.spamhaus.net",
    "b.barracudacentral.org",
}


@pytest.mark.parametrize("zone", COUNTED)
def test_which_answers_count(zone: str) -> None:
    rule = Rule(zone)
    codes = [IPv4Address(f"127.0.{n >> 8}.{n & 255}") for n in range(512)]
    counted = [n for n, code in enumerate(codes) if counts(rule, code) and not errors_of(rule, [code])]
    assert counted == COUNTED[zone]


def test_what_may_reject() -> None:
    """Never the allocations and providers of UCEPROTECT, nor a reputation or an allow list."""
    by_use = {use: {known.zone for known in LISTS if known.use is use and known.state is State.LIVE} for use in Use}
    assert {zone for zone in by_use[Use.REJECT] if find_live(zone).kind is Kind.ADDRESS} == ADDRESSES_TO_REJECT
    assert by_use[Use.ALLOW] == {"list.dnswl.org"}


def test_what_needs_a_registration() -> None:
    named = {known.zone for known in LISTS if known.registration}
    assert named == {"b.barracudacentral.org", "zen.dq.spamhaus.net", "dbl.dq.spamhaus.net"}


def test_what_is_a_list_of_domains() -> None:
    named = {known.zone for known in LISTS if known.kind is Kind.DOMAIN}
    assert named == {"dbl.spamhaus.org", "dbl.dq.spamhaus.net", "multi.uribl.com", "multi.surbl.org"}


@pytest.mark.parametrize(
    ("zone", "year"),
    [
        ("dnsbl.sorbs.net", "2024-06-05"),
        ("ix.dnsbl.manitu.net", "2025-01-16"),
        ("dnsbl.ahbl.org", "2015"),
        ("combined.njabl.org", "2013"),
        ("relays.ordb.org", "2006"),
    ],
)
def test_what_is_dead(zone: str, year: str) -> None:
    known = find(zone)
    assert known is not None
    assert known.state is State.DEAD
    assert year in known.note


def find_live(zone: str) -> catalogue.KnownList:
    known = find(zone)
    assert known is not None
    assert known.state is State.LIVE
    return known


@pytest.mark.parametrize(("zone", "code", "word"), FACTS)
def test_what_codes_mean(zone: str, code: str, word: str) -> None:
    codes = [IPv4Address(code)]
    assert word in (errors_of(Rule(zone), codes) or meanings_of(Rule(zone), codes))[0]


@pytest.mark.parametrize("known", LISTS, ids=lambda known: known.zone)
def test_an_entry_is_complete(known: catalogue.KnownList) -> None:
    assert is_fqdn(known.zone)
    assert known.zone == known.zone.lower()
    json.dumps(known.to_dict())
    if known.state is State.DEAD:
        assert known.note
        return
    assert known.policy_page.startswith("https://")
    assert known.removal_page.startswith("https://")
    assert known.terms
    assert any(code.sense is known.sense for code in known.codes)
    assert (known.use is Use.ALLOW) == (known.sense is Sense.GOOD)
    assert all(is_fqdn(name) for name in known.test_names)
    if known.part_of:
        assert find(known.part_of) is not None


def test_each_zone_stands_there_once() -> None:
    zones = [known.zone for known in LISTS]
    assert len(set(zones)) == len(zones)


@pytest.mark.parametrize(
    ("zone", "name"),
    [
        ("zen.spamhaus.org", "Spamhaus ZEN"),
        ("k3y.zen.dq.spamhaus.net", "Spamhaus ZEN (DQS)"),
        ("sorbs.net", "SORBS"),
        ("a.dnsbl.sorbs.net", "SORBS"),
        ("ix.dnsbl.manitu.net", "NiX Spam"),
    ],
)
def test_find(zone: str, name: str) -> None:
    known = find(zone)
    assert known is not None
    assert known.name == name


@pytest.mark.parametrize("zone", ["a.zen.spamhaus.org", "notsorbs.net", "dnsbl.manitu.net", "example.org", "net"])
def test_do_not_find(zone: str) -> None:
    assert find(zone) is None


def test_live() -> None:
    zones = {known.zone for known in live()}
    assert "zen.spamhaus.org" in zones
    assert not zones & {"sorbs.net", "zen.dq.spamhaus.net", "sbl.spamhaus.org"}
    assert {known.kind for known in live(Kind.DOMAIN)} == {Kind.DOMAIN}
    assert {known.zone for known in live(Kind.ADDRESS)} | {known.zone for known in live(Kind.DOMAIN)} == zones
