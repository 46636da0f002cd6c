"""The whole field as an immutable value: `AuthenticationResults`, and `ParseFailure` for one that cannot be read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailauth.authres.result import MethodResult, require_version
from mailauth.authres.words import (
    ARC_FIELD_NAME,
    FIELD_NAME,
    MAX_ID_OCTETS,
    MAX_INSTANCE,
    RESULT_WORDS,
    SUPPORTED_VERSION,
    UNSAFE,
)
from mailauth.authres.write import ascii_id, write_lines

_UNSAFE = re.compile(f"[{UNSAFE}]")


class Reason(StrEnum):
    """Why a field could not be read, or what is wrong with it: stable codes."""

    NOT_UTF8 = "not-utf8"  # octets that are no UTF-8 (RFC 6532 section 3.2)
    TOO_LONG = "too-long"  # the field over 102,400 octets, the authserv-id over 255, or a keyword over 64
    CONTROL_CHARACTER = "control-character"  # C0 but TAB, DEL, C1, U+2028, U+2029, or half of a surrogate pair
    BAD_FOLD = "bad-fold"  # CR or LF that no white space follows
    UNTERMINATED_COMMENT = "unterminated-comment"  # a "(" without its ")"
    UNTERMINATED_QUOTED_STRING = "unterminated-quoted-string"  # a quotation mark without its second one
    COMMENT_TOO_DEEP = "comment-too-deep"  # comments within comments, over 20 levels
    NO_AUTHSERV_ID = "no-authserv-id"  # it is missing, empty, or a result stands in its place
    UNSUPPORTED_VERSION = "unsupported-version"  # not 1: what follows may have another form (RFC 8601 section 2.6)
    NO_RESULTS = "no-results"  # the field ends behind the authserv-id: no result, no "none" (RFC 8601 section 2.2)
    EXPECTED_METHOD = "expected-method"  # something else, or nothing, where a method such as "dkim" belongs
    EXPECTED_RESULT = "expected-result"  # no keyword such as "pass" behind "method="
    EXPECTED_PROPERTY = "expected-property"  # no keyword where a property or its type belongs, such as "smtp.mailfrom"
    EXPECTED_VALUE = "expected-value"  # nothing behind "=", or no domain behind "@"
    UNEXPECTED = "unexpected"  # the grammar has something else in this place (RFC 8601 section 2.2); `detail` says what
    BAD_INSTANCE = "bad-instance"  # RFC 8617 section 4.2.1: no "i=" with a number from 1 to 50
    OTHER_FIELD = "other-field"  # parse_field: the name is another one


@dataclass(frozen=True, slots=True)
class Defect:
    """One departure from the grammar in a field that was read with ``lenient=True``.

    `position` counts what was given from its beginning: octets of bytes, characters of text. `detail` says it in
    words, without a peer's text in them.
    """

    reason: Reason
    position: int
    detail: str

    def to_dict(self) -> dict[str, Any]:
        """The defect as JSON has it."""
        return {"reason": str(self.reason), "position": self.position, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class ParseFailure(Defect):
    """A field that could not be read. `authserv_id` is there if it was read before the failure, else ""."""

    authserv_id: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The failure as JSON has it."""
        return {**Defect.to_dict(self), "authserv_id": self.authserv_id}


