"""What servers do to single header fields, undone: what a field may have been when it was signed.

As in undo.py, all that is yielded are guesses, a bounded number of them.
"""

# SECURITY: fields come from the peer. Long ones are left alone, each guess is linear in the field, and their number is
# bounded; no expression backtracks.

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_tz
from itertools import islice
from typing import NamedTuple

from mailauth.dkim.explanation import words
from mailauth.dkim.explanation.mime import media_type
from mailauth.dkim.explanation.result import AlterationCode as Code
from mailauth.dkim.explanation.words import value_of

MAX_FIELD_OCTETS = 8 * 1024
"""Longer fields are compared as they are, and not rewritten."""

_MAX_TOKENS = 8
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_FOLD_AND_BLANKS = re.compile(rb"\r\n[ \t]++")
_COLUMNS = 78  # RFC 5322 section 2.1.1


class Guess(NamedTuple):
    """A field as it may have been. In `detail`, {} stands for its name."""

    raw: bytes
    code: Code
    detail: str
    added: bytes = b""
    removed: bytes = b""


class Fields(NamedTuple):
    """All that the guesses about one field may draw from."""

    by_name: Mapping[str, Sequence[bytes]]  # the message's fields, CRLF line ends, lower-case names
    simple: bool  # the canonicalization: folds and case count
    part_types: tuple[bytes, ...] = ()  # Content-Type of the body's parts

    def values(self, *names: str) -> list[bytes]:
        """The values of the fields of those names, unfolded; where folds count, as they stand, too."""
        raws = [raw for name in names for raw in self.by_name.get(name, ()) if len(raw) <= MAX_FIELD_OCTETS][:20]
        texts = [value_of(raw) for raw in raws]
        if self.simple:
            texts += [raw.partition(b":")[2].strip(b" \t\r\n") for raw in raws if b"\r\n" in raw[:-2]]
        return texts


def field(name: bytes, value: bytes) -> bytes:
    """A field on one line."""
    return name + b": " + value + b"\r\n"


def guesses(name: str, raw: bytes, fields: Fields) -> Iterator[Guess]:
    """What the field may have been, the likeliest first."""
    if len(raw) > MAX_FIELD_OCTETS:
        return
    written, _, rest = raw.partition(b":")
    value = value_of(raw)
    layouts = list(_layout(written, rest, value, fields.simple))
    yield from layouts[:4]
    later = iter(layouts[4:])
    seen = {guess.raw for guess in layouts}
    # Where folds count, what was done to the field may have left its folds alone.
    folded = rest.strip(b" \t\r\n")
    for text in (folded, value) if fields.simple and folded != value else (value,):
        for guess in _by_kind(name, text, fields):
            for shape in _layouts(guess.raw, rest, fields.simple):
                whole = written + b":" + shape
                if whole not in seen:
                    seen.add(whole)
                    yield guess._replace(raw=whole)
            yield from islice(later, 1)
    yield from later


def _layouts(value: bytes, rest: bytes, simple: bool) -> Iterator[bytes]:
    """A value with blanks and folds as they were, as far as they can be known."""
    lead = rest[: len(rest) - len(rest.lstrip(b" \t"))] or b" "
    yield lead + value + b"\r\n"
    if simple and len(value) > 40 and b"\r\n" not in value:
        yield from (lead + folded for folded in _folded(value, 0))


def _by_kind(name: str, value: bytes, fields: Fields) -> Iterator[Guess]:
    yield from _originals(name, value, fields)
    # Before the many ways to write what is left of a subject in encoded words.
    yield from _encoded_words(value)
    if name in ("subject", "comments"):
        yield from _subject(value)
    if name in _ADDRESSES:
        yield from _addresses(name, value, fields)
    elif name in ("date", "resent-date"):
        yield from _date(value)
    elif name in ("message-id", "in-reply-to", "references", "content-id", "resent-message-id"):
        yield from _message_id(value)
    elif name == "content-type":
        yield from _content_type(value, fields)
    elif name == "content-transfer-encoding":
        yield from _transfer_encoding(value)
    elif name == "mime-version" and value != b"1.0":
        yield Guess(b"1.0", Code.FIELD_REFORMATTED, "a comment was added to {}", value, b"1.0")


