"""What gateways do to MIME parts, undone: parts added, parts encoded anew, text put into them.

As in undo.py, all that is yielded are guesses, a bounded number of them.
"""

# SECURITY: the body comes from the peer. Lines and tags that are tried are counted, each guess is linear in its part.

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain, islice
from typing import NamedTuple, TypeAlias

from mailauth.dkim.explanation.mime import Part, Structure, base64_lines, decoded, quoted_printable
from mailauth.dkim.explanation.result import AlterationCode as Code
from mailauth.dkim.explanation.result import excerpt
from mailauth.dkim.explanation.undo import Undo, Undone, named
from mailauth.mail.lines import to_crlf

MAX_PARTS_TRIED = 20
MAX_LINES_TRIED = 150
"""Lines from the beginning and from the end of a part where it is cut."""

MAX_BANNER_LINES = 60
MAX_TAGS_TRIED = 40
_HTML_OCTETS = 32 * 1024  # how far from <body> and </body> a banner may reach

_WIDTHS = (76, 72, 64, 60, 73, 75, 78, 0)  # of base64; RFC 2045 section 6.8 says at most 76
_QP_FORMS = tuple((width, special) for width in (76, 78, 75, 74, 73, 72) for special in (b"", b'!"#$@[\\]^`{|}~', b"."))


# --- parts ---------------------------------------------------------------------------------------------------------


def added_parts(body: bytes, found: Structure) -> Iterator[Undone]:
    """A part of a multipart that was not there; or the multipart itself was not."""
    for part in list(reversed(found.parts))[:MAX_PARTS_TRIED] if found.multipart else ():
        octets = body[part.start : part.stop]
        without = body[: part.start] + body[part.stop :]
        yield Undone(without, Code.PART_ADDED, f"the part {part.title} was added", part.start, octets, part=part.title)
    for part in [part for part in found.parts if "." not in part.path][:3] if found.multipart else ():
        words = f"the message was put into a multipart, as its part {part.title}"
        inner = body[part.body : part.end] + b"\r\n"
        yield Undone(inner, Code.WRAPPED_IN_MULTIPART, words, part.start, part=part.title)


_PREAMBLES = (
    b"This is a multi-part message in MIME format.",
    b"This is a MIME-formatted message.  If you see this text it means that your\r\nE-mail software does not support"
    b" MIME-formatted messages.",
    b"This is a multipart message in MIME format.",
    b"This is a message with multiple parts in MIME format.",
)


def preambles(body: bytes, found: Structure) -> Iterator[Undone]:
    """The words before the first boundary, which some gateways drop (RFC 2046 section 5.1.1)."""
    if not found.delimiters:
        return
    first = found.delimiters[0]
    # One that stands there is not gone, whatever stands around it.
    for text in _PREAMBLES if not any(text in body[:first] for text in _PREAMBLES) else ():
        for end in (b"\r\n", b"\r\n\r\n"):
            words = "the text before the first boundary is gone"
            yield Undone(text + end + body[first:], Code.PREAMBLE_REMOVED, words, first, body[:first], text)


def epilogues(body: bytes, found: Structure) -> Iterator[Undone]:
    """Text behind the last boundary (RFC 2046 section 5.1.1)."""
    if found.closed is not None and found.closed < len(body):
        words, added = "text was added behind the last boundary", body[found.closed :]
        yield Undone(body[: found.closed], Code.TEXT_AFTER_LAST_BOUNDARY, words, found.closed, added)


def banners(body: bytes, found: Structure) -> Iterator[Undone]:
    """Text before everything else."""
    for at in _line_starts(body)[:MAX_BANNER_LINES] if not found.multipart else ():
        words = "text was added at the beginning of the body"
        code, detail, number = named(body[:at], Code.TEXT_ADDED_AT_START, words)
        yield Undone(body[at:], code, detail, 0, body[:at], number=number)


# --- the fields of parts -------------------------------------------------------------------------------------------

