"""The two protocols in which Postfix asks a server for an address: socketmap_table(5) and tcp_table(5). No I/O.

A parser takes octets in any cut and gives whole requests; an encoder makes one reply.
"""

# socketmap: netstrings, LENGTH ":" OCTETS ",". A request is a map's name, a blank and a key; a reply begins with OK,
# NOTFOUND, TEMP, TIMEOUT or PERM and a blank.
# tcp_table: lines, "get" SPACE key NEWLINE; the reply is 200, 400 or 500, a blank, and text. Blanks, controls, "%" and
# what is not ASCII stand as %XX.
#
# SECURITY: the other side is Postfix, and the addresses in its requests are anybody's. Requests are bounded, a length
# is read only to its bound, and what goes back is one line.

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple, Protocol

from mailauth import MailAuthError

MAX_KEY_OCTETS = 8192
"""A map's name and a key; an address has 320 octets, and Postfix reads replies of up to 100,000."""

_LENGTH = re.compile(rb"(0|[1-9][0-9]{0,5}):")
_BEGUN = re.compile(rb"(?:0|[1-9][0-9]{0,5})\Z")
_ESCAPE = re.compile(rb"[^!-$&-~]")  # blanks, "%", controls, 8-bit octets
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")


class ProtocolError(MailAuthError):
    """What came is no request; the only answer is to close the connection."""


class Status(StrEnum):
    """What a lookup comes to."""

    FOUND = "found"
    NOT_FOUND = "not-found"
    TEMPORARY_ERROR = "temporary-error"


class Lookup(NamedTuple):
    """A request: the name of the map ("" in tcp_table, which has none) and the key."""

    map: str
    key: str


class Codec(Protocol):
    """A protocol of lookups, for one connection."""

    @property
    def idle(self) -> bool:
        """Whether no request has begun."""

    def feed(self, data: bytes) -> Iterator[Lookup]:
        """The requests that these octets complete: go through all of them. Raises `ProtocolError`."""

    def reply(self, status: Status, text: str) -> bytes:
        """The reply: the value that was found, or words."""


class SocketmapCodec:
    """socketmap_table(5)."""

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def idle(self) -> bool:
        """Whether no request has begun."""
        return not self._buffer

    def feed(self, data: bytes) -> Iterator[Lookup]:
        """The requests that these octets complete, those before something wrong included."""
        buffer, place = self._buffer + data, 0
        while place < len(buffer):
            end = self._end(buffer, place)
            if end is None:
                break
            text = buffer[buffer.index(b":", place) + 1 : end].decode("utf-8", "surrogateescape")
            name, blank, key = text.partition(" ")
            if not blank:
                raise ProtocolError("a request without a key")
            place = end + 1
            yield Lookup(name, key)
        self._buffer = buffer[place:]

    def _end(self, buffer: bytes, place: int) -> int | None:
        """Where the comma of the netstring stands that begins there; None if it has not come yet."""
        length = _LENGTH.match(buffer, place)
        if length is None:
            if _BEGUN.match(buffer, place) is None:
                raise ProtocolError("no netstring")
            return None
        if int(length[1]) > MAX_KEY_OCTETS:
            raise ProtocolError(f"a request of more than {MAX_KEY_OCTETS} octets")
        end = length.end() + int(length[1])
        if end < len(buffer) and buffer[end] != 0x2C:
            raise ProtocolError("a netstring without its comma")
        return end if end < len(buffer) else None

    def reply(self, status: Status, text: str) -> bytes:
        """The reply as a netstring."""
        octets = f"{_SOCKETMAP[status]} {text}".encode("utf-8", "surrogateescape")
        return b"%d:%b," % (len(octets), octets)


_SOCKETMAP = {Status.FOUND: "OK", Status.NOT_FOUND: "NOTFOUND", Status.TEMPORARY_ERROR: "TEMP"}


class TcpTableCodec:
    """tcp_table(5); such a server is one map."""

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def idle(self) -> bool:
        """Whether no request has begun."""
        return not self._buffer

    def feed(self, data: bytes) -> Iterator[Lookup]:
        """The requests that these octets complete, those before something wrong included."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            command, blank, key = line.rstrip(b"\r").partition(b" ")
            if command.lower() != b"get" or not blank or len(line) > MAX_KEY_OCTETS:
                raise ProtocolError("only get, with a key, is known")
            unescaped = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), key)
            yield Lookup("", unescaped.decode("utf-8", "surrogateescape"))
        if len(self._buffer) > MAX_KEY_OCTETS:
            raise ProtocolError(f"a request of more than {MAX_KEY_OCTETS} octets")

    def reply(self, status: Status, text: str) -> bytes:
        """The reply as a line."""
        octets = text.encode("utf-8", "surrogateescape")
        if status is not Status.FOUND:
            octets = re.sub(rb"[^ -~]", b"?", octets)
            return b"%d %b\n" % (_TCP_TABLE[status], octets.replace(b"%", b"%25"))
        return b"200 %b\n" % _ESCAPE.sub(lambda found: b"%%%02X" % found[0][0], octets)


_TCP_TABLE = {Status.NOT_FOUND: 500, Status.TEMPORARY_ERROR: 400}
