"""Restrictions on the recipient: who may relay, and greylisting (Postfix: smtpd_recipient_restrictions)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

from mailauth import dkim, spf
from mailauth.greylist import Action as GreylistAction
from mailauth.mail import names
from mailauth.mail.reply import Reply
from mailauth.plan import Call, Plan
from mailauth.restrictions.base import Restriction, quoted, would_refuse
from mailauth.transaction.checks import CLIENT_ORGANIZATION, DKIM, IPREV, SPF, Check, Transaction
from mailauth.transaction.decision import NOTHING, Decision, refuse


def reject_unauth_destination(*domains: str) -> Restriction:
    """Reject recipients outside `domains` (554 5.7.1): nobody relays through us without permission.

    A domain that starts with a dot stands for everything below it; ``[192.0.2.1]`` stands for that address literal. An
    address that would be routed on (``%``, ``!`` or ``@`` in its local part) is refused, too, as Postfix does unless
    allow_untrusted_routing is set, and so is one with control characters. A recipient without a domain is ours (RFC
    5321 section 4.1.1.3: postmaster).
    Raises `ValueError` for anything that is not a domain.
    """
    exact, below = _relay_domains(domains)

    def judge(tx: Transaction) -> Decision:
        recipient = tx.recipient or ""
        mailbox = names.split_address(recipient)
        local_part = recipient if mailbox is None else mailbox.local_part
        name = tx.recipient_domain
        ours = name is not None and (name in exact or name.endswith(below))
        plain = local_part.isprintable() and not any(char in local_part for char in "%!@")
        if plain and (ours or "@" not in recipient):
            return NOTHING
        reply = Reply(554, "5.7.1", f"{quoted(recipient)}: Relay access denied")
        return refuse("reject_unauth_destination", "relay-denied", reply)

    return Restriction(
        "reject_unauth_destination", judge, frozenset({"recipient"}), note=" ".join(domains), guards_relaying=True
    )


def _relay_domains(domains: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    exact, below = set(), []
    for item in domains:
        name = names.to_ascii(item.removeprefix("."))
        if name is None:
            raise ValueError(f"not a domain: {item!r}")
        if item.startswith("."):
            below.append("." + name)
        else:
            exact.add(name)
    return frozenset(exact), tuple(below)


Proof: TypeAlias = Literal["spf", "dkim", "iprev"]
"""What may prove the domain that greylisting takes in place of the client's network."""


def greylist(
    *, prove_by: Sequence[Proof] = ("spf",), client_by_name: Literal["registered"] | None = None
) -> Restriction:
    """Defer the first attempt of an unknown sender (450 4.7.1), by the Authenticator's `Greylist`.

    `prove_by` says what may prove a domain, in order of preference: an SPF pass, a DKIM pass (known only where the
    whole message is checked at once), or the confirmed reverse name. A pool of clients that send for one proven domain
    is then one sender. `client_by_name`: where nothing of that is proven and the reverse name is confirmed, its
    organizational domain is taken, found by DMARC's tree walk (some more questions), so that hosts of a pool whose
    names differ in more than the first label are one sender. What a dry run would defer is a warning. Without a
    `Greylist`, and without a recipient, nothing is said. Raises `ValueError` for another kind of proof or another word.
    """
    if client_by_name not in (None, "registered"):
        raise ValueError(f"client_by_name is registered, not {client_by_name!r}")
    unknown = set(prove_by).difference(get_args(Proof))
    if isinstance(prove_by, str) or unknown:
        raise ValueError(f"prove_by is a list of {', '.join(get_args(Proof))}, not {prove_by!r}")

    before_data: list[Check[Any]] = [IPREV, *([SPF] if "spf" in prove_by else [])]
    if client_by_name is not None:
        before_data.append(CLIENT_ORGANIZATION)

    def checks(tx: Transaction) -> list[Check[Any]]:
        if tx.policy.greylist is None:
            return []
        return [*before_data, DKIM] if "dkim" in prove_by and tx.message is not None else before_data

    def judge(tx: Transaction) -> Plan[Decision]:
        recipient = tx.recipient or ""
        if tx.policy.greylist is None:
            return NOTHING
        found = tx.greylisted.get(recipient)
        if found is None:
            ask_greylist = partial(
                tx.policy.greylist,
                now=tx.now,
                proven_domain=_proven_domain(tx, prove_by) or tx.get(CLIENT_ORGANIZATION),
                client_name=tx[IPREV].name,
                authenticated=tx.authenticated is not None,
            )
            found = yield Call(ask_greylist, tx.ip, tx.mail_from or "", recipient)
            tx.greylisted[recipient] = found
        would = replace(found, action=GreylistAction.DEFER, dry_run=False) if found.dry_run else found
        reply = would.reply
        if reply is None:
            return NOTHING
        refusal = refuse("greylist", f"greylist-{would.reason}", reply, would.detail)
        return would_refuse(tx, refusal) if found.dry_run else refusal

    return Restriction("greylist", judge, frozenset({"mail_from", "recipient"}), checks)


def _proven_domain(tx: Transaction, prove_by: Sequence[Proof]) -> str | None:
    """The domain that the first proof with a success proves."""
    for proof in prove_by:
        name: str | None
        if proof == "spf":
            name = tx[SPF].domain if tx[SPF].result is spf.Result.PASS else None
        elif proof == "dkim":
            passing = (signature.domain for signature in tx.dkim or () if signature.result is dkim.Result.PASS)
            name = next(passing, None)
        else:
            name = tx[IPREV].name
            # The hosts of a pool differ in their first label.
            name = name.partition(".")[2] if name is not None and name.count(".") > 1 else name
        if name:
            return name
    return None
