# What belongs here: a query as octets, and the answer out of a response's octets, for the five record types that
# plans ask for. Standard library only, no I/O. Anything unusual raises `BadPacket`, and dnspython has the last word.
#
#   message  = header *question *answer *authority *additional                      ; RFC 1035 section 4.1
#   header   = id flags qdcount ancount nscount arcount                             ; 16 bits each, 4.1.1
#   question = name type class                                                      ; 4.1.2
#   record   = name type class ttl rdlength rdata                                   ; 4.1.3
#   name     = *(length label) (%x00 / pointer)                                     ; 3.1 and 4.1.4
#
# SECURITY: packets come from whoever runs the zone that is asked about, and from whoever can forge one. A pointer
# must point back before the name that it continues, a name has at most 255 octets and 127 pointers, and each record
# is read once, so the work is linear in the packet (at most 64 KiB); `MAX_RECORDS` are kept.
"""DNS packets, as far as the short way needs them."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final, NamedTuple

from mailauth.plan.dns import MAX_CHAIN, MAX_RECORDS, Answer, Exchange, Outcome, Question

HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_QUESTION_AT: Final = HEADER.size
_POINTER: Final = 0xC0
_MAX_WIRE_NAME: Final = 255  # RFC 1035 section 2.3.4
_MAX_POINTERS: Final = 127  # a name of 255 octets has no more labels
_MAX_TTL: Final = 2**31 - 1  # RFC 2181 section 8: greater values are to be taken as zero

_IN: Final = 1
_CNAME: Final = 5
_SOA: Final = 6
_OPT: Final = 41
TYPES: Final = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}

NXDOMAIN: Final = 3


class BadPacket(ValueError):
    """A packet that this reader does not understand."""


class HostilePacket(Exception):
    """A packet that was made to cost time; nobody else should read it, either."""


def question_section(question: Question) -> bytes:
    """The question on the wire. The name must have passed `unaskable`; `ValueError` for a type that is not asked."""
    number = TYPES.get(question.type)
    if number is None:
        raise ValueError(f"{question}: plans ask for {', '.join(TYPES)}")
    labels = question.name.encode("ascii").split(b".")
    name = b"".join([bytes((len(label),)) + label for label in labels])
    return b"%b\0%b" % (name, struct.pack("!HH", number, _IN))


class _Record(NamedTuple):
    section: int  # 0 answer, 1 authority, 2 additional
    name: bytes
    type: int
    ttl: int
    start: int  # of the data
    end: int


_Chain = dict[tuple[bytes, int], list[_Record]]


def read_answer(packet: bytes, question: Question, after_question: int) -> Answer:
    """The answer to `question` in a response that repeats it, with the code NOERROR or NXDOMAIN.

    Raises `BadPacket` for a packet that breaks the grammar, or whose code has more bits in an OPT record.
    """
    try:
        return _read(packet, question, after_question)
    except (IndexError, struct.error, ValueError) as error:
        raise BadPacket(str(error)) from None


def _read(packet: bytes, question: Question, after_question: int) -> Answer:
    asked = TYPES[question.type]
    name, _ = _name(packet, _QUESTION_AT)
    found: _Chain = {}
    authorities: list[_Record] = []
    for record in _records(packet, name, after_question):
        if record.section == 0 and record.type in (asked, _CNAME):
            found.setdefault((record.name, record.type), []).append(record)
        elif record.section == 1 and record.type == _SOA:
            authorities.append(record)
    return _follow(packet, question, found, authorities, name)


def _records(packet: bytes, asked_name: bytes, at: int) -> Iterator[_Record]:
    """All records of class IN, and an error where an OPT record extends the code."""
    _, _, _, *counts = HEADER.unpack_from(packet)
    for section, count in enumerate(counts):
        for _ in range(count):
            if packet[at : at + 2] == b"\xc0\x0c":  # the name that was asked, as nearly every server writes it
                name, at = asked_name, at + 2
            else:
                name, at = _name(packet, at)
            rtype, rclass, ttl, length = _RECORD.unpack_from(packet, at)
            start = at + _RECORD.size
            at = start + length
            if at > len(packet):
                raise BadPacket("record beyond the end")
            if rtype == _OPT and ttl >> 24:  # RFC 6891 section 6.1.3
                raise BadPacket("extended response code")
            if rclass == _IN:
                yield _Record(section, name, rtype, ttl if ttl <= _MAX_TTL else 0, start, at)
    if at != len(packet):
        raise BadPacket("octets after the last record")


def _follow(packet: bytes, question: Question, found: _Chain, authorities: list[_Record], name: bytes) -> Answer:
    """Follow CNAMEs within the response (RFC 1034 section 3.6.2) to the records, or to the want of them."""
    asked, ttl = TYPES[question.type], _MAX_TTL
    for _ in range(MAX_CHAIN + 1):
        records = found.get((name, asked))
        if records:
            return _found(packet, question, records, min([ttl, *[record.ttl for record in records]]))
        aliases = found.get((name, _CNAME))
        if not aliases:
            return _nothing(packet, authorities, name, ttl)
        ttl = min([ttl, *[record.ttl for record in aliases]])
        name = _only_name(packet, aliases[0].start, aliases[0].end)
    return Answer(Outcome.SERVER_FAILURE, detail=f"CNAME chain over {MAX_CHAIN} or a loop")


def _found(packet: bytes, question: Question, records: list[_Record], ttl: int) -> Answer:
    if packet[3] & 0x0F == NXDOMAIN:
        raise BadPacket("records of a name that does not exist")
    read = _READERS[question.type]
    # Data may be compared octet by octet in no type that holds names, so equal records are found after reading.
    values = tuple(dict.fromkeys([read(packet, record.start, record.end) for record in records]))
    if len(values) <= MAX_RECORDS:
        return Answer(Outcome.FOUND, values, ttl)
    return Answer(Outcome.FOUND, values[:MAX_RECORDS], ttl, f"{MAX_RECORDS} of {len(values)} records kept")


def _nothing(packet: bytes, authorities: list[_Record], name: bytes, ttl: int) -> Answer:
    """RFC 2308 section 5: the lesser of the SOA's TTL and its MINIMUM field; without a SOA it may not be kept."""
    missing = packet[3] & 0x0F == NXDOMAIN
    outcome = Outcome.NO_SUCH_NAME if missing else Outcome.NO_DATA
    for record in authorities:
        if _is_below(name, record.name):
            _, at = _name(packet, record.start)
            _, at = _name(packet, at)
            *_, minimum = struct.unpack_from("!IIIII", packet, at)
            return Answer(outcome, ttl=min(ttl, record.ttl, minimum))
    return Answer(outcome)


