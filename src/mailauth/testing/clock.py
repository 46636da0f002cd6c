"""`Clock`: the time as a test wants it."""

from __future__ import annotations

START = 1_800_000_000.0
"""15 January 2027, 08:00 UTC."""


class Clock:
    """Gives `now`, in seconds since the epoch, when called: wherever this library takes a ``clock``.

    It stands still until `advance` turns it.
    """

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0) -> float:
        """Turn it forward, and return the new time. Raises `ValueError` for a negative step."""
        step = seconds + 60 * (minutes + 60 * (hours + 24 * days))
        if step < 0:
            raise ValueError("a clock does not go backwards; set now")
        self.now += step
        return self.now
