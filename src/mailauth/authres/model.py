# What belongs here: the field as immutable values, and what a value must be like. No reading, no writing.
"""An Authentication-Results field as values: `AuthenticationResults`, `MethodResult`, `Property`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from mailauth.authres.grammar import (
    KEYWORD,
    MAX_ID_OCTETS,
    MAX_KEYWORD_CHARACTERS,
    MAX_VERSION,
    SUPPORTED_VERSION,
    UNSAFE,
)
from mailauth.authres.registry import PROPERTY_TYPES, RESULT_WORDS, is_registered
from mailauth.authres.writer import write, write_value

T = TypeVar("T")

_UNSAFE = re.compile(f"[{UNSAFE}]")


@dataclass(frozen=True, slots=True)
class Property:
    """What a method looked at (RFC 8601 section 2.3): ``smtp.mailfrom=example.org``.

    `type` is the ptype and `name` the property, both keywords, kept in lower case. `value` may be any text: writing
    quotes, escapes and cuts it as needed. `comment` is what stands in parentheses behind it, "" for nothing.
    Raises `ValueError` for a type or name that is no keyword, `TypeError` for what is no text.
    """

    type: str
    name: str
    value: str
    comment: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "type", _keyword("property type", self.type))
        object.__setattr__(self, "name", _keyword("property name", self.name))
        object.__setattr__(self, "value", _text("property value", self.value))
        object.__setattr__(self, "comment", _text("comment", self.comment))

    def to_dict(self) -> dict[str, str]:
        """The property as JSON has it."""
        return {"type": self.type, "name": self.name, "value": self.value, "comment": self.comment}


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One method and its result: ``dkim=pass (2048 bit) reason="..." header.d=example.org``.

    `method` and `result` are keywords, kept in lower case; any are allowed here, since a parser keeps what it does
    not know (`registered` tells). `reason` is text, or None for no reason; `comment` stands behind the result, "" for
    nothing. `version` is the method's (RFC 8601 section 2.6). Raises `ValueError` or `TypeError` as `Property` does.
    """

    method: str
    result: str
    properties: tuple[Property, ...] = ()
    reason: str | None = None
    comment: str = ""
    version: int = SUPPORTED_VERSION

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", _keyword("method", self.method))
        object.__setattr__(self, "result", _keyword("result", self.result))
        object.__setattr__(self, "properties", _all(Property, self.properties))
        if self.reason is not None:
            object.__setattr__(self, "reason", _text("reason", self.reason))
        object.__setattr__(self, "comment", _text("comment", self.comment))
        _check_version(self.version)

    @property
    def registered(self) -> bool:
        """Whether IANA lists this method, in this version, with this result, and the types of its properties.

        RFC 8601 sections 2.3 and 4.1: a consumer must ignore the result otherwise.
        """
        return (
            self.version == SUPPORTED_VERSION
            and is_registered(self.method, self.result)
            and all(p.type in PROPERTY_TYPES for p in self.properties)
        )

    def value(self, type: str, name: str) -> str | None:
        """The value of the first property of that type and name (any case); None without one."""
        wanted = (type.lower(), name.lower())
        return next((p.value for p in self.properties if (p.type, p.name) == wanted), None)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return {
            "method": self.method,
            "version": self.version,
            "result": self.result,
            "reason": self.reason,
            "comment": self.comment,
            "properties": [p.to_dict() for p in self.properties],
        }


