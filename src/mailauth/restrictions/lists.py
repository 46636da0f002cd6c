# What belongs here: restrictions that ask block lists: about the client, and about the names that it gives.
"""Block-list restrictions (Postfix: reject_rbl_client, reject_rhsbl_*, and postscreen's scores)."""

from __future__ import annotations

from typing import Literal, TypeAlias

from mailauth import domain, rbl
from mailauth.evidence import Evidence, Need
from mailauth.needs import IPREV, need_iprev, need_rbl, need_rhsbl
from mailauth.restrictions.base import Fact, Restriction
from mailauth.smtp import Reply
from mailauth.steps import Steps
from mailauth.verdict import NOTHING, Decision, permit, refuse

NameOf: TypeAlias = Literal["sender", "helo", "client", "reverse_client"]
"""Which name is looked up: the domain of MAIL FROM, of HELO, the confirmed or the unconfirmed name of the client."""

_REQUIRES: dict[NameOf, frozenset[Fact]] = {
    "sender": frozenset({"mail_from"}),
    "helo": frozenset({"helo"}),
    "client": frozenset(),
    "reverse_client": frozenset(),
}


def reject_rbl(*zones: str | rbl.Rule, threshold: int = rbl.DEFAULT_THRESHOLD) -> Restriction:
    """Reject clients that block lists know (554 5.7.1); without `zones`, those of the Authenticator are asked.

    Zones are in Postfix's notation. The weights of all listings are added up, and `threshold` or more rejects; a rule
    with the word ``reject`` rejects alone, one with ``allow`` permits. A list that does not answer says nothing.
    Raises `ValueError` for a zone that cannot be read and for a threshold below 1.
    """
    rules = tuple(rbl.rules_of(zones))
    rbl.check_threshold(threshold)

    def need(evidence: Evidence) -> Need:
        return need_rbl(evidence, rules or evidence.settings.rbl)

    def judge(evidence: Evidence) -> Decision:
        verdict = rbl.judge(evidence.result(need(evidence).key), threshold=threshold)
        return _decide("reject_rbl", verdict, f"Service unavailable; Client host [{evidence.ip}]")

    return Restriction("reject_rbl", judge, needs=lambda evidence: (need(evidence),), note=" ".join(map(str, rules)))


def reject_rhsbl(*zones: str | rbl.Rule, of: NameOf = "sender", threshold: int = rbl.DEFAULT_THRESHOLD) -> Restriction:
    """Reject mail whose sender, HELO or client name is on a list of domains (554 5.7.1).

    The null sender, address literals and clients without a name are not looked up. Raises what `reject_rbl` does.
    """
    rules = tuple(rbl.rules_of(zones))
    rbl.check_threshold(threshold)
    restriction = f"reject_rhsbl_{of}"

    def evaluate(evidence: Evidence) -> Steps[Decision]:
        if of in ("client", "reverse_client"):
            yield from evidence.gather([need_iprev(evidence)])
        name = _name(evidence, of)
        if name is None:
            return NOTHING
        need = need_rhsbl(evidence, name, rules)
        yield from evidence.gather([need])
        verdict = rbl.judge(evidence.result(need.key), threshold=threshold)
        return _decide(restriction, verdict, f"Service unavailable; {_SUBJECTS[of]} [{name}]")

    return Restriction(restriction, requires=_REQUIRES[of], evaluate=evaluate, note=" ".join(map(str, rules)))


_SUBJECTS: dict[NameOf, str] = {
    "sender": "Sender address",
    "helo": "Helo command",
    "client": "Client host",
    "reverse_client": "Unverified Client host",
}


def _name(evidence: Evidence, of: NameOf) -> str | None:
    """The name to look up, as A-labels; None where there is none."""
    name: str | None
    match of:
        case "sender":
            name = evidence.sender_domain()
        case "helo":
            name = domain.to_ascii(evidence.helo or "")
        case "client":
            name = next(iter(evidence.result(IPREV).confirmed), None)
        case _:
            name = next(iter(evidence.result(IPREV).names), None)
    return name if name and domain.is_hostname(name) else None


def _decide(restriction: str, verdict: rbl.Verdict, subject: str) -> Decision:
    if verdict.action is rbl.VerdictAction.ALLOW:
        return permit(restriction, str(verdict.reason), verdict.text)
    if not verdict.rejects:
        return NOTHING
    zones = ", ".join(dict.fromkeys(listing.zone for listing in verdict.because))
    text = verdict.because[0].text
    reply = Reply(554, "5.7.1", f"{subject} blocked using {zones}{'; ' if text else ''}{text}")
    return refuse(restriction, f"rbl-{verdict.reason}", reply)
