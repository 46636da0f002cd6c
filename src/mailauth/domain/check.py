"""`check`: a plan that asks everything about a domain, side by side, and puts the answers together."""

# SECURITY: the domain may be anybody's, and so may all its records. Each part of the check is bounded by itself: hosts,
# addresses, selectors, lists, the SPF tree (300 questions), the DMARC walk; the deadline is the driver's.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mailauth import dmarc, spf
from mailauth.dkim import Verifier, record_name
from mailauth.domain import hosts, keys, policies, records
from mailauth.domain.finding import Area, Finding, Severity, error, in_order, note, unknown, warning
from mailauth.domain.report import DomainReport
from mailauth.domain.sender import sender_findings
from mailauth.mail.names import is_fqdn, parse_ip, to_ascii
from mailauth.mail.text import printable
from mailauth.plan import Gather, IPAddress, Plan
from mailauth.rbl import Kind, Listing, RblPolicy, Reason, Rule, catalogue, query, rules_of
from mailauth.rbl.catalogue import KnownList
from mailauth.rbl.rule import Action
from mailauth.restrictions.phases import Restrictions
from mailauth.transaction.checks import Transaction
from mailauth.transaction.message import authenticate
from mailauth.transaction.policy import Policy
from mailauth.transaction.report import Report

MAX_CLIENTS = 20
MAX_SELECTORS = 100


@dataclass
class DomainQuery:
    """What is asked about a domain. Raises `ValueError` for a bad domain, selector, address or list, or too many.

    `selectors` are those of the domain's DKIM keys; with `guess`, usual ones are tried as well. `clients` are the
    addresses that send its mail; `lists` are asked about the domain, its clients and its mail hosts. A message
    (`begin_message`) was sent by the first of the clients, with `helo` and `mail_from`. `now` is in seconds since the
    epoch.
    """

    domain: str  # kept as A-labels, without a final dot
    selectors: Sequence[str] = ()  # at most 100
    clients: Sequence[str | IPAddress] = ()  # at most 20
    lists: Iterable[str | Rule] = ()  # values, or texts in Postfix's notation
    guess: bool = True
    bimi_selector: str = "default"  # the record stands at SELECTOR._bimi.DOMAIN
    helo: str | None = None  # None: not known
    mail_from: str | None = None  # None: not known, and SPF of it is not checked; "" is the null sender
    rbl_policy: RblPolicy = field(default_factory=RblPolicy)
    now: float = 0.0
    transaction: Transaction | None = field(default=None, init=False)  # of the message; None without one

    def __post_init__(self) -> None:
        name = to_ascii(self.domain.strip().removesuffix("."))
        if name is None or not is_fqdn(name):
            raise ValueError(f"not a domain of two labels or more: {printable(self.domain, 80)!r}")
        self.domain = name
        self.clients = list(dict.fromkeys(map(parse_ip, self.clients)))
        if len(self.clients) > MAX_CLIENTS:
            raise ValueError(f"{len(self.clients)} addresses; at most {MAX_CLIENTS} are checked")
        self.lists = tuple(rules_of(self.lists))
        if len(self.selectors) > MAX_SELECTORS:
            raise ValueError(f"{len(self.selectors)} selectors; at most {MAX_SELECTORS} are checked")
        for selector in (*self.selectors, self.bimi_selector):
            record_name(self.domain, selector)

    def begin_message(self) -> Verifier:
        """The verifier to feed a message to, before the plan is run. Raises `ValueError` without a client."""
        if not self.clients:
            raise ValueError("a message was sent by a client: name its address")
        self.transaction = Transaction(
            parse_ip(self.clients[0]),
            now=self.now,
            helo=self.helo,
            mail_from=self.mail_from,
            # The verifier reads it; to the transaction it only matters that there is one.
            message=b"",
            policy=Policy(hostname="localhost", trace=True),
        )
        return self.transaction.begin_message()


