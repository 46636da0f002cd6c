"""DNS servers on loopback, over UDP and TCP, that answer from a zone, with the faults that real servers have.

For programs that ask the DNS themselves, and for resolvers: `DnsServer` serves records, and `faults` make it late,
silent, truncated or wrong for some names. `ScriptedServer` does what a function says, octet by octet.
"""

from __future__ import annotations

import contextlib
import heapq
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cache, partial
from typing import Any, Protocol, Self, TypeAlias, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT

from mailauth.plan import Answer, Exchange, Outcome, Question, RecordType
from mailauth.resolvers import ZoneResolver
from mailauth.resolvers.wire import askable_text

# --- a server with a script --------------------------------------------------------------------------------------

Reply = tuple[float, bytes]
"""Seconds to wait, and the octets to send; over TCP an empty reply closes the connection."""
Script = Callable[[bytes, bool], list[Reply]]
"""What to send for a query's octets; the second argument says whether it came over TCP."""


class ScriptedServer:
    """A UDP and TCP server on one port of loopback that answers as its script says; it notes what it was asked.

    What the script raises ends neither the server nor the other answers; leaving ``with`` raises the first of it.
    """

    def __init__(self, script: Script, address: str = "127.0.0.1", port: int = 0) -> None:
        self.queries: list[tuple[bytes, bool]] = []  # the octets of each, and whether it came over TCP
        self._script = script
        self._udp, self._tcp = _bound(address, port)
        self._udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.address: str = address
        self.port: int = self._tcp.getsockname()[1]  # the same for UDP and TCP; where 0 was asked for, one that is free
        self._wake, self._woken = socket.socketpair()
        self._later: list[tuple[float, int, Callable[[], object]]] = []
        self._number = 0
        self._streams: dict[socket.socket, bytes] = {}
        self._raised: Exception | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._wake.send(b"x")
        self._thread.join()
        for sock in (self._udp, self._tcp, self._wake, self._woken, *self._streams):
            sock.close()
        if self._raised is not None and kind is None:
            raise self._raised

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            for sock in (self._udp, self._tcp, self._woken):
                sock.setblocking(False)
                selector.register(sock, selectors.EVENT_READ)
            while True:
                wait = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
                for key, _ in selector.select(wait):
                    if key.fileobj is self._woken:
                        return
                    with contextlib.suppress(OSError):
                        self._read(key.fileobj, selector)
                while self._later and self._later[0][0] <= time.monotonic():
                    _, _, send = heapq.heappop(self._later)
                    with contextlib.suppress(OSError):
                        send()

    def _read(self, sock: Any, selector: selectors.BaseSelector) -> None:
        if sock is self._udp:
            for _ in range(100):
                query, peer = sock.recvfrom(65_535)
                self._answer(query, False, partial(self._send_datagram, peer))
        elif sock is self._tcp:
            stream, _ = sock.accept()
            stream.setblocking(True)
            self._streams[stream] = b""
            selector.register(stream, selectors.EVENT_READ)
        else:
            octets = sock.recv(65_535)
            self._streams[sock] += octets
            if not octets:
                self._hang_up(sock, selector)
            # RFC 7766 section 6.2.1.1: a client may send several questions without waiting for the answers.
            while sock in self._streams:
                received = self._streams[sock]
                end = 2 + int.from_bytes(received[:2], "big")
                if len(received) < max(end, 3):
                    break
                self._streams[sock] = received[end:]
                self._answer(received[2:end], True, lambda reply: self._send_stream(sock, reply, selector))

    def _answer(self, query: bytes, tcp: bool, send: Callable[[bytes], object]) -> None:
        self.queries.append((query, tcp))
        try:
            replies = self._script(query, tcp)
        except Exception as error:  # noqa: BLE001 - a script is anybody's, and its mistake belongs in the test's thread
            self._raised = self._raised or error
            return
        for delay, reply in replies:
            if delay:
                self._number += 1
                when = time.monotonic() + delay
                later: Callable[[], object] = partial(send, reply)
                heapq.heappush(self._later, (when, self._number, later))
            else:
                send(reply)

    def _send_datagram(self, peer: Any, reply: bytes) -> None:
        self._udp.sendto(reply, peer)

    def _send_stream(self, sock: socket.socket, reply: bytes, selector: selectors.BaseSelector) -> None:
        if reply:
            sock.sendall(len(reply).to_bytes(2, "big") + reply)
        else:
            self._hang_up(sock, selector)

    def _hang_up(self, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        with contextlib.suppress(KeyError):
            selector.unregister(sock)
        self._streams.pop(sock, None)
        sock.close()


def _bound(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Sockets for UDP and TCP on that port; of port 0, on one that is free for both."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    taken = OSError("no port is free for both UDP and TCP")
    for _ in range(1 if port else 100):
        tcp = socket.create_server((address, port), family=family, backlog=100)
        udp = socket.socket(family, socket.SOCK_DGRAM)
        try:
            udp.bind((address, tcp.getsockname()[1]))
        except OSError as error:
            udp.close()
            tcp.close()
            taken = error
        else:
            return udp, tcp
    raise taken


def response_to(query: bytes, *records: str, rcode: int = 0, authority: tuple[str, ...] = ()) -> dns.message.Message:
    """A well-formed response with the given records, each as a master file writes it, "@" for the asked name."""
    message = dns.message.from_wire(query)
    response = dns.message.make_response(message, recursion_available=True)
    response.set_rcode(dns.rcode.Rcode(rcode))
    for section, lines in ((response.answer, records), (response.authority, authority)):
        for line in lines:
            _add(section, line, message.question[0].name)
    return response


def _add(section: list[Any], line: str, asked: Any) -> None:
    name, ttl, rtype, data = line.split(" ", 3)
    owner = asked if name == "@" else dns.name.from_text(name)
    rrset = dns.rrset.from_text(owner, int(ttl), dns.rdataclass.IN, dns.rdatatype.from_text(rtype), data)
    section.append(rrset)


def truncated(query: bytes) -> bytes:
    """An answer that says: ask over TCP."""
    response = response_to(query)
    response.flags |= dns.flags.TC
    return response.to_wire()


# --- servers with records ------------------------------------------------------------------------------------

MAX_UDP = 1232
_RCODES = {
    Outcome.NO_SUCH_NAME: dns.rcode.NXDOMAIN,
    Outcome.SERVER_FAILURE: dns.rcode.SERVFAIL,
    Outcome.REFUSED: dns.rcode.REFUSED,
}


class _Answering(Protocol):
    """A zone: a `ZoneResolver`, or a `mailauth.testing.Zone`, which may change while it is served."""

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer: ...


class ZoneServer(ScriptedServer):
    """Serves the very data of a zone, so that other programs see what we see; `asked` are the questions.

    What the zone answers with "timed out" gets no reply at all.
    """

    def __init__(self, zone: _Answering, address: str = "127.0.0.1", port: int = 0) -> None:
        super().__init__(self._replies, address, port)
        self.asked: list[Question] = []
        self._zone = zone

    def _replies(self, octets: bytes, tcp: bool) -> list[Reply]:
        query = _query(octets)
        if query is None:
            return [(0.0, _format_error(octets))] if len(octets) >= 12 else []
        response = self.response(query)
        return [] if response is None else self._sent(octets, query, response, tcp)

    def _sent(self, octets: bytes, query: dns.message.Message, response: dns.message.Message, tcp: bool) -> list[Reply]:
        return [(0.0, _packed(response, tcp))]

    def response(self, query: dns.message.Message) -> dns.message.Message | None:
        """What the zone has for a query."""
        asked = query.question[0]
        question = Question(askable_text(asked.name), cast("RecordType", dns.rdatatype.to_text(asked.rdtype)))
        self.asked.append(question)
        answer = self._zone.lookup(question)
        if answer.outcome is Outcome.TIMED_OUT:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(_RCODES.get(answer.outcome, dns.rcode.NOERROR))
        if answer.found:
            response.answer.append(_records(asked, answer))
        return response


def _query(octets: bytes) -> dns.message.Message | None:
    """A query with one question; None for anything else that may come to an open port."""
    try:
        query = dns.message.from_wire(octets)
    except dns.exception.DNSException:
        return None
    return query if len(query.question) == 1 and not query.flags & dns.flags.QR else None


def _format_error(octets: bytes) -> bytes:
    """A response with FORMERR (RFC 1035 section 4.1.1) and nothing else."""
    return octets[:2] + b"\x80\x01" + b"\0" * 8


def _packed(response: dns.message.Message, tcp: bool) -> bytes:
    try:
        # dnspython would shuffle the records; some cases are about their order.
        return response.to_wire(max_size=65_535 if tcp else MAX_UDP, want_shuffle=False)
    except dns.exception.TooBig:
        response.answer.clear()
        response.flags |= dns.flags.TC
        return response.to_wire()


def _records(asked: Any, answer: Answer) -> Any:
    rrset = dns.rrset.RRset(asked.name, dns.rdataclass.IN, asked.rdtype)
    for record in answer.records:
        rrset.add(_rdata(record, asked.rdtype), answer.ttl)
    return rrset


def _rdata(record: Any, rtype: dns.rdatatype.RdataType) -> dns.rdata.Rdata:
    match record:
        case bytes():
            strings = [record[start : start + 255] for start in range(0, len(record) or 1, 255)]
            return TXT(dns.rdataclass.IN, rtype, strings)
        case Exchange(preference, host):
            text = f"{preference} {host}."
        case str():
            text = f"{record}."
        case _:
            text = str(record)
    return dns.rdata.from_text(dns.rdataclass.IN, rtype, text)


Fault: TypeAlias = Callable[[bytes, dns.message.Message, bool], list[Reply]]
"""A way in which servers go wrong: what is sent for a query instead of the right response."""


def delay(seconds: float) -> Fault:
    """Answer so many seconds late."""
    return lambda query, response, tcp: [(seconds, _packed(response, tcp))]


def drop(query: bytes, response: dns.message.Message, tcp: bool) -> list[Reply]:
    """Never answer."""
    return []


def truncate(query: bytes, response: dns.message.Message, tcp: bool) -> list[Reply]:
    """Answer by UDP without records and with the truncation bit, in full by TCP."""
    return [(0.0, response.to_wire() if tcp else truncated(query))]


def no_tcp(query: bytes, response: dns.message.Message, tcp: bool) -> list[Reply]:
    """Answer by UDP with the truncation bit, and hang up over TCP."""
    return [(0.0, b"" if tcp else truncated(query))]


def empty(query: bytes, response: dns.message.Message, tcp: bool) -> list[Reply]:
    """The name exists, and has no records: NOERROR without an answer."""
    return [(0.0, response_to(query).to_wire())]


def loop(query: bytes, response: dns.message.Message, tcp: bool) -> list[Reply]:
    """The name is an alias of an alias of itself."""
    asked = response.question[0].name.to_text()
    aliases = ("@ 60 CNAME alias.invalid.", f"alias.invalid. 60 CNAME {asked}")
    return [(0.0, response_to(query, *aliases).to_wire())]


def garbage(query: bytes, response: dns.message.Message, tcp: bool) -> list[Reply]:
    """Answer the question with octets that are no DNS message: the right id, then rubbish."""
    return [(0.0, query[:2] + bytes(range(128, 256)) * 2)]


def giant(query: bytes, response: dns.message.Message, tcp: bool) -> list[Reply]:
    """The right records, and behind them as many others of their type as a message of 64 KiB holds."""
    if not tcp:
        return [(0.0, truncated(query))]
    asked = response.question[0]
    rrset = response.find_rrset(response.answer, asked.name, asked.rdclass, asked.rdtype, create=True)
    for rdata in _filler(dns.rdatatype.to_text(asked.rdtype)):
        rrset.add(rdata, 60)
    return [(0.0, response.to_wire(max_size=65_535, want_shuffle=False))]


@cache
def _filler(rtype: str) -> list[Any]:
    """Records of a type that fill nearly 64 KiB."""
    texts = {
        "TXT": [f'"{number} {"x" * 200}"' for number in range(280)],
        "A": [f"198.18.{number >> 8}.{number & 255}" for number in range(3900)],
        "AAAA": [f"2001:db8::{number:x}" for number in range(2200)],
        "MX": [f"10 h{number}.invalid." for number in range(1700)],
    }.get(rtype) or [f"h{number}.invalid." for number in range(1700)]
    return [dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(rtype), text) for text in texts]


def twice(query: bytes, response: dns.message.Message, tcp: bool) -> list[Reply]:
    """Answer everything twice."""
    return [(0.0, _packed(response, tcp))] * 2


def forge(query: bytes, response: dns.message.Message, tcp: bool) -> list[Reply]:
    """Before the answer, send one with another id, one about another name and one of rubbish, all of them listing."""
    other_id = response_to(query, "@ 60 A 127.0.0.66")
    other_id.id ^= 1
    other_name = dns.message.make_query("other.example.", "A")
    other_name.id = response.id
    forged = response_to(other_name.to_wire(), "@ 60 A 127.0.0.66")
    packets = [other_id.to_wire(), forged.to_wire(), b"\0" * 7, _packed(response, tcp)]
    return [(0.0, packet) for packet in packets]


def rcode(code: dns.rcode.Rcode) -> Fault:
    """Answer with this response code."""
    return lambda query, response, tcp: [(0.0, response_to(query, rcode=code).to_wire())]


def wrong_zone(owner: str) -> Fault:
    """Answer with a record whose owner is another name, and with none of the name that was asked."""
    return lambda query, response, tcp: [(0.0, response_to(query, f"{owner}. 60 A 127.0.0.2").to_wire())]


class DnsServer(ZoneServer):
    """Serves records, or a zone; the names at or below a name in `faults` get what the fault makes of them."""

    def __init__(
        self,
        records: ZoneResolver | Mapping[tuple[str, str], Iterable[str | bytes]],
        faults: Mapping[str, Fault] | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        zone = records if isinstance(records, ZoneResolver) else ZoneResolver(records)
        super().__init__(zone, address, port)
        self._faults = {dns.name.from_text(name): fault for name, fault in (faults or {}).items()}

    def _sent(self, octets: bytes, query: dns.message.Message, response: dns.message.Message, tcp: bool) -> list[Reply]:
        name = query.question[0].name
        fault = next((fault for owner, fault in self._faults.items() if name.is_subdomain(owner)), None)
        return super()._sent(octets, query, response, tcp) if fault is None else fault(octets, response, tcp)
