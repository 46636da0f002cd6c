"""`DomainReport`: everything that was found about a domain, for people, for JSON, and for a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mailauth import dmarc, spf
from mailauth.domain.finding import Area, Finding, Severity, worst
from mailauth.domain.hosts import MailHosts
from mailauth.domain.keys import Keys
from mailauth.domain.records import TextRecord
from mailauth.iprev import IprevResult
from mailauth.rbl import Listing
from mailauth.spf import SpfResult
from mailauth.transaction.report import Report


@dataclass(frozen=True, slots=True)
class DomainReport:
    """What the DNS, and one message where it was given, say of a domain.

    `findings` are in the order of the areas, in each the worst first. `clients` are what SPF says of the addresses that
    send the domain's mail; `message` is the report of the message that was checked as well.
    """

    domain: str
    findings: tuple[Finding, ...]
    mail_hosts: MailHosts
    reverse: tuple[IprevResult, ...]  # of the clients, then of the mail hosts; at most 40 addresses
    listings: tuple[Listing, ...]  # what each list says of the domain, its clients and its mail hosts
    spf: spf.LintReport
    clients: tuple[SpfResult, ...]
    keys: Keys  # the DKIM keys
    dmarc: dmarc.LintReport
    tls_rpt: TextRecord  # at _smtp._tls.DOMAIN (RFC 8460 section 3)
    mta_sts: TextRecord  # at _mta-sts.DOMAIN (RFC 8461 section 3.1)
    bimi: TextRecord  # the organizational domain's, where the domain has none of its own
    message: Report | None = None

    @property
    def worst(self) -> Severity | None:
        """The worst severity of all findings; None without any."""
        return worst(self.findings)

    @property
    def sends_nothing(self) -> bool:
        """Whether SPF says in the plain form that the domain sends no mail (RFC 7208 section 10.1.2)."""
        return (self.spf.record or "").lower().split() == ["v=spf1", "-all"]

    @property
    def spf_texts(self) -> tuple[str, ...]:
        """The SPF record as it is published; all of them where there are several."""
        if self.spf.record is not None:
            return (self.spf.record,)
        of_domain = (each for each in self.spf.findings if each.domain == self.spf.domain)
        return next((each.texts for each in of_domain if each.code == "several-records"), ())

    @property
    def dmarc_texts(self) -> tuple[str, ...]:
        """The domain's own DMARC record as it is published; all of them where there are several."""
        return () if self.dmarc.walk is None else self.dmarc.walk.visits[0].records

    def of(self, area: Area) -> tuple[Finding, ...]:
        """The findings of one area."""
        return tuple(finding for finding in self.findings if finding.area is area)

    def counts(self) -> dict[str, int]:
        """How many findings there are of each severity."""
        return {each.value: sum(finding.severity is each for finding in self.findings) for each in Severity}

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "domain": self.domain,
            "worst": None if self.worst is None else self.worst.value,
            "counts": self.counts(),
            "findings": [finding.to_dict() for finding in self.findings],
            "mx": self.mail_hosts.to_dict(),
            "reverse": [each.to_dict() for each in self.reverse],
            "lists": [listing.to_dict() for listing in self.listings],
            "spf": self.spf.to_dict(),
            "clients": [each.to_dict() for each in self.clients],
            "dkim": self.keys.to_dict(),
            "dmarc": self.dmarc.to_dict(),
            "tls_rpt": self.tls_rpt.to_dict(),
            "mta_sts": self.mta_sts.to_dict(),
            "bimi": self.bimi.to_dict(),
            "message": None if self.message is None else self.message.to_dict(),
        }
