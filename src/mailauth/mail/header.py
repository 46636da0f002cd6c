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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import islice
from typing import Any, BinaryIO, Generic, NamedTuple, TypeVar, cast

from mailauth.mail.names import Mailbox, to_ascii

MAX_HEADER_OCTETS = 4 * 1024 * 1024
"""Octets of header that are kept; Postfix's own bound (header_size_limit) is 102,400 for each field."""

MAX_HEADER_FIELDS = 10_000
"""Fields that are kept; real messages have tens, long-forwarded ones a few hundred."""

MAX_ADDRESS_FIELD_OCTETS = 64 * 1024
"""More than a thousand addresses in one From; nobody writes that."""

BLOCK_OCTETS = 64 * 1024
"""How much is read from a stream at a time."""


class Defect(StrEnum):
    """What is odd about a message: stable codes, for results and for policy. None of them is repaired."""

    MBOX_LINE = "mbox-line"  # begins with a "From " line of an mbox file; kept apart
    BLANK_BEFORE_COLON = "blank-before-colon"  # RFC 5322 section 4.5, obsolete syntax
    BLANK_FOLD = "blank-fold"  # a field is continued by a line of blanks alone (RFC 5322 section 4.2)
    LF_LINE_ENDS = "lf-line-ends"  # the first line ends in a bare LF: every LF ends a line
    MIXED_LINE_ENDS = "mixed-line-ends"  # an LF message has CRLF, too
    BARE_CR_IN_HEADER = "bare-cr-in-header"  # RFC 5322 section 2.2: CR and LF only together
    BARE_LF_IN_HEADER = "bare-lf-in-header"
    BARE_CR_IN_BODY = "bare-cr-in-body"  # RFC 5322 section 2.3
    BARE_LF_IN_BODY = "bare-lf-in-body"
    NUL_IN_HEADER = "nul-in-header"  # RFC 5322 section 4.1: obsolete, and read differently by everybody
    NO_HEADER = "no-header"  # not one field
    NO_EMPTY_LINE = "no-empty-line"  # the header ends at a line that is neither field nor continuation
    UNTERMINATED_HEADER = "unterminated-header"  # the input ends within a header line
    HEADER_TOO_LARGE = "header-too-large"  # over the bound of octets: what follows is counted as body
    TOO_MANY_FIELDS = "too-many-fields"  # over the bound of fields: what follows is counted as body
    NO_FROM = "no-from"  # RFC 5322 section 3.6: exactly one
    SEVERAL_FROM = "several-from"


class LineEnd(StrEnum):
    """What ends the lines of a message: the first line decides (docs/conformance.md, "Messages")."""

    CRLF = "crlf"
    LF = "lf"


_CRLF_LINES = LineEnd.CRLF


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

T = TypeVar("T")


class _lazy(Generic[T]):
    """An attribute that is worked out once, when it is first asked for.

    `functools.cached_property` takes a lock for it in Python 3.11, which costs more than most of what is cached here.
    """

    def __init__(self, work: Callable[[Any], T]) -> None:
        self._work = work
        self._name = work.__name__
        self.__doc__ = work.__doc__

    def __get__(self, owner: object, _kind: type | None = None) -> T:
        value = owner.__dict__[self._name] = self._work(owner)
        return value


class LineEndCounts(NamedTuple):
    """How often each octet pair of line ends was seen."""

    cr: int = 0
    lf: int = 0
    crlf: int = 0

    @property
    def bare_cr(self) -> int:
        """CR without LF behind it."""
        return self.cr - self.crlf

    @property
    def bare_lf(self) -> int:
        """LF without CR before it; in an LF message these are its line ends."""
        return self.lf - self.crlf

    @classmethod
    def of(cls, data: bytes, start: int = 0) -> LineEndCounts:
        """Count in `data` from `start`."""
        return cls(data.count(b"\r", start), data.count(b"\n", start), data.count(b"\r\n", start))

    def plus(self, other: LineEndCounts, joined: bool) -> LineEndCounts:
        """The sum of two pieces; `joined` says that a CR and its LF were cut apart between them."""
        return LineEndCounts(self.cr + other.cr, self.lf + other.lf, self.crlf + other.crlf + joined)

    def body_defects(self, line_end: LineEnd) -> tuple[Defect, ...]:
        """What these counts mean in a body."""
        bare_lf = self.bare_lf and line_end is LineEnd.CRLF
        mixed = self.crlf and line_end is LineEnd.LF
        return _present(
            (Defect.MIXED_LINE_ENDS, mixed),
            (Defect.BARE_CR_IN_BODY, self.bare_cr),
            (Defect.BARE_LF_IN_BODY, bare_lf),
        )