def _replaced(value: bytes, before: bytes, words: str) -> Guess:
    return Guess(before, Code.FIELD_REPLACED, words, value, before)


# --- what other fields still show -------------------------------------------------------------------------------

_ORIGINALS = ("x-original-{}", "original-{}", "x-old-{}", "old-{}", "x-google-original-{}", "x-{}", "x-envelope-{}")


def _originals(name: str, value: bytes, fields: Fields) -> Iterator[Guess]:
    """RFC 5703 section 5 says Original-Subject and Original-From; others write X-Original-From and the like."""
    for form in _ORIGINALS:
        other = form.format(name)
        for before in fields.values(other):
            if before != value:
                yield _replaced(value, before, f"{{}} was rewritten (its old value stands in {_title(other)})")


def _title(name: str) -> str:
    return "-".join(word.capitalize() for word in name.split("-"))


# --- Subject -------------------------------------------------------------------------------------------------------

_REPLY = re.compile(r"(?:(?:re|fwd?|aw|wg|sv|tr|antw|r|i)(?:\[\d+\])?:[ \t]*)+", re.IGNORECASE)
_TAG = re.compile(
    r"[ \t]*(?:\[[^\[\]]{1,60}\]|\*{2,5}[^*]{1,40}\*{2,5}|\{[^{}]{1,40}\}|\([^()]{1,40}\)|<[^<>]{1,40}>)[ \t]*"
)
_TAG_AT_END = re.compile(r"[ \t]*(?:\[[^\[\]]{1,60}\]|\([^()]{1,40}\)|\{[^{}]{1,40}\})\Z")


def _subject(value: bytes) -> Iterator[Guess]:
    text = words.decoded(value)
    plain = text is None
    if text is None:
        text = value.decode("utf-8", "surrogateescape")
    for before, added, code, detail in (*_without_tags(text), *_of_answer(text)):
        octets = added.encode("utf-8", "surrogateescape")
        if plain:
            removed = before.encode("utf-8", "surrogateescape")
            yield Guess(removed, code, detail, octets)
            continue
        # The tag may have been put in front of the encoded words as they were, or all may be written anew.
        tag = octets.strip()
        if code is Code.SUBJECT_PREFIX and value.startswith(tag):
            yield Guess(value[len(tag) :].lstrip(), code, detail, octets)
        if code is Code.SUBJECT_SUFFIX and value.endswith(tag):
            yield Guess(value[: -len(tag)].rstrip(), code, detail, octets)
        for spelling in words.spellings(before):
            yield Guess(spelling, code, detail, octets)


_IN_FRONT, _BEHIND = "text was put in front of the {}", "text was put behind the {}"


def _without_tags(text: str) -> Iterator[tuple[str, str, Code, str]]:
    """The text without its first words, and without its last ones; what answers begin with may stand before them."""
    seen = {text}
    for skip in {0, match.end() if (match := _REPLY.match(text)) else 0}:
        start, rest = text[:skip], text[skip:]
        at = 0
        ends: list[int] = []
        while (tag := _TAG.match(rest, at)) is not None and len(ends) < 4:
            at = tag.end()
            ends.append(at)
        ends += _ends_of_words(rest)
        for end in ends:
            before = start + rest[end:]
            if before not in seen:
                seen.add(before)
                yield before, rest[:end], Code.SUBJECT_PREFIX, _IN_FRONT
    found = _TAG_AT_END.search(text[-80:])
    tokens = text.split(" ")
    cuts = [len(text) - len(found[0])] if found else []
    cuts += [len(" ".join(tokens[:-count])) for count in range(1, min(_MAX_TOKENS, len(tokens)))]
    for cut in cuts:
        if text[:cut] not in seen:
            seen.add(text[:cut])
            yield text[:cut], text[cut:], Code.SUBJECT_SUFFIX, _BEHIND


_MARKS_OF_ANSWERS = ("Re: ", "RE: ", "re: ", "AW: ", "Aw: ", "Re:", "")


