"""Each protocol times each way in which a DNS server fails, over a real server on loopback: one table of results.

Errors are temporary, facts are facts (RFC 7208 section 4.4, RFC 6376 section 6.1.2, RFC 9989 section 4.10.1, RFC 8601
section 2.7): a timeout, SERVFAIL, REFUSED, a broken response and a circle of aliases leave it open what the name has;
NXDOMAIN and an empty answer say that it has nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import dns.rcode
import pytest

from mailauth import sync
from mailauth.resolvers import CaresResolver, DnspythonResolver
from mailauth.testing import (
    DnsServer,
    Fault,
    Zone,
    drop,
    empty,
    garbage,
    giant,
    loop,
    make_message,
    no_tcp,
    rcode,
    sign_message,
    signing_key,
    truncate,
)
from tests.arc.makers import sealed
from tests.dkim.makers import NOW, rsa_record
from tests.dnsserver import sync_configuration

IP = "192.0.2.1"
FAULTS: dict[str, Fault] = {
    "timeout": drop,
    "servfail": rcode(dns.rcode.SERVFAIL),
    "refused": rcode(dns.rcode.REFUSED),
    "empty": empty,
    "nxdomain": rcode(dns.rcode.NXDOMAIN),
    "truncated": truncate,
    "no-tcp": no_tcp,
    "loop": loop,
    "giant": giant,
    "garbage": garbage,
}


@cache
def message() -> bytes:
    return sign_message(make_message("ann@example.org", now=NOW), signing_key(), now=NOW)


@cache
def chain() -> bytes:
    return sealed(message(), "one.example")


@cache
def world() -> Zone:
    zone = Zone().domain("example.org", spf=f"v=spf1 ip4:{IP} -all", dmarc="v=DMARC1; p=reject", mx=["mx.example.org"])
    zone.host("mx.example.org", IP).add("mx.example.org", "TXT", "v=spf1 a -all").listed(IP, "bl.example")
    return zone.add("arc._domainkey.one.example", "TXT", rsa_record())


def spf_mailfrom(resolver: Any) -> str:
    return str(sync.check_spf(IP, mail_from="ann@example.org", helo="mx.example.org", resolver=resolver).result.value)


def spf_helo(resolver: Any) -> str:
    return str(sync.check_spf(IP, helo="mx.example.org", resolver=resolver).result.value)


def dkim(resolver: Any) -> str:
    [signature] = sync.verify_dkim(message(), now=NOW, resolver=resolver)
    return f"{signature.result.value}/{signature.reason}"


def dmarc(resolver: Any) -> str:
    signatures = sync.verify_dkim(message(), now=NOW, resolver=world())
    found = sync.check_dmarc("example.org", dkim=signatures, resolver=resolver)
    return f"{found.result.value}/{found.reason}"


def iprev(resolver: Any) -> str:
    found = sync.check_iprev(IP, resolver=resolver)
    return f"{found.result.value}/{found.reason}"


def rbl(resolver: Any) -> str:
    [listing] = sync.query_rbl(IP, ["bl.example"], resolver=resolver)
    return f"{listing.result.value}"


def arc(resolver: Any) -> str:
    found = sync.verify_arc(chain(), now=NOW, resolver=resolver)
    return f"{found.result.value}/{found.reason}"


def trust(resolver: Any) -> str:
    found = sync.verify_author(message(), now=NOW, resolver=resolver)
    return f"{found.verdict.value}/{found.reason}"


def domain(resolver: Any) -> str:
    report = sync.check_domain("example.org", selectors=["test"], guess=False, now=NOW, resolver=resolver)
    codes = [finding.code for finding in report.findings if finding.code.startswith(("spf.", "domain."))]
    return ",".join(codes) or "sound"


# What is asked, and the name about which the server goes wrong.
PROTOCOLS: dict[str, tuple[Callable[[Any], str], str]] = {
    "spf": (spf_mailfrom, "example.org"),
    "helo": (spf_helo, "mx.example.org"),
    "dkim": (dkim, "test._domainkey.example.org"),
    "dmarc": (dmarc, "_dmarc.example.org"),
    "iprev": (iprev, "1.2.0.192.in-addr.arpa"),
    "rbl": (rbl, "1.2.0.192.bl.example"),
    "arc": (arc, "arc._domainkey.one.example"),
    "trust": (trust, "test._domainkey.example.org"),
    "domain": (domain, "example.org"),
}

EXPECTED = """
fault      spf       helo      dkim                      dmarc               iprev
timeout    temperror temperror temperror/key-unavailable temperror/dns-error temperror/reverse-failure
servfail   temperror temperror temperror/key-unavailable temperror/dns-error temperror/reverse-failure
refused    temperror temperror temperror/key-unavailable temperror/dns-error temperror/reverse-failure
no-tcp     temperror temperror temperror/key-unavailable temperror/dns-error temperror/reverse-failure
loop       temperror temperror temperror/key-unavailable temperror/dns-error temperror/reverse-failure
garbage    temperror temperror temperror/key-unavailable temperror/dns-error temperror/reverse-failure
empty      none      none      permerror/no-key          none/no-record      permerror/no-ptr
nxdomain   none      none      permerror/no-key          none/no-record      permerror/no-ptr
truncated  pass      pass      pass/verified             pass/aligned        pass/confirmed
giant      pass      pass      permerror/no-key          pass/aligned        pass/confirmed

