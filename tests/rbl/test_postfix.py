"""Our verdicts beside those of a real Postfix: reject_rbl_client, reject_rhsbl_sender, postscreen, client names.

For the same lists, rules and clients our verdict is Postfix's, but where docs/conformance.md says that it is another
one on purpose.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import dns.resolver
import pytest

from mailauth import iprev
from mailauth.plan import run
from mailauth.rbl import Kind, Rule, Verdict, judge, query
from mailauth.resolvers import DnspythonResolver
from tests.dnsserver import DnsServer, rcode
from tests.postfix import POSTSCREEN, Postfix, free_nameserver
from tests.rbldnsd import Lists, everybody, rbldnsd

pytestmark = pytest.mark.server

CLIENTS = {
    "198.51.100.1": ["127.0.0.2"],
    "198.51.100.2": ["127.0.0.3"],
    "198.51.100.3": ["127.0.0.2", "127.0.0.4"],
    "198.51.100.4": ["127.0.0.10", "127.0.0.11"],
    "198.51.100.5": ["127.0.1.5"],
    "198.51.100.6": [],
    "198.51.100.7": ["127.0.0.5", "127.0.0.6", "127.0.0.7"],
    "198.51.100.8": ["127.1.0.2"],
    "198.51.100.9": ["127.0.0.255", "127.0.0.1"],
    "2001:db8::1": ["127.0.0.2"],
    "2001:db8::2": [],
}
FILTERS = {
    "f0": "bl.test",
    "f1": "bl.test=127.0.0.2",
    "f2": "bl.test=127.0.0.[2..4]",
    "f3": "bl.test=127.0.0.[2;4..6]",
    "f4": "bl.test=127.0.0.[10..11]",
    "f5": "bl.test=127.[0..1].0.2",
    "f6": "bl.test=127.0.[0;1].[5..7]",
    "f7": "bl.test=[0..255].[0..255].[0..255].[0..255]",
    "f8": "bl.test=[127].0.0.002",
    "f9": "bl.test=127.0.0.[11;1..1;3]",
    "g1": "bl.test=127.0.0.8",
}
# Where Postfix goes by any A record, and we do not: (client, answer).
ERRORS = {"203.0.113.1": "127.255.255.254", "203.0.113.2": "198.51.100.80", "203.0.113.3": "127.255.255.1"}

WHITE_FIRST = ("permit_dnswl_client white.test=127.0.[0..255].[1..3]", "reject_rbl_client bl.test")
DOMAINS = {"bad.example": True, "www.bad.example": False, "sub.wild.example": True, "wild.example": True,
           "good.example": False, "xn--bcher-kva.example": True}  # fmt: skip

# postscreen: weights, several rules for one zone, allow lists; every client is on the last one.
BASE = 1000
SITES = [
    "bl.test*2",
    "bl.test=127.0.0.2*3",
    "bl.test=127.0.0.[4..11]*5",
    "bl.test=127.0.[0..1].[5..7]*7",
    "bl.test=127.0.0.[3;10;255]*-4",
    "second.test=127.0.0.[2..3]",
    "second.test=127.0.0.3*20",
    "white.test=127.0.[0..255].[1..3]*-9",
    "white.test=127.0.[0..255].3*-30",
    f"all.test*{BASE}",
]
SECOND = {"198.51.100.1": ["127.0.0.2", "127.0.0.3"], "198.51.100.4": ["127.0.0.3"], "198.51.100.6": ["127.0.0.4"]}
WHITE = {"198.51.100.2": ["127.0.5.1"], "198.51.100.3": ["127.0.10.3"], "198.51.100.6": ["127.0.3.0"]}


def entries(table: dict[str, list[str]], version: int) -> str:
    return "\n".join(
        f"{client} :{code}:reason {code}"
        for client, codes in table.items()
        for code in codes
        if (":" in client) == (version == 6)
    )


LISTS = {
    "bl.test": Lists(
        ip4=entries(CLIENTS, 4) + "\n" + "\n".join(f"{client} :{code}:" for client, code in ERRORS.items()),
        ip6=entries(CLIENTS, 6),
    ),
    "second.test": Lists(ip4=entries(SECOND, 4)),
    "white.test": Lists(ip4=entries(WHITE, 4)),
    "all.test": Lists(ip4=everybody("2:"), ip6="2000::/3 :2:"),
    "names.test": Lists(names="bad.example :2:bad\n.wild.example :2:wild\nxn--bcher-kva.example :2:idn"),
}


@pytest.fixture(scope="module")
def nameserver() -> Iterator[str]:
    address = free_nameserver()
    with rbldnsd(address, LISTS, port=53):
        yield address


@pytest.fixture(scope="module")
def resolver(nameserver: str) -> Iterator[DnspythonResolver]:
    with resolver_of(nameserver) as ours:
        yield ours


def resolver_of(nameserver: str) -> DnspythonResolver:
    configured = dns.resolver.Resolver(configure=False)
    configured.nameservers = [nameserver]
    return DnspythonResolver(configured)


# --- reject_rbl_client --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mta(nameserver: str) -> Iterator[Postfix]:
    settings = Postfix.classes(
        {name: f"reject_rbl_client {rule}" for name, rule in FILTERS.items()}
        | {"sender": "reject_rhsbl_sender names.test", "white": ", ".join(WHITE_FIRST)}
    )
    with Postfix(nameserver, settings) as postfix:
        yield postfix


def verdict(resolver: DnspythonResolver, subject: str, *rules: str | Rule) -> Verdict:
    return judge(run(query(subject, rules), resolver))


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("case", FILTERS)
def test_filters(mta: Postfix, resolver: DnspythonResolver, client: str, case: str) -> None:
    reply = mta.rcpt(client=client, recipient=f"{case}@{mta.domain}")
    ours = verdict(resolver, client, f"{FILTERS[case]} reject")
    assert ours.rejects == (reply.code == 554), reply
    assert reply.code in {250, 554}
    if ours.rejects:
        # The reasons of all entries; their order is the server's.
        assert set(ours.because[0].text.split(" / ")) == set(
            reply.text.partition("; ")[2].partition("; ")[2].split(" / ")
        )


@pytest.mark.parametrize("client", CLIENTS)
def test_an_allow_list_ends_the_matter(mta: Postfix, resolver: DnspythonResolver, client: str) -> None:
    reply = mta.rcpt(client=client, recipient=f"white@{mta.domain}")
    ours = verdict(resolver, client, "white.test=127.0.[0..255].[1..3] allow", "bl.test reject")
    assert ours.rejects == (reply.code == 554), reply


def test_the_table_has_listings_and_none(mta: Postfix, resolver: DnspythonResolver) -> None:
    """The comparison says something only if both verdicts are common."""
    verdicts = [verdict(resolver, client, f"{rule} reject").rejects for client in CLIENTS for rule in FILTERS.values()]
    assert len(verdicts) >= 100
    assert 30 < sum(verdicts) < len(verdicts) - 30


@pytest.mark.parametrize("client", ERRORS)
def test_where_we_differ_on_purpose(mta: Postfix, resolver: DnspythonResolver, client: str) -> None:
    # docs/conformance.md: error codes and addresses outside 127.0.0.0/8 are never listings
    assert mta.rcpt(client=client, recipient=f"f0@{mta.domain}").code == 554
    assert not verdict(resolver, client, "bl.test reject").rejects


@pytest.mark.parametrize(("domain", "expected"), DOMAINS.items())
def test_sender_domains(mta: Postfix, resolver: DnspythonResolver, domain: str, expected: bool) -> None:
    reply = mta.rcpt(sender=f"ann@{domain}", recipient=f"sender@{mta.domain}")
    ours = verdict(resolver, domain, Rule("names.test", kind=Kind.DOMAIN))
    assert ours.rejects == expected == (reply.code == 554), reply


# --- postscreen ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ranks(nameserver: str) -> dict[str, int]:
    """What postscreen makes of each client: it logs the rank of those that reach the threshold, here all of them."""
    settings = {
        "postscreen_dnsbl_sites": ", ".join(SITES),
        "postscreen_dnsbl_threshold": "1",
        "postscreen_dnsbl_action": "enforce",
        "postscreen_greet_wait": "1s",
        "postscreen_cache_map": "",
        "postscreen_upstream_proxy_protocol": "haproxy",
    }
    with Postfix(nameserver, settings, POSTSCREEN) as postfix, ExitStack() as connections:
        for client in CLIENTS:
            connection: socket.socket = postfix.proxied(client, postfix.port_of("screen"))
            connections.enter_context(connection)
        for client in CLIENTS:
            postfix.wait_for_log(rf"DNSBL rank -?\d+ for \[{re.escape(client)}\]")
        found = re.findall(r"DNSBL rank (-?\d+) for \[(.+?)\]", postfix.log())
    return {client: int(rank) for rank, client in found}


@pytest.mark.parametrize("client", CLIENTS)
def test_scores(ranks: dict[str, int], resolver: DnspythonResolver, client: str) -> None:
    assert verdict(resolver, client, *SITES).score == ranks[client]


def test_the_scores_differ(ranks: dict[str, int]) -> None:
    assert len(set(ranks.values())) >= 7
    assert min(ranks.values()) < BASE < max(ranks.values())


# --- client names -------------------------------------------------------------------------------------------------

# address, PTR, A or AAAA records of the name, what Postfix calls the client
NAMES = [
    ("192.0.2.10", "agree.test", ["192.0.2.10"], "agree.test"),
    ("192.0.2.11", "several.test", ["192.0.2.99", "192.0.2.11"], "several.test"),
    ("192.0.2.12", "other.test", ["192.0.2.99"], "unknown"),
    ("192.0.2.13", "nothing.test", [], "unknown"),
    ("192.0.2.14", None, [], "unknown"),
    ("192.0.2.15", "bad_name.test", ["192.0.2.15"], "bad_name.test"),
    ("192.0.2.16", "b@d.test", ["192.0.2.16"], "unknown"),
    ("192.0.2.17", "servfail.test", [], "unknown"),
    ("2001:db8::10", "six.test", ["2001:db8::10"], "six.test"),
    ("2001:db8::11", "six-other.test", ["2001:db8::99"], "unknown"),
]


@pytest.fixture(scope="module")
def names() -> Iterator[DnsServer]:
    records: dict[tuple[str, str], list[str]] = {}
    for client, name, addresses, _ in NAMES:
        if name is not None:
            records[str(dns.reversename.from_address(client)), "PTR"] = [f"{name}."]
        if name is not None and addresses:
            records[name, "AAAA" if ":" in client else "A"] = addresses
    with DnsServer(records, {"servfail.test": rcode(dns.rcode.SERVFAIL)}, address=free_nameserver(), port=53) as server:
        yield server


@pytest.fixture(scope="module")
def greeter(names: DnsServer) -> Iterator[Postfix]:
    with Postfix(names.address, {"smtpd_upstream_proxy_protocol": "haproxy"}) as postfix:
        yield postfix


@pytest.mark.parametrize(("client", "ptr", "addresses", "expected"), NAMES)
def test_client_names(
    greeter: Postfix, names: DnsServer, client: str, ptr: str | None, addresses: list[str], expected: str
) -> None:
    with greeter.proxied(client, greeter.port) as connection:
        assert connection.recv(1000).startswith(b"220")
        logged = greeter.wait_for_log(rf": connect from (\S+)\[{re.escape(client)}\]").group(1)
    with resolver_of(names.address) as resolver:
        checked = run(iprev.check(client), resolver, time_limit=5)
    assert (checked.name or "unknown") == logged == expected
