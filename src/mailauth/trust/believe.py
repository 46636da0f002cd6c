"""`believe`: the author by the Authentication-Results fields that one's own mail server wrote (RFC 8601)."""

# SECURITY: of our own fields the sender chooses many values. What can be read in two ways speaks against: two domains
# in one result, a fail beside a pass, a pass for another author.

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mailauth import dmarc
from mailauth.authres import MethodResult
from mailauth.mail.header import Header, Splitter
from mailauth.mail.lines import MessageSource, blocks
from mailauth.mail.names import is_fqdn, split_address
from mailauth.plan import Plan, run_all
from mailauth.trust.author import Writer, read_writer
from mailauth.trust.fields import Believed, Collector, Site, exact_name
from mailauth.trust.policy import Leniency, Method, TrustPolicy, given_ids
from mailauth.trust.verdict import MAX_IDS, AuthorVerdict, Evidence, Reason, Why

MAX_RELAXED = 10
"""Domains whose organizational domain is looked up for one message."""

_DEFAULT_POLICY = TrustPolicy()


def believe(
    message: MessageSource | Header,
    authserv_ids: str | Iterable[str] = (),
    *,
    policy: TrustPolicy = _DEFAULT_POLICY,
) -> AuthorVerdict:
    """Who wrote the message, by the Authentication-Results fields of one's own server; no DNS, strict alignment.

    `message` is octets or a binary file (its header is enough), or a header that was read. `authserv_ids` are one's
    own; without any, and without a provider in the policy, nothing is believed (RFC 8601 section 4.1), and the verdict
    lists the ids that stand there. Believed is dmarc=pass for the author's domain, else a dkim=pass of that very
    domain. Any octets have a verdict. Raises `ValueError` for ids that cannot be ones, `TypeError` for another kind of
    message.
    """
    return _Reading(message, authserv_ids, policy).verdict()


def believe_relaxed(
    message: MessageSource | Header,
    authserv_ids: str | Iterable[str] = (),
    *,
    policy: TrustPolicy = _DEFAULT_POLICY,
) -> Plan[AuthorVerdict]:
    """A plan of the same where a pass also counts for a domain with the author's organizational domain.

    That is found by the tree walk (RFC 9989 section 4.10), and only where nothing passed for the author's very domain,
    and the author's DMARC record does not ask for strict alignment (section 4.7, adkim= and aspf=).
    """
    reading = _Reading(message, authserv_ids, policy)
    strict = reading.verdict()
    if strict.reason is not Reason.NOT_ALIGNED:
        return strict
    assert strict.domain is not None
    author, suffix = strict.domain, strict.domain.rpartition(".")[2]
    domains = dict.fromkeys(each.domain for each in reading.others if each.domain.rpartition(".")[2] == suffix)
    walks = yield from run_all([dmarc.walk(name) for name in [author, *list(domains)[:MAX_RELAXED]]])
    organizational = {each.start: each.organizational_domain for each in walks}
    record = _record(walks[0])
    modes = {} if record is None else {Method.DKIM: record.adkim, Method.SPF: record.aspf}
    for evidence in reading.others:
        if modes.get(Method(evidence.method)) is dmarc.Alignment.STRICT:
            continue
        if organizational[author] is not None and organizational.get(evidence.domain) == organizational[author]:
            return reading.verified(replace(evidence, alignment="relaxed"))
    unknown = next((name for name, found in organizational.items() if found is None), None)
    if unknown is not None:
        return replace(strict, reason=Reason.DNS_ERROR, detail=f"the organizational domain of {unknown} is not known")
    return strict


def _record(walk: dmarc.Walk) -> dmarc.DmarcRecord | None:
    """The author's DMARC record, or that of its organizational domain (RFC 9989 section 4.10.1)."""
    if walk.own_record is not None or walk.organizational_domain is None:
        return walk.own_record
    return walk.record_at(walk.organizational_domain)


_VERIFIED = {
    Method.DMARC: Reason.DMARC_PASS,
    Method.DKIM: Reason.DKIM_ALIGNED,
    Method.SPF: Reason.SPF_ALIGNED,
    Method.AUTH: Reason.AUTHENTICATED,
}


