"""Helpers of the DMARC tests: records by domain, results of SPF and DKIM as values, and one call of the evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mailauth.dmarc import DmarcResult, check
from mailauth.plan import run
from mailauth.resolvers import RecordingResolver, ZoneResolver


@dataclass(frozen=True)
class Spf:
    """A result of SPF."""

    domain: str | None
    result: str = "pass"
    identity: str = "mailfrom"


@dataclass(frozen=True)
class Dkim:
    """A result of DKIM."""

    domain: str | None
    result: str = "pass"
    selector: str | None = "sel"


def asked(resolver: RecordingResolver) -> list[str]:
    """What a resolver was asked, in words."""
    return [str(question) for question in resolver.questions]


def zone(records: Mapping[str, str | bytes | Sequence[str]], failures: Mapping[str, str] | None = None) -> ZoneResolver:
    """DMARC records by the domain that they are about; `failures` likewise."""
    data: dict[tuple[str, str], Any] = {
        (f"_dmarc.{domain}", "TXT"): [texts] if isinstance(texts, str | bytes) else list(texts)
        for domain, texts in records.items()
    }
    failed: Any = {(f"_dmarc.{domain}", "TXT"): how for domain, how in (failures or {}).items()}
    return ZoneResolver(data, failures=failed)


def evaluate(
    resolver: Any, author: Any, spf: Spf | None = None, dkim: Sequence[Dkim] = (), **options: Any
) -> DmarcResult:
    """The evaluation."""
    return run(check(author, spf=spf, dkim=dkim, **options), resolver)
