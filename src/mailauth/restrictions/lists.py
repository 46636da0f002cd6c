"""Restrictions that ask block lists about the client and its names (Postfix: reject_rbl_client, reject_rhsbl_*)."""

from __future__ import annotations

from mailauth import rbl
from mailauth.mail.reply import Reply
from mailauth.restrictions.base import Restriction
from mailauth.transaction.checks import Check, NameOf, Transaction, address_listings, client_listings, name_listings
from mailauth.transaction.decision import NOTHING, Decision, permit, refuse
from mailauth.transaction.facts import Fact

_REQUIRES: dict[NameOf, frozenset[Fact]] = {
    "sender": frozenset({"mail_from"}),
    "helo": frozenset({"helo"}),
    "client": frozenset(),
    "reverse_client": frozenset(),
    "dkim": frozenset({"message"}),
}


def reject_rbl(*zones: str | rbl.Rule, threshold: int = rbl.DEFAULT_THRESHOLD) -> Restriction:
    """Reject clients that block lists know (554 5.7.1); without `zones`, those of the Authenticator are asked.

    Zones are in Postfix's notation. The weights of all listings are added up, and `threshold` or more rejects; a rule
    with the word ``reject`` rejects alone, one with ``allow`` permits, though never to relay past a
    `reject_unauth_destination` that stands behind it. A list that does not answer says nothing.
    Raises `ValueError` for a zone that cannot be read and for a threshold below 1.
    """
    rules = tuple(rbl.rules_of(zones))
    rbl.check_threshold(threshold)

    def checks(tx: Transaction) -> tuple[Check[list[rbl.Listing]]]:
        return (client_listings(rules or tx.policy.rbl),)

    def judge(tx: Transaction) -> Decision:
        (check,) = checks(tx)
        listings = tx[check]
        found = rbl.judge(listings, threshold=threshold)
        return _decide("reject_rbl", found, f"Service unavailable; Client host [{tx.ip}]")

    note = " ".join(map(str, rules))
    return Restriction("reject_rbl", judge, checks=checks, note=note, may_open_relay=False)


def reject_rhsbl(*zones: str | rbl.Rule, of: NameOf = "sender", threshold: int = rbl.DEFAULT_THRESHOLD) -> Restriction:
    """Reject mail whose sender, HELO or client name is on a list of domains (554 5.7.1).

    `of` is "sender", "helo", "client" (the confirmed reverse name), "reverse_client" (the first reverse name, confirmed
    or not) or "dkim" (the domains of signatures that pass; in the list `data`, and most of all for allow lists). The
    null sender, address literals, single labels and clients without a name are not looked up.
    Raises `ValueError` for another `of`, without zones, for a zone that cannot be read, for a list of DKIM domains with
    a name that nobody signed, and for a threshold below 1.
    """
    rules = tuple(rbl.rules_of(zones))
    rbl.check_threshold(threshold)
    if of not in _REQUIRES:
        raise ValueError(f"of is one of {', '.join(_REQUIRES)}, not {of!r}")
    if not rules:
        raise ValueError("reject_rhsbl needs at least one list of domains")
    if of != "dkim" and (signed := [rule for rule in rules if rule.kind is rbl.Kind.DKIM]):
        # Anybody can write such a name, and an allow list would let him in.
        raise ValueError(f"{signed[0].shown_zone} lists domains that signed: ask it with of=dkim, in the list data")
    restriction = f"reject_rhsbl_{of}"
    check = name_listings(of, rules)

    def judge(tx: Transaction) -> Decision:
        found = tx[check]
        judged = rbl.judge(found.listings, threshold=threshold)
        return _decide(restriction, judged, f"Service unavailable; {_SUBJECTS[of]} [{found.name}]")

    note = " ".join(map(str, rules))
    return Restriction(restriction, judge, _REQUIRES[of], (check,), note=note, may_open_relay=False)


_SUBJECTS: dict[NameOf, str] = {
    "sender": "Sender address",
    "helo": "Helo command",
    "client": "Client host",
    "reverse_client": "Unverified Client host",
    "dkim": "DKIM domain",
}


def reject_ebl_sender(*zones: str | rbl.Rule, threshold: int = rbl.DEFAULT_THRESHOLD) -> Restriction:
    """Reject mail whose sender's address is on a list of mail addresses, such as ``ebl.msbl.org`` (554 5.7.1).

    The address is asked by its hash. The null sender is not looked up. Raises `ValueError` without zones, for a zone
    that cannot be read, for a list of another kind and a threshold below 1.
    """
    rules = tuple(rbl.rules_of(zones))
    rbl.check_threshold(threshold)
    if not rules:
        raise ValueError("reject_ebl_sender needs at least one list of mail addresses")
    for rule in rules:
        if rule.kind is not rbl.Kind.EMAIL:
            raise ValueError(f"{rule.shown_zone} is not known as a list of mail addresses")
    check = address_listings("sender", rules)

    def judge(tx: Transaction) -> Decision:
        listings: list[rbl.Listing] = tx[check]
        judged = rbl.judge(listings, threshold=threshold)
        return _decide("reject_ebl_sender", judged, "Service unavailable; Sender address")

    note = " ".join(map(str, rules))
    return Restriction("reject_ebl_sender", judge, frozenset({"mail_from"}), (check,), note=note, may_open_relay=False)


def _decide(restriction: str, found: rbl.Verdict, subject: str) -> Decision:
    if found.action is rbl.VerdictAction.ALLOW:
        return permit(restriction, f"rbl-{found.reason}", found.text)
    if not found.rejects or not found.because:
        return NOTHING
    zones = ", ".join(dict.fromkeys(listing.zone for listing in found.because))
    text = found.because[0].text
    reply = Reply(554, "5.7.1", f"{subject} blocked using {zones}{'; ' if text else ''}{text}")
    return refuse(restriction, f"rbl-{found.reason}", reply)