class _Reading:
    """One message on its way to a verdict."""

    def __init__(self, message: MessageSource | Header, authserv_ids: str | Iterable[str], policy: TrustPolicy) -> None:
        self.policy = policy
        self.ids = given_ids(authserv_ids)
        self.site = Site.of(self.ids, policy)
        self.others: list[Evidence] = []  # passes for other domains than the author's
        self._by_identity: set[Evidence] = set()
        header = message if isinstance(message, Header) else _header(message)
        self.writer = read_writer(header, allow_address_in_name=policy.allow_address_in_name)
        self.fields = Collector(self.site)
        self.fields.collect(header)

    def verdict(self) -> AuthorVerdict:
        """The verdict with strict alignment."""
        if isinstance(self.writer, AuthorVerdict):
            return self._ended(self.writer)
        if not self.ids and self.policy.provider is None:
            seen = ", ".join(map(ascii, list(self.fields.seen)[:5])) or "no Authentication-Results field"
            return self._say(self.writer, Reason.NO_AUTHSERV_ID, f"no authserv-id is named; the message has {seen}")
        if not self.fields.believed:
            return self._say(self.writer, Reason.NO_FIELD, self._no_field())
        by_dmarc = self._by_dmarc(self.writer)
        return self._by_other_methods(self.writer) if by_dmarc is None else by_dmarc

    def verified(self, evidence: Evidence) -> AuthorVerdict:
        """The verdict that this evidence gives."""
        assert isinstance(self.writer, Writer)
        how = f" ({evidence.alignment} alignment)" if evidence.alignment else ""
        detail = f"{self._name(evidence.authserv_id)} says {evidence.method}=pass for {evidence.domain}{how}"
        return self._say(self.writer, _VERIFIED[Method(evidence.method)], detail, evidence)

    def _name(self, authserv_id: str | None) -> str:
        return authserv_id or self.site.provider.name

    def _no_field(self) -> str:
        near = next((each.detail for each in self.fields.passed_over if each.why in _NEAR), "")
        words = "no Authentication-Results field of ours stands where only our servers write"
        return f"{words}: {near}" if near else words

    def _say(self, writer: Writer, reason: Reason, detail: str, evidence: Evidence | None = None) -> AuthorVerdict:
        return self._ended(AuthorVerdict(reason, detail, writer.address, writer.domain, evidence))

    def _ended(self, verdict: AuthorVerdict) -> AuthorVerdict:
        used, leniencies = verdict.evidence, set[Leniency]()
        for each in self.fields.believed:
            if used is not None and (each.source, each.index) == (used.source, used.index):
                leniencies |= each.leniencies
        if used in self._by_identity:
            leniencies.add(Leniency.IDENTITY)
        return replace(
            verdict,
            leniencies=tuple(sorted(leniencies)),
            authserv_ids=tuple(self.fields.seen)[:MAX_IDS],
            passed_over=tuple(self.fields.passed_over),
        )

    def _results(self, method: Method) -> list[tuple[Believed, MethodResult]]:
        return [(each, result) for each in self.fields.believed for result in each.results.of(method)]

    def _by_dmarc(self, writer: Writer) -> AuthorVerdict | None:
        """The verdict where DMARC decides: one fail is enough for a no, all that passed must be for the author."""
        # RFC 8601 section 2.3 has a reader ignore what is unknown; a "no" stays one whatever stands beside it.
        found = [
            (each, result)
            for each in self.fields.believed
            for result in each.results.results
            if result.method == Method.DMARC and (result.registered or result.result in ("fail", "permerror"))
        ]
        evidences = [self._evidence(each, result, writer.domain) for each, result in found]
        for (each, result), evidence in zip(found, evidences, strict=True):
            if result.result == "fail":
                detail = f"{self._name(each.results.authserv_id)} says dmarc=fail"
                return self._say(writer, Reason.DMARC_FAIL, detail, evidence)
        passes = [evidence for evidence in evidences if evidence is not None and evidence.result == "pass"]
        for evidence in passes:
            if evidence.domain != writer.domain:
                detail = f"dmarc=pass is for {evidence.domain}, and From says {writer.domain}"
                return self._say(writer, Reason.ANOTHER_AUTHOR, detail, evidence)
        # RFC 9989 section 5.3.1: also for a From with several domains, as the server read it.
        if any(result.result == "permerror" for _, result in found):
            return self._say(writer, Reason.DMARC_PERMERROR, "the server could not read From, or the policy")
        return self.verified(passes[0]) if passes and Method.DMARC in self.policy.methods else None

    def _by_other_methods(self, writer: Writer) -> AuthorVerdict:
        """DKIM before SPF before SMTP AUTH, as far as they are wanted."""
        for method in (Method.DKIM, Method.SPF, Method.AUTH):
            for each, result in self._results(method):
                what = f"{method}={result.result}"
                if result.result != "pass":
                    self.fields.pass_over(what, each.index, Why.NO_PASS)
                elif method not in self.policy.methods:
                    self.fields.pass_over(what, each.index, Why.METHOD)
                elif evidence := self._evidence(each, result, writer.domain):
                    if evidence.domain == (writer.address if method is Method.AUTH else writer.domain):
                        return self.verified(evidence)
                    self.fields.pass_over(what, each.index, Why.OTHER_DOMAIN, evidence.domain)
                    if method is not Method.AUTH:
                        self.others.append(evidence)
        if self.others:
            names = ", ".join(list(dict.fromkeys(each.domain for each in self.others))[:5])
            return self._say(writer, Reason.NOT_ALIGNED, f"what passed is not aligned with {writer.domain}: {names}")
        return self._say(writer, Reason.NO_PASS, "nothing that counts passed")

    def _evidence(self, each: Believed, result: MethodResult, author: str) -> Evidence | None:
        """What the result is about, if it says so exactly once."""
        domain, by_identity = _subject(result), False
        if domain is None and result.method == Method.DKIM and Leniency.IDENTITY in self.site.provider.leniencies:
            # RFC 6376 section 3.5: i= is in d= or below it. Only the author's very domain will do.
            identity = _only(result, "header", "i") or ""
            by_identity = "@" in identity and _domain(identity.rpartition("@")[2]) == author
            domain = author if by_identity else None
        if domain is None:
            what = f"{result.method}={result.result}"
            self.fields.pass_over(what, each.index, Why.NO_DOMAIN, "it does not name one domain")
            return None
        evidence = Evidence(
            each.source,
            result.method,
            result.result,
            domain,
            each.index,
            each.results.authserv_id or None,
            result.value("header", "s"),
            "strict" if domain == author else None,
        )
        if by_identity:
            self._by_identity.add(evidence)
        return evidence


