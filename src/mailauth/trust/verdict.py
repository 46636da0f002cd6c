"""`AuthorVerdict`: who wrote the message, whether that is proven, by what, and what was passed over. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from mailauth.mail.author import AuthorReason

Alignment: TypeAlias = Literal["strict", "relaxed"]
"""RFC 9989 section 4.4: the very domain of the author, or one with the same organizational domain."""


class Verdict(StrEnum):
    """What is known of the author. Only `VERIFIED` is a yes."""

    VERIFIED = "verified"  # the domain of the author vouches for the message
    UNVERIFIED = "unverified"  # nothing speaks for the author, nothing against
    CONTRADICTED = "contradicted"  # what was believed speaks against the author
    UNREADABLE = "unreadable"  # From does not name one author without doubt


class Reason(StrEnum):
    """Why a message has its verdict: stable codes."""

    # verified
    DMARC_PASS = "dmarc-pass"  # DMARC passed for the author's domain
    DKIM_ALIGNED = "dkim-aligned"  # a signature of the author's domain, or of its organization, passed
    SPF_ALIGNED = "spf-aligned"  # SPF of MAIL FROM passed for the author's domain, or one of its organization
    AUTHENTICATED = "authenticated"  # SMTP AUTH passed for the author's very address
    # contradicted
    DMARC_FAIL = "dmarc-fail"  # a field of ours says so; or found here, with the client and MAIL FROM known
    ANOTHER_AUTHOR = "another-author"  # DMARC passed for another domain than the one in From
    # unverified
    NO_AUTHSERV_ID = "no-authserv-id"  # the caller named none: nothing is believed
    NO_FIELD = "no-field"  # no Authentication-Results field of ours stands where only our servers write
    NO_PASS = "no-pass"  # fields of ours, or signatures, but nothing that counts passed
    NOT_ALIGNED = "not-aligned"  # what passed belongs to another domain
    NO_SIGNATURE = "no-signature"  # the message itself was verified, and has no signature
    DMARC_PERMERROR = "dmarc-permerror"  # a field of ours says so: the server could not read From, or the policy
    DNS_ERROR = "dns-error"  # the DNS did not answer: try again
    ADDRESS_IN_NAME = "address-in-name"  # the display name shows another address than the author's
    # unreadable: the codes of `mailauth.mail.author.AuthorReason`, and two of our own
    NO_FROM = AuthorReason.NO_FROM.value
    SEVERAL_FROM = AuthorReason.SEVERAL_FROM.value  # at least for some readers (RFC 5322 section 3.6: exactly one)
    NO_ADDRESS = AuthorReason.NO_ADDRESS.value  # From holds no address at all
    SEVERAL_ADDRESSES = "several-addresses"  # of one domain: each may be the author
    SEVERAL_DOMAINS = AuthorReason.SEVERAL_DOMAINS.value  # From holds addresses of more than one domain
    GROUP = AuthorReason.GROUP.value  # From holds a group of addresses (RFC 6854)
    NO_DOMAIN = AuthorReason.NO_DOMAIN.value  # an address literal or a single label
    UNREADABLE_FROM = AuthorReason.UNREADABLE.value  # it can be read in more than one way
    HEADER_TOO_LARGE = AuthorReason.HEADER_TOO_LARGE.value  # over the bound, so not read to its end
    NO_EMPTY_LINE = "no-empty-line"  # readers differ on where the header ends


VERDICT_OF: dict[Reason, Verdict] = {
    **dict.fromkeys(Reason, Verdict.UNREADABLE),
    **dict.fromkeys(
        (Reason.DMARC_PASS, Reason.DKIM_ALIGNED, Reason.SPF_ALIGNED, Reason.AUTHENTICATED), Verdict.VERIFIED
    ),
    **dict.fromkeys((Reason.DMARC_FAIL, Reason.ANOTHER_AUTHOR), Verdict.CONTRADICTED),
    **dict.fromkeys(
        (
            Reason.NO_AUTHSERV_ID,
            Reason.NO_FIELD,
            Reason.NO_PASS,
            Reason.NOT_ALIGNED,
            Reason.NO_SIGNATURE,
            Reason.DMARC_PERMERROR,
            Reason.DNS_ERROR,
            Reason.ADDRESS_IN_NAME,
        ),
        Verdict.UNVERIFIED,
    ),
}


class Why(StrEnum):
    """Why a field, a result or a signature was passed over: stable codes."""

    OTHER_ID = "other-id"  # its authserv-id is not one of ours (RFC 8601 section 5)
    NO_ID = "no-id"  # it has no authserv-id, and no leniency allows that
    UNREADABLE_FIELD = "unreadable-field"  # it does not follow the grammar (RFC 8601 section 2.2)
    ODD_NAME = "odd-name"  # blanks before the colon: what removes forged fields may not see it
    BELOW_BORDER = "below-border"  # it stands where whoever sent the message may have written it
    BELOW_UNKNOWN_HOST = "below-unknown-host"  # below a Received field that no host of ours wrote
    NO_RECEIVED = "no-received"  # no Received of ours below it: nothing shows that our server put it there
    NOT_TOPMOST = "not-topmost"  # a field above it counts, and here only the topmost may
    SEVERAL_RESULTS = "several-results"  # DMARC has one for a message; another hand may have gone on with the field
    ARC_COPY = "arc-copy"  # a copy in ARC-Authentication-Results, which anybody may write
    NO_DOMAIN = "no-domain"  # a pass that does not say for which domain, or for two
    OTHER_DOMAIN = "other-domain"  # a pass for another domain than the author's
    NO_PASS = "no-pass"  # a result other than pass
    METHOD = "method"  # a method that is not among those believed
    TEST_MODE = "test-mode"  # RFC 6376 section 3.6.1, t=y


@dataclass(frozen=True, slots=True)
class Evidence:
    """What vouches for the author, or speaks against: one result of one method.

    `source` is "authentication-results", "arc-authentication-results" or "message" (verified here); `index` is the
    place of the field or of the DKIM-Signature among those of its name, from the top and from 0, None for SPF.
    `domain` is what passed (of SMTP AUTH: the identity).
    """

    source: str
    method: str  # "dmarc", "dkim", "spf" or "auth"
    result: str
    domain: str
    index: int | None = None
    authserv_id: str | None = None  # of the field; None without one, and where it was verified here
    selector: str | None = None  # s= of the signature; None where it is not known
    alignment: Alignment | None = None  # of `domain` with the author's; None where it is another one, or an identity

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A field, a result or a signature that did not count, and why. `what` names it; `index` is as in `Evidence`."""

    what: str
    index: int | None
    why: Why
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"what": self.what, "index": self.index, "why": self.why.value, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class AuthorVerdict:
    """Who wrote the message, and whether that is proven.

    `address` and `domain` (A-labels) are the author that From names, None where it names none without doubt.
    `evidence` is what decided, None where nothing did. `leniencies` are the departures from RFC 8601 that the named
    provider needed for it. `authserv_ids` are those that stand in the message's fields, believed or not: a forger may
    have written them. `passed_over` is bounded (`MAX_PASSED_OVER`).
    """

    reason: Reason
    detail: str
    address: str | None = None
    domain: str | None = None
    evidence: Evidence | None = None
    leniencies: tuple[str, ...] = ()
    authserv_ids: tuple[str, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """verified, unverified, contradicted or unreadable."""
        return VERDICT_OF[self.reason]

    @property
    def aligned(self) -> Alignment | None:
        """How what passed stands to the author's domain; None unless the author is verified by a domain."""
        return self.evidence.alignment if self.evidence is not None and self.verdict is Verdict.VERIFIED else None

    def __bool__(self) -> bool:
        """Refused: a verdict has four values."""
        raise TypeError("an AuthorVerdict is neither true nor false: compare its verdict")

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "verdict": self.verdict.value,
            "reason": self.reason.value,
            "detail": self.detail,
            "address": self.address,
            "domain": self.domain,
            "aligned": self.aligned,
            "evidence": None if self.evidence is None else self.evidence.to_dict(),
            "leniencies": list(self.leniencies),
            "authserv_ids": list(self.authserv_ids),
            "passed_over": [each.to_dict() for each in self.passed_over],
        }


MAX_PASSED_OVER = 100
"""What was passed over is listed up to this number."""

MAX_IDS = 50
"""Different authserv-ids that are listed."""
