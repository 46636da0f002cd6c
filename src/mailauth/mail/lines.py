"""Line ends of messages, and reading a message in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

if TYPE_CHECKING:
    from mmap import mmap

BLOCK_OCTETS = 64 * 1024
"""How much is read from a stream at a time."""

MessageSource: TypeAlias = "bytes | bytearray | memoryview | mmap | BinaryIO"
"""How a message may be given: its octets, or a binary file, which is read in blocks."""


class LineEnd(StrEnum):
    """What ends the lines of a message: the first line decides (docs/conformance.md, "Messages")."""

    CRLF = "crlf"
    LF = "lf"


def message_source(message: MessageSource) -> bytes | BinaryIO:
    """The message as bytes, or the binary file that it was given as.

    Raises `TypeError` for anything else, text and message objects included: what was sent is octets.
    """
    if isinstance(message, bytes):
        return message
    try:
        return bytes(memoryview(message))  # type: ignore[arg-type]
    except TypeError:
        pass
    if callable(getattr(message, "read", None)):
        return message  # type: ignore[return-value]
    raise TypeError(
        f"a message is bytes or a binary file, not {type(message).__name__}; "
        "of an EmailMessage, message.as_bytes(policy=email.policy.SMTP)"
    )


def blocks(message: MessageSource, block_octets: int = BLOCK_OCTETS) -> Iterator[bytes]:
    """The octets of a message, whole or a block of the file at a time.

    Raises `TypeError` for what is neither octets nor a binary file, and whatever the file's ``read`` raises.
    """
    message = message_source(message)
    if isinstance(message, bytes):
        yield message
        return
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
