"""The MIME structure of a body, as far as gateways rewrite it: where its parts begin and end, and their encodings.

Places are offsets into the body. Nothing is decoded but the two transfer encodings.
"""

# RFC 2046 section 5.1.1: a boundary delimiter is CRLF "--" boundary; the CRLF belongs to it, not to the part before.
#
# SECURITY: the body comes from the peer. One pass over its lines, depth and number of parts bounded; no expression
# backtracks.

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, a2b_qp, b2a_base64
from typing import NamedTuple

from mailauth.mail.lines import to_crlf

MAX_DEPTH = 16
MAX_PARTS = 200
MAX_PART_HEADER = 16 * 1024

_DELIMITER = re.compile(rb"(?:\A|(?<=\n))--([^\r\n]{1,80})")
_BOUNDARY = re.compile(rb"boundary[ \t]*+=[ \t]*+(?:\"([^\"]++)\"|([^\s;\"]++))", re.IGNORECASE)
_FOLD = re.compile(rb"\r?\n(?=[ \t])")


class Part(NamedTuple):
    """One part. `start` is its delimiter line, `end` where the CRLF before the next delimiter begins."""

    path: str  # "1.2"; "" for a body that is no multipart
    content_type: str  # "text/html", lower case
    encoding: str  # Content-Transfer-Encoding, lower case
    start: int
    header: int
    body: int
    end: int
    stop: int  # where the next delimiter line begins; the end of the body where there is none
    container: bool = False  # it is a multipart itself

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.path} {self.content_type}".strip()


class Structure(NamedTuple):
    """The parts of a body, and its delimiter lines."""

    parts: tuple[Part, ...]  # in the order of their delimiters
    delimiters: tuple[int, ...]
    closed: int | None  # where the line of the outermost closing delimiter ends; None: no multipart, or never closed
    multipart: bool

    @property
    def leaves(self) -> list[Part]:
        """The parts that hold something."""
        return [part for part in self.parts if not part.container]


class _Level:
    def __init__(self, boundary: bytes, path: str) -> None:
        self.boundary, self.path, self.count = boundary, path, 0


def boundary_of(content_type: bytes) -> bytes | None:
    """The boundary of a multipart; None for everything else."""
    content_type = _FOLD.sub(b"", content_type)
    if not content_type.strip().lower().startswith(b"multipart/"):
        return None
    found = _BOUNDARY.search(content_type)
    return (found[1] or found[2]).rstrip() if found else None


def media_type(content_type: bytes) -> str:
    """type/subtype, lower case; text/plain where nothing is said (RFC 2045 section 5.2)."""
    kind = content_type.partition(b";")[0].strip().lower()[:80].decode("ascii", "replace")
    return kind if "/" in kind and kind.isprintable() else "text/plain"


def structure(body: bytes, content_type: bytes, encoding: bytes) -> Structure:
    """Find the parts of a body with CRLF line ends; the values are those of the message's own fields."""
    boundary = boundary_of(content_type)
    if boundary is None:
        kind, how = media_type(content_type), _encoding(encoding)
        end = len(body) - 2 if body.endswith(b"\r\n") else len(body)
        return Structure((Part("", kind, how, 0, 0, 0, end, len(body)),), (), None, False)
    return _Scan(body, boundary).result()


def _encoding(value: bytes) -> str:
    return value.strip().lower()[:30].decode("ascii", "replace")


