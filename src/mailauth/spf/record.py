"""SPF records: `Record.parse`, and the cached parser of the evaluation.

A record as a value: read from text (parse.py), printed, and compiled for the evaluation (compile.py).
"""

# SECURITY: records are written by whoever owns the domain of the sender; a TXT record is at most 65,535 octets. The
# cache of parsed records is bounded in number and in the size of each.

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import cast

from mailauth.spf.compile import MODIFIERS, Lookup, Step, compile_terms
from mailauth.spf.parse import VERSION, has_version, parse_term, parse_terms, require_single_modifiers
from mailauth.spf.problem import Problem, RecordError, TermError
from mailauth.spf.terms import All, Explanation, Mechanism, Redirect, Term

MAX_STRING_OCTETS = 255
"""RFC 1035 section 3.3: a character-string has at most 255 octets; RFC 7208 section 3.3 joins several."""

MAX_CACHED_RECORDS = 2048
MAX_CACHED_OCTETS = 2048
"""Longer records are parsed anew each time: with the number above, what a flood of records can hold in memory stays
below some 70 MB. RFC 7208 section 3.4 asks for less than 450 octets."""


@dataclass(frozen=True)
class Record:
    """A valid SPF record: its terms in their order. Immutable; may be shared between threads.

    Equal records print alike, and ``Record.parse(str(record)) == record``.
    """

    terms: tuple[Term, ...] = ()
    all: All | None = field(init=False, compare=False, repr=False)
    """The first "all"; mechanisms behind it are ignored (RFC 7208 section 5.1)."""
    redirect: Redirect | None = field(init=False, compare=False, repr=False)
    """The "redirect" modifier, unless an "all" anywhere makes it ignored (RFC 7208 section 6.1)."""
    explanation: Explanation | None = field(init=False, compare=False, repr=False)
    """The "exp" modifier."""
    program: tuple[Step, ...] = field(init=False, compare=False, repr=False)
    """What the evaluation does, step by step, up to an "all"."""
    redirect_step: Lookup | None = field(init=False, compare=False, repr=False)
    """What it does after that."""
    asks: bool = field(init=False, compare=False, repr=False)
    """Whether any of it asks the DNS; if not, there is one step at most."""

    @staticmethod
    def parse(text: str | bytes) -> Record:
        """The record that `text` is. Raises `RecordError`, which points at the first error and proposes."""
        if isinstance(text, bytes):
            text = text.decode("latin-1")
        if not has_version(text):
            words = f'a record begins with "{VERSION}", followed by a space or nothing'
            raise RecordError(Problem("no-version", words, 0, max(1, len(text.split(" ", 1)[0]))))
        return _parse_versioned(text)

    @property
    def directives(self) -> tuple[Mechanism, ...]:
        """The mechanisms, in their order."""
        return tuple(cast("Mechanism", term) for term in self.terms if type(term) not in MODIFIERS)

    def __str__(self) -> str:
        return " ".join([VERSION, *map(str, self.terms)])

    def strings(self, limit: int = MAX_STRING_OCTETS) -> list[str]:
        """The record as the strings of a TXT record, each of at most 255 octets (RFC 7208 section 3.3)."""
        text = str(self)
        parts = []
        while len(text) > limit:
            # Between two terms where that is possible; the space goes with the term before it.
            cut = text.rfind(" ", 0, limit) + 1 or limit
            parts.append(text[:cut])
            text = text[cut:]
        return [*parts, text]

    def __post_init__(self) -> None:
        # One pass; frozen dataclasses take values for derived fields only this way.
        vars(self).update(compile_terms(self.terms))


def _parse_versioned(text: str) -> Record:
    rest = text[len(VERSION) :]
    try:
        terms = [parse_term(word) for word in rest.split(" ") if word]
        if "=" in rest:
            require_single_modifiers(terms)
    except TermError:
        # Once more, slowly, to say where.
        problem = next(found for _, _, found in parse_terms(text) if type(found) is Problem)
        raise RecordError(problem) from None
    # What Record(terms) does, without the detour of a frozen dataclass.
    record = _new(Record)
    _set(record, "__dict__", compile_terms(tuple(terms)))
    return record


_new, _set = object.__new__, object.__setattr__


def _parsed(octets: bytes) -> Record | Problem | None:
    # RFC 7208 section 4.5; octets that are no US-ASCII are errors in SPF records, and do not matter elsewhere.
    text = octets.decode("latin-1")
    if not has_version(text):
        return None
    try:
        return _parse_versioned(text)
    except RecordError as error:
        return error.problem


_cached = lru_cache(maxsize=MAX_CACHED_RECORDS)(_parsed)


def parsed_record(octets: bytes) -> Record | Problem | None:
    """A TXT record as the SPF record that it is, or what is wrong with that; None for a record of anything else.

    Cached: a short record is evaluated in less time than it takes to parse it.
    """
    return _cached(octets) if len(octets) <= MAX_CACHED_OCTETS else _parsed(octets)


def forget_records() -> None:
    """Empty the cache of parsed records, for measurements and tests."""
    _cached.cache_clear()