_FIELD_OF_PART = re.compile(rb"[^\r\n]++\r\n(?:[ \t][^\r\n]*+\r\n)*+")
_PART_FOLD = re.compile(rb"\r\n[ \t]++")
_BEFORE_PARAMETER = re.compile(rb";[ \t]*+(?:\r\n[ \t]++)?+(?=[^\s;])")
_QUOTED_PARAMETER = re.compile(rb'=[ \t]*+"([^"\s()<>@,;:\\/\[\]?=]{1,100})"')
_BARE_PARAMETER = re.compile(rb'=([^"\s;]{1,100})(?=[ \t]*+(?:;|\r\n))')
_MAX_PART_FIELDS = 8


def part_headers(body: bytes, found: Structure) -> Iterator[Undone]:
    """Fields of MIME parts written anew, put into another order, or added: first of all parts, then of each alone."""
    parts = [part for part in found.parts if part.path][:MAX_PARTS_TRIED]
    for words, rewrite in _OF_PART_HEADERS:
        rewritten = [(part, rewrite(body[part.header : part.body])) for part in parts]
        changed = [(part, header) for part, header in rewritten if header != body[part.header : part.body]]
        if len(changed) > 1:
            pieces, done = [], 0
            for part, header in changed:
                pieces += [body[done : part.header], header]
                done = part.body
            whole, at = b"".join([*pieces, body[done:]]), changed[0][0].header
            detail = f"the fields of {len(changed)} parts were {words}"
            yield Undone(whole, Code.PART_HEADER_REWRITTEN, detail, at, number=len(changed))
        for part, header in changed:
            yield _with_part_header(body, part, header, words)
    for part in parts:
        header = body[part.header : part.body]
        for field in _FIELD_OF_PART.findall(header)[:_MAX_PART_FIELDS]:
            name = excerpt(field.partition(b":")[0].strip(), 80)
            without = header.replace(field, b"", 1)
            yield _with_part_header(body, part, without, f"given {name}", field)


def _with_part_header(body: bytes, part: Part, header: bytes, words: str, added: bytes = b"") -> Undone:
    whole = body[: part.header] + header + body[part.body :]
    detail = f"the fields of part {part.title} were {words}"
    return Undone(whole, Code.PART_HEADER_REWRITTEN, detail, part.header, added, part=part.title)


def _reversed_fields(header: bytes) -> bytes:
    fields = _FIELD_OF_PART.findall(header)
    return b"".join([*reversed(fields), header[sum(map(len, fields)) :]])


def _sub(pattern: re.Pattern[bytes], by: bytes) -> Callable[[bytes], bytes]:
    return lambda header: pattern.sub(by, header)


_OF_PART_HEADERS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("folded differently", _sub(_PART_FOLD, b" ")),
    ("folded differently", _sub(_PART_FOLD, b"\r\n ")),
    ("folded differently", _sub(_PART_FOLD, b"\r\n\t")),
    ("folded differently", _sub(_BEFORE_PARAMETER, b";\r\n\t")),
    ("folded differently", _sub(_BEFORE_PARAMETER, b";\r\n ")),
    ("folded differently", _sub(_BEFORE_PARAMETER, b"; ")),
    ("given blanks before the parameters", _sub(_BEFORE_PARAMETER, b";")),
    ("given quotes", _sub(_QUOTED_PARAMETER, rb"=\1")),
    ("freed of quotes", _sub(_BARE_PARAMETER, rb'="\1"')),
    ("put into another order", _reversed_fields),
)  # fmt: skip


# --- encodings -----------------------------------------------------------------------------------------------------


def _in_base64(content: bytes) -> Iterator[tuple[str, bytes]]:
    for width in _WIDTHS:
        text = base64_lines(content, width)
        yield "base64", text
        yield "base64", text + b"\r\n"


_MAX_QUOTED = 256 * 1024  # octets of text that are written as quoted-printable, which takes its time
_IDENTITY = ("8bit", "7bit", "binary", "")


