"""Block lists and allow lists in the DNS (RFC 5782): ask many at once, judge each answer right.

The public names of the package.
"""

from __future__ import annotations

from mailauth.rbl import catalogue
from mailauth.rbl.catalogue import Kind, KnownList
from mailauth.rbl.health import Entries, Health, HealthResult, check_health
from mailauth.rbl.listing import Listing, Reason, Result
from mailauth.rbl.monitor import Monitor, MonitorPolicy, Record
from mailauth.rbl.pattern import Pattern, RuleError
from mailauth.rbl.querying import NOT_PUBLIC, NOT_PUBLIC_DOMAINS, RblPolicy, query, rules_of
from mailauth.rbl.rule import Action, Rule, parse_rules
from mailauth.rbl.verdict import (
    DEFAULT_THRESHOLD,
    Verdict,
    VerdictAction,
    VerdictReason,
    check_threshold,
    judge,
)

__all__ = [
    "DEFAULT_THRESHOLD",
    "NOT_PUBLIC",
    "NOT_PUBLIC_DOMAINS",
    "Action",
    "Entries",
    "Health",
    "HealthResult",
    "Kind",
    "KnownList",
    "Listing",
    "Monitor",
    "MonitorPolicy",
    "Pattern",
    "RblPolicy",
    "Reason",
    "Record",
    "Result",
    "Rule",
    "RuleError",
    "Verdict",
    "VerdictAction",
    "VerdictReason",
    "catalogue",
    "check_health",
    "check_threshold",
    "judge",
    "parse_rules",
    "query",
    "rules_of",
]
