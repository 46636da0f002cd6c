# What belongs here: restrictions on the recipient: who may relay, and greylisting, which needs a recipient.
"""Recipient restrictions (Postfix: smtpd_recipient_restrictions)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from mailauth import dkim, domain, spf
from mailauth.evidence import Evidence, Need
from mailauth.greylist import Decision as GreylistDecision
from mailauth.needs import DKIM, IPREV, SPF_MAIL_FROM, GreylistKey, need_dkim, need_iprev, need_spf_mail_from
from mailauth.restrictions.base import Restriction
from mailauth.smtp import Reply
from mailauth.steps import AskGreylist, Steps
from mailauth.verdict import NOTHING, Decision, refuse


def reject_unauth_destination(*domains: str) -> Restriction:
    """Reject recipients outside `domains` (554 5.7.1): nobody relays through us without permission.

    A domain that starts with a dot stands for everything below it. An address that would be routed on (``%``, ``!`` or
    ``@`` in its local part) is refused, too, as Postfix does unless allow_untrusted_routing is set.
    Raises `ValueError` for what is no domain.
    """
    exact, below = _relay_domains(domains)

    def judge(evidence: Evidence) -> Decision:
        name = evidence.recipient_domain()
        recipient = evidence.recipient or ""
        local_part = recipient.rpartition("@")[0]
        ours = name is not None and (name in exact or any(name.endswith(parent) for parent in below))
        if ours and not any(char in local_part for char in "%!@"):
            return NOTHING
        if not name and "@" not in recipient:
            return NOTHING  # RFC 5321 section 4.1.1.3: "postmaster" without a domain is ours.
        reply = Reply(554, "5.7.1", f"<{recipient}>: Relay access denied")
        return refuse("reject_unauth_destination", "relay-denied", reply)

    return Restriction("reject_unauth_destination", judge, frozenset({"recipient"}), note=" ".join(domains))


def _relay_domains(domains: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    exact, below = set(), []
    for item in domains:
        name = domain.to_ascii(item.removeprefix("."))
        if name is None:
            raise ValueError(f"not a domain: {item!r}")
        if item.startswith("."):
            below.append("." + name)
        else:
            exact.add(name)
    return frozenset(exact), tuple(below)


Proof: TypeAlias = Literal["spf", "dkim", "iprev"]
"""What may prove the domain that greylisting takes in place of the client's network."""


def greylist(*, prove_by: Sequence[Proof] = ("spf",)) -> Restriction:
    """Defer the first attempt of an unknown sender (450 4.7.1), by the Authenticator's `Greylist`.

    `prove_by` says what may prove a domain, in order of preference: an SPF pass, a DKIM pass (known only where the
    whole message is checked at once), or the confirmed reverse name. A pool of clients that send for one proven domain
    is then one sender. Without a `Greylist`, and without a recipient, nothing is said.
    """

    def evaluate(evidence: Evidence) -> Steps[Decision]:
        recipient = evidence.recipient or ""
        key = GreylistKey(recipient)
        if not evidence.known(key):
            yield from evidence.gather(_proofs(evidence, prove_by))
            confirmed = evidence.result(IPREV).confirmed
            options = {
                "now": evidence.now,
                "proven_domain": _proven(evidence, prove_by),
                "client_name": confirmed[0] if confirmed else None,
                "authenticated": evidence.authenticated is not None,
            }
            decision = yield AskGreylist(evidence.ip, evidence.mail_from or "", recipient, options)
            evidence.record(key, decision)
        return _spoken(evidence.result(key))

    return Restriction("greylist", requires=frozenset({"mail_from", "recipient"}), evaluate=evaluate)


def _proofs(evidence: Evidence, prove_by: Sequence[Proof]) -> list[Need]:
    needs = [need_iprev(evidence)]
    if "spf" in prove_by:
        needs.append(need_spf_mail_from(evidence))
    if "dkim" in prove_by and evidence.message is not None:
        needs.append(need_dkim(evidence))
    return needs


def _proven(evidence: Evidence, prove_by: Sequence[Proof]) -> str | None:
    for proof in prove_by:
        match proof:
            case "spf":
                found: spf.SpfResult = evidence.result(SPF_MAIL_FROM)
                if found.result is spf.Result.PASS:
                    return found.domain
            case "dkim":
                for signature in evidence.result(DKIM, []):
                    if signature.result is dkim.Result.PASS:
                        return str(signature.domain)
            case "iprev":
                name: str | None = evidence.result(IPREV).name
                # The hosts of a pool differ in their first label.
                if name is not None:
                    return name.partition(".")[2] if name.count(".") > 1 else name
    return None


def _spoken(decision: GreylistDecision | None) -> Decision:
    if decision is None or decision.reply is None:
        return NOTHING
    code, enhanced, text = decision.reply.split(" ", 2)
    return refuse("greylist", f"greylist-{decision.reason}", Reply(int(code), enhanced, text), decision.detail)
