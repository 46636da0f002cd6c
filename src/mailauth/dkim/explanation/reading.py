"""Reading a DKIM-Signature field, and one that a gateway has written anew."""

from __future__ import annotations

from typing import Any, NamedTuple

from mailauth.dkim.explanation.words import decoded, value_of
from mailauth.dkim.signature import Refusal, SignatureField, parse
from mailauth.mail.header import Header
from mailauth.mail.lines import LineEnd


class ReadField(NamedTuple):
    """A DKIM-Signature field that can be read, or could before a gateway made encoded words of it."""

    field: SignatureField
    names: tuple[str, ...]  # h=, lower case
    rewritten: bool = False


def read_field(raw: bytes, header: Header) -> ReadField | None:
    """The field, as it is or as it was; None if it cannot be read."""
    details: dict[str, Any] = {}
    try:
        return ReadField(parse(raw, header.line_end, details), details["signed_fields"])
    except Refusal:
        text = decoded(value_of(raw))
    if text is None:
        return None
    # RFC 2047 section 5: no place for encoded words, but some programs put them into every long field.
    whole = raw.partition(b":")[0] + b": " + text.encode() + b"\r\n"
    try:
        return ReadField(parse(whole, LineEnd.CRLF, details), details["signed_fields"], rewritten=True)
    except Refusal:
        return None
