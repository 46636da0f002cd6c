"""Every network resolver against a server that delays, drops, truncates, lies and babbles.

Whatever a server sends, every question is answered by an ordinary Answer, in time, and never by data that does not
belong to it.
"""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from ipaddress import IPv4Address

import dns.message
import pycares
import pytest
import trio

from mailauth.plan import MAX_CHAIN, MAX_RECORDS, Answer, Outcome, Question, ask, run, run_async
from mailauth.resolvers import CaresResolver
from tests.dnsserver import Reply, ScriptedServer, response_to, truncated
from tests.resolvers.asking import THROUGH_DNSPYTHON, Asker

TIMEOUT = 0.4
FEW, MANY = 2.5, 50
RIGHT, WRONG = "192.0.2.1", "192.0.2.66"
Found, NoData, NoName = {Outcome.FOUND}, {Outcome.NO_DATA}, {Outcome.NO_SUCH_NAME}
TimedOut, Failed, Refused = {Outcome.TIMED_OUT}, {Outcome.SERVER_FAILURE}, {Outcome.REFUSED}
DnsError = TimedOut | Failed | Refused

Behaviour = Callable[[bytes, bool, int], list[Reply]]
CASES: dict[str, tuple[set[Outcome], Behaviour]] = {}


def case(outcomes: set[Outcome]) -> Callable[[Behaviour], Behaviour]:
    def note(behaviour: Behaviour) -> Behaviour:
        CASES[behaviour.__name__.replace("_", "-")] = outcomes, behaviour
        return behaviour

    return note


def good(query: bytes, *more: str) -> bytes:
    return response_to(query, f"@ 300 A {RIGHT}", *more).to_wire()


def bad(query: bytes) -> bytes:
    return response_to(query, f"@ 300 A {WRONG}").to_wire()


def for_another_name(query: bytes) -> bytes:
    other = dns.message.make_query("other.test", "A")
    other.id = dns.message.from_wire(query).id
    return bad(other.to_wire())


def with_another_id(query: bytes) -> bytes:
    return bytes([query[0] ^ 1]) + bad(query)[1:]


def by_hand(query: bytes, record: bytes, count: int = 1, flags: int = 0x8180) -> bytes:
    """A response with records in octets, for what dnspython would not write."""
    end = query.index(0, 12) + 5
    return query[:2] + struct.pack("!HHHHH", flags, 1, count, 0, 0) + query[12:end] + record


# --- time ----------------------------------------------------------------------------------------------------


@case(Found)
def answers(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, good(query))]


@case(TimedOut)
def drops(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return []


@case(TimedOut)
def answers_too_late(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(8.0, good(query))]


@case(Found)
def drops_the_first(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, good(query))] if number else []


# --- answers that belong to somebody else ----------------------------------------------------------------------


@case(TimedOut)
def answers_another_name(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, for_another_name(query))]


@case(Found)
def answers_another_name_first(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, for_another_name(query)), (0.02, good(query))]


@case(TimedOut)
def answers_another_id(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, with_another_id(query))]


@case(Found)
def answers_another_id_first(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, with_another_id(query)), (0.02, good(query))]


@case(Found)
def answers_twice(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, good(query)), (0, good(query))]


@case(Found)
def answers_twice_differently(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, good(query)), (0.02, bad(query))]


@case(Found)
def adds_records_of_other_names(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, good(query, f"other.test 300 A {WRONG}"))]


@case(NoData)
def sends_only_records_of_other_names(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, response_to(query, f"other.test 300 A {WRONG}").to_wire())]


@case(Found)
def adds_records_of_other_types(query: bytes, tcp: bool, number: int) -> list[Reply]:
    others = ("@ 300 TXT words", "@ 300 MX 10 mx.test.", "@ 300 AAAA 2001:db8::1", "@ 300 HINFO a b")
    return [(0, good(query, *others))]


@case(NoData)
def sends_only_records_of_other_types(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, response_to(query, "@ 300 TXT words", "@ 300 MX 10 mx.test.").to_wire())]


# --- garbage ---------------------------------------------------------------------------------------------------


@case(DnsError)
def babbles(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, b"\xff" * 100), (0, b"x"), (0, query[:2] + b"\xff" * 40)]


@case(Found)
def babbles_first(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, b"\xff" * 100), (0, b"x"), (0.02, good(query))]


@case(DnsError)
def sends_the_query_back(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, query)]


