"""Finding and deleting Authentication-Results fields that claim to be ours; every other octet stays as it is."""

# RFC 8601 section 5: a server at the border deletes each field that bears its own authserv-id, and each whose version
# it does not know. It says nothing of fields that cannot be read; the rule here (docs/conformance.md):
#   - Only the beginning counts, up to the first semicolon. What follows the id may be as broken as it likes: a reader
#     that is laxer than this one would still take the field for ours, and nobody else's field is ours to judge.
#   - An id is ours if any reading of the beginning gives ours: without quotes, without comments, with the words put
#     together again, in UTF-8 without quotes, without invisible characters, or with something behind it that is no
#     part of a name (`mx.example.net/x`, as substructure).
#   - White space at the top of the message is deleted to the end of its line: it would continue the field that is put
#     in front, and so add results to ours.
#   - A beginning that cannot be read (open quotes or comment, controls, encoded words, octets that are no UTF-8, no id
#     at all) is deleted: whom it claims depends on who reads it, and a consumer must not use it anyway (section 4.1).
#
# SECURITY: the forger chooses the whole header, and gains if any reader downstream sees a field that was not judged
# here. So fields are looked for where lax readers find them, too: behind a bare CR or LF (or whatever else passes for
# a line end) within another field, behind a line that breaks the header off, behind the bounds of the splitter, and
# behind the empty line of an LF message, for those to whom only CRLF ends a line. All scans are linear, nothing raises.

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from mailauth.authres.field import Reason, check_authserv_id
from mailauth.authres.parse import Malformed, Scanner
from mailauth.authres.words import DIGITS, FIELD_NAME, SUPPORTED_VERSION, TOKEN, UNSAFE, WORD
from mailauth.mail.header import Header, split
from mailauth.mail.names import to_ascii

_NAME = FIELD_NAME.lower()

# A field as the laxest reader sees it: it takes CR, LF and all that str.splitlines does for line ends, drops NUL, and
# unfolds before it looks for the colon. The line end before the field is matched, too.
_ANY_LINE_END = rb"(?>\r\n|[\r\n\x0b\x0c\x1c-\x1e]|\xc2\x85|\xe2\x80[\xa8\xa9])"
_LAX_NAME = rb"\0*+" + rb"\0*+".join(bytes([octet]) for octet in _NAME.encode())
_LAX_FIELD = re.compile(
    rb"(?:\A|%(end)s)(?P<field>%(name)s(?:[\0 \t]|%(end)s(?=[ \t]))*+:"
    rb"(?P<value>(?:[^\r\n\x0b\x0c\x1c-\x1e\xc2\xe2]++|%(end)s(?=[ \t])|(?!%(end)s)[\xc2\xe2])*+))"
    % {b"end": _ANY_LINE_END, b"name": _LAX_NAME},
    re.IGNORECASE,
)
_LINE_END = re.compile(_ANY_LINE_END)
_GOOD_LINE_END = re.compile(rb"\r?\n|\Z")
# Where the header ends: for readers to whom each LF ends a line, and for those to whom only CRLF does.
_EMPTY_LINE = re.compile(rb"(?:\A|\n)\r?\n")
_EMPTY_CRLF_LINE = re.compile(rb"(?:\A|\r\n)\r\n")
_MBOX_LINE = re.compile(rb"From (?![ \t]*:)[^\n]*+\n")
_ORPHANS = re.compile(rb"(?:[\0\r]*+[ \t][^\n]*+(?:\n|\Z))++")

_UNSAFE = re.compile(f"[\r\n{UNSAFE}]")
# Characters without a shape, which IDNA2003 (RFC 3454 table B.1) took out of names, and some readers still do.
_INVISIBLE = re.compile("[\u00ad\u034f\u180b-\u180d\u200b-\u200d\u2060\ufe00-\ufe0f\ufeff]")
_MAX_JOINED = 1024  # characters of an id that was torn apart; ours has 255 octets at most


class Claim(StrEnum):
    """Why a field is deleted: stable codes."""

    OURS = "ours"  # it bears our authserv-id
    UNREADABLE = "unreadable"  # nobody can say whose id it bears
    UNSUPPORTED_VERSION = "unsupported-version"  # RFC 8601 section 5: must go as well
    CONTINUATION = "continuation"  # no field: it stands at the top, and would continue the one put in front


@dataclass(frozen=True, slots=True)
class Forged:
    """A field that was, or is to be, deleted; or what would have continued ours.

    `index` is its place in the list of fields (from 0), `occurrence` its number among the Authentication-Results
    fields from the top (from 1), which is how milters name a field. Both are None for what only lax readers see as a
    field, and for a continuation. `raw` are its octets (`find_forged`: those of its value).
    """

    claim: Claim
    index: int | None
    occurrence: int | None
    raw: bytes

    def to_dict(self) -> dict[str, Any]:
        """What was found, as JSON has it; octets outside ASCII escaped."""
        field = self.raw.decode("ascii", "backslashreplace")
        return {"claim": str(self.claim), "index": self.index, "occurrence": self.occurrence, "field": field}