def check(asked: DomainQuery) -> Plan[DomainReport]:
    """A plan that checks a domain. Everything that does not depend on another answer is asked at once."""
    domain, clients = asked.domain, [parse_ip(client) for client in asked.clients]
    mail, listings, spf_report, by_client, found_keys, policy, tls_rpt, mta_sts, bimi, message = yield Gather(
        [
            _hosts(domain, clients),
            _listings(asked, [domain, *clients]),
            spf.lint(domain),
            policies.spf_of_clients(domain, clients, asked.now),
            keys.find_keys(domain, asked.selectors, asked.guess),
            _dmarc(domain),
            records.tls_rpt(domain),
            records.mta_sts(domain),
            records.bimi(domain, asked.bimi_selector),
            _message(asked.transaction),
        ]
    )
    mail_hosts, reverse, reverse_findings = mail
    dmarc_report, destination_findings = policy
    bimi = yield from _inherited(bimi, dmarc_report, asked.bimi_selector)
    listings = [*listings, *(yield from _listings(asked, _others(mail_hosts.addresses, clients)))]
    report = DomainReport(
        domain,
        (),
        mail_hosts,
        tuple(reverse),
        tuple(listings),
        spf_report,
        tuple(by_client),
        found_keys,
        dmarc_report,
        tls_rpt,
        mta_sts,
        bimi,
        message,
    )
    findings = [*reverse_findings, *destination_findings, *_findings(report), *_of_message(asked.transaction, message)]
    if mail_hosts.exists is False:
        # All else follows from that, and would only hide it.
        findings = [finding for finding in findings if finding.area in (Area.DOMAIN, Area.REVERSE, Area.LISTS)]
    findings = [_unless_needless(finding, report) for finding in findings]
    return replace(report, findings=in_order(findings))


_FOR_TAKING = frozenset({"tls-rpt.none", "mta-sts.none"})
_FOR_SENDING = frozenset({"dkim.none", "dkim.none-found", "bimi.none"})


def _unless_needless(finding: Finding, report: DomainReport) -> Finding:
    """What is missing as it should be: nobody delivers to a domain with a null MX (RFC 7505 section 3), and one that
    says it sends nothing (RFC 7208 section 10.1.2) signs nothing."""
    why = ""
    if finding.code in _FOR_TAKING and report.mail_hosts.null:
        why = ": the null MX says that the domain takes no mail"
    elif finding.code in _FOR_SENDING and report.sends_nothing:
        why = ": SPF says that the domain sends no mail"
    elif finding.code == "dkim.none" and (above := _relaxed_above(report.dmarc)):
        why = f", if its mail is signed with d={above}, which is aligned as well"
    return replace(finding, severity=Severity.NOTE, advice=f"nothing needs to be done{why}") if why else finding


def _relaxed_above(found: dmarc.LintReport) -> str:
    """The organizational domain above the domain, if its signatures are aligned with it (RFC 9989 section 4.4.1)."""
    above = None if found.walk is None else found.walk.organizational_domain
    if found.walk is None or above is None or above == found.domain:
        return ""
    record = found.record or found.walk.record_at(above)
    return above if record is not None and record.adkim is dmarc.Alignment.RELAXED else ""


def _findings(report: DomainReport) -> Iterator[Finding]:
    """What can be said by what was found."""
    yield from report.mail_hosts.findings
    yield from _of_listings(report.listings)
    yield from policies.spf_findings(report.spf)
    yield from policies.client_findings(report.clients)
    yield from report.keys.findings
    yield from policies.dmarc_findings(report.domain, report.dmarc)
    for record in (report.tls_rpt, report.mta_sts, report.bimi):
        yield from record.findings
    yield from _together(report)


def _hosts(domain: str, clients: list[IPAddress]) -> Plan[tuple[Any, Any, Any]]:
    found = yield from hosts.mail_hosts(domain)
    results, findings = yield from hosts.reverse_names(found.addresses, clients)
    return found, results, findings


def _dmarc(domain: str) -> Plan[tuple[dmarc.LintReport, list[Finding]]]:
    found = yield from dmarc.lint(domain)
    return found, (yield from policies.report_destinations(found))


