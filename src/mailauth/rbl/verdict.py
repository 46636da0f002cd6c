"""`judge`: from many listings to one verdict. Pure arithmetic: no question is asked here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailauth.rbl.listing import Listing, Result
from mailauth.rbl.rule import Action

DEFAULT_THRESHOLD = 1
"""postscreen_dnsbl_threshold's default: one listing of weight 1 is enough."""

MIN_THRESHOLD = 1
"""As in Postfix: with 0, a client that no list knows would be rejected."""

MAX_ZONES_NAMED = 3
"""In an SMTP reply, which is one line."""


class VerdictAction(StrEnum):
    """What to do with the client, as far as the lists are concerned."""

    REJECT = "reject"  # by a rule with the action reject, or by the score
    ALLOW = "allow"  # an allow list ended the matter
    NONE = "none"  # the lists have nothing to say: other checks go on


class VerdictReason(StrEnum):
    """Why: stable codes for programs."""

    ALLOW_LIST = "allow-list"  # a rule with the action allow has a listing: no other counts
    REJECT_LIST = "reject-list"  # a rule with the action reject has one, and none with allow
    SCORE = "score"  # the weights of all listings add up to the threshold or more
    BELOW_THRESHOLD = "below-threshold"  # they do not, or nothing is listed


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the lists say as a whole.

    `because` are the listings that decided (for a score: all that added to it), `unanswered` those that said
    nothing either way ("refused" and "temperror"), for the log: they never count against the subject.
    """

    action: VerdictAction
    reason: VerdictReason
    score: int  # the sum of the weights of all listings, whatever decided
    threshold: int  # the least score that rejects
    because: tuple[Listing, ...]
    unanswered: tuple[Listing, ...]

    @property
    def rejects(self) -> bool:
        """Whether the subject is to be rejected."""
        return self.action is VerdictAction.REJECT

    @property
    def text(self) -> str:
        """In words, fit for an SMTP reply: printable ASCII, keys masked. It names the lists and their reasons."""
        if not self.because:
            return ""
        first = self.because[0]
        verb = "blocked" if self.rejects else "listed"
        reason = f"; {first.text}" if first.text else ""
        return f"{first.subject} {verb} using {self._names()}{reason}"

    def _names(self) -> str:
        zones = list(dict.fromkeys(listing.zone for listing in self.because))
        more = len(zones) - MAX_ZONES_NAMED
        return ", ".join(zones[:MAX_ZONES_NAMED]) + (f" and {more} more" if more > 0 else "")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "action": self.action.value,
            "reason": self.reason.value,
            "score": self.score,
            "threshold": self.threshold,
            "because": [str(listing.rule) for listing in self.because],
            "unanswered": [str(listing.rule) for listing in self.unanswered],
            "text": self.text,
        }


def check_threshold(threshold: int) -> None:
    """Raise `ValueError` for a threshold below `MIN_THRESHOLD`: for whoever keeps one until the lists have answered."""
    if threshold < MIN_THRESHOLD:
        raise ValueError(f"the threshold is {MIN_THRESHOLD} or more, not {threshold}")


def judge(listings: Iterable[Listing], *, threshold: int = DEFAULT_THRESHOLD) -> Verdict:
    """The verdict over the listings of one subject.

    A listing by an ``allow`` rule ends the matter; then one by a ``reject`` rule rejects; then the weights of all
    listings are added up, each rule counted once as postscreen does, and a score of `threshold` or more rejects
    (RFC 5782 section 6 has all three uses).

    Raises `ValueError` for a threshold below 1.
    """
    check_threshold(threshold)
    everything = tuple(listings)
    counted = tuple(listing for listing in everything if listing.listed)
    unanswered = tuple(one for one in everything if one.result in {Result.REFUSED, Result.TEMPERROR})
    score = sum(listing.score for listing in counted)
    action, reason, because = VerdictAction.NONE, VerdictReason.BELOW_THRESHOLD, counted
    if score >= threshold:
        action, reason = VerdictAction.REJECT, VerdictReason.SCORE
        because = tuple(listing for listing in counted if listing.score > 0)
    for word, its_action, its_reason in _AT_ONCE:
        if at_once := tuple(listing for listing in counted if listing.rule.action is word):
            action, reason, because = its_action, its_reason, at_once
    return Verdict(action, reason, score, threshold, because, unanswered)


# The later counts for more.
_AT_ONCE = (
    (Action.REJECT, VerdictAction.REJECT, VerdictReason.REJECT_LIST),
    (Action.ALLOW, VerdictAction.ALLOW, VerdictReason.ALLOW_LIST),
)