fault      rbl        arc            trust                domain
timeout    temperror  fail/dns-error unverified/dns-error spf.dns-error
servfail   temperror  fail/dns-error unverified/dns-error spf.dns-error
refused    temperror  fail/dns-error unverified/dns-error spf.dns-error
no-tcp     temperror  fail/dns-error unverified/dns-error spf.dns-error
loop       temperror  fail/dns-error unverified/dns-error spf.dns-error
garbage    temperror  fail/dns-error unverified/dns-error spf.dns-error
empty      not-listed fail/signature unverified/no-pass   spf.no-record
nxdomain   not-listed fail/signature unverified/no-pass   domain.no-such-name
truncated  listed     pass/verified  verified/dmarc-pass  sound
giant      listed     fail/signature unverified/no-pass   spf.long-answer
"""
# arc: RFC 8617 section 5.2.1 has no temporary failure. giant: of several hundred TXT records 100 are looked at for
# a key (docs/conformance.md); iprev looks up ten of the names.


def cells() -> Iterator[tuple[str, str, str]]:
    for table in EXPECTED.strip().split("\n\n"):
        head, *rows = [line.split() for line in table.splitlines()]
        for fault, *results in rows:
            yield from ((fault, name, result) for name, result in zip(head[1:], results, strict=True))


def test_no_cell_is_missing() -> None:
    assert {(fault, name) for fault, name, _ in cells()} == {(fault, name) for fault in FAULTS for name in PROTOCOLS}


@contextmanager
def through_dnspython(port: int, patience: float) -> Iterator[Any]:
    yield DnspythonResolver(sync_configuration(port, timeout=patience, lifetime=patience))


@contextmanager
def through_cares(port: int, patience: float) -> Iterator[Any]:
    with CaresResolver(["127.0.0.1"], port=port, timeout=patience, tries=1) as resolver:
        yield resolver


@pytest.mark.parametrize("through", [through_dnspython, through_cares])
@pytest.mark.parametrize(("fault", "name", "result"), list(cells()))
def test_a_fault(fault: str, name: str, result: str, through: Any) -> None:
    ask, owner = PROTOCOLS[name]
    # Where no answer is to come, it is not waited for long; elsewhere a busy machine has its time.
    patience = 0.2 if fault in ("timeout", "garbage") else 10.0
    with DnsServer(world().resolver, {owner: FAULTS[fault]}) as server, through(server.port, patience) as resolver:
        assert ask(resolver) == result
        assert server.asked