class Cleaned(NamedTuple):
    """A message without forged fields, and what was deleted.

    First the fields, from the end to the top; then what only lax readers see, likewise; then what stood at the top.
    """

    message: bytes
    removed: tuple[Forged, ...]


def remove_forged(message: bytes, authserv_id: str | Iterable[str]) -> Cleaned:
    """Delete the fields that claim to be ours; every other octet stays as it is.

    `authserv_id` is ours, or all that are ours; compared without case, U-labels equal to their A-labels. Raises
    `ValueError` or `TypeError` for an authserv-id that cannot be one, `TypeError` for a message that is not bytes.
    """
    return _cleaned(message, split(message).header, _keys(authserv_id))


def remove_forged_from_header(header: Header, authserv_id: str | Iterable[str]) -> Cleaned:
    """The same for a header alone (of a stream: `mailauth.mail.header.split_stream`); its octets are the `message`.

    What stands behind the header cannot be looked at here: a stream whose header has `no_empty_line` or a `broken_off`
    should be refused, or read whole for `remove_forged`.
    """
    return _cleaned(header.mbox_line + header.raw + header.separator, header, _keys(authserv_id))


def find_forged(
    fields: Sequence[tuple[bytes | str, bytes | str]], authserv_id: str | Iterable[str]
) -> tuple[Forged, ...]:
    """Which of the fields (name and value, from the top) are to be deleted: the last one first.

    In this order a milter deletes them (``chgheader(name, forged.occurrence, "")``) without shifting the numbers of
    those still to come.
    """
    ours, forged, occurrence = _keys(authserv_id), list[Forged](), 0
    for index, (name, value) in enumerate(fields):
        if _octets(name).strip(b" \t").lower() != _NAME.encode():
            continue
        occurrence += 1
        claim = _claim(_octets(value), ours)
        if claim is not None:
            forged.append(Forged(claim, index, occurrence, _octets(value)))
    return tuple(reversed(forged))


def _octets(text: bytes | str) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)


def _cleaned(octets: bytes, header: Header, ours: frozenset[str]) -> Cleaned:
    """What is left, looked at until nothing more is found.

    Where line ends are mixed, what goes may have been a part of the empty line for some readers; for them the header
    goes on then, with fields that nobody had looked at.
    """
    removed: list[Forged] = []
    for _ in range(_MAX_PASSES):
        octets, found = _pass(octets, header, ours)
        # Places are those in the message as it came.
        removed += [replace(each, index=None, occurrence=None) for each in found] if removed else found
        if not found:
            return Cleaned(octets, tuple(removed))
        header = split(octets).header
    # Made to be looked at without end: no field of that name stays, whosever it is, wherever it stands.
    rest = [Forged(Claim.UNREADABLE, None, None, match["field"]) for match in _LAX_FIELD.finditer(octets)]
    octets, orphans = _without_orphans(_LAX_FIELD.sub(b"", octets))
    return Cleaned(octets, (*removed, *reversed(rest), *orphans))


_MAX_PASSES = 10


def _pass(octets: bytes, header: Header, ours: frozenset[str]) -> _Rest:
    judged: set[int] = set()
    octets, visible = _without_visible(octets, header, ours, judged)
    octets, hidden = _without_hidden(octets, ours, judged)
    octets, orphans = _without_orphans(octets)
    return octets, [*reversed(visible), *reversed(hidden), *orphans]


_Rest = tuple[bytes, list[Forged]]  # the octets that stay, and what went, from the top


def _without_visible(octets: bytes, header: Header, ours: frozenset[str], judged: set[int]) -> _Rest:
    """The octets without the forged ones among the fields of the header; `judged` collects where others stand then."""
    pieces, forged, occurrence, place = [header.mbox_line], list[Forged](), 0, len(header.mbox_line)
    for index, field in enumerate(header.fields):
        named = field.name == _NAME
        occurrence += named
        claim = _claim(field.value, ours) if named else None
        if claim is not None:
            forged.append(Forged(claim, index, occurrence, field.raw))
            continue
        if named:
            judged.add(place)
        pieces.append(field.raw)
        place += len(field.raw)
    pieces.append(octets[len(header.mbox_line) + len(header.raw) :])
    return b"".join(pieces), forged


def _without_hidden(octets: bytes, ours: frozenset[str], judged: set[int]) -> _Rest:
    """The octets without the forged ones that only lax readers see.

    The line end before such a field goes with it, and the one behind it stays, so that a field which hid it ends as
    it did before. Where there is none before it, the one behind it goes.
    """
    pieces, forged, rest = [], list[Forged](), 0
    for match in _lax_fields(octets):
        start, stop = match.span("field")
        if start in judged:
            continue
        # An odd line end within the id: others drop it, as they do controls, and read on.
        claim = _claim(match["value"] + (b"" if _GOOD_LINE_END.match(octets, stop) else b"\0"), ours)
        if claim is not None:
            before = match.start()
            if before == start or before < rest:
                line_end = _LINE_END.match(octets, stop)
                before, stop = start, line_end.end() if line_end else stop
            pieces.append(octets[rest:before])
            rest = stop
            forged.append(Forged(claim, None, None, match["field"]))
    return b"".join((*pieces, octets[rest:])), forged


