"""`AuthorVerifier`: the author by the message itself, as it lies in a mailbox: DKIM and DMARC, without an envelope."""

# SPF needs the client's address and MAIL FROM, which a message in a mailbox does not prove. They are taken from the
# Received with which the message came in, and from Return-Path, only where the policy names our hosts; otherwise a
# message that fails DMARC here may have passed there, so a fail is no contradiction.
#
# SECURITY: as for DKIM and DMARC: bounded signatures, bounded walks, one deadline. A signature whose key is in test
# mode vouches for nothing.

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

from mailauth import dmarc, spf
from mailauth.dkim import DkimPolicy, Signature, Verifier
from mailauth.dkim import Result as DkimResult
from mailauth.dmarc import DmarcPolicy, DmarcResult, Walk
from mailauth.dmarc import Result as DmarcOutcome
from mailauth.mail.header import Header
from mailauth.mail.names import split_address
from mailauth.plan import Gather, Plan
from mailauth.spf import SpfResult
from mailauth.trust.author import read_writer
from mailauth.trust.fields import Collector, Site, inside
from mailauth.trust.policy import LOOPBACK, PRIVATE, Placement, TrustPolicy
from mailauth.trust.received import Hop, read_received
from mailauth.trust.verdict import MAX_IDS, Alignment, AuthorVerdict, Evidence, PassedOver, Reason, Why

_DEFAULT_POLICY, _DKIM_POLICY = TrustPolicy(), DkimPolicy()
_DMARC_POLICY = DmarcPolicy()
_MESSAGE = "message"


class AuthorVerifier:
    """Verifies the author of a message that is pushed in pieces; memory does not grow with the message.

    ::

        verifier = AuthorVerifier(now=time.time())
        for piece in pieces:
            verifier.feed(piece)
        verdict = run(verifier.finish(), resolver)

    `now` is the time at which the message came in, in seconds since the epoch: later its signatures may have expired.
    Raises `ValueError` for a `now` that is no time.
    """

    def __init__(
        self, *, now: float, policy: TrustPolicy = _DEFAULT_POLICY, dkim_policy: DkimPolicy = _DKIM_POLICY
    ) -> None:
        self._now = now
        self._policy = policy
        self._verifier = Verifier(now=now, policy=dkim_policy)
        self.feed = self._verifier.feed
        """Take the next piece of the message: octets, cut anywhere."""

    def finish(self) -> Plan[AuthorVerdict]:
        """The message is at its end; return the plan that asks the DNS and returns the verdict."""
        verification = self._verifier.finish()
        header = self._verifier.header
        assert header is not None
        return self._judge(verification, header)

    def _judge(self, verification: Plan[list[Signature]], header: Header) -> Plan[AuthorVerdict]:
        verdict = yield from self._verdict(verification, header)
        # For whoever wants to set up `believe`.
        fields = Collector(Site.of(frozenset(), self._policy))
        fields.collect(header)
        return replace(verdict, authserv_ids=tuple(fields.seen)[:MAX_IDS])

    def _verdict(self, verification: Plan[list[Signature]], header: Header) -> Plan[AuthorVerdict]:
        writer = read_writer(header, allow_address_in_name=self._policy.allow_address_in_name)
        if isinstance(writer, AuthorVerdict):
            verification.close()
            return writer
        plans = [verification, dmarc.walk(writer.domain), self._spf(header)]
        signatures: list[Signature]
        walk: Walk
        sender: SpfResult | None
        signatures, walk, sender = yield Gather(plans)
        sound = [each for each in signatures if not each.testing]
        result = yield from dmarc.check(writer.domain, spf=sender, dkim=sound, policy=_DMARC_POLICY, walk=walk)
        return judge(writer.address, writer.domain, signatures, result, envelope_known=sender is not None)

    def _spf(self, header: Header) -> Plan[SpfResult | None]:
        """SPF of MAIL FROM, where our hosts say who the client was."""
        sender = _sender(header)
        hop = _border(header, Site.of(frozenset(), self._policy))
        if sender is None or hop is None or hop.ip is None or inside([hop.ip], (*LOOPBACK, *PRIVATE)):
            return None  # of an address within SPF says nothing
        return (yield from spf.check_host(hop.ip, helo=hop.helo, mail_from=sender, now=self._now))


