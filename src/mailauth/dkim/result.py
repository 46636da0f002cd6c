"""The result of verifying one DKIM signature.

What a verification says: result, reason code, words and details. Values only.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from mailauth.mail.lines import LineEnd


class Result(StrEnum):
    """RFC 8601 section 2.7.1. "none" is the empty list: the message has no signature."""

    PASS = "pass"  # it verifies, and this receiver accepts it
    FAIL = "fail"  # what was signed is not what came
    POLICY = "policy"  # this receiver does not accept such a signature, whether it verifies or not
    NEUTRAL = "neutral"  # a syntax error, or an extension that is not known here
    TEMPERROR = "temperror"  # the key could not be asked for; try again later
    PERMERROR = "permerror"  # no usable key, or something required is missing


class Reason(StrEnum):
    """Why a signature has its result: stable codes."""

    VERIFIED = "verified"  # body hash and signature fit the key that was found
    # neutral: the DKIM-Signature field (RFC 6376 section 6.1.1)
    MALFORMED_TAG_LIST = "malformed-tag-list"  # no tag=value list (RFC 6376 section 3.2): perhaps rewritten on the way
    DUPLICATE_TAG = "duplicate-tag"  # one tag occurs twice: the whole list is invalid (RFC 6376 section 3.2)
    MISSING_TAG = "missing-tag"  # the field lacks v=, a=, b=, bh=, d=, h= or s= (RFC 6376 section 3.5)
    MALFORMED_TAG = "malformed-tag"  # a value breaks its tag's grammar, or x= is not after t= (RFC 6376 section 3.5)
    UNSUPPORTED_VERSION = "unsupported-version"  # v= is not 1
    UNSUPPORTED_ALGORITHM = "unsupported-algorithm"  # a= is unknown; for rsa-sha1 see `ALGORITHM_NOT_ALLOWED`
    UNSUPPORTED_CANONICALIZATION = "unsupported-canonicalization"  # c= is not simple or relaxed (RFC 6376 section 3.4)
    UNSUPPORTED_QUERY_METHOD = "unsupported-query-method"  # q= lacks dns/txt, the only method (RFC 6376 section 3.5)
    # permerror: the DKIM-Signature field and the header
    IDENTITY_OUTSIDE_DOMAIN = "identity-outside-domain"  # i= is neither in d= nor below it (RFC 6376 section 6.1.1)
    FROM_NOT_SIGNED = "from-not-signed"  # h= does not list From (RFC 6376 section 6.1.1), or there is no From
    HEADER_TOO_LARGE = "header-too-large"  # over `DkimPolicy.max_header_octets`, or 10,000 fields: not read to its end
    # permerror: the key (RFC 6376 section 6.1.2)
    NO_KEY = "no-key"  # no TXT record at the selector's name, or none that is a key: a wrong s=, or not published yet
    KEY_REVOKED = "key-revoked"  # p= is empty (RFC 6376 section 3.6.1): the signer gave this key up
    KEY_MALFORMED = "key-malformed"  # the record cannot be read, its v= is not DKIM1, or p= holds no usable key
    KEY_HASH_NOT_ALLOWED = "key-hash-not-allowed"  # h= of the record lacks the hash of a= (RFC 6376 section 3.6.1)
    KEY_TYPE_DIFFERS = "key-type-differs"  # k= of the record is not the type in a=: RSA and Ed25519 mixed up
    KEY_NOT_FOR_EMAIL = "key-not-for-email"  # s= of the record lists neither "email" nor "*" (RFC 6376 section 3.6.1)
    KEY_FORBIDS_SUBDOMAINS = "key-forbids-subdomains"  # t=s, and i= is in a domain below d= (RFC 6376 section 3.6.1)
    # policy
    ALGORITHM_NOT_ALLOWED = "algorithm-not-allowed"  # not in `DkimPolicy.algorithms`; rsa-sha1 never is (RFC 8301)
    KEY_TOO_SMALL = "key-too-small"  # RSA, under `DkimPolicy.min_rsa_bits`; 1024 is the least (RFC 8301 section 3.2)
    KEY_TOO_LARGE = "key-too-large"  # RSA, over `DkimPolicy.max_rsa_bits`
    EXPIRED = "expired"  # x= passed longer ago than `DkimPolicy.clock_skew` (RFC 6376 section 3.5)
    FROM_THE_FUTURE = "from-the-future"  # t= is ahead by more than `DkimPolicy.clock_skew`: a wrong clock
    FIELD_NOT_SIGNED = "field-not-signed"  # h= lacks one of `DkimPolicy.required_fields`, which the message has
    SEVERAL_FROM = "several-from"  # more than one From: readers show one, and check another (RFC 6376 section 8.15)
    NO_EMPTY_LINE = "no-empty-line"  # an odd line ends the header, no empty one: readers differ (RFC 6376 section 3.8)
    UNSIGNED_CONTENT = "unsigned-content"  # text stands behind l=, which anybody may add (RFC 6376 section 8.2)
    TESTING_KEY = "testing-key"  # it verifies under a key with t=y, and `DkimPolicy.allow_testing_keys` is off
    TOO_MANY_SIGNATURES = "too-many-signatures"  # beyond `DkimPolicy.max_signatures`; those that match From come first
    # fail (RFC 6376 section 6.1.3)
    BODY_HASH_DIFFERS = "body-hash-differs"  # bh= is not the body's hash: altered after signing, as by a list's footer
    BODY_TOO_SHORT = "body-too-short"  # l= is larger than the body, which lost octets on the way (RFC 6376 section 3.5)
    SIGNATURE_DIFFERS = "signature-differs"  # the body is intact; a signed field was altered, or the key is another one
    # temperror
    KEY_UNAVAILABLE = "key-unavailable"  # no answer of the DNS: timeout, SERVFAIL or REFUSED (RFC 6376 section 6.1.2)


RESULT_OF: dict[Reason, Result] = {
    Reason.VERIFIED: Result.PASS,
    # RFC 8601 section 2.7.1: neutral for "syntax errors or ... not otherwise able to be processed".
    **dict.fromkeys(
        (
            Reason.MALFORMED_TAG_LIST,
            Reason.DUPLICATE_TAG,
            Reason.MISSING_TAG,
            Reason.MALFORMED_TAG,
            Reason.UNSUPPORTED_VERSION,
            Reason.UNSUPPORTED_ALGORITHM,
            Reason.UNSUPPORTED_CANONICALIZATION,
            Reason.UNSUPPORTED_QUERY_METHOD,
        ),
        Result.NEUTRAL,
    ),
    **dict.fromkeys(
        (
            Reason.IDENTITY_OUTSIDE_DOMAIN,
            Reason.FROM_NOT_SIGNED,
            Reason.HEADER_TOO_LARGE,
            Reason.NO_KEY,
            Reason.KEY_REVOKED,
            Reason.KEY_MALFORMED,
            Reason.KEY_HASH_NOT_ALLOWED,
            Reason.KEY_TYPE_DIFFERS,
            Reason.KEY_NOT_FOR_EMAIL,
            Reason.KEY_FORBIDS_SUBDOMAINS,
        ),
        Result.PERMERROR,
    ),
    **dict.fromkeys(
        (
            Reason.ALGORITHM_NOT_ALLOWED,
            Reason.KEY_TOO_SMALL,
            Reason.KEY_TOO_LARGE,
            Reason.EXPIRED,
            Reason.FROM_THE_FUTURE,
            Reason.FIELD_NOT_SIGNED,
            Reason.SEVERAL_FROM,
            Reason.NO_EMPTY_LINE,
            Reason.UNSIGNED_CONTENT,
            Reason.TESTING_KEY,
            Reason.TOO_MANY_SIGNATURES,
        ),
        Result.POLICY,
    ),
    **dict.fromkeys((Reason.BODY_HASH_DIFFERS, Reason.BODY_TOO_SHORT, Reason.SIGNATURE_DIFFERS), Result.FAIL),
    Reason.KEY_UNAVAILABLE: Result.TEMPERROR,
}
"""The RFC 8601 result of each reason. A failure under a key in test mode is neutral instead (RFC 6376 section
3.6.1, ``t=y``)."""


class AuthorMatch(StrEnum):
    """How the signing domain stands to the domain of the one author address in From, compared by labels.

    Where they differ, readers should see which domain signed (RFC 6376 section 6.3). This is not DMARC's alignment,
    which knows organizational domains; it needs no lookup.
    """

    SAME = "same"  # d= is the author's domain
    PARENT = "parent"  # the signing domain is above the author's domain
    CHILD = "child"  # the signing domain is below the author's domain
    NONE = "none"  # unrelated, or From is missing, repeated, or not one address


@dataclass(frozen=True)
class Signature:
    """What became of one DKIM-Signature field, with the details (RFC 6376 sections 3.9, 3.11, 6.1 and 6.3).

    What the field does not say, or says in a way that cannot be read, is None or empty.
    """

    result: Result  # as Authentication-Results reports it
    reason: Reason
    detail: str = ""  # in words; safe to show
    domain: str | None = None  # d= as A-label, lower case: the identity that DKIM proves
    selector: str | None = None  # s=
    identity: str | None = None  # i=, decoded; "@" and d= by default
    algorithm: str | None = None  # a=, such as "rsa-sha256"
    key_bits: int | None = None  # RSA: the size of the modulus; Ed25519: 256
    header_canonicalization: str | None = None  # "simple" | "relaxed"
    body_canonicalization: str | None = None  # the same; "simple" where c= names only one
    signed_fields: tuple[str, ...] = ()  # h=, in lower case
    author_match: AuthorMatch = AuthorMatch.NONE  # how d= stands to the domain of From
    body_length: int | None = None  # l=: octets of canonical body that were signed
    unsigned_octets: int = 0  # octets of canonical body behind l=
    key_flags: tuple[str, ...] = ()  # t= of the key: "y" is test mode, "s" forbids subdomains (RFC 6376 section 3.6.1)
    signed_at: int | None = None  # t=, seconds since the epoch
    expires_at: int | None = None  # x=, seconds since the epoch
    signature_data: str | None = None  # the first characters of b=, which tell signatures apart (RFC 6008)
    line_end: LineEnd = LineEnd.CRLF  # LF: the message has LF line ends and was hashed with CRLF
    index: int = 0  # the place among the DKIM-Signature fields, from the top

    @classmethod
    def of(cls, values: dict[str, Any]) -> Signature:
        """From `result`, `reason` and whatever else is known, without the generated constructor, which is slow.

        `values` becomes part of the signature: nobody else may keep it.
        """
        signature = cls.__new__(cls)
        object.__setattr__(signature, "__dict__", values)
        return signature

    def __bool__(self) -> bool:
        """Refused: a result has six values."""
        raise TypeError("a Signature is neither true nor false: compare its result")

    @property
    def testing(self) -> bool:
        """Whether the key is in test mode (``t=y``)."""
        return "y" in self.key_flags

    def to_dict(self) -> dict[str, Any]:
        """For JSON; the keys are the attributes."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: _plain(value) for name, value in values.items()}


def _plain(value: object) -> object:
    if isinstance(value, StrEnum):
        return value.value
    return list(value) if isinstance(value, tuple) else value
