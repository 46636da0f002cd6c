"""What a DMARC evaluation says: result, policy, disposition, identifiers, and how they came about. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from mailauth.dmarc.record import DmarcRecord, Policy
from mailauth.dmarc.walk import Visit


class Result(StrEnum):
    """RFC 9989 section 9.2."""

    PASS = "pass"  # SPF or DKIM passed for a domain that is aligned with the author's
    FAIL = "fail"  # a record applies, and nothing that passed is aligned
    NONE = "none"  # no record applies
    TEMPERROR = "temperror"  # a DNS error hides the record, or what may be aligned: a later evaluation may succeed
    PERMERROR = "permerror"  # From names no single domain, the record is unusable, or there are too many identifiers


class Reason(StrEnum):
    """Why a message has its result: stable codes."""

    ALIGNED = "aligned"  # SPF or DKIM passed for the author's domain or, in relaxed mode, one of its organization
    NOT_ALIGNED = "not-aligned"  # identifiers passed, but none belongs to the author's domain
    NOTHING_PASSED = "nothing-passed"  # neither SPF nor a signature passed
    NO_RECORD = "no-record"  # no single record at the author's domain, its organizational domain or its public suffix
    NO_POLICY = "no-policy"  # RFC 9989 section 4.10.1: no valid p=, or a bad sp= or np=, and nowhere to report to
    UNUSABLE_RECORD = "unusable-record"  # the record has a tag twice, or is longer than 16 KiB
    NO_AUTHOR = "no-author"  # From names no single domain; `detail` says why
    DNS_ERROR = "dns-error"  # of the policy, or of an organizational domain that decides
    AUTHENTICATION_ERROR = "authentication-error"  # SPF or DKIM had a DNS error, and might have been aligned
    TOO_MANY_IDENTIFIERS = "too-many-identifiers"  # something passed beyond `max_identifiers`, and was not looked at


RESULT_OF: dict[Reason, Result] = {
    Reason.ALIGNED: Result.PASS,
    Reason.NOT_ALIGNED: Result.FAIL,
    Reason.NOTHING_PASSED: Result.FAIL,
    Reason.NO_RECORD: Result.NONE,
    Reason.NO_POLICY: Result.NONE,
    Reason.UNUSABLE_RECORD: Result.PERMERROR,
    Reason.NO_AUTHOR: Result.PERMERROR,
    Reason.DNS_ERROR: Result.TEMPERROR,
    Reason.AUTHENTICATION_ERROR: Result.TEMPERROR,
    Reason.TOO_MANY_IDENTIFIERS: Result.PERMERROR,
}


class OverrideType(StrEnum):
    """Why a receiver did other than the policy asks (RFC 9990 section 3.1.6)."""

    LOCAL_POLICY = "local_policy"  # the receiver did something else than the disposition asks for
    MAILING_LIST = "mailing_list"  # one of `DmarcPolicy.mailing_lists` passed SPF or DKIM
    OTHER = "other"  # for reports that a caller writes; an evaluation never gives it
    POLICY_TEST_MODE = "policy_test_mode"  # the record says t=y, so one level less is asked for (RFC 9989 section 4.7)
    TRUSTED_FORWARDER = "trusted_forwarder"  # one of `trusted_forwarders` passed, or `trusted_sealers` vouch (ARC)


class Override(NamedTuple):
    """One reason for another disposition than the published one, as aggregate reports have it."""

    type: OverrideType
    comment: str = ""  # "t=y", the trusted domain, or words about the ARC chain; "" for local policy


class Identifier(NamedTuple):
    """An identifier of SPF or of one signature, and how it stands to the author's domain.

    `aligned` is None where it was not found out: the identifier did not pass, or a DNS error hides it.
    """

    method: str  # "spf" | "dkim"
    domain: str  # of MAIL FROM, or d= of the signature; as A-labels
    selector: str | None  # s= of the signature; None for SPF
    result: str  # what SPF or DKIM said
    aligned: bool | None
    mode: str  # "strict" | "relaxed"
    organizational_domain: str | None  # as far as it was needed
    detail: str  # why it is aligned or not, in words

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return self._asdict()


@dataclass(frozen=True, slots=True)
class DmarcResult:
    """The result of one evaluation.

    `policy` is what the record asks for this mail if it fails (p, sp or np; `policy_tag` says which), None without a
    record. `disposition` is what is asked of the receiver in the end: none for all but a fail, one level less under
    t=y, none where a local override applies; `overrides` says why it differs. `exists` is whether the author's domain
    exists, where np= made it matter; None there means that it cannot be known (RFC 9824), and it counts as existing.
    """

    reason: Reason
    detail: str
    author_domain: str | None  # as A-labels; None where From names no single domain
    policy: Policy | None = None
    policy_tag: str | None = None
    disposition: Policy = Policy.NONE
    policy_domain: str | None = None  # the domain whose record applies; None without one
    organizational_domain: str | None = None  # the author's; None after a DNS error, or without an author
    record: DmarcRecord | None = None
    identifiers: tuple[Identifier, ...] = ()  # MAIL FROM first, then the signatures; empty where no record applies
    overrides: tuple[Override, ...] = ()
    exists: bool | None = None
    trace: tuple[Visit, ...] = ()  # the names that were looked at, with what was found there
    queries: int = 0  # DNS questions that it took, those of the walk that was given included

    @property
    def result(self) -> Result:
        """The result, as RFC 9989 section 9.2 names it."""
        return RESULT_OF[self.reason]

    @property
    def aligned(self) -> bool:
        """Whether an identifier that passed is aligned with the author's domain."""
        return any(identifier.aligned for identifier in self.identifiers)

    @property
    def spf_aligned(self) -> bool:
        """Whether SPF passed for an aligned domain."""
        return any(identifier.aligned for identifier in self.identifiers if identifier.method == "spf")

    @property
    def dkim_aligned(self) -> bool:
        """Whether a signature of an aligned domain passed."""
        return any(identifier.aligned for identifier in self.identifiers if identifier.method == "dkim")

    def __bool__(self) -> bool:
        """Refused: a result has five values."""
        raise TypeError("a DmarcResult is neither true nor false: compare its result")

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "result": self.result.value,
            "reason": self.reason.value,
            "detail": self.detail,
            "author_domain": self.author_domain,
            "policy_domain": self.policy_domain,
            "organizational_domain": self.organizational_domain,
            "policy": self.policy and self.policy.value,
            "policy_tag": self.policy_tag,
            "disposition": self.disposition.value,
            "overrides": [{"type": each.type.value, "comment": each.comment} for each in self.overrides],
            "spf_aligned": self.spf_aligned,
            "dkim_aligned": self.dkim_aligned,
            "identifiers": [identifier.to_dict() for identifier in self.identifiers],
            "record": None if self.record is None else str(self.record),
            "exists": self.exists,
            "queries": self.queries,
            "trace": [visit.to_dict() for visit in self.trace],
        }
