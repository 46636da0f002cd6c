"""One check through `mailauth.sync.check_spf`, as users call it, DNS in memory, in one thread.

"Warm" is with the record and the names met before, as they are on a busy server, "cold" with all that mailauth keeps
forgotten before each check. The peers have their DNS in memory, too, and keep nothing from one check to the next: they
parse records anew in both. pyspf is in Python, Mail::SPF in Perl, npm's mailauth in JavaScript, libspf2 in C.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import spf
from benchmarks.measure import Case, call, forgetful, ours, package
from benchmarks.peers import Peers, records
from mailauth import sync
from mailauth.resolvers import ZoneResolver

TITLE = "SPF"

Zone = dict[tuple[str, str], list[str]]


class Check(NamedTuple):
    name: str
    ip: str
    mail_from: str
    helo: str
    zone: Zone
    result: str


def _networks(number: int, count: int) -> str:
    return " ".join(f"ip4:10.{number}.{i}.0/{22 + i % 3}" for i in range(0, 4 * count, 4))


def _chain() -> Zone:
    """Seven records, six of them behind includes, 75 networks in all; the client is in the last one."""
    zone: Zone = {("example.org", "TXT"): ["v=spf1 include:_spf.example.org include:_spf.esp.example -all"]}
    nets = [f"_nets{i}.example.org" for i in (1, 2, 3)]
    zone["_spf.example.org", "TXT"] = [f"v=spf1 {' '.join('include:' + name for name in nets)} ?all"]
    for i, name in enumerate(nets):
        zone[name, "TXT"] = [f"v=spf1 {_networks(i, 15)} ?all"]
    zone["_spf.esp.example", "TXT"] = [f"v=spf1 {_networks(4, 15)} ?all"]
    zone["example.org", "TXT"] = ["v=spf1 include:_spf.example.org include:_spf.esp.example include:last.example -all"]
    zone["last.example", "TXT"] = [f"v=spf1 {_networks(5, 14)} ip4:192.0.2.0/24 ?all"]
    return zone


def _ten() -> Zone:
    names = [f"h{i}.example.org" for i in range(1, 11)]
    zone: Zone = {(name, "A"): [f"10.0.0.{i}"] for i, name in enumerate(names)}
    zone["example.org", "TXT"] = [f"v=spf1 {' '.join('a:' + name for name in names)} -all"]
    return zone


def checks() -> list[Check]:
    ann, helo = "ann-news@example.org", "mx.example.org"
    plain: Zone = {("example.org", "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"]}
    exists: Zone = {
        ("example.org", "TXT"): ["v=spf1 exists:%{ir}.%{l1r-}._spf.%{d} -all"],
        ("1.2.0.192.ann._spf.example.org", "A"): ["127.0.0.2"],
    }
    # After the macro string of RFC 7208 section 7.4 that uses most of what there is.
    rich: Zone = {
        ("example.org", "TXT"): ["v=spf1 exists:%{ir}.%{v}.%{l1r-}.lp._spf.%{d} -all"],
        ("1.2.0.192.in-addr.ann.lp._spf.example.org", "A"): ["127.0.0.2"],
    }
    return [
        Check("include chain, 7 records, 75 networks", "192.0.2.1", ann, helo, _chain(), "pass"),
        Check("plain ip4", "192.0.2.1", ann, helo, plain, "pass"),
        Check("exists, three macros", "192.0.2.1", ann, helo, exists, "pass"),
        Check("exists, four macros", "192.0.2.1", ann, helo, rich, "pass"),
        Check("10 lookups, fail", "192.0.2.1", ann, helo, _ten(), "fail"),
    ]


def pyspf(case: Check) -> Callable[[], object]:
    answers: dict[tuple[str, str], list[tuple[tuple[str, str], object]]] = {}
    for (name, rtype), texts in case.zone.items():
        values = [(text.encode(),) if rtype == "TXT" else text for text in texts]
        answers[name, rtype] = [((name, rtype), value) for value in values]

    def lookup(name: str, qtype: str, *_: object, **__: object) -> list[tuple[tuple[str, str], object]]:
        return answers.get((name, qtype), [])

    def check() -> object:
        spf.DNSLookup = lookup
        return spf.check2(case.ip, case.mail_from, case.helo)

    assert check()[0] == case.result, check()
    return check


def facade(case: Check) -> Callable[[], object]:
    """Our check of that case."""
    resolver = ZoneResolver(case.zone)

    def check() -> object:
        return sync.check_spf(case.ip, helo=case.helo, mail_from=case.mail_from, resolver=resolver)

    assert check().result == case.result, check()
    return check


def cases() -> Iterator[Case]:
    with Peers() as peers:
        for case in checks():
            others = [
                call("pyspf", pyspf(case), package("pyspf")),
                *peers.contenders(
                    "spf",
                    case.result.__eq__,
                    ip=case.ip,
                    helo=case.helo,
                    mail_from=case.mail_from,
                    zone=records(case.zone),
                ),
            ]
            check = facade(case)
            yield Case(f"{case.name}, warm", [ours(check), *others])
            yield Case(f"{case.name}, cold", [ours(forgetful(check, "mailauth.spf", "mailauth.mail")), *others])
