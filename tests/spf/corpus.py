"""Reads the corpus: numbered records, good and bad, from RFC 7208 and from what authors get wrong.

A case is a master file. The comments at its head say why it is here, what receivers say (``verdict``), which questions
fail (``failure``), and each finding that is expected, in order: severity, code, where it is not example.org the domain
of the record, the term, and what is proposed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mailauth.resolvers import ZoneResolver
from mailauth.spf import Finding

PLACE = Path(__file__).parent / "corpus"
DOMAIN = "example.org"


@dataclass
class Case:
    """One file."""

    name: str
    verdict: str = ""
    findings: list[str] = field(default_factory=list)
    text: str = ""
    failures: dict[tuple[str, str], Any] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return int(self.name[:3])

    @property
    def zone(self) -> ZoneResolver:
        return ZoneResolver.from_text(self.text, failures=self.failures or None)


def read(path: Path) -> Case:
    case = Case(path.stem, text=path.read_text(encoding="utf-8"))
    for line in case.text.splitlines():
        if line.startswith("; verdict: "):
            case.verdict = line.removeprefix("; verdict: ")
        elif line.startswith("; failure: "):
            name, rtype, failure = line.removeprefix("; failure: ").split()
            case.failures[name, rtype] = failure
        elif re.match("; (error|warning|note) ", line):
            case.findings.append(line.removeprefix("; "))
    return case


def written(finding: Finding) -> str:
    """A finding as the files have it."""
    domain = f" of {finding.domain}" if finding.domain != DOMAIN else ""
    term = f": {finding.term.encode('ascii', 'backslashreplace').decode()}" if finding.term else ""
    proposal = f" -> {finding.proposal}" if finding.proposal else ""
    return f"{finding.severity} {finding.code}{domain}{term}{proposal}"


CASES = [read(path) for path in sorted(PLACE.glob("*.zone"))]
