"""`check_health`: is a list still a list (RFC 5782 section 5)?

The test entries that every list must and must not have, and what they say about the list.
"""

# SECURITY: a list whose domain lapsed is run by a stranger, who often answers every question. The entry that must not
# exist finds that out; nothing of the answers is shown but addresses.

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Any

from mailauth.mail.names import reverse_labels
from mailauth.plan import Plan, Question, ask_all, run_all
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
    """The kinds of entries that are tested: those of RFC 5782 section 5, and hashes."""

    IPV4 = "ipv4"  # 127.0.0.2 must be listed, 127.0.0.1 must not
    IPV6 = "ipv6"  # the same two as IPv4-mapped addresses
    DOMAIN = "domain"  # "test" must be listed, "invalid" must not; or the names that the catalogue has instead
    EMAIL = "email"  # only that a hash which no address has is not listed: there is none that must be


# RFC 5782 section 5: an entry that MUST exist, one that MUST NOT. The IPv6 ones are not reduced to IPv4 here. It has
# none for hashes: all that can be tested is that a list does not list everything, by a hash that no address has.
_TESTS: dict[Entries, tuple[tuple[str, ...], tuple[str, ...]]] = {
    Entries.IPV4: ((reverse_labels(IPv4Address("127.0.0.2")),), (reverse_labels(IPv4Address("127.0.0.1")),)),
    Entries.IPV6: ((reverse_labels(IPv6Address("::ffff:7f00:2")),), (reverse_labels(IPv6Address("::ffff:7f00:1")),)),
    Entries.DOMAIN: (("test",), ("invalid",)),
    Entries.EMAIL: ((), ("0" * 40,)),
}
_ENTRIES_OF: dict[Kind | None, tuple[Entries, ...]] = {
    Kind.ADDRESS: (Entries.IPV4, Entries.IPV6),
    Kind.DOMAIN: (Entries.DOMAIN,),
    Kind.DKIM: (Entries.DOMAIN,),
    Kind.EMAIL: (Entries.EMAIL,),
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
    detail: str = ""  # the result in words; "" for a healthy list

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
    """A plan that asks a list for its test entries (RFC 5782 section 5), all at the same time: two questions a kind.

    Which kinds are tested follows from the rule's `kind`, else from the catalogue, else all of them are. Raises
    `RuleError` or `TypeError`, when called.
    """
    return _check_health(as_rule(zone))


def _check_health(rule: Rule) -> Plan[Health]:
    known = rule.known
    if known is not None and rule.dead:
        return Health(rule, HealthResult.DEAD, detail=f"{known.name}: {known.note}")
    kinds = _ENTRIES_OF[rule.kind]
    if known is not None and len(known.ip_versions) == 1:
        kinds = (Entries.IPV4,) if 4 in known.ip_versions else (Entries.IPV6,)
    results = yield from run_all([_test(rule, kind) for kind in kinds])
    # One that lists everything makes the whole list sick; one that is healthy is enough otherwise.
    result = next(result for result in _WORST_FIRST if result in results)
    return Health(rule, result, tuple(zip(kinds, results, strict=True)), _WORDS[result])


def _test(rule: Rule, kind: Entries) -> Plan[HealthResult]:
    must, must_not = _TESTS[kind]
    if rule.known is not None:
        if kind is Entries.DOMAIN and rule.known.test_absent:
            must, must_not = (), ()  # it has its own in place of the RFC's
        must, must_not = must + rule.known.test_names, must_not + rule.known.test_absent
    answers = yield from ask_all(Question(f"{labels}.{rule.zone}", "A") for labels in must_not + must)
    wrong, right = answers[: len(must_not)], answers[len(must_not) :]
    if any(errors_of(rule, codes_of(answer.addresses)) for answer in answers):
        return HealthResult.REFUSED
    if any(answer.found for answer in wrong):
        return HealthResult.LISTS_ALL
    if not must or any(codes_of(answer.addresses) for answer in right):
        # Without an answer about what must not be listed, the list may still list everything.
        return HealthResult.TEMPERROR if any(answer.failed for answer in wrong) else HealthResult.HEALTHY
    return HealthResult.TEMPERROR if any(answer.failed for answer in answers) else HealthResult.SILENT


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
