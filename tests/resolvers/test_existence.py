"""Whether a name exists: what RFC 6604, 8020 and 9824 say of NXDOMAIN, NOERROR and NXNAME."""

from __future__ import annotations

import dns.flags
import dns.message
import pytest

from mailauth.plan import Answer, Outcome, Question
from mailauth.resolvers import Cache, ZoneResolver
from mailauth.resolvers.wire import answer_of
from tests.dnsserver import response_to

QUESTION = Question("a.example.org", "TXT")
QUERY = dns.message.make_query("a.example.org.", "TXT").to_wire()
NXDOMAIN = 3


@pytest.mark.parametrize(
    ("outcome", "exists"),
    [
        (Outcome.FOUND, True),
        (Outcome.NO_SUCH_NAME, False),
        (Outcome.NO_DATA, None),
        (Outcome.TIMED_OUT, None),
        (Outcome.SERVER_FAILURE, None),
    ],
)
def test_what_the_outcome_says(outcome: Outcome, exists: bool | None) -> None:
    assert Answer(outcome).name_exists is exists


@pytest.mark.parametrize(
    ("records", "rcode", "authority", "exists"),
    [
        (("@ 60 TXT x",), 0, (), True),
        ((), NXDOMAIN, (), False),
        ((), 0, (), None),
        # RFC 6604 section 3: NXDOMAIN is about the end of the chain; the alias is there.
        (("@ 60 CNAME gone.example.net.",), NXDOMAIN, (), True),
        (("@ 60 CNAME empty.example.net.",), 0, (), True),
        # RFC 9824 section 3.1: the type NXNAME (128) in the NSEC record of the name itself.
        ((), 0, ("@ 60 NSEC \\\\000.a.example.org. RRSIG NSEC TYPE128",), False),
        ((), 0, ("@ 60 NSEC \\\\000.a.example.org. A RRSIG NSEC",), None),
        ((), 0, ("other.example.org. 60 NSEC z.example.org. RRSIG NSEC TYPE128",), None),
    ],
)
def test_what_a_response_says(
    records: tuple[str, ...], rcode: int, authority: tuple[str, ...], exists: bool | None
) -> None:
    response = response_to(QUERY, *records, rcode=rcode, authority=authority)
    answer = answer_of(dns.message.from_wire(response.to_wire()), QUESTION)
    assert answer.name_exists is exists


def test_a_zone_in_memory_knows_its_names() -> None:
    zone = ZoneResolver({("x.a.example.org", "A"): ["192.0.2.1"], ("alias.example.org", "CNAME"): ["gone.example.org"]})
    names = {"a.example.org": True, "alias.example.org": True, "gone.example.org": False}
    for name, exists in names.items():
        assert zone.lookup_now(Question(name, "TXT")).name_exists is exists


def test_a_cache_keeps_it() -> None:
    clock = [0.0]
    cache = Cache(10, clock=lambda: clock[0])
    cache.put(QUESTION, Answer(Outcome.NO_DATA, ttl=60, exists=False))
    clock[0] = 30.0
    kept = cache.get(QUESTION)
    assert kept is not None
    assert kept.name_exists is False
