# Invariant: any octets are an Answer, a BadPacket or a HostilePacket, never anything else; and for every response
# that dnspython can write, this reader says what dnspython's reader says.
"""The reader of the short way, beside dnspython's."""

from __future__ import annotations

import struct
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.plan import MAX_CHAIN, Answer, Outcome, Question
from mailauth.resolvers.packet import BadPacket, HostilePacket, question_section, read_answer
from mailauth.resolvers.shortway import Attempt, Verdict, attempt
from mailauth.resolvers.wire import answer_of
from tests.dnsserver import sync_configuration

TYPES = ("A", "AAAA", "MX", "PTR", "TXT")
labels = st.one_of(
    st.sampled_from([b"a", b"b", b"mx", b"WWW", b"under_score", b"*"]),
    st.binary(min_size=1, max_size=5),
)
names = st.lists(labels, max_size=4).map(lambda parts: dns.name.Name([*parts, b"example", b"test", b""]))


def data(name: dns.name.Name) -> st.SearchStrategy[tuple[str, str]]:
    """The type and the text of a record whose data may hold `name`."""
    text = name.to_text()
    return st.one_of(
        st.ip_addresses(v=4).map(lambda ip: ("A", str(ip))),
        st.ip_addresses(v=6).map(lambda ip: ("AAAA", str(ip))),
        st.integers(0, 65535).map(lambda n: ("MX", f"{n} {text}")),
        st.just(("PTR", text)),
        st.just(("CNAME", text)),
        st.just(("NS", text)),
        st.lists(st.binary(max_size=40), min_size=1, max_size=3).map(lambda parts: ("TXT", strings(parts))),
        st.integers(0, 2**31 - 1).map(lambda n: ("SOA", f"{text} {text} 1 2 3 4 {n}")),
    )


def strings(parts: list[bytes]) -> str:
    return " ".join('"' + "".join(f"\\{octet:03}" for octet in part) + '"' for part in parts)


@st.composite
def responses(draw: st.DrawFn) -> tuple[Question, bytes]:
    """A question and a response with records of a few names, among them the asked one, in every section."""
    pool = draw(st.lists(names, min_size=1, max_size=4))
    asked = draw(st.sampled_from([name for name in pool if askable(name)] or [dns.name.from_text("a.example.test.")]))
    question = Question(b".".join(asked.labels[:-1]).decode("ascii").lower(), draw(st.sampled_from(TYPES)))
    message = dns.message.make_query(asked, question.type)
    message.flags |= dns.flags.QR
    message.set_rcode(draw(st.sampled_from([0, 0, 0, 3])))
    for section in (message.answer, message.authority, message.additional):
        for _ in range(draw(st.integers(0, 6))):
            owner = draw(st.sampled_from([asked, *pool]))
            rtype, text = draw(data(draw(st.sampled_from([asked, *pool]))))
            ttl = draw(st.integers(0, 2**31 - 1))
            rrset = dns.rrset.from_text(owner, ttl, "IN", rtype, text)
            # A name has one CNAME and one SOA record at most; which of several would count is nobody's rule.
            if rtype not in ("CNAME", "SOA") or not any(
                (old.name, old.rdtype) == (owner, rrset.rdtype) for old in section
            ):
                section.append(rrset)
    return question, message.to_wire(max_size=65535)


def askable(name: dns.name.Name) -> bool:
    return all(label.isascii() and b"." not in label and b"\0" not in label for label in name.labels)


def read(packet: bytes, question: Question) -> Answer:
    return read_answer(packet, question, 12 + len(question_section(question)))


def by_dnspython(packet: bytes, question: Question) -> Answer:
    return answer_of(dns.message.from_wire(packet), question)


@settings(max_examples=200, deadline=None)
@given(responses())
def test_both_readers_agree(response: tuple[Question, bytes]) -> None:
    question, packet = response
    theirs = by_dnspython(packet, question)
    try:
        ours = read(packet, question)
    except BadPacket:
        # Only this: a name that does not exist has no records; dnspython's resolver refuses it one step later.
        assert packet[3] & 15 == 3
        assert theirs.found
        return
    assert (ours.outcome, ours.ttl) == (theirs.outcome, theirs.ttl)
    assert list(ours.records) == list(theirs.records)


