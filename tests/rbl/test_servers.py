"""Real questions to real servers: rbldnsd, and a server that delays, drops, truncates, forges and repeats.

Over a real network, whatever one server does, one listing for each zone within the deadline, and only answers to our
own questions count.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import dns.asyncresolver
import dns.rcode
import dns.resolver
import pytest

from mailauth import iprev
from mailauth.plan import run, run_async
from mailauth.rbl import check_health, judge, query
from mailauth.resolvers import AsyncDnspythonResolver, DnspythonResolver
from tests.dnsserver import DnsServer, delay, drop, forge, rcode, truncate, twice, wrong_zone
from tests.rbldnsd import Lists, everybody, rbldnsd
from tests.servers import free_port

CLIENT, REVERSED = "192.0.2.1", "1.2.0.192"
CLIENT6 = "2001:db8::1"
REVERSED6 = "1" + ".0" * 23 + ".8.b.d.0.1.0.0.2"
ADDRESS = "127.0.0.1"


def configured(kind: type, port: int) -> object:
    resolver = kind(configure=False)
    resolver.nameservers, resolver.port = [ADDRESS], port
    return resolver


def synchronous(port: int) -> DnspythonResolver:
    return DnspythonResolver(configured(dns.resolver.Resolver, port))


def asynchronous(port: int) -> AsyncDnspythonResolver:
    return AsyncDnspythonResolver(configured(dns.asyncresolver.Resolver, port))


# --- rbldnsd ------------------------------------------------------------------------------------------------------

LISTS = {
    "ip.test": Lists(
        ip4="""
