"""The one author that From names, or why there is none: stricter than DMARC, which counts domains only."""

# SECURITY: From is the peer's. What a reader shows as the author must be what was checked: so a second From that only
# lax readers see counts, and so does an address in the display name, encoded or not.

from __future__ import annotations

import re
from typing import NamedTuple

from mailauth.mail.author import Author, AuthorReason, read_author
from mailauth.mail.header import Header
from mailauth.mail.names import to_ascii
from mailauth.mail.text import in_charset
from mailauth.trust.verdict import AuthorVerdict, Reason

# A From field as the laxest reader sees it: behind anything that some take for a line end, NUL dropped.
_LAX_FROM = re.compile(
    rb"(?:\A|[\r\n\x0b\x0c\x1c-\x1e]|\xc2\x85|\xe2\x80[\xa8\xa9])\0*+f\0*+r\0*+o\0*+m[\0 \t]*+:", re.IGNORECASE
)
# What a person takes for an address; the second and third sign are the full-width and the small commercial at.
_WORD = "[^\\s@\uff20\ufe6b<>()\"',;:]"
_SHOWN_ADDRESS = re.compile(f"(?<!{_WORD}){_WORD}++\\s*+[@\uff20\ufe6b]\\s*+({_WORD}*?[.\u3002\uff0e\uff61]{_WORD}++)")
# Unicode's annex 9: they show text in another order than it is written.
_DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
# RFC 5322 section 3.4.1, RFC 6532 section 3.2; dots may stand anywhere but in front, as they do in some mailboxes.
_LOCAL_PART = re.compile(r'(?:(?!\.)[^\s()<>\[\]:;@\\,"]++|"[^"\\]*+")\Z')
_MAX_NAME_OCTETS = 4096
"""A display name that is longer is not looked through; nobody has such a name."""


class Writer(NamedTuple):
    """The author: address and domain as A-labels."""

    address: str
    domain: str


def _writer_of(author: Author) -> Writer | AuthorVerdict:
    """The author, or the verdict where From names none, or more than one address."""
    if author.domain is None:
        return AuthorVerdict(Reason(author.reason.value), author.detail)
    if author.reason is AuthorReason.ONE_DOMAIN:
        return AuthorVerdict(Reason.SEVERAL_ADDRESSES, "From holds several addresses", domain=author.domain)
    if author.address is None:
        return AuthorVerdict(Reason.UNREADABLE_FROM, "the address in From is not UTF-8")
    if not author.address.isprintable():
        return AuthorVerdict(Reason.UNREADABLE_FROM, "the address in From holds characters that nobody sees")
    if author.address.count("@") > 1 or "=?" in author.address:
        # RFC 2047 section 5 forbids encoded words there, and there are readers that decode them.
        return AuthorVerdict(Reason.UNREADABLE_FROM, "the local part in From holds another @, or an encoded word")
    if _LOCAL_PART.match(author.address.rpartition("@")[0]) is None:
        return AuthorVerdict(Reason.UNREADABLE_FROM, "the local part in From is neither plain nor quoted as a whole")
    return Writer(author.address, author.domain)


def read_writer(header: Header, *, allow_address_in_name: bool = False) -> Writer | AuthorVerdict:
    """The author, or the verdict where the header names none without doubt."""
    if header.no_empty_line:
        return AuthorVerdict(Reason.NO_EMPTY_LINE, "no empty line stands between header and body")
    writer = _writer_of(read_author(header))
    if isinstance(writer, AuthorVerdict):
        return writer
    if len(_LAX_FROM.findall(header.raw)) > 1:
        return AuthorVerdict(Reason.SEVERAL_FROM, "some readers see another From behind an odd line end")
    shown = None if allow_address_in_name else _address_in_name(header.from_fields[0].unfolded, writer.domain)
    if shown is not None:
        detail = f"the name in From shows {shown}, and the author is {writer.address}"
        return AuthorVerdict(Reason.ADDRESS_IN_NAME, detail, writer.address, writer.domain)
    return writer


def _address_in_name(value: bytes, domain: str) -> str | None:
    """What a person would take for an address of another domain, in the words beside the address; None without any."""
    name = value[: value.rfind(b"<")] + value[value.rfind(b">") + 1 :] if b"<" in value else b""
    name += b" " + b" ".join(re.findall(rb"\(([^()]*+)\)", value)) if b"(" in value else b""
    if len(name) > _MAX_NAME_OCTETS:
        return "a very long text"
    # RFC 2047 section 6.2: encoded words are decoded for people; some software does it within quotes, too.
    text = name.decode("utf-8", "replace")
    if "=?" in text:
        from email.errors import HeaderParseError  # 4 ms, and few names need it
        from email.header import decode_header

        try:
            pieces = decode_header(text.replace('"', " "))
            text += " " + "".join(
                piece if isinstance(piece, str) else in_charset(piece, charset or "ascii", "replace")
                for piece, charset in pieces
            )
        except (HeaderParseError, LookupError, ValueError):
            return "something that cannot be decoded"
    if _DIRECTION.search(text):
        return "text in an order of its own"
    for found in _SHOWN_ADDRESS.finditer(text.replace("\\", "")):
        if to_ascii(found[1].strip(".")) != domain:
            return ascii(found[0][:80])
    return None