_NO_LINE_ENDS = LineEndCounts()


def _present(*tests: tuple[Defect, object]) -> tuple[Defect, ...]:
    return tuple(defect for defect, present in tests if present)


@dataclass(frozen=True, kw_only=True)
class Header:
    """The header of a message: its fields from top to bottom.

    ``header.mbox_line + b"".join(field.raw for field in header.fields) + header.separator`` are the octets that
    stand before the body. `broken_off` says why the header was cut short, if it was.
    """

    pairs: tuple[tuple[bytes, bytes], ...]  # the octets of each field, its line end included, and its name as written
    raw: bytes  # the octets of all fields
    separator: bytes
    line_end: LineEnd
    mbox_line: bytes = b""
    at_end: bool = False  # the input ended with the header
    broken_off: Defect | None = None

    @classmethod
    def of_usual(cls, pairs: tuple[tuple[bytes, bytes], ...], raw: bytes) -> Header:
        """A whole header in which every LF follows a CR, without the generated constructor, which is slow."""
        header = cls.__new__(cls)
        values = {
            "pairs": pairs,
            "raw": raw,
            "separator": b"\r\n",
            "line_end": _CRLF_LINES,
            "bare_lf": 0,
        }
        object.__setattr__(header, "__dict__", values)
        return header

    @property
    def octets(self) -> int:
        """How many octets stand before the body."""
        return len(self.mbox_line) + len(self.raw) + len(self.separator)

    @property
    def no_empty_line(self) -> bool:
        """Whether the header ended at a line that is neither field nor continuation: readers differ on what follows."""
        return not self.separator and not self.at_end and self.broken_off is None

    @_lazy
    def fields(self) -> tuple[Field, ...]:
        """The fields from top to bottom."""
        return tuple([Field(raw, _lower(name)) for raw, name in self.pairs])

    @_lazy
    def by_name(self) -> Mapping[str, Sequence[Field]]:
        """The fields of each name (lower case), from top to bottom."""
        index: dict[str, list[Field]] = {}
        for field in self.fields:
            index.setdefault(field.name, []).append(field)
        return index

    @_lazy
    def octets_by_name(self) -> Mapping[str, Sequence[bytes]]:
        """The octets of the fields of each name (lower case), from top to bottom."""
        index: dict[str, list[bytes]] = {}
        known = _NAMES
        for raw, name in self.pairs:
            lower = known[name] if name in known else _lower(name)
            if lower in index:
                index[lower].append(raw)
            else:
                index[lower] = [raw]
        return index

    def all(self, name: str) -> tuple[Field, ...]:
        """Every field of that name (any case), from top to bottom."""
        return tuple(self.by_name.get(name.lower(), ()))

    def first(self, name: str) -> Field | None:
        """The topmost field of that name."""
        fields = self.by_name.get(name.lower())
        return fields[0] if fields else None

    def last(self, name: str) -> Field | None:
        """The field of that name next to the body; DKIM counts from there (RFC 6376 section 5.4.2)."""
        fields = self.by_name.get(name.lower())
        return fields[-1] if fields else None

    @property
    def from_fields(self) -> tuple[Field, ...]:
        """The From fields: one in every good message; see `Defect.NO_FROM` and `Defect.SEVERAL_FROM`."""
        return self.all("from")

    @_lazy
    def line_ends(self) -> LineEndCounts:
        """The line ends within the header fields."""
        return LineEndCounts.of(self.raw)

    @_lazy
    def bare_cr(self) -> int:
        """CR that end no line."""
        return self.line_ends.bare_cr

    @_lazy
    def bare_lf(self) -> int:
        """LF that end no line: none in an LF message."""
        return self.line_ends.bare_lf if self.line_end is LineEnd.CRLF else 0

    @_lazy
    def defects(self) -> tuple[Defect, ...]:
        """What is odd about the header, in the order of `Defect`."""
        raw, lf = self.raw, self.line_end is LineEnd.LF
        number_of_from = len(self.from_fields)
        return _present(
            (Defect.MBOX_LINE, self.mbox_line),
            (Defect.BLANK_BEFORE_COLON, any(_after_name(field) != b":" for field in self.fields)),
            (Defect.BLANK_FOLD, _BLANK_FOLD.search(raw)),
            (Defect.LF_LINE_ENDS, lf),
            (Defect.MIXED_LINE_ENDS, lf and self.line_ends.crlf),
            (Defect.BARE_CR_IN_HEADER, self.bare_cr),
            (Defect.BARE_LF_IN_HEADER, self.bare_lf),
            (Defect.NUL_IN_HEADER, b"\0" in raw),
            (Defect.NO_HEADER, not self.fields),
            (Defect.NO_EMPTY_LINE, self.no_empty_line),
            (Defect.UNTERMINATED_HEADER, raw and not raw.endswith(_line_end(lf))),
            (Defect.HEADER_TOO_LARGE, self.broken_off is Defect.HEADER_TOO_LARGE),
            (Defect.TOO_MANY_FIELDS, self.broken_off is Defect.TOO_MANY_FIELDS),
            (Defect.NO_FROM, not number_of_from),
            (Defect.SEVERAL_FROM, number_of_from > 1),
        )


