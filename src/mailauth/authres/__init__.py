# What belongs here: the names of the module. Reading is parser.py, writing writer.py, deleting forgeries forged.py.
"""Authentication-Results (RFC 8601, RFC 8616): build, parse, and delete forged fields.

::

    field = build("mx.example.net", spf("pass", mail_from="ann@example.org"), dkim("pass", domain="example.org"))
    message = field + remove_forged(message, "mx.example.net").message
"""

from __future__ import annotations

from mailauth.authres.forged import Claim, Cleaned, Forged, find_forged, remove_forged, remove_forged_from_header
from mailauth.authres.grammar import FIELD_NAME
from mailauth.authres.methods import auth, build, distinct_length, dkim, dnswl, iprev, method_result, spf
from mailauth.authres.model import AuthenticationResults, MethodResult, ParseFailure, Property, Reason
from mailauth.authres.parser import parse, parse_field
from mailauth.authres.registry import RESULT_WORDS

__all__ = [
    "FIELD_NAME",
    "RESULT_WORDS",
    "AuthenticationResults",
    "Claim",
    "Cleaned",
    "Forged",
    "MethodResult",
    "ParseFailure",
    "Property",
    "Reason",
    "auth",
    "build",
    "distinct_length",
    "dkim",
    "dnswl",
    "find_forged",
    "iprev",
    "method_result",
    "parse",
    "parse_field",
    "remove_forged",
    "remove_forged_from_header",
    "spf",
]
