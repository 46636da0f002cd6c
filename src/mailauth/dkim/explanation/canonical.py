"""The octets that are hashed for each signature of a message, made visible."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from mailauth.dkim.body import RelaxedBody, SimpleBody
from mailauth.dkim.header import canonicalizer, select
from mailauth.dkim.signature import Refusal, parse
from mailauth.mail.header import split
from mailauth.mail.lines import LineEnd, MessageSource, blocks, to_crlf

BLANK, TAB, LINE_END = "\N{MIDDLE DOT}", "\N{RIGHTWARDS ARROW}", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"
_MARKS = {BLANK, TAB, LINE_END}


def visible(octets: bytes) -> str:
    """Octets as text in which each can be seen: a middle dot is a blank, an arrow a tab, a corner CR LF.

    Whatever is neither printable nor UTF-8, and a character that serves as a mark here, is written as \\x and two
    hexadecimal digits for each octet; a backslash is doubled. A line ends where a CR LF does.
    """
    lines = [octet_line.decode("utf-8", "surrogateescape") for octet_line in octets.split(b"\r\n")]
    return (LINE_END + "\n").join("".join(map(_visible_character, line)) for line in lines)


def _visible_character(char: str) -> str:
    if char == " ":
        return BLANK
    if char == "\t":
        return TAB
    if char == "\\":
        return "\\\\"
    if char.isprintable() and char not in _MARKS:
        return char
    return "".join(f"\\x{octet:02x}" for octet in char.encode("utf-8", "surrogateescape"))


def canonical_body(body: bytes, how: str) -> bytes:
    """RFC 6376 sections 3.4.3 and 3.4.4, whole; the body has CRLF line ends."""
    pieces: list[bytes | memoryview] = []
    canonicalizer = (RelaxedBody if how == "relaxed" else SimpleBody)(pieces.append)
    canonicalizer.feed(body)
    canonicalizer.close()
    return b"".join(pieces)


@dataclass(frozen=True, slots=True)
class CanonicalForm:
    """What is hashed for one signature: the octets, and both as text in which each octet can be seen.

    A middle dot is a blank, an arrow to the right a tab, a corner arrow CR LF; what is not printable stands there as
    ``\\x`` and two hexadecimal digits. The digests are base64: that of the body is what ``bh=`` should say.
    """

    index: int  # the place among the DKIM-Signature fields, from the top
    domain: str  # d= as A-label
    selector: str  # s= as A-label
    header_canonicalization: str  # "simple" | "relaxed"
    body_canonicalization: str  # the same
    header_octets: bytes  # the fields that h= names, then DKIM-Signature with an empty b= (RFC 6376 section 3.7)
    body_octets: bytes  # up to l=, if there is one
    signed_digest: str  # bh=

    @property
    def header(self) -> str:
        """The header's octets made visible."""
        return visible(self.header_octets)

    @property
    def body(self) -> str:
        """The body's octets made visible."""
        return visible(self.body_octets)

    @property
    def header_digest(self) -> str:
        """base64 of the digest that is signed."""
        return _digest(self.header_octets)

    @property
    def body_digest(self) -> str:
        """base64 of the digest that bh= is compared with."""
        return _digest(self.body_octets)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the octets as base64 and made visible."""
        return {
            "index": self.index,
            "domain": self.domain,
            "selector": self.selector,
            "header_canonicalization": self.header_canonicalization,
            "body_canonicalization": self.body_canonicalization,
            "header": self.header,
            "header_base64": b64encode(self.header_octets).decode("ascii"),
            "header_digest": self.header_digest,
            "body": self.body,
            "body_base64": b64encode(self.body_octets).decode("ascii"),
            "body_digest": self.body_digest,
            "signed_digest": self.signed_digest,
        }


def _digest(octets: bytes) -> str:
    return b64encode(hashlib.sha256(octets).digest()).decode("ascii")


def canonical_forms(message: MessageSource) -> list[CanonicalForm]:
    """What is hashed for each signature that can be read, top first (RFC 6376 section 3.7).

    The message is held in memory. Raises `TypeError` for another kind of message, and whatever reading raises.
    """
    whole = split(b"".join(blocks(message)))
    header, forms = whole.header, []
    body = to_crlf(whole.body) if header.line_end is LineEnd.LF else whole.body
    for index, raw in enumerate(header.octets_by_name.get("dkim-signature", ())):
        details: dict[str, Any] = {}
        try:
            parsed = parse(raw, header.line_end, details)
        except Refusal:
            continue
        terms = parsed.terms
        fields = select(terms.places, header, raw if "dkim-signature" in terms.signed_fields else None)
        fields.append(raw[: parsed.b_start] + raw[parsed.b_end : parsed.end])
        octets = canonical_body(body, terms.body_canonicalization)
        forms.append(
            CanonicalForm(
                index,
                terms.domain,
                details["selector"],
                terms.header_canonicalization,
                terms.body_canonicalization,
                canonicalizer(terms.header_canonicalization, header)(fields)[:-2],
                octets if parsed.body_length is None else octets[: parsed.body_length],
                b64encode(parsed.body_hash).decode("ascii"),
            )
        )
    return forms
