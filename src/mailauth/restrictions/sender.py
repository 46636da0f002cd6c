# What belongs here: restrictions on the sender: the syntax of MAIL FROM, its domain in the DNS, SPF.
"""Sender restrictions (Postfix: smtpd_sender_restrictions)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mailauth import domain
from mailauth.evidence import Evidence, Need
from mailauth.needs import SenderDomainKey
from mailauth.plan import Answer, Plan, Question, ask, ask_all
from mailauth.restrictions.base import OnTrouble, Restriction
from mailauth.smtp import Reply
from mailauth.verdict import NOTHING, Decision, refuse


def reject_non_fqdn_sender() -> Restriction:
    """Reject a sender whose domain is no fully qualified name (504 5.5.2). The null sender passes."""

    def judge(evidence: Evidence) -> Decision:
        sender = evidence.mail_from or ""
        if not sender or _literal_domain(sender):
            return NOTHING
        name = evidence.sender_domain()
        if name is not None and domain.is_fqdn(name):
            return NOTHING
        reply = Reply(504, "5.5.2", f"<{sender}>: Sender address rejected: need fully-qualified address")
        return refuse("reject_non_fqdn_sender", "sender-not-fqdn", reply)

    return Restriction("reject_non_fqdn_sender", judge, frozenset({"mail_from"}))


def _literal_domain(address: str) -> bool:
    from mailauth.restrictions.helo import is_address_literal

    return is_address_literal(address.rpartition("@")[2])


@dataclass(frozen=True, slots=True)
class MailDomain:
    """What the DNS says of a domain as a destination of mail (RFC 5321 section 5.1, RFC 7505)."""

    domain: str
    status: Literal["ok", "null-mx", "not-found", "trouble"]


def look_up_mail_domain(name: str) -> Plan[MailDomain]:
    """Whether mail could be sent to `name` (A-labels): MX, else A or AAAA."""
    answer = yield from ask(Question(name, "MX"))
    if answer.found:
        # RFC 7505 section 3: a single MX with an empty host says that the domain takes no mail.
        null = [exchange.host for exchange in answer.exchanges] == [""]
        return MailDomain(name, "null-mx" if null else "ok")
    if answer.failed:
        return MailDomain(name, "trouble")
    addresses: list[Answer] = yield from ask_all([Question(name, "A"), Question(name, "AAAA")])
    if any(answer.found for answer in addresses):
        return MailDomain(name, "ok")
    return MailDomain(name, "trouble" if any(answer.failed for answer in addresses) else "not-found")


def _need_sender_domain(evidence: Evidence) -> tuple[Need, ...]:
    name = evidence.sender_domain()
    if name is None:
        return ()
    return (Need(SenderDomainKey(name), lambda: look_up_mail_domain(name)),)


def reject_unknown_sender_domain(*, code: int = 450, on_trouble: OnTrouble = "defer") -> Restriction:
    """Reject a sender whose domain could not receive a reply: no MX, A or AAAA, or a null MX (RFC 7505).

    `code` is Postfix's unknown_address_reject_code. The null sender and address literals pass.
    """
    restriction = "reject_unknown_sender_domain"

    def judge(evidence: Evidence) -> Decision:
        sender = evidence.mail_from
        if not sender or _literal_domain(sender):
            return NOTHING
        found: MailDomain | None = evidence.result(SenderDomainKey(evidence.sender_domain()))
        status = "not-found" if found is None else found.status
        if status == "null-mx":
            # RFC 7505 section 4.2 gives the codes.
            reply = Reply(
                550, "5.7.27", f"<{sender}>: Sender address rejected: the domain does not accept mail (nullMX)"
            )
            return refuse(restriction, "null-mx", reply)
        if status == "not-found":
            reply = Reply(code, f"{code // 100}.1.8", f"<{sender}>: Sender address rejected: Domain not found")
            return refuse(restriction, "domain-not-found", reply)
        if status == "trouble" and on_trouble == "defer":
            reply = Reply(450, "4.1.8", f"<{sender}>: Sender address rejected: cannot look up the domain")
            return refuse(restriction, "dns-trouble", reply, if_permit=True)
        return NOTHING

    return Restriction(restriction, judge, frozenset({"mail_from"}), _need_sender_domain)
