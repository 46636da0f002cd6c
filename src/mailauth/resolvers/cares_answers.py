# What belongs here: what c-ares says, as the plan layer's values. No I/O.
#
# SECURITY: the answers come from whoever runs the zone that is asked about. c-ares checks that an answer belongs to
# its question, in C; what is kept of it here is bounded like everywhere (`MAX_RECORDS`, `MAX_CHAIN`), and names are
# escaped.
"""From pycares' types to `Answer`."""

from __future__ import annotations

import re
import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any

import pycares

from mailauth.plan.dns import MAX_CHAIN, MAX_RECORDS, Answer, Exchange, Outcome, Question

if TYPE_CHECKING:
    from collections.abc import Iterable

_IN, _CNAME = 1, 5
TYPES = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}  # RFC 1035 section 3.2.2, RFC 3596 section 2.1
_GREATEST_TTL = 2**31 - 1
_OUTCOMES = {
    pycares.errno.ARES_ENOTFOUND: Outcome.NO_SUCH_NAME,
    pycares.errno.ARES_ENODATA: Outcome.NO_DATA,
    pycares.errno.ARES_ETIMEOUT: Outcome.TIMED_OUT,
    pycares.errno.ARES_EREFUSED: Outcome.REFUSED,
}

CLOSED = Answer(Outcome.SERVER_FAILURE, detail="the resolver was closed")


def require_type(question: Question) -> None:
    """Raises `ValueError` for a type that no plan asks for."""
    if question.type not in TYPES:
        raise ValueError(f"{question}: records are of type {', '.join(sorted(TYPES))}")


def answer_of(name: str, question: Question, result: Any, error: Any) -> Answer:
    """What c-ares' callback was given, as an answer to `question`; `name` is its name as it was asked."""
    if error is not None:
        if error == pycares.errno.ARES_ECANCELLED:
            return CLOSED
        outcome = _OUTCOMES.get(error, Outcome.SERVER_FAILURE)
        detail = "" if error in _FACTS else f"c-ares: {pycares.errno.strerror(error)!s}"
        return Answer(outcome, detail=detail)
    try:
        return _from_sections(name, question, result) if _SHOWS_SECTIONS else _from_list(question, result)
    except (ValueError, TypeError, AttributeError) as failure:
        return Answer(Outcome.SERVER_FAILURE, detail=f"c-ares: unreadable answer: {failure}")


_SHOWS_SECTIONS = hasattr(pycares, "DNSResult")  # pycares 5
_FACTS = frozenset({pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA})


def _found(values: Iterable[Any], ttl: int) -> Answer:
    unique = tuple(dict.fromkeys(values))
    if not unique:
        return Answer(Outcome.NO_DATA)
    detail = "" if len(unique) <= MAX_RECORDS else f"{MAX_RECORDS} of {len(unique)} records kept"
    # RFC 2181 section 8: a greater value is to be taken as zero; c-ares makes it the greatest.
    return Answer(Outcome.FOUND, unique[:MAX_RECORDS], ttl if 0 <= ttl < _GREATEST_TTL else 0, detail)


def _from_sections(name: str, question: Question, result: Any) -> Answer:
    """pycares 5: the records of all sections; follow CNAMEs among the answers."""
    asked, ttl = TYPES[question.type], _GREATEST_TTL
    for _ in range(MAX_CHAIN + 1):
        here = [record for record in result.answer if record.record_class == _IN and _name(record.name) == name]
        records = [record for record in here if record.type == asked]
        if records:
            return _found([_VALUES[question.type](r.data) for r in records], min(ttl, *[r.ttl for r in records]))
        aliases = [record for record in here if record.type == _CNAME]
        if not aliases:
            return Answer(Outcome.NO_DATA)
        name, ttl = _name(aliases[0].data.cname), min(ttl, aliases[0].ttl)
    return Answer(Outcome.SERVER_FAILURE, detail=f"CNAME chain over {MAX_CHAIN} or a loop")


# Block lists give the same few answers all day.
@lru_cache(maxsize=1024)
def _ipv4(text: str) -> IPv4Address:
    # Twice as fast as ipaddress' own parser, and c-ares wrote the text itself.
    return IPv4Address(socket.inet_aton(text))


_VALUES: dict[str, Any] = {
    "A": lambda data: _ipv4(data.addr),
    "AAAA": lambda data: IPv6Address(data.addr),
    "MX": lambda data: Exchange(data.priority, _name(data.exchange)),
    "PTR": lambda data: _name(data.dname),
    "TXT": lambda data: data.data,
}


def _from_list(question: Question, result: Any) -> Answer:
    """pycares before 5: the values only, CNAMEs followed by c-ares."""
    match question.type:
        case "A":
            return _found([_ipv4(item.host) for item in result], min([item.ttl for item in result], default=0))
        case "AAAA":
            return _found([IPv6Address(item.host) for item in result], min([item.ttl for item in result], default=0))
        case "MX":
            return _found([Exchange(item.priority, _name(item.host)) for item in result], 0)
        case "PTR":
            return _found([_name(alias) for alias in result.aliases or [result.name]], 0)
        case "TXT":
            return _found([_octets(item.text) for item in result], 0)


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("ascii")


_ESCAPE = re.compile(rb"\\(\d{3}|.)", re.DOTALL)


def _name(text: str | bytes) -> str:
    """c-ares' text of a name as `Answer` has it; both escape, but not the same octets."""
    octets = _octets(text)
    if b"\\" not in octets and b" " not in octets:
        return octets.decode("ascii").lower().removesuffix(".")
    labels = re.findall(rb"(?:[^.\\]|\\\d{3}|\\.)+", octets, re.DOTALL)
    return ".".join([_label_text(_ESCAPE.sub(_unescape, label).lower()) for label in labels])


def _unescape(match: re.Match[bytes]) -> bytes:
    escaped = match[1]
    return bytes([int(escaped) & 0xFF]) if len(escaped) == 3 else escaped


_PLAIN = re.compile(rb"[a-z0-9_-]+")
_MUST_ESCAPE = b'"().;\\@$'


def _label_text(label: bytes) -> str:
    """A label as `Answer` has it: octets that host names do not have are escaped as in a master file."""
    if _PLAIN.fullmatch(label):
        return label.decode("ascii")
    # RFC 1035 section 5.1
    return "".join(
        f"\\{chr(octet)}" if octet in _MUST_ESCAPE else chr(octet) if 0x20 < octet < 0x7F else f"\\{octet:03}"
        for octet in label
    )
