"""One method and its result as immutable values: `MethodResult` and `Property`. No reading, no writing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mailauth.authres.words import (
    KEYWORD,
    MAX_KEYWORD_CHARACTERS,
    MAX_VERSION,
    OWN_PROPERTIES,
    PROPERTY_TYPES,
    RESULT_WORDS,
    SUPPORTED_VERSION,
)


@dataclass(frozen=True, slots=True)
class Property:
    """What a method looked at (RFC 8601 section 2.3): ``smtp.mailfrom=example.org``.

    `type` is the ptype and `name` the property, both keywords, kept in lower case. `value` may be any text: writing
    quotes, escapes and cuts it as needed. `comment` is what stands in parentheses behind it, "" for nothing.
    Raises `ValueError` for a type or name that is no keyword, `TypeError` for anything that is not text.
    """

    type: str
    name: str
    value: str
    comment: str = ""

    def __post_init__(self) -> None:
        if not (type(self.type) is type(self.name) is str and (self.type, self.name) in OWN_PROPERTIES):
            _keep_keyword(self, "type", "property type")
            _keep_keyword(self, "name", "property name")
        if not (type(self.value) is type(self.comment) is str):
            _keep_text(self, "value", "property value")
            _keep_text(self, "comment", "comment")

    def to_dict(self) -> dict[str, str]:
        """The property as JSON has it."""
        return {"type": self.type, "name": self.name, "value": self.value, "comment": self.comment}


@dataclass(frozen=True, slots=True)
class MethodResult:
    """One method and its result: ``dkim=pass (2048 bit) reason="..." header.d=example.org``.

    `method` and `result` are keywords, kept in lower case; any are allowed here, since a parser keeps what it does
    not know (see `registered`). `reason` is text, or None for no reason; `comment` stands behind the result, "" for
    nothing. `version` is the method's (RFC 8601 section 2.6). Raises `ValueError` or `TypeError` as `Property` does.
    """

    method: str
    result: str
    properties: tuple[Property, ...] = ()
    reason: str | None = None
    comment: str = ""
    version: int = SUPPORTED_VERSION

    def __post_init__(self) -> None:
        # Registered words are keywords.
        if not (type(self.method) is type(self.result) is str and self.result in RESULT_WORDS.get(self.method, ())):
            _keep_keyword(self, "method", "method")
            _keep_keyword(self, "result", "result")
        if type(self.properties) is not tuple:
            object.__setattr__(self, "properties", tuple(self.properties))
        for item in self.properties:
            if not isinstance(item, Property):
                raise TypeError(f"expected Property, not {type(item).__name__}")
        if self.reason is not None:
            _keep_text(self, "reason", "reason")
        _keep_text(self, "comment", "comment")
        require_version(self.version)

    @property
    def registered(self) -> bool:
        """Whether IANA lists this method, in this version, with this result, and the types of its properties.

        RFC 8601 sections 2.3 and 4.1: a consumer must ignore the result otherwise.
        """
        return (
            self.version == SUPPORTED_VERSION
            and self.result in RESULT_WORDS.get(self.method, ())
            and all(item.type in PROPERTY_TYPES for item in self.properties)
        )

    def value(self, type: str, name: str) -> str | None:
        """The value of the first property of that type and name (any case); None without one."""
        wanted = (type.lower(), name.lower())
        return next((item.value for item in self.properties if (item.type, item.name) == wanted), None)

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON has it."""
        return {
            "method": self.method,
            "version": self.version,
            "result": self.result,
            "reason": self.reason,
            "comment": self.comment,
            "properties": [item.to_dict() for item in self.properties],
        }


def require_version(value: object) -> None:
    """Refuse anything that is not a version number."""
    if type(value) is not int:
        raise TypeError(f"a version is a number, not {type(value).__name__}")
    if not 0 <= value <= MAX_VERSION:
        raise ValueError(f"version {value} is not between 0 and {MAX_VERSION}")


def _keep_keyword(owner: object, name: str, what: str) -> None:
    """Make an attribute a keyword in lower case, or refuse it."""
    value = getattr(owner, name)
    _keep_text(owner, name, what)
    if len(value) > MAX_KEYWORD_CHARACTERS:
        raise ValueError(f"{what} {value[:20]!r}... is over {MAX_KEYWORD_CHARACTERS} characters long")
    if not KEYWORD.fullmatch(value):
        raise ValueError(f"{what} {str(value)!r} is no keyword: letters, digits, and hyphens except at the end")
    object.__setattr__(owner, name, str(value).lower())


def _keep_text(owner: object, name: str, what: str) -> None:
    value = getattr(owner, name)
    if type(value) is str:
        return
    if not isinstance(value, str):
        raise TypeError(f"the {what} is text, not {type(value).__name__}")
    object.__setattr__(owner, name, str(value))  # a StrEnum becomes plain text
