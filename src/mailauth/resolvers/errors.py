"""What a zone in memory and the reader of its master file share: the error, and the TTL where none is given."""

from __future__ import annotations

from mailauth import MailAuthError

DEFAULT_TTL = 3600


class ZoneError(MailAuthError, ValueError):
    """A master file, a dict of records or a failure entry that cannot be understood; the text says where."""
