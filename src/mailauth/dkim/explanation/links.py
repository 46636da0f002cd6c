"""Links that a gateway leads through itself, led back to where they went."""

# SECURITY: the body comes from the peer. Links are bounded in length and number, and taken apart without an expression
# that backtracks.

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from mailauth.dkim.explanation.mime import Part, Structure, base64_lines, decoded, quoted_printable
from mailauth.dkim.explanation.result import AlterationCode as Code
from mailauth.dkim.explanation.undo import Undone

MAX_LINKS = 500
MAX_PART = 256 * 1024

_LINK = re.compile(rb"https?://[^\s\"'<>]{10,4000}+")
_TARGET = re.compile(rb"https?(?:://|%3a%2f%2f)", re.IGNORECASE)
_DASHED = re.compile(rb"https?-3A__")  # "-" for "%", "_" for "/"
_IN_THE_PATH = b"/__http"  # up to "__;"


def target_of(link: bytes) -> bytes | None:
    """Where a link leads in the end, if it names that itself."""
    at = link.find(_IN_THE_PATH)
    if at >= 0:
        target = link[at + 3 : max(link.find(b"__;", at), 0)]
        # "*" stands for a character that is gone.
        return target if target and b"*" not in target else None
    for parameter in link.partition(b"?")[2].replace(b"&amp;", b"&").split(b"&")[:40]:
        value = parameter.partition(b"=")[2]
        if _DASHED.match(value):
            return unquote_to_bytes(value.replace(b"-", b"%").replace(b"_", b"/"))
        if _TARGET.match(value):
            return unquote_to_bytes(value)
    return None


def _led_back(text: bytes, *, escape: bool) -> tuple[bytes, bytes, bytes, int]:
    """The text, the first link as it came and as it was, and how many there are."""
    came = was = b""
    count = 0

    def back(match: re.Match[bytes]) -> bytes:
        nonlocal came, was, count
        target = target_of(match[0]) if count < MAX_LINKS else None
        if target is None:
            return match[0]
        count += 1
        if escape:
            target = target.replace(b"&", b"&amp;")
        came, was = came or match[0], was or target
        return target

    return _LINK.sub(back, text), came, was, count


def rewritten_links(body: bytes, found: Structure) -> Iterator[Undone]:
    """All links of all text parts, with "&" as HTML writes it and as it is."""
    texts = [part for part in found.leaves if part.content_type.startswith("text/") and part.end > part.body]
    for escape in (True, False):
        for form in ((76, b""), (78, b"")):
            pieces, done, number, at, links = [], 0, 0, -1, (b"", b"")
            for part in texts:
                raw = body[part.body : part.end]
                if len(raw) > MAX_PART:
                    continue
                text, came, was, count = _led_back(
                    decoded(part, raw), escape=escape and part.content_type == "text/html"
                )
                if count:
                    pieces += [body[done : part.body], _written(part, raw, text, form)]
                    done = part.end
                    if at < 0:
                        at, links = part.body + max(raw.find(came), 0), (came, was)
                    number += count
            if number:
                words = "a link was" if number == 1 else f"{number} links were"
                whole = b"".join([*pieces, body[done:]])
                yield Undone(whole, Code.LINKS_REWRITTEN, f"{words} led through a gateway", at, *links, number=number)


def _written(part: Part, raw: bytes, text: bytes, form: tuple[int, bytes]) -> bytes:
    """The content in the encoding of the part."""
    if part.encoding == "base64":
        return base64_lines(text, len(raw.partition(b"\r\n")[0])) + (b"\r\n" if raw.endswith(b"\r\n") else b"")
    return quoted_printable(text, *form) if part.encoding == "quoted-printable" else text
