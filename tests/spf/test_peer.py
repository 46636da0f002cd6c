"""Random trees of records, evaluated here and by pyspf.

A second implementation of RFC 7208 gives the same result for the same records.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest

from mailauth.plan import run
from mailauth.resolvers import ZoneResolver
from mailauth.spf import check_host

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    peer: Any = pytest.importorskip("spf", reason="pyspf is not installed (pip install pyspf)")

NAMES = ["example.org", "a.example", "b.example", "c.example", "h1.example", "h2.example"]
SPECS = [*NAMES, "%{l}.a.example", "%{ir}.b.example", "%{d1r}.example", "%{l1r+}.c.example", "%{h}"]
ERRORS = ["a:", "ip4:1.2.3", "include:x", "ip4:1.2.3.4/33", "all.", "a/33", "foo", "exists:%(d)"]
Zone = dict[tuple[str, str], list[str]]


class Author:
    """Writes zones. Names exist, so that the void-lookup limit plays no part; it is tested elsewhere."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def term(self) -> str:
        pick, sign = self.random.choice, self.random.choice(["", "", "+", "-", "~", "?"])
        match self.random.randrange(10):
            case 0 | 1:
                return f"{sign}include:{pick(NAMES)}"
            case 2 | 3:
                spec = pick(["", *(f":{spec}" for spec in SPECS)])
                return f"{sign}{pick(['a', 'mx'])}{spec}{pick(['', '/24', '//64', '/24//64', '/30'])}"
            case 4:
                return f"{sign}exists:{pick(SPECS)}"
            case 5:
                return f"{sign}ptr{pick(['', ':example.org', ':a.example'])}"
            case 6 | 7:
                return sign + pick(["ip4:192.0.2.0/24", "ip4:192.0.2.1", "ip4:10.0.0.0/8", "ip6:2001:db8::/32"])
            case 8:
                return pick(ERRORS) if self.random.random() < 0.2 else f"{sign}ip4:198.51.100.0/24"
        return f"{sign}all"

    def record(self) -> str:
        terms = [self.term() for _ in range(self.random.randrange(6))]
        if self.random.random() < 0.3:
            terms.append(f"redirect={self.random.choice(NAMES[1:4])}")
        return " ".join(["v=spf1", *terms])

    def zone(self) -> Zone:
        zone: Zone = {(name, "TXT"): [self.record()] for name in NAMES[:4]}
        if self.random.random() < 0.1:
            zone["b.example", "TXT"].append("v=spf1 ~exists:b.example ?all")
        hosts = [*NAMES, "ann.a.example", "1.2.0.192.b.example", "ann.c.example", "mx.example.org", "org.example"]
        for name in hosts:
            zone[name, "A"] = [f"192.0.2.{self.random.randrange(1, 4)}"]
            zone[name, "AAAA"] = [f"2001:db8:0:{self.random.randrange(1, 4)}::1"]
            zone[name, "MX"] = [f"{i} {self.random.choice(NAMES)}" for i in range(self.random.randrange(1, 3))]
        zone["1.2.0.192.in-addr.arpa", "PTR"] = [self.random.choice(NAMES)]
        return zone


def ask_peer(zone: Zone, ip: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    def value(rtype: str, text: str) -> Any:
        if rtype == "MX":
            preference, host = text.split()
            return int(preference), host
        return (text.encode(),) if rtype == "TXT" else text

    def lookup(name: str, rtype: str, *_: Any, **__: Any) -> list[Any]:
        return [((name, rtype), value(rtype, text)) for text in zone.get((name, rtype), [])]

    monkeypatch.setattr(peer, "DNSLookup", lookup)
    result, words = peer.check2(ip, "ann@example.org", "mx.example.org")
    return result, words


@pytest.mark.parametrize("seed", range(8))
def test_the_same_results(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    author, compared = Author(seed), 0
    for _ in range(100):
        zone, ip = author.zone(), author.random.choice(["192.0.2.1", "192.0.2.9", "2001:db8:0:1::1", "198.51.100.7"])
        theirs, words = ask_peer(zone, ip, monkeypatch)
        ours = run(check_host(ip, mail_from="ann@example.org", helo="mx.example.org"), ZoneResolver(zone))
        if "recursion" in words or "Void" in words:
            continue  # judged before the term is reached; and IPv6 clients have no PTR here
        compared += 1
        assert ours.result == theirs, (zone, ip, words, ours)
    assert compared > 60