def _is_below(name: bytes, ancestor: bytes) -> bool:
    while len(name) > len(ancestor):
        name = name[name[0] + 1 :]
    return name == ancestor


# --- names -------------------------------------------------------------------------------------------------


def _name(packet: bytes, at: int) -> tuple[bytes, int]:
    """A name in lower case, uncompressed as on the wire, and where it ends in the packet."""
    parts: list[bytes] = []
    size, end, limit, pointers = 1, 0, at, 0
    while length := packet[at]:
        if length < 64:
            label = packet[at : at + length + 1]
            at += length + 1
            size += length + 1
            if size > _MAX_WIRE_NAME or at >= len(packet):
                raise BadPacket("name over 255 octets, or beyond the end")
            parts.append(label)
            continue
        if length < _POINTER:
            raise BadPacket("label of an unknown kind")
        target = (length & 0x3F) << 8 | packet[at + 1]
        end = end or at + 2
        pointers += 1
        if target >= limit:
            raise BadPacket("a pointer that does not point back")
        if pointers > _MAX_POINTERS:
            raise HostilePacket("a name of pointers to pointers")
        at = limit = target
    # Lengths are below 64, so that only letters have a case.
    return b"".join(parts).lower() + b"\0", end or at + 1


def _only_name(packet: bytes, start: int, end: int) -> bytes:
    name, at = _name(packet, start)
    if at != end:
        raise BadPacket("data of the wrong length")
    return name


_PLAIN = re.compile(rb"[a-z0-9_-]+")
_MUST_ESCAPE = frozenset(b'"().;\\@$')


def _text(name: bytes) -> str:
    labels, at = [], 0
    while length := name[at]:
        labels.append(label_text(name[at + 1 : at + 1 + length]))
        at += 1 + length
    return ".".join(labels)


def label_text(label: bytes) -> str:
    """A label as `Answer` has it: octets that host names do not have are escaped as in a master file."""
    if _PLAIN.fullmatch(label):
        return label.decode("ascii")
    # RFC 1035 section 5.1
    return "".join(
        f"\\{chr(octet)}" if octet in _MUST_ESCAPE else chr(octet) if 0x20 < octet < 0x7F else f"\\{octet:03}"
        for octet in label
    )


# --- data --------------------------------------------------------------------------------------------------


def _ipv4(packet: bytes, start: int, end: int) -> IPv4Address:
    if end - start != 4:
        raise BadPacket("an IPv4 address has four octets")
    return IPv4Address(packet[start:end])


def _ipv6(packet: bytes, start: int, end: int) -> IPv6Address:
    if end - start != 16:
        raise BadPacket("an IPv6 address has sixteen octets")
    return IPv6Address(packet[start:end])


def _exchange(packet: bytes, start: int, end: int) -> Exchange:
    return Exchange(int.from_bytes(packet[start : start + 2], "big"), _text(_only_name(packet, start + 2, end)))


def _pointer(packet: bytes, start: int, end: int) -> str:
    return _text(_only_name(packet, start, end))


def _strings(packet: bytes, start: int, end: int) -> bytes:
    """TXT: one or more strings, each with a length of one octet in front (RFC 1035 section 3.3.14)."""
    parts, at = [], start
    while at < end:
        following = at + 1 + packet[at]
        parts.append(packet[at + 1 : following])
        at = following
    if at != end or not parts:
        raise BadPacket("strings of the wrong length")
    return b"".join(parts)


_READERS: dict[str, Callable[[bytes, int, int], Any]] = {
    "A": _ipv4,
    "AAAA": _ipv6,
    "MX": _exchange,
    "PTR": _pointer,
    "TXT": _strings,
}
