"""Trace fields: Authentication-Results, Received-SPF, X-Greylist, Received.

The fields that a server puts on top of a message, in their order. What they say is found out elsewhere; the clock is
an argument.
"""

# SECURITY: HELO name and addresses are the peer's. In Received only names and literals that are well-formed are
# written.

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from mailauth.config.schema import TraceField
from mailauth.mail import names
from mailauth.plan import IPAddress
from mailauth.restrictions.helo import is_address_literal
from mailauth.spf import received_spf
from mailauth.transaction.report import Report

ORDER: tuple[TraceField, ...] = ("authentication-results", "received-spf", "x-greylist", "received")
"""RFC 7208 section 9.1: Received-SPF above the Received of this server; RFC 8601 section 4 and RFC 6376
section 6.2: the results on top."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What Received tells (RFC 5321 section 4.4): who said it how, under which id, and when (seconds since 1970)."""

    protocol: str
    id: str
    now: float


def trace_fields(report: Report, transaction: Transaction, wanted: Iterable[TraceField]) -> bytes:
    """Those of the fields that are wanted, in their order, as octets to put on top of the message.

    The results stand above signatures and older results (RFC 6376 section 6.2, RFC 8601 section 4).
    """
    names = set(wanted)
    return b"".join(_FIELDS[name](report, transaction) for name in ORDER if name in names)


def protocol_word(*, extended: bool, tls: bool, authenticated: bool, utf8: bool) -> str:
    """The word behind "with" (RFC 3848; RFC 6531 section 4.3)."""
    if not extended:
        return "SMTP"
    return ("UTF8SMTP" if utf8 else "ESMTP") + ("S" if tls else "") + ("A" if authenticated else "")


def _authentication_results(report: Report, transaction: Transaction) -> bytes:
    return report.authentication_results


def _received(report: Report, transaction: Transaction) -> bytes:
    lines = [
        f"Received: from {_from_domain(report)} ({_tcp_info(report)})",
        f"by {report.hostname} with {transaction.protocol} id {transaction.id}{_for(report)};",
        format_datetime(datetime.fromtimestamp(transaction.now, UTC)),
    ]
    return "\r\n ".join(lines).encode("ascii") + b"\r\n"


def _from_domain(report: Report) -> str:
    """From-domain = Extended-Domain: what was said in HELO if it is well-formed, else the address."""
    helo = report.helo or ""
    return helo if names.is_hostname(helo) or is_address_literal(helo) else _literal(report.ip)


def _tcp_info(report: Report) -> str:
    name = report.iprev.name if report.iprev is not None else None
    literal = _literal(report.ip)
    return f"{name} {literal}" if name and names.is_hostname(name) else literal


def _literal(ip: IPAddress) -> str:
    return f"[{ip}]" if ip.version == 4 else f"[IPv6:{ip}]"


_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9._+=/-]{1,64}@[A-Za-z0-9.-]{1,255}\Z")


def _for(report: Report) -> str:
    """RFC 5321 section 7.2: with several recipients none is named, since that would disclose them to each other."""
    if len(report.rcpt_to) == 1 and _PLAIN_ADDRESS.match(report.rcpt_to[0]):
        return f"\r\n for <{report.rcpt_to[0]}>"
    return ""


def _x_greylist(report: Report, transaction: Transaction) -> bytes:
    """The longest delay of the recipients that were delayed."""
    delayed = [found for found in report.greylist if found.header_value(report.hostname) is not None]
    if not delayed:
        return b""
    return max(delayed, key=lambda found: found.waited).header_field(report.hostname) or b""


def _received_spf(report: Report, transaction: Transaction) -> bytes:
    return b"" if report.spf is None else received_spf(report.spf, receiver=report.hostname).encode("ascii")


_FIELDS: dict[TraceField, Callable[[Report, Transaction], bytes]] = {
    "authentication-results": _authentication_results,
    "received-spf": _received_spf,
    "x-greylist": _x_greylist,
    "received": _received,
}
