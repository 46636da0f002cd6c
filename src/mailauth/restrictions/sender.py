"""Restrictions on the sender: the syntax of MAIL FROM, its domain in the DNS (Postfix: smtpd_sender_restrictions)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mailauth.mail import names
from mailauth.mail.reply import Reply
from mailauth.plan import Answer, Plan, Question, ask, ask_all
from mailauth.restrictions.base import OnDnsError, Restriction, enhanced, quoted, require_refusal
from mailauth.restrictions.helo import is_name
from mailauth.transaction.checks import Check, Transaction
from mailauth.transaction.decision import NOTHING, Decision, refuse


def reject_non_fqdn_sender() -> Restriction:
    """Reject a sender whose domain is no fully qualified name (504 5.5.2).

    The null sender passes, and so does an address literal, whatever is in its brackets.
    """

    def judge(tx: Transaction) -> Decision:
        sender = tx.mail_from or ""
        name = tx.sender_domain
        if not sender or _in_brackets(sender) or (name is not None and "." in name and is_name(name)):
            return NOTHING
        reply = Reply(504, "5.5.2", f"{quoted(sender)}: Sender address rejected: need fully-qualified address")
        return refuse("reject_non_fqdn_sender", "sender-not-fqdn", reply)

    return Restriction("reject_non_fqdn_sender", judge, frozenset({"mail_from"}))


def _in_brackets(address: str) -> bool:
    mailbox = names.split_address(address)
    return mailbox is not None and mailbox.domain.startswith("[") and mailbox.domain.endswith("]")


@dataclass(frozen=True, slots=True)
class MailDomain:
    """What the DNS says of a domain as a destination of mail (RFC 5321 section 5.1, RFC 7505)."""

    domain: str
    status: Literal["ok", "null-mx", "malformed", "not-found", "dns-error"]


def look_up_mail_domain(name: str) -> Plan[MailDomain]:
    """Whether mail could be sent to `name` (A-labels): MX, else A or AAAA."""
    mx = yield from ask(Question(name, "MX"))
    if mx.found:
        return MailDomain(name, _status_of_mx(mx))
    # RFC 5321 section 5.1: without MX the address is the destination. Where the MX question stays open, an address
    # shows at least that the domain is there, as Postfix has it.
    addresses = yield from ask_all([Question(name, "A"), Question(name, "AAAA")])
    if any(answer.found for answer in addresses):
        return MailDomain(name, "ok")
    return MailDomain(name, "dns-error" if any(answer.failed for answer in (mx, *addresses)) else "not-found")


def _status_of_mx(mx: Answer) -> Literal["ok", "null-mx", "malformed"]:
    hosts = [exchange.host for exchange in mx.exchanges]
    if hosts == [""]:
        # RFC 7505 section 3: a single MX with an empty host says that the domain takes no mail.
        return "null-mx"
    return "ok" if any(is_name(host) or _looks_like_address(host) for host in hosts) else "malformed"


def _looks_like_address(host: str) -> bool:
    # A common mistake, which mail systems deliver to all the same.
    return host.replace(".", "").isdigit()


def _sender_domain(tx: Transaction) -> Plan[MailDomain | None]:
    name = tx.sender_domain
    if name is None or name.startswith("["):
        return None
    return (yield from look_up_mail_domain(name))


SENDER_DOMAIN: Check[MailDomain | None] = Check("sender-domain", _sender_domain)
"""What the DNS says of the sender's domain; None where it has no name that could be looked up."""


_WORDS = {
    "null-mx": "the domain does not accept mail (nullMX)",
    "not-found": "Domain not found",
    "malformed": "Malformed DNS server reply",
    "dns-error": "cannot look up the domain",
}


def reject_unknown_sender_domain(*, code: int = 450, on_dns_error: OnDnsError = "defer") -> Restriction:
    """Reject a sender whose domain could not receive a reply: no MX, A or AAAA, or a null MX (RFC 7505).

    `code` is Postfix's unknown_address_reject_code. A DNS error defers, unless something else rejects. The null
    sender, address literals, and addresses without a domain (they are local) pass.
    """
    require_refusal(code)

    def judge(tx: Transaction) -> Decision:
        sender = tx.mail_from or ""
        if "@" not in sender or _in_brackets(sender):
            return NOTHING
        found = tx[SENDER_DOMAIN]
        status = "not-found" if found is None else found.status
        if status == "ok" or (status == "dns-error" and on_dns_error == "pass"):
            return NOTHING
        return _refusal(sender, status, code)

    return Restriction("reject_unknown_sender_domain", judge, frozenset({"mail_from"}), (SENDER_DOMAIN,))


def _refusal(sender: str, status: str, code: int) -> Decision:
    words = f"{quoted(sender)}: Sender address rejected: {_WORDS[status]}"
    match status:
        case "null-mx":  # RFC 7505 section 4.2 gives the codes.
            reply = Reply(550, "5.7.27", words)
        case "dns-error":
            reply = Reply(450, "4.1.8", words)
        case _:
            reply = Reply(code, enhanced(code, "1.8"), words)
    return refuse(
        "reject_unknown_sender_domain", _REASONS[status], reply, _WORDS[status], if_permit=status == "dns-error"
    )


_REASONS = {
    "null-mx": "null-mx",
    "not-found": "domain-not-found",
    "malformed": "mx-malformed",
    "dns-error": "dns-error",
}
