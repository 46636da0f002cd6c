# What belongs here: one question in one UDP packet to one server, without I/O: what to send, and what to make of each
# packet that comes back. Whatever is not the common case (no answer, truncation, another code than NOERROR and
# NXDOMAIN, a packet that cannot be read) is left to dnspython's resolver, which retries, turns to the other servers
# and to TCP. The common case is then several times cheaper, since a query needs no message object.
#
# SECURITY: packets come from whoever runs the zone that is asked about, and from whoever can forge one. The drivers
# give each question a connected socket of its own, so that port and id are both random (RFC 5452 section 9.2) and
# the kernel drops packets from other addresses. A packet that does not repeat id and question is ignored: it neither
# answers the question nor ends it.
"""The short way to an answer, for the drivers in `dnspython` and `dnspython_async`."""

from __future__ import annotations

import socket
from enum import Enum
from typing import Any

import dns.entropy
import dns.inet
import dns.nameserver
import dns.resolver

from mailauth.plan.dns import Answer, Outcome, Question
from mailauth.resolvers.packet import HEADER, NXDOMAIN, BadPacket, HostilePacket, question_section, read_answer

_RESPONSE, _TRUNCATED, _OPCODE, _RCODE = 0x80, 0x02, 0x78, 0x0F  # RFC 1035 section 4.1.1
_NOERROR = 0
MAX_PACKET = 65_535


class Verdict(Enum):
    """What to do where a packet is no answer."""

    WAIT = "not for this question: wait for the right one"
    ASK_AGAIN = "leave it to dnspython"
    USE_TCP = "truncated"


class Attempt:
    """A question on its short way."""

    __slots__ = ("_question", "_repeated", "destination", "family", "timeout", "wire")

    def __init__(self, resolver: dns.resolver.BaseResolver, question: Question, server: tuple[str, int]) -> None:
        self._question = question
        self.family = dns.inet.af_for_address(server[0])
        self.destination: Any = dns.inet.low_level_address_tuple(server, self.family)
        self.timeout: float = resolver.timeout
        self._repeated = question_section(question)
        self.wire = _query(resolver, self._repeated)

    def judge(self, packet: bytes) -> Answer | Verdict:
        """The answer that `packet` holds, or what to do instead."""
        if not self._fits(packet):
            return Verdict.WAIT
        if packet[2] & _TRUNCATED:
            return Verdict.USE_TCP
        if packet[3] & _RCODE not in (_NOERROR, NXDOMAIN):
            return Verdict.ASK_AGAIN
        try:
            return read_answer(packet, self._question, HEADER.size + len(self._repeated))
        except BadPacket:
            return Verdict.ASK_AGAIN
        except HostilePacket as error:
            return Answer(Outcome.SERVER_FAILURE, detail=f"hostile response: {error}")

    def _fits(self, packet: bytes) -> bool:
        """Whether it is a response with our id that repeats our question (RFC 5452 section 9.1)."""
        end = HEADER.size + len(self._repeated)
        return (
            packet[:2] == self.wire[:2]
            and packet[4:6] == b"\0\x01"
            and packet[2] & (_RESPONSE | _OPCODE) == _RESPONSE
            # Case is not compared; the lengths of labels and the numbers below 64 have none.
            and packet[HEADER.size : end].lower() == self._repeated.lower()
        )


def attempt(resolver: dns.resolver.BaseResolver, question: Question) -> Attempt | None:
    """The short way for `question`, or None where the resolver's configuration asks for more."""
    if resolver.cache is not None or resolver.keyring is not None or resolver.ednsoptions or resolver.rotate:
        return None
    server = _plain_server(resolver)
    return None if server is None else Attempt(resolver, question, server)


def _plain_server(resolver: dns.resolver.BaseResolver) -> tuple[str, int] | None:
    """Address and port of the first server, if it is asked by plain UDP."""
    first = resolver.nameservers[0] if resolver.nameservers else None
    if isinstance(first, str) and dns.inet.is_address(first):
        return first, resolver.nameserver_ports.get(first, resolver.port)
    if type(first) is dns.nameserver.Do53Nameserver:
        return first.address, first.port
    return None


def others_first(resolver: Any) -> Any:
    """A copy of the resolver that asks the first server last: it has just been tried."""
    copy = type(resolver)(configure=False)
    vars(copy).update(vars(resolver))
    copy.nameservers = [*resolver.nameservers[1:], *resolver.nameservers[:1]]
    return copy


def _query(resolver: dns.resolver.BaseResolver, question_section: bytes) -> bytes:
    flags = 0x0100 if resolver.flags is None else int(resolver.flags)
    with_edns = resolver.edns >= 0
    head = dns.entropy.random_16().to_bytes(2, "big") + flags.to_bytes(2, "big") + b"\0\x01\0\0\0\0\0"
    if not with_edns:
        return head + b"\0" + question_section
    # RFC 6891 section 6.1.2: root name, type OPT, payload size, extended code and version and flags, no options.
    ttl = (resolver.ednsflags & 0xFF00FFFF) | (resolver.edns << 16)
    opt = b"\0\0\x29" + resolver.payload.to_bytes(2, "big") + ttl.to_bytes(4, "big") + b"\0\0"
    return head + b"\x01" + question_section + opt


def open_socket(way: Attempt) -> socket.socket:
    """A socket of its own for one question, connected. Raises `OSError`."""
    sock = socket.socket(way.family, socket.SOCK_DGRAM)
    try:
        sock.connect(way.destination)
    except OSError:
        sock.close()
        raise
    return sock
