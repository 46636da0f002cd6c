"""Limits and choices of SPF evaluation.

The limits of an evaluation, each with its source, and the policy value that adjusts them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

MAX_LOOKUPS = 10
"""Terms that ask the DNS: include, a, mx, ptr, exists, redirect. RFC 7208 section 4.6.4."""
MAX_VOID_LOOKUPS = 2
"""Answers "no such name" or "no data" to those terms. RFC 7208 section 4.6.4 (SHOULD; two is RECOMMENDED)."""
MAX_MX_HOSTS = 10
"""MX hosts of one "mx" whose addresses are asked; more are a permerror. RFC 7208 section 4.6.4; erratum 5227."""
MAX_PTR_NAMES = 10
"""PTR names that are validated; more are ignored. RFC 7208 section 4.6.4."""
MAX_EXPLANATION_OCTETS = 400
"""RFC 7208 section 6.2 allows a limit; with our own words before it, one SMTP reply line of 512 octets (RFC 5321
section 4.5.3.1.5) has room for this much."""


@dataclass(frozen=True, slots=True)
class SpfPolicy:
    """How much an evaluation may ask, and what it asks for. The defaults are those of RFC 7208.

    The time limit is not here: the driver that runs the plan keeps it (RFC 7208 section 4.6.4 asks for at least
    20 seconds, which is the drivers' default), and what is not answered by then makes a temperror.
    """

    max_lookups: int = MAX_LOOKUPS
    """Terms that ask the DNS (10); one more is a permerror (RFC 7208 section 4.6.4)."""
    max_void_lookups: int = MAX_VOID_LOOKUPS
    """Answers "no such name" or "no data" to those terms (2); one more is a permerror (RFC 7208 section 4.6.4)."""
    max_mx_hosts: int = MAX_MX_HOSTS
    """MX hosts of one "mx" whose addresses are asked (10); more are a permerror (RFC 7208 section 4.6.4)."""
    max_ptr_names: int = MAX_PTR_NAMES
    """PTR names that are validated (10); more are ignored (RFC 7208 section 4.6.4)."""
    max_explanation: int = MAX_EXPLANATION_OCTETS
    """Octets of an explanation (400); a longer one is cut."""
    explain: bool = True
    """Ask for the explanation (one more TXT question) when the result is fail."""
    prefetch: bool = False
    """Ask what a record may need side by side, before it is evaluated: less waiting, more questions."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(each.default, bool):
                continue
            if not isinstance(value, int) or value < 0:
                raise ValueError(f"{each.name} is a number, zero or more: {value!r}")


DEFAULT_POLICY = SpfPolicy()
