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
from mailauth.rbl.catalogue import LISTS, Scope, Sense, State, Use, find, live
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
    ("zen.spamhaus.org", "127.0.0.30", "BCL"),
    ("key.authbl.dq.spamhaus.net", "127.0.0.20", "passwords"),
    ("key.zrd.dq.spamhaus.net", "127.0.2.24", "hours"),
    ("key.combined.mail.abusix.zone", "127.0.0.2", "traps"),
    ("key.combined.mail.abusix.zone", "127.0.0.3", "heuristics"),
    ("key.combined.mail.abusix.zone", "127.0.0.200", "by hand"),
    ("key.exploit.mail.abusix.zone", "127.0.0.4", "compromised"),
    ("key.dynamic.mail.abusix.zone", "127.0.0.11", "generic reverse name"),
    ("key.dynamic.mail.abusix.zone", "127.0.0.12", "no reverse name"),
    ("key.dblack.mail.abusix.zone", "127.0.1.1", "spam"),
    ("key.dblack.mail.abusix.zone", "127.0.1.2", "newly observed"),
    ("key.dblack.mail.abusix.zone", "127.0.1.3", "short URLs"),
    ("all.spamrats.com", "127.0.0.36", "dynamic"),
    ("k3y.all.spamrats.com", "127.0.0.37", "no reverse name"),
    ("spam.spamrats.com", "127.0.0.38", "spam"),
    ("auth.spamrats.com", "127.0.0.43", "log in"),
    ("dnsbl.dronebl.org", "127.0.0.3", "IRC drone"),
    ("dnsbl.dronebl.org", "127.0.0.8", "SOCKS proxy"),
    ("dnsbl.dronebl.org", "127.0.0.13", "brute force"),
    ("dnsbl.dronebl.org", "127.0.0.19", "VPN"),
    ("bl.ipv6.spameatingmonkey.net", "127.0.0.2", "listed"),
    ("fresh15.spameatingmonkey.net", "127.0.0.3", "listed"),
    ("ips.backscatterer.org", "127.0.0.2", "listed"),
    ("score.senderscore.com", "127.0.4.79", "below 80"),
    ("score.senderscore.com", "127.0.4.95", "80 or more"),
    ("sa-trusted.bondedsender.org", "127.255.255.255", "too many queries"),
    ("mail.bl.blocklist.de", "127.0.0.21", "attacks"),
    ("dwl.dnswl.org", "127.0.3.2", "medium"),
    ("dwl.dnswl.org", "127.0.0.255", "too many queries"),
    ("black.uribl.com", "127.0.0.1", "refused"),
    ("red.uribl.com", "127.0.0.8", "red"),
    ("ebl.msbl.org", "127.0.0.3", "spam asks to reply"),
    ("ebl.msbl.org", "127.0.1.2", "grey"),
]

