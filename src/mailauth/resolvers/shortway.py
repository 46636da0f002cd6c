# What belongs here: one question in one UDP packet to one server, without I/O: what to send, and what to make of each
# packet that comes back. dnspython writes and reads the packets.
#
# dnspython's resolver is made for the hard cases, and costs a little more than an exchange of packets. So the first
# server is first asked directly; whatever is not the common case (no answer, truncation, another code than NOERROR and
# NXDOMAIN, a packet that cannot be read) is left to the resolver, which retries, and turns to the other servers and to
# TCP. A server that does not know EDNS is something that the resolver cannot deal with: it is told to do without.
#
# SECURITY: packets come from whoever runs the zone that is asked about, and from whoever can forge one. The drivers
# give each question a connected socket of its own, so that port and id are both random (RFC 5452 section 9.2) and
# the kernel drops packets from other addresses. A packet that does not repeat id and question is ignored: it neither
# answers the question nor ends it.
"""The short way to an answer, for the drivers in `dnspython` and `dnspython_async`."""

from __future__ import annotations

import socket
import struct
from enum import Enum
from functools import lru_cache
from typing import Any

import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver

from mailauth.plan.dns import Answer, Question
from mailauth.resolvers.wire import answer_of, query_name, query_type

MAX_PACKET = 65_535
MIN_PAYLOAD = 512


class Verdict(Enum):
    """What to do where a packet is no answer."""

    WAIT = "not for this question: wait for the right one"
    ASK_AGAIN = "leave it to dnspython's resolver"
    USE_TCP = "truncated"
    DROP_EDNS = "the server does not know EDNS"


class Attempt:
    """A question on its short way."""

    __slots__ = ("_payload", "_query", "_question", "destination", "family", "timeout", "wire")

    def __init__(self, resolver: dns.resolver.BaseResolver, question: Question, server: tuple[str, int]) -> None:
        self._question = question
        self.family = dns.inet.af_for_address(server[0])
        self.destination: Any = dns.inet.low_level_address_tuple(server, self.family)
        self.timeout: float = resolver.timeout
        name, rtype = query_name(question.name), query_type(question)
        self._query = dns.message.make_query(name, rtype)
        offer = (resolver.edns, resolver.ednsflags, resolver.payload)
        self._query.use_edns(*offer)
        if resolver.flags is not None:
            self._query.flags = resolver.flags
        head, tail = _frame(*offer, self._query.flags)
        asked = name.to_wire() + struct.pack("!HH", rtype, dns.rdataclass.IN)  # type: ignore[operator]
        self.wire = struct.pack("!H", self._query.id) + head + asked + tail
        # RFC 6891 section 6.2.3, RFC 1035 section 2.3.4: a server may send no more than was offered. Reading a packet
        # costs more than linear time where its names are pointers to pointers; the bound keeps that small.
        self._payload = max(resolver.payload if resolver.edns >= 0 else 0, MIN_PAYLOAD)

    def judge(self, packet: bytes) -> Answer | Verdict:
        """The answer that `packet` holds, or what to do instead."""
        if packet[:2] != self.wire[:2]:
            return Verdict.WAIT
        if len(packet) > self._payload:
            return Verdict.ASK_AGAIN
        try:
            response = dns.message.from_wire(packet)
        except (dns.exception.DNSException, ValueError):
            # Ours by its id, and broken: a forger's, or a broken server's, whom TCP may bring to reason.
            return Verdict.ASK_AGAIN
        if not self._query.is_response(response):
            return Verdict.WAIT
        if response.flags & dns.flags.TC:
            return Verdict.USE_TCP
        if response.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            return Verdict.DROP_EDNS if self._offended(response) else Verdict.ASK_AGAIN
        return answer_of(response, self._question)

    def _offended(self, response: dns.message.Message) -> bool:
        """Whether it answers like a server that does not know EDNS."""
        # RFC 6891 section 7: FORMERR, without an OPT record; older servers say NOTIMP, too (RFC 2671 section 5.3).
        codes = (dns.rcode.FORMERR, dns.rcode.NOTIMP)
        return self._query.edns >= 0 and response.edns < 0 and response.rcode() in codes


@lru_cache(maxsize=64)
def _frame(edns: int, ednsflags: int, payload: int, flags: int) -> tuple[bytes, bytes]:
    """What stands before (without the id) and behind the question in every query of one configuration.

    Writing a message costs dnspython far more than writing a name, and all but the name is the same each time.
    """
    query = dns.message.make_query(dns.name.root, dns.rdatatype.A)
    query.use_edns(edns, ednsflags, payload)
    query.flags = dns.flags.Flag(flags)
    wire = query.to_wire()
    # RFC 1035 section 4.1: 12 octets of header, of which two are the id; the root is one octet, type and class four.
    return wire[2:12], wire[17:]


def attempt(resolver: dns.resolver.BaseResolver, question: Question) -> Attempt | None:
    """The short way for `question`, or None where the resolver's configuration asks for more."""
    if resolver.cache is not None or resolver.keyring is not None or resolver.ednsoptions or resolver.rotate:
        return None
    server = _plain_server(resolver)
    try:
        return None if server is None else Attempt(resolver, question, server)
    except OSError:
        # The zone of a link-local address is none of this machine's interfaces: the other servers may do.
        return None


def _plain_server(resolver: dns.resolver.BaseResolver) -> tuple[str, int] | None:
    """Address and port of the first server, if it is asked by plain UDP."""
    first = resolver.nameservers[0] if resolver.nameservers else None
    if isinstance(first, str) and dns.inet.is_address(first):
        return first, resolver.nameserver_ports.get(first, resolver.port)
    if type(first) is dns.nameserver.Do53Nameserver:
        return first.address, first.port
    return None


def resolver_after(verdict: Verdict, resolver: Any) -> Any:
    """A copy of the resolver that goes on where the short way ended."""
    copy = type(resolver)(configure=False)
    vars(copy).update(vars(resolver))
    if verdict is Verdict.ASK_AGAIN:
        # The first server comes last: it has just been tried.
        copy.nameservers = [*resolver.nameservers[1:], *resolver.nameservers[:1]]
    elif verdict is Verdict.DROP_EDNS:
        copy.use_edns(-1)  # RFC 6891 section 6.2.2
    return copy


def open_socket(way: Attempt) -> socket.socket:
    """A socket of its own for one question, connected. Raises `OSError`."""
    sock = socket.socket(way.family, socket.SOCK_DGRAM)
    try:
        sock.connect(way.destination)
    except OSError:
        sock.close()
        raise
    return sock


def receive(sock: socket.socket, way: Attempt) -> Answer | Verdict:
    """What the next packet of a socket that does not block says."""
    try:
        return way.judge(sock.recv(MAX_PACKET))
    except (BlockingIOError, InterruptedError):
        return Verdict.WAIT
    except OSError:
        return Verdict.ASK_AGAIN
