# What belongs here: a DNS server on loopback for the benchmarks, which answers each question after the delay that its
# name asks for, in a process of its own. It waits with select(), since epoll rounds up to whole milliseconds, which
# would be charged to the contenders.
"""A DNS server that answers late on purpose: ``4.3.2.1.d20.l7.example`` is answered after 20 ms, ``dead`` never."""

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


def _head(question: bytes) -> tuple[float | None, bytes]:
    """Delay in seconds (None: never) and what follows the id in the response."""
    if b"\x04dead" in question.lower():
        return None, b""
    asked = _DELAY.search(question)
    return int(asked[1]) / 1000 if asked else 0.0, b"\x81\x80\0\1\0\1\0\0\0\0" + question + _TAIL


def _question(packet: bytes) -> bytes:
    end = packet.index(0, 12) + 5
    return packet[12:end]


def serve(sock: socket.socket) -> None:
    """Answer until the process is ended."""
    sock.setblocking(False)
    waiting: list[tuple[float, int, bytes, object]] = []
    known: dict[bytes, tuple[float | None, bytes]] = {}
    number = 0
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, response, peer = heapq.heappop(waiting)
            with contextlib.suppress(OSError):
                sock.sendto(response, peer)  # type: ignore[arg-type]
        select.select([sock], [], [], max(0.0, waiting[0][0] - time.monotonic()) if waiting else None)
        with contextlib.suppress(BlockingIOError):
            for _ in range(50):
                packet, peer = sock.recvfrom(4096)
                question = _question(packet)
                delay, rest = known.get(question) or known.setdefault(question, _head(question))
                if delay is not None:
                    number += 1
                    heapq.heappush(waiting, (time.monotonic() + delay, number, packet[:2] + rest, peer))
                if len(known) > 50_000:
                    known.clear()


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
    serve(socket.socket(fileno=int(sys.argv[1])))
