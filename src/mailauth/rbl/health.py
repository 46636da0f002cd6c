"""`check_health`: is a list still a list (RFC 5782 section 5)?

The test entries that every list must and must not have, and what they say about the list.
"""

# SECURITY: a list whose domain lapsed is run by a stranger, who often answers every question. The entry that must not
# exist finds that out; nothing of the answers is shown but addresses.

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from mailauth.mail.names import reverse_labels
from mailauth.plan import Answer, Plan, Question, ask_all, run_all
from mailauth.rbl.catalogue import Kind
from mailauth.rbl.listing import codes_of, errors_of
from mailauth.rbl.rule import Rule, as_rule


class HealthResult(StrEnum):
    """What the test entries say about a list, or about one kind of its entries."""

    HEALTHY = "healthy"  # what must be listed is, what must not be is not
    SILENT = "silent"  # what must be listed is not: the list is empty or gone, or has no entries of this kind
    LISTS_ALL = "lists-all"  # what must not be listed is: a wildcard, or no list at all
    REFUSED = "refused"  # the list answers with an error code
    DEAD = "dead"  # the catalogue says that the list is gone; it was not asked
    TEMPERROR = "temperror"  # no answer, this time


class Entries(StrEnum):
    """The kinds of entries that RFC 5782 section 5 has tests for."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DOMAIN = "domain"


# RFC 5782 section 5: one entry that MUST exist, one that MUST NOT. The IPv6 ones are not reduced to IPv4 here.
_TESTS: dict[Entries, tuple[str, str]] = {
    Entries.IPV4: (reverse_labels(IPv4Address("127.0.0.2")), reverse_labels(IPv4Address("127.0.0.1"))),
    Entries.IPV6: (reverse_labels(IPv6Address("::ffff:7f00:2")), reverse_labels(IPv6Address("::ffff:7f00:1"))),
    Entries.DOMAIN: ("test", "invalid"),
}
_ENTRIES_OF: dict[Kind | None, tuple[Entries, ...]] = {
    Kind.ADDRESS: (Entries.IPV4, Entries.IPV6),
    Kind.DOMAIN: (Entries.DOMAIN,),
    None: (Entries.IPV4, Entries.IPV6, Entries.DOMAIN),
}


@dataclass(frozen=True, slots=True)
class Health:
    """The health of one list. Everything in it may be shown: keys are masked.

    `entries` says it for each kind of entries that was tested; `result` sums it up: one kind that lists everything
    makes the whole list sick, and one healthy kind is enough otherwise (most lists have no IPv6 entries).
    """

    rule: Rule
    result: HealthResult
    entries: tuple[tuple[Entries, HealthResult], ...] = ()
    detail: str = ""

    @property
    def zone(self) -> str:
        """The zone, keys masked."""
        return self.rule.shown_zone

    @property
    def healthy(self) -> bool:
        """Whether the list may be used."""
        return self.result is HealthResult.HEALTHY

    def of(self, entries: Entries | str) -> HealthResult | None:
        """The result for one kind of entries, or None if it was not tested."""
        return dict(self.entries).get(Entries(entries))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "zone": self.zone,
            "result": self.result.value,
            "entries": {kind.value: result.value for kind, result in self.entries},
            "detail": self.detail,
        }

    def __str__(self) -> str:
        return f"{self.zone}: {self.result.value}" + (f" ({self.detail})" if self.detail else "")


def check_health(zone: str | Rule) -> Plan[Health]:
    """A plan that asks a list for its test entries, all at the same time: two questions for each kind of entries.

    Which kinds are tested follows from the rule's `kind`, else from the catalogue, else all of them are. Raises
    `RuleError` or `TypeError`, when called.
    """
    return _check_health(as_rule(zone))


def _check_health(rule: Rule) -> Plan[Health]:
    known = rule.known
    if known is not None and rule.dead:
        return Health(rule, HealthResult.DEAD, detail=f"{known.name}: {known.note}")
    kinds = _ENTRIES_OF[rule.kind]
    results = yield from run_all([_test(rule, kind) for kind in kinds])
    entries = tuple(zip(kinds, results, strict=True))
    result = _sum_up(results)
    return Health(rule, result, entries, _WORDS[result])


def _test(rule: Rule, kind: Entries) -> Plan[HealthResult]:
    must, must_not = _TESTS[kind]
    others = rule.known.test_names if rule.known is not None and kind is Entries.DOMAIN else ()
    names = [f"{labels}.{rule.zone}" for labels in (must_not, must, *others)]
    wrong, *right = yield from ask_all(Question(name, "A") for name in names)
    return _judge(rule, wrong, right)


def _judge(rule: Rule, wrong: Answer, right: list[Answer]) -> HealthResult:
    answers = [wrong, *right]
    if any(_refuses(rule, answer) for answer in answers):
        return HealthResult.REFUSED
    if wrong.found:
        return HealthResult.LISTS_ALL
    if any(map(_lists, right)):
        # Without an answer about what must not be listed, the list may still list everything.
        return HealthResult.TEMPERROR if wrong.failed else HealthResult.HEALTHY
    return HealthResult.TEMPERROR if any(answer.failed for answer in answers) else HealthResult.SILENT


def _refuses(rule: Rule, answer: Answer) -> bool:
    return bool(errors_of(rule, codes_of(answer.addresses)))


def _lists(answer: Answer) -> bool:
    return bool(codes_of(answer.addresses))


def _sum_up(results: Iterable[HealthResult]) -> HealthResult:
    found = set(results)
    return next(result for result in _WORST_FIRST if result in found)


# A list that is healthy for addresses and silent about domains is a healthy list of addresses.
_WORST_FIRST = (
    HealthResult.LISTS_ALL,
    HealthResult.REFUSED,
    HealthResult.HEALTHY,
    HealthResult.TEMPERROR,
    HealthResult.SILENT,
)

_WORDS = {
    HealthResult.HEALTHY: "",
    HealthResult.SILENT: "the test entries are missing: the list is empty or gone",
    HealthResult.LISTS_ALL: "lists what no list may list: a wildcard answers for it",
    HealthResult.REFUSED: "answers with an error code",
    HealthResult.TEMPERROR: "no answer about the test entries",
}
