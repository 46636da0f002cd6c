"""`GreylistPolicy`: the delays and lifetimes of greylisting, each default with its source.

How patient greylisting is, as one immutable value. No decisions, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR

MIN_RETRY_SPAN = MINUTE
"""The least time between the end of the delay and the end of the retry window; a client needs a chance."""


class Mode(StrEnum):
    """Whether greylisting is applied: fully, not at all, or with every deferral turned into an acceptance."""

    ON = "on"
    OFF = "off"
    DRY_RUN = "dry-run"


@dataclass(frozen=True, slots=True, kw_only=True)
class GreylistPolicy:
    """How long to defer, to wait and to keep records. All times are in seconds.

    Raises `ValueError` for values that make no sense together, naming the field.
    """

    delay: float = 5 * MINUTE
    """How long a new triplet is deferred. RFC 6647 section 5 says one minute; five is what deployed servers use,
    and long enough for block lists to learn of a new source. Many guides say ten minutes."""
    retry_window: float = 2 * DAY
    """How long after the first attempt a retry still counts. RFC 6647 section 5 says 24 hours; two days also
    cover clients that back off to one attempt a day."""
    lifetime: float = 35 * DAY
    """How long a triplet or client stays known after its last use. RFC 6647 section 5 says at least one week;
    35 days keep a sender who writes once a month."""
    auto_allow: int = 5
    """After so many distinct successes all mail of a client is let through; 0: none is added. RFC 6647 section 5
    says after the first, which lets one success open a whole network."""
    auto_allow_interval: float = HOUR
    """At most one success of a client is counted in this time, so that one burst of mail does not suffice."""
    refresh: float = HOUR
    """The use of a known triplet or client is written down at most this often; in between it is only read."""
    ipv4_prefix: int = 24
    """Clients of one IPv4 network of this size are one client (RFC 6647 section 5); 32: each address."""
    ipv6_prefix: int = 64
    """The same for IPv6, for which RFC 6647 section 7 expects other choices: a site has at least a /64 (RFC 4291
    section 2.5.4); 128: each address."""
    mode: Mode = Mode.ON
    """On, off, or dry run: everything is recorded as usual, but nothing is deferred."""

    def __post_init__(self) -> None:
        for name in ("delay", "retry_window", "lifetime", "auto_allow_interval", "refresh"):
            _require_seconds(name, getattr(self, name))
        if self.retry_window < self.delay + MIN_RETRY_SPAN:
            raise ValueError(f"retry_window must be at least {MIN_RETRY_SPAN:g} s longer than delay")
        if self.refresh >= self.lifetime:
            raise ValueError("refresh must be shorter than lifetime")
        _require_integer("auto_allow", self.auto_allow, 1_000_000)
        _require_integer("ipv4_prefix", self.ipv4_prefix, 32)
        _require_integer("ipv6_prefix", self.ipv6_prefix, 128)
        object.__setattr__(self, "mode", _mode(self.mode))


def _require_seconds(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is a number of seconds, not {value!r}")
    if not 0 <= value <= 100 * 366 * DAY:
        raise ValueError(f"{name} is out of range: {_short(value)}")


def _require_integer(name: str, value: object, highest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{name} is a whole number, not {value!r}")
    if not 0 <= value <= highest:
        raise ValueError(f"{name} is between 0 and {highest}, not {_short(value)}")


def _short(value: float) -> str:
    return repr(value) if abs(value) < 1e18 else "a number that large"


def _mode(value: object) -> Mode:
    try:
        return Mode(value)  # type: ignore[arg-type]
    except ValueError:
        raise ValueError(f"mode is one of {', '.join(Mode)}, not {value!r}") from None