def _lax_fields(octets: bytes) -> Iterator[re.Match[bytes]]:
    """The fields that any reader sees.

    To one to whom each LF ends a line, the header ends at the first empty line; to one to whom only CRLF does, it may
    go on, and so it does for the others once a field with CRLF is put in front of an LF message.
    """
    end = _end(_EMPTY_LINE, octets, 0)
    yield from _LAX_FIELD.finditer(octets, 0, end)
    # The CRLF of the empty line may be the one in front of a field.
    if octets.find(b"\r\n", max(end - 2, 0)) < 0:
        return
    for match in _LAX_FIELD.finditer(octets, max(end - 2, 0), _end(_EMPTY_CRLF_LINE, octets, max(end - 4, 0))):
        if octets.startswith(b"\r\n", match.start()):
            yield match


def _end(pattern: re.Pattern[bytes], octets: bytes, start: int) -> int:
    match = pattern.search(octets, start)
    return match.end() if match else len(octets)


def _without_orphans(octets: bytes) -> _Rest:
    """The octets without the lines at the top that continue no field of the message."""
    orphans: list[Forged] = []
    # Without what stood before it, a "From " line is that of an mbox file: look behind it again.
    while match := _ORPHANS.match(octets, _end_of_mbox_line(octets)):
        orphans.append(Forged(Claim.CONTINUATION, None, None, match.group()))
        octets = octets[: match.start()] + octets[match.end() :]
    return octets, orphans


def _end_of_mbox_line(octets: bytes) -> int:
    match = _MBOX_LINE.match(octets)
    return match.end() if match else 0


def _keys(authserv_id: str | Iterable[str]) -> frozenset[str]:
    ids = [authserv_id] if isinstance(authserv_id, str) else list(authserv_id)
    if not ids:
        raise ValueError("no authserv-id is given")
    return frozenset(_key(check_authserv_id(one)) for one in ids)


def _key(authserv_id: str) -> str:
    """The id in the form in which two are compared: RFC 8601 section 5, A-labels and U-labels are the same."""
    text = authserv_id.strip()
    shown = _INVISIBLE.sub("", text)
    return to_ascii(text) or to_ascii(shown) or unicodedata.normalize("NFKC", shown).casefold()


def _claim(value: bytes, ours: frozenset[str]) -> Claim | None:
    """Why a field of this value must go; None if it may stay."""
    try:
        words = _beginning(Scanner(_trimmed(value).decode("utf-8", "surrogateescape")))
    except Malformed:
        return Claim.UNREADABLE
    if _is_ours(words[0], ours) or any(_is_ours(joined, ours) for joined in _joined(words, ours)):
        return Claim.OURS
    if len(words) > 1 and DIGITS.fullmatch(words[1]) and words[1].lstrip("0") != str(SUPPORTED_VERSION):
        return Claim.UNSUPPORTED_VERSION
    return None


def _trimmed(value: bytes) -> bytes:
    """The value without its last line end."""
    return value.removesuffix(b"\n").removesuffix(b"\r")


def _beginning(scanner: Scanner) -> list[str]:
    """The words up to the first semicolon, or to the first character that no word has; one word at least.

    RFC 2047 section 5 allows encoded words in comments alone, but there are readers that decode them everywhere.
    """
    scanner.cfws()
    words = [_word(scanner)]
    if not words[0].strip():
        raise scanner.malformed(Reason.NO_AUTHSERV_ID, "an empty authserv-id")
    while True:
        scanner.cfws()
        here = scanner.peek()
        if here == '"' or WORD.match(here):
            words.append(_word(scanner))
        elif _UNSAFE.match(here) or "=?" in scanner.text[: scanner.position + 2]:
            raise scanner.malformed(Reason.UNEXPECTED, "a control character or an encoded word")
        else:
            return words


def _word(scanner: Scanner) -> str:
    """A value (RFC 8601 section 2.2), in which lax readers take UTF-8 without quotes, too."""
    return scanner.take(WORD) or scanner.value(Reason.NO_AUTHSERV_ID, "an authserv-id")


def _is_ours(text: str, ours: frozenset[str]) -> bool:
    """Whether the text is our id, alone or with something behind it that cannot be part of a name."""
    if len(text) > _MAX_JOINED:
        text = text[:_MAX_JOINED]
    key = _key(text)
    return key in ours or any(key.startswith(one) and not TOKEN.match(key, len(one)) for one in ours)


def _joined(words: list[str], ours: frozenset[str]) -> Iterator[str]:
    """What the words may say together: each beginning of them that may lead to our id, and all but the last, and all.

    The last one may be a version.
    """
    before = text = ""
    for word in words:
        before, text = text, text + word
        if len(text) > _MAX_JOINED:
            return
        if text.isascii():
            yield text
            if not any(one.startswith(text.lower()) for one in ours):
                return
    yield before
    yield text
