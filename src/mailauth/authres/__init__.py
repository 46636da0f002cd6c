"""Authentication-Results (RFC 8601, RFC 8616): build, parse, and delete forged fields.

A mail server writes what it found out about a message into this header field: who says so (the authserv-id), then one
result for each method with what it looked at. Programs behind it read the field, and believe only those with an
authserv-id of their own site; so the server at the border first deletes what forgers wrote in its name::

    field = build("mx.example.net", spf("pass", mail_from="ann@example.org"), dkim("pass", domain="example.org"))
    message = field + remove_forged(message, "mx.example.net").message
    results = parse_field(field).of("dkim")

Reading order: words.py (tokens and registered words), result.py and field.py (the values), methods.py (building),
write.py, parse.py, forged.py.
"""

from __future__ import annotations

from mailauth.authres.field import AuthenticationResults, Defect, ParseFailure, Reason
from mailauth.authres.forged import Claim, Cleaned, Forged, find_forged, remove_forged, remove_forged_from_header
from mailauth.authres.methods import arc, auth, build, distinct_length, dkim, dmarc, dnswl, iprev, method_result, spf
from mailauth.authres.parse import parse, parse_field
from mailauth.authres.result import MethodResult, Property
from mailauth.authres.words import ARC_FIELD_NAME, FIELD_NAME, RESULT_WORDS

__all__ = [
    "ARC_FIELD_NAME",
    "FIELD_NAME",
    "RESULT_WORDS",
    "AuthenticationResults",
    "Claim",
    "Cleaned",
    "Defect",
    "Forged",
    "MethodResult",
    "ParseFailure",
    "Property",
    "Reason",
    "arc",
    "auth",
    "build",
    "distinct_length",
    "dkim",
    "dmarc",
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
