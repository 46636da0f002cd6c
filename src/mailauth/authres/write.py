"""A field as text: which form each value takes, and where lines are folded."""

# SECURITY: property values, reasons and comments are what a peer chose (addresses, HELO names, signature tags, texts
# from DNS). Whatever they hold, the field stays one field with the structure of the values given: text is cut
# (`MAX_VALUE_OCTETS`), what may not stand in a field is escaped, and the rest is quoted unless it is a plain token or
# an identity. Lines never exceed 998 octets, and 78 characters only where no legal place to fold is left.

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mailauth.authres.result import MethodResult, Property
from mailauth.authres.words import (
    CUT_MARK,
    IDENTITIES,
    IDENTITY,
    MAX_LINE_CHARACTERS,
    MAX_VALUE_OCTETS,
    TOKEN,
    UNSAFE,
)
from mailauth.mail.names import to_ascii

_RESULT_INDENT = "    "
_PROPERTY_INDENT = "        "

_PLAIN = re.compile(r"[\t\x20-\x7e]*")
_PLAIN_UTF8 = re.compile(rf"[^{UNSAFE}]*")
_WHITE_SPACE = re.compile(r"[ \t\r\n]+")
_SPECIAL_IN_COMMENT = re.compile(r"[()\\]")
# RFC 5322 section 2.2.3: a fold stands before white space; within quotes and comments that white space is kept.
_FOLDING_PLACE = re.compile(r"(?<=[^ \t])(?=[ \t])")


def write_lines(
    name: str, instance: int | None, authserv_id: str, results: Sequence[MethodResult], smtputf8: bool
) -> list[str]:
    """The lines of a field, its name included, without line ends."""
    # authres-payload = [CFWS] authserv-id [ CFWS authres-version ] ( no-result / 1*resinfo ) [CFWS] CRLF
    # The version is left out: its absence means version 1 (RFC 8601 section 2.2), and there is no other.
    # RFC 8617 section 4.1.1: arc-info = instance [CFWS] ";" authres-payload
    lines: list[str] = []
    first = [] if instance is None else [f"i={instance};"]
    first.append(_value(authserv_id) + ";")
    if not results:
        first.append("none")  # no-result
    _fill(lines, name + ":", first, empty=False)
    for number, result in enumerate(results, 1):
        units = _units(result, smtputf8)
        if number < len(results):
            units[-1] += ";"
        _fill(lines, _RESULT_INDENT, units, empty=True)
    return lines


def ascii_id(authserv_id: str) -> str | None:
    """The authserv-id for a message that is not internationalized; None if it has no such form."""
    return authserv_id if authserv_id.isascii() else to_ascii(authserv_id)


def _fill(lines: list[str], line: str, units: Iterable[str], *, empty: bool) -> None:
    """Add `line`, filled with words, and as many more lines as they take.

    A word that does not fit begins a new line, and is folded if it fits on none. `empty`: the line is but an indent.
    """
    for unit in units:
        if not empty:
            if len(line) + 1 + len(unit) <= MAX_LINE_CHARACTERS:
                line += " " + unit
                continue
            lines.append(line)
            line = _PROPERTY_INDENT
        if len(line) + len(unit) <= MAX_LINE_CHARACTERS:
            line += unit
        else:
            first, *pieces = _FOLDING_PLACE.split(unit)
            line += first
            for piece in pieces:
                if len(line) + len(piece) <= MAX_LINE_CHARACTERS:
                    line += piece
                else:
                    lines.append(line)
                    line = piece
        empty = False
    lines.append(line)


def _units(result: MethodResult, smtputf8: bool) -> list[str]:
    """The words of one resinfo: between any two of them a line may be folded."""
    version = "" if result.version == 1 else f"/{result.version}"
    units = [f"{result.method}{version}={result.result}"]
    if result.comment:
        _add_comment(units, result.comment, smtputf8)
    if result.reason is not None:
        units.append("reason=" + _value(_safe(result.reason, smtputf8)))
    for item in result.properties:
        units.append(f"{item.type}.{item.name}={_pvalue(item, smtputf8)}")
        if item.comment:
            _add_comment(units, item.comment, smtputf8)
    return units


def _add_comment(units: list[str], text: str, smtputf8: bool) -> None:
    """Add the comment, if there is one. White space in it says nothing: each run of it becomes one blank."""
    if text := _safe(_WHITE_SPACE.sub(" ", text).strip(" "), smtputf8):
        units.append("(" + _SPECIAL_IN_COMMENT.sub(r"\\\g<0>", text) + ")")


def _value(text: str) -> str:
    """value = token / quoted-string (RFC 2045 section 5.1)."""
    return text if TOKEN.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pvalue(item: Property, smtputf8: bool) -> str:
    """pvalue = value / [ [ local-part ] "@" ] domain-name; an identity must take the latter form."""
    text = item.value
    if TOKEN.fullmatch(text) and len(text) <= MAX_VALUE_OCTETS:
        return text
    if not smtputf8 and not text.isascii() and len(text) <= MAX_VALUE_OCTETS and (item.type, item.name) in IDENTITIES:
        # U-labels become A-labels, where the domain has them and the local part needs no UTF-8.
        local_part, at, domain = text.rpartition("@")
        name = to_ascii(domain) if local_part.isascii() else None
        text = text if name is None else local_part + at + name
    text = _safe(text, smtputf8)
    # A name without a dot is no domain.
    return text if TOKEN.fullmatch(text) or ("." in text and IDENTITY.fullmatch(text)) else _quoted(text)


def _safe(text: str, smtputf8: bool) -> str:
    """The text with what may not stand in the field escaped, cut to `MAX_VALUE_OCTETS`.

    Escaped are controls, line ends and, unless `smtputf8`, everything outside ASCII: as ``\\x{A}``, the form that RFC
    6533 section 3 gives to characters of addresses that ASCII lacks. The backslash keeps what is escaped from passing
    for a token or a domain.
    """
    if len(text) <= MAX_VALUE_OCTETS and _PLAIN.fullmatch(text):
        return text
    plain = _PLAIN_UTF8 if smtputf8 else _PLAIN
    pieces = [c if plain.fullmatch(c) else f"\\x{{{ord(c):X}}}" for c in text[: MAX_VALUE_OCTETS + 1]]
    sizes = [len(piece.encode("utf-8")) for piece in pieces]
    if sum(sizes) <= MAX_VALUE_OCTETS:
        return "".join(pieces)
    room, end = MAX_VALUE_OCTETS - len(CUT_MARK), 0
    while room >= sizes[end]:
        room -= sizes[end]
        end += 1
    return "".join(pieces[:end]) + CUT_MARK
