"""`SrsService`: forward and reverse as tables for Postfix's sender_canonical_maps and recipient_canonical_maps."""

# SECURITY: any address that anybody writes in an envelope may be asked for. A lookup takes microseconds and keeps
# nothing; what is refused is "not found", so that Postfix takes it for an unknown user.

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from mailauth.mail.text import printable
from mailauth.srs import Reason, Srs, SrsResult
from mailauth.srs.tables import Codec, Lookup, ProtocolError, SocketmapCodec, Status, TcpTableCodec

_log = logging.getLogger("mailauth.srsd")

Handle: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

READ_OCTETS = 64 * 1024
_REFUSED = (Reason.WRONG_HASH, Reason.EXPIRED, Reason.MALFORMED, Reason.TOO_LONG)


class SrsService:
    """Answers lookups in the maps "forward" and "reverse". `srs` may be replaced at any time.

    `handle` serves socketmap_table(5); `handle_forward` and `handle_reverse` serve tcp_table(5), which has one map for
    each socket. `clock` gives seconds since the epoch; `count` is called with "found", "not-found" or "error".
    """

    def __init__(
        self, srs: Srs, *, clock: Callable[[], float] = time.time, count: Callable[[str], object] = lambda event: None
    ) -> None:
        self.srs = srs
        self._clock = clock
        self._count = count
        self._idle: set[asyncio.StreamWriter] = set()
        self._ending = False

    @property
    def handles(self) -> tuple[Handle, Handle, Handle]:
        """What serves a connection: socketmap, tcp_table for senders, tcp_table for recipients."""
        return self.handle, self.handle_forward, self.handle_reverse

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of socketmap_table(5), until the other side closes it."""
        await self._serve(reader, writer, SocketmapCodec(), None)

    async def handle_forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of tcp_table(5), for senders."""
        await self._serve(reader, writer, TcpTableCodec(), "forward")

    async def handle_reverse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of tcp_table(5), for recipients."""
        await self._serve(reader, writer, TcpTableCodec(), "reverse")

    def finish(self) -> None:
        """End the connections that wait for nothing; Postfix keeps them open for its next lookup."""
        self._ending = True
        for writer in list(self._idle):
            writer.close()

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, codec: Codec, name: str | None
    ) -> None:
        try:
            while not self._ending:
                if codec.idle:
                    self._idle.add(writer)
                data = await reader.read(READ_OCTETS)
                self._idle.discard(writer)
                if not data:
                    break
                for lookup in codec.feed(data):
                    status, text = self.answer(lookup if name is None else Lookup(name, lookup.key))
                    writer.write(codec.reply(status, text))
                await writer.drain()
        except ProtocolError as error:
            self._count("error")
            _log.warning("connection closed: %s", error)
        except ConnectionError as error:
            # Postfix has gone, and asks again on another connection.
            _log.debug("connection lost: %s", error)
        finally:
            self._idle.discard(writer)
            writer.close()

    def answer(self, lookup: Lookup) -> tuple[Status, str]:
        """The status and the value, or words. Nothing that an address holds is raised."""
        if lookup.map == "forward":
            found = self.srs.forward(lookup.key, now=self._clock())
        elif lookup.map == "reverse":
            found = self.srs.reverse(lookup.key, now=self._clock())
        else:
            self._count("error")
            _log.warning("there is no map %s; there are forward and reverse", ascii(printable(lookup.map, 40)))
            return Status.TEMPORARY_ERROR, "there is no such map; there are forward and reverse"
        self._log(lookup, found)
        self._count("not-found" if found.address is None else "found")
        return (Status.NOT_FOUND, found.detail) if found.address is None else (Status.FOUND, found.address)

    def _log(self, lookup: Lookup, found: SrsResult) -> None:
        if found.reason in _REFUSED:
            _log.info("%s %s: %s", lookup.map, ascii(printable(lookup.key, 200)), found.detail)
