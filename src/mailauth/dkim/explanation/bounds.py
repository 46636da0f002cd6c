"""How much an explanation may cost: the bounds, and the account that is kept of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ExplainLimits:
    """How hard to look. The work is linear in the message, whatever it is. Raises `ValueError` for negative numbers.

    `octets` and `octets_per_octet` bound what is hashed for a message: so much, and so many times its body on top.
    """

    attempts: int = 40_000  # candidates hashed, for each half of each signature
    verifications: int = 12_000  # candidates verified under an Ed25519 key, for each signature (0.1 ms each)
    octets: int = 128 * 1024 * 1024
    octets_per_octet: int = 64
    seconds: float = 10.0  # for the whole message, by the caller's clock
    message_octets: int = 64 * 1024 * 1024  # larger messages are verified, and not searched

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value >= 0:
                raise ValueError(f"{name} is not negative")


_MANY_OCTETS = 64 * 1024  # so many take longer to hash than it takes to look at a clock


class Exhausted(Exception):
    """The bounds are reached. Never leaves the package."""


class Budget:
    """What may be spent on one message."""

    def __init__(self, limits: ExplainLimits, body_octets: int, clock: Callable[[], float] | None) -> None:
        self.limits = limits
        self.octets = limits.octets + limits.octets_per_octet * body_octets
        self.clock = clock
        self.deadline = clock() + limits.seconds if clock is not None else 0.0


class Account:
    """What one search has spent."""

    def __init__(self, budget: Budget, attempts: int | None = None) -> None:
        self.attempts = 0
        self._most = budget.limits.attempts if attempts is None else attempts
        self._budget = budget

    def work(self, octets: int) -> None:
        """So many octets are gone over to find candidates. Raises `Exhausted`."""
        budget = self._budget
        budget.octets -= octets
        if budget.octets < 0 or (budget.clock is not None and budget.clock() > budget.deadline):
            raise Exhausted

    def spend(self, octets: int) -> None:
        """One more candidate of so many octets. Raises `Exhausted`."""
        budget = self._budget
        budget.octets -= octets
        if self.attempts >= self._most or budget.octets < 0:
            raise Exhausted
        self.attempts += 1
        # A clock costs less than hashing, but not nothing.
        timely = octets > _MANY_OCTETS or self.attempts % 16 == 0
        if timely and budget.clock is not None and budget.clock() > budget.deadline:
            raise Exhausted
