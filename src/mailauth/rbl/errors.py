# What belongs here: what this package raises, all of it for the caller's own mistakes.
"""Errors in rules."""

from __future__ import annotations

from mailauth import MailAuthError


class RuleError(MailAuthError, ValueError):
    """A rule that cannot be understood: what is wrong, and where.

    `text` is the rule (or the part of it that is wrong), `position` the index in it. Keys in zone names are masked.
    """

    def __init__(self, problem: str, text: str, position: int | None = None) -> None:
        self.problem = problem
        self.text = text
        self.position = position
        place = "" if position is None else f" (at character {position + 1})"
        super().__init__(f"{text[:200]!r}: {problem}{place}")