def recoded(body: bytes, found: Structure) -> Iterator[Undone]:
    """Parts whose Content-Transfer-Encoding was changed, or done anew: each alone, then all texts at once."""
    parts = [part for part in found.leaves if part.end > part.body][:MAX_PARTS_TRIED]
    for again in (True, False):
        for part in parts:
            for guess in _encodings(part, body[part.body : part.end]):
                if (guess.code is not Code.ENCODING_CHANGED) is again:
                    for replacement in _with_header(part, guess, body):
                        whole = body[: part.header] + replacement + body[part.end :]
                        title = part.title if part.path else ""
                        yield Undone(whole, guess.code, guess.detail, part.body, part=title)
    texts = [part for part in parts if part.content_type.startswith("text/")]
    if len(texts) > 1:
        yield from _all_recoded(body, texts)


class _Guess(NamedTuple):
    encoding: str
    octets: bytes
    code: Code
    detail: str


def _encodings(part: Part, octets: bytes) -> Iterator[_Guess]:
    """What the octets of a part may have been."""
    content = decoded(part, octets)
    now = part.encoding or "7bit"
    # The same octets may be right under another name: plain text is its own quoted-printable.
    seen = {(now, _digest(octets))}
    guesses: Iterator[tuple[str, bytes]] = chain(_plain(part, content), _quoted(part, content), _in_base64(content))
    for encoding, text in guesses:
        guess = encoding, _digest(text)
        if guess in seen:
            continue
        seen.add(guess)
        if encoding == now:
            code = Code.BASE64_REDONE if encoding == "base64" else Code.QUOTED_PRINTABLE_REDONE
            yield _Guess(encoding, text, code, f"the {encoding} was written anew")
        else:
            words = f"{encoding} was made {now}"
            yield _Guess(encoding, text, Code.ENCODING_CHANGED, words)


def _digest(octets: bytes) -> bytes:
    """What is kept of a guess, which may be large."""
    return hashlib.sha256(octets).digest()


def _plain(part: Part, content: bytes) -> Iterator[tuple[str, bytes]]:
    if part.encoding not in ("quoted-printable", "base64"):
        return
    name = "7bit" if content.isascii() else "8bit"
    for text in (content, to_crlf(content)):
        yield name, text
        if text.endswith(b"\r\n"):
            yield name, text[:-2]
        yield name, text + b"\r\n"


def _quoted(part: Part, content: bytes) -> Iterator[tuple[str, bytes]]:
    if part.content_type.startswith("text/") and len(content) <= _MAX_QUOTED:
        for text in _quoted_forms(content) if len(content) > _MAX_CACHED else _cached_forms(content):
            yield "quoted-printable", text
            # The last line end may have been the delimiter's.
            yield "quoted-printable", text.removesuffix(b"\r\n")


def _quoted_forms(content: bytes) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys(quoted_printable(content, *form) for form in _QP_FORMS))


_MAX_CACHED = 16 * 1024
# Of two alterations one mostly leaves a part alone, and to write that anew takes the most time of all.
_cached_forms = lru_cache(maxsize=32)(_quoted_forms)


_ENCODING_FIELD = re.compile(
    rb"(?:\A|(?<=\n))(content-transfer-encoding[ \t]*+:[ \t]*+)([^\r\n]*+)(\r?\n)", re.IGNORECASE
)


def _with_header(part: Part, guess: _Guess, body: bytes) -> Iterator[bytes]:
    """The part's header, saying so, and what followed it."""
    header, gap = body[part.header : part.body], b""
    if guess.encoding == part.encoding or not part.path:
        yield header + guess.octets
        return
    if header.endswith(b"\r\n"):
        header, gap = header[:-2], b"\r\n"
    names = _IDENTITY if guess.encoding in _IDENTITY else (guess.encoding,)
    for name in names:
        if not name:
            yield _ENCODING_FIELD.sub(b"", header, count=1) + gap + guess.octets
        elif _ENCODING_FIELD.search(header):
            yield _ENCODING_FIELD.sub(rb"\g<1>" + name.encode() + rb"\g<3>", header, count=1) + gap + guess.octets
        else:
            yield header + b"Content-Transfer-Encoding: " + name.encode() + b"\r\n" + gap + guess.octets