@settings(max_examples=100, deadline=None)
@given(responses(), st.data())
def test_broken_packets(response: tuple[Question, bytes], draw: st.DataObject) -> None:
    """A response with octets changed, cut or added: an answer or a refusal."""
    question, packet = response
    octets = bytearray(packet)
    for _ in range(draw.draw(st.integers(1, 4))):
        octets[draw.draw(st.integers(0, len(octets) - 1))] = draw.draw(st.sampled_from([0, 1, 63, 64, 192, 255]))
    cut = draw.draw(st.integers(0, len(octets)))
    for candidate in (bytes(octets), bytes(octets[:cut]), bytes(octets) + b"\0"):
        answer_or_refusal(candidate, question)


@given(st.binary(max_size=200), st.sampled_from(TYPES))
def test_any_octets(octets: bytes, rtype: Any) -> None:
    question = Question("a.example.test", rtype)
    answer_or_refusal(octets, question)
    answer_or_refusal(b"\0\0\x81\x80\0\1\0\3\0\1\0\1" + question_section(question) + octets, question)


def answer_or_refusal(packet: bytes, question: Question) -> None:
    try:
        answer = read(packet, question)
    except (BadPacket, HostilePacket):
        return
    assert answer.found == bool(answer.records)
    kinds = {"A": 4, "AAAA": 16}
    assert all(len(record.packed) == kinds[question.type] for record in answer.records if question.type in kinds)


QUESTION = Question("a.example.test", "A")


def packet_of(records: bytes, count: int, question: Question = QUESTION) -> bytes:
    return struct.pack("!HHHHHH", 1, 0x8180, 1, count, 0, 0) + question_section(question) + records


ADDRESS = b"\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1"


