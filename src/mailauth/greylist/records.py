"""`Record`: what is kept under one key.

What a store keeps, as immutable values, and their one text form. No transitions (machine.py).
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

NEVER = 2**53
"""`Record.expires` of what is never removed; every store keeps it exactly, Redis as a double."""


class State(StrEnum):
    """What a record says of its key: a triplet, a client, or (TALLY) the sum of records already removed."""

    WAITING = "waiting"  # triplet: deferred, not yet come back in time
    KNOWN = "known"  # triplet: came back in time, or allowed by hand
    COUNTING = "counting"  # client: some successes, not enough yet
    ALLOWED = "allowed"  # client: all its mail is let through
    TALLY = "tally"  # its key is no triplet or client but a state: the counts of what was removed


class Record(NamedTuple):
    """One record. Times are seconds since the epoch by the clock of whoever wrote it.

    For a client, `passed` counts its distinct successes. For a tally, `deferred` and `passed` are sums over the
    records that were removed, and `removed` is their number; in all other records it is 0.
    """

    state: State
    first_seen: float
    """Triplet: the first attempt of this round. Client: its first success."""
    last_seen: float
    """The last attempt or use that was written down (see `GreylistPolicy.refresh`)."""
    deferred: int
    """How often this key was deferred."""
    passed: int
    """How often it was let through, as far as written down."""
    expires: int
    """The second from which on a store may remove the record (it does when this is less than the time)."""
    removed: int = 0

    def to_text(self) -> str:
        """The record in one line of ASCII; equal records have equal text."""
        return " ".join(
            (
                self.state.value,
                repr(float(self.first_seen)),
                repr(float(self.last_seen)),
                *(str(int(number)) for number in self[3:]),
            )
        )

    @classmethod
    def from_text(cls, text: str) -> Record:
        """Read `to_text`; `ValueError` for anything else."""
        state, first_seen, last_seen, *numbers = text.split(" ")
        deferred, passed, expires, removed = map(int, numbers)
        return cls(State(state), float(first_seen), float(last_seen), deferred, passed, expires, removed)
