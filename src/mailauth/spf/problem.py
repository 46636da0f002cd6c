"""Syntax errors in SPF records.

What can be wrong with a record, as the parser says it: a code, words, the place, a proposal.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailauth import MailAuthError


@dataclass(frozen=True, slots=True)
class Problem:
    """One syntax error: which octets of the record, what is wrong with them, and what was probably meant."""

    code: str
    """Stable, for programs: "no-version", for example."""
    words: str
    start: int
    """The first octet of it in the record."""
    length: int
    """How many octets; at least one."""
    term: str = ""
    """The term that it is in."""
    proposal: str = ""
    """What to write instead of the marked octets; empty if there is no good guess."""

    def __str__(self) -> str:
        return f"{shown(self.term)}: {self.words}" if self.term else self.words


MAX_SHOWN = 100
"""A term in words for people; it may be as long as a TXT record."""


def shown(term: object) -> str:
    """A term for people: printable US-ASCII, cut if it is long."""
    text = ascii(str(term)[:MAX_SHOWN])[1:-1]
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."


class RecordError(MailAuthError, ValueError):
    """A text that is no valid SPF record; `problem` points at the first error."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class TermError(Exception):
    """Inside the parser only: an error at a place counted from the beginning of its term."""

    def __init__(self, code: str, words: str, start: int, length: int, proposal: str = "") -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.start = start
        self.length = length
        self.proposal = proposal

    def at(self, offset: int, term: str) -> Problem:
        """The same error, counted from the beginning of the record."""
        return Problem(self.code, self.words, offset + self.start, max(self.length, 1), term, self.proposal)
