"""What gateways do to the text of a body, undone: each function yields the bodies that there may have been.

Every function takes a body with CRLF line ends. What it yields is a guess; the hash says whether it is right.
"""

# SECURITY: the body comes from the peer. Each function is linear in it for each body that it yields, and yields a
# bounded number; no expression backtracks.

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from typing import NamedTuple, TypeAlias

from mailauth.dkim.explanation.mime import Part, Structure
from mailauth.dkim.explanation.result import AlterationCode as Code

MAX_SINGLE_LINES = 40
"""Lines that are undone alone, where not all of a kind were altered."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Undone(NamedTuple):
    """A body that there may have been, and what was then done to it."""

    body: bytes
    code: Code
    detail: str
    at: int = -1  # where, in the body that was given
    added: bytes = b""
    removed: bytes = b""
    number: int = 1  # of places
    part: str = ""


def named(added: bytes, code: Code, detail: str) -> tuple[Code, str, int]:
    """What was added by its name, and its number: empty lines and byte-order marks are no text."""
    if added.strip():
        if added.strip() != BYTE_ORDER_MARK:
            return code, detail, 1
        return Code.BYTE_ORDER_MARK_ADDED, detail.replace("text was", "a byte-order mark was"), 1
    count = max(1, added.count(b"\n"))
    lines = "an empty line was" if count == 1 else f"{count} empty lines were"
    return Code.BLANK_LINES_ADDED, detail.replace("text was", lines), count


Undo: TypeAlias = Callable[[bytes, Structure], Iterator[Undone]]

_DOUBLE_CR = re.compile(rb"(?<!\r)\r++\n")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_BARE_CR = re.compile(rb"\r(?!\n)")


def line_ends(body: bytes, _: Structure) -> Iterator[Undone]:
    """CR and LF that were doubled, or stand alone."""
    for pattern, words in (
        (_DOUBLE_CR, "CR CR LF stands where CR LF stood"),
        (_BARE_LF, "a bare LF stands where CR LF stood"),
        (_BARE_CR, "a bare CR stands where CR LF stood"),
    ):
        first = pattern.search(body)
        if first is not None:
            whole, count = pattern.subn(b"\r\n", body)
            if whole != body:
                yield Undone(whole, Code.LINE_ENDS_CHANGED, words, first.start(), number=count)
    if b"\r" in body.replace(b"\r\n", b""):
        yield Undone(
            _BARE_CR.sub(b"", body), Code.LINE_ENDS_CHANGED, "a bare CR was added", body.find(b"\r"), added=b"\r"
        )


def blank_lines(body: bytes, found: Structure) -> Iterator[Undone]:
    """Empty lines at the beginning, between all lines, and before the delimiters of parts."""
    rest = _without_first_lines(body)
    if rest is not body:
        count = (len(body) - len(rest)) // 2
        yield Undone(rest, Code.BLANK_LINES_ADDED, _lines(count, "at the beginning of the body"), 0, number=count)
        yield Undone(body[2:], Code.BLANK_LINES_ADDED, _lines(1, "at the beginning of the body"), 0)
    words = "an empty line at the beginning of the body is gone"
    yield Undone(b"\r\n" + body, Code.BLANK_LINES_REMOVED, words, 0)
    if b"\r\n\r\n" in body:
        single = body.replace(b"\r\n\r\n", b"\r\n")
        yield Undone(single, Code.BLANK_LINES_ADDED, "an empty line was added behind each line", 0)
    yield from _at_delimiters(body, found)


def _lines(count: int, where: str) -> str:
    return f"an empty line was added {where}" if count == 1 else f"{count} empty lines were added {where}"


def _without_first_lines(body: bytes) -> bytes:
    end = re.match(rb"(?:\r\n)*+", body)
    assert end is not None
    return body[end.end() :] if end.end() else body


def _at_delimiters(body: bytes, found: Structure) -> Iterator[Undone]:
    """All delimiters at once, then each alone: fewer empty lines before it, or one more."""
    places = found.delimiters
    sets = dict.fromkeys([places, places[1:], *((at,) for at in places[:MAX_SINGLE_LINES])])
    for chosen in sets:
        if not chosen:
            continue
        words = "before a boundary" if len(chosen) == 1 else "before the boundaries"
        for most in (1, len(body)):
            whole, removed = _with_fewer_before(body, chosen, most)
            if removed:
                yield Undone(whole, Code.BLANK_LINES_ADDED, _lines(removed, words), chosen[0] - 2, number=removed)
        pieces, done = [], 0
        for at in chosen:
            pieces.append(body[done:at])
            done = at
        whole = b"\r\n".join([*pieces, body[done:]])
        detail = f"an empty line {words} is gone"
        yield Undone(whole, Code.BLANK_LINES_REMOVED, detail, chosen[0], number=len(chosen))


def _with_fewer_before(body: bytes, chosen: tuple[int, ...], most: int) -> tuple[bytes, int]:
    """The body without the empty lines before these places, at most so many of each; how many were taken out."""
    pieces, done, removed = [], 0, 0
    for at in chosen:
        start = max(_before_empty_lines(body, done, at), at - 2 * most)
        removed += (at - start) // 2
        pieces.append(body[done:start])
        done = at
    return b"".join([*pieces, body[done:]]), removed


def _before_empty_lines(body: bytes, start: int, at: int) -> int:
    """Where the empty lines before `at` begin."""
    while at - 4 >= start and body.startswith(b"\r\n\r\n", at - 4):
        at -= 2
    return at


_BLANKS_AT_END = re.compile(rb"(?<![ \t])[ \t]++(?=\r\n|\Z)")
_DELIMITER_OF_SIGNATURES = re.compile(rb"(?:\A|(?<=\n))--(?=\r\n)")
_BARE_QUOTE = re.compile(rb"(?:\A|(?<=\n))(>++)(?=\r\n)")
_FLOWED = re.compile(rb"(?<=[^\s])(?=\r\n[^\s>])")


def blanks_at_line_ends(body: bytes, _: Structure) -> Iterator[Undone]:
    """Blanks and tabs before the line end, put there or taken away."""
    first = _BLANKS_AT_END.search(body)
    if first is not None:
        whole, count = _BLANKS_AT_END.subn(b"", body)
        words = f"blanks were added at the end of {_number(count)}"
        code = Code.BLANKS_AT_LINE_ENDS_ADDED
        yield Undone(whole, code, words, first.start(), added=first[0], number=count)
    for patterns, words in (
        ((_DELIMITER_OF_SIGNATURES,), 'the blank of "-- " is gone'),
        ((_BARE_QUOTE,), 'the blank behind ">" is gone'),
        ((_DELIMITER_OF_SIGNATURES, _BARE_QUOTE), 'the blanks of "-- " and ">" are gone'),
        ((_FLOWED,), "the blanks at the ends of flowed lines are gone (RFC 3676)"),
        ((_FLOWED, _DELIMITER_OF_SIGNATURES), "the blanks at the ends of flowed lines are gone (RFC 3676)"),
    ):
        whole, count, at = body, 0, len(body)
        for pattern in patterns:
            place = pattern.search(body)
            if place is not None:
                at = min(at, place.start())
                whole, changed = pattern.subn(rb"\g<0> ", whole)
                count += changed
        if count:
            yield Undone(whole, Code.BLANKS_AT_LINE_ENDS_REMOVED, words, at, removed=b" ", number=count)
    words = "blanks were added at the end of a line"
    for match in list(islice(_BLANKS_AT_END.finditer(body), MAX_SINGLE_LINES)):
        single = body[: match.start()] + body[match.end() :]
        yield Undone(single, Code.BLANKS_AT_LINE_ENDS_ADDED, words, match.start(), added=match[0])


def _number(count: int) -> str:
    return "a line" if count == 1 else f"{count} lines"


_INNER_TAB = re.compile(rb"(?<=[^\t\n])\t")


def tabs(body: bytes, _: Structure) -> Iterator[Undone]:
    """Tabs made blanks, and blanks made tabs."""
    for width in (8, 4):
        run = b" " * width
        if run in body:
            words = f"{width} blanks stand where a tab stood"
            yield Undone(body.replace(run, b"\t"), Code.TABS_TO_BLANKS, words, body.find(run), run, b"\t")
    blanks = body.find(b"  ")
    if blanks >= 0:
        for width in (8, 4):
            whole = b"\r\n".join([_unexpanded(line, width) for line in body.split(b"\r\n")])
            words = f"tabs were made blanks, up to every {width}th column"
            yield Undone(whole, Code.TABS_TO_BLANKS, words, blanks, removed=b"\t")
    if b"\t" in body:
        at = body.find(b"\t")
        for width in (8, 4, 2, 1):
            words = f"a tab stands where {width} blanks stood" if width > 1 else "a tab stands where a blank stood"
            yield Undone(body.replace(b"\t", b" " * width), Code.BLANKS_TO_TABS, words, at, b"\t", b" " * width)
        if _INNER_TAB.search(body):
            for width in (2, 1, 4, 8):
                inner = _INNER_TAB.sub(b" " * width, body)
                words = "a tab stands within a line where blanks stood"
                yield Undone(inner, Code.BLANKS_TO_TABS, words, at, b"\t", b" " * width)
        for width in (8, 4):
            expanded = b"\r\n".join([line.expandtabs(width) for line in body.split(b"\r\n")])
            words = f"blanks were made tabs, at every {width}th column"
            yield Undone(expanded, Code.BLANKS_TO_TABS, words, at, b"\t")


_MAX_LINE = 10_000  # octets of a line whose columns are counted; RFC 5321 section 4.5.3.1.6 allows 1000


def _unexpanded(line: bytes, width: int) -> bytes:
    """As unexpand(1) does: two blanks or more before a tab stop become a tab."""
    if b"  " not in line or len(line) > _MAX_LINE:
        return line
    stops = [line[at : at + width] for at in range(0, len(line), width)]
    return b"".join([
        stop.rstrip(b" ") + b"\t" if len(stop) == width and stop.endswith(b"  ") else stop for stop in stops
    ])  # fmt: skip


_DOUBLE_DOT = re.compile(rb"(?:\A|(?<=\n))\.\.")
_DOT = re.compile(rb"(?:\A|(?<=\n))\.")


def dots(body: bytes, _: Structure) -> Iterator[Undone]:
    """Transparency of SMTP (RFC 5321 section 4.5.2) done twice, or undone twice."""
    words = "a dot was added before the dot that begins {}"
    yield from _at_lines(body, _DOUBLE_DOT, b".", Code.DOTS_DOUBLED, words, b".", b"")
    words = "the dot before the dot that begins {} is gone"
    yield from _at_lines(body, _DOT, b"..", Code.DOTS_REMOVED, words, b"", b".")


_ESCAPED_FROM = re.compile(rb"(?:\A|(?<=\n))>(>*+From )")
_BARE_FROM = re.compile(rb"(?:\A|(?<=\n))(?=>*+From )")


def from_lines(body: bytes, _: Structure) -> Iterator[Undone]:
    """ "From " at the beginning of lines, escaped with ">" as mailboxes do (RFC 4155), or freed of it."""
    words = '">" was put before the "From " that begins {}'
    yield from _at_lines(body, _ESCAPED_FROM, rb"\1", Code.FROM_ESCAPED, words, b">", b"")
    words = 'the ">" before the "From " that begins {} is gone'
    yield from _at_lines(body, _BARE_FROM, b">", Code.FROM_UNESCAPED, words, b"", b">")


def _at_lines(
    body: bytes, pattern: re.Pattern[bytes], by: bytes, code: Code, words: str, added: bytes, removed: bytes
) -> Iterator[Undone]:
    """All lines that match, then each of the first ones alone."""
    places = list(islice(pattern.finditer(body), MAX_SINGLE_LINES))
    if not places:
        return
    whole, count = pattern.subn(by, body)
    yield Undone(whole, code, words.format(_number(count)), places[0].start(), added, removed, count)
    for match in places if count > 1 else ():
        start, end = match.span()
        single = body[:start] + match.expand(by) + body[end:]
        yield Undone(single, code, words.format("a line"), start, added, removed)


_ENCODED = ("base64", "quoted-printable")
_USUAL_WIDTHS = (72, 76, 78, 80)
_LEAST_WIDTH = 40


def wrapped_lines(body: bytes, found: Structure) -> Iterator[Undone]:
    """Lines that were broken: at a column, at the last blank before one, with or without a mark."""
    texts = [part for part in found.leaves if part.encoding not in _ENCODED and part.end > part.body]
    if not texts or (found.multipart and not any(part.content_type.startswith("text/") for part in texts)):
        return
    lines = [line for part in texts for line in body[part.body : part.end].split(b"\r\n")]
    longest = max(map(len, lines))
    if longest < _LEAST_WIDTH:
        return
    # Some programs count octets, some characters.
    first = longest if body.isascii() else max(longest - 12, *map(_characters, lines))
    widths = sorted({*range(first, longest + 12), *_USUAL_WIDTHS})
    seen = {body}
    rejoiners: list[tuple[_Rejoin, str]] = [
        (lambda lines: _hard(lines, longest, b"", b""), f"lines were broken behind {longest} characters"),
        (
            lambda lines: _hard(lines, longest, b"", b" "),
            f"lines were broken behind {longest} characters, and indented",
        ),
        (lambda lines: _hard(lines, longest, b"!", b" "), f'lines were broken behind {longest} characters with "!"'),
        (lambda lines: _hard(lines, longest, b"!", b""), f'lines were broken behind {longest} characters with "!"'),
        (_flowed, "lines were broken as flowed text (RFC 3676)"),
    ]
    measures: list[Callable[[bytes], int]] = [len] if body.isascii() else [len, _characters]
    rejoiners += [
        (_soft_rejoiner(width, measure), f"lines were broken at blanks, to at most {width} characters")
        for measure in measures
        for width in widths
    ]
    if len(texts) == 1:
        rejoiners += [(rejoin, "a line was broken in two") for rejoin in _single_rejoiners(lines)]
    for rejoin, words in rejoiners:
        whole, at, count = _rejoined(body, texts, rejoin)
        if whole not in seen:
            seen.add(whole)
            yield Undone(whole, Code.LINES_WRAPPED, words, at, number=count)


_Rejoin: TypeAlias = Callable[[list[bytes]], list[bytes]]


def _rejoined(body: bytes, texts: list[Part], rejoin: _Rejoin) -> tuple[bytes, int, int]:
    pieces, done, at, count = [], 0, -1, 0
    for part in texts:
        before = body[part.body : part.end].split(b"\r\n")
        after = rejoin(before)
        if len(after) != len(before):
            same = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(after))
            if at < 0:
                at = part.body + sum(len(line) + 2 for line in before[:same])
            count += len(before) - len(after)
        pieces += [body[done : part.body], b"\r\n".join(after)]
        done = part.end
    return b"".join([*pieces, body[done:]]), at, count


def _hard(lines: list[bytes], width: int, mark: bytes, indent: bytes) -> list[bytes]:
    joined: list[list[bytes]] = []
    go_on = False
    for line in lines:
        # Whether the blank before a continuation counts, is each program's own.
        broken = width - len(indent) <= len(line) <= width and line.endswith(mark)
        text = line[: len(line) - len(mark)] if broken else line
        if go_on and line.startswith(indent):
            joined[-1].append(text[len(indent) :])
        else:
            joined.append([text])
        go_on = broken
    return [b"".join(pieces) for pieces in joined]


def _flowed(lines: list[bytes]) -> list[bytes]:
    joined: list[list[bytes]] = []
    go_on = False
    for line in lines:
        if go_on:
            joined[-1].append(line)
        else:
            joined.append([line])
        go_on = line.endswith(b" ") and line != b"-- "
    return [b"".join(pieces) for pieces in joined]


def _soft_rejoiner(width: int, measure: Callable[[bytes], int]) -> _Rejoin:
    def rejoin(lines: list[bytes]) -> list[bytes]:
        joined: list[list[bytes]] = []
        last = 0  # length of the line before; 0 where nothing can go on
        for line in lines:
            word = line.partition(b" ")[0]
            if last and word and last + 1 + measure(word) > width:
                joined[-1].append(line)
            else:
                joined.append([line])
            last = measure(line)
        return [b" ".join(pieces) for pieces in joined]

    return rejoin


def _single_rejoiners(lines: list[bytes]) -> Iterator[_Rejoin]:
    """One long line after the other, with the next."""
    places = [at for at, (line, after) in enumerate(pairwise(lines)) if len(line) >= _LEAST_WIDTH and after]

    def joining(at: int, by: bytes) -> _Rejoin:
        return lambda lines: [*lines[:at], lines[at] + by + lines[at + 1], *lines[at + 2 :]]

    for by in (b" ", b""):
        for at in places[:MAX_SINGLE_LINES]:
            yield joining(at, by)


_CONTINUING = bytes(range(0x80, 0xC0))


def _characters(line: bytes) -> int:
    """How many characters of UTF-8 it has."""
    return len(line.translate(None, _CONTINUING))


def byte_order_marks(body: bytes, found: Structure) -> Iterator[Undone]:
    """A byte-order mark at the beginning of the body or of a part."""
    for part in found.leaves[:MAX_SINGLE_LINES]:
        if body.startswith(BYTE_ORDER_MARK, part.body):
            rest = body[: part.body] + body[part.body + 3 :]
            words = "a byte-order mark was added"
            yield Undone(rest, Code.BYTE_ORDER_MARK_ADDED, words, part.body, BYTE_ORDER_MARK, part=part.title)
        elif part.content_type.startswith("text/"):
            more = body[: part.body] + BYTE_ORDER_MARK + body[part.body :]
            words = "the byte-order mark is gone"
            yield Undone(more, Code.BYTE_ORDER_MARK_REMOVED, words, part.body, removed=BYTE_ORDER_MARK, part=part.title)


_CHARSETS = ("iso-8859-1", "cp1252", "iso-8859-15")


def charsets(body: bytes, _: Structure) -> Iterator[Undone]:
    """Text of one character set written in another."""
    if body.isascii():
        return
    at = next(re.finditer(rb"[\x80-\xff]", body)).start()
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        for name in _CHARSETS:
            yield from _recoded(body, name, "utf-8", at)
        return
    for name in _CHARSETS:
        try:
            yield Undone(text.encode(name), Code.CHARSET_CHANGED, f"{name} was made utf-8", at)
        except UnicodeEncodeError:
            continue


def _recoded(body: bytes, now: str, before: str, at: int) -> Iterator[Undone]:
    try:
        yield Undone(body.decode(now).encode(before), Code.CHARSET_CHANGED, f"{before} was made {now}", at)
    except UnicodeError:
        return


WHOLE: tuple[tuple[str, Undo], ...] = (
    ("CR and LF", line_ends),
    ('">" before "From "', from_lines),
    ("dots doubled or lost", dots),
    ("empty lines", blank_lines),
    ("blanks at line ends", blanks_at_line_ends),
    ("byte-order marks", byte_order_marks),
    ("tabs and blanks", tabs),
    ("lines wrapped", wrapped_lines),
    ("another character set", charsets),
)
"""What concerns the text of the whole body, with its name for people."""