@dataclass(frozen=True, slots=True)
class AuthenticationResults:
    """A whole field (RFC 8601 section 2.2): who says it, and the results. No results stand as ``none``.

    `str()` and `to_bytes()` give the field: name, folded value, line ends CRLF, ready to be put in front of a
    message. `str()` is ASCII. Raises `ValueError` for an authserv-id that is empty, over 255 octets or holds
    controls, for an unknown version, and `TypeError` for what has the wrong type.
    """

    authserv_id: str
    results: tuple[MethodResult, ...] = ()
    version: int = SUPPORTED_VERSION

    def __post_init__(self) -> None:
        object.__setattr__(self, "authserv_id", check_authserv_id(self.authserv_id))
        object.__setattr__(self, "results", _all(MethodResult, self.results))
        _check_version(self.version)
        if self.version != SUPPORTED_VERSION:
            raise ValueError(f"version {self.version} of Authentication-Results is not known; there is only version 1")

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
        """The field as text; ASCII unless `smtputf8`."""
        return write(self, smtputf8=smtputf8)

    def folded_value(self, *, smtputf8: bool = False, line_end: str = "\r\n") -> str:
        """What follows name, colon and blank, without the last line end; milters want ``line_end="\\n"``."""
        return write_value(self, smtputf8=smtputf8, line_end=line_end)

    def __str__(self) -> str:
        return self.to_text()

    def to_dict(self) -> dict[str, Any]:
        """The field as JSON has it."""
        return {
            "authserv_id": self.authserv_id,
            "version": self.version,
            "results": [r.to_dict() for r in self.results],
        }


class Reason(StrEnum):
    """Why a field could not be read: stable codes."""

    NOT_UTF8 = "not-utf8"
    TOO_LONG = "too-long"
    CONTROL_CHARACTER = "control-character"
    BAD_FOLD = "bad-fold"  # CR or LF that no white space follows
    UNTERMINATED_COMMENT = "unterminated-comment"
    UNTERMINATED_QUOTED_STRING = "unterminated-quoted-string"
    COMMENT_TOO_DEEP = "comment-too-deep"
    NO_AUTHSERV_ID = "no-authserv-id"
    UNSUPPORTED_VERSION = "unsupported-version"
    NO_RESULTS = "no-results"
    EXPECTED_METHOD = "expected-method"
    EXPECTED_RESULT = "expected-result"
    EXPECTED_PROPERTY = "expected-property"
    EXPECTED_VALUE = "expected-value"
    UNEXPECTED = "unexpected"
    OTHER_FIELD = "other-field"  # parse_field: the name is another one


@dataclass(frozen=True, slots=True)
class ParseFailure:
    """A field that could not be read.

    `position` counts what was given from its beginning: octets of bytes, characters of text. `detail` says it in
    words, without a peer's text in them. `authserv_id` is there if it was read before the trouble, else "".
    """

    reason: Reason
    position: int
    detail: str
    authserv_id: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The failure as JSON has it."""
        return {
            "reason": str(self.reason),
            "position": self.position,
            "detail": self.detail,
            "authserv_id": self.authserv_id,
        }


def check_authserv_id(value: object) -> str:
    """The id as plain text; `ValueError` or `TypeError` for what cannot be one (RFC 8601 section 2.5)."""
    text = _text("authserv-id", value)
    if not text.strip():
        raise ValueError("the authserv-id is empty; it is usually the domain or host name of the server")
    if _UNSAFE.search(text):
        raise ValueError(f"the authserv-id holds a control character: {text[:60]!r}")
    if len(text.encode("utf-8")) > MAX_ID_OCTETS:
        raise ValueError(f"the authserv-id is over {MAX_ID_OCTETS} octets long: {text[:60]!r}...")
    return text


def _keyword(what: str, value: object) -> str:
    text = _text(what, value)
    if len(text) > MAX_KEYWORD_CHARACTERS:
        raise ValueError(f"{what} {text[:20]!r}... is over {MAX_KEYWORD_CHARACTERS} characters long")
    if not KEYWORD.fullmatch(text):
        raise ValueError(f"{what} {text!r} is no keyword: letters, digits, and hyphens except at the end")
    return text.lower()


def _text(what: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the {what} is text, not {type(value).__name__}")
    return str(value)  # a StrEnum becomes plain text


def _check_version(value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"a version is a number, not {type(value).__name__}")
    if not 0 <= value <= MAX_VERSION:
        raise ValueError(f"version {value} is not between 0 and {MAX_VERSION}")


def _all(kind: type[T], values: Iterable[T]) -> tuple[T, ...]:
    result = tuple(values)
    for value in result:
        if not isinstance(value, kind):
            raise TypeError(f"expected {kind.__name__}, not {type(value).__name__}")
    return result
