"""Received fields: the way of a message, hop by hop, as its header tells it (RFC 5321 section 4.4).

What each field says, and how long the message lay between two of them. Nothing is believed: only the fields that one's
own servers wrote are evidence, all others are claims of whoever sent the message.
"""

# RFC 5321 section 4.4:
#   Time-stamp-line = "Received:" FWS Stamp CRLF
#   Stamp           = From-domain By-domain Opt-info [CFWS] ";" FWS date-time
#   From-domain     = "FROM" FWS Extended-Domain
#   Extended-Domain = Domain / ( Domain FWS "(" TCP-info ")" ) / ( address-literal FWS "(" TCP-info ")" )
#   TCP-info        = address-literal / ( Domain FWS address-literal )
#   Opt-info        = [Via] [With] [ID] [For] [Additional-Registered-Clauses]
#
# SECURITY: every octet comes from the peer. At most `MAX_HOPS` fields and `MAX_FIELD_OCTETS` of each are read, in one
# pass; a field that is not of that form has those parts that can be read, and nothing raises.

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from mailauth.mail.header import Field, Header
from mailauth.mail.names import parse_ip
from mailauth.plan.dns import IPAddress

MAX_HOPS = 100
"""RFC 5321 section 6.3: servers give up at 100 Received fields at the least; more is a loop."""

MAX_FIELD_OCTETS = 4096
"""Octets of one field that are read; real ones have some 300."""

_MAX_DATE_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Hop:
    """One Received field. What it does not say is empty or None.

    `from_name` is what the client called itself, `from_ip` and `from_host` are what the server noted of it: its address
    and the name that it looked up. `by` is the server that wrote the field; `protocol`, `id` and `recipient` stand
    behind "with", "id" and "for". `date` is in seconds since the epoch, `delay` in seconds since the hop before; it is
    negative where clocks differ. `raw` has the octets of the field, at most `MAX_FIELD_OCTETS`.
    """

    from_name: str = ""
    from_host: str = ""
    from_ip: IPAddress | None = None
    by: str = ""
    protocol: str = ""
    id: str = ""
    recipient: str = ""
    date: float | None = None
    delay: float | None = None
    raw: bytes = b""

    @property
    def encrypted(self) -> bool | None:
        """Whether the protocol's name says that TLS was used (RFC 3848, RFC 8314); None without a name."""
        if not self.protocol:
            return None
        return self.protocol.upper().removesuffix("A").endswith(("SMTPS", "LMTPS", "HTTPS"))

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "from_name": self.from_name,
            "from_host": self.from_host,
            "from_ip": None if self.from_ip is None else str(self.from_ip),
            "by": self.by,
            "protocol": self.protocol,
            "id": self.id,
            "recipient": self.recipient,
            "date": self.date,
            "delay": self.delay,
        }


def way(header: Header) -> tuple[Hop, ...]:
    """The hops of a message in the order of time: the field next to the body first (RFC 5321 section 4.4).

    Of more than `MAX_HOPS` fields those at the top are read: they are the ones that the last servers wrote.
    """
    hops: list[Hop] = []
    last: float | None = None
    for field in reversed(header.all("received")[:MAX_HOPS]):
        hop = parse_received(field)
        if hop.date is not None:
            hop = hop if last is None else replace(hop, delay=hop.date - last)
            last = hop.date
        hops.append(hop)
    return tuple(hops)


def parse_received(field: Field) -> Hop:
    """What one field says. Any octets have a result."""
    text = field.unfolded[:MAX_FIELD_OCTETS].decode("utf-8", "surrogateescape")
    clauses, date = _clauses(text)
    found: dict[str, str] = {}
    comments: dict[str, str] = {}
    for name, value, comment in clauses:
        if name not in found:
            found[name], comments[name] = value, comment
    host, ip = _tcp_info(found.get("from", ""), comments.get("from", ""))
    return Hop(
        from_name=found.get("from", ""),
        from_host=host,
        from_ip=ip,
        by=found.get("by", ""),
        protocol=found.get("with", ""),
        id=found.get("id", "").removeprefix("<").removesuffix(">"),
        recipient=found.get("for", "").removeprefix("<").removesuffix(">"),
        date=_seconds(date),
        raw=field.raw[:MAX_FIELD_OCTETS],
    )


# A quoted string, a word, a blank or any single character; possessive, so that nothing is read twice.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[^\s()";\\]++|\s++|\\?.', re.DOTALL)
_NAMES = frozenset({"from", "by", "via", "with", "id", "for"})


def _clauses(text: str) -> tuple[list[tuple[str, str, str]], str]:
    """The clauses as name, value and the comment behind the value; and what follows the last ";"."""
    clauses: list[tuple[str, str, str]] = []
    name, words, comment = "", list[str](), list[str]()
    depth, date_at = 0, len(text)

    def close() -> None:
        if name:
            clauses.append((name, "".join(words[:1]), "".join(comment).strip()))

    for match in _TOKEN.finditer(text):
        token = match[0]
        if depth or token == "(":
            depth += (token == "(") - (token == ")")
            comment.append(token if depth and not (token == "(" and depth == 1) else " ")
        elif token == ";":
            date_at = match.end()
        elif token.lower() in _NAMES:
            close()
            name, words, comment = token.lower(), [], []
        elif not token.isspace():
            words.append(token)
    close()
    return clauses, text[date_at:]


_ADDRESS = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f.:]{2,45})\]|(?<![\w.:])([0-9A-Fa-f]*[.:][0-9A-Fa-f.:]{1,44})(?![\w.:])")
# Some write the name with its final dot; what stands behind "HELO" is what the client said (qmail), as behind "helo=".
_HOST = re.compile(
    r"(?<![\w=@.-])(?<!HELO )(?<!EHLO )([A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})++)(?=\.?(?:[\s\[(]|\Z))"
)


def _tcp_info(name: str, comment: str) -> tuple[str, IPAddress | None]:
    """The name and the address that the server noted of the client."""
    found = [ip for text in (comment, name) for match in _ADDRESS.finditer(text) if (ip := _ip(match)) is not None]
    hosts = (match[1] for match in _HOST.finditer(comment))
    host = next((host for host in hosts if not host.replace(".", "").isdigit()), "")
    return host, found[0] if found else None


def _ip(match: re.Match[str]) -> IPAddress | None:
    try:
        return parse_ip(match[1] or match[2])
    except ValueError:
        return None


_COMMENT = re.compile(r"\([^()]*+\)")


def _seconds(date: str) -> float | None:
    """The date-time of RFC 5322 section 3.3 in seconds since the epoch; None where it is none."""
    text = _COMMENT.sub(" ", date[: 2 * _MAX_DATE_CHARACTERS]).strip()[:_MAX_DATE_CHARACTERS]
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
