"""DMARC (RFC 9989): whose mail is it, what does its domain ask for, and does anything that passed belong to it?

`check` returns a plan of a `DmarcResult`, from the author's domain and the results of SPF and DKIM::

    result = run(check("news.example.org", spf=spf, dkim=signatures), resolver)
    result.result, result.disposition, result.detail

Reading order: record.py (a record, with what is wrong with it), walk.py (the DNS tree walk and organizational domains),
evaluate.py (discovery, alignment, pass or fail), result.py, policy.py (what a receiver decides), destinations.py
(where reports may go), linter.py (advice), reports.py (aggregate reports).
"""

from __future__ import annotations

from mailauth.dmarc.destinations import Destination, verify_destinations
from mailauth.dmarc.evaluate import check
from mailauth.dmarc.linter import Finding, LintReport, Severity, build_record, lint, zone_line
from mailauth.dmarc.policy import DmarcPolicy
from mailauth.dmarc.record import Alignment, DmarcRecord, DmarcRecordError, Policy, Psd, RecordProblem, parse_record
from mailauth.dmarc.result import DmarcResult, Identifier, Override, OverrideType, Reason, Result
from mailauth.dmarc.walk import Visit, Walk, walk, walk_names

__all__ = [
    "Alignment",
    "Destination",
    "DmarcPolicy",
    "DmarcRecord",
    "DmarcRecordError",
    "DmarcResult",
    "Finding",
    "Identifier",
    "LintReport",
    "Override",
    "OverrideType",
    "Policy",
    "Psd",
    "Reason",
    "RecordProblem",
    "Result",
    "Severity",
    "Visit",
    "Walk",
    "build_record",
    "check",
    "lint",
    "parse_record",
    "verify_destinations",
    "walk",
    "walk_names",
    "zone_line",
]
