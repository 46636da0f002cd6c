# What belongs here: the public names of DKIM. Nothing here or below loads `cryptography` at import.
"""DKIM (RFC 6376, 8301, 8463, 8616): verify, sign, keys."""

from __future__ import annotations

from mailauth.dkim.policy import ALGORITHMS, DkimPolicy
from mailauth.dkim.record import BadRecord, KeyRecord, parse_record
from mailauth.dkim.result import AuthorMatch, Reason, Result, Signature
from mailauth.dkim.signing import (
    OVERSIGNED_FIELDS,
    OVERSIGNED_IF_PRESENT,
    SIGNED_FIELDS,
    AsyncSigner,
    MessageSigner,
    Signer,
    SigningError,
    SigningKey,
    SigningOptions,
    Unsigned,
    load_key,
    sign,
)
from mailauth.dkim.verification import Verifier, verify

__all__ = [
    "ALGORITHMS",
    "OVERSIGNED_FIELDS",
    "OVERSIGNED_IF_PRESENT",
    "SIGNED_FIELDS",
    "AsyncSigner",
    "AuthorMatch",
    "BadRecord",
    "DkimPolicy",
    "KeyRecord",
    "MessageSigner",
    "Reason",
    "Result",
    "Signature",
    "Signer",
    "SigningError",
    "SigningKey",
    "SigningOptions",
    "Unsigned",
    "Verifier",
    "load_key",
    "parse_record",
    "sign",
    "verify",
]
