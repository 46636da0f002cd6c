"""Messages: byte-exact splitting into header fields and body, whole, from a stream, or pushed in pieces.

Where a message's header ends, and which fields it has; octets in, the same octets out. No decoding, no MIME, no
canonicalisation, no judgement beyond naming what is odd.
"""

# RFC 5322 section 2.2 and 4.5 (obsolete syntax):
#   message     = *field [CRLF body]
#   field       = field-name *WSP ":" unstructured CRLF     ; WSP before the colon is obsolete syntax
#   field-name  = 1*ftext
#   ftext       = %d33-57 / %d59-126                        ; printable ASCII except ":"
#   folding     = CRLF WSP                                  ; a line of blanks alone continues a field, too (obs-FWS)
#
# SECURITY: every octet comes from the peer. The header is bounded (`MAX_HEADER_OCTETS`, `MAX_HEADER_FIELDS`), the
# body is never kept, each octet is looked at a fixed number of times however the input is cut, and nothing raises.
# All repeats in the expressions below are possessive, so none of them can backtrack.

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from itertools import islice
from typing import BinaryIO, NamedTuple

from mailauth.mail.lines import BLOCK_OCTETS, LineEnd, blocks

MAX_HEADER_OCTETS = 4 * 1024 * 1024
"""Octets of header that are kept; Postfix's own bound (header_size_limit) is 102,400 for each field."""

MAX_HEADER_FIELDS = 10_000
"""Fields that are kept; real messages have tens, long-forwarded ones a few hundred."""


class BrokenOff(StrEnum):
    """Why a header was cut short: stable codes."""

    HEADER_TOO_LARGE = "header-too-large"  # over the bound of octets: what follows is counted as body
    TOO_MANY_FIELDS = "too-many-fields"  # over the bound of fields: what follows is counted as body


class Field(NamedTuple):
    """One header field.

    `raw` is the field as it came, with its line end; `name` is its name in lower case.
    """

    raw: bytes
    name: str

    @property
    def value(self) -> bytes:
        """What follows the colon, folds and line end included."""
        return self.raw[self.raw.index(b":") + 1 :]

    @property
    def unfolded(self) -> bytes:
        """The value on one line: folds undone (RFC 5322 section 2.2.3), blanks around it taken off."""
        return _LINE_ENDS.sub(b"", self.value).strip(b" \t")


_LINE_ENDS = re.compile(rb"\r?\n")


@dataclass(frozen=True, kw_only=True)
class Header:
    """The header of a message: its fields from top to bottom.

    ``header.mbox_line + b"".join(field.raw for field in header.fields) + header.separator`` are the octets that
    stand before the body. `broken_off` says why the header was cut short, if it was.
    """

    pairs: tuple[tuple[bytes, bytes], ...]  # the octets of each field, its line end included, and its name as written
    raw: bytes  # the octets of all fields
    separator: bytes  # the octets of the empty line; b"" where the header ended without one
    line_end: LineEnd  # what ends the first line; it counts for all
    mbox_line: bytes = b""  # a "From " line above the fields, as of a file in mbox format; b"" for none
    at_end: bool = False  # the input ended with the header
    broken_off: BrokenOff | None = None  # None: it was read to its end

    @property
    def octets(self) -> int:
        """How many octets stand before the body."""
        return len(self.mbox_line) + len(self.raw) + len(self.separator)

    @property
    def no_empty_line(self) -> bool:
        """Whether the header ended at a line that is neither field nor continuation: readers differ on what follows."""
        return not self.separator and not self.at_end and self.broken_off is None

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """The fields from top to bottom."""
        return tuple([Field(raw, _lower(name)) for raw, name in self.pairs])

    @cached_property
    def octets_by_name(self) -> Mapping[str, Sequence[bytes]]:
        """The octets of the fields of each name (lower case), from top to bottom."""
        index: dict[str, list[bytes]] = {}
        for raw, name in self.pairs:
            index.setdefault(_lower(name), []).append(raw)
        return index

    def all(self, name: str) -> tuple[Field, ...]:
        """Every field of that name (any case), from top to bottom."""
        name = name.lower()
        return tuple([Field(raw, name) for raw in self.octets_by_name.get(name, ())])

    def first(self, name: str) -> Field | None:
        """The topmost field of that name."""
        return next(iter(self.all(name)), None)

    def last(self, name: str) -> Field | None:
        """The field of that name next to the body; DKIM counts from there (RFC 6376 section 5.4.2)."""
        return next(reversed(self.all(name)), None)

    @property
    def from_fields(self) -> tuple[Field, ...]:
        """The From fields: one in every good message (RFC 5322 section 3.6)."""
        return self.all("from")


