# What belongs here: restrictions on the name in HELO or EHLO: its syntax.
"""HELO restrictions (Postfix: smtpd_helo_restrictions)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from mailauth import domain
from mailauth.evidence import Evidence
from mailauth.restrictions.base import Restriction
from mailauth.smtp import Reply
from mailauth.verdict import NOTHING, Decision, refuse


def is_address_literal(name: str) -> bool:
    """Whether `name` is an address literal: ``[192.0.2.1]`` or ``[IPv6:2001:db8::1]`` (RFC 5321 section 4.1.3)."""
    if not (name.startswith("[") and name.endswith("]")) or len(name) > 64:
        return False
    inner = name[1:-1]
    try:
        if inner[:5].lower() == "ipv6:":
            IPv6Address(inner[5:])
        else:
            IPv4Address(inner)
    except ValueError:
        return False
    return "%" not in inner


def reject_invalid_helo_hostname() -> Restriction:
    """Reject a HELO name that is neither a host name nor an address literal (501 5.5.2)."""

    def judge(evidence: Evidence) -> Decision:
        helo = evidence.helo or ""
        if domain.is_hostname(helo.removesuffix(".")) or is_address_literal(helo):
            return NOTHING
        words = "invalid ip address" if helo.startswith("[") else "Invalid name"
        reply = Reply(501, "5.5.2", f"<{helo}>: Helo command rejected: {words}")
        return refuse("reject_invalid_helo_hostname", "helo-invalid", reply)

    return Restriction("reject_invalid_helo_hostname", judge, frozenset({"helo"}))


def reject_non_fqdn_helo_hostname() -> Restriction:
    """Reject a HELO name that is no fully qualified name and no address literal (504 5.5.2)."""

    def judge(evidence: Evidence) -> Decision:
        helo = evidence.helo or ""
        if domain.is_fqdn(helo.removesuffix(".")) or is_address_literal(helo):
            return NOTHING
        reply = Reply(504, "5.5.2", f"<{helo}>: Helo command rejected: need fully-qualified hostname")
        return refuse("reject_non_fqdn_helo_hostname", "helo-not-fqdn", reply)

    return Restriction("reject_non_fqdn_helo_hostname", judge, frozenset({"helo"}))
