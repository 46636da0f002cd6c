"""`ConfigError` and the `Mistake`s in it.

How a mistake in the file is reported. Values only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mailauth import MailAuthError
from mailauth.config.lines import Path


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong: where, and what would do. `line` counts from 1."""

    file: str
    line: int
    key: str  # such as restrictions.recipient[2]; "" where it is not about one key
    problem: str  # what is wrong, and mostly what would be right

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.key + ': ' if self.key else ''}{self.problem}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"file": self.file, "line": self.line, "key": self.key, "problem": self.problem}


class ConfigError(MailAuthError, ValueError):
    """The configuration cannot be used. `mistakes` has each of them, in the order of the file; the text one a line."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(sorted(mistakes, key=lambda mistake: mistake.line))
        super().__init__("\n".join(map(str, self.mistakes)))


def shown(path: Path) -> str:
    """A path for people: ``restrictions.recipient[2]``."""
    words = ""
    for step in path:
        words += f"[{step}]" if isinstance(step, int) else f".{step}" if words else step
    return words


def propose(word: str, known: Iterable[str]) -> str:
    """Words to put behind "unknown ...": the one that is meant, or all that there are."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names)}"
