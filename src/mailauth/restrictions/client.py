"""Restrictions on the client: its address, its names, how it talks (Postfix: smtpd_client_restrictions)."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

from mailauth import iprev
from mailauth.mail import names
from mailauth.mail.reply import Reply
from mailauth.restrictions.base import OnDnsError, Restriction, enhanced, require_refusal
from mailauth.transaction.checks import IPREV, Transaction
from mailauth.transaction.decision import NOTHING, Decision, permit, refuse

DNS_ERROR_CODE = 450
"""What Postfix says while the DNS does not answer, whatever unknown_client_reject_code is."""


def permit_mynetworks(*networks: str | IPv4Network | IPv6Network) -> Restriction:
    """Permit clients in these networks.

    Raises `ValueError` for anything that is not a network (host bits set included).
    """
    parsed = tuple(ip_network(network) if isinstance(network, str) else network for network in networks)

    def judge(tx: Transaction) -> Decision:
        if any(tx.ip.version == network.version and tx.ip in network for network in parsed):
            return permit("permit_mynetworks", "mynetworks", f"{tx.ip} is in one of our networks")
        return NOTHING

    return Restriction("permit_mynetworks", judge, note=" ".join(map(str, parsed)))


def permit_authenticated() -> Restriction:
    """Permit clients that have authenticated (Postfix: permit_sasl_authenticated)."""

    def judge(tx: Transaction) -> Decision:
        if tx.authenticated is not None:
            return permit("permit_authenticated", "authenticated", "the client has authenticated")
        return NOTHING

    return Restriction("permit_authenticated", judge)


def reject_unknown_client_hostname(*, code: int = 450, on_dns_error: OnDnsError = "defer") -> Restriction:
    """Reject clients without a reverse name that leads back to the address (forward-confirmed reverse DNS).

    `code` is Postfix's unknown_client_reject_code; while the DNS does not answer, it is 450. The enhanced code is that
    of RFC 7372 section 3.3.
    """
    name = "reject_unknown_client_hostname"
    require_refusal(code)

    def judge(tx: Transaction) -> Decision:
        found = tx[IPREV]
        if found.result is iprev.Result.PASS:
            return NOTHING
        temporary = found.result is iprev.Result.TEMPERROR
        if temporary and on_dns_error == "pass":
            return NOTHING
        spoken = DNS_ERROR_CODE if temporary else code
        words = f"Client host rejected: cannot find your hostname, [{tx.ip}]"
        return refuse(name, f"iprev-{found.result}", Reply(spoken, enhanced(spoken, "7.25"), words), found.detail)

    return Restriction(name, judge, checks=(IPREV,))


def reject_unknown_reverse_client_hostname(*, code: int = 450, on_dns_error: OnDnsError = "defer") -> Restriction:
    """Reject clients whose address has no reverse name at all, whether it leads back or not.

    `code` is Postfix's unknown_client_reject_code; while the DNS does not answer, it is 450.
    """
    name = "reject_unknown_reverse_client_hostname"
    require_refusal(code)

    def judge(tx: Transaction) -> Decision:
        found = tx[IPREV]
        if any(names.is_hostname(reverse_name) for reverse_name in found.names):
            return NOTHING
        temporary = found.result is iprev.Result.TEMPERROR
        if temporary and on_dns_error == "pass":
            return NOTHING
        spoken = DNS_ERROR_CODE if temporary else code
        words = f"Client host rejected: cannot find your reverse hostname, [{tx.ip}]"
        reason = "dns-error" if temporary else "no-reverse-name"
        return refuse(name, reason, Reply(spoken, enhanced(spoken, "7.1"), words), found.detail)

    return Restriction(name, judge, checks=(IPREV,))


def reject_unauth_pipelining() -> Restriction:
    """Reject clients that sent the next command before they saw the reply to this one (Postfix 503 5.5.0).

    The server says so by `Session.note_pipelining`: octets were waiting before the reply was sent, where RFC 2920
    section 3.1 does not allow it.
    """

    def judge(tx: Transaction) -> Decision:
        if not tx.pipelined:
            return NOTHING
        reply = Reply(503, "5.5.0", "Improper use of SMTP command pipelining")
        return refuse("reject_unauth_pipelining", "pipelining", reply)

    return Restriction("reject_unauth_pipelining", judge)
