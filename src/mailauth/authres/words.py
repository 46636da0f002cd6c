"""The tokens, limits and registered words of RFC 8601 fields: tables and expressions only."""

# SECURITY: every expression runs over octets that a peer chose. Each is a single run of one character class, or ends
# each repeat with a character that the class does not hold, so none of them can backtrack over more than one label.

from __future__ import annotations

import re

FIELD_NAME = "Authentication-Results"
ARC_FIELD_NAME = "ARC-Authentication-Results"  # RFC 8617 section 4.1.1

MAX_INSTANCE = 50  # RFC 8617 section 4.2.1

# RFC 8601 section 2.6: this specification is version 1; so is every registered method's.
SUPPORTED_VERSION = 1
MAX_VERSION = 999_999_999
"""Nine digits: far over any version there will be, far under what int() is slow for."""

MAX_FIELD_OCTETS = 102_400
"""A longer field is not parsed: Postfix's own bound for one header field (header_size_limit)."""

MAX_COMMENT_DEPTH = 20
"""How deep comments may nest. The parser keeps a counter, not a stack: the bound is for readers after us."""

MAX_KEYWORD_CHARACTERS = 64
"""Methods, results, property types and names; the longest registered one has 11 characters."""

MAX_ID_OCTETS = 255
"""authserv-id: a domain name in the usual case (RFC 1035 section 2.3.4)."""

MAX_VALUE_OCTETS = 400
"""What is written of one value. An address has 320 octets at most (RFC 5321 section 4.5.3.1), and 400 octets that all
need a backslash still fit on one line of 998 (RFC 5322 section 2.1.1) beside the longest property name."""

MAX_LINE_CHARACTERS = 78  # RFC 5322 section 2.1.1
MAX_LINE_OCTETS = 998  # RFC 5322 section 2.1.1; RFC 6532 section 3.4: octets, not characters

CUT_MARK = "[...]"
"""Stands behind a value that was cut. Brackets are in no token and no domain name, so that a cut value never passes
for a shorter name."""

# Never in a field, neither read nor written: controls but TAB (C0, DEL, C1), the separators that str.splitlines takes
# for line ends, and halves of surrogate pairs, which have no octets in UTF-8.
UNSAFE = r"\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"

# token = 1*<any (US-ASCII) CHAR except SPACE, CTLs, or tspecials>              RFC 2045 section 5.1
TOKEN = re.compile(r"[!#-'*+\-.0-9A-Z^-~]+")

# Keyword = Ldh-str = *( ALPHA / DIGIT / "-" ) Let-dig                          RFC 5321 sections 4.1.2, 4.1.3
KEYWORD = re.compile(r"[A-Za-z0-9-]+(?<!-)")
KEYWORD_RUN = re.compile(r"[A-Za-z0-9-]+")

DIGITS = re.compile(r"[0-9]+")

# FWS = ([*WSP CRLF] 1*WSP) / obs-FWS                                           RFC 5322 sections 3.2.2, 4.2
# A bare LF folds, too: that is how milters hand values over.
FWS = re.compile(r"(?:[ \t]++|\r?\n(?=[ \t]))++")
FOLD = re.compile(r"\r?\n(?=[ \t])")

# qtext and ctext with RFC 6532 section 3.2 (UTF8-non-ascii), without the obsolete controls; WSP runs along.
QTEXT = re.compile(rf'[^"\\\r\n{UNSAFE}]+')
CTEXT = re.compile(rf"[^()\\\r\n{UNSAFE}]+")
QUOTED_PAIR = re.compile(rf"\\([^\r\n{UNSAFE}])")  # "\" (VCHAR / WSP)

# atext with RFC 6532 section 3.2. White space outside ASCII is left out: a reader that splits at it sees two words.
_UTF8 = r"[^\x00-\x9f\s\ud800-\udfff]"
_ATEXT = rf"(?:[A-Za-z0-9!#$%&'*+/=?^_`{{|}}~-]|{_UTF8})"
_LABEL = rf"(?!-)(?:[A-Za-z0-9-]|{_UTF8}){{1,63}}(?<!-)"
WORD = re.compile(rf"(?:{TOKEN.pattern}|{_UTF8})++")  # a token, and what lax readers take for one
DOT_ATOM = rf"{_ATEXT}++(?:\.{_ATEXT}++)*+"

