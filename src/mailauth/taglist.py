# What belongs here: the tag=value lists of RFC 6376 section 3.2, which DKIM signatures and key records are written
# in. Syntax only; what a tag means is its reader's business.
#
#   tag-list  =  tag-spec *( ";" tag-spec ) [ ";" ]
#   tag-spec  =  [FWS] tag-name [FWS] "=" [FWS] tag-value [FWS]
#   tag-name  =  ALPHA *ALNUMPUNC                           ; ALNUMPUNC = ALPHA / DIGIT / "_"
#   tag-value =  [ tval *( 1*(WSP / FWS) tval ) ]           ; no blanks at the beginning and at the end
#   tval      =  1*VALCHAR                                  ; printable ASCII except ";"; UTF-8 by RFC 8616
#   FWS       =  [*WSP CRLF] 1*WSP                          ; several folds in a row are taken as well
#
# SECURITY: lists come from messages and from the DNS. The tags are counted before anything is allocated for them,
# and every step is linear in the length of the list.
"""Tag=value lists (RFC 6376 section 3.2)."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

MAX_TAGS = 64
"""Tags in one list. RFC 6376 knows 14 for a signature; real ones have at most about 20."""

_FWS = b" \t\r\n"
_NAME = re.compile(rb"[A-Za-z][A-Za-z0-9_]*+\Z")
# Printable ASCII, blanks, line ends and 8-bit octets: what is left over is a control character.
_ALLOWED = bytes([*range(0x20, 0x7F), *b"\t\r\n", *range(0x80, 0x100)])
# CR and LF have a place only in folds. An LF message has LF alone.
_BARE = re.compile(rb"\r(?!\n)|\n(?![ \t])")


class Tag(NamedTuple):
    """One tag: its value without the blanks around it, and the place of value and blanks in the list."""

    value: bytes
    start: int
    end: int


class Problem(StrEnum):
    """Why something is no tag list."""

    SYNTAX = "syntax"
    DUPLICATE = "duplicate"


class BadTagList(NamedTuple):
    """The whole list is invalid."""

    problem: Problem
    detail: str


def parse(text: bytes, *, allow_empty: bool = False) -> dict[str, Tag] | BadTagList:
    """The tags of a list by their names (which are case-sensitive), in the order of the list.

    `text` may be folded; it ends without a line end. `allow_empty` lets empty tag-specs pass (``a=1;;b=2``).
    A duplicate makes the whole list invalid (RFC 6376 section 3.2).
    """
    if text.count(b";") > MAX_TAGS:
        return BadTagList(Problem.SYNTAX, f"more than {MAX_TAGS} tags")
    if text.translate(None, _ALLOWED):
        return BadTagList(Problem.SYNTAX, "a control character")
    if _BARE.search(text):
        return BadTagList(Problem.SYNTAX, "a bare CR or LF")
    specs = text.split(b";")
    if len(specs) > 1 and not specs[-1].strip(_FWS):
        specs.pop()
    return _collect(specs, allow_empty)


def _collect(specs: list[bytes], allow_empty: bool) -> dict[str, Tag] | BadTagList:
    tags: dict[str, Tag] = {}
    at = 0
    for spec in specs:
        end = at + len(spec)
        raw_name, equals, value = spec.partition(b"=")
        name = raw_name.strip(_FWS)
        if not equals or _NAME.match(name) is None:
            if not (allow_empty and not equals and not name):
                return BadTagList(Problem.SYNTAX, f"no tag: {_shown(spec)}")
        else:
            key = name.decode("ascii")
            if key in tags:
                return BadTagList(Problem.DUPLICATE, f"{key}= stands there twice")
            tags[key] = Tag(value.strip(_FWS), at + len(raw_name) + 1, end)
        at = end + 1
    return tags


def _shown(spec: bytes) -> str:
    """A few octets of what is wrong, for people."""
    return ascii(spec.strip(_FWS)[:30].decode("utf-8", "replace"))


def without_blanks(value: bytes) -> bytes:
    """A value whose blanks and folds do not count, such as base64 (RFC 6376 section 2.10)."""
    return value.translate(None, _FWS)


def items(value: bytes, limit: int) -> list[bytes] | None:
    """The parts of a colon-separated list, blanks around them taken off; None if there are more than `limit`.

    The parts are counted before anything is allocated for them.
    """
    if value.count(b":") >= limit:
        return None
    return [part.strip(_FWS) for part in value.split(b":")]
