"""Restrictions on the name in HELO or EHLO: its syntax (Postfix: smtpd_helo_restrictions).

The syntax of names, as Postfix judges it, is shared with the
restrictions on the sender.
"""

# SECURITY: the name is the client's, of any length and with any characters; each check is linear and bounded by the
# length of a name in the DNS.

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from mailauth.mail.reply import Reply
from mailauth.plan import MAX_NAME_OCTETS
from mailauth.restrictions.base import Restriction, quoted
from mailauth.transaction.checks import Transaction
from mailauth.transaction.decision import NOTHING, Decision, refuse

# name  = label *( "." label ), not of digits and dots alone
# label = 1*63( ALPHA / DIGIT / "_" / "-" ), without "-" at its ends
_NAME = re.compile(r"(?![0-9.]*\Z)(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\Z")


def is_name(name: str) -> bool:
    """Whether Postfix takes it for a host name: RFC 1123 section 2.1, with underscores and a numeric last label."""
    return len(name) <= MAX_NAME_OCTETS and _NAME.match(name) is not None


def without_final_dot(name: str) -> str:
    """The name without one dot at its end; two dots stay, and are an empty label."""
    return name if name.endswith("..") or name == "." else name.removesuffix(".")


def is_address_literal(name: str) -> bool:
    """Whether `name` is an address literal: ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]`` (RFC 5321 section 4.1.3)."""
    if not (name.startswith("[") and name.endswith("]")) or len(name) > 64:
        return False
    inner = name[1:-1]
    return _is_address(inner[5:], 6) if inner[:5].lower() == "ipv6:" else _is_address(inner, 4)


def _is_address(text: str, version: int) -> bool:
    try:
        IPv4Address(text) if version == 4 else IPv6Address(text)
    except ValueError:
        return False
    return "%" not in text


def reject_invalid_helo_hostname() -> Restriction:
    """Reject a HELO name that is neither a host name nor an address (501 5.5.2).

    An address without brackets passes, as in Postfix: too many clients say it.
    """

    def judge(tx: Transaction) -> Decision:
        helo = tx.helo or ""
        if helo.startswith("["):
            return _judge_literal("reject_invalid_helo_hostname", helo)
        if is_name(without_final_dot(helo)) or (len(helo) <= 64 and (_is_address(helo, 4) or _is_address(helo, 6))):
            return NOTHING
        reply = Reply(501, "5.5.2", f"{quoted(helo)}: Helo command rejected: Invalid name")
        return refuse("reject_invalid_helo_hostname", "helo-invalid", reply)

    return Restriction("reject_invalid_helo_hostname", judge, frozenset({"helo"}))


def reject_non_fqdn_helo_hostname() -> Restriction:
    """Reject a HELO name that is no fully qualified name (504 5.5.2) and no address literal (501 5.5.2)."""

    def judge(tx: Transaction) -> Decision:
        helo = tx.helo or ""
        if helo.startswith("["):
            return _judge_literal("reject_non_fqdn_helo_hostname", helo)
        name = without_final_dot(helo)
        if "." in name and is_name(name):
            return NOTHING
        reply = Reply(504, "5.5.2", f"{quoted(helo)}: Helo command rejected: need fully-qualified hostname")
        return refuse("reject_non_fqdn_helo_hostname", "helo-not-fqdn", reply)

    return Restriction("reject_non_fqdn_helo_hostname", judge, frozenset({"helo"}))


def _judge_literal(restriction: str, helo: str) -> Decision:
    if is_address_literal(helo):
        return NOTHING
    reply = Reply(501, "5.5.2", f"{quoted(helo)}: Helo command rejected: invalid ip address")
    return refuse(restriction, "helo-invalid", reply)
