"""All resolvers against nsd.

Whatever is asked, ZoneResolver and every network resolver say what a real authoritative server says of the same
master file: the same outcome, the same set of records, the same TTL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth.plan import Answer, Outcome, Question
from mailauth.resolvers import ZoneResolver
from tests.dnsserver import nsd
from tests.resolvers.asking import ALL, THROUGH_CARES, Asker

pytestmark = pytest.mark.server

HEAD = "$ORIGIN {0}.\n$TTL 3600\n@ 7200 SOA ns hostmaster 1 7200 3600 604800 900\n@ NS ns.example.test.\n"
ZONES = {
    "example.test": HEAD.format("example.test")
    + r"""
ns            A     192.0.2.53
@             TXT   "v=spf1 mx -all"
@             MX    10 mx1
@             MX    20 mx2.example.test.
@       300   A     192.0.2.1
mx1           A     192.0.2.10
mx1           A     192.0.2.11
mx1     120   AAAA  2001:db8::10
MX2           A     192.0.2.20
nullmx        MX    0 .
www     60    CNAME web
web           A     192.0.2.80
web           TXT   "one" "two"
web           TXT   "three; \"quoted\" \\ and \001\255 octets"
empty         TXT   ""
many          TXT   "a"
many          TXT   "b"
many          TXT   "c"
chain1  500   CNAME chain2
chain2  400   CNAME chain3
chain3  450   CNAME web
dangling      CNAME missing
nodata        CNAME ns
across  200   CNAME host.other.test.
away    200   CNAME missing.other.test.
loop1         CNAME loop2
loop2         CNAME loop1
self          CNAME self
deep.in.empty A     192.0.2.90
*.wild        A     192.0.2.100
*.wild        MX    5 mx1
sub.wild      TXT   "not synthesised"
x.y.wild      TXT   "below an empty non-terminal"
*.alias 30    CNAME web
star.*.odd    TXT   "a wildcard in the middle"
_dmarc        TXT   "v=DMARC1; p=none"
sel._domainkey TXT  "v=DKIM1; p=" "AAAA"
under_score   A     192.0.2.91
old           SPF   "v=spf1 " "-all"
ptr           PTR   host.example.test.
ptr           PTR   Other.Example.TEST.
ptr           PTR   odd\.label.example.test.
ptr           PTR   sp\032ace.example.test.
ptr           PTR   \200byte.example.test.
at\@sign      A     192.0.2.92
semi\;colon   A     192.0.2.93
back\\slash   A     192.0.2.94
"""
    + "".join(f"big A 198.51.100.{i}\n" for i in range(250))
    + "".join(f'huge TXT "{i:03}{"z" * 240}"\n' for i in range(40)),
    "other.test": HEAD.format("other.test") + "host A 203.0.113.1\n@ TXT other\n",
    "2.0.192.in-addr.arpa": HEAD.format("2.0.192.in-addr.arpa")
    + "1 PTR mx1.example.test.\n2 CNAME 2.0-25\n2.0-25 PTR classless.example.test.\n",
}
TYPES = ("A", "AAAA", "CNAME", "MX", "PTR", "TXT", "SPF")
LABELS = sorted(
    {
        label
        for text in ZONES.values()
        for line in text.split("\n")[4:]
        if line.strip()
        for label in line.split()[0].split(".")
    }
    - {"@", *(line.split()[0] for line in ZONES["example.test"].split("\n") if "\\" in line)}
)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with nsd(ZONES, tmp_path_factory.mktemp("nsd")) as number:
        yield number


@pytest.fixture(scope="module")
def zone() -> ZoneResolver:
    return ZoneResolver.from_text("".join(ZONES.values()))


def every_name(zone: ZoneResolver) -> list[str]:
    """All names of the zones, and neighbours of each: below, beside, in other case."""
    names = set()
    for name in zone._zone._nodes:
        if any(name == apex or name.endswith("." + apex) for apex in ZONES):
            names |= {name, f"below.{name}", f"a.b.{name}", f"*.{name}", name.upper(), f"x{name}"}
    return sorted(name for name in names if any(name.lower().endswith("." + apex) for apex in ZONES))


def agree(asker: Asker, zone: ZoneResolver, questions: Sequence[Question], port: int) -> None:
    for question, answer in zip(questions, asker(port, questions), strict=True):
        expected = zone.lookup(question)
        if asker in THROUGH_CARES:
            answer, expected = as_cares_shows(answer, expected)
        assert comparable(answer) == comparable(expected), question


def comparable(answer: Answer) -> object:
    return answer.outcome, frozenset(answer.records), len(answer.records), answer.ttl


def as_cares_shows(answer: Answer, expected: Answer) -> tuple[Answer, Answer]:
    """c-ares hides the SOA record of negative answers."""
    if not expected.found:
        answer, expected = replace(answer, ttl=0), replace(expected, ttl=0)
    elif 0 <= expected.ttl - answer.ttl <= 60:
        # It has a cache of its own, in which answers grow older.
        expected = replace(expected, ttl=answer.ttl)
    return answer, expected


@pytest.mark.parametrize("asker", ALL)
def test_every_name_of_the_zone_and_its_neighbours(asker: Asker, zone: ZoneResolver, port: int) -> None:
    names = every_name(zone)
    assert len(names) > 250
    agree(asker, zone, [Question(name, rtype) for name in names for rtype in TYPES], port)


names_below = st.builds(
    lambda labels, apex: ".".join([*labels, apex]),
    st.lists(st.one_of(st.sampled_from(LABELS), st.text("ab*-_", min_size=1, max_size=3)), min_size=1, max_size=4),
    st.sampled_from(sorted(ZONES)),
)

questions_below = st.builds(Question, names_below, st.sampled_from(TYPES))


@pytest.mark.parametrize("asker", ALL)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    questions=st.lists(st.builds(Question, names_below, st.sampled_from(TYPES)), min_size=1, max_size=30, unique=True)
)
def test_any_name_below_an_apex(asker: Asker, zone: ZoneResolver, port: int, questions: list[Question]) -> None:
    """Any name below a zone's apex has the same answer through every resolver."""
    agree(asker, zone, questions, port)


@pytest.mark.parametrize("asker", ALL)
def test_names_that_cannot_exist_are_not_sent(asker: Asker, zone: ZoneResolver, port: int) -> None:
    bad = [
        "",
        ".",
        "a..test",
        "x" * 64 + ".test",
        ".".join(["x" * 50] * 6),
        "b\u00fccher.test",
        "nul\0.test",
        "dot.test.",
    ]
    questions = [Question(name, "A") for name in bad]
    agree(asker, zone, questions, port)
    assert all(answer.detail.startswith("not asked: ") for answer in asker(port, questions))


@pytest.mark.parametrize("asker", ALL)
def test_a_zone_that_the_server_does_not_serve_is_refused(asker: Asker, port: int) -> None:
    [answer] = asker(port, [Question("www.elsewhere.test", "A")])
    assert answer.outcome is Outcome.REFUSED
    assert answer.detail