def _all_recoded(body: bytes, texts: list[Part]) -> Iterator[Undone]:
    for target in ("8bit", "quoted-printable", "base64"):
        for variant in range(4):
            pieces, done, changed = [], 0, 0
            for part in texts:
                guesses = [
                    replacement
                    for guess in _encodings(part, body[part.body : part.end])
                    if guess.encoding == target or (target == "8bit" and guess.encoding == "7bit")
                    for replacement in _with_header(part, guess, body)
                ]
                if guesses:
                    pieces += [body[done : part.header], guesses[min(variant, len(guesses) - 1)]]
                    done = part.end
                    changed += 1
            if changed > 1:
                now = {part.encoding or "7bit" for part in texts}
                other = now.pop() if len(now) == 1 else "another encoding"
                words = f"{target} was made {other}, in {changed} parts"
                whole = b"".join([*pieces, body[done:]])
                yield Undone(whole, Code.ENCODING_CHANGED, words, texts[0].body, number=changed)


# --- text put into a part ------------------------------------------------------------------------------------------


class Edit(NamedTuple):
    """What a part may have held. `octets` stand from `part.body` to `part.end`."""

    part: Part
    octets: bytes
    added: tuple[tuple[str, bytes, int], ...]  # in words, the text, and its place in the part as it can be read


_Spans: TypeAlias = tuple[tuple[int, int], ...]


def edits(body: bytes, part: Part) -> Iterator[Edit]:
    """The part without text that may have been added, the likeliest first."""
    raw = body[part.body : part.end]
    for text, spans in _without(part, raw, whole=not part.path):
        yield Edit(part, text, _added(part, raw, spans))
    if part.encoding == "base64" and len(raw) < _MAX_QUOTED:
        content, width = decoded(part, raw), len(raw.partition(b"\r\n")[0])
        line_end = b"\r\n" if raw.endswith(b"\r\n") else b""
        for text, spans in _without(part, content, whole=False):
            yield Edit(part, base64_lines(text, width) + line_end, _added(part, content, spans))
    if part.encoding == "quoted-printable" and len(raw) < _MAX_QUOTED:
        content = decoded(part, raw)
        forms = [form for form in _QP_FORMS if quoted_printable(content, *form) == raw]
        for text, spans in _without(part, content, whole=False) if forms else ():
            yield Edit(part, quoted_printable(text, *forms[0]), _added(part, content, spans))


def _added(part: Part, octets: bytes, spans: _Spans) -> tuple[tuple[str, bytes, int], ...]:
    name = f"part {part.title}" if part.path else "the body"
    found = []
    for start, end in spans:
        where = "at the beginning of" if start == 0 else "at the end of" if end == len(octets) else "within"
        found.append((f"text was added {where} {name}", octets[start:end], start))
    return tuple(found)


def _without(part: Part, octets: bytes, *, whole: bool) -> Iterator[tuple[bytes, _Spans]]:
    """The octets without those from one place to another, or from two. The end of a whole body was looked at before."""
    ends = [] if whole else _line_starts_from_the_end(octets)
    starts = _line_starts(octets)
    for at in _likeliest_first(octets, ends):
        # The CRLF before a delimiter is the delimiter's.
        if octets.endswith(b"\r\n", 0, at):
            yield octets[: at - 2], ((at - 2, len(octets)),)
        yield octets[:at], ((at, len(octets)),)
    for at in starts:
        yield octets[at:], ((0, at),)
    if part.content_type == "text/html":
        yield from _without_html(octets)
    for first in starts[:20]:
        for last in ends[:40]:
            if first < last:
                yield octets[first:last], ((0, first), (last, len(octets)))
                if octets.endswith(b"\r\n", first, last):
                    yield octets[first : last - 2], ((0, first), (last - 2, len(octets)))


def _without_html(octets: bytes) -> Iterator[tuple[bytes, _Spans]]:
    above, below = list(_behind_opening(octets)), list(_before_closing(octets))
    for start, end in (*above, *below, *_behind_head(octets)):
        yield octets[:start] + octets[end:], ((start, end),)
    for start, end in above[:30]:
        for start_2, end_2 in below[:30]:
            if end <= start_2:
                text = octets[:start] + octets[end:start_2] + octets[end_2:]
                yield text, ((start, end), (start_2, end_2))


