# Invariant: the catalogue agrees with itself, and with what the lists say of themselves (the table below is written
# from their pages, not from the code).
"""The catalogue of well-known lists."""

from __future__ import annotations

import json
from ipaddress import IPv4Address

import pytest

from mailauth.domain import is_fqdn
from mailauth.rbl import Kind, Rule, catalogue
from mailauth.rbl.catalogue import LISTS, Sense, State, Use, find, live
from mailauth.rbl.listing import errors_of, meanings_of

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
    ("hostkarma.junkemailfilter.com", "127.0.0.4", "brown"),
]


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
