"""`Report`: every result of one message, its Authentication-Results field, and the SMTP reply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mailauth.arc import ArcResult, ChainStatus
from mailauth.dkim import Result as DkimResult
from mailauth.dkim import Signature
from mailauth.dmarc import DmarcResult
from mailauth.dmarc import Result as DmarcOutcome
from mailauth.greylist import Decision as GreylistDecision
from mailauth.iprev import IprevResult
from mailauth.mail.author import Author
from mailauth.mail.header import Header
from mailauth.mail.reply import Reply
from mailauth.plan import IPAddress
from mailauth.rbl import Listing
from mailauth.rbl import Reason as ListingReason
from mailauth.restrictions.phases import Restrictions
from mailauth.spf import Result as SpfOutcome
from mailauth.spf import SpfResult
from mailauth.transaction.checks import Transaction
from mailauth.transaction.decision import Action, Decision

if TYPE_CHECKING:
    from mailauth.authres import MethodResult
    from mailauth.trust import AuthorVerdict


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found out about one message, and what it came to.

    Results of checks that were not made are None or empty; `not_evaluated` says of each why. `rbl` has what every list
    said, those that restrictions name and lists of domains included: see the subject of each. `rcpt_to` are the
    recipients of the message, `recipients` the decision for each that was named, refused ones included; `greylist`
    has the greylist's for those that it was asked about, in the same order. `decision` is that on the whole: one
    refusal refuses the message, since SMTP has one reply for it. `author` and `header` are None where the message was
    not read.
    """

    hostname: str  # the name of this server
    ip: IPAddress  # of the client
    helo: str | None  # None: not known
    mail_from: str | None  # without angle brackets; "" is the null sender, None: not known
    rcpt_to: tuple[str, ...]
    decision: Decision
    recipients: Mapping[str, Decision] = field(default_factory=dict)
    iprev: IprevResult | None = None  # the client's names in reverse DNS, there and back (RFC 8601 section 3)
    rbl: tuple[Listing, ...] = ()
    spf: SpfResult | None = None  # of MAIL FROM; of postmaster@HELO for the null sender (RFC 7208 section 2.4)
    spf_helo: SpfResult | None = None  # of the HELO name (RFC 7208 section 2.3)
    dkim: tuple[Signature, ...] = ()  # every signature of the message, those that fail included
    arc: ArcResult | None = None  # the chain of ARC sets (RFC 8617 section 5.2)
    dmarc: DmarcResult | None = None  # of the author's domain (RFC 9989)
    author: Author | None = None  # whom From names, and why nobody where it cannot be read in one way
    greylist: tuple[GreylistDecision, ...] = ()
    authenticated: str | None = None  # the identity that SMTP AUTH proved (RFC 4954); None: it proved none
    not_evaluated: Mapping[str, str] = field(default_factory=dict)  # "rbl ZONE" is a list out of service
    authserv_id: str = ""  # the name in the Authentication-Results field (RFC 8601 section 2.5); "": `hostname`
    header: Header | None = field(default=None, repr=False, compare=False)

    @property
    def action(self) -> Action:
        """The decision in a word: permit, reject, defer, or none (nothing against it)."""
        return self.decision.action

    @property
    def reply(self) -> Reply | None:
        """The SMTP reply of a refusal; None where the message may be accepted."""
        return self.decision.reply

    @property
    def authentication_results(self) -> bytes:
        """The RFC 8601 header field with its line end, ready to be put in front of the message.

        Of each signature it has d=, i= and the result (RFC 6376 sections 3.11 and 6.3).
        """
        from mailauth import authres  # loaded when first used

        methods = []
        if self.iprev is not None:
            methods.append(authres.iprev(self.iprev.result.value, self.ip, comment=", ".join(self.iprev.confirmed)))
        # RFC 7208 sections 8.4 and 9: the results are recorded, whatever was decided.
        if self.spf_helo is not None:
            methods.append(authres.spf(self.spf_helo.result.value, helo=self.helo or "", reason=_why(self.spf_helo)))
        if self.spf is not None:
            # RFC 8601 section 2.7.2: smtp.mailfrom is the MAIL FROM identity; that of a null sender is postmaster@HELO.
            sender = self.mail_from or self.spf.sender
            methods.append(authres.spf(self.spf.result.value, mail_from=sender, reason=_why(self.spf)))
        if not self.dkim and "dkim" not in self.not_evaluated:
            # RFC 8601 section 2.7.1: "none" is the result of a message that was not signed.
            methods.append(authres.dkim("none"))
        length = authres.distinct_length([signature.signature_data or "" for signature in self.dkim])
        for signature in self.dkim:
            method = authres.dkim(
                signature.result.value,
                domain=signature.domain,
                identity=signature.identity,
                selector=signature.selector,
                algorithm=signature.algorithm,
                signature=signature.signature_data,
                signature_length=length,
                reason=None if signature.result is DkimResult.PASS else signature.detail,
            )
            methods.append(method)
        if self.arc is not None and self.arc.result is not ChainStatus.NONE:
            methods.append(self._arc_method(self.arc))
        if self.dmarc is not None:
            found = self.dmarc
            # RFC 9989 sections 5.4 and 9.1: policy.dmarc is the policy that is to be applied after all options.
            method = authres.dmarc(
                found.result.value,
                header_from=found.author_domain,
                policy=None if found.policy is None else found.disposition.value,
                comment="" if found.policy is None else f"{found.policy_tag}={found.policy} dis={found.disposition}",
                reason=found.detail if found.result not in _DMARC_EXPLAINS_ITSELF else None,
            )
            methods.append(method)
        if self.authenticated is not None:
            methods.append(authres.auth("pass", identity=self.authenticated))
        return authres.AuthenticationResults(self.authserv_id or self.hostname, tuple(methods)).to_bytes()

    def _arc_method(self, found: ArcResult) -> MethodResult:
        from mailauth import authres

        chain = ":".join(found.chain)
        return authres.arc(
            found.result.value,
            remote_ip=self.ip,
            oldest_pass=found.oldest_pass,
            # RFC 8617 section 10.2 registers no property for it, and readers ignore results with others.
            comment=f"i={len(found.sets)} chain={chain}" if chain else "",
            reason=None if found.result is ChainStatus.PASS else found.detail,
        )

    @property
    def author_verdict(self) -> AuthorVerdict | None:
        """Who wrote the message, and whether that is proven (`mailauth.trust`); None where DMARC was not evaluated."""
        from mailauth import trust  # loaded when first used

        if self.header is None or self.dmarc is None:
            return None
        dmarc, writer = self.dmarc, trust.read_writer(self.header)
        if isinstance(writer, trust.AuthorVerdict):
            return writer
        return trust.judge(writer.address, writer.domain, self.dkim, dmarc, envelope_known=self.spf is not None)

    @property
    def verdict(self) -> str:
        """What is to become of the message: "accept", "reject" or "defer"."""
        return self.action.value if self.reply is not None else "accept"

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "hostname": self.hostname,
            "authserv_id": self.authserv_id or self.hostname,
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
            "arc": None if self.arc is None else self.arc.to_dict(),
            "dmarc": None if self.dmarc is None else self.dmarc.to_dict(),
            "author": self.author.to_dict() if self.author else None,
            "greylist": [decision.to_dict() for decision in self.greylist],
            "not_evaluated": dict(self.not_evaluated),
            "authentication_results": self.authentication_results.decode("utf-8"),
            "reply": str(self.reply) if self.reply else None,
        }


