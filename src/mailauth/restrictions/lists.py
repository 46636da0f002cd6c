"""Restrictions that ask lists about the client, its names, the sender (Postfix: reject_rbl_client, reject_rhsbl_*)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mailauth import rbl
from mailauth.mail.reply import Reply
from mailauth.mail.text import printable
from mailauth.restrictions.base import MAX_QUOTED, Restriction
from mailauth.transaction.checks import (
    DKIM,
    Check,
    NameOf,
    Transaction,
    author_listings,
    client_listings,
    dkim_listings,
    lists_by_kind,
    name_listings,
    sender_listings,
)
from mailauth.transaction.decision import NOTHING, Decision, permit, refuse
from mailauth.transaction.facts import Fact

_REQUIRES: dict[NameOf, frozenset[Fact]] = {
    "sender": frozenset({"mail_from"}),
    "helo": frozenset({"helo"}),
    "client": frozenset(),
    "reverse_client": frozenset(),
}


def reject_rbl(*zones: str | rbl.Rule, threshold: int = rbl.DEFAULT_THRESHOLD) -> Restriction:
    """Reject clients that block lists know (554 5.7.1); without `zones`, those of the Authenticator are asked.

    Zones are in Postfix's notation. The weights of all listings are added up, and `threshold` or more rejects; a rule
    with the word ``reject`` rejects alone, one with ``allow`` permits, though never to relay past a
    `reject_unauth_destination` that stands behind it. A list that does not answer says nothing. Lists of DKIM domains
    (dwl.dnswl.org) are asked about the domain of each signature that passes, and counted like the others: a
    restriction that names one belongs into the list `data`.
    Raises `ValueError` for a zone that cannot be read and for a threshold below 1.
    """
    rules = tuple(rbl.rules_of(zones))
    rbl.check_threshold(threshold)

    def checks(tx: Transaction) -> list[Check[Any]]:
        lists = lists_by_kind(rules or tx.policy.rbl)
        found: list[Check[Any]] = [client_listings(lists.client)]
        if lists.dkim and tx.message is not None:
            found += (DKIM, dkim_listings(lists.dkim))
        return found

    def judge(tx: Transaction) -> Decision:
        lists = lists_by_kind(rules or tx.policy.rbl)
        listings = tx[client_listings(lists.client)]
        if lists.dkim:
            # Each rule once, however many signatures there are.
            signed = tx.get(dkim_listings(lists.dkim)) or ()
            listings = [*listings, *{listing.rule: listing for listing in signed if listing.listed}.values()]
        found = rbl.judge(listings, threshold=threshold)
        return _decide("reject_rbl", found, f"Service unavailable; Client host [{tx.ip}]")

    note = " ".join(map(str, rules))
    requires = frozenset[Fact]({"message"} if lists_by_kind(rules).dkim else ())
    return Restriction("reject_rbl", judge, requires, checks, note=note, may_open_relay=False)


def reject_rhsbl(*zones: str | rbl.Rule, of: NameOf = "sender", threshold: int = rbl.DEFAULT_THRESHOLD) -> Restriction:
    """Reject mail whose sender, HELO or client name is on a list of domains (554 5.7.1).

    `of` is "sender", "helo", "client" (the confirmed reverse name) or "reverse_client" (the first reverse name,
    confirmed or not). The null sender, address literals, single labels and clients without a name are not looked up.
    Raises `ValueError` for another `of`, without zones, for a zone that cannot be read, for a list of DKIM domains
    (anybody can write such a name), and for a threshold below 1.
    """
    rules = tuple(rbl.rules_of(zones))
    rbl.check_threshold(threshold)
    if of not in _REQUIRES:
        raise ValueError(f"of is one of {', '.join(_REQUIRES)}, not {of!r}")
    if not rules:
        raise ValueError("reject_rhsbl needs at least one list of domains")
    if signed := lists_by_kind(rules).dkim:
        raise ValueError(f"{signed[0].shown_zone} lists domains that signed: name it in reject_rbl, in the list data")
    restriction = f"reject_rhsbl_{of}"
    check = name_listings(of, rules)

    def judge(tx: Transaction) -> Decision:
        found = tx[check]
        judged = rbl.judge(found.listings, threshold=threshold)
        return _decide(restriction, judged, f"Service unavailable; {_SUBJECTS[of]} [{found.name}]")

    note = " ".join(map(str, rules))
    return Restriction(restriction, judge, _REQUIRES[of], (check,), note=note, may_open_relay=False)


def reject_ebl_sender(*zones: str | rbl.Rule, threshold: int = rbl.DEFAULT_THRESHOLD) -> Restriction:
    """Reject mail whose sender is on a list of e-mail addresses (554 5.7.1), such as ebl.msbl.org.

    Without `zones` those of the Authenticator are asked. Only a hash of the address is sent. The null sender is not
    looked up. In the list `data` the addresses in From and Reply-To are asked about, too, and reported; they reject
    nothing. Raises `ValueError` for a zone that cannot be read or is no list of e-mail addresses, and for a threshold
    below 1.
    """
    named = rbl.rules_of(zones)
    for rule in named:
        if rule.kind not in (None, rbl.Kind.EMAIL):
            raise ValueError(f"{rule.shown_zone} is no list of e-mail addresses")
    rules = tuple(replace(rule, kind=rbl.Kind.EMAIL) for rule in named)
    rbl.check_threshold(threshold)

    def checks(tx: Transaction) -> list[Check[Any]]:
        lists = rules or lists_by_kind(tx.policy.rbl).email
        found: list[Check[Any]] = [sender_listings(lists)]
        if tx.message is not None:
            found += (DKIM, author_listings(lists))  # with DKIM the message is read, and so its header
        return found

    def judge(tx: Transaction) -> Decision:
        found = rbl.judge(tx[checks(tx)[0]], threshold=threshold)
        sender = printable(tx.mail_from or "", MAX_QUOTED)
        return _decide("reject_ebl_sender", found, f"Service unavailable; Sender address [{sender}]")

    note = " ".join(map(str, rules))
    return Restriction("reject_ebl_sender", judge, frozenset({"mail_from"}), checks, note=note, may_open_relay=False)


_SUBJECTS: dict[NameOf, str] = {
    "sender": "Sender address",
    "helo": "Helo command",
    "client": "Client host",
    "reverse_client": "Unverified Client host",
}


def _decide(restriction: str, found: rbl.Verdict, subject: str) -> Decision:
    if found.action is rbl.VerdictAction.ALLOW:
        return permit(restriction, f"rbl-{found.reason}", found.text)
    if not found.rejects or not found.because:
        return NOTHING
    zones = ", ".join(dict.fromkeys(listing.zone for listing in found.because))
    text = found.because[0].text
    reply = Reply(554, "5.7.1", f"{subject} blocked using {zones}{'; ' if text else ''}{text}")
    return refuse(restriction, f"rbl-{found.reason}", reply)