# [ [ local-part ] "@" ] domain-name                                            RFC 8601 section 2.2
# local-part = dot-atom / quoted-string                                         RFC 5322 section 3.4.1
# domain-name = sub-domain 1*("." sub-domain)                                   RFC 6376 section 3.5
IDENTITY = re.compile(
    rf'(?:(?:{DOT_ATOM}|"(?:[^"\\\r\n{UNSAFE}]|\\[^\r\n{UNSAFE}])*+")?@)?{_LABEL}(?:\.{_LABEL})+',
)

# What is read as a bare value: the above and what others write without quotes (docs/conformance.md).
BARE_RUN = re.compile(rf'[^\s"();\\{UNSAFE}]+')
BARE_IDENTITY = re.compile(r"[^<>\[\]:,@]*+@[^=<>,@]++")
LOCAL_PART = re.compile(DOT_ATOM)


# --- the IANA registry "Email Authentication Parameters" -----------------------------------------------------

_DKIM = frozenset({"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"})
_SPF = _DKIM | {"softfail"}

RESULT_WORDS: dict[str, frozenset[str]] = {
    "arc": frozenset({"none", "pass", "fail"}),  # RFC 8617 section 10.1
    "auth": frozenset({"none", "pass", "fail", "temperror", "permerror"}),  # RFC 8601 section 2.7.4
    "dkim": _DKIM,  # RFC 8601 section 2.7.1
    "dkim-adsp": frozenset(  # RFC 5617 section 5.4
        {"none", "pass", "unknown", "fail", "discard", "nxdomain", "temperror", "permerror"}
    ),
    "dkim-atps": frozenset({"none", "pass", "fail", "temperror", "permerror"}),  # RFC 6541 section 8.3
    "dmarc": frozenset({"none", "pass", "fail", "temperror", "permerror"}),  # RFC 9989 section 9.2
    "dnswl": frozenset({"none", "pass", "temperror", "permerror"}),  # RFC 8904 section 2
    "domainkeys": _DKIM,  # RFC 8601 section 6.7: deprecated
    "iprev": frozenset({"pass", "fail", "temperror", "permerror"}),  # RFC 8601 section 2.7.3
    "rrvs": frozenset({"none", "unknown", "pass", "fail", "temperror", "permerror"}),  # RFC 7293 section 15.2
    "sender-id": _SPF,  # RFC 8601 section 6.7: deprecated
    "smime": frozenset({"none", "pass", "fail", "policy", "neutral", "temperror", "permerror"}),  # RFC 7281 section 3.2
    "spf": _SPF,  # RFC 8601 section 2.7.2; "hardfail" is a deprecated word for "fail" (RFC 8601 section 6.7)
    "vbr": frozenset({"none", "pass", "fail", "temperror", "permerror"}),  # RFC 6212 section 4
}
"""The results that IANA lists for each method."""

PROPERTY_TYPES = frozenset({"body", "dns", "header", "policy", "smtp"})  # RFC 8601 section 2.3; dns: RFC 8904 section 4

# Properties whose value is a domain name or an address: where the message is not internationalized, their U-labels
# are written as A-labels (RFC 8616 section 3: every U-label is equivalent to an A-label).
IDENTITIES = frozenset(
    {
        ("smtp", "auth"), ("smtp", "helo"), ("smtp", "mailfrom"), ("smtp", "rcptto"), ("smtp", "rrvs"),
        ("header", "d"), ("header", "i"), ("header", "s"), ("header", "from"), ("header", "sender"),
        ("header", "mv"), ("header", "md"), ("dns", "zone"),
    }
)  # fmt: skip

# Those that this library writes, so that their names need no check.
OWN_PROPERTIES = IDENTITIES | {
    ("header", "a"), ("header", "b"), ("header", "oldest-pass"), ("policy", "dmarc"), ("policy", "ip"),
    ("policy", "iprev"), ("policy", "txt"), ("dns", "sec"), ("smtp", "remote-ip"),
}  # fmt: skip
