# What belongs here: a DNS server on loopback that misbehaves as the test asks for. No test, no expectation.
"""A small DNS server for tests: records from a dict, and for some names the ways in which real servers go wrong.

``with DnsServer(records, {"slow.example": Delay(0.2)}) as server: ...``; `server.address`, `server.port`. A behaviour
holds for all names at or below the name that it is given for.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset

from tests.servers import free_port

Records: TypeAlias = Mapping[tuple[str, str], Sequence[str]]


@dataclass(frozen=True)
class Delay:
    """Answer so many seconds late."""

    seconds: float


class Drop:
    """Never answer."""


class Truncate:
    """Answer by UDP without records and with the truncation bit, in full by TCP."""


class Twice:
    """Answer everything twice."""


class Forge:
    """Before the answer, send one with another id, one about another name and one of rubbish, all of them listing."""


@dataclass(frozen=True)
class Rcode:
    """Answer with this response code."""

    code: dns.rcode.Rcode


@dataclass(frozen=True)
class WrongZone:
    """Answer with a record whose owner is another name, and with none of the name that was asked."""

    owner: str


class DnsServer:
    """The server, as a context manager."""

    def __init__(
        self,
        records: Records,
        behaviours: Mapping[str, Any] | None = None,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.records = {(dns.name.from_text(name), rtype): list(data) for (name, rtype), data in records.items()}
        self.behaviours = {dns.name.from_text(name): what for name, what in (behaviours or {}).items()}
        self.address = address
        self.port = port
        self.asked: list[tuple[str, str]] = []
        self._timers: list[threading.Timer] = []
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> DnsServer:
        # One port for both: whatever is open when the second is taken is closed again.
        with contextlib.ExitStack() as opened:
            here = (self.address, self.port or free_port(self.address))
            self.port = here[1]
            for kind, handler in ((_UdpServer, self._udp()), (_TcpServer, self._tcp())):
                server = opened.enter_context(kind(here, handler))
                thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
                thread.start()
                opened.callback(thread.join)
                opened.callback(server.shutdown)
            self._exit = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        for timer in self._timers:
            timer.cancel()
        self._exit.close()

    def _udp(self) -> type[socketserver.BaseRequestHandler]:
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                packet, sock = self.request
                outer._answer_udp(packet, sock, self.client_address)

        return Handler

    def _tcp(self) -> type[socketserver.BaseRequestHandler]:
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(OSError, struct.error):
                    (length,) = struct.unpack("!H", self.rfile.read(2))
                    wire = outer._response(dns.message.from_wire(self.rfile.read(length))).to_wire()
                    self.wfile.write(struct.pack("!H", len(wire)) + wire)

        return Handler

    def _answer_udp(self, packet: bytes, sock: socket.socket, peer: Any) -> None:
        query = dns.message.from_wire(packet)
        behaviour = self._behaviour(query.question[0].name)
        if isinstance(behaviour, Delay):
            timer = threading.Timer(behaviour.seconds, self._send, ([self._response(query)], sock, peer))
            timer.daemon = True
            self._timers.append(timer)
            timer.start()
        else:
            self._send(self._packets(query, behaviour), sock, peer)

    def _send(self, packets: Sequence[dns.message.Message | bytes], sock: socket.socket, peer: Any) -> None:
        for packet in packets:
            with contextlib.suppress(OSError):
                sock.sendto(packet if isinstance(packet, bytes) else packet.to_wire(), peer)

    def _behaviour(self, name: dns.name.Name) -> Any:
        while name != dns.name.root:
            if name in self.behaviours:
                return self.behaviours[name]
            name = name.parent()
        return None

    def _packets(self, query: dns.message.Message, behaviour: Any) -> list[dns.message.Message | bytes]:
        response = self._response(query)
        match behaviour:
            case Drop():
                return []
            case Truncate():
                response.answer.clear()
                response.flags |= dns.flags.TC
            case Twice():
                return [response, response]
            case Forge():
                return [*self._forgeries(query), response]
            case Rcode():
                response.answer.clear()
                response.set_rcode(behaviour.code)
            case WrongZone():
                response.set_rcode(dns.rcode.NOERROR)
                response.answer[:] = [dns.rrset.from_text(f"{behaviour.owner}.", 60, "IN", "A", "127.0.0.2")]
        return [response]

    def _forgeries(self, query: dns.message.Message) -> list[dns.message.Message | bytes]:
        name = query.question[0].name
        other_id = dns.message.make_response(query)
        other_id.id = query.id ^ 1
        other_id.answer = [dns.rrset.from_text(name, 60, "IN", "A", "127.0.0.66")]
        other_name = dns.message.make_query("other.example.", "A")
        other_name.id = query.id
        forged = dns.message.make_response(other_name)
        forged.answer = [dns.rrset.from_text("other.example.", 60, "IN", "A", "127.0.0.66")]
        return [other_id, forged, b"\0" * 7]

    def _response(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        rtype = dns.rdatatype.to_text(question.rdtype)
        self.asked.append((question.name.to_text(omit_final_dot=True).lower(), rtype))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.AA | dns.flags.RA
        name = question.name
        for _ in range(8):
            cname = self.records.get((name, "CNAME"))
            if cname is None:
                break
            response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", *cname))
            name = dns.name.from_text(cname[0])
        data = self.records.get((name, rtype))
        if data:
            response.answer.append(dns.rrset.from_text(name, 60, "IN", rtype, *data))
        elif not any(owner.is_subdomain(name) for owner, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        return response


class _UdpServer(socketserver.ThreadingUDPServer):
    daemon_threads = True


class _TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 100