_DMARC_EXPLAINS_ITSELF = (DmarcOutcome.PASS, DmarcOutcome.FAIL, DmarcOutcome.NONE)


def _why(found: SpfResult) -> str | None:
    return None if found.result is SpfOutcome.PASS else found.detail


def make_report(
    tx: Transaction, restrictions: Restrictions, decision: Decision, spoken: Mapping[str, Decision]
) -> Report:
    """The report of what is known by now; `spoken` has what was decided for each recipient."""
    return Report(
        hostname=tx.policy.hostname,
        authserv_id=tx.policy.authserv_id,
        ip=tx.ip,
        helo=tx.helo,
        mail_from=tx.mail_from,
        rcpt_to=tuple(tx.recipients),
        decision=decision,
        recipients=dict(spoken),
        iprev=tx.iprev,
        rbl=tuple(tx.listings),
        spf=tx.spf,
        spf_helo=tx.spf_helo,
        dkim=tuple(tx.dkim or ()),
        arc=tx.arc,
        dmarc=tx.dmarc,
        author=tx.author,
        greylist=tuple(tx.greylisted[recipient] for recipient in spoken if recipient in tx.greylisted),
        authenticated=tx.authenticated,
        header=None if tx.verifier is None else tx.verifier.header,
        not_evaluated=_not_evaluated(tx, restrictions, decision, spoken),
    )


def _not_evaluated(
    tx: Transaction, restrictions: Restrictions, decision: Decision, spoken: Mapping[str, Decision]
) -> dict[str, str]:
    """Each check that was not made, and why; of block lists that are out of service each one, as "rbl ZONE"."""
    reasons: dict[str, str] = {}
    unwanted = f"{decision.action} by {decision.restriction} before it" if decision.refused else ""
    unwanted = unwanted or "no restriction asks for it"
    if tx.iprev is None:
        reasons["iprev"] = unwanted
    if not any(check.name == "rbl" and check.rules for check, _ in tx.results()):
        named = tx.policy.rbl or any(each.name == "reject_rbl" and each.note for each in restrictions)
        reasons["rbl"] = unwanted if named else "no list is named"
    if tx.spf_helo is None:
        reasons["spf_helo"] = "no HELO name is known" if tx.helo is None else unwanted
    if tx.spf is None:
        reasons["spf"] = "MAIL FROM is not known" if tx.mail_from is None else unwanted
    if tx.dkim is None:
        reasons["dkim"] = "there is no message" if tx.message is None else unwanted
    if tx.arc is None:
        reasons["arc"] = "there is no message" if tx.message is None else unwanted
    if tx.dmarc is None:
        reasons["dmarc"] = "there is no message" if tx.message is None else unwanted
    if tx.policy.greylist is None:
        reasons["greylist"] = "no store is named"
    elif tx.greylisted.keys().isdisjoint(spoken):
        reasons["greylist"] = (
            "MAIL FROM is not known" if tx.mail_from is None else unwanted if spoken else "no recipient is known"
        )
    if tx.policy.rbl_monitor is not None:
        for listing in tx.listings:
            if listing.reason is ListingReason.OUT_OF_SERVICE:
                reasons[f"rbl {listing.zone}"] = listing.detail
    return reasons
