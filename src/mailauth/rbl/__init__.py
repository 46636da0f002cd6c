"""Block lists and allow lists in the DNS (RFC 5782): ask many at once, judge each answer by what that list means.

A list is a zone. It lists 192.0.2.1 if ``1.2.0.192.ZONE`` has an address record, whose value says why; lists of domains
and of e-mail addresses (by hash) are asked in the same way::

    listings = run(query("192.0.2.1", ["zen.spamhaus.org*3", "list.dnswl.org"]), resolver)
    verdict = judge(listings, threshold=3)      # a sum of weights, as postscreen's
    print(verdict.action, verdict.text)

To read: `rule` (one list as the administrator names it), `querying` (what is asked), `listing` (what an answer means),
`verdict` (several lists), `health` and `monitor` (is a list still one), `catalogue` (what is known of well-known
lists); `pattern` and `secrets` are `rule`'s.
"""

from __future__ import annotations

from mailauth.rbl import catalogue
from mailauth.rbl.advice import lint
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
    "lint",
    "parse_rules",
    "query",
    "rules_of",
]
