# What belongs here: a DNS server for other programs that answers from a `ZoneResolver`, on port 53 of a loopback
# address, so that they and we look at the very same data, failures included. No expectation about answers.
"""`ZoneServer`: a zone in memory, served over UDP and TCP."""

from __future__ import annotations

import socketserver
import threading
from typing import Any, cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from mailauth.plan import Answer, Exchange, Outcome, Question, RecordType
from mailauth.resolvers import ZoneResolver

_RCODES = {
    Outcome.NO_SUCH_NAME: dns.rcode.NXDOMAIN,
    Outcome.SERVER_FAILURE: dns.rcode.SERVFAIL,
    Outcome.REFUSED: dns.rcode.REFUSED,
}


MAX_UDP = 1232


class ZoneServer:
    """Serves `zone` on `address` until the block ends; `asked` are the questions that came, in order.

    What the zone answers with "timed out" gets no reply at all.
    """

    def __init__(self, zone: ZoneResolver, address: str, port: int = 53) -> None:
        self.asked: list[Question] = []
        self.port = port
        self._zone = zone
        self._servers: list[socketserver.BaseServer] = [
            _Udp((address, port), _over_udp(lambda octets: self._reply(octets, MAX_UDP))),
            _Tcp((address, port), _over_tcp(lambda octets: self._reply(octets, 65_535))),
        ]
        self._threads = [threading.Thread(target=server.serve_forever, args=(0.05,)) for server in self._servers]

    def __enter__(self) -> ZoneServer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for server, thread in zip(self._servers, self._threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()

    def _reply(self, octets: bytes, most: int) -> bytes | None:
        query = dns.message.from_wire(octets)
        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        question = Question(name, cast("RecordType", dns.rdatatype.to_text(asked.rdtype)))
        self.asked.append(question)
        answer = self._zone.lookup_now(question)
        if answer.outcome is Outcome.TIMED_OUT:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        response.set_rcode(_RCODES.get(answer.outcome, dns.rcode.NOERROR))
        if answer.found:
            response.answer.append(_records(asked, answer))
        try:
            # dnspython would shuffle the records; some cases are about their order.
            return cast("bytes", response.to_wire(max_size=most, want_shuffle=False))
        except dns.exception.TooBig:
            response.answer.clear()
            response.flags |= dns.flags.TC
            return cast("bytes", response.to_wire())


def _records(asked: Any, answer: Answer) -> Any:
    rrset = dns.rrset.RRset(asked.name, dns.rdataclass.IN, asked.rdtype)
    for record in answer.records:
        rrset.add(dns.rdata.from_text(dns.rdataclass.IN, asked.rdtype, _text(record)), answer.ttl)
    return rrset


def _text(record: Any) -> str:
    match record:
        case Exchange(preference, host):
            return f"{preference} {host}."
        case bytes():
            escaped = record.decode("latin-1").replace("\\", "\\\\").replace('"', '\\"')
            return " ".join(f'"{escaped[start : start + 200]}"' for start in range(0, len(escaped) or 1, 200))
        case str():
            return f"{record}."
    return str(record)


class _Udp(socketserver.UDPServer):
    allow_reuse_address = False
    max_packet_size = 65_535


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def _over_udp(reply: Any) -> Any:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            octets, sock = self.request
            answer = reply(octets)
            if answer is not None:
                sock.sendto(answer, self.client_address)

    return Handler


def _over_tcp(reply: Any) -> Any:
    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while len(size := self.rfile.read(2)) == 2:
                answer = reply(self.rfile.read(int.from_bytes(size, "big")))
                if answer is None:
                    return
                self.wfile.write(len(answer).to_bytes(2, "big") + answer)

    return Handler
