# What belongs here: what is told of a transaction at its end: values for programs, the header field for the message.
# Nothing is judged here; the text for people is the command's.
"""`Report`: every result of one message, its Authentication-Results field, and the SMTP reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mailauth import authres
from mailauth.dkim import Result as DkimResult
from mailauth.dkim import Signature
from mailauth.greylist import Decision as GreylistDecision
from mailauth.iprev import IprevResult
from mailauth.mail.author import Author, read_author
from mailauth.mail.reply import Reply
from mailauth.plan import IPAddress
from mailauth.rbl import Listing, Rule
from mailauth.restrictions.base import PHASES
from mailauth.spf import Result as SpfVerdict
from mailauth.spf import SpfResult
from mailauth.transaction.decision import Action, Decision
from mailauth.transaction.evidence import Evidence
from mailauth.transaction.needs import DKIM, IPREV, SPF_HELO, SPF_MAIL_FROM, GreylistKey, RblKey, RhsblKey
from mailauth.transaction.policy import Settings


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found out about one message, and what it came to.

    Results of checks that were not made are None or empty; `not_evaluated` says of each why. `rbl` has what every list
    said, those that restrictions name and lists of domains included: see the subject of each. `rcpt_to` are the
    recipients of the message, `recipients` the decision for each that was named, refused ones included; `greylist`
    has the greylist's for those that it was asked about, in the same order. `decision` is the verdict on the whole: one
    refusal refuses the message, since SMTP has one reply for it. `author` is None where the message was not read.
    """

    hostname: str
    ip: IPAddress
    helo: str | None
    mail_from: str | None
    rcpt_to: tuple[str, ...]
    decision: Decision
    recipients: Mapping[str, Decision] = field(default_factory=dict)
    iprev: IprevResult | None = None
    rbl: tuple[Listing, ...] = ()
    spf: SpfResult | None = None
    spf_helo: SpfResult | None = None
    dkim: tuple[Signature, ...] = ()
    author: Author | None = None
    greylist: tuple[GreylistDecision, ...] = ()
    authenticated: str | None = None
    not_evaluated: Mapping[str, str] = field(default_factory=dict)

    @property
    def action(self) -> Action:
        """The verdict in a word: permit, reject, defer, or none (nothing against it)."""
        return self.decision.action

    @property
    def reply(self) -> Reply | None:
        """The SMTP reply of a refusal; None where the message may be accepted."""
        return self.decision.reply

    @property
    def authentication_results(self) -> bytes:
        """The RFC 8601 header field with its line end, ready to be put in front of the message."""
        return authres.build(self.hostname, *self._methods())

    @property
    def verdict(self) -> str:
        """What is to become of the message: "accept", "reject" or "defer"."""
        return self.action.value if self.reply is not None else "accept"

    def _methods(self) -> list[authres.MethodResult]:
        methods = []
        if self.iprev is not None:
            methods.append(authres.iprev(self.iprev.result.value, self.ip, comment=", ".join(self.iprev.confirmed)))
        if self.spf_helo is not None:
            methods.append(authres.spf(self.spf_helo.result.value, helo=self.helo or "", reason=_why(self.spf_helo)))
        if self.spf is not None:
            methods.append(_spf_method(self.spf, self.mail_from or ""))
        methods += _dkim_methods(self.dkim) if "dkim" not in self.not_evaluated else []
        if self.authenticated is not None:
            methods.append(authres.auth("pass", identity=self.authenticated))
        return methods

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "hostname": self.hostname,
            "ip": str(self.ip),
            "helo": self.helo,
            "mail_from": self.mail_from,
            "rcpt_to": list(self.rcpt_to),
            "authenticated": self.authenticated,
            "verdict": self.verdict,
            "decision": self.decision.to_dict(),
            "recipients": {recipient: decision.to_dict() for recipient, decision in self.recipients.items()},
            "iprev": self.iprev.to_dict() if self.iprev else None,
            "rbl": [listing.to_dict() for listing in self.rbl],
            "spf": self.spf.to_dict() if self.spf else None,
            "spf_helo": self.spf_helo.to_dict() if self.spf_helo else None,
            "dkim": [signature.to_dict() for signature in self.dkim],
            "author": self.author.to_dict() if self.author else None,
            "greylist": [decision.to_dict() for decision in self.greylist],
            "not_evaluated": dict(self.not_evaluated),
            "authentication_results": self.authentication_results.decode("utf-8"),
            "reply": str(self.reply) if self.reply else None,
        }


