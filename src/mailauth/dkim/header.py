"""Header canonicalisation and selection (RFC 6376 sections 3.4.1, 3.4.2, 3.7 and 5.4.2).

Which header fields a signature covers, and the octets that are hashed for them.
"""

# SECURITY: fields and h= come from the peer. Fields are picked from an index, so a thousand names cost a thousand
# steps; canonicalisation is linear in the field.

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import groupby

from mailauth.mail.header import Header
from mailauth.mail.lines import LineEnd, to_crlf

Canonicalizer = Callable[[list[bytes]], bytes]
"""The octets of fields to the octets that are hashed for them, CRLF included."""

_LF = LineEnd.LF
_BLANKS = re.compile(rb"[ \t]++")


def canonicalizer(name: str, header: Header) -> Canonicalizer:
    """The function for "simple" or "relaxed", fit for the line ends of this header."""
    if name == "simple":
        if header.line_end is _LF:
            return _simple_lf
        return _joined if header.separator else _simple
    return _relaxed if _plain(header) else (_relaxed_lf if header.line_end is _LF else _relaxed_odd)


def _plain(header: Header) -> bool:
    """Whether every white space octet is a blank or part of a line end, so that `bytes.split` sees what DKIM sees.

    It also splits at VT and FF, which are no WSP (RFC 5234 appendix B.1), and at bare CR and bare LF.
    """
    raw = header.raw
    if 0x0B in raw or 0x0C in raw:
        return False
    crlf = raw.count(b"\r\n")
    return raw.count(b"\r") == crlf and (header.line_end is _LF or raw.count(b"\n") == crlf)


def _joined(fields: list[bytes]) -> bytes:
    # An empty line ended the header, so all fields end in CRLF but the signature itself, which comes last.
    octets = b"".join(fields)
    return octets if octets.endswith(b"\r\n") else octets + b"\r\n"


def _simple(fields: list[bytes]) -> bytes:
    # RFC 6376 section 3.4.1; section 3.7: each field ends in a single CRLF, also where the input ended before.
    return b"".join([raw if raw.endswith(b"\r\n") else raw + b"\r\n" for raw in fields])


def _simple_lf(fields: list[bytes]) -> bytes:
    return _simple([to_crlf(raw) for raw in fields])


def _relaxed(fields: list[bytes]) -> bytes:
    # RFC 6376 section 3.4.2, all its steps at once.
    parts = [raw.partition(b":") for raw in fields]
    return b"".join([name.rstrip().lower() + b":" + b" ".join(value.split()) + b"\r\n" for name, _, value in parts])


def _relaxed_odd(fields: list[bytes]) -> bytes:
    """The same where CR, LF, VT or FF are data."""
    parts = [raw.partition(b":") for raw in fields]
    unfolded = [(name.rstrip(b" \t").lower(), value.replace(b"\r\n", b"")) for name, _, value in parts]
    return b"".join([b"%b:%b\r\n" % (name, _BLANKS.sub(b" ", value).strip(b" ")) for name, value in unfolded])


def _relaxed_lf(fields: list[bytes]) -> bytes:
    """The same for LF messages: every LF, with the CR before it, is the line end of a fold."""
    return _relaxed_odd([to_crlf(raw) for raw in fields])


Places = tuple[tuple[str, slice], ...]
"""Names of h=, each with what to take of its fields. One that is repeated at once stands here once."""


def places(names: Sequence[str]) -> Places:
    """What `select` needs to know of h= (lower case)."""
    count: dict[str, int] = {}
    found = []
    for name, repeated in groupby(names):
        taken = count.get(name, 0)
        count[name] = taken + len(list(repeated))
        # From the bottom upwards (RFC 6376 section 5.4.2), behind those that were taken before.
        found.append((name, slice(-1 - taken, -1 - count[name], -1)))
    return tuple(found)


def select(wanted: Places, header: Header, without: bytes | None) -> list[bytes]:
    """The octets of the fields that h= stands for, in its order.

    Each name takes the lowest field of that name which no earlier one took (RFC 6376 section 5.4.2); names without a
    field left stand for nothing (section 5.4). The signature itself is never among them (section 3.5, h=): `without` is
    that very object, where h= has the name at all.
    """
    by_name = header.octets_by_name
    if without is not None:
        others = [raw for raw in by_name["dkim-signature"] if raw is not without]
        by_name = {**by_name, "dkim-signature": others}
    fields: list[bytes] = []
    for name, which in wanted:
        if name in by_name:
            fields += by_name[name][which]
    return fields
