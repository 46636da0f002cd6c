# What belongs here: what is told of a transaction at its end: values for programs, the header field for the message.
# Nothing is judged here; the text for people is the command's.
"""`Report`: every result of one message, its Authentication-Results field, and the SMTP reply."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mailauth import authres
from mailauth.dkim import Result as DkimResult
from mailauth.dkim import Signature
from mailauth.evidence import Evidence
from mailauth.greylist import Decision as GreylistDecision
from mailauth.iprev import IprevResult
from mailauth.needs import DKIM, IPREV, SPF_HELO, SPF_MAIL_FROM, GreylistKey, RblKey
from mailauth.plan import IPAddress
from mailauth.rbl import Listing
from mailauth.smtp import Reply
from mailauth.spf import Result as SpfVerdict
from mailauth.spf import SpfResult
from mailauth.verdict import Action, Decision


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found out about one message, and what it came to.

    Results of checks that were not made are None or empty; `not_evaluated` says of each why. `greylist` has one
    decision for each recipient that was asked about, in order. `decision` is the verdict.
    """

    hostname: str
    ip: IPAddress
    helo: str | None
    mail_from: str | None
    rcpt_to: tuple[str, ...]
    decision: Decision
    iprev: IprevResult | None = None
    rbl: tuple[Listing, ...] = ()
    spf: SpfResult | None = None
    spf_helo: SpfResult | None = None
    dkim: tuple[Signature, ...] = ()
    greylist: tuple[GreylistDecision, ...] = ()
    authenticated: str | None = None
    not_evaluated: dict[str, str] = field(default_factory=dict)

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
            "iprev": self.iprev.to_dict() if self.iprev else None,
            "rbl": [listing.to_dict() for listing in self.rbl],
            "spf": self.spf.to_dict() if self.spf else None,
            "spf_helo": self.spf_helo.to_dict() if self.spf_helo else None,
            "dkim": [signature.to_dict() for signature in self.dkim],
            "greylist": [decision.to_dict() for decision in self.greylist],
            "not_evaluated": self.not_evaluated,
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


def make_report(evidence: Evidence, decision: Decision) -> Report:
    """The report of what is known by now."""
    result = evidence.result
    recipients = tuple(evidence.recipients)
    # A recipient that was deferred is not among those accepted, and its decision is what people want to see.
    asked = [*recipients, evidence.recipient] if evidence.recipient not in (None, *recipients) else [*recipients]
    greylisted = [result(GreylistKey(str(recipient))) for recipient in asked]
    return Report(
        hostname=evidence.settings.hostname,
        ip=evidence.ip,
        helo=evidence.helo,
        mail_from=evidence.mail_from,
        rcpt_to=recipients,
        decision=decision,
        iprev=result(IPREV),
        rbl=tuple(result(RblKey(str(evidence.ip), evidence.settings.rbl), [])),
        spf=result(SPF_MAIL_FROM),
        spf_helo=result(SPF_HELO),
        dkim=tuple(result(DKIM, [])),
        greylist=tuple(found for found in greylisted if found is not None),
        authenticated=evidence.authenticated,
        not_evaluated=_not_evaluated(evidence, decision, any(greylisted)),
    )


def _not_evaluated(evidence: Evidence, decision: Decision, greylisted: bool) -> dict[str, str]:
    """Each check that was not made, and why."""
    settings = evidence.settings
    refused = (
        f"{decision.action} by {decision.restriction} before it" if decision.reply else "no restriction asks for it"
    )
    reasons = {
        "iprev": None if evidence.known(IPREV) else refused,
        "rbl": None if evidence.known(RblKey(str(evidence.ip), settings.rbl)) else refused,
        "spf_helo": None if evidence.known(SPF_HELO) else refused,
        "spf": None if evidence.known(SPF_MAIL_FROM) else refused,
        "dkim": None if evidence.known(DKIM) else refused,
        "greylist": None if greylisted else refused,
    }
    missing = {
        "rbl": None if settings.rbl else "no list is named",
        "spf_helo": "no HELO name is known" if evidence.helo is None else None,
        "spf": "MAIL FROM is not known" if evidence.mail_from is None else None,
        "dkim": "there is no message" if evidence.message is None else None,
        "greylist": None if settings.greylisting else "no store is named",
    }
    return {name: missing.get(name) or why for name, why in reasons.items() if why is not None}