@dataclass(frozen=True, slots=True)
class AuthenticationResults:
    """A whole field (RFC 8601 section 2.2): who says it, and the results. No results stand as ``none``.

    `str()` and `to_bytes()` give the field: name, folded value, line ends CRLF, ready to be put in front of a
    message. `instance` is the number of the ARC set in an ARC-Authentication-Results field, None in all others.
    `defects` is what ``parse(..., lenient=True)`` found wrong; only with defects may the authserv-id be "" (missing).

    Raises `ValueError` for an authserv-id that is empty, over 255 octets or holds controls, for an unknown version or
    a bad instance, and `TypeError` for what has the wrong type.
    """

    authserv_id: str
    results: tuple[MethodResult, ...] = ()
    version: int = SUPPORTED_VERSION
    instance: int | None = None
    defects: tuple[Defect, ...] = ()

    def __post_init__(self) -> None:
        if self.authserv_id != "" or not self.defects:
            object.__setattr__(self, "authserv_id", check_authserv_id(self.authserv_id))
        object.__setattr__(self, "results", tuple(self.results))
        for result in self.results:
            if not isinstance(result, MethodResult):
                raise TypeError(f"expected MethodResult, not {type(result).__name__}")
        require_version(self.version)
        if self.version != SUPPORTED_VERSION:
            raise ValueError(f"version {self.version} of Authentication-Results is not known; there is only version 1")
        if self.instance is not None and not (type(self.instance) is int and 1 <= self.instance <= MAX_INSTANCE):
            raise ValueError(f"an ARC instance is a number from 1 to {MAX_INSTANCE} (RFC 8617 section 4.2.1)")

    @property
    def name(self) -> str:
        """The name of the field."""
        return FIELD_NAME if self.instance is None else ARC_FIELD_NAME

    def of(self, method: str) -> tuple[MethodResult, ...]:
        """The results of one method that a consumer may use: registered ones, in order of appearance.

        RFC 8601 sections 2.3, 2.6 and 4.1: other versions of a method, unknown result words, and results with unknown
        property types are to be ignored; for a method that IANA does not list, which only the caller can judge, every
        result of version 1 is returned.
        """
        method = method.lower()
        return tuple(
            r
            for r in self.results
            if r.method == method and r.version == SUPPORTED_VERSION and (method not in RESULT_WORDS or r.registered)
        )

    def to_bytes(self, *, smtputf8: bool = False) -> bytes:
        """The field as octets. `smtputf8`: the message is internationalized (RFC 6532), UTF-8 may stand in it."""
        return self.to_text(smtputf8=smtputf8).encode("utf-8")

    def to_text(self, *, smtputf8: bool = False) -> str:
        """The field as text; ASCII unless `smtputf8`.

        Raises `ValueError` without an authserv-id, and for one that has no ASCII form unless `smtputf8`.
        """
        return "\r\n".join(self._lines(self._written_id(smtputf8), smtputf8)) + "\r\n"

    def folded_value(self, *, smtputf8: bool = False, line_end: str = "\r\n") -> str:
        """What follows name, colon and blank, without the last line end; milters want ``line_end="\\n"``."""
        lines = self._lines(self._written_id(smtputf8), smtputf8)
        return line_end.join(lines).removeprefix(self.name + ":").removeprefix(" ")

    def __str__(self) -> str:
        """The field as ASCII text; an authserv-id without an ASCII form stands as it is. Never raises."""
        return "\r\n".join(self._lines(ascii_id(self.authserv_id) or self.authserv_id, False)) + "\r\n"

    def _written_id(self, smtputf8: bool) -> str:
        if not self.authserv_id:
            raise ValueError("the field has no authserv-id")
        text = self.authserv_id if smtputf8 else ascii_id(self.authserv_id)
        if text is None:
            text = self.authserv_id[:60]
            raise ValueError(f"the authserv-id {text!r} has no ASCII form; it needs an internationalized message")
        return text

    def _lines(self, authserv_id: str, smtputf8: bool) -> list[str]:
        return write_lines(self.name, self.instance, authserv_id, self.results, smtputf8)

    def to_dict(self) -> dict[str, Any]:
        """The field as JSON has it; `instance` and `defects` only where there are any."""
        values: dict[str, Any] = {
            "authserv_id": self.authserv_id,
            "version": self.version,
            "results": [r.to_dict() for r in self.results],
        }
        if self.instance is not None:
            values["instance"] = self.instance
        if self.defects:
            values["defects"] = [defect.to_dict() for defect in self.defects]
        return values


def check_authserv_id(value: object) -> str:
    """The id as plain text; `ValueError` or `TypeError` for what cannot be one (RFC 8601 section 2.5)."""
    if not isinstance(value, str):
        raise TypeError(f"the authserv-id is text, not {type(value).__name__}")
    text = str(value)
    if not text.strip():
        raise ValueError("the authserv-id is empty; it is usually the domain or host name of the server")
    if _UNSAFE.search(text):
        raise ValueError(f"the authserv-id holds a control character: {text[:60]!r}")
    if len(text.encode("utf-8")) > MAX_ID_OCTETS:
        raise ValueError(f"the authserv-id is over {MAX_ID_OCTETS} octets long: {text[:60]!r}...")
    return text
