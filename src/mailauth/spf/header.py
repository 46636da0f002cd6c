"""Writes and reads Received-SPF.

The Received-SPF header field (RFC 7208 section 9.1), written and read. Values in, text out.
"""

# SECURITY: sender, HELO and DNS words are the client's. Everything that is written is printable US-ASCII, quoted
# where the grammar demands it, and cut; no CR, LF or NUL gets in, and no recipient. Reading is one pass without
# recursion over a field of at most `MAX_FIELD_CHARACTERS`.

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mailauth.spf.result import SpfResult
from mailauth.spf.terms import Result

MAX_VALUE_CHARACTERS = 320
"""64 octets of local part, "@" and 255 of domain (RFC 5321 section 4.5.3.1); quoted, well below the 998 of a line."""
MAX_FIELD_CHARACTERS = 16_384

FIELD_NAME = "Received-SPF"


# --- writing ----------------------------------------------------------------------------------------------


def received_spf(spf: SpfResult, *, receiver: str | None = None) -> str:
    """The whole field, folded, with its final CRLF, to stand above all others (RFC 7208 section 9.1).

    `receiver` is the host name of whoever checked.
    """
    lines = [f"{FIELD_NAME}: {spf.result} ({_comment(spf, receiver)})"]
    lines += [f"{key}={_value(value)};" for key, value in _pairs(spf, receiver)]
    return "\r\n ".join(lines) + "\r\n"


def _comment(spf: SpfResult, receiver: str | None) -> str:
    by = f"{receiver}: " if receiver else ""
    return _ESCAPED_IN_COMMENT.sub(r"\\\g<0>", _cleaned(by + _words(spf)))


def _words(spf: SpfResult) -> str:
    # RFC 7208 section 9.1: a comment that says what the result is about.
    domain = f"domain of {spf.domain}"
    match spf.result:
        case Result.PASS:
            return f"{domain} designates {spf.ip} as permitted sender"
        case Result.FAIL:
            return f"{domain} does not designate {spf.ip} as permitted sender"
        case Result.SOFTFAIL:
            return f"{domain} does not quite deny {spf.ip} as sender"
        case Result.NEUTRAL:
            return f"{spf.ip} is neither permitted nor denied by {domain}"
        case Result.NONE:
            return f"{domain} has no SPF record" if spf.domain else "no domain to check"
    return f"error in checking {domain}"


def _pairs(spf: SpfResult, receiver: str | None) -> Iterator[tuple[str, str]]:
    yield "identity", spf.identity
    yield "client-ip", str(spf.ip)
    if spf.identity == "mailfrom":
        yield "envelope-from", spf.sender
    if spf.helo:
        yield "helo", spf.helo
    if receiver:
        yield "receiver", receiver
    if spf.problem:
        yield "problem", spf.problem
    else:
        # RFC 7208 section 9.1: if no mechanisms matched, substitute the word "default".
        yield "mechanism", spf.mechanism or "default"


# key-value-pair   = key [CFWS] "=" ( dot-atom / quoted-string )
_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
_DOT_ATOM = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*\Z")
_ESCAPED_IN_QUOTES = re.compile(r'["\\]')
_ESCAPED_IN_COMMENT = re.compile(r"[()\\]")


def _value(text: str) -> str:
    text = _cleaned(text)
    return text if _DOT_ATOM.match(text) else '"' + _ESCAPED_IN_QUOTES.sub(r"\\\g<0>", text) + '"'


def _cleaned(text: str) -> str:
    # RFC 7208 section 9.1: no invalid characters, not too long, nothing malicious.
    return "".join(char if " " <= char <= "~" else "?" for char in text[:MAX_VALUE_CHARACTERS])


