"""DKIM (RFC 6376, 8301, 8463, 8616): verify, sign, keys.

The public names of DKIM. Nothing here or below loads `cryptography` at import.
"""

from __future__ import annotations

from mailauth.dkim.explanation import (
    Alteration,
    AlterationCode,
    CanonicalForm,
    Explainer,
    ExplainLimits,
    ExplainPlan,
    Explanation,
    HalfState,
    KeyState,
    canonical_forms,
    explain,
)
from mailauth.dkim.keys import (
    KeyCheck,
    KeyFinding,
    KeyVerdict,
    check_key,
    generate_key,
    record_name,
    record_text,
    selector_from,
    zone_line,
)
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
from mailauth.dkim.table import SigningRule, SigningTable, TableError
from mailauth.dkim.verification import Verifier, VerifyPlan, verify

__all__ = [
    "ALGORITHMS",
    "OVERSIGNED_FIELDS",
    "OVERSIGNED_IF_PRESENT",
    "SIGNED_FIELDS",
    "Alteration",
    "AlterationCode",
    "AsyncSigner",
    "AuthorMatch",
    "BadRecord",
    "CanonicalForm",
    "DkimPolicy",
    "ExplainLimits",
    "ExplainPlan",
    "Explainer",
    "Explanation",
    "HalfState",
    "KeyCheck",
    "KeyFinding",
    "KeyRecord",
    "KeyState",
    "KeyVerdict",
    "MessageSigner",
    "Reason",
    "Result",
    "Signature",
    "Signer",
    "SigningError",
    "SigningKey",
    "SigningOptions",
    "SigningRule",
    "SigningTable",
    "TableError",
    "Unsigned",
    "Verifier",
    "VerifyPlan",
    "canonical_forms",
    "check_key",
    "explain",
    "generate_key",
    "load_key",
    "parse_record",
    "record_name",
    "record_text",
    "selector_from",
    "sign",
    "verify",
    "zone_line",
]