class _Scan:
    """One pass over the delimiter lines."""

    def __init__(self, body: bytes, boundary: bytes) -> None:
        self.body = body
        self.levels = [_Level(boundary, "")]
        self.open: list[tuple[int, Part]] = []  # the level and the part, whose end is not known yet
        self.parts: list[Part] = []
        self.delimiters: list[int] = []
        self.closed: int | None = None

    def result(self) -> Structure:
        for match in _DELIMITER.finditer(self.body):
            self._line(match.start(), match[1].rstrip())
            if not self.levels or len(self.parts) >= MAX_PARTS:
                break
        self._close(0, len(self.body))
        self.parts.sort(key=lambda part: part.start)
        return Structure(tuple(self.parts), tuple(self.delimiters), self.closed, multipart=True)

    def _line(self, at: int, text: bytes) -> None:
        for index in range(len(self.levels) - 1, -1, -1):
            boundary = self.levels[index].boundary
            if text == boundary:
                break
            if text == boundary + b"--":
                self.delimiters.append(at)
                self._close(index, at)
                del self.levels[index:]
                if not index:
                    line_end = self.body.find(b"\n", at)
                    self.closed = len(self.body) if line_end < 0 else line_end + 1
                return
        else:
            return
        self.delimiters.append(at)
        self._close(index, at)
        del self.levels[index + 1 :]
        self._begin(index, at)

    def _close(self, level: int, at: int) -> None:
        while self.open and self.open[-1][0] >= level:
            part = self.open.pop()[1]
            end = at - 2 if self.body.endswith(b"\r\n", part.body, at) else at
            self.parts.append(part._replace(end=max(end, part.body), stop=at))

    def _begin(self, index: int, at: int) -> None:
        level, body = self.levels[index], self.body
        level.count += 1
        path = f"{level.path}{level.count}"
        line_end = body.find(b"\n", at)
        start = len(body) if line_end < 0 else line_end + 1
        if body.startswith(b"\r\n", start):
            header_end = start
        else:
            header_end = body.find(b"\r\n\r\n", start, start + MAX_PART_HEADER) + 2
            header_end = start if header_end < 2 else header_end
        header = body[start:header_end]
        content_type = field_of(header, b"content-type")
        boundary = boundary_of(content_type)
        encoding = _encoding(field_of(header, b"content-transfer-encoding"))
        nested = boundary is not None and len(self.levels) < MAX_DEPTH
        begin = header_end + 2
        kind = media_type(content_type)
        part = Part(path, kind, encoding, at, start, begin, begin, begin, nested)
        self.open.append((index, part))
        if nested and boundary is not None:
            self.levels.append(_Level(boundary, f"{path}."))


def field_of(header: bytes, name: bytes) -> bytes:
    """The value of a field in a part's header, unfolded; empty where there is none."""
    pattern = rb"(?:\A|(?<=\n))" + re.escape(name) + rb"[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)"
    found = re.search(pattern, header, re.IGNORECASE)
    return b" ".join(found[1].split()) if found else b""


def type_fields(body: bytes, found: Structure) -> list[bytes]:
    """Content-Type of the first parts, unfolded."""
    parts = found.parts[:5] if found.multipart else ()
    values = [field_of(body[part.header : part.body], b"content-type") for part in parts]
    return [value for value in values if value]


def decoded(part: Part, octets: bytes) -> bytes:
    """The content of a part."""
    if part.encoding == "base64":
        try:
            return a2b_base64(octets)
        except Base64Error:
            return b""
    return a2b_qp(octets) if part.encoding == "quoted-printable" else octets


_MAX_READ = 256 * 1024


def readable(body: bytes, found: Structure) -> bytes:
    """The body with the text of its base64 parts decoded, for people."""
    pieces, done = [], 0
    for part in found.leaves:
        if part.encoding == "base64" and part.content_type.startswith("text/") and part.end - part.body <= _MAX_READ:
            raw = body[part.body : part.end]
            pieces += [body[done : part.body], to_crlf(decoded(part, raw)) or raw]
            done = part.end
    return b"".join([*pieces, body[done:]])


def base64_lines(content: bytes, width: int = 76) -> bytes:
    """base64 in lines of so many characters (RFC 2045 section 6.8), without a last line end; 0: one line."""
    text = b2a_base64(content, newline=False)
    if not width:
        return text
    return b"\r\n".join([text[at : at + width] for at in range(0, len(text), width)])


_QP_PLAIN = frozenset(range(0x21, 0x7F)) - {0x3D} | {0x20, 0x09}


def quoted_printable(content: bytes, width: int = 76, special: bytes = b"") -> bytes:
    """quoted-printable (RFC 2045 section 6.7) in lines of at most so many characters; `special` is quoted as well."""
    plain = _QP_PLAIN - set(special)
    table = [bytes([octet]) if octet in plain else b"=%02X" % octet for octet in range(256)]
    return b"\r\n".join([_quoted_line(line, table, width) for line in content.split(b"\r\n")])


def _quoted_line(line: bytes, table: list[bytes], width: int) -> bytes:
    pieces = [table[octet] for octet in line]
    if line[-1:] in (b" ", b"\t"):
        pieces[-1] = b"=%02X" % line[-1]
    if sum(map(len, pieces)) <= width:
        return b"".join(pieces)
    lines: list[bytes] = []
    current: list[bytes] = []
    length = 0
    for index, piece in enumerate(pieces):
        last = index == len(pieces) - 1
        # A soft line break takes one character, which the last line does not need.
        if length + len(piece) > (width if last else width - 1):
            lines.append(b"".join(current) + b"=")
            current, length = [], 0
        current.append(piece)
        length += len(piece)
    lines.append(b"".join(current))
    return b"\r\n".join(lines)
