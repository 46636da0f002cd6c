"""SPF: how long one check takes.

SPF evaluation side by side with pyspf: one thread, DNS in memory, result objects included.  Both sides answer DNS
from a dict: ours through `ZoneResolver` and `mailauth.plan.run`, pyspf's through the `DNSLookup` function that it
looks up in its module for every question. Its own per-message cache stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from benchmarks.common import package, seconds_per_call, table
from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from mailauth.spf import check_host, record

Zone = dict[tuple[str, str], list[str]]


class Case(NamedTuple):
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


def _cases() -> list[Case]:
    ann, helo = "ann+news@example.org", "mx.example.org"
    plain: Zone = {("example.org", "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"]}
    exists: Zone = {
        ("example.org", "TXT"): ["v=spf1 exists:%{ir}.%{l1r+}._spf.%{d} -all"],
        ("1.2.0.192.ann._spf.example.org", "A"): ["127.0.0.2"],
    }
    # The macro string of RFC 7208 section 7.4 that uses most of what there is.
    rich: Zone = {
        ("example.org", "TXT"): ["v=spf1 exists:%{ir}.%{v}.%{l1r+-}.lp._spf.%{d2} -all"],
        ("1.2.0.192.in-addr.ann.lp._spf.example.org", "A"): ["127.0.0.2"],
    }
    return [
        Case("include chain, 7 records, 75 networks", "192.0.2.1", ann, helo, _chain(), "pass"),
        Case("plain ip4", "192.0.2.1", ann, helo, plain, "pass"),
        Case("exists, three macros", "192.0.2.1", ann, helo, exists, "pass"),
        Case("exists, four macros (RFC 7208, 7.4)", "192.0.2.1", ann, helo, rich, "pass"),
        Case("10 lookups, fail", "192.0.2.1", ann, helo, _ten(), "fail"),
    ]


def _pyspf(case: Case) -> Callable[[], object]:
    import spf

    answers: dict[tuple[str, str], list[tuple[tuple[str, str], object]]] = {}
    for (name, rtype), records in case.zone.items():
        values = [(record.encode(),) if rtype == "TXT" else record for record in records]
        answers[name, rtype] = [((name, rtype), value) for value in values]

    def lookup(name: str, qtype: str, *_: object, **__: object) -> list[tuple[tuple[str, str], object]]:
        return answers.get((name, qtype), [])

    def check() -> object:
        spf.DNSLookup = lookup
        return spf.check2(case.ip, case.mail_from, case.helo)

    assert check()[0] == case.result, check()
    return check


def _ours(case: Case) -> Callable[[], object]:
    resolver = ZoneResolver(case.zone)

    def check() -> object:
        return run(check_host(case.ip, helo=case.helo, mail_from=case.mail_from), resolver)

    assert check().result == case.result, check()
    return check


def _forgetful(check: Callable[[], object]) -> object:
    """With nothing cached: every record is parsed anew."""
    record.forget_records()
    return check()


def main() -> None:
    rows = []
    for case in _cases():
        ours = _ours(case)
        times = seconds_per_call(
            {"pyspf": _pyspf(case), "ours": ours, "cold": partial(_forgetful, ours)}, rounds=300, seconds=0.002
        )
        peer, us, cold = times["pyspf"], times["ours"], times["cold"]
        rows.append(
            (
                case.name,
                f"{us * 1e6:.1f}",
                f"{cold * 1e6:.1f}",
                f"{peer * 1e6:.1f}",
                f"{peer / us:.1f}x",
                f"{peer / cold:.1f}x",
            )
        )
    head = ("case", "mailauth us", "nothing cached us", f"{package('pyspf')} us", "ratio", "ratio, nothing cached")
    table("SPF, one check, DNS in memory, one thread", head, rows)