# What counts as a listing without a filter, and every other answer in 127.0.0.0/24 or 127.0.1.0/24 does not.
COUNTED = {
    "zen.spamhaus.org": [*range(2, 8), 9, 10, 11, 30],
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
    "key.combined.mail.abusix.zone": [2, 3, 4, 11, 12, 200],
    "key.dblack.mail.abusix.zone": [257, 258, 259],
    "all.spamrats.com": [36, 37, 38],  # logins say nothing about mail
    "auth.spamrats.com": [43],
    "dnsbl.dronebl.org": [3, *range(5, 12), *range(13, 20)],
    "bl.spameatingmonkey.net": [2, 3],
    "bl.blocklist.de": list(range(2, 22)),
    "truncate.gbudb.net": [2],
    "dwl.dnswl.org": [1, 2, 3, 257, 258, 259],
    "ebl.msbl.org": [2, 3],
    "all.s5h.net": list(range(2, 256)),
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
    assert by_use[Use.ALLOW] == {
        "list.dnswl.org",
        "dwl.dnswl.org",
        "sa-trusted.bondedsender.org",
        "sa-accredit.habeas.com",
    }
    assert {"all.s5h.net", "bl.nordspam.com", "rbl.your-server.de"} <= by_use[Use.INFORM]


SPAMHAUS_KEYED = {f"{name}.dq.spamhaus.net" for name in ("zen", "dbl", "authbl", "zrd")}
ABUSIX = {f"{name}.mail.abusix.zone" for name in ("combined", "black", "exploit", "dynamic", "policy", "dblack")}


def test_what_needs_a_registration() -> None:
    named = {known.zone for known in LISTS if known.registration}
    assert named == {"b.barracudacentral.org"} | SPAMHAUS_KEYED | ABUSIX
    assert {known.zone for known in LISTS if known.needs_key} == SPAMHAUS_KEYED | ABUSIX
    assert find_live("all.spamrats.com").keyed  # with a key or without


def test_kinds() -> None:
    named = {known.zone for known in LISTS if known.kind is Kind.DOMAIN}
    assert named == {
        "dbl.spamhaus.org", "dbl.dq.spamhaus.net", "zrd.dq.spamhaus.net", "dblack.mail.abusix.zone", "multi.surbl.org",
        "uribl.spameatingmonkey.net", "fresh15.spameatingmonkey.net",
        *(f"{part}.uribl.com" for part in ("multi", "black", "grey", "red")),
    }  # fmt: skip
    assert [known.zone for known in LISTS if known.kind is Kind.DKIM] == ["dwl.dnswl.org"]
    assert [known.zone for known in LISTS if known.kind is Kind.EMAIL] == ["ebl.msbl.org"]
    assert [known.zone for known in LISTS if known.ip_versions == (6,)] == ["bl.ipv6.spameatingmonkey.net"]


@pytest.mark.parametrize(
    ("zone", "scope"),
    [
        ("ips.backscatterer.org", Scope.NULL_SENDER),
        ("key.authbl.dq.spamhaus.net", Scope.LOGINS),
        ("auth.spamrats.com", Scope.LOGINS),
        ("all.spamrats.com", Scope.CLIENT),
        ("key.combined.mail.abusix.zone", Scope.MX_CLIENT),
        ("key.dynamic.mail.abusix.zone", Scope.MX_CLIENT),
        ("zen.spamhaus.org", Scope.MX_CLIENT),
        ("bl.spamcop.net", Scope.ANY),
    ],
)
def test_for_whom_a_list_is(zone: str, scope: Scope) -> None:
    assert find_live(zone).scope is scope


@pytest.mark.parametrize(
    ("zone", "year"),
    [
        ("dnsbl.sorbs.net", "2024-06-05"),
        ("ix.dnsbl.manitu.net", "2025-01-16"),
        ("dnsbl.ahbl.org", "2015"),
        ("combined.njabl.org", "2013"),
        ("relays.ordb.org", "2006"),
        ("db.wpbl.info", "2024"),
        ("dnsbl.inps.de", "2020"),
        ("bl.spamcannibal.org", "2018"),
        ("list.dsbl.org", "2008"),
        ("dnsbl.madavi.de", "2025"),
        ("tor.dnsbl.sectoor.de", "2018"),
        ("dsn.rfc-ignorant.org", "2012"),
        ("cbl.abuseat.org", "ask zen.spamhaus.org"),
        ("dnsbl.burnt-tech.com", "expired"),
        ("ubl.unsubscore.com", "off line"),
        ("blackholes.five-ten-sg.com", "shut down"),
        ("spam.abuse.ch", "shut down"),
        ("combined.abuse.ch", "shut down"),
        ("drone.abuse.ch", "shut down"),
        ("blackholes.mail-abuse.org", "shut down"),
        ("virbl.bit.nl", "shut down"),
        ("swl.spamhaus.org", "shut down"),
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
    assert known.removal_page.startswith("https://") or "no removal" in known.note
    assert known.terms
    assert any(code.sense is known.sense for code in known.codes)
    assert (known.use is Use.ALLOW) == (known.sense is Sense.GOOD)
    assert all(is_fqdn(name) for name in known.test_names + known.test_absent)
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
    assert {known.zone for kind in Kind for known in live(kind)} == zones