@case(DnsError)
def sends_a_header_only(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, query[:2] + struct.pack("!HHHHH", 0x8180, 0, 0, 0, 0))]


@case(DnsError)
def counts_more_records_than_it_sends(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, by_hand(query, b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1", count=2))]


@case(DnsError)
def sends_an_address_of_three_octets(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, by_hand(query, b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\3\xc0\0\2"))]


@case(DnsError)
def points_in_a_circle(query: bytes, tcp: bool, number: int) -> list[Reply]:
    here = query.index(0, 12) + 5
    return [(0, by_hand(query, struct.pack("!H", 0xC000 | here) + b"\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"))]


@case(NoData | DnsError)
def answers_in_another_class(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, by_hand(query, b"\xc0\x0c\0\1\0\3\0\0\0\x3c\0\4\xc0\0\2\1"))]


# --- codes -------------------------------------------------------------------------------------------------------


@case(NoName)
def says_nxdomain(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, response_to(query, rcode=3, authority=("test 900 SOA ns.test. h.test. 1 1 1 1 600",)).to_wire())]


@case(NoData)
def says_nothing(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, response_to(query).to_wire())]


@case(Failed)
def says_servfail(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, response_to(query, rcode=2).to_wire())]


@case(Refused)
def says_refused(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, response_to(query, rcode=5).to_wire())]


@case(DnsError)
def says_formerr(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, response_to(query, rcode=1).to_wire())]


@case(Failed)
def says_notimp(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, response_to(query, rcode=4).to_wire())]


@case(DnsError)
def says_yxdomain(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, response_to(query, rcode=6).to_wire())]


@case(Failed | NoName)
def says_nxdomain_and_answers(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, response_to(query, f"@ 300 A {WRONG}", rcode=3).to_wire())]


# --- chains ------------------------------------------------------------------------------------------------------


def chain(query: bytes, length: int) -> bytes:
    names = ["@", *[f"c{i}.test" for i in range(length)]]
    links = [f"{names[i]} {300 - i} CNAME {names[i + 1]}." for i in range(length)]
    return response_to(query, *links, f"{names[-1]} 300 A {RIGHT}").to_wire()


@case(Found)
def sends_the_longest_chain(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, chain(query, MAX_CHAIN))]


@case(Failed)
def sends_too_long_a_chain(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, chain(query, MAX_CHAIN + 1))]


@case(Failed)
def sends_a_loop(query: bytes, tcp: bool, number: int) -> list[Reply]:
    asked = dns.message.from_wire(query).question[0].name.to_text()
    return [(0, response_to(query, "@ 300 CNAME b.test.", f"b.test 300 CNAME {asked}").to_wire())]


# --- truncation --------------------------------------------------------------------------------------------------


@case(Found)
def truncates(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, good(query) if tcp else truncated(query))]


@case(DnsError)
def truncates_and_hangs_up(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, b"" if tcp else truncated(query))]


@case(TimedOut)
def truncates_and_falls_silent(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [] if tcp else [(0, truncated(query))]


@case(DnsError)
def truncates_and_babbles(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, b"\xff" * 60 if tcp else truncated(query))]


@case(DnsError | NoData)
def truncates_for_ever(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, truncated(query))]


@case(Found)
def sends_thousands_of_records(query: bytes, tcp: bool, number: int) -> list[Reply]:
    if not tcp:
        return [(0, truncated(query))]
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4"
    return [(0, by_hand(query, b"".join(record + struct.pack("!BBH", 10, 0, i) for i in range(4000)), count=4000))]


@case(Found)
def sends_a_ttl_beyond_the_greatest(query: bytes, tcp: bool, number: int) -> list[Reply]:
    return [(0, by_hand(query, b"\xc0\x0c\0\1\0\1\xff\xff\xff\xff\0\4\xc0\0\2\1"))]


# --- the tests ---------------------------------------------------------------------------------------------------


async def _through_cares(port: int, questions: Sequence[Question], timeout: float, tries: float) -> list[Answer]:
    async def alone(question: Question) -> Answer:
        async with CaresResolver(["127.0.0.1"], port=port, timeout=timeout, tries=int(tries)) as resolver:
            return await run_async(ask(question), resolver)

    return await asyncio.gather(*map(alone, questions))


def through_cares(port: int, questions: Sequence[Question], timeout: float, tries: float) -> list[Answer]:
    """Each question in a channel of its own: c-ares shares one socket, and a broken packet ends all that use it."""
    return asyncio.run(_through_cares(port, questions, timeout, tries))