class _Syntax(NamedTuple):
    """The same grammar for each kind of line end."""

    line_end: bytes
    empty_line: re.Pattern[bytes]
    lines: re.Pattern[bytes]  # as many whole header lines as there are
    begun: re.Pattern[bytes]  # the beginning of a header line
    possible: re.Pattern[bytes]  # what may still become the beginning of one
    field: re.Pattern[bytes]


def _syntax(line_end: bytes, text: bytes, empty_line: bytes) -> _Syntax:
    begun = rb"(?:[ \t]|[!-9;-~]++[ \t]*+:)"
    fold = line_end + rb"[ \t]" + text
    return _Syntax(
        line_end,
        re.compile(empty_line),
        re.compile(rb"(?:" + begun + text + line_end + rb")*+"),
        re.compile(begun),
        re.compile(rb"[ \t]|[!-9;-~]++[ \t]*+(?::|\Z)|\Z"),
        # Fields begin lines; without the anchor, a search would begin anew at every octet of a line that is no field.
        re.compile(rb"(?m:^)(([!-9;-~]++)[ \t]*+:" + text + rb"(?:" + fold + rb")*+(?:" + line_end + rb")?+)"),
    )


_CRLF = _syntax(b"\r\n", rb"[^\r]*+(?:\r(?!\n)[^\r]*+)*+", rb"\r\n")
# An LF message: CRLF ends a line as well, since every LF does; its CR belongs to the line end.
_LF = _syntax(b"\n", rb"[^\n]*+", rb"\r?\n")