# RFC 5322 section 3.4, as far as it takes to find the domains:
#   address-list = address *("," address)      group   = display-name ":" [mailbox-list] ";"
#   mailbox      = [display-name] "<" local-part "@" domain ">" / local-part "@" domain
# Programs differ on everything else (a "@" in a bare display name, a second one in an address, blanks and comments
# inside it, a route, control characters): one shows this address to its user, another checks that one. So all of it is
# doubt, also where RFC 5322 section 4.4 has it as obsolete syntax.
# The usual form goes in one step: no quoting, no comment, one address in angle brackets or bare.
_NO_CONTROL = rb"\x00-\x08\x0b-\x1f\x7f"
_USUAL_ATOM = rb'[^"(),:;<>@\\\[\]\s' + _NO_CONTROL + rb"]++"
_USUAL_TEXT = rb'[^"(),:;<>@\\\[\]' + _NO_CONTROL + rb"]*+"
_QUOTED_TEXT = rb'[^"\\' + _NO_CONTROL + rb"]*+"
_BLANKS = rb"[ \t\n]*+(?:\r\n[ \t\n]*+)*+"
_USUAL_ADDRESS = re.compile(
    rb"%(blanks)b(?:(?:\"%(quoted)b(?:\r\n%(quoted)b)*+\"|%(text)b(?:\r\n%(text)b)*+)%(blanks)b<(%(atom)b)@(%(atom)b)>"
    rb"|(%(atom)b)@(%(atom)b))%(blanks)b\Z"
    % {b"blanks": _BLANKS, b"quoted": _QUOTED_TEXT, b"text": _USUAL_TEXT, b"atom": _USUAL_ATOM}
)
_ADDRESS_TOKEN = re.compile(rb"""(?s)"(?:[^"\\]++|\\.)*+"|\[[^\[\]]*+\]|[^\s"()\[\]<>,:;@\\]++|\s++|\\.|.""")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
_BLANK = b" "


