"""Answer patterns, in Postfix's notation: ``127.0.0.[2;4..6]``. Text to a value, and a value against an address."""

# SECURITY: patterns are the caller's own text, answers are the list's. Matching is a few comparisons of small
# integers, whatever the answer is.

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import NamedTuple, TypeAlias

from mailauth import MailAuthError
from mailauth.rbl.secrets import hide_guessed


class RuleError(MailAuthError, ValueError):
    """A rule that cannot be understood: what is wrong, and where.

    `text` is the rule (or the part of it that is wrong), `position` the index in it. What looks like a key is masked.
    """

    def __init__(self, problem: str, text: str, position: int | None = None) -> None:
        self.problem = problem
        self.text = hide_guessed(text)
        self.position = position
        super().__init__(problem, self.text, position)

    def __str__(self) -> str:
        place = "" if self.position is None else f" (at character {self.position + 1})"
        return f"{self.text[:200]!r}: {self.problem}{place}"


class Range(NamedTuple):
    """The octets from `first` to `last`, both included."""

    first: int
    last: int

    def matches(self, octet: int) -> bool:
        return self.first <= octet <= self.last

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"


class Mask(NamedTuple):
    """The octets that have at least one bit of `bits` set (RFC 5782 section 2.3, bit-encoded entries)."""

    bits: int

    def matches(self, octet: int) -> bool:
        return bool(octet & self.bits)

    def __str__(self) -> str:
        return f"&{self.bits}"


Term: TypeAlias = Range | Mask
Octet: TypeAlias = tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which answers count: for each of the four octets, the terms of which one must match.

    RFC 5782 section 6: bit masks and ranges of values select the sublists of a combined list.
    """

    octets: tuple[Octet, Octet, Octet, Octet]

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read Postfix's notation. Raises `RuleError`, which points at the place."""
        reader = _Reader(text)
        octets = [reader.octet()]
        for _ in range(3):
            reader.expect(".")
            octets.append(reader.octet())
        if reader.position < len(text):
            raise reader.error("nothing may follow the fourth octet")
        return cls((octets[0], octets[1], octets[2], octets[3]))

    def matches(self, address: IPv4Address) -> bool:
        """Whether the answer counts."""
        pairs = zip(self.octets, address.packed, strict=True)
        return all(any(term.matches(octet) for term in terms) for terms, octet in pairs)

    def __str__(self) -> str:
        return ".".join(map(_octet_text, self.octets))


def _octet_text(terms: Octet) -> str:
    words = ";".join(map(str, terms))
    return words if words.isdigit() else f"[{words}]"


# pattern = octet "." octet "." octet "." octet
# octet   = number / "[" term *( ";" term ) "]"
# term    = number / number ".." number / "&" number        ; the last is ours: one bit of the number is set
# number  = 1*DIGIT                                         ; 0 to 255, leading zeros are allowed
_TOKEN = re.compile(r"[0-9]+|\.\.|.", re.DOTALL | re.ASCII)


class _Reader:
    """The tokens of a pattern, one ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._to(0)

    def _to(self, position: int) -> None:
        found = _TOKEN.match(self.text, position)
        self.position, self.token = position, found.group() if found else ""

    def error(self, problem: str, position: int | None = None) -> RuleError:
        return RuleError(problem, self.text, self.position if position is None else position)

    def skip(self, token: str) -> bool:
        if self.token != token:
            return False
        self._to(self.position + len(token))
        return True

    def expect(self, token: str) -> None:
        if not self.skip(token):
            raise self.error(f'expected "{token}"')

    def number(self) -> int:
        token = self.token
        # The length is looked at first: int() of a very long text is slow.
        if not ("0" <= token[:1] <= "9") or len(token.lstrip("0")) > 3 or int(token) > 255:
            raise self.error("expected a number from 0 to 255")
        self.skip(token)
        return int(token)

    def octet(self) -> Octet:
        if not self.skip("["):
            number = self.number()
            return (Range(number, number),)
        terms = [self.term()]
        while self.skip(";"):
            terms.append(self.term())
        self.expect("]")
        return tuple(terms)

    def term(self) -> Term:
        position = self.position + 1
        if self.skip("&"):
            if bits := self.number():
                return Mask(bits)
            raise self.error("a mask without a bit matches nothing", position)
        first = self.number()
        if not self.skip(".."):
            return Range(first, first)
        position = self.position
        last = self.number()
        if last < first:
            raise self.error(f"a range goes upwards: {last}..{first}", position)
        return Range(first, last)