def _of_answer(text: str) -> Iterator[tuple[str, str, Code, str]]:
    """The tag of an answer: moved before "Re:" or behind it, "Re:" written anew with it, one more on the other side."""
    first = _tags(text, 0)
    reply = _REPLY.match(text, first)
    if reply is None:
        return
    mark, end = reply[0], _tags(text, reply.end())
    before, behind, rest = text[:first], text[reply.end() : end], text[end:]
    moved = "the tag in {} was moved"
    if before:
        yield mark + before + text[reply.end() :], before, Code.SUBJECT_PREFIX, moved
    if behind:
        yield behind + mark + rest, behind, Code.SUBJECT_PREFIX, moved
    if before and behind:
        yield mark + rest, before + behind, Code.SUBJECT_PREFIX, "text was put in front of the {} and behind its mark"
    if before or behind:
        anew = 'text was put in front of the {}, and what stands for "Re:" written anew'
        for other in _MARKS_OF_ANSWERS:
            if other != mark:
                yield other + rest, before + behind, Code.SUBJECT_PREFIX, anew


def _tags(text: str, at: int) -> int:
    """Where the tags that begin there end."""
    for _ in range(4):
        tag = _TAG.match(text, at)
        if tag is None:
            break
        at = tag.end()
    return at


def _ends_of_words(text: str) -> list[int]:
    return [match.end() for match in islice(re.finditer(r"[ \t]++", text), _MAX_TOKENS)]


def _encoded_words(value: bytes) -> Iterator[Guess]:
    text = words.decoded(value)
    if text is not None:
        for spelling in words.spellings(text):
            if spelling != value:
                yield Guess(spelling, Code.ENCODED_WORDS, "the encoded words of {} were written anew", value, spelling)


# --- addresses -----------------------------------------------------------------------------------------------------

_ADDRESSES = frozenset({
    "from", "sender", "reply-to", "to", "cc", "resent-from", "resent-sender", "resent-to", "resent-cc",
})  # fmt: skip
_COMMA = re.compile(rb"(?<![ \t])[ \t]*+,[ \t]*+")
_QUOTED_NAME = re.compile(rb'"([^"\\\r\n]{1,200})"(?=[ \t]*+<)')
_BARE_NAME = re.compile(rb"(?:\A|(?<=,)|(?<=, ))([^\",<>()\[\]\r\n]{1,200}?)(?=[ \t]<)")
_ANGLED = re.compile(rb"(?:\A|(?<=,)|(?<=, ))<([^<>\s]{1,320})>")
_BARE_ADDRESS = re.compile(rb"(?:\A|(?<=,)|(?<=, ))([^\s,<>\"()]{1,200}@[^\s,<>\"()]{1,255})(?=,|\Z)")
_ADDRESS = re.compile(rb"[^\s<>,;:\"()\[\]@]{1,64}@[^\s<>,;:\"()\[\]@]{1,255}")
_VIA = re.compile(rb"[ \t]++(?:via|through)[ \t].*+\Z|[ \t]*+[(\[].*+\Z", re.IGNORECASE)
_OTHER_ADDRESSES = {
    "from": ("reply-to", "x-original-sender", "sender", "return-path", "x-envelope-from", "resent-from", "cc"),
    "sender": ("from", "return-path", "x-original-from"),
    "reply-to": ("from", "x-original-from", "sender", "list-post"),
    "to": ("delivered-to", "x-envelope-to", "x-forwarded-to", "x-beenthere", "list-post", "resent-to", "envelope-to"),
    "cc": ("to", "delivered-to", "x-beenthere", "list-post", "resent-cc"),
}  # fmt: skip