class Splitter:
    """Splits a message that is pushed in pieces; memory is bounded by the header, whose size is bounded.

    ::

        splitter = Splitter()
        for piece in pieces:
            body = splitter.feed(piece)      # the octets of the body in this piece; b"" while the header lasts
        body = splitter.close()              # what was held back
        splitter.header

    The result does not depend on how the message was cut.
    """

    header: Header | None = None  # None until it is complete
    closed = False  # no more pieces are taken
    _buffer: bytes | bytearray = b""
    _syntax: _Syntax | None = None
    _mbox_end = 0
    _scanned = 0  # the end of the last whole header line

    def __init__(self, *, max_header_octets: int = MAX_HEADER_OCTETS, max_fields: int = MAX_HEADER_FIELDS) -> None:
        if max_header_octets < 1 or max_fields < 1:
            raise ValueError("the bounds of a header are at least 1")
        self._max_octets = max_header_octets
        self._max_fields = max_fields

    def feed(self, data: bytes | bytearray | memoryview) -> bytes:
        """Take the next piece; return the octets of the body that are in it."""
        octets, start = self.take(data if isinstance(data, bytes) else bytes(data))
        return octets[start:] if start else octets

    def take(self, data: bytes) -> tuple[bytes, int]:
        """The same without a copy: octets, and the place in them where the body goes on."""
        if self.closed:
            raise ValueError("the splitter was closed")
        start = 0
        if self.header is None:
            header = None if self._buffer else _plain_header(data, self._max_octets, self._max_fields)
            if header is None:
                data, start = self._take_header(data)
            else:
                self.header, start = header, len(header.raw) + len(header.separator)
        return data, start

    def close(self) -> bytes:
        """Say that the message is at its end; return the octets of the body that were held back."""
        rest = b""
        if self.header is None and not self.closed:
            rest = self._finish()
        self.closed = True
        return rest

    def finish(self) -> Header:
        """The same for callers that need no body: the header."""
        self.close()
        assert self.header is not None
        return self.header

    def _take_header(self, data: bytes) -> tuple[bytes, int]:
        before = self._buffer
        if not before:
            self._buffer = data
            news = True
        else:
            if not isinstance(before, bytearray):
                before = self._buffer = bytearray(before)
            news = self._ends_a_line(before, data)
            before += data
        # Only a piece that ends a line is scanned, so that one long line in many pieces costs linear time.
        if news and self._scan():
            return self._rest()
        # Two octets more than the bound, since an empty line may stand right behind it.
        if len(self._buffer) >= self._max_octets + 2 and self._overflow():
            return self._rest()
        return b"", 0

    def _ends_a_line(self, before: bytearray, data: bytes) -> bool:
        if self._syntax is _CRLF:
            return b"\r\n" in data or (before.endswith(b"\r") and data.startswith(b"\n"))
        return b"\n" in data

    def _scan(self) -> bool:
        """Go over the whole lines that are there; whether the header ended."""
        buffer, limit = self._buffer, self._max_octets
        syntax = self._syntax or self._first_line()
        if syntax is None:
            return False
        match = syntax.lines.match(buffer, self._scanned, limit)
        if match is not None and not self._orphan():
            self._scanned = match.end()
        separator = syntax.empty_line.match(buffer, self._scanned)
        if separator is not None:
            return self._conclude(self._scanned, bytes(separator.group()))
        # A whole line that is no header line ends the header; an unfinished one may still become anything.
        whole = buffer.find(syntax.line_end, self._scanned, limit) >= 0
        return whole and self._conclude(self._scanned)

    def _orphan(self) -> bool:
        """Whether a continuation stands first, where there is nothing to continue."""
        return self._scanned == self._mbox_end and self._buffer[self._scanned : self._scanned + 1] in (b" ", b"\t")

    def _first_line(self) -> _Syntax | None:
        """The first line end decides how lines end; a "From " line that is no field is kept apart."""
        end = self._buffer.find(b"\n", 0, self._max_octets) + 1
        if not end:
            return None
        crlf = self._buffer[max(end - 2, 0) : end] == b"\r\n"
        self._syntax = syntax = _CRLF if crlf else _LF
        if self._buffer.startswith(b"From ") and not syntax.begun.match(self._buffer):
            self._mbox_end = self._scanned = end
        return syntax

    def _overflow(self) -> bool:
        """The bound is reached within a line: it is cut short if this is a header line, else it has ended."""
        syntax = self._syntax or _CRLF
        header_line = not self._orphan() and syntax.possible.match(self._buffer, self._scanned, self._max_octets)
        return self._conclude(self._scanned, broken_off=BrokenOff.HEADER_TOO_LARGE if header_line else None)

    def _finish(self) -> bytes:
        """The input ends within the header: its last line has no line end."""
        syntax, length = self._syntax or _CRLF, len(self._buffer)
        begun = syntax.begun.match(self._buffer, self._scanned) and not self._orphan()
        if self._scanned == length or begun:
            self._conclude(length, at_end=True)
        else:
            self._conclude(self._scanned)
        octets, start = self._rest()
        return octets[start:]

    def _conclude(
        self,
        end: int,
        separator: bytes = b"",
        *,
        at_end: bool = False,
        broken_off: BrokenOff | None = None,
    ) -> bool:
        start = self._mbox_end
        buffer = self._buffer
        if not isinstance(buffer, bytes):
            buffer = self._buffer = bytes(buffer)
        pairs = _pairs(self._syntax or _CRLF, buffer, start, end, self._max_fields + 1)
        if len(pairs) > self._max_fields:
            pairs.pop()
            end = start + sum(len(raw) for raw, _ in pairs)
            separator, at_end, broken_off = b"", False, BrokenOff.TOO_MANY_FIELDS
        self.header = Header(
            pairs=tuple(pairs),
            raw=buffer[start:end],
            separator=separator,
            line_end=LineEnd.LF if self._syntax is _LF else LineEnd.CRLF,
            mbox_line=buffer[:start],
            at_end=at_end,
            broken_off=broken_off,
        )
        return True

    def _rest(self) -> tuple[bytes, int]:
        octets, self._buffer = self._buffer, b""
        assert self.header is not None
        assert isinstance(octets, bytes)
        return octets, self.header.octets


