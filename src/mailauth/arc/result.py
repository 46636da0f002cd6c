"""The result of verifying a chain: its status, its sets, and what they say of the author. Values only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailauth.authres import AuthenticationResults, MethodResult
from mailauth.mail.names import is_within, to_ascii
from mailauth.mail.text import printable


class ChainStatus(StrEnum):
    """RFC 8617 section 4.4."""

    NONE = "none"  # the message has no field of ARC
    PASS = "pass"  # whole, and every seal and the newest message signature verify
    FAIL = "fail"  # broken, or its newest seal says cv=fail: what the sets say counts for nothing


class Reason(StrEnum):
    """Why a chain has its status: stable codes."""

    NO_SETS = "no-sets"  # no field of ARC
    VERIFIED = "verified"  # every seal verifies, and the newest ARC-Message-Signature
    # fail, in the order of RFC 8617 section 5.2
    HEADER_TOO_LARGE = "header-too-large"  # over `DkimPolicy.max_header_octets`, or 10,000 fields: not read to its end
    TOO_MANY_SETS = "too-many-sets"  # more than 50 (RFC 8617 section 4.2.1)
    MALFORMED_FIELD = "malformed-field"  # no instance, or a seal or message signature that cannot be read
    REPEATED_FIELD = "repeated-field"  # a set has one of its fields twice
    INCOMPLETE_SET = "incomplete-set"  # a set lacks a field, or an instance lacks its set
    MARKED_FAIL = "marked-fail"  # the newest seal says cv=fail
    WRONG_CV = "wrong-cv"  # not cv=none in the first set and cv=pass in all others (RFC 8617 section 5.2)
    SIGNATURE = "signature"  # the newest ARC-Message-Signature does not verify; `detail` says why, as for DKIM
    SEAL = "seal"  # an ARC-Seal does not verify: a set was altered, or its key is missing or unacceptable
    DNS_ERROR = "dns-error"  # a key could not be asked for: permanent as all others (RFC 8617 section 5.2.1)


STATUS_OF: dict[Reason, ChainStatus] = {
    **dict.fromkeys(Reason, ChainStatus.FAIL),
    Reason.NO_SETS: ChainStatus.NONE,
    Reason.VERIFIED: ChainStatus.PASS,
}


@dataclass(frozen=True, slots=True)
class ArcSet:
    """One set as it can be read; what cannot is None.

    `sealer` and `selector` are d= and s= of the seal (A-labels), `signer` is d= of the message signature, `cv` what the
    sealer said of the chain before, `sealed_at` t= in seconds since the epoch. `results` is what it found when the
    message came in: its word, not a fact.
    """

    instance: int
    sealer: str | None = None
    selector: str | None = None
    cv: str | None = None
    sealed_at: int | None = None
    signer: str | None = None
    results: AuthenticationResults | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "instance": self.instance,
            "sealer": self.sealer,
            "selector": self.selector,
            "cv": self.cv,
            "sealed_at": self.sealed_at,
            "signer": self.signer,
            "results": None if self.results is None else self.results.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class ArcResult:
    """What became of the chain. `sets` are those that could be read, the oldest first.

    `instance` is the number of the set that made it fail. `oldest_pass` is the number of the oldest message signature
    that still verifies, 0 if all do (RFC 8617 section 5.2); None unless the chain passes.
    """

    reason: Reason
    detail: str = ""
    instance: int | None = None
    sets: tuple[ArcSet, ...] = ()
    oldest_pass: int | None = None

    @property
    def result(self) -> ChainStatus:
        """The chain validation status."""
        return STATUS_OF[self.reason]

    @property
    def chain(self) -> tuple[str, ...]:
        """The domains that sealed, the oldest first; proven only if the chain passes."""
        return tuple(each.sealer for each in self.sets if each.sealer is not None)

    def vouch(self, author: str, sealers: Iterable[str]) -> str | None:
        """Whether these sealers vouch for the author's domain: the words for a report, or None.

        They do where the chain passes, the newest sets are theirs (domains below them included) without a gap, and one
        of those sets says that the author's very domain was authenticated: dmarc=pass, or a dkim=pass. Whoever sealed
        before them may have claimed anything; whoever did after them may have changed the message.
        """
        trusted = [name for sealer in sealers if (name := to_ascii(sealer))]
        domain = to_ascii(author)
        if self.result is not ChainStatus.PASS or domain is None:
            return None
        for each in reversed(self.sets):
            if each.sealer is None or not any(is_within(each.sealer, name) for name in trusted):
                return None
            if each.results is not None and _says_pass(each.results, domain):
                return self.words
        return None

    @property
    def words(self) -> str:
        """The chain in the form of RFC 8617 section 7.2.2, for the comment of an aggregate report."""
        seals = [f"as[{each.instance}].d={each.sealer} as[{each.instance}].s={each.selector}" for each in self.sets]
        first = self.sets[0].results if self.sets else None
        ips = [result.value("smtp", "remote-ip") for result in first.of("arc")] if first is not None else []
        ip = next((f"remote-ip[1]={printable(ip, 45, ascii_only=True)}" for ip in ips if ip), None)
        return " ".join(filter(None, [f"arc={self.result}", *reversed(seals), ip]))

    def __bool__(self) -> bool:
        """Refused: a result has three values."""
        raise TypeError("an ArcResult is neither true nor false: compare its result")

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "result": self.result.value,
            "reason": self.reason.value,
            "detail": self.detail,
            "instance": self.instance,
            "chain": list(self.chain),
            "oldest_pass": self.oldest_pass,
            "sets": [each.to_dict() for each in self.sets],
        }


NO_CHAIN = ArcResult(Reason.NO_SETS, "the message has no field of ARC")
"""The result of a message that nobody sealed."""


def _says_pass(results: AuthenticationResults, domain: str) -> bool:
    """Whether DMARC passed for the domain; where DMARC says neither yes nor no, whether one of its signatures did."""
    # RFC 8601 section 2.3 has a reader ignore what is unknown; a "no" stays one whatever stands beside it.
    every = [each for each in results.results if each.method == "dmarc"]
    by_dmarc = [each for each in every if each.registered or each.result in ("fail", "permerror")]
    if len(by_dmarc) > 1 or any(each.result in ("fail", "permerror") for each in by_dmarc):
        return False  # a message has one result of DMARC; two may be a sealer's that writes values without quotes
    passed = [each for each in by_dmarc if each.result == "pass"]
    if passed:
        return all(_subject(each, "from") == domain for each in passed)
    return any(each.result == "pass" and _subject(each, "d") == domain for each in results.of("dkim"))


def _subject(result: MethodResult, name: str) -> str | None:
    """The domain that a result is about, where it names one."""
    values: Sequence[str] = [each.value for each in result.properties if (each.type, each.name) == ("header", name)]
    return to_ascii(values[0]) if len(values) == 1 else None
