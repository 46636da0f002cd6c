"""All that an administrator asks about a domain.

MX, reverse names, block lists, SPF, DKIM keys, DMARC, TLS-RPT, MTA-STS, BIMI; with a message, what the large providers
demand of senders.

`check` returns a plan of a `DomainReport`, whose findings have stable codes::

    report = run(check(DomainQuery("example.org", selectors=["2026a"])), resolver)
    for finding in report.findings:
        finding.severity, finding.code, finding.words, finding.source, finding.advice

To read: finding.py, then check.py, which puts the parts together: hosts.py, keys.py, policies.py (SPF and DMARC),
records.py, sender.py.
"""

from __future__ import annotations

from mailauth.domain.check import DomainQuery, check, lists_to_ask
from mailauth.domain.finding import Area, Finding, Severity
from mailauth.domain.hosts import MailHost, MailHosts
from mailauth.domain.keys import USUAL_SELECTORS, Key, Keys
from mailauth.domain.records import TextRecord
from mailauth.domain.report import DomainReport
from mailauth.domain.sender import sender_findings

__all__ = [
    "USUAL_SELECTORS",
    "Area",
    "DomainQuery",
    "DomainReport",
    "Finding",
    "Key",
    "Keys",
    "MailHost",
    "MailHosts",
    "Severity",
    "TextRecord",
    "check",
    "lists_to_ask",
    "sender_findings",
]
