"""SMTP reply lines.

Replies as lines that may go out.
"""

# SECURITY: texts of refusals show what the peer said, or what a list or a domain says of it. Whatever they hold, one
# line of printable characters leaves here, and of the length that SMTP allows.

from __future__ import annotations

from mailauth.mail.reply import Reply
from mailauth.mail.text import printable

MAX_REPLY_OCTETS = 510
"""RFC 5321 section 4.5.3.1.5: 512 octets with the CRLF."""


def reply_line(reply: Reply | str, *, utf8: bool = False) -> bytes:
    """One reply line without its CRLF. UTF-8 only where the client asked for it (RFC 6531 section 3.7.4.1)."""
    text = printable(str(reply), ascii_only=not utf8)
    octets = text.encode("utf-8", "replace")
    if len(octets) <= MAX_REPLY_OCTETS:
        return octets
    return octets[: MAX_REPLY_OCTETS - 3].decode("utf-8", "ignore").encode("utf-8") + b"..."
