"""Received fields (RFC 5321 section 4.4): which host wrote it, and from which address the message came.

They say where our own servers' fields end: at the Received with which the message came in from outside. A decision
hangs on it, so this reading is stricter than that of `mailauth.mail.received`, which tells people the way of a message.
"""

#   Time-stamp-line = "Received:" FWS [From-domain] By-domain Opt-info [CFWS] ";" FWS date-time
#   From-domain     = "FROM" FWS Extended-Domain CFWS       By-domain = "BY" FWS Extended-Domain CFWS
#   Extended-Domain = ( Domain / address-literal ) [ FWS "(" TCP-info ")" ]
#   TCP-info        = address-literal / ( Domain FWS address-literal )
#
# SECURITY: below the first Received of a host that is not ours everything may be invented, so what is read here counts
# only from the top down. Names behind "from" are the client's (HELO) and mean nothing; only addresses do, and if there
# are several, all of them must be ours. A HELO name, as it came, may hold whole clauses, and a semicolon that would cut
# off the server's own: a field with more of them than it should have is of an unknown host. Linear; a long field is not
# read.

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mailauth.mail.names import parse_ip
from mailauth.plan import IPAddress

MAX_OCTETS = 4096
"""Of one field; real ones have a few hundred."""

_TOKEN = re.compile(r"[();]|[^\s();]++|\s++")
# What stands behind these words is the client's: "(EHLO x)", "([192.0.2.1] helo=x ident=y)".
_CLIENTS_WORDS = re.compile(r"(?<![^\s(])(?:helo|ehlo|ident)[\s=][^()]*+", re.IGNORECASE)
_BY = re.compile(r"(?<![\w.-])by\s++([^\s();]++)", re.IGNORECASE)
# "([192.0.2.1])", "(192.0.2.1)", "(ident@192.0.2.1)"
_ADDRESS = re.compile(r"(?:\[(?:IPv6:)?|(?<![^\s(@]))([0-9A-Fa-f.:]{3,45})(?:\]|(?![^\s)]))", re.IGNORECASE)


class Hop(NamedTuple):
    """One Received field: the host that wrote it (None where it does not say), and where it had the message from.

    `helo` is what stands behind "from", None where nothing does: mostly what the client called itself, even where it is
    an address. `addresses` are those that the server noted of it, in parentheses behind that; none where there are
    only such as are marked as the client's own words. `protocol` is the word behind "with", in upper case.
    """

    by: str | None
    helo: str | None
    addresses: tuple[IPAddress, ...]
    protocol: str

    @property
    def ip(self) -> IPAddress | None:
        """The client's address, where there is exactly one."""
        return self.addresses[0] if len(set(self.addresses)) == 1 else None


_UNKNOWN = Hop(None, None, (), "")


def read_received(value: bytes) -> Hop:
    """Read the value of a Received field: "from", then "by", as RFC 5321 has it. Any octets have a result."""
    text = value.decode("utf-8", "replace") if len(value) <= MAX_OCTETS else ""
    words = _words(text)
    helo, found, start = None, list[IPAddress](), 0
    if len(words) > 2 and words[0][0].lower() == "from":
        helo, comments = words[1]
        noted, labels = _CLIENTS_WORDS.subn("", comments)
        if next(_addresses(noted), None) is not None:
            # All of them count: a host may be named "helo". With "from 192.0.2.1 (EHLO x" the first word is noted, too.
            found = [*_addresses(comments), *(_addresses(helo) if labels else ())]
        start = 2
    if len(words) < start + 2 or words[start][0].lower() != "by":
        return _UNKNOWN
    by, rest = words[start + 1][0], [word for word, _ in words[start + 2 :]]
    lower = [word.lower() for word in rest]
    # A HELO name with blanks in it, as it came, may hold clauses of its own.
    if "from" in lower or "by" in lower or lower.count("with") > 1:
        return _UNKNOWN
    hosts = [word for word in _BY.findall(text) if "." in word or ":" in word or word == by]
    if len(hosts) > 1:
        return _UNKNOWN  # nor may any text of the client's, in parentheses
    protocol = rest[lower.index("with") + 1] if "with" in lower[:-1] else ""
    return Hop(by, helo, tuple(found), protocol.upper())


def _words(text: str) -> list[tuple[str, str]]:
    """The words before the semicolon, each with the comments behind it; none if a comment has no end, or no beginning.

    None either if clauses or another semicolon stand behind it, where the date belongs.
    """
    words: list[tuple[str, list[str]]] = [("", [])]
    depth = end = 0
    for token in _TOKEN.findall(text):
        if token == "(":
            depth += 1
        if depth:
            words[-1][1].append(token)
            depth -= token == ")"
        elif token in (")", ";"):
            if end or token == ")":
                return []
            end = len(words)
        elif not token.isspace():
            if end and token.lower() in ("from", "by"):
                return []
            words.append((token, []))
    # What stands before the first word is no clause: "(qmail 123 invoked by uid 0)".
    return [] if depth or words[0][1] else [(word, "".join(comments)) for word, comments in words[1 : end or None]]


def _addresses(text: str) -> Iterator[IPAddress]:
    for match in _ADDRESS.finditer(text):
        try:
            yield parse_ip(match[1])
        except ValueError:
            continue
