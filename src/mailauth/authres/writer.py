# What belongs here: a field as text. Which form each value takes, and where lines are folded.
#
# SECURITY: property values, reasons and comments are what a peer chose (addresses, HELO names, signature tags, texts
# from DNS). Whatever they hold, the field stays one field with the structure of the values given: text is cut
# (`MAX_VALUE_OCTETS`), what may not stand in a field is escaped, and the rest is quoted unless it is a plain token or
# an identity. Lines never exceed 998 octets, and 78 characters only where no legal place to fold is left.
"""Writing Authentication-Results fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mailauth.authres.grammar import (
    CUT_MARK,
    FIELD_NAME,
    IDENTITY,
    MAX_LINE_CHARACTERS,
    MAX_VALUE_OCTETS,
    TOKEN,
    UNSAFE,
)
from mailauth.authres.registry import IDENTITIES
from mailauth.mail.names import to_ascii

if TYPE_CHECKING:
    from mailauth.authres.model import AuthenticationResults, MethodResult, Property

_RESULT_INDENT = "    "
_PROPERTY_INDENT = "        "

_PLAIN = re.compile(r"[\t\x20-\x7e]*")
_PLAIN_UTF8 = re.compile(rf"[^{UNSAFE}]*")
_WHITE_SPACE = re.compile(r"[ \t\r\n]+")
# RFC 5322 section 2.2.3: a fold stands before white space; within quotes and comments that white space is kept.
_FOLDING_PLACE = re.compile(r"(?<=[^ \t])(?=[ \t])")


def write(results: AuthenticationResults, *, smtputf8: bool = False) -> str:
    """The whole field with CRLF line ends; ASCII unless `smtputf8`."""
    return "\r\n".join(_lines(results, smtputf8)) + "\r\n"


def write_value(results: AuthenticationResults, *, smtputf8: bool = False, line_end: str = "\r\n") -> str:
    """The field without its name, colon, blank and last line end."""
    return line_end.join(_lines(results, smtputf8)).removeprefix(FIELD_NAME + ":").removeprefix(" ")


def _lines(results: AuthenticationResults, smtputf8: bool) -> list[str]:
    # authres-payload = [CFWS] authserv-id [ CFWS authres-version ] ( no-result / 1*resinfo ) [CFWS] CRLF
    # The version is left out: its absence means version 1 (RFC 8601 section 2.2), and there is no other.
    lines = _Lines(FIELD_NAME + ":")
    lines.add(_authserv_id(results.authserv_id, smtputf8) + ";")
    if not results.results:
        lines.add("none")  # no-result
    for number, result in enumerate(results.results, 1):
        lines.begin(_RESULT_INDENT)
        *units, last = _units(result, smtputf8)
        for unit in units:
            lines.add(unit)
        lines.add(last if number == len(results.results) else last + ";")
    return lines.lines


def _units(result: MethodResult, smtputf8: bool) -> Iterator[str]:
    """The words of one resinfo: between any two of them a line may be folded."""
    version = "" if result.version == 1 else f"/{result.version}"
    yield f"{result.method}{version}={result.result}"
    yield from _comment(result.comment, smtputf8)
    if result.reason is not None:
        yield "reason=" + _value(_safe(result.reason, smtputf8))
    for item in result.properties:
        yield f"{item.type}.{item.name}={_pvalue(item, smtputf8)}"
        yield from _comment(item.comment, smtputf8)


def _authserv_id(text: str, smtputf8: bool) -> str:
    if not smtputf8 and not text.isascii():
        name = to_ascii(text)
        if name is None:
            raise ValueError(f"the authserv-id {text[:60]!r} has no ASCII form; it needs an internationalized message")
        text = name
    return _value(text)


def _value(text: str) -> str:
    """value = token / quoted-string (RFC 2045 section 5.1)."""
    return text if TOKEN.fullmatch(text) else _quoted(text)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pvalue(item: Property, smtputf8: bool) -> str:
    """pvalue = value / [ [ local-part ] "@" ] domain-name; an identity must take the latter form."""
    text = item.value
    if not smtputf8 and not text.isascii() and (item.type, item.name) in IDENTITIES:
        text = _ascii_identity(text)
    text = _safe(text, smtputf8)
    return text if TOKEN.fullmatch(text) or IDENTITY.fullmatch(text) else _quoted(text)


def _ascii_identity(text: str) -> str:
    """U-labels of a domain or address as A-labels, if it has them and the local part needs no UTF-8."""
    local_part, at, domain = text[: MAX_VALUE_OCTETS + 1].rpartition("@")
    name = to_ascii(domain) if local_part.isascii() and len(text) <= MAX_VALUE_OCTETS else None
    return text if name is None else local_part + at + name


def _comment(text: str, smtputf8: bool) -> Iterator[str]:
    """A comment, if there is one. White space in it says nothing: each run of it becomes one blank."""
    text = _safe(_WHITE_SPACE.sub(" ", text).strip(" "), smtputf8)
    if text:
        yield "(" + re.sub(r"([()\\])", r"\\\1", text) + ")"


def _safe(text: str, smtputf8: bool) -> str:
    """The text with what may not stand in the field escaped, cut to `MAX_VALUE_OCTETS`.

    Escaped are controls, line ends and, unless `smtputf8`, everything outside ASCII: as ``\\x{A}``, the form that RFC
    6533 section 3 gives to characters of addresses that ASCII lacks. The backslash keeps what is escaped from passing
    for a token or a domain.
    """
    plain = _PLAIN_UTF8 if smtputf8 else _PLAIN
    if len(text) <= MAX_VALUE_OCTETS and text.isascii() and _PLAIN.fullmatch(text):
        return text
    pieces = [c if plain.fullmatch(c) else f"\\x{{{ord(c):X}}}" for c in text[: MAX_VALUE_OCTETS + 1]]
    sizes = [len(piece.encode("utf-8")) for piece in pieces]
    if sum(sizes) <= MAX_VALUE_OCTETS:
        return "".join(pieces)
    room, end = MAX_VALUE_OCTETS - len(CUT_MARK), 0
    while room >= sizes[end]:
        room -= sizes[end]
        end += 1
    return "".join(pieces[:end]) + CUT_MARK


class _Lines:
    """Lines that are filled word by word."""

    def __init__(self, first: str) -> None:
        self.lines = [first]
        self._open = False  # nothing but the indent stands on the last line

    def begin(self, indent: str) -> None:
        """Begin a new line."""
        self.lines.append(indent)
        self._open = True

    def add(self, unit: str) -> None:
        """Put a word behind the others; on a new line if it does not fit, folded if it fits on none."""
        if not self._open and not self._fits(" " + unit):
            self.begin(_PROPERTY_INDENT)
        if not self._open:
            self.lines[-1] += " "
        if self._fits(unit):
            self.lines[-1] += unit
            self._open = False
        else:
            self._fold(unit)

    def _fits(self, text: str) -> bool:
        return len(self.lines[-1]) + len(text) <= MAX_LINE_CHARACTERS

    def _fold(self, unit: str) -> None:
        for piece in _FOLDING_PLACE.split(unit):
            if self._open or self._fits(piece):
                self.lines[-1] += piece
            else:
                self.lines.append(piece)
            self._open = False