def _plain_header(data: bytes, max_octets: int, max_fields: int) -> Header | None:
    """The fast path: a header that is whole, has nothing but fields, and ends every line in CRLF (12 us of 70 gained).

    None says nothing about the header; a `Splitter` reads any.
    """
    line_end = data.find(b"\n", 0, max_octets)
    if line_end < 1 or data[line_end - 1] != _CR:
        return None  # a message with LF line ends may be long, and have no empty line to find
    end = data.find(b"\r\n\r\n", 0, max_octets) + 2
    if end < 2 or (end > max_fields * _LEAST_FIELD_OCTETS and data.count(b"\n", 0, end) > max_fields):
        return None
    pairs = _PLAIN_FIELDS.findall(data, 0, end)
    if not pairs[-1][1]:
        return None
    return Header(pairs=tuple(pairs), raw=data[:end], separator=b"\r\n", line_end=LineEnd.CRLF)


_CR = 0x0D
_LEAST_FIELD_OCTETS = len(b"a:\r\n")
# Fields in which every LF has its CR, without a blank before the colon, and without a gap: anything else is taken
# up to the end, and has no name.
_PLAIN_FIELDS = re.compile(rb"(([!-9;-~]++):.*+(?<=\r)\n(?:[ \t].*+(?<=\r)\n)*+)|(?s:.)++")


def _pairs(syntax: _Syntax, buffer: bytes, start: int, end: int, most: int) -> list[tuple[bytes, bytes]]:
    """At most `most` of the fields that stand between `start` and `end`, each with its name."""
    if buffer.count(b"\n", start, end) < most:
        return syntax.field.findall(buffer, start, end)
    return [(match[1], match[2]) for match in islice(syntax.field.finditer(buffer, start, end), most)]


def _lower(name: bytes) -> str:
    return name.lower().decode("ascii")


@dataclass(frozen=True)
class Message:
    """A whole message in memory, split: ``octets[:header.octets]`` is the header, the rest the body."""

    octets: bytes
    header: Header

    @cached_property
    def body(self) -> bytes:
        """The octets of the body."""
        return self.octets[self.header.octets :]


def split(message: bytes, *, max_header_octets: int = MAX_HEADER_OCTETS) -> Message:
    """Split a whole message into its header fields and its body. Any octets have a result."""
    if not isinstance(message, bytes):
        raise TypeError(f"a message is bytes, not {type(message).__name__}")
    splitter = Splitter(max_header_octets=max_header_octets)
    splitter.feed(message)
    splitter.close()
    assert splitter.header is not None
    return Message(message, splitter.header)


def split_stream(stream: BinaryIO, block_octets: int = BLOCK_OCTETS) -> tuple[Header, Iterator[bytes]]:
    """Read the header from a binary stream; return it, and the body as an iterator of blocks."""
    splitter = Splitter()
    pieces = blocks(stream, block_octets)
    first = b""
    for piece in pieces:
        first = splitter.feed(piece)
        if splitter.header is not None:
            break
    if splitter.header is None:
        first = splitter.close()
    assert splitter.header is not None
    return splitter.header, _chain(first, pieces)


def _chain(first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from pieces
