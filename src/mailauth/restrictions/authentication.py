"""Restrictions by what a domain says of its mail: SPF (RFC 7208), DKIM (RFC 6376) and DMARC (RFC 9989)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, get_args

from mailauth import dkim, dmarc
from mailauth.greylist import Patterns
from mailauth.mail.reply import Reply
from mailauth.restrictions.base import OnDnsError, Restriction
from mailauth.transaction.checks import DKIM, DMARC, SPF, SPF_HELO, Check, Transaction
from mailauth.transaction.decision import NOTHING, Decision, refuse
from mailauth.transaction.facts import Fact

Treatment: TypeAlias = Literal["reject", "defer", "pass"]
"""What one result does: refuse for good, refuse for now, or nothing."""


def check_spf(
    *,
    identity: Literal["mailfrom", "helo"] = "mailfrom",
    fail: Treatment = "reject",
    temperror: Treatment = "defer",
    permerror: Treatment = "pass",
    unless_to: Sequence[str] = (),
) -> Restriction:
    """Refuse by SPF: by default fail is rejected with 550 5.7.23 and temperror deferred with 451 4.4.3.

    In the list `helo` it judges the HELO identity before MAIL FROM is known (RFC 7208 section 2.3), in every list
    before the message comes (section 2.5).

    permerror passes by default: RFC 7208 section 8.7 leaves it to the receiver, and a broken record is nobody's forged
    mail. softfail is never refused (section 8.5). The null sender is checked as postmaster@HELO (section 2.4).
    `unless_to` are recipients whose mail is not refused: an address, ``ann@``, a domain, ``.domain`` for all below it.
    Raises `ValueError` for another word, and for anything but such a pattern.
    """
    treatments: dict[str, Treatment] = {"fail": fail, "temperror": temperror, "permerror": permerror}
    _require_choice("identity", identity, ("mailfrom", "helo"))
    for name, treatment in treatments.items():
        _require_choice(name, treatment, get_args(Treatment))
    check = SPF if identity == "mailfrom" else SPF_HELO
    fact: Fact = "mail_from" if identity == "mailfrom" else "helo"
    facts: frozenset[Fact] = frozenset({fact, "recipient"} if unless_to else {fact})
    if isinstance(unless_to, str):
        raise ValueError(f"unless_to is a list of recipients, not {unless_to!r}")
    exempt = Patterns.of(unless_to)

    def judge(tx: Transaction) -> Decision:
        if unless_to and exempt.match_address(tx.recipient or ""):
            return NOTHING
        found = tx[check]
        reply, treatment = found.reply, treatments.get(found.result.value, "pass")
        if reply is None or treatment == "pass":
            return NOTHING
        return refuse(
            "check_spf", f"spf-{found.result}", _as(treatment, reply.code, reply.enhanced, reply.text), found.detail
        )

    return Restriction("check_spf", judge, facts, (check,), note=identity)


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is one of {', '.join(choices)}, not {value!r}")


def _as(treatment: Treatment, code: int, enhanced: str, text: str) -> Reply:
    """The reply with its class changed where the site treats the result otherwise (RFC 3463 section 2)."""
    if treatment == "reject":
        return Reply(550 if code < 500 else code, "5" + enhanced[1:], text)
    return Reply(451 if code >= 500 else code, "4" + enhanced[1:], text)


def check_dkim(
    *, require: Literal["nothing", "pass", "author"] = "nothing", temperror: Treatment = "defer"
) -> Restriction:
    """Verify the signatures of the message; `require` says what the mail must have.

    "nothing": the result is only reported, as RFC 6376 sections 6.1 and 6.3 advise; "pass": one signature that passes
    (else 550 5.7.20, RFC 7372 section 3.1); "author": one that passes and whose domain is that of the author in From,
    or above it (else 550 5.7.22). Where a key could not be asked for, `temperror` decides. It belongs into the list
    `data`, and raises `ValueError` for another word.
    """

    _require_choice("require", require, ("nothing", "pass", "author"))
    _require_choice("temperror", temperror, get_args(Treatment))

    def judge(tx: Transaction) -> Decision:
        signatures = tx[DKIM]
        if require == "nothing" or any(_suffices(signature, require) for signature in signatures):
            return NOTHING
        if temperror != "pass" and any(s.result is dkim.Result.TEMPERROR for s in signatures):
            reply = _as(temperror, 451, "4.4.3", "DKIM: a public key could not be looked up")
            return refuse("check_dkim", "dkim-temperror", reply)
        if require == "author" and any(s.result is dkim.Result.PASS for s in signatures):
            reply = Reply(550, "5.7.22", "No valid author-matched DKIM signature found")
            return refuse("check_dkim", "dkim-no-author-match", reply)
        return refuse("check_dkim", "dkim-no-pass", Reply(550, "5.7.20", "No passing DKIM signature found"))

    return Restriction("check_dkim", judge, frozenset({"message"}), (DKIM,), note=require)


def _suffices(signature: dkim.Signature, require: str) -> bool:
    if signature.result is not dkim.Result.PASS:
        return False
    return require == "pass" or signature.author_match in (dkim.AuthorMatch.SAME, dkim.AuthorMatch.PARENT)


def check_dmarc(*, reject: bool = False, on_dns_error: OnDnsError = "pass") -> Restriction:
    """Evaluate DMARC (RFC 9989), and by default refuse nothing: what the domain asks for stands in the report.

    RFC 9989 sections 5.4, 7.4 and 8 say that mail is not to be rejected solely because of p=reject, since mailing lists
    and forwarders break what DMARC goes by. `reject`: where the disposition is reject, the message is rejected with 550
    5.7.1 and the words of section 7.2. `on_dns_error`: "defer" defers a temperror with 451 4.7.1. It belongs into the
    list `data`, and raises `ValueError` for another word.
    """
    _require_choice("on_dns_error", on_dns_error, get_args(OnDnsError))

    def judge(tx: Transaction) -> Decision:
        found = tx[DMARC]
        if reject and found.disposition is dmarc.Policy.REJECT:
            reply = Reply(550, "5.7.1", f"Email rejected per DMARC policy for {found.author_domain}")
            return refuse("check_dmarc", "dmarc-fail", reply, found.detail)
        if on_dns_error == "defer" and found.result is dmarc.Result.TEMPERROR:
            reply = Reply(451, "4.7.1", "DMARC: the policy or an identifier could not be looked up")
            return refuse("check_dmarc", "dmarc-temperror", reply, found.detail)
        return NOTHING

    def checks(tx: Transaction) -> list[Check[Any]]:
        # A pass of SPF for MAIL FROM counts, where MAIL FROM is known.
        return [DKIM, DMARC] if tx.mail_from is None else [SPF, DKIM, DMARC]

    return Restriction("check_dmarc", judge, frozenset({"message"}), checks, note="reject" if reject else "")
