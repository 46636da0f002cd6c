"""What became of an address: rewritten, turned back, left alone or refused, and why. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Stable codes."""

    REWRITTEN = "rewritten"  # `address` is in our domain
    REVERSED = "reversed"  # `address` is the original sender's, or the first forwarder's SRS0 address
    # forward: left alone
    NULL_SENDER = "null-sender"  # a bounce has no sender to bounce to
    OWN_DOMAIN = "own-domain"  # the domain is ours: SPF passes for us
    TOO_LONG = "too-long"  # rewritten, it would be over `max_octets` or `max_local_part`
    # both
    NO_ADDRESS = "no-address"  # no local part or domain, a control character, or "=" in the domain
    # reverse: refused
    OTHER_DOMAIN = "other-domain"  # it is not in the domain of this `Srs`
    NOT_SRS = "not-srs"  # its local part does not begin with SRS0 or SRS1 and a separator
    MALFORMED = "malformed"  # behind SRS0 or SRS1 a part is missing, or the timestamp is invalid
    WRONG_HASH = "wrong-hash"  # none of the secrets made the hash, or it is shorter than the policy accepts
    EXPIRED = "expired"  # its timestamp is over `max_age` days old, or more than a day ahead


_WORDS = {
    Reason.REWRITTEN: "rewritten",
    Reason.REVERSED: "turned back",
    Reason.NULL_SENDER: "the null sender stays as it is",
    Reason.OWN_DOMAIN: "the domain is one of ours",
    Reason.TOO_LONG: "the rewritten address would be too long",
    Reason.NO_ADDRESS: "this is no address with a domain",
    Reason.OTHER_DOMAIN: "the address is not in our domain",
    Reason.NOT_SRS: "the address does not begin with SRS0 or SRS1",
    Reason.MALFORMED: "the address begins with SRS0 or SRS1, and is none",
    Reason.WRONG_HASH: "the hash is wrong: none of our secrets made it",
    Reason.EXPIRED: "the address is too old",
}


@dataclass(frozen=True, slots=True)
class SrsResult:
    """What became of an address. `address` is the new one; None where the address stays, or is refused."""

    reason: Reason
    address: str | None = None

    @property
    def detail(self) -> str:
        """The reason in words."""
        return _WORDS[self.reason]

    def __bool__(self) -> bool:
        """Refused: compare the reason, or take the address."""
        raise TypeError("an SrsResult is neither true nor false: look at its reason or its address")

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"reason": self.reason.value, "detail": self.detail, "address": self.address}