127.0.0.2 :127.0.0.2:test entry
192.0.2.1 :127.0.0.2:Spam source, see http://ip.test/?$
192.0.2.1 :127.0.0.4:Compromised
198.51.100.0/24 :127.0.0.10:Dynamic
""",
        ip6="2001:db8::/64 :127.0.0.3:Bad network\n::ffff:7f00:2 :127.0.0.2:test entry",
    ),
    "names.test": Lists(
        names="test :127.0.1.2:test entry\n.bad.example :127.0.1.2:Bad domain\nxn--bcher-kva.example :4:"
    ),
    "all.test": Lists(ip4=everybody("127.0.0.2:the whole world")),
    "error.test": Lists(ip4=everybody("127.255.255.254:Use your own resolver")),
    "parked.test": Lists(ip4=everybody("198.51.100.80:")),
    "empty.test": Lists(ip4="203.0.113.99 :2:"),
}


@pytest.fixture(scope="module")
def lists() -> Iterator[int]:
    port = free_port()
    with rbldnsd(ADDRESS, LISTS, port=port):
        yield port


@pytest.mark.server
def test_rbldnsd_serves_what_we_ask(lists: int) -> None:
    zones = ["ip.test", "ip.test=127.0.0.4*3", "all.test", "error.test", "parked.test", "empty.test"]
    with synchronous(lists) as resolver:
        listings = run(query(CLIENT, zones), resolver)
    assert [(one.zone, one.result) for one in listings] == [
        ("ip.test", "listed"),
        ("ip.test", "listed"),
        ("all.test", "listed"),
        ("error.test", "refused"),
        ("parked.test", "not-listed"),
        ("empty.test", "not-listed"),
    ]
    assert set(listings[0].codes) == {"127.0.0.2", "127.0.0.4"}
    assert set(listings[0].text.split(" / ")) == {"Spam source, see http://ip.test/?192.0.2.1", "Compromised"}
    assert judge(listings).score == 5


@pytest.mark.server
@pytest.mark.parametrize(
    ("subject", "zone", "codes"),
    [
        ("198.51.100.77", "ip.test", ("127.0.0.10",)),
        ("::ffff:198.51.100.77", "ip.test", ("127.0.0.10",)),
        ("2001:db8::abcd", "ip.test", ("127.0.0.3",)),
        ("2001:db8:0:1::abcd", "ip.test", ()),
        ("bad.example", "names.test", ("127.0.1.2",)),
        ("www.BAD.example", "names.test", ("127.0.1.2",)),
        ("bücher.example", "names.test", ("127.0.0.4",)),
        ("good.example", "names.test", ()),
    ],
)
def test_subjects(lists: int, subject: str, zone: str, codes: tuple[str, ...]) -> None:
    (listing,) = asyncio.run(run_async(query(subject, [zone]), asynchronous(lists)))
    assert listing.codes == codes
    assert listing.listed == bool(codes)


@pytest.mark.server
@pytest.mark.parametrize(
    ("zone", "result"),
    [
        ("ip.test", "healthy"),
        ("names.test", "healthy"),
        ("all.test", "lists-all"),
        ("error.test", "refused"),
        ("parked.test", "lists-all"),
        ("empty.test", "silent"),
    ],
)
def test_health(lists: int, zone: str, result: str) -> None:
    with synchronous(lists) as resolver:
        assert run(check_health(zone), resolver).result == result


@pytest.mark.server
def test_a_zone_that_the_server_does_not_serve_is_a_temperror(lists: int) -> None:
    with synchronous(lists) as resolver:
        (listing,) = run(query(CLIENT, ["nobody.example"]), resolver)
    assert listing.result == "temperror"


# --- servers that misbehave -----------------------------------------------------------------------------------------

ZONES = ("good", "slow", "dead", "tc", "twice", "forged", "servfail", "refused", "wrong", "clean", "cname")
RECORDS = {
    **{(f"{REVERSED}.{zone}.example", "A"): ["127.0.0.2"] for zone in ZONES if zone not in {"clean", "cname", "wrong"}},
    **{(f"{REVERSED}.{zone}.example", "TXT"): [zone] for zone in ("good", "slow", "tc", "twice", "forged")},
    (f"{REVERSED}.cname.example", "CNAME"): ["listed.example."],
    ("listed.example", "A"): ["127.0.0.9"],
    ("exists.wrong.example", "A"): ["127.0.0.2"],
}
BEHAVIOURS = {
    "slow.example": delay(0.15),
    "dead.example": drop,
    "tc.example": truncate,
    "twice.example": twice,
    "forged.example": forge,
    "servfail.example": rcode(dns.rcode.SERVFAIL),
    "refused.example": rcode(dns.rcode.REFUSED),
    "wrong.example": wrong_zone(f"{REVERSED}.good.example"),
}
EXPECTED = {
    "good": ("listed", ("127.0.0.2",), "good"),
    "slow": ("listed", ("127.0.0.2",), "slow"),
    "dead": ("temperror", (), ""),
    "tc": ("listed", ("127.0.0.2",), "tc"),
    "twice": ("listed", ("127.0.0.2",), "twice"),
    "forged": ("listed", ("127.0.0.2",), "forged"),
    "servfail": ("temperror", (), ""),
    "refused": ("temperror", (), ""),
    "clean": ("not-listed", (), ""),
    "cname": ("listed", ("127.0.0.9",), ""),
}


@pytest.fixture(scope="module")
def misbehaving() -> Iterator[DnsServer]:
    with DnsServer(RECORDS, BEHAVIOURS) as server:
        yield server


def judged(listings: list) -> dict[str, tuple[str, tuple[str, ...], str]]:
    return {one.zone.split(".")[0]: (one.result.value, one.codes, one.text) for one in listings}


@pytest.mark.parametrize("driver", ["run", "run_async"])
def test_each_list_is_judged_by_its_own_answer(misbehaving: DnsServer, driver: str) -> None:
    plan = query(CLIENT, [f"{zone}.example" for zone in ZONES])
    if driver == "run":
        with synchronous(misbehaving.port) as resolver:
            listings = run(plan, resolver, time_limit=2.0)
    else:
        listings = asyncio.run(run_async(plan, asynchronous(misbehaving.port), time_limit=2.0))
    found = judged(listings)
    wrong = found.pop("wrong")
    assert found == EXPECTED
    # An answer about another name says nothing: whatever it is called, it is no listing.
    assert wrong[0] in {"not-listed", "temperror"}


def test_a_dead_list_costs_the_deadline_and_no_more(misbehaving: DnsServer) -> None:
    """The deadline is 1 s; a second would be needed for a second try, and 20 s is the default."""
    start = time.monotonic()
    listings = asyncio.run(
        run_async(query(CLIENT, ["dead.example", "good.example"]), asynchronous(misbehaving.port), time_limit=1.0)
    )
    assert time.monotonic() - start < 10  # a wide margin: what is checked is that it ends
    assert [one.result for one in listings] == ["temperror", "listed"]


def test_lists_are_asked_at_once(misbehaving: DnsServer) -> None:
    """Every question is on its way before the first answer is waited for: none of them answers, all are asked."""
    zones = [f"l{n}.dead.example" for n in range(25)]
    misbehaving.asked.clear()
    listings = asyncio.run(run_async(query(CLIENT, zones), asynchronous(misbehaving.port), time_limit=0.8))
    assert {one.reason for one in listings} == {"timed-out"}
    assert {name for name, _ in misbehaving.asked} == {f"{REVERSED}.{zone}" for zone in zones}


def test_reverse_dns_over_the_network() -> None:
    ptr, ptr6 = f"{REVERSED}.in-addr.arpa", f"{REVERSED6}.ip6.arpa"
    records = {
        (ptr, "CNAME"): ["1.0-25.2.0.192.in-addr.arpa."],  # RFC 2317
        ("1.0-25.2.0.192.in-addr.arpa", "PTR"): ["evil\\013\\010x.example.", "MX.example.org.", "dead.example."],
        ("mx.example.org", "A"): [CLIENT],
        ("mx.example.org", "AAAA"): [CLIENT6],
        (ptr6, "PTR"): ["mx.example.org."],
    }
    with DnsServer(records, {"dead.example": drop}) as server, synchronous(server.port) as resolver:
        checked = run(iprev.check(CLIENT), resolver, time_limit=1.0)
        checked6 = run(iprev.check(CLIENT6), resolver, time_limit=1.0)
    assert (checked.result, checked.confirmed) == ("pass", ("mx.example.org",))
    assert sorted(checked.names) == ["dead.example", "evil?013?010x.example", "mx.example.org"]
    assert (checked6.result, checked6.name) == ("pass", "mx.example.org")
