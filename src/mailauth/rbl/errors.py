"""Errors in rules.

What this package raises, all of it for the caller's own mistakes.
"""

from __future__ import annotations

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