@pytest.mark.parametrize(
    ("records", "count"),
    [
        (b"\xc0\x0c" + ADDRESS, 2),  # fewer records than counted
        (b"\xc0\x0c" + ADDRESS + b"\0", 1),  # something behind them
        (b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\3\xc0\0\2", 1),  # an address of three octets
        (b"\xc0\x20" + ADDRESS, 1),  # a pointer to itself
        (b"\xc0\xff" + ADDRESS, 1),  # a pointer forward
        (b"\x80" + ADDRESS, 1),  # no known kind of label
        (b"\x3f" + b"x" * 63 + b"\x3f" + b"x" * 63 + b"\x3f" + b"x" * 63 + b"\x3f" + b"x" * 63 + b"\0" + ADDRESS, 1),
        (b"\0\0\x29\x04\xd0\1\0\0\0\0\0", 1),  # an OPT record that makes the code another one
    ],
)
def test_bad_packets(records: bytes, count: int) -> None:
    with pytest.raises(BadPacket):
        read(packet_of(records, count), QUESTION)


def test_pointers_to_pointers_are_given_up_at_once() -> None:
    """Eight thousand pointers, each to the one before, under four thousand names: not to be followed to the end."""
    start = 12 + len(question_section(QUESTION)) + 11
    chain = b"".join(struct.pack("!H", 0xC000 | (start + 2 * i - 2 if i else 12)) for i in range(8000))
    filler = b"\0" + struct.pack("!HHIH", 99, 1, 60, len(chain))
    owners = (struct.pack("!H", 0xC000 | (start + 15_000)) + ADDRESS) * 3000
    packet = packet_of(filler + chain + owners, 3001)
    with pytest.raises(HostilePacket):
        read(packet, QUESTION)


def test_strings_of_a_txt_record() -> None:
    question = Question("a.example.test", "TXT")
    head = b"\xc0\x0c\0\x10\0\1\0\0\0\x3c"
    assert read(packet_of(head + b"\0\5\1a\0\1b", 1, question), question).texts == (b"ab",)
    for octets in (b"", b"\5ab", b"\1"):
        with pytest.raises(BadPacket):
            read(packet_of(head + struct.pack("!H", len(octets)) + octets, 1, question), question)


@pytest.mark.parametrize("length", [0, 1, MAX_CHAIN, MAX_CHAIN + 1])
def test_chains(length: int) -> None:
    message = dns.message.make_query("c0.test.", "A")
    message.flags |= dns.flags.QR
    for i in range(length):
        message.answer.append(dns.rrset.from_text(f"c{i}.test.", 300 - i, "IN", "CNAME", f"c{i + 1}.test."))
    message.answer.append(dns.rrset.from_text(f"c{length}.test.", 999, "IN", "A", "192.0.2.1"))
    question = Question("c0.test", "A")
    for answer in (read(message.to_wire(), question), by_dnspython(message.to_wire(), question)):
        assert answer.outcome is (Outcome.FOUND if length <= MAX_CHAIN else Outcome.SERVER_FAILURE)
        if 0 < length <= MAX_CHAIN:
            assert answer.ttl == 300 - length + 1


# --- the query, and what belongs to it ---------------------------------------------------------------------------


def way(**options: Any) -> Attempt:
    found = attempt(sync_configuration(53, **options), Question("a.Example.test", "MX"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "options", [{}, {"edns": 0, "payload": 1232}, {"flags": 0x0120}, {"edns": 0, "ednsflags": 0x8000}]
)
def test_the_query_is_what_dnspython_would_send(options: dict[str, Any]) -> None:
    resolver = sync_configuration(53, **options)
    expected = dns.message.make_query("a.Example.test.", "MX")
    expected.use_edns(resolver.edns, resolver.ednsflags, resolver.payload)
    if resolver.flags is not None:
        expected.flags = resolver.flags
    wire = way(**options).wire
    expected.id = int.from_bytes(wire[:2], "big")
    assert wire == expected.to_wire()


def test_ids_differ() -> None:
    assert len({way().wire[:2] for _ in range(50)}) > 40


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lambda r: r, None),
        (lambda r: r[:12] + r[12:].swapcase(), None),  # letters only; the records are empty
        (lambda r: bytes([r[0] ^ 255]) + r[1:], Verdict.WAIT),
        (lambda r: r[:2] + b"\x01" + r[3:], Verdict.WAIT),  # a query
        (lambda r: r[:2] + b"\xa9" + r[3:], Verdict.WAIT),  # another opcode
        (lambda r: r[:4] + b"\0\0" + r[6:], Verdict.WAIT),  # no question
        (lambda r: r[:13] + b"b" + r[14:], Verdict.WAIT),  # another name
        (lambda r: r[:-1] + b"\3", Verdict.WAIT),  # another class
        (lambda r: r[:10], Verdict.WAIT),
        (lambda r: b"", Verdict.WAIT),
        (lambda r: r[:2] + b"\x83" + r[3:], Verdict.USE_TCP),
        (lambda r: r[:3] + b"\x82" + r[4:], Verdict.ASK_AGAIN),  # SERVFAIL
        (lambda r: r[:3] + b"\x85" + r[4:], Verdict.ASK_AGAIN),  # REFUSED
        (lambda r: r + b"\0", Verdict.ASK_AGAIN),
    ],
)
def test_what_is_made_of_a_packet(change: Any, verdict: Verdict | None) -> None:
    asked = way()
    response = asked.wire[:2] + b"\x81\x80\0\1\0\0\0\0\0\0" + asked.wire[12:]
    judged = asked.judge(change(response))
    assert judged == (Answer(Outcome.NO_DATA) if verdict is None else verdict)


@pytest.mark.parametrize(
    "options",
    [
        {"cache": object()},
        {"keyring": {}},
        {"ednsoptions": [object()]},
        {"rotate": True},
        {"nameservers": []},
        {"nameservers": ["https://dns.example/query"]},
    ],
)
def test_what_the_short_way_cannot_do_is_left_to_dnspython(options: dict[str, Any]) -> None:
    assert attempt(sync_configuration(53, **options), Question("a.test", "A")) is None


def test_the_first_server_is_asked_at_its_own_port() -> None:
    resolver = sync_configuration(53, nameservers=["192.0.2.1", "192.0.2.2"], nameserver_ports={"192.0.2.1": 5353})
    found = attempt(resolver, Question("a.test", "A"))
    assert found is not None
    assert found.destination == ("192.0.2.1", 5353)
