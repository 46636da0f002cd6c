"""A DNS server that answers late on purpose: ``4.3.2.1.d20.l7.example`` is answered after 20 ms, ``dead`` never.

A DNS server on loopback for the benchmarks, which answers each question after the delay that its name asks for, in a
process of its own. It does not sleep while there is work: its sleep ends some tenths of a millisecond late, and every
question to a sleeping process costs the asker the system's work of waking it. Both would be charged to the
contenders, though no server on another machine does that to them.
"""

from __future__ import annotations

import contextlib
import heapq
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

_TAIL = bytes.fromhex("c00c 0001 0001 0000012c 0004 7f000002")  # 127.0.0.2, for 300 s
_DELAY = re.compile(rb"[\x02-\x04]d(\d{1,3})[\x00-\x3f]")
_BUFFER = 8 << 20
_AWAKE = 0.1  # seconds after the last question


def _head(question: bytes) -> tuple[float | None, bytes]:
    """Delay in seconds (None: never) and what follows the id in the response."""
    if b"\x04dead" in question.lower():
        return None, b""
    asked = _DELAY.search(question)
    return int(asked[1]) / 1000 if asked else 0.0, b"\x81\x80\0\1\0\1\0\0\0\0" + question + _TAIL


def _question(packet: bytes) -> bytes:
    end = packet.index(0, 12) + 5
    return packet[12:end]


class _Server:
    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        # When it is due, its number (to order equal times), the packet, and to whom it goes.
        self._waiting: list[tuple[float, int, bytes, object]] = []
        self._known: dict[bytes, tuple[float | None, bytes]] = {}
        self._number = 0
        self._asked = 0.0

    def serve(self) -> None:
        """Answer until the process is ended."""
        while True:
            now = time.monotonic()
            while self._waiting and self._waiting[0][0] <= now:
                self._answer_next()
            if not self._waiting and now > self._asked + _AWAKE:
                select.select([self._sock], [], [])
            with contextlib.suppress(BlockingIOError):
                packet, peer = self._sock.recvfrom(4096)
                self._take(packet, peer)

    def _answer_next(self) -> None:
        _, _, response, peer = heapq.heappop(self._waiting)
        with contextlib.suppress(OSError):
            self._sock.sendto(response, peer)  # type: ignore[arg-type]

    def _take(self, packet: bytes, peer: object) -> None:
        # The delay begins here, not when the question has been read.
        self._asked = time.monotonic()
        question = _question(packet)
        if len(self._known) > 50_000:
            self._known.clear()
        delay, rest = self._known.get(question) or self._known.setdefault(question, _head(question))
        if delay is not None:
            self._number += 1
            heapq.heappush(self._waiting, (self._asked + delay, self._number, packet[:2] + rest, peer))


@contextlib.contextmanager
def delay_server() -> Iterator[int]:
    """Run the server until the block ends; its UDP port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        command = [sys.executable, str(Path(__file__)), str(sock.fileno())]
        process = subprocess.Popen(command, pass_fds=[sock.fileno()])
        try:
            yield port
        finally:
            process.terminate()
            process.wait()


if __name__ == "__main__":
    _Server(socket.socket(fileno=int(sys.argv[1]))).serve()
