"""Paths of the SMTP envelope.

The argument of MAIL FROM and RCPT TO: the address, and the parameters behind it.
"""

# RFC 5321 section 4.1.2, as far as it tells where an address ends; RFC 6531 section 3.3 adds UTF-8:
#   Path       = "<" [ A-d-l ":" ] Mailbox ">"          A-d-l = At-domain *( "," At-domain )
#   Mailbox    = Local-part [ "@" ( Domain / address-literal ) ]       (no domain: <Postmaster>)
#   Local-part = Dot-string / Quoted-string
# Taken, too: a path without its brackets, as other servers do; an unquoted local part with any printable characters.
#
# SECURITY: the line comes from the peer, and is bounded by the server. Controls, and octets that are no UTF-8 (here:
# surrogates), make it no path, so that neither can reach a log, a field or another server. The scan is linear.

from __future__ import annotations

import re
from typing import NamedTuple

_NOT_PRINTABLE = r"\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff"
_ATOM = rf'[^<>"\\,;(){_NOT_PRINTABLE}]++'
_QUOTED = rf'"(?:[^"\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]|\\[\x20-\x7e])*+"(?:@{_ATOM})?+'
_ROUTE = rf"(?:@[^<>\"\\,:{_NOT_PRINTABLE}]++(?:,@[^<>\"\\,:{_NOT_PRINTABLE}]++)*+:)?+"
_PATH = re.compile(rf"<(?:{_ROUTE}(?P<path>{_QUOTED}|{_ATOM}))?>(?=[ \t]|\Z)|(?P<bare>{_QUOTED}|{_ATOM})(?=[ \t]|\Z)")


class Path(NamedTuple):
    """An address, ``""`` for the null sender, and the text of the parameters."""

    address: str
    parameters: str


def parse_path(text: str) -> Path | None:
    """Read what stands behind ``FROM:`` or ``TO:``; None if it is no path. A source route is dropped.

    RFC 5321 section 4.1.1.3: servers SHOULD ignore source routes.
    """
    match = _PATH.match(text)
    if match is None:
        return None
    return Path(match["path"] or match["bare"] or "", text[match.end() :].strip(" \t"))