def address_domains(value: bytes) -> tuple[str, ...] | None:
    """The domains of all addresses in a field such as From, as A-labels; None if it cannot be read without doubt.

    A value of more than `MAX_ADDRESS_FIELD_OCTETS` is not read, nor one with control characters in it.
    """
    # The same people write again and again.
    return _known_domains(value) if len(value) <= _MAX_REMEMBERED_FROM_OCTETS else _domains(value)


_MAX_REMEMBERED_FROM_OCTETS = 256


def _domains(value: bytes) -> tuple[str, ...] | None:
    pairs = _address_pairs(value)
    if pairs is None:
        return None
    try:
        names = [to_ascii(domain.decode()) for _, domain in pairs]
    except UnicodeDecodeError:
        return None
    return None if None in names else cast("tuple[str, ...]", tuple(names))


_known_domains = lru_cache(maxsize=1024)(_domains)


def addresses(value: bytes) -> tuple[Mailbox, ...] | None:
    """The same with local parts, as they are written; what is not UTF-8 in them is replaced."""
    domains = address_domains(value)
    if domains is None:
        return None
    local_parts = [local_part.decode("utf-8", "replace") for local_part, _ in _address_pairs(value) or ()]
    return tuple(map(Mailbox, local_parts, domains))


def _address_pairs(value: bytes) -> list[tuple[bytes, bytes]] | None:
    """Local part and domain of each address."""
    if len(value) > MAX_ADDRESS_FIELD_OCTETS:
        return None
    usual = _USUAL_ADDRESS.match(value)
    if usual is not None:
        return [(usual[1] or usual[3], usual[2] or usual[4])]
    return None if _CONTROL.search(value) else _unusual_pairs(value)


def _unusual_pairs(value: bytes) -> list[tuple[bytes, bytes]] | None:
    found: list[tuple[bytes, bytes]] = []
    address: list[bytes] = []
    in_group = in_brackets = False
    for token in _without_comments(value):
        if token == b":" and not in_brackets:
            if in_group or b"@" in address:
                return None
            in_group, address = True, []
        elif not in_brackets and (token == b"," or (token == b";" and in_group)):
            if not _end_of_address(address, found):
                return None
            in_group, address = in_group and token == b",", []
        else:
            in_brackets = token == b"<" or (in_brackets and token != b">")
            address.append(token)
    return found if not in_group and _end_of_address(address, found) else None


def _end_of_address(address: list[bytes], found: list[tuple[bytes, bytes]]) -> bool:
    """Add one address, if there is one; whether it makes sense."""
    words = _trimmed(address)
    if not words:
        return True
    if b"<" in words:
        start = words.index(b"<")
        # What stands before the brackets is a name, and nothing may stand behind them.
        if words[-1] != b">" or b"@" in words[:start] or not _UNPAIRED.isdisjoint(words[:start]):
            return False
        words = _trimmed(words[start + 1 : -1])
    if not _is_address(words):
        return False
    at = words.index(b"@")
    found.append((b"".join(words[:at]), b"".join(words[at + 1 :])))
    return True


# What ends a name or an address before its time.
_UNPAIRED = frozenset((b"<", b">", b'"', b"[", b"]", b"\\", b"(", b")", b":", b";", b","))


def _is_address(words: list[bytes]) -> bool:
    """Whether this is local-part "@" domain, without a blank, a comment or another "@" in it."""
    whole = words.count(b"@") == 1 and 0 < words.index(b"@") < len(words) - 1
    return whole and _BLANK not in words and _UNPAIRED.isdisjoint(words) and not words[-1].startswith(b'"')


def _trimmed(words: list[bytes]) -> list[bytes]:
    start, end = 0, len(words)
    while start < end and words[start] == _BLANK:
        start += 1
    while end > start and words[end - 1] == _BLANK:
        end -= 1
    return words[start:end]