def through_cares_in_trio(port: int, questions: Sequence[Question], timeout: float, tries: float) -> list[Answer]:
    answers: dict[Question, Answer] = {}

    async def alone(question: Question) -> None:
        async with CaresResolver(["127.0.0.1"], port=port, timeout=timeout, tries=int(tries)) as resolver:
            answers[question] = await run_async(ask(question), resolver)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for question in questions:
                nursery.start_soon(alone, question)

    trio.run(main)
    return [answers[question] for question in questions]


def through_cares_synchronously(port: int, questions: Sequence[Question], timeout: float, tries: float) -> list[Answer]:
    def alone(question: Question) -> Answer:
        with CaresResolver(["127.0.0.1"], port=port, timeout=timeout, tries=int(tries)) as resolver:
            return run(ask(question), resolver)

    with ThreadPoolExecutor(32) as threads:
        return list(threads.map(alone, questions))


THROUGH_CARES = [through_cares, through_cares_in_trio, through_cares_synchronously]
ALL = [*THROUGH_DNSPYTHON, *THROUGH_CARES]


@cache
def answers_by_case(asker: Asker) -> dict[str, Answer]:
    counts: Counter[str] = Counter()

    def script(query: bytes, tcp: bool) -> list[Reply]:
        name = query[13 : 13 + query[12]].decode().lower()
        if name not in CASES:
            return [(0, good(query))]
        counts[name] += 1
        return CASES[name][1](query, tcp, counts[name] - 1)

    # Where the server's silence is the case, time is short. The others end as soon as they are answered, and have time
    # for many tries: a busy machine, on which one try takes longer than it may, says nothing about them.
    silent = [name for name, (outcomes, _) in CASES.items() if Outcome.TIMED_OUT in outcomes]
    answers: dict[str, Answer] = {}
    with ScriptedServer(script) as server:
        for names, tries in ((silent, FEW), ([name for name in CASES if name not in silent], MANY)):
            questions = [Question(f"{name}.test", "A") for name in names]
            answers |= zip(names, asker(server.port, questions, TIMEOUT, tries), strict=True)
    return answers


# c-ares judges packets itself, and shows less of them; docs/conformance.md says what follows from that.
CARES = {
    "babbles-first": Found | Failed,
    "sends-the-query-back": DnsError | NoData,
    "says-yxdomain": DnsError | NoData,
    "sends-too-long-a-chain": Failed | NoData | Found,
    "sends-a-loop": Failed | NoData,
}
SHOWS_OWNERS = hasattr(pycares, "DNSResult")
if not SHOWS_OWNERS:
    CARES["sends-only-records-of-other-names"] = NoData | Found
    CARES["sends-too-long-a-chain"] |= Found


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("asker", ALL)
def test_outcome(asker: Asker, name: str) -> None:
    answer = answers_by_case(asker)[name]
    expected = CASES[name][0]
    if asker in THROUGH_CARES:
        expected = CARES.get(name, expected)
    assert answer.outcome in expected
    assert answer.found == bool(answer.records)
    if asker not in THROUGH_CARES or SHOWS_OWNERS or "records-of-other-names" not in name:
        assert IPv4Address(WRONG) not in answer.records
    if answer.failed:
        assert answer.detail


@pytest.mark.parametrize("asker", ALL)
def test_records_are_bounded(asker: Asker) -> None:
    answer = answers_by_case(asker)["sends-thousands-of-records"]
    assert 250 <= len(answer.records) <= MAX_RECORDS


@pytest.mark.parametrize("asker", ALL)
def test_a_ttl_beyond_the_greatest_is_zero(asker: Asker) -> None:
    # RFC 2181 section 8
    assert answers_by_case(asker)["sends-a-ttl-beyond-the-greatest"].ttl == 0


@pytest.mark.parametrize("asker", THROUGH_DNSPYTHON)
def test_ttl_of_negative_answers(asker: Asker) -> None:
    # RFC 2308 section 5
    answers = answers_by_case(asker)
    assert answers["says-nxdomain"].ttl == 600
    assert answers["says-nothing"].ttl == 0


@pytest.mark.parametrize("asker", ALL)
def test_ttl_is_the_least_along_the_chain(asker: Asker) -> None:
    assert answers_by_case(asker)["sends-the-longest-chain"].ttl == 300 - MAX_CHAIN + 1
