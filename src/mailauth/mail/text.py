"""Text that came from a peer: read, and made fit to be shown in a log line, a report, an SMTP reply."""

# SECURITY: what is shown cannot end a line, move a cursor or grow without bound, whatever a peer sent.

from __future__ import annotations

import codecs

# Python's notation of strings, which is known to it by such a name, too; reading it may warn.
_NO_CHARACTER_SETS = frozenset({"unicode-escape", "unicode_escape", "raw-unicode-escape", "raw_unicode_escape"})


def printable(text: str, limit: int | None = None, *, ascii_only: bool = False) -> str:
    """The text with "?" for each character that cannot be printed; longer than `limit` characters, it is cut.

    `ascii_only`: characters outside of US-ASCII cannot be printed either.
    """
    if limit is not None:
        text = text[:limit]
    if text.isprintable() and (text.isascii() or not ascii_only):
        return text
    return "".join(char if char.isprintable() and (char.isascii() or not ascii_only) else "?" for char in text)


def in_charset(octets: bytes, charset: str, errors: str = "strict") -> str:
    """The text of octets in a character set of MIME (RFC 2047 section 2), as an encoded word names it.

    Raises `LookupError` for one that is not known, `ValueError` for octets that it does not have, unless `errors` says
    "replace".
    """
    if codecs.lookup(charset).name in _NO_CHARACTER_SETS:
        raise LookupError(charset)
    return octets.decode(charset, errors)
