"""`lint`: what is wrong with asking a list, by what the catalogue knows of it. Words for an administrator."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mailauth.rbl.catalogue import Kind, KnownList, Scope, Use
from mailauth.rbl.rule import Action, Rule
from mailauth.rbl.verdict import DEFAULT_THRESHOLD

_WHERE = {
    Kind.ADDRESS: "of addresses: name it in reject_rbl",
    Kind.DOMAIN: "of domains: name it in reject_rhsbl",
    Kind.DKIM: "of domains that signed: name it in reject_rbl, in the list data",
    Kind.EMAIL: "of e-mail addresses: name it in reject_ebl_sender",
}
_SCOPES = {
    Scope.NULL_SENDER: "is for mail from the null sender only, and here is asked about all mail",
    Scope.LOGINS: "is for hosts that log in, and says nothing about mail from other servers",
}


def lint(rule: Rule, kinds: Collection[Kind], *, threshold: int = DEFAULT_THRESHOLD) -> Iterator[str]:
    """What is wrong with this rule where subjects of these kinds are asked about; keys are masked."""
    known = rule.known
    if rule.zone.startswith("key."):
        yield f"{rule.zone[4:]}: KEY stands in the zone for your own key, which is missing"
    elif known is not None and known.needs_key and rule.zone == known.zone:
        yield f"{rule.zone}: your own key is missing: {known.shown_zone}"
    if known is not None and rule.dead:
        yield f"{rule.shown_zone} is dead, and never asked: {known.name}, {known.note}"
    elif rule.kind is not None and rule.kind not in kinds:
        yield f"{rule.shown_zone} is not asked here, as it is a list {_WHERE[rule.kind]}"
    elif known is not None:
        yield from _too_much(rule, known, threshold)


def _too_much(rule: Rule, known: KnownList, threshold: int) -> Iterator[str]:
    if known.scope in _SCOPES:
        yield f"{rule.shown_zone} {_SCOPES[known.scope]}"
        return
    alone = rule.action is Action.SCORE and rule.points >= threshold
    if not alone and rule.action is not Action.REJECT:
        return
    what = f"weighs {rule.points}, and so rejects alone (threshold {threshold})" if alone else "is set to reject"
    if known.use is Use.ALLOW:
        yield f"{rule.shown_zone} lists good senders; here it {what}"
    elif known.use is not Use.REJECT:
        yield f"{rule.shown_zone} may only score; here it {what}"