_NEAR = (Why.BELOW_BORDER, Why.BELOW_UNKNOWN_HOST, Why.NO_RECEIVED)


def _header(message: MessageSource) -> Header:
    splitter = Splitter()
    for block in blocks(message):
        splitter.feed(block)
        if splitter.header is not None:
            break
    return splitter.finish()


def _only(result: MethodResult, ptype: str, name: str) -> str | None:
    """The value of a property that stands there exactly once."""
    values = [each.value for each in result.properties if (each.type, each.name) == (ptype, name)]
    return values[0] if len(values) == 1 else None


def _domain(text: str | None) -> str | None:
    name = exact_name(text) if text else None
    return name if name is not None and is_fqdn(name) else None


def _subject(result: MethodResult) -> str | None:
    """The domain that the result is about, as A-labels; of SMTP AUTH the address."""
    match result.method:
        case Method.DMARC:
            return _domain(_only(result, "header", "from"))
        case Method.DKIM:
            return _domain(_only(result, "header", "d"))
        case Method.SPF if result.value("smtp", "helo") is None:
            # RFC 8601 section 2.7.2: an address or a domain. A result for HELO says nothing of the author.
            return _domain((_only(result, "smtp", "mailfrom") or "").rpartition("@")[2])
        case Method.AUTH:
            mailbox = split_address(_only(result, "smtp", "auth") or "")
            domain = _domain(mailbox.domain) if mailbox is not None else None
            return None if mailbox is None or domain is None else f"{mailbox.local_part}@{domain}"
    return None
