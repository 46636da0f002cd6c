"""What an explanation says: codes, places, words and evidence. Values only."""

# SECURITY: `added`, `removed` and `diff` hold what peers wrote. They are text without control characters and cut
# short; whoever shows them in HTML escapes them.

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from mailauth.dkim.result import Result, Signature

MAX_EXCERPT = 2000
"""Characters of added or removed text that are kept."""


class HalfState(StrEnum):
    """What is known of one half of what was signed."""

    INTACT = "intact"  # it is as it was signed
    EXPLAINED = "explained"  # it was altered, and undoing the alterations named makes the hash fit
    ALTERED = "altered"  # it was altered; how, is not known
    UNKNOWN = "unknown"  # whether it was altered is not known


class AlterationCode(StrEnum):
    """What was done to a message after it was signed: stable codes."""

    # the body
    TEXT_ADDED_AT_END = "text-added-at-end"  # behind the whole body, such as a list's footer or a disclaimer
    TEXT_ADDED_AT_START = "text-added-at-start"  # before the whole body, such as a warning about mail from outside
    TEXT_ADDED_IN_PART = "text-added-in-part"  # into a MIME part, or within the text
    TEXT_AFTER_LAST_BOUNDARY = "text-after-last-boundary"  # where few readers show it (RFC 2046 section 5.1.1)
    TEXT_BEHIND_LENGTH = "text-behind-length"  # behind l=: never signed, so the body is intact (RFC 6376 section 8.2)
    LENGTH_CHANGED = "length-changed"  # l= does not say what was hashed
    PART_ADDED = "part-added"  # a MIME part that was not there, such as a footer of its own
    PART_HEADER_REWRITTEN = "part-header-rewritten"  # the fields of a MIME part: folded, quoted or ordered differently
    WRAPPED_IN_MULTIPART = "wrapped-in-multipart"  # what was the whole message is a part of it now
    LINKS_REWRITTEN = "links-rewritten"  # they lead through a gateway, which checks or counts the clicks
    PREAMBLE_REMOVED = "preamble-removed"  # what stood before the first boundary, unseen (RFC 2046 section 5.1.1)
    BLANK_LINES_ADDED = "blank-lines-added"  # at the beginning, behind each line, or before boundaries
    BLANK_LINES_REMOVED = "blank-lines-removed"  # at the beginning, or before boundaries
    BLANKS_AT_LINE_ENDS_ADDED = "blanks-at-line-ends-added"  # blanks or tabs; only c=simple sees them
    BLANKS_AT_LINE_ENDS_REMOVED = "blanks-at-line-ends-removed"  # of "-- ", ">", flowed text; only c=simple sees it
    TABS_TO_BLANKS = "tabs-to-blanks"  # a run of blanks for each tab, or up to the next stop; only c=simple sees it
    BLANKS_TO_TABS = "blanks-to-tabs"  # a run of blanks, or those before a stop; only c=simple sees it
    LINE_ENDS_CHANGED = "line-ends-changed"  # a bare CR or LF where CRLF stood, or CR added
    SIGNED_WITH_LF = "signed-with-lf"  # the signer hashed LF where RFC 6376 wants CRLF
    DOTS_DOUBLED = "dots-doubled"  # at the beginning of lines: dot-stuffing done twice (RFC 5321 section 4.5.2)
    DOTS_REMOVED = "dots-removed"  # at the beginning of lines: dot-stuffing undone twice (RFC 5321 section 4.5.2)
    FROM_ESCAPED = "from-escaped"  # ">" put before "From " at the beginning of a line, as mbox files have it (RFC 4155)
    FROM_UNESCAPED = "from-unescaped"  # the ">" before "From " taken away, as some do who read mbox files
    LINES_WRAPPED = "lines-wrapped"  # long lines broken at a column, at blanks, or as flowed text
    ENCODING_CHANGED = "encoding-changed"  # another Content-Transfer-Encoding, as where the next server lacks 8BITMIME
    QUOTED_PRINTABLE_REDONE = "quoted-printable-redone"  # the same text, other octets escaped or lines cut elsewhere
    BASE64_REDONE = "base64-redone"  # the same octets in lines of another length
    CHARSET_CHANGED = "charset-changed"  # ISO 8859-1 or the like made UTF-8, or the other way round
    BYTE_ORDER_MARK_ADDED = "byte-order-mark-added"  # U+FEFF at the beginning of a text
    BYTE_ORDER_MARK_REMOVED = "byte-order-mark-removed"  # U+FEFF was signed
    # the header
    SUBJECT_PREFIX = "subject-prefix"  # a list's tag or a warning in front, or one that was moved
    SUBJECT_SUFFIX = "subject-suffix"  # text behind it
    FIELD_ADDED = "field-added"  # a second field of that name, or one where the signer had none
    FIELD_REMOVED = "field-removed"  # a signed field is gone
    FIELD_REPLACED = "field-replaced"  # another value, as of From by a list; the old one often stands in another field
    FIELDS_REORDERED = "fields-reordered"  # several fields of one name stand in another order
    FIELD_REFOLDED = "field-refolded"  # line breaks within the value; c=relaxed sees them only where no blank stood
    FIELD_NAME_RECASED = "field-name-recased"  # capitals in its name; only c=simple sees them
    FIELD_BLANKS = "field-blanks"  # around its value; only c=simple sees them
    FIELD_REFORMATTED = "field-reformatted"  # the same meaning, written differently
    ENCODED_WORDS = "encoded-words"  # the same text in other encoded words (RFC 2047)
    DATE_REFORMATTED = "date-reformatted"  # the same moment, written differently
    MESSAGE_ID_REFORMATTED = "message-id-reformatted"  # brackets, blanks or capitals, in References and the like, too
    SIGNATURE_REFOLDED = "signature-refolded"  # the DKIM-Signature field itself, folded, spaced or encoded differently


