"""`Finding`: one fact about a domain, how bad it is, what says so, and what to do. Values only."""

# SECURITY: words hold names and records of whoever runs the zone. Each is made fit to be shown once, where it is made.

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailauth.mail.text import printable
from mailauth.plan import Outcome

MAX_CHARACTERS = 1000
"""Of each text; records may have 64 KiB."""


class Severity(StrEnum):
    """How bad it is, the worst first."""

    ERROR = "error"  # mail is lost or refused, or a record is ignored
    UNKNOWN = "unknown"  # the DNS did not answer: ask again
    WARNING = "warning"  # it works, but not as it should
    NOTE = "note"  # good to know; nothing needs to be done


_RANK = {severity: rank for rank, severity in enumerate(Severity)}


class Area(StrEnum):
    """What a finding is about, in the order of the report."""

    DOMAIN = "domain"  # whether the name exists in the DNS; if not, all that follows from that is left out
    MX = "mx"  # the hosts that take its mail (RFC 5321 section 5.1), or a null MX (RFC 7505)
    REVERSE = "reverse"  # PTR records of its clients and mail hosts, there and back (RFC 8601 section 3)
    LISTS = "lists"  # the domain, its clients and its mail hosts on block lists (RFC 5782)
    SPF = "spf"  # its SPF record with all that it includes, and what that says of its clients (RFC 7208)
    DKIM = "dkim"  # the key records of named and of usual selectors (RFC 6376 section 3.6)
    DMARC = "dmarc"  # the policy record, and whether others agree to take its reports (RFC 9989, RFC 9990)
    TLS_RPT = "tls-rpt"  # where reports about TLS go (RFC 8460)
    MTA_STS = "mta-sts"  # the record, and whether the policy's host has an address (RFC 8461); it is not fetched
    BIMI = "bimi"  # the record of the picture beside its mail; picture and certificate are not fetched
    SENDER = "sender"  # one message, as Gmail, Yahoo and Microsoft would judge it


@dataclass(frozen=True, slots=True)
class Finding:
    """One fact. `code` is stable, for programs: the area, a dot, and a word.

    `subject` is the name, address or record that it is about; `source` says which document asks for it, and where;
    `advice` is what to do. Everything in it may be shown: what cannot be printed was replaced.
    """

    severity: Severity
    code: str  # such as "mx.alias"
    subject: str
    words: str
    source: str
    advice: str

    def __post_init__(self) -> None:
        for name in ("subject", "words", "advice"):
            object.__setattr__(self, name, printable(getattr(self, name), MAX_CHARACTERS))

    @property
    def area(self) -> Area:
        """The part of the report that it belongs to."""
        return Area(self.code.partition(".")[0])

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "severity": self.severity.value,
            "code": self.code,
            "subject": self.subject,
            "words": self.words,
            "source": self.source,
            "advice": self.advice,
        }


def error(code: str, subject: str, words: str, source: str, advice: str) -> Finding:
    """A finding because of which mail is lost or refused, or a record is ignored."""
    return Finding(Severity.ERROR, code, subject, words, source, advice)


def warning(code: str, subject: str, words: str, source: str, advice: str) -> Finding:
    """A finding about what works, but not as it should."""
    return Finding(Severity.WARNING, code, subject, words, source, advice)


def note(code: str, subject: str, words: str, source: str, advice: str = "nothing needs to be done") -> Finding:
    """A finding that is good to know."""
    return Finding(Severity.NOTE, code, subject, words, source, advice)


def unknown(area: Area, subject: str, why: Outcome | str, what: str) -> Finding:
    """The DNS did not answer."""
    # The words of a result name hosts, whose hyphens stay.
    words = str(why).replace("-", " ") if isinstance(why, Outcome) else why
    return not_answered(area, subject, f"{what} could not be looked up: {words}")


def not_answered(area: Area, subject: str, words: str) -> Finding:
    """The same, in the words of whoever asked."""
    advice = "ask again; if it stays so, see to the name servers of the zone"
    return Finding(Severity.UNKNOWN, f"{area}.dns-error", subject, words, "RFC 1035 section 4.1.1", advice)


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The worst severity; None without findings."""
    return min((finding.severity for finding in findings), key=_RANK.__getitem__, default=None)


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By area, in each the worst first; those that say the same once."""
    areas = list(Area)
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda each: (areas.index(each.area), _RANK[each.severity])))
