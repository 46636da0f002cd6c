# What belongs here: the characters and small tokens of an Authentication-Results field, for reading and writing.
# Tables and expressions only; nothing here knows a method or a message.
#
# SECURITY: every expression runs over octets that a peer chose. Each is a single run of one character class, or ends
# each repeat with a character that the class does not hold, so none of them can backtrack over more than one label.
"""Characters, tokens and limits of RFC 8601 fields."""

from __future__ import annotations

import re

FIELD_NAME = "Authentication-Results"

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