@dataclass(frozen=True, slots=True)
class Alteration:
    """One thing that was done to the message after it was signed."""

    code: AlterationCode
    detail: str  # in words
    half: str  # "body" | "header"
    line: int | None = None  # of the message as it came, from 1; body only
    part: str = ""  # the MIME part, such as "1.2 text/html"
    field: str = ""  # the name of the field; header only
    added: str = ""  # what stands there now and did not, or what it was turned into; at most `MAX_EXCERPT`
    removed: str = ""  # what stood there
    count: int = 1  # how many places

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the keys are the attributes."""
        return _to_dict(self)


@dataclass(frozen=True, slots=True)
class Half:
    """The body, or the header with the signature itself."""

    state: HalfState  # whether it is as it was signed
    detail: str = ""  # what is known beyond the state, in words; often ""
    alterations: tuple[Alteration, ...] = ()  # what was done to it; of a sound body, text behind l=
    diff: tuple[str, ...] = ()  # lines, "-" as it was signed and "+" as it came
    tried: tuple[str, ...] = ()  # what was undone without success, in words
    attempts: int = 0  # how often something was hashed or verified
    exhausted: bool = False  # the bounds ended the search

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the keys are the attributes."""
        return _to_dict(self)


class KeyState(StrEnum):
    """How the key in the DNS stands to the signature."""

    FITS = "fits"  # it is the signer's: proved by the signature
    OTHER = "other"  # it is another key than the signer's, or b= is damaged
    UNPROVED = "unproved"  # Ed25519 tells only whether everything fits
    UNUSABLE = "unusable"  # there is none, or its record is broken, or forbids this use
    UNAVAILABLE = "unavailable"  # the DNS did not answer
    NOT_ASKED = "not-asked"  # the signature was refused before


@dataclass(frozen=True, slots=True)
class Key:
    """The key record, and what would repair it."""

    state: KeyState
    detail: str = ""  # the state in words
    name: str = ""  # where it was asked for
    records: tuple[str, ...] = ()  # the TXT records there
    repairs: tuple[str, ...] = ()  # what to change, in words
    repaired: str = ""  # the record as it should be
    proved: bool = False  # whether the signature fits the repaired record's key

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the keys are the attributes."""
        return _to_dict(self)


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why one signature has its result, and what would make it pass."""

    signature: Signature  # the verifier's result, which stands
    summary: str  # one or two sentences
    body: Half  # what bh= covers
    header: Half  # the fields that h= names, and the signature's own
    key: Key
    advice: tuple[str, ...] = ()  # what to do about it

    def __bool__(self) -> bool:
        """Refused: a result has six values."""
        raise TypeError("an Explanation is neither true nor false: compare its signature's result")

    @property
    def passes(self) -> bool:
        """Whether there is nothing to explain."""
        return self.signature.result is Result.PASS

    @property
    def alterations(self) -> tuple[Alteration, ...]:
        """Those of the header, then those of the body."""
        return self.header.alterations + self.body.alterations

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the keys are the attributes."""
        return _to_dict(self)


def _to_dict(value: Any) -> dict[str, Any]:
    return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


def excerpt(octets: bytes, limit: int = MAX_EXCERPT) -> str:
    """What a peer wrote as text: line ends kept as LF, other control characters and broken UTF-8 escaped, cut short."""
    text = octets[: limit * 4].replace(b"\r\n", b"\n").decode("utf-8", "backslashreplace")
    shown = "".join(_safe(text[: limit + 1], keep="\n\t"))
    return shown if len(shown) <= limit and len(octets) <= limit * 4 else shown[:limit] + "\N{HORIZONTAL ELLIPSIS}"


def _safe(text: Iterable[str], keep: str) -> Iterator[str]:
    for char in text:
        yield char if char.isprintable() or char in keep else char.encode("unicode_escape").decode("ascii")
