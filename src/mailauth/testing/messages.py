"""Messages for tests: plain ones, and signed ones."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate

from mailauth.dkim import MessageSigner, SigningKey
from mailauth.testing.clock import START


def make_message(
    author: str = "ann@example.org",
    to: str = "bob@example.net",
    subject: str = "Hello",
    body: str = "Hello, Bob.\r\n",
    fields: Iterable[tuple[str, str]] = (),
    *,
    now: float = START,
) -> bytes:
    """A message of CRLF lines with From, To, Subject, Date and Message-ID, and `fields` on top of them."""
    own = [
        *fields,
        ("From", author),
        ("To", to),
        ("Subject", subject),
        ("Date", formatdate(now)),
        ("Message-ID", f"<{int(now)}@{author.rpartition('@')[2].strip('>') or 'localhost'}>"),
    ]
    header = "".join(f"{name}: {value}\r\n" for name, value in own)
    return f"{header}\r\n{body}".encode("utf-8", "surrogateescape")


def sign_message(message: bytes, *keys: SigningKey, now: float = START) -> bytes:
    """The message with a DKIM-Signature of each key on top. Raises what `mailauth.dkim.sign` raises."""
    signer = MessageSigner(keys, now=now)
    signer.feed(message)
    return signer.finish() + message
