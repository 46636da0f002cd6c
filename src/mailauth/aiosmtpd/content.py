"""`ContentReader`: dot-unstuffing with a bound.

The content of a message between the reply to DATA and the lone dot, as octets in pieces. No sockets.
"""

# RFC 5321 section 4.5.2: a line that begins with a dot has it taken off; a line of a dot alone is the end. Lines end in
# CRLF and in nothing else (section 2.3.8): "LF . LF" and its like are content, since another reader would take what
# follows them for commands of a second message.
#
# SECURITY: the peer sends what it likes for as long as it likes. Over the limit nothing is kept but the last few octets
# that may belong to the end; work is linear for every way to cut the octets into pieces.

from __future__ import annotations

_END = b"\r\n.\r\n"
_DOT = b"\r\n."
_LINE_END = b"\r\n"


class ContentReader:
    """Takes the octets after the reply to DATA, in pieces.

    `feed` returns None until the end has come, then what was sent behind it. `limit` is in octets of the message, dots
    that were stuffed in not counted (RFC 1870 section 5); None for no limit.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._kept = bytearray()
        # The first line stands behind a line end, as every other. It is taken off again in `content`.
        self._undecided = _LINE_END
        self.octets = -len(_LINE_END)
        """The octets of the message so far, those included that were not kept."""

    @property
    def too_large(self) -> bool:
        """Whether the message is over the limit; its content is then gone."""
        return self._limit is not None and self.octets > self._limit

    @property
    def content(self) -> bytes:
        """The message, its last line end included."""
        return bytes(memoryview(self._kept)[len(_LINE_END) :])

    def feed(self, octets: bytes) -> bytes | None:
        """Take the next octets."""
        octets = self._undecided + octets
        end = octets.find(_END)
        if end >= 0:
            self._keep(octets[:end] + _LINE_END)
            self._undecided = b""
            return octets[end + len(_END) :]
        # What may be the beginning of the end waits for the next piece.
        waits = next(size for size in range(len(_END) - 1, -1, -1) if octets.endswith(_END[:size]))
        decided = len(octets) - waits
        self._keep(octets[:decided])
        self._undecided = octets[decided:]
        return None

    def _keep(self, octets: bytes) -> None:
        octets = octets.replace(_DOT, _LINE_END)
        self.octets += len(octets)
        if self.too_large:
            self._kept = bytearray()
        else:
            self._kept += octets


def bare_line_end(content: bytes) -> str | None:
    """``"CR"`` or ``"LF"`` where one stands alone, which RFC 5321 section 2.3.8 forbids; else None."""
    pairs = content.count(_LINE_END)
    if content.count(b"\n") != pairs:
        return "LF"
    return "CR" if content.count(b"\r") != pairs else None
