"""Line ends of messages, and reading a message in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import BinaryIO

BLOCK_OCTETS = 64 * 1024
"""How much is read from a stream at a time."""


class LineEnd(StrEnum):
    """What ends the lines of a message: the first line decides (docs/conformance.md, "Messages")."""

    CRLF = "crlf"
    LF = "lf"


def blocks(message: bytes | BinaryIO, block_octets: int = BLOCK_OCTETS) -> Iterator[bytes]:
    """The octets of a message, whole or a block of the stream at a time.

    Raises `TypeError` for what is neither bytes nor a binary stream, and whatever the stream's ``read`` raises.
    """
    if isinstance(message, bytes):
        yield message
        return
    if not hasattr(message, "read"):
        raise TypeError(f"a message is bytes or a binary file, not {type(message).__name__}")
    while block := message.read(block_octets):
        if not isinstance(block, bytes):
            raise TypeError("the message file must be opened in binary mode")
        yield block


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