def _line_starts(octets: bytes) -> list[int]:
    # LF, for what is encoded may have other line ends than mail.
    found: list[int] = []
    at = octets.find(b"\n")
    while at >= 0 and len(found) < MAX_LINES_TRIED:
        found.append(at + 1)
        at = octets.find(b"\n", at + 1)
    return found


def _line_starts_from_the_end(octets: bytes) -> list[int]:
    found: list[int] = []
    at = octets.rfind(b"\n")
    while at >= 0 and len(found) < MAX_LINES_TRIED:
        found.append(at + 1)
        at = octets.rfind(b"\n", 0, at)
    return found


_SEPARATOR = re.compile(rb"[-_=*#~+ ]{2,}+(?=\r|\n|\Z)")


def _likeliest_first(octets: bytes, places: list[int]) -> list[int]:
    """Separators and what follows an empty line come first."""

    def unlikely(at: int) -> bool:
        return not (_SEPARATOR.match(octets, at) or octets.endswith(b"\r\n\r\n", 0, at))

    return sorted(places, key=unlikely)


_BODY_TAG = re.compile(rb"<body[^<>]*+>", re.IGNORECASE)
_HTML_TAG = re.compile(rb"<html[^<>]*+>", re.IGNORECASE)
_HEAD_TAG = re.compile(rb"<head[^<>]*+>", re.IGNORECASE)
_END_IN_HEAD = re.compile(rb"<(?:meta|base|link)\b[^<>]*+>|</(?:style|script|title)[ \t]*+>|-->", re.IGNORECASE)
_END_OF_BLOCK = re.compile(
    rb"</(?:div|table|p|center|span|section|blockquote|h[1-6])[ \t]*+>|<[bh]r[^<>]*+>|-->", re.IGNORECASE
)
_START_OF_BLOCK = re.compile(rb"<(?:div|table|p|center|span|section|blockquote|br|hr|h[1-6])\b|<!--", re.IGNORECASE)


def _behind_opening(octets: bytes) -> Iterator[tuple[int, int]]:
    """A block behind <body>, as far as tags show where it ends; at the beginning of HTML that has no <body>."""
    opening = _BODY_TAG.search(octets) or _HTML_TAG.search(octets)
    yield from _blocks_behind(octets, opening.end() if opening else 0, _END_OF_BLOCK)


def _behind_head(octets: bytes) -> Iterator[tuple[int, int]]:
    """What was put behind <head>: a <meta> that names the character set, a style."""
    opening = _HEAD_TAG.search(octets)
    if opening is not None:
        yield from _blocks_behind(octets, opening.end(), _END_IN_HEAD)


def _blocks_behind(octets: bytes, at: int, ends: re.Pattern[bytes]) -> Iterator[tuple[int, int]]:
    for match in islice(ends.finditer(octets, at, at + _HTML_OCTETS), MAX_TAGS_TRIED):
        end = match.end()
        yield at, end
        if octets.startswith(b"\r\n", end):
            yield at, end + 2
        if octets.startswith(b"\r\n", at):
            yield at + 2, end
            if octets.startswith(b"\r\n", end):
                yield at + 2, end + 2


def _before_closing(octets: bytes) -> Iterator[tuple[int, int]]:
    """A block before </body>, as far as tags show where it begins."""
    closing = max(octets.rfind(b"</body>"), octets.rfind(b"</BODY>"))
    if closing < 0:
        closing = max(octets.rfind(b"</html>"), octets.rfind(b"</HTML>"))
    if closing < 0:
        closing = len(octets)
    found = list(_START_OF_BLOCK.finditer(octets, max(0, closing - _HTML_OCTETS), closing))
    for match in reversed(found[-MAX_TAGS_TRIED:]):
        yield match.start(), closing
        if octets.endswith(b"\r\n", 0, match.start()):
            yield match.start() - 2, closing
        if octets.endswith(b"\r\n", 0, closing):
            yield match.start(), closing - 2


MIME: tuple[tuple[str, Undo], ...] = (
    ("text behind the last boundary", epilogues),
    ("parts added", added_parts),
    ("transfer encodings", recoded),
    ("fields of parts", part_headers),
    ("text before the first boundary", preambles),
    ("text at the beginning", banners),
)
"""What concerns the MIME structure, with its name for people."""
