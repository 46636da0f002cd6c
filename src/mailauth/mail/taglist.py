"""Tag=value lists (RFC 6376 section 3.2).

The tag=value lists of RFC 6376 section 3.2, which DKIM signatures and key records are written in. Syntax only; what a
tag means is its reader's business.
"""

#   tag-list  =  tag-spec *( ";" tag-spec ) [ ";" ]
#   tag-spec  =  [FWS] tag-name [FWS] "=" [FWS] tag-value [FWS]
#   tag-name  =  ALPHA *ALNUMPUNC                           ; ALNUMPUNC = ALPHA / DIGIT / "_"
#   tag-value =  [ tval *( 1*(WSP / FWS) tval ) ]           ; no blanks at the beginning and at the end
#   tval      =  1*VALCHAR                                  ; printable ASCII except ";"; UTF-8 by RFC 8616
#   FWS       =  [*WSP CRLF] 1*WSP                          ; unfolded before parsing: only WSP is left
#
# SECURITY: lists come from messages and from the DNS. The tags are counted before anything is allocated for them,
# and every step is linear in the length of the list.

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

MAX_TAGS = 64
"""Tags in one list. RFC 6376 knows 14 for a signature; real ones have at most about 20."""

_WSP = b" \t"
# Printable ASCII, blanks and 8-bit octets: what is left over is a control character, or a CR or LF out of place.
_ALLOWED = bytes([*range(0x20, 0x7F), 0x09, *range(0x80, 0x100)])
# One tag-spec where one may begin; a list is right if there are as many of these as there are places. Only the search
# for a value's last octet steps back, over the blanks behind it.
_TAG_SPEC = re.compile(rb"(?:\A|;)[ \t]*+([A-Za-z][A-Za-z0-9_]*+)[ \t]*+=[ \t]*+([^;]*[^; \t])?+")
_EMPTY_SPECS = re.compile(rb"\A(?:[ \t]*+;)++|;[ \t]*+(?=;|\Z)")


class Problem(StrEnum):
    """Why something is no tag list."""

    SYNTAX = "syntax"
    DUPLICATE = "duplicate"


class BadTagList(NamedTuple):
    """The whole list is invalid."""

    problem: Problem
    detail: str


def parse(text: bytes, *, allow_empty: bool = False) -> dict[bytes, bytes] | BadTagList:
    """The values of a list by their tags' names (which are case-sensitive), in the order of the list.

    `text` is unfolded; values come without the blanks around them. `allow_empty` lets empty tag-specs pass
    (``a=1;;b=2``). A duplicate makes the whole list invalid (RFC 6376 section 3.2).
    """
    semicolons = text.count(b";")
    if semicolons > MAX_TAGS:
        return BadTagList(Problem.SYNTAX, f"more than {MAX_TAGS} tags")
    if text.translate(None, _ALLOWED):
        return BadTagList(Problem.SYNTAX, "a control character")
    if allow_empty:
        text = _EMPTY_SPECS.sub(b"", text)
        semicolons = text.count(b";")
    pairs = _TAG_SPEC.findall(text)
    tags = dict(pairs)
    # The last specification may end in a semicolon.
    number = len(pairs)
    if number != semicolons + 1 and not (number == semicolons and text.rstrip(_WSP).endswith(b";")):
        return BadTagList(Problem.SYNTAX, f"no tag: {_first_bad(text)}")
    if len(tags) != number:
        names = [name.decode("ascii") for name, _ in pairs]
        return BadTagList(Problem.DUPLICATE, f"{next(n for n in names if names.count(n) > 1)}= stands there twice")
    return tags


def _first_bad(text: bytes) -> str:
    """A few octets of the first invalid specification, for people."""
    for spec in text.split(b";"):
        if _TAG_SPEC.match(spec) is None:
            return ascii(spec.strip(_WSP)[:30].decode("utf-8", "replace"))
    return "''"


def without_blanks(value: bytes) -> bytes:
    """A value whose blanks do not count, such as base64 (RFC 6376 section 2.10)."""
    return value.translate(None, _WSP)


def items(value: bytes, limit: int) -> list[bytes] | None:
    """The parts of a colon-separated list, blanks around them taken off; None if there are more than `limit`.

    The parts are counted before anything is allocated for them.
    """
    if value.count(b":") >= limit:
        return None
    return [part.strip(_WSP) for part in value.split(b":")]