def _without_comments(value: bytes) -> Iterator[bytes]:
    """The tokens, blanks and comments as `_BLANK`; what is never closed, and what is escaped, as one character."""
    depth = 0
    for match in _ADDRESS_TOKEN.finditer(value):
        token = match.group()
        if token == b"(":
            depth += 1
        elif depth:
            depth -= token == b")"
        else:
            yield _BLANK if token.isspace() else token[:1] if token.startswith(b"\\") else token
        if token == b"(" and depth == 1:
            yield _BLANK
    if depth:
        yield b"("


def _after_name(field: Field) -> bytes:
    return field.raw[len(field.name) : len(field.name) + 1]


def _line_end(lf: bool) -> bytes:
    return b"\n" if lf else b"\r\n"


_BLANK_FOLD = re.compile(rb"\n[ \t]++\r?(?:\n|\Z)")


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
        splitter.header, splitter.defects

    The result does not depend on how the message was cut. `count_line_ends=False` leaves the body uncounted
    (`body_line_ends` stays zero), which saves about as much time as hashing it takes.
    """

    header: Header | None = None
    body_line_ends = _NO_LINE_ENDS
    closed = False
    _after_cr = False
    _buffer: bytes | bytearray = b""
    _syntax: _Syntax | None = None
    _mbox_end = 0
    _scanned = 0  # the end of the last whole header line

    def __init__(
        self,
        *,
        max_header_octets: int = MAX_HEADER_OCTETS,
        max_fields: int = MAX_HEADER_FIELDS,
        count_line_ends: bool = True,
    ) -> None:
        if max_header_octets < 1 or max_fields < 1:
            raise ValueError("the bounds of a header are at least 1")
        self._max_octets = max_header_octets
        self._max_fields = max_fields
        self._counting = count_line_ends

    @property
    def defects(self) -> tuple[Defect, ...]:
        """What is odd about the message, as far as it was seen."""
        if self.header is None:
            return ()
        return self.header.defects + self.body_line_ends.body_defects(self.header.line_end)

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
            header = None if self._buffer else usual_header(data, self._max_octets, self._max_fields)
            if header is None:
                data, start = self._take_header(data)
            else:
                self.header, start = header, len(header.raw) + len(header.separator)
        return self._count(data, start) if self._counting else (data, start)

    def close(self) -> bytes:
        """Say that the message is at its end; return the octets of the body that were held back."""
        rest = b""
        if self.header is None and not self.closed:
            rest = self._finish()
            if self._counting:
                self._count(rest, 0)
        self.closed = True
        return rest

    def _count(self, data: bytes, start: int) -> tuple[bytes, int]:
        if start < len(data):
            joined = self._after_cr and data[start] == 0x0A
            self.body_line_ends = self.body_line_ends.plus(LineEndCounts.of(data, start), joined)
            self._after_cr = data.endswith(b"\r")
        return data, start

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
        return self._conclude(self._scanned, broken_off=Defect.HEADER_TOO_LARGE if header_line else None)

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
        broken_off: Defect | None = None,
    ) -> bool:
        start = self._mbox_end
        buffer = self._buffer
        if not isinstance(buffer, bytes):
            buffer = self._buffer = bytes(buffer)
        pairs = _pairs(self._syntax or _CRLF, buffer, start, end, self._max_fields + 1)
        if len(pairs) > self._max_fields:
            pairs.pop()
            end = start + sum(len(raw) for raw, _ in pairs)
            separator, at_end, broken_off = b"", False, Defect.TOO_MANY_FIELDS
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


def usual_header(data: bytes, max_octets: int, max_fields: int = MAX_HEADER_FIELDS) -> Header | None:
    """The header of a message that is whole and usual: nothing but fields, every line ends in CRLF.

    None says nothing about the header; a `Splitter` reads any.
    """
    line_end = data.find(b"\n", 0, max_octets)
    if line_end < 1 or data[line_end - 1] != _CR:
        return None  # a message with LF line ends may be long, and have no empty line to find
    end = data.find(b"\r\n\r\n", 0, max_octets) + 2
    if end < 2 or (end > max_fields * _LEAST_FIELD_OCTETS and data.count(b"\n", 0, end) > max_fields):
        return None
    pairs = _USUAL_FIELDS.findall(data, 0, end)
    if not pairs[-1][1]:
        return None
    return Header.of_usual(tuple(pairs), data[:end])


_CR = 0x0D
_LEAST_FIELD_OCTETS = len(b"a:\r\n")
# Fields in which every LF has its CR, without a blank before the colon, and without a gap: what is none is taken up to
# the end, and has no name.
_USUAL_FIELDS = re.compile(rb"(([!-9;-~]++):.*+(?<=\r)\n(?:[ \t].*+(?<=\r)\n)*+)|(?s:.)++")


def _pairs(syntax: _Syntax, buffer: bytes, start: int, end: int, most: int) -> list[tuple[bytes, bytes]]:
    """At most `most` of the fields that stand between `start` and `end`, each with its name."""
    if buffer.count(b"\n", start, end) < most:
        return syntax.field.findall(buffer, start, end)
    return [(match[1], match[2]) for match in islice(syntax.field.finditer(buffer, start, end), most)]


def _lower(name: bytes) -> str:
    known = _NAMES.get(name)
    if known is not None:
        return known
    lower = name.lower().decode("ascii")
    if len(_NAMES) < _MAX_REMEMBERED_NAMES and len(name) <= _MAX_REMEMBERED_OCTETS:
        _NAMES[name] = lower
    return lower


# Names of fields in lower case: the same few come again and again. Bounded, since the peer chooses them.
_NAMES: dict[bytes, str] = {}
_MAX_REMEMBERED_NAMES = 1000
_MAX_REMEMBERED_OCTETS = 40


@dataclass(frozen=True)
class Message:
    """A whole message in memory, split: ``octets[:header.octets]`` is the header, the rest the body."""

    octets: bytes
    header: Header
    body_line_ends: LineEndCounts

    @_lazy
    def body(self) -> bytes:
        """The octets of the body."""
        return self.octets[self.header.octets :]

    @property
    def defects(self) -> tuple[Defect, ...]:
        """What is odd about the message."""
        return self.header.defects + self.body_line_ends.body_defects(self.header.line_end)


def split(message: bytes, *, max_header_octets: int = MAX_HEADER_OCTETS) -> Message:
    """Split a whole message into its header fields and its body. Any octets have a result."""
    if not isinstance(message, bytes):
        raise TypeError(f"a message is bytes, not {type(message).__name__}")
    splitter = Splitter(max_header_octets=max_header_octets)
    splitter.feed(message)
    splitter.close()
    assert splitter.header is not None
    return Message(message, splitter.header, splitter.body_line_ends)


def blocks(message: bytes | BinaryIO, block_octets: int = BLOCK_OCTETS) -> Iterator[bytes]:
    """The octets of a message, whole or a block of the stream at a time.

    Raises `TypeError` for what is neither bytes nor a binary stream, and whatever the stream's ``read`` raises.
    """
    if isinstance(message, bytes):
        yield message
        return
    if not hasattr(message, "read"):
        raise TypeError(f"a message is bytes or a binary file, not {type(message).__name__}")
    while block := message.read(block_octets):
        if not isinstance(block, bytes):
            raise TypeError("the message file must be opened in binary mode")
        yield block


def split_stream(stream: BinaryIO, block_octets: int = BLOCK_OCTETS) -> tuple[Header, Iterator[bytes]]:
    """Read the header from a binary stream; return it, and the body as an iterator of blocks."""
    splitter = Splitter(count_line_ends=False)
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


def to_crlf(data: bytes) -> bytes:
    """Octets of an LF message with CRLF for each line end, as DKIM hashes them (RFC 6376 section 5.3)."""
    return data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


class CrlfConverter:
    """`to_crlf` for a message in pieces."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The next piece, converted."""
        data = self._held + data
        self._held = b"\r" if data.endswith(b"\r") else b""
        return to_crlf(data[:-1] if self._held else data)

    def close(self) -> bytes:
        """What was held back."""
        held, self._held = self._held, b""
        return held
