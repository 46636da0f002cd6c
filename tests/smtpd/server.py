"""A `MailauthServer` to talk SMTP to.

A running server for tests: in a thread of its own, configured by TOML text, with DNS, clock and deliveries in the
hands of the test. No test.
"""

from __future__ import annotations

import asyncio
import contextlib
import smtplib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from mailauth.aiosmtpd import Accepted
from mailauth.aiosmtpd.protocol import MailauthServer
from mailauth.aiosmtpd.serving import handler_of, server_arguments
from mailauth.config import parse
from mailauth.resolvers import ZoneResolver

GOOD = "127.0.0.4"  # its names fit, SPF of good.example passes
WRONG_NAME = "127.0.0.5"  # its reverse name leads elsewhere
NAMELESS = "127.0.0.6"  # no reverse name
LISTED = "127.0.0.7"  # on bl.example
SLOW_NAME = "127.0.0.8"  # its reverse DNS does not answer
OURS = "127.0.0.99"  # in our networks

RECORDS: dict[tuple[str, str], list[str | bytes]] = {
    ("good.example", "MX"): ["10 mx.good.example"],
    ("good.example", "TXT"): [f"v=spf1 ip4:{GOOD} -all"],
    ("mx.good.example", "A"): [GOOD],
    ("mx.good.example", "TXT"): [f"v=spf1 ip4:{GOOD} -all"],
    ("4.0.0.127.in-addr.arpa", "PTR"): ["mx.good.example"],
    ("5.0.0.127.in-addr.arpa", "PTR"): ["mx.good.example"],
    ("8.0.0.127.in-addr.arpa", "PTR"): ["never.asked.example"],
    ("7.0.0.127.bl.example", "A"): ["127.0.0.2"],
    ("7.0.0.127.bl.example", "TXT"): ["trap hit; see https://bl.example/7"],
    ("bad.example.dbl.example", "A"): ["127.0.1.2"],
    ("bad.example", "A"): ["127.0.0.1"],
    ("null.example", "MX"): ["0 ."],
    ("open.example", "A"): ["127.0.0.1"],
    ("xn--bcher-kva.example", "MX"): ["10 mx.good.example"],
}
ZONE = ZoneResolver(
    RECORDS,
    failures={
        ("8.0.0.127.in-addr.arpa", "*"): "servfail",
        ("down.example", "*"): "servfail",
    },
)

BASE = f"""
hostname = "mx.here.example"
domains = ["here.example"]
networks = ["{OURS}"]
"""
REST = """
[listen]
port = 0
[deadlines]
idle = 20
"""


class Clock:
    """Seconds since the epoch, as the test says."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Server:
    """One server: `port`, the messages `delivered`, the `handler`; `refuse` makes the delivery do something else."""

    def __init__(self, config: str, loop: asyncio.AbstractEventLoop, **arguments: Any) -> None:
        self.delivered: list[Accepted] = []
        self.clock = Clock()
        self.on_delivery: Callable[[Accepted], Awaitable[Any]] | None = None
        self._loop = loop
        self._raw: list[Raw] = []
        parsed = parse(config)
        resolver = arguments.pop("resolver", ZONE)
        self.handler = handler_of(parsed, self._deliver, resolver=resolver, clock=self.clock)
        kind = arguments.pop("kind", MailauthServer)
        own = {**server_arguments(parsed), **arguments}
        self._server = self.call(self._listen(lambda: kind(self.handler, loop=loop, **own)))
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def _listen(self, factory: Callable[[], Any]) -> asyncio.Server:
        return await self._loop.create_server(factory, "127.0.0.1", 0, backlog=512)

    async def _deliver(self, message: Accepted) -> Any:
        if self.on_delivery is not None:
            return await self.on_delivery(message)
        self.delivered.append(message)
        return None

    def call(self, coroutine: Any) -> Any:
        """Run a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    def close(self) -> None:
        """Take no more connections, and end ours."""
        for connection in self._raw:
            connection.close()
        self.call(self._stop())

    async def _stop(self) -> None:
        self._server.close()

    def client(self, source: str = GOOD, helo: str | None = "mx.good.example") -> smtplib.SMTP:
        """A client at `source`, after EHLO unless `helo` is None."""
        client = smtplib.SMTP("127.0.0.1", self.port, "localhost", timeout=30, source_address=(source, 0))
        if helo is not None:
            client.ehlo(helo)
        return client

    def raw(self, source: str = GOOD) -> Raw:
        """A bare connection, after the greeting."""
        connection = Raw(self.port, source)
        self._raw.append(connection)
        return connection


class Raw:
    """A connection of octets."""

    def __init__(self, port: int, source: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30, source_address=(source, 0))
        self._file = self.socket.makefile("rb")
        self.greeting = self.line()

    def line(self) -> bytes:
        """The next line, with its end; empty at the end of the connection."""
        try:
            return self._file.readline()
        except ConnectionError:
            return b""

    def reply(self) -> bytes:
        """The last line of the next reply."""
        line = self.line()
        while line[3:4] == b"-":
            line = self.line()
        return line

    def say(self, octets: bytes) -> bytes:
        """Send octets, return the next reply."""
        self.socket.sendall(octets)
        return self.reply()

    def close(self) -> None:
        """Be gone."""
        self._file.close()
        self.socket.close()


@contextlib.contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        asyncio.run_coroutine_threadsafe(_cancel_others(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _cancel_others() -> None:
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def restrictions(**lists: list[str]) -> str:
    """A ``[restrictions]`` table; relaying is refused in any case."""
    own = {**lists, "recipient": ["permit_mynetworks", "permit_authenticated", "reject_unauth_destination"]}
    own["recipient"] += lists.get("recipient", [])
    return "[restrictions]\n" + "".join(f"{name} = {items!r}\n" for name, items in own.items())


# A line begins with a dot: smtplib doubles it, a bare connection says STUFFED.
MESSAGE = b"From: ann@good.example\r\nTo: bob@here.example\r\nSubject: hello\r\n\r\nHello\r\n.dot\r\n"
STUFFED = MESSAGE.replace(b"\r\n.", b"\r\n..")
