"""Answer patterns, in Postfix's notation: ``127.0.0.[2;4..6]``.

The pattern that says which answers of a list count. Text to a value, and a value against an address.
"""

# SECURITY: patterns are the caller's own text, answers are the list's. Matching is a few comparisons of small
# integers, whatever the answer is.

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from ipaddress import IPv4Address
from operator import or_
from typing import NamedTuple, TypeAlias

from mailauth.rbl.errors import RuleError


class Range(NamedTuple):
    """The octets from `first` to `last`, both included."""

    first: int
    last: int

    def octets(self) -> Iterable[int]:
        return range(self.first, self.last + 1)

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}..{self.last}"


class Mask(NamedTuple):
    """The octets that have at least one bit of `bits` set (RFC 5782 section 2.3, bit-encoded entries)."""

    bits: int

    def octets(self) -> Iterable[int]:
        return (octet for octet in range(256) if octet & self.bits)

    def __str__(self) -> str:
        return f"&{self.bits}"


Term: TypeAlias = Range | Mask
Octet: TypeAlias = tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which answers count: for each of the four octets, the terms of which one must match."""

    octets: tuple[Octet, Octet, Octet, Octet]
    # The same as four sets of 256 bits, made when first needed: most patterns of the catalogue never are, while
    # those in use are matched with every answer.
    _sets: tuple[int, ...] = field(default=(), init=False, compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Read Postfix's notation. Raises `RuleError`, which points at the place."""
        return _parse(text)

    def matches(self, address: IPv4Address) -> bool:
        """Whether the answer counts."""
        if not self._sets:
            object.__setattr__(self, "_sets", tuple(map(_bits, self.octets)))
        number, (first, second, third, fourth) = int(address), self._sets
        return bool(
            first >> (number >> 24)
            & second >> (number >> 16 & 255)
            & third >> (number >> 8 & 255)
            & fourth >> (number & 255)
            & 1
        )

    def __str__(self) -> str:
        return ".".join(map(_octet_text, self.octets))


@lru_cache(maxsize=256)
def _bits(terms: Octet) -> int:
    return reduce(or_, (1 << octet for term in terms for octet in term.octets()), 0)


def _octet_text(terms: Octet) -> str:
    if len(terms) == 1 and isinstance(terms[0], Range) and terms[0].first == terms[0].last:
        return str(terms[0])
    return "[" + ";".join(map(str, terms)) + "]"


# pattern = octet "." octet "." octet "." octet
# octet   = number / "[" term *( ";" term ) "]"
# term    = number / number ".." number / "&" number        ; the last is ours: one bit of the number is set
# number  = 1*DIGIT                                         ; 0 to 255, leading zeros are allowed
_TOKEN = re.compile(r"(?P<number>[0-9]+)|(?P<range>\.\.)|(?P<sign>[.;&\[\]])", re.ASCII)


class _Reader:
    """The tokens of a pattern, one ahead."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = self._split()
        self._next()

    def _split(self) -> Iterator[tuple[str, int]]:
        position = 0
        while position < len(self.text):
            found = _TOKEN.match(self.text, position)
            if found is None:
                raise self.error("unexpected character", position)
            yield found.group(), position
            position = found.end()

    def _next(self) -> None:
        self.token, self.position = next(self._tokens, ("", len(self.text)))

    def error(self, problem: str, position: int | None = None) -> RuleError:
        return RuleError(problem, self.text, self.position if position is None else position)

    def skip(self, token: str) -> bool:
        if self.token != token:
            return False
        self._next()
        return True

    def expect(self, token: str) -> None:
        if not self.skip(token):
            raise self.error(f'expected "{token}"')

    def number(self) -> int:
        # The length is looked at first: int() of a very long text is slow.
        if not self.token.isdigit() or len(self.token.lstrip("0")) > 3 or int(self.token) > 255:
            raise self.error("expected a number from 0 to 255")
        value = int(self.token)
        self._next()
        return value


def _parse(text: str) -> Pattern:
    reader = _Reader(text)
    octets = [_octet(reader)]
    for _ in range(3):
        reader.expect(".")
        octets.append(_octet(reader))
    if reader.token:
        raise reader.error("nothing may follow the fourth octet")
    return Pattern((octets[0], octets[1], octets[2], octets[3]))


def _octet(reader: _Reader) -> Octet:
    if not reader.skip("["):
        number = reader.number()
        return (Range(number, number),)
    terms = [_term(reader)]
    while reader.skip(";"):
        terms.append(_term(reader))
    reader.expect("]")
    return tuple(terms)


def _term(reader: _Reader) -> Term:
    if reader.skip("&"):
        position = reader.position
        bits = reader.number()
        if not bits:
            raise reader.error("a mask without a bit matches nothing", position)
        return Mask(bits)
    first = reader.number()
    if not reader.skip(".."):
        return Range(first, first)
    position = reader.position
    last = reader.number()
    if last < first:
        raise reader.error(f"a range goes upwards: {last}..{first}", position)
    return Range(first, last)