def _border(header: Header, site: Site) -> Hop | None:
    """The Received field with which the message came in, below none but our own."""
    if site.placement is Placement.TOP:
        return None  # our server writes none, so that every one is the sender's
    for each in header.all("received"):
        hop = read_received(each.value)
        if not site.wrote(hop):
            return None
        if site.is_border(hop):
            return hop
    return None


def _sender(header: Header) -> str | None:
    """MAIL FROM as the topmost Return-Path has it (RFC 5321 section 4.4), which must stand above the first Received."""
    for each in header.fields:
        if each.name == "received":
            return None
        if each.name == "return-path":
            address = each.unfolded.decode("utf-8", "replace")
            return address[1:-1] if address.startswith("<") and split_address(address) is not None else None
    return None


def judge(
    address: str, domain: str, signatures: Sequence[Signature], result: DmarcResult, *, envelope_known: bool
) -> AuthorVerdict:
    """The verdict by results that were found before: every signature, and DMARC of the author's domain.

    `address` and `domain` (A-labels) are the author. `envelope_known`: SPF was among what DMARC had, so that its fail
    is one.
    """
    passed_over: list[PassedOver] = []

    def ended(reason: Reason, detail: str, evidence: Evidence | None = None) -> AuthorVerdict:
        return AuthorVerdict(reason, detail, address, domain, evidence, passed_over=tuple(passed_over))

    usable = []
    for each in signatures:
        what = f"dkim={each.result}"
        if each.result is not DkimResult.PASS:
            passed_over.append(PassedOver(what, each.index, Why.NO_PASS, f"{each.domain or '?'}: {each.detail}"))
        elif each.testing:
            passed_over.append(PassedOver(what, each.index, Why.TEST_MODE, each.domain or ""))
        elif each.domain:
            usable.append(each)
    evidence = _by_signature(domain, usable, result) or _by_spf(domain, result)
    if evidence is not None:
        by_dmarc = result.result is DmarcOutcome.PASS
        reason = Reason.DMARC_PASS if by_dmarc else Reason.DKIM_ALIGNED
        return ended(
            reason, f"{evidence.method} passed for {evidence.domain} ({evidence.alignment} alignment)", evidence
        )
    passed_over += [PassedOver("dkim=pass", each.index, Why.OTHER_DOMAIN, each.domain or "") for each in usable]
    if result.result is DmarcOutcome.TEMPERROR or any(each.result is DkimResult.TEMPERROR for each in signatures):
        return ended(Reason.DNS_ERROR, "the DNS did not answer; try again")
    if result.result is DmarcOutcome.FAIL and envelope_known:
        return ended(Reason.DMARC_FAIL, result.detail)
    if usable:
        names = ", ".join(list(dict.fromkeys(each.domain or "" for each in usable))[:5])
        return ended(Reason.NOT_ALIGNED, f"what passed is not aligned with {domain}: {names}")
    if signatures:
        return ended(Reason.NO_PASS, "no signature passed")
    return ended(Reason.NO_SIGNATURE, "the message has no signature")


def _by_signature(domain: str, usable: Sequence[Signature], result: DmarcResult) -> Evidence | None:
    """A signature of the very domain; else one that DMARC found to be aligned.

    Without a DMARC record the two are the same: a domain is then its own organizational domain, and so is every other.
    """
    aligned = {(each.domain, each.selector) for each in result.identifiers if each.method == "dkim" and each.aligned}
    exact = (each for each in usable if each.domain == domain)
    relaxed = (each for each in usable if (each.domain, each.selector) in aligned)
    found = next(itertools.chain(exact, relaxed), None)
    if found is None or found.domain is None:
        return None
    return Evidence(
        _MESSAGE, "dkim", "pass", found.domain, found.index, None, found.selector, _alignment(found.domain, domain)
    )


def _alignment(domain: str, author: str) -> Alignment:
    return "strict" if domain == author else "relaxed"


def _by_spf(domain: str, result: DmarcResult) -> Evidence | None:
    for each in result.identifiers:
        if each.method == "spf" and each.aligned:
            return Evidence(_MESSAGE, "spf", "pass", each.domain, alignment=_alignment(each.domain, domain))
    return None
