"""`DkimPolicy`: what a receiver demands of signatures.

What a receiver may decide about DKIM, with the source of each default. Values only.
"""

from __future__ import annotations

from dataclasses import dataclass

from mailauth.mail.header import MAX_HEADER_OCTETS

ALGORITHMS = ("rsa-sha256", "ed25519-sha256")
"""What can be verified (RFC 8301 section 3.1, RFC 8463 section 3). rsa-sha1 is historic and never verified."""

ABSOLUTE_MIN_RSA_BITS = 1024
"""RFC 8301 section 3.2: signatures with smaller keys MUST NOT be considered valid; no policy can allow them."""

ABSOLUTE_MAX_RSA_BITS = 16384
"""OpenSSL's own bound for verification (OPENSSL_RSA_MAX_MODULUS_BITS)."""


@dataclass(frozen=True)
class DkimPolicy:
    """What a receiver demands of signatures. The defaults are what the RFCs demand and large receivers do.

    Raises `ValueError` for values that make no sense or that the RFCs forbid.
    """

    min_rsa_bits: int = 1024  # smaller RSA keys do not count; never under 1024 (RFC 8301 section 3.2)
    max_rsa_bits: int = 4096  # up to 4096 is a MUST (RFC 8301 section 3.2, RFC 6376 section 3.3.3): more burns time
    algorithms: tuple[str, ...] = ALGORITHMS  # values of a= that count; others are `Reason.ALGORITHM_NOT_ALLOWED`
    allow_unsigned_content: bool = False  # text behind l= (RFC 6376 section 8.2): anybody may have added it
    allow_testing_keys: bool = True  # whether a key with t=y counts; docs/conformance.md, "Keys in test mode"
    allow_several_from: bool = False  # more than one From field (RFC 5322 section 3.6; RFC 6376 section 8.15)
    required_fields: tuple[str, ...] = ()  # signed fields demanded beside From (RFC 6376 section 6.1.1), if present
    clock_skew: float = 300.0  # seconds, for t= and x= (RFC 6376 section 3.5, "fudge factor")
    max_signatures: int = 10  # looked at per message, those that match From first (RFC 6376 sections 4.2, 6.1 and 8.4)
    max_keys: int = 3  # key records tried for one signature (RFC 6376 section 6.1.2, step 4)
    max_header_octets: int = MAX_HEADER_OCTETS  # a larger header ends in `Reason.HEADER_TOO_LARGE`

    def __post_init__(self) -> None:
        if self.min_rsa_bits < ABSOLUTE_MIN_RSA_BITS:
            raise ValueError("min_rsa_bits is at least 1024 (RFC 8301 section 3.2)")
        if not self.min_rsa_bits <= self.max_rsa_bits <= ABSOLUTE_MAX_RSA_BITS:
            raise ValueError(f"max_rsa_bits is between min_rsa_bits and {ABSOLUTE_MAX_RSA_BITS}")
        _require_tuple("algorithms", self.algorithms)
        _require_tuple("required_fields", self.required_fields)
        if not set(self.algorithms) <= set(ALGORITHMS):
            raise ValueError(f"algorithms are of {', '.join(ALGORITHMS)} (rsa-sha1: RFC 8301 section 3.1)")
        if not self.clock_skew >= 0:
            raise ValueError("clock_skew is in seconds, not negative")
        if self.max_signatures < 1 or self.max_keys < 1 or self.max_header_octets < 1:
            raise ValueError("max_signatures, max_keys and max_header_octets are at least 1")


def _require_tuple(name: str, value: object) -> None:
    if isinstance(value, str):
        raise ValueError(f"{name} is a tuple of names, not one string")
