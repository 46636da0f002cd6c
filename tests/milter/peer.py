"""The mail server's side of the milter protocol, written down packet by packet for tests."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec

from mailauth.milter import MilterServer

P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that is a coroutine function, run in an event loop of its own."""

    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class MailServer:
    """Sends events and reads replies; `options` is what the filter agreed to."""

    options = 0

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, command: bytes, data: bytes = b"") -> None:
        self.writer.write(struct.pack(">I", len(data) + 1) + command + data)

    async def read(self) -> tuple[bytes, bytes]:
        async with asyncio.timeout(20):
            length = int.from_bytes(await self.reader.readexactly(4), "big")
            octets = await self.reader.readexactly(length)
        return octets[:1], octets[1:]

    async def ask(self, command: bytes, data: bytes = b"") -> list[tuple[bytes, bytes]]:
        """The replies to one event, up to the one that is final."""
        self.send(command, data)
        replies = [await self.read()]
        while replies[-1][0] in b"himb+-2eqp":
            replies.append(await self.read())
        return replies

    async def negotiate(self, version: int = 6, actions: int = 0x1FF, options: int = 0x1FFFFF) -> None:
        self.send(b"O", struct.pack(">III", version, actions, options))
        _, answer = await self.read()
        self.options = struct.unpack_from(">I", answer, 8)[0]


@asynccontextmanager
async def connected(server: MilterServer, **offer: int) -> AsyncIterator[MailServer]:
    """A mail server that is connected over TCP, and has negotiated."""
    async with await server.listen("inet:127.0.0.1:0") as listening:
        host, port = listening.sockets[0].getsockname()[:2]
        reader, writer = await asyncio.open_connection(host, port)
        try:
            peer = MailServer(reader, writer)
            await peer.negotiate(**offer)
            yield peer
        finally:
            writer.close()
