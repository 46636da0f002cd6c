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
    TEXT_ADDED_AT_END = "text-added-at-end"
    TEXT_ADDED_AT_START = "text-added-at-start"
    TEXT_ADDED_IN_PART = "text-added-in-part"
    TEXT_AFTER_LAST_BOUNDARY = "text-after-last-boundary"
    TEXT_BEHIND_LENGTH = "text-behind-length"  # behind l=
    LENGTH_CHANGED = "length-changed"  # l= does not say what was hashed
    PART_ADDED = "part-added"
    PART_HEADER_REWRITTEN = "part-header-rewritten"  # the fields of a MIME part
    WRAPPED_IN_MULTIPART = "wrapped-in-multipart"
    LINKS_REWRITTEN = "links-rewritten"
    PREAMBLE_REMOVED = "preamble-removed"
    BLANK_LINES_ADDED = "blank-lines-added"
    BLANK_LINES_REMOVED = "blank-lines-removed"
    BLANKS_AT_LINE_ENDS_ADDED = "blanks-at-line-ends-added"
    BLANKS_AT_LINE_ENDS_REMOVED = "blanks-at-line-ends-removed"
    TABS_TO_BLANKS = "tabs-to-blanks"
    BLANKS_TO_TABS = "blanks-to-tabs"
    LINE_ENDS_CHANGED = "line-ends-changed"
    SIGNED_WITH_LF = "signed-with-lf"  # the signer hashed LF where RFC 6376 wants CRLF
    DOTS_DOUBLED = "dots-doubled"
    DOTS_REMOVED = "dots-removed"
    FROM_ESCAPED = "from-escaped"
    FROM_UNESCAPED = "from-unescaped"
    LINES_WRAPPED = "lines-wrapped"
    ENCODING_CHANGED = "encoding-changed"  # Content-Transfer-Encoding
    QUOTED_PRINTABLE_REDONE = "quoted-printable-redone"
    BASE64_REDONE = "base64-redone"
    CHARSET_CHANGED = "charset-changed"
    BYTE_ORDER_MARK_ADDED = "byte-order-mark-added"
    BYTE_ORDER_MARK_REMOVED = "byte-order-mark-removed"
    # the header
    SUBJECT_PREFIX = "subject-prefix"
    SUBJECT_SUFFIX = "subject-suffix"
    FIELD_ADDED = "field-added"
    FIELD_REMOVED = "field-removed"
    FIELD_REPLACED = "field-replaced"  # its old value stands in another field
    FIELDS_REORDERED = "fields-reordered"
    FIELD_REFOLDED = "field-refolded"
    FIELD_NAME_RECASED = "field-name-recased"
    FIELD_BLANKS = "field-blanks"
    FIELD_REFORMATTED = "field-reformatted"  # the same meaning, written differently
    ENCODED_WORDS = "encoded-words"
    DATE_REFORMATTED = "date-reformatted"
    MESSAGE_ID_REFORMATTED = "message-id-reformatted"
    SIGNATURE_REFOLDED = "signature-refolded"


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

    state: HalfState
    detail: str = ""
    alterations: tuple[Alteration, ...] = ()
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
    detail: str = ""
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

    signature: Signature
    summary: str  # one or two sentences
    body: Half
    header: Half
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