def _addresses(name: str, value: bytes, fields: Fields) -> Iterator[Guess]:
    yield from _addresses_elsewhere(name, value, fields)
    forms = [
        ("blanks behind the commas of {} were added or taken away", _COMMA, (b", ", b",", b",  ")),
        ("the quotes around the name in {} were taken away", _BARE_NAME, (rb'"\1"',)),
        ("the name in {} was put into quotes", _QUOTED_NAME, (rb"\1",)),
        ("the address in {} was put into angle brackets", _ANGLED, (rb"\1",)),
        ("the angle brackets around the address in {} were taken away", _BARE_ADDRESS, (rb"<\1>",)),
    ]
    for detail, pattern, replacements in forms:
        for by in replacements:
            before = pattern.sub(by, value)
            if before != value:
                yield Guess(before, Code.FIELD_REFORMATTED, detail, value, before)
    lower = _ADDRESS.sub(_with_lower_domain, value)
    if lower != value:
        yield Guess(lower, Code.FIELD_REFORMATTED, "the domain in {} was written in capitals", value, lower)
    for part in _display_names(value):
        text = words.decoded(part)
        if text is not None:
            for spelling in words.spellings(text):
                before = value.replace(part, spelling, 1)
                yield Guess(before, Code.ENCODED_WORDS, "the encoded words of {} were written anew", value, before)


def _with_lower_domain(address: re.Match[bytes]) -> bytes:
    local_part, at, domain = address[0].rpartition(b"@")
    return local_part + at + domain.lower()


def _display_names(value: bytes) -> list[bytes]:
    found = re.findall(rb"(?:\A|,)[ \t]*+\"?([^<>,\"]{1,400}?)\"?[ \t]*+<", value)
    return [part for part in found if part.strip()][:4]


def _addresses_elsewhere(name: str, value: bytes, fields: Fields) -> Iterator[Guess]:
    """A list writes itself into From, and the author into another field (and other such habits)."""
    names = [part.strip(b"\"' ") for part in _display_names(value)[:1]]
    if names:
        names.append(_VIA.sub(b"", names[0]).strip(b"\"' "))
        names.append(names[0].strip(b"'"))
    for other in _OTHER_ADDRESSES.get(name, ()):
        for elsewhere in fields.values(other)[:3]:
            detail = f"{{}} was rewritten (its old address stands in {_title(other)})"
            if elsewhere != value and other not in ("return-path", "list-post"):
                yield _replaced(value, elsewhere, f"{{}} was rewritten (its old value stands in {_title(other)})")
            for address in _ADDRESS.findall(elsewhere)[:3]:
                if address in value and len(value) < len(address) + 3:
                    continue
                for before in (address, b"<" + address + b">"):
                    yield _replaced(value, before, detail)
                own = [part.strip(b"\"' ") for part in _display_names(elsewhere)[:1]]
                for person in dict.fromkeys([*names, *own]):
                    if person:
                        for form in (b"%b <%b>", b'"%b" <%b>'):
                            yield _replaced(value, form % (person, address), detail)


# --- Date, Message-ID ----------------------------------------------------------------------------------------------

_ZONES = (b"+0000", b"GMT", b"UT", b"UTC", b"Z", b"-0000", b"+0000 (UTC)", b"+0000 (GMT)")
_COMMENT = re.compile(rb"(?<![ \t])[ \t]*+\([^()]*+\)\Z")
_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec")
_NAMES_OF_ZONES = {-480: b"PST", -420: b"PDT", -360: b"CST", -300: b"EST", -240: b"EDT", 60: b"CET", 120: b"CEST"}
# Of an hour, east of UTC: whole hours, half hours, and Nepal, Eucla and the Chatham Islands. All of them stay below the
# number of guesses that are made about one field.
_QUARTERS = (*range(-48, 57, 4), *range(-46, 55, 4), 23, 35, 51, 55)


def _date(value: bytes) -> Iterator[Guess]:
    """The same instant, written differently."""
    if len(value) > 100:
        return
    try:
        parsed = parsedate_tz(value.decode("ascii"))
        if parsed is None:
            return
        offset = parsed[9] or 0
        when = datetime(*parsed[:6], tzinfo=timezone(timedelta(seconds=offset)))
        moments = [when, *(when.astimezone(timezone(timedelta(minutes=15 * quarter))) for quarter in _QUARTERS)]
    except (ValueError, OverflowError, TypeError):
        return
    seen = {value}
    without = _COMMENT.sub(b"", value)
    detail = "{} was written differently, for the same time"
    for index, moment in enumerate(moments):
        for before in [without, *_dates(moment, plain=index > 0)]:
            if before not in seen:
                seen.add(before)
                yield Guess(before, Code.DATE_REFORMATTED, detail, value, before)


