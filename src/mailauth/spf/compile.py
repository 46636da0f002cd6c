"""The form in which the evaluation walks through a record: networks as numbers, questions ready to be asked.

Made once for each record, which is cached; evaluating a record costs less than parsing it. RFC 7208 section 4 allows
any way that leads to the same results.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, TypeAlias, cast, final

from mailauth.plan.dns import Question, RecordType
from mailauth.spf.macros import MacroString, expand_name, target_name
from mailauth.spf.terms import (
    IP4_BITS,
    IP6_BITS,
    A,
    All,
    Asking,
    Exists,
    Explanation,
    Include,
    Ip4,
    Ip6,
    Mx,
    Ptr,
    Redirect,
    Term,
    UnknownModifier,
)


@final
class Networks:
    """A run of "ip4" and "ip6" mechanisms as one sorted list of numbers.

    The list holds where authorised ranges begin and end, in turns, so that a number lies in one of them if an odd
    number of entries is not above it. IPv6 addresses stand behind the IPv4 ones (`IP6_OFFSET`).
    """

    __slots__ = ("bounds", "ranges", "terms")

    def __init__(self, terms: Sequence[Ip4 | Ip6]) -> None:
        self.terms = terms
        self.ranges = [network_range(term) for term in terms]
        self.bounds = merged(self.ranges)

    def covers(self, number: int) -> bool:
        """Whether one of the terms matches."""
        return bool(bisect_right(self.bounds, number) & 1)

    def first_match(self, number: int) -> Ip4 | Ip6:
        """The first of the terms that matches; one must."""
        if len(self.terms) == 1:
            return self.terms[0]
        for term, (first, behind) in zip(self.terms, self.ranges, strict=True):
            if first <= number < behind:
                return term
        raise LookupError(number)


IP6_OFFSET = 1 << IP4_BITS
"""What is added to an IPv6 address to make it a number behind those of IPv4."""


def network_range(term: Ip4 | Ip6) -> tuple[int, int]:
    if type(term) is Ip4:
        shift = IP4_BITS - term.prefix_length
        first = term.address >> shift << shift
    else:
        shift = IP6_BITS - term.prefix_length
        first = (term.address >> shift << shift) + IP6_OFFSET
    return first, first + (1 << shift)


def merged(ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Ranges (first, behind the last), joined where they touch, as one list of bounds in rising order."""
    if len(ranges) == 1:
        return list(ranges[0])
    bounds: list[int] = []
    end = -1
    for first, behind in sorted(ranges):
        if first > end:
            bounds += (first, behind)
            end = behind
        elif behind > end:
            bounds[-1] = end = behind
    return bounds


_NO_LETTERS: frozenset[str] = frozenset()


@final
class Lookup:
    """A term that asks the DNS, with its first question ready where the name in it does not depend on the message."""

    __slots__ = ("letters", "name", "one_answer", "question", "question6", "rtype", "rtype6", "term")

    def __init__(self, term: Asking) -> None:
        self.term = term
        self.rtype, self.rtype6, self.one_answer = _FIRST_QUESTION[type(term)]
        self.question: Question | None = None
        """What an IPv4 client makes it ask."""
        self.question6: Question | None = None
        """What an IPv6 client makes it ask."""
        self.name = spec = term.domain_spec
        """Its domain-spec; None: it has none, and is about the <domain>."""
        self.letters = _NO_LETTERS if spec is None else spec.letters
        if spec is not None and not spec.letters:
            self._prepare(spec)

    def _prepare(self, spec: MacroString) -> None:
        name = target_name(expand_name(spec, {}))
        if name is not None:
            self.question = self.question6 = Question(name, self.rtype)
            if self.rtype6 != self.rtype:
                self.question6 = Question(name, self.rtype6)


# The types that IPv4 and IPv6 clients make a term ask first (RFC 7208 sections 5 and 6.1), and whether that answer
# is all that it needs.
_FIRST_QUESTION: dict[type[Asking], tuple[RecordType, RecordType, bool]] = {
    Include: ("TXT", "TXT", False),
    A: ("A", "AAAA", True),
    Mx: ("MX", "MX", False),
    Ptr: ("PTR", "PTR", False),
    Exists: ("A", "A", True),
    Redirect: ("TXT", "TXT", False),
}

Step: TypeAlias = Networks | Lookup


def compile_terms(terms: tuple[Term, ...]) -> dict[str, Any]:
    """The fields of a `Record` with these terms."""
    modifiers: dict[type[Term], Any] = {}
    end: All | None = None
    program: list[Step] = []
    run: list[Ip4 | Ip6] = []
    asks = False
    for term in terms:
        kind = type(term)
        if kind in MODIFIERS:
            modifiers[kind] = term  # RFC 7208 section 6: those of other specifications are never looked at
        elif end is not None:
            pass  # RFC 7208 section 5.1: mechanisms behind "all" are ignored
        elif kind is Ip4 or kind is Ip6:
            run.append(cast("Ip4 | Ip6", term))
        else:
            if run:
                program.append(Networks(run))
                run = []
            if kind is All:
                end = cast("All", term)
            else:
                program.append(Lookup(cast("Asking", term)))
                asks = True
    if run:
        program.append(Networks(run))
    # RFC 7208 sections 5.1 and 6.1: redirect is ignored when there is an "all", wherever it stands.
    redirect = modifiers.get(Redirect) if end is None else None
    return {
        "terms": terms,
        "program": tuple(program),
        "all": end,
        "redirect": redirect,
        "redirect_step": None if redirect is None else Lookup(redirect),
        "explanation": modifiers.get(Explanation),
        "asks": asks or redirect is not None,
    }


MODIFIERS = frozenset({Redirect, Explanation, UnknownModifier})
