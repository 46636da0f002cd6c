"""Text that came from a peer, made fit to be shown: in a log line, a report, an SMTP reply."""

# SECURITY: what is shown cannot end a line, move a cursor or grow without bound, whatever a peer sent.

from __future__ import annotations


def printable(text: str, limit: int | None = None, *, ascii_only: bool = False) -> str:
    """The text with "?" for each character that cannot be printed; longer than `limit` characters, it is cut.

    `ascii_only`: characters outside of US-ASCII cannot be printed either.
    """
    if limit is not None:
        text = text[:limit]
    if text.isprintable() and (text.isascii() or not ascii_only):
        return text
    return "".join(char if char.isprintable() and (char.isascii() or not ascii_only) else "?" for char in text)
