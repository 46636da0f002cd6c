"""Line ends of messages, and reading a message in blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from io import IncrementalNewlineDecoder
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

if TYPE_CHECKING:
    from mmap import mmap

BLOCK_OCTETS = 64 * 1024
"""How much is read from a stream at a time."""

MessageSource: TypeAlias = "bytes | bytearray | memoryview | mmap | BinaryIO"
"""How a message may be given: its octets, or a binary file, which is read in blocks."""


class LineEnd(StrEnum):
    """What ends the lines of a message: the first line decides (docs/conformance.md, "Messages")."""

    CRLF = "crlf"  # as SMTP sends it (RFC 5321 section 2.3.8)
    LF = "lf"  # as files have it; hashed with CRLF (RFC 6376 section 5.3)


def message_source(message: MessageSource) -> bytes | BinaryIO:
    """The message as bytes, or the binary stream that it was given as.

    Raises `TypeError` for anything else, text and message objects too: what is sent is octets, and only the caller can
    say which.
    """
    if isinstance(message, bytes):
        return message
    with suppress(TypeError):
        return bytes(memoryview(message))  # type: ignore[arg-type]
    if callable(getattr(message, "read", None)):
        return message  # type: ignore[return-value]
    raise TypeError(
        f"a message is bytes or a binary file, not {type(message).__name__}; the octets that are sent are those of"
        " message.as_bytes(policy=email.policy.SMTP), made once for signing and sending"
    )


def blocks(message: MessageSource, block_octets: int = BLOCK_OCTETS) -> Iterator[bytes]:
    """The octets of a message, whole or a block of the stream at a time.

    Raises `TypeError` as `message_source` does, and whatever the stream's ``read`` raises.
    """
    message = message_source(message)
    if isinstance(message, bytes):
        yield message
        return
    while block := message.read(block_octets):
        if not isinstance(block, bytes):
            raise TypeError("the message file must be opened in binary mode")
        yield block


class BareLineEnds:
    """Finds the first line end that the next hop may change: a bare CR, or a bare LF in a CRLF message.

    RFC 5321 section 2.3.8 forbids them, and RFC 6376 section 5.3 wants them gone before a message is signed.
    """

    def __init__(self) -> None:
        # The standard library's decoder notes, in C, which kinds of line ends it has seen.
        self._seen = IncrementalNewlineDecoder(None, translate=False)
        self._line_end: LineEnd | None = None
        self._lines = 0  # before the last piece
        self._last = b""  # the last piece, whose lines are counted when another one follows
        self._held = b""  # a CR whose LF may be in the next piece
        self.found: str | None = None  # in words, with its line; None for none so far

    def feed(self, data: bytes, *, last: bool = False) -> None:
        """The next piece."""
        if self._held:
            data, self._held = self._held + data, b""
        if not last and data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        if not data:
            return
        self._lines += self._last.count(b"\n")
        if self._line_end is None:
            at = data.find(b"\n")
            if at >= 0:
                self._line_end = LineEnd.CRLF if data[:at].endswith(b"\r") else LineEnd.LF
        self._seen.decode(data.decode("latin-1"), final=True)  # a CR at the end has no LF
        if self.found is None and self._seen.newlines not in _SOUND[self._line_end]:
            bare = _BARE_CR if self._line_end is LineEnd.LF else _BARE_CR_OR_LF
            place = bare.search(data)
            assert place is not None
            line = self._lines + data.count(b"\n", 0, place.start()) + 1
            self.found = f"a bare {_NAMES[place[0]]} in line {line}"
        self._last = data


_NAMES = {b"\r": "CR", b"\n": "LF"}
_BARE_CR, _BARE_CR_OR_LF = re.compile(rb"\r(?!\n)"), re.compile(rb"\r(?!\n)|(?<!\r)\n")
_SOUND: dict[LineEnd | None, tuple[object, ...]] = {
    None: (None,),
    LineEnd.CRLF: (None, "\r\n"),
    LineEnd.LF: (None, "\n", ("\n", "\r\n")),
}


def to_crlf(data: bytes) -> bytes:
    """Octets of an LF message with CRLF for each line end, as DKIM hashes them (RFC 6376 section 5.3)."""
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class CrlfConverter:
    """`to_crlf` for a message in pieces."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The next piece, converted."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        return to_crlf(data[:-1] if self._held else data)

    def close(self) -> bytes:
        """What was held back."""
        held, self._held = self._held, b""
        return held