def _inherited(own: records.TextRecord, found: dmarc.LintReport, selector: str) -> Plan[records.TextRecord]:
    """The BIMI record of the domain, else of its organizational domain (BIMI draft section 7.2)."""
    organization = None if found.walk is None else found.walk.organizational_domain
    if any(each.code != f"{Area.BIMI}.none" for each in own.findings) or own.record is not None:
        return own
    if organization is None or organization == found.domain:
        return own
    other = yield from records.bimi(organization, selector)
    return own if other.record is None else other


def _message(tx: Transaction | None) -> Plan[Report | None]:
    return None if tx is None else (yield from authenticate(tx, Restrictions()))


def _of_message(tx: Transaction | None, report: Report | None) -> Iterator[Finding]:
    header = None if tx is None or tx.verifier is None else tx.verifier.header
    if report is not None and header is not None:
        yield from sender_findings(report, header)


def _others(addresses: Iterable[IPAddress], clients: list[IPAddress]) -> list[IPAddress]:
    return [address for address in addresses if address not in clients][: hosts.MAX_ADDRESSES]


def _listings(asked: DomainQuery, subjects: Sequence[str | IPAddress]) -> Plan[list[Listing]]:
    rules = tuple(asked.lists)
    if not rules or not subjects:
        return []
    plans = [query(subject, _fitting(subject, rules), policy=asked.rbl_policy) for subject in subjects]
    answers: list[list[Listing]] = yield Gather(plans)
    return [listing for each in answers for listing in each]


def lists_to_ask() -> list[KnownList]:
    """The lists of the catalogue that know domains or addresses, and can be asked without a key of one's own."""
    return [known for known in catalogue.live() if known.kind in (Kind.DOMAIN, Kind.ADDRESS)]


def _fitting(subject: str | IPAddress, rules: Sequence[Any]) -> list[Rule]:
    """The lists that know subjects of that kind: of domains, or of addresses."""
    kinds = (Kind.DOMAIN, None) if isinstance(subject, str) else (Kind.ADDRESS, None)
    return [rule for rule in rules if rule.kind in kinds]


def _of_listings(listings: Iterable[Listing]) -> Iterator[Finding]:
    for each in listings:
        good = each.weight < 0 or each.rule.action is Action.ALLOW
        if each.listed and not good:
            words = f"{each.subject} is listed by {each.zone}: {'; '.join(each.meanings) or each.text or each.detail}"
            advice = f"find out why, and ask for removal: {each.removal_page or 'see the page of the list'}"
            yield error("lists.listed", each.subject, words, "RFC 5782 section 2.1", advice)
        elif each.result == "temperror":
            yield unknown(Area.LISTS, each.subject, each.detail, f"whether {each.zone} lists it")
        elif each.result == "refused" or each.reason is Reason.NOT_A_LIST:
            words = f"{each.zone} gives no answer that counts: {each.detail}"
            advice = "see the terms of the list: some refuse public resolvers"
            yield note("lists.refused", each.zone, words, "RFC 5782 section 2.1", advice)


def _together(report: DomainReport) -> Iterator[Finding]:
    """What shows only where two records are seen side by side."""
    sends = report.spf.ip4_addresses + report.spf.ip6_networks > 0
    if report.mail_hosts.null and sends:
        words = "the null MX says that no mail is taken, while SPF lets hosts send: receivers may refuse such mail"
        advice = 'give the domain an MX record; if it sends nothing, publish "v=spf1 -all"'
        yield warning("mx.null-sender", report.domain, words, "RFC 7505 section 4.2", advice)
    bimi = report.bimi
    if bimi.valid and bimi.tags.get("l") and not policies.enforced(report.dmarc):
        words = "BIMI shows nothing: the DMARC policy has to be quarantine or reject, without t=y"
        source = "draft-brand-indicators-for-message-identification section 7.1"
        yield warning("bimi.policy", bimi.name, words, source, "go on to p=quarantine or p=reject first")