def _dates(when: datetime, *, plain: bool) -> Iterator[bytes]:
    minutes = int((when.utcoffset() or timedelta()).total_seconds()) // 60
    sign = b"-" if minutes < 0 else b"+"
    zone = b"%b%02d%02d" % (sign, abs(minutes) // 60, abs(minutes) % 60)
    zones = list(_ZONES) if not minutes else [zone]
    if minutes in _NAMES_OF_ZONES:
        name = _NAMES_OF_ZONES[minutes]
        zones += [name, b"%b (%b)" % (zone, name)]
    for text in zones[:1] if plain and minutes else zones:
        for day in dict.fromkeys((b"%d" % when.day, b"%02d" % when.day, b"%2d" % when.day)):
            date = b"%b %b %d" % (day, _MONTHS[when.month - 1], when.year)
            for seconds in (b":%02d" % when.second, b"") if not when.second else (b":%02d" % when.second,):
                time = b"%02d:%02d%b %b" % (when.hour, when.minute, seconds, text)
                yield b"%b, %b %b" % (_DAYS[when.weekday()], date, time)
                if not plain:
                    yield b"%b %b" % (date, time)


def _message_id(value: bytes) -> Iterator[Guess]:
    forms = [
        ("angle brackets were added in {}", re.compile(rb"\A<(.*)>\Z", re.DOTALL), rb"\1"),
        ("the angle brackets in {} were taken away", re.compile(rb"\A([^<>\s]++)\Z"), rb"<\1>"),
        ("blanks between the identifiers in {} were taken away", re.compile(rb">[ \t]*+<"), rb"> <"),
        ("blanks between the identifiers in {} were added", re.compile(rb">[ \t]++<"), rb"><"),
        ("commas between the identifiers in {} were taken away", re.compile(rb">[ \t]++<"), rb">, <"),
    ]
    for detail, pattern, by in forms:
        before = pattern.sub(by, value)
        if before != value:
            yield Guess(before, Code.MESSAGE_ID_REFORMATTED, detail, value, before)
    identifiers = re.findall(rb"<[^<>\s]{1,998}>", value)
    for count in range(1, min(len(identifiers), 20)):
        for kept in (identifiers[count:], identifiers[:-count]):
            before = b" ".join(kept)
            yield Guess(before, Code.FIELD_REPLACED, "identifiers were added to {}", value, before)
    local, at, domain = value.rpartition(b"@")
    if at and domain != domain.lower():
        before = local + b"@" + domain.lower()
        yield Guess(before, Code.MESSAGE_ID_REFORMATTED, "the domain in {} was written in capitals", value, before)


# --- MIME ----------------------------------------------------------------------------------------------------------

_SEMICOLON = re.compile(rb"(?<![ \t])[ \t]*+;[ \t]*+")
_QUOTED_VALUE = re.compile(rb'="([^"\s()<>@,;:\\/\[\]?=]{1,100})"')
_BARE_VALUE = re.compile(rb'=([^"\s;]{1,100})(?=;|\Z)')


def _content_type(value: bytes, fields: Fields) -> Iterator[Guess]:
    for before in fields.part_types:
        if before != value:
            yield _replaced(value, before, "{} was rewritten (its old value stands in the header of a part)")
    kind, *parameters = _SEMICOLON.split(value)
    forms = [
        b"; ".join([kind, *parameters]),
        b";".join([kind, *parameters]),
        b"; ".join([kind.lower(), *parameters]),
        _QUOTED_VALUE.sub(rb"=\1", value),
        _BARE_VALUE.sub(rb'="\1"', value),
        b"; ".join([kind, *reversed(parameters)]),
        value.rstrip(b"; \t"),
        value + b";",
        b"; ".join([kind, *(_lower_name(part) for part in parameters)]),
        b"; ".join([kind, *(_other_case(part) for part in parameters)]),
        b"; ".join([kind, *(_lower_name(part, value=True) for part in parameters)]),
    ]
    for before in dict.fromkeys(forms):
        if before != value:
            yield Guess(before, Code.FIELD_REFORMATTED, "the parameters of {} were written differently", value, before)
    for index in range(len(parameters[:6])):
        before = b"; ".join([kind, *parameters[:index], *parameters[index + 1 :]])
        yield _replaced(value, before, "a parameter was added to {}")
    if media_type(kind) == "text/plain":
        for more in (b"; format=flowed", b"; format=flowed; delsp=yes", b"; charset=us-ascii", b'; charset="us-ascii"'):
            yield _replaced(value, value + more, "a parameter of {} is gone")
        for charset in _CHARSETS:
            for form in (b"%b; charset=%b", b'%b; charset="%b"'):
                yield _replaced(value, form % (kind, charset), "the character set in {} was changed")


_CHARSETS = (
    b"utf-8", b"UTF-8", b"us-ascii", b"US-ASCII", b"iso-8859-1", b"ISO-8859-1", b"iso-8859-15", b"windows-1252",
)  # fmt: skip
_TEXT_TYPES = tuple(
    form % charset for charset in _CHARSETS for form in (b"text/plain; charset=%b", b'text/plain; charset="%b"')
)


def _lower_name(parameter: bytes, *, value: bool = False) -> bytes:
    name, equals, text = parameter.partition(b"=")
    return name.lower() + equals + (text.lower() if value else text)


def _other_case(parameter: bytes) -> bytes:
    name, equals, text = parameter.partition(b"=")
    return name + equals + (text.upper() if text == text.lower() else text.lower())


_ENCODINGS = (b"7bit", b"8bit", b"quoted-printable", b"base64", b"binary")


def _transfer_encoding(value: bytes) -> Iterator[Guess]:
    for before in (*_ENCODINGS, *(name.upper() for name in _ENCODINGS), b"8Bit", b"7Bit", b"Quoted-Printable"):
        if before != value:
            words = f"{{}} was changed from {before.decode('ascii')}"
            yield Guess(before, Code.ENCODING_CHANGED, words, value, before)


# --- how it is laid out --------------------------------------------------------------------------------------------


def _layout(written: bytes, rest: bytes, value: bytes, simple: bool) -> Iterator[Guess]:
    """Folds, blanks and the case of the name. relaxed sees a fold only where blanks were put or taken away."""
    if b"\r\n" in rest[:-2]:
        joined = _FOLD_AND_BLANKS.sub(b"", rest)
        yield Guess(written + b":" + joined, Code.FIELD_REFOLDED, "{} was folded where no blank stood")
    if not simple:
        return
    unfolded = _FOLD.sub(b"", rest)
    single = _FOLD_AND_BLANKS.sub(b" ", rest)
    detail = "{} was folded differently"
    shapes = [unfolded, single, *(b" " + text for text in _folded(value, len(written)))]
    shapes += [b"\r\n " + value + b"\r\n", b"\r\n\t" + value + b"\r\n"]
    shapes += [_FOLD_AND_BLANKS.sub(fold, rest) for fold in (b"\r\n ", b"\r\n\t", b"\r\n  ", b"\r\n        ")]
    folded = b"\r\n" in rest[:-2]
    for shape in shapes:
        # Without a fold before and after, only blanks were changed.
        if shape != rest and (folded or b"\r\n" in shape[:-2]):
            yield Guess(written + b":" + shape, Code.FIELD_REFOLDED, detail)
    text = rest.strip(b" \t\r\n")
    detail = "the blanks around the value of {} were changed"
    for lead, tail in ((b" ", b""), (b"", b""), (b"  ", b""), (b"\t", b""), (b" ", b" ")):
        if lead + text + tail + b"\r\n" != rest:
            yield Guess(written + b":" + lead + text + tail + b"\r\n", Code.FIELD_BLANKS, detail)
    for name in names_cased(written):
        yield Guess(name + b":" + rest, Code.FIELD_NAME_RECASED, "the name {} was written differently", written, name)


_ODD_NAMES = {
    b"message-id": b"Message-ID", b"mime-version": b"MIME-Version", b"dkim-signature": b"DKIM-Signature",
    b"content-id": b"Content-ID", b"list-id": b"List-ID", b"resent-message-id": b"Resent-Message-ID",
}  # fmt: skip


def title_of(name: bytes) -> bytes:
    """The name with a capital at the beginning of each word."""
    return b"-".join(word.capitalize() for word in name.split(b"-"))


def usual_name(name: bytes) -> bytes:
    """The name as RFCs write it."""
    return _ODD_NAMES.get(name.lower(), title_of(name))


def names_cased(name: bytes) -> list[bytes]:
    """The ways in which a field's name is usually written, without the given one."""
    forms = dict.fromkeys((title_of(name), usual_name(name), name.lower(), name.upper()))
    return [form for form in forms if form != name]


def _folded(value: bytes, name_length: int) -> Iterator[bytes]:
    """The value folded at commas, semicolons, or blanks."""
    for separator in (b", ", b"; ", b" "):
        if separator not in value:
            continue
        kept, pieces = separator.rstrip(b" "), value.split(separator)
        for fold in (b"\r\n ", b"\r\n\t", b"\r\n    ", b"\r\n        "):
            yield (kept + fold).join(pieces) + b"\r\n" if separator != b" " or len(pieces) < 40 else value + b"\r\n"
        for fold in (b"\r\n ", b"\r\n\t"):
            for columns in (_COLUMNS, 76, 72):
                yield _filled(pieces, kept, fold, columns, name_length + 2) + b"\r\n"


def _filled(pieces: list[bytes], separator: bytes, fold: bytes, columns: int, start: int) -> bytes:
    """As many pieces on a line as fit."""
    length = start + len(pieces[0])
    filled = [pieces[0]]
    for piece in pieces[1:]:
        if length + len(separator) + 1 + len(piece) > columns:
            filled.append(separator + fold + piece)
            length = 1 + len(piece)
        else:
            filled.append(separator + b" " + piece)
            length += len(separator) + 1 + len(piece)
    return b"".join(filled)


# --- fields that are gone ------------------------------------------------------------------------------------------


def lost(name: str, fields: Fields) -> Iterator[Guess]:
    """What a field may have held that is not there any more."""
    title = usual_name(name.encode())
    for form in _ORIGINALS:
        other = form.format(name)
        for before in fields.values(other):
            gone = f"{{}} is gone (its value stands in {_title(other)})"
            yield Guess(field(title, before), Code.FIELD_REMOVED, gone, removed=before)
    for text in dict.fromkeys([*_USUAL.get(name, ()), *_derived(name, fields)]):
        yield Guess(field(title, text), Code.FIELD_REMOVED, "{} is gone", removed=text)


_USUAL: dict[str, tuple[bytes, ...]] = {
    "mime-version": (b"1.0",),
    "content-transfer-encoding": (*_ENCODINGS, b"7BIT", b"8BIT"),
    "content-type": (b"text/plain", *_TEXT_TYPES),
    "content-language": (b"en-US", b"en", b"en-GB", b"de-DE", b"fr-FR"),
    "content-disposition": (b"inline",),
    "to": (b"undisclosed-recipients:;",),
    "cc": (b"",),
    "list-unsubscribe-post": (b"List-Unsubscribe=One-Click",),
    "precedence": (b"bulk", b"list", b"normal"),
    "importance": (b"Normal", b"normal", b"High", b"high"),
    "x-priority": (b"3", b"1", b"3 (Normal)"),
}


def _derived(name: str, fields: Fields) -> Iterator[bytes]:
    """What other fields say that it may have said."""
    if name == "content-type":
        yield from fields.part_types
    elif name in ("sender", "reply-to"):
        for value in fields.values("from", "return-path"):
            yield from (value, *_ADDRESS.findall(value)[:1])
    elif name in ("to", "cc"):
        for value in fields.values("delivered-to", "x-original-to", "x-envelope-to"):
            yield from (value, b"<" + value + b">")
    elif name in ("in-reply-to", "references"):
        for value in fields.values("references", "in-reply-to"):
            yield from (value, *re.findall(rb"<[^<>\s]{1,998}>", value)[-1:])
    elif name == "date":
        for value in fields.values("received"):
            when = value.rpartition(b";")[2].strip()
            yield from (when, _COMMENT.sub(b"", when))