def _spf_method(found: SpfResult, mail_from: str) -> authres.MethodResult:
    # RFC 8601 section 2.7.2: smtp.mailfrom is the MAIL FROM identity; that of a null sender is postmaster@HELO.
    return authres.spf(found.result.value, mail_from=mail_from or found.sender, reason=_why(found))


def _why(found: SpfResult) -> str | None:
    return None if found.result is SpfVerdict.PASS else found.detail


def _dkim_methods(signatures: tuple[Signature, ...]) -> list[authres.MethodResult]:
    if not signatures:
        # RFC 8601 section 2.7.1: "none" is the result of a message that was not signed.
        return [authres.dkim("none")]
    length = authres.distinct_length([signature.signature_data or "" for signature in signatures])
    return [
        authres.dkim(
            signature.result.value,
            domain=signature.domain,
            identity=signature.identity,
            selector=signature.selector,
            algorithm=signature.algorithm,
            signature=signature.signature_data,
            signature_length=length,
            reason=None if signature.result is DkimResult.PASS else signature.detail,
        )
        for signature in signatures
    ]


def make_report(evidence: Evidence, decision: Decision, spoken: Mapping[str, Decision]) -> Report:
    """The report of what is known by now; `spoken` has what was decided for each recipient."""
    result, settings = evidence.result, evidence.settings
    greylisted = [result(GreylistKey(recipient)) for recipient in spoken]
    verifier = evidence.verifier
    return Report(
        hostname=settings.hostname,
        ip=evidence.ip,
        helo=evidence.helo,
        mail_from=evidence.mail_from,
        rcpt_to=tuple(evidence.recipients),
        decision=decision,
        recipients=dict(spoken),
        iprev=result(IPREV),
        rbl=_listings(evidence),
        spf=result(SPF_MAIL_FROM),
        spf_helo=result(SPF_HELO),
        dkim=tuple(result(DKIM, [])),
        author=None if verifier is None or verifier.header is None else read_author(verifier.header),
        greylist=tuple(found for found in greylisted if found is not None),
        authenticated=evidence.authenticated,
        not_evaluated=_not_evaluated(evidence, decision, spoken),
    )


def _listings(evidence: Evidence) -> tuple[Listing, ...]:
    """What every list said that was asked, about the client and about its names; each once."""
    found: dict[tuple[str, Rule], Listing] = {}
    for key, result in evidence.results():
        listings = result if isinstance(key, RblKey) else result.listings if isinstance(key, RhsblKey) else ()
        for listing in listings:
            found.setdefault((listing.subject, listing.rule), listing)
    return tuple(found.values())


def _not_evaluated(evidence: Evidence, decision: Decision, spoken: Mapping[str, Decision]) -> dict[str, str]:
    """Each check that was not made, and why."""
    settings, known = evidence.settings, evidence.known
    greylisted = any(known(GreylistKey(recipient)) for recipient in spoken)
    made = {
        "iprev": known(IPREV),
        "rbl": any(isinstance(key, RblKey) and key.rules for key, _ in evidence.results()),
        "spf_helo": known(SPF_HELO),
        "spf": known(SPF_MAIL_FROM),
        "dkim": known(DKIM),
        "greylist": greylisted and settings.greylisting,
    }
    impossible = {
        "rbl": None if settings.rbl or _names_lists(settings) else "no list is named",
        "spf_helo": "no HELO name is known" if evidence.helo is None else None,
        "spf": "MAIL FROM is not known" if evidence.mail_from is None else None,
        "dkim": "there is no message" if evidence.message is None else None,
        "greylist": _no_greylist(evidence, spoken),
    }
    refused = f"{decision.action} by {decision.restriction} before it" if decision.refused else None
    unwanted = refused or "no restriction asks for it"
    return {name: impossible.get(name) or unwanted for name, done in made.items() if not done}


def _names_lists(settings: Settings) -> bool:
    return any(item.name == "reject_rbl" and item.note for phase in PHASES for item in settings.restrictions.of(phase))


def _no_greylist(evidence: Evidence, spoken: Mapping[str, Decision]) -> str | None:
    if not evidence.settings.greylisting:
        return "no store is named"
    if evidence.mail_from is None:
        return "MAIL FROM is not known"
    return None if spoken else "no recipient is known"