# --- reading ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReceivedSpf:
    """What a Received-SPF field says. Whether to believe it is another question: anyone can write one."""

    result: Result
    comment: str = ""
    """The last comment behind the result, without its parentheses; empty without one."""
    pairs: tuple[tuple[str, str], ...] = ()
    """The key-value pairs, keys in lower case."""

    def get(self, key: str) -> str | None:
        """The first value of a key."""
        return next((value for name, value in self.pairs if name == key.lower()), None)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"result": self.result.value, "comment": self.comment, "pairs": dict(reversed(self.pairs))}


# header-field     = "Received-SPF:" [CFWS] result FWS [comment FWS] [ key-value-list ] CRLF
# key-value-list   = key-value-pair *( ";" [CFWS] key-value-pair ) [";"]
_NAME = re.compile(rf"{FIELD_NAME}[ \t]*:", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z]+")
_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
_SPACE = re.compile(r"[ \t\r\n]*")
_COMMENT_TEXT = re.compile(r"[^()\\\0]*")
# Values that were written without the quotes that they need (IPv6 addresses, mailboxes) are taken up to the ";".
_ATOM = re.compile(r"[^\s\";()\\\x00-\x1f\x7f]+")
_QUOTED = re.compile(r'"((?:[^"\\\0\r\n]|\\[^\0\r\n]|\r\n[ \t])*+)"')
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_FOLD = re.compile(r"\r?\n(?=[ \t])")


def parse_received_spf(field: str | bytes) -> ReceivedSpf | None:
    """The parsed field, given with or without its name; None for anything that is not a Received-SPF field."""
    text = field.decode("utf-8", "replace") if isinstance(field, bytes) else field
    if len(text) > MAX_FIELD_CHARACTERS:
        return None
    name = _NAME.match(text)
    return _Reader(_FOLD.sub("", text[name.end() if name else 0 :])).field()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def field(self) -> ReceivedSpf | None:
        self.white_space_and_comments()
        word = self.take(_WORD)
        if word is None or word[0].lower() not in _RESULTS:
            return None
        comment = self.white_space_and_comments()
        pairs = self.pairs()
        if pairs is None:
            return None
        return ReceivedSpf(_RESULTS[word[0].lower()], comment, tuple(pairs))

    def pairs(self) -> list[tuple[str, str]] | None:
        pairs = []
        while self.position < len(self.text):
            key = self.take(_KEY)
            self.white_space_and_comments()
            if key is None or not self.skip("="):
                return None
            self.white_space_and_comments()
            value = self.value()
            if value is None:
                return None
            pairs.append((key[0].lower(), value))
            self.white_space_and_comments()
            if not self.skip(";") and self.position < len(self.text):
                return None
            self.white_space_and_comments()
        return pairs

    def value(self) -> str | None:
        if quoted := self.take(_QUOTED):
            return _QUOTED_PAIR.sub(r"\1", quoted[1])
        atom = self.take(_ATOM)
        return None if atom is None else atom[0]

    def take(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        match = pattern.match(self.text, self.position)
        if match is not None:
            self.position = match.end()
        return match

    def skip(self, char: str) -> bool:
        if not self.text.startswith(char, self.position):
            return False
        self.position += 1
        return True

    def white_space_and_comments(self) -> str:
        """Skip CFWS; the text of the last comment in it."""
        comment = ""
        while True:
            self.take(_SPACE)
            if not self.text.startswith("(", self.position):
                return comment
            comment = self.comment()

    def comment(self) -> str:
        """One comment, with those inside it; an open end closes at the end of the field."""
        depth, parts = 0, []
        while self.position < len(self.text):
            if part := self.take(_COMMENT_TEXT):
                parts.append(part[0])
            char = self.text[self.position : self.position + 1]
            self.position += 1
            if char == "\\":
                parts.append(self.text[self.position : self.position + 1])
                self.position += 1
                continue
            depth += {"(": 1, ")": -1}.get(char, 0)
            if not depth:
                break
            if char and depth + (char == ")") > 1:
                parts.append(char)
        return "".join(parts)


_RESULTS = {result.value: result for result in Result}
