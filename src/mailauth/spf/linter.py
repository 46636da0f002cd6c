"""Checks records: `lint_text` looks at one text, `lint` at a domain with all that its record refers to.

What is wrong or unwise in a record, as its author wants to know it: syntax, costs over the whole include tree,
breadth. Advice only: what a record means is decided by the evaluation.
"""

# SECURITY: a domain may be anybody's. The walk through a tree asks at most `MAX_QUESTIONS` questions, visits no
# domain twice on one path and follows at most `MAX_TERMS` terms.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mailauth.mail.names import is_fqdn, to_ascii
from mailauth.plan.dns import Answer, Question
from mailauth.plan.execution import Plan, ask_all
from mailauth.spf.compile import IP6_OFFSET, merged, network_range
from mailauth.spf.macros import expand_name, target_name
from mailauth.spf.parse import has_version, parse_terms
from mailauth.spf.policy import MAX_LOOKUPS, MAX_MX_HOSTS, MAX_VOID_LOOKUPS
from mailauth.spf.problem import Problem, RecordError, shown
from mailauth.spf.record import MAX_STRING_OCTETS, Record
from mailauth.spf.terms import (
    IP4_BITS,
    IP6_BITS,
    A,
    All,
    Asking,
    Exists,
    Include,
    Ip4,
    Ip6,
    Mx,
    Ptr,
    Qualifier,
    Redirect,
    Term,
)  # fmt: skip

MAX_QUESTIONS = 300
MAX_TERMS = 100
"""Terms that ask, over the whole tree; a record that has more is long past what receivers do."""
MAX_RECORD_OCTETS = 450
"""Name and text together, so that the answer fits a UDP packet. RFC 7208 section 3.4."""
MANY_IP4_ADDRESSES = 1 << 21
"""More authorised IPv4 addresses than this (a /11) are worth a warning: so many nobody sends mail from."""


MAPPED_BITS = IP6_BITS - IP4_BITS
"""The prefix ::ffff:0:0/96 of IPv4-mapped addresses. RFC 4291 section 2.5.5.2."""


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """Receivers give permerror."""
    WARNING = "warning"
    """It works, at least today, but not as it should."""
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a record, and where it is."""

    severity: Severity
    code: str
    words: str
    domain: str = ""
    """Where the record stands; empty for the text that was given."""
    start: int = 0
    """The first octet of it in the record."""
    length: int = 0
    """How many octets; 0: it is about the record as a whole."""
    proposal: str = ""
    """What to write instead."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            name: str(getattr(self, name)) if name == "severity" else getattr(self, name) for name in _FINDING_FIELDS
        }


_FINDING_FIELDS = ("severity", "code", "words", "domain", "start", "length", "proposal")


# --- one text ---------------------------------------------------------------------------------------------


def lint_text(text: str, domain: str = "") -> list[Finding]:
    """What can be said about a record without the DNS."""
    if not has_version(text):
        try:
            Record.parse(text)
        except RecordError as error:
            return [_of_problem(error.problem, domain)]
    placed, problems = _read(text)
    findings = [_of_problem(problem, domain) for problem in problems]
    for look in (_after_all, _all_and_redirect, _unwise, _duplicates, _covered):
        findings += look(placed, domain)
    if not any(map(_may_be_an_end, problems)):
        findings += _endless(placed, domain)
    return findings + list(_size(text, domain))


def _read(text: str) -> tuple[list[_Placed], list[Problem]]:
    """The valid terms of a record, in their places, and what is wrong with the others."""
    placed: list[_Placed] = []
    problems: list[Problem] = []
    for start, word, found in parse_terms(text):
        if isinstance(found, Problem):
            problems.append(found)
        else:
            placed.append(_Placed(found, start, len(word)))
    return placed, problems


def _may_be_an_end(problem: Problem) -> bool:
    """Whether a term in error is what the record should end with."""
    return problem.proposal == "all" or problem.term.lstrip("+-?~").lower().startswith(("all", "redirect"))


def _of_problem(problem: Problem, domain: str) -> Finding:
    return Finding(Severity.ERROR, problem.code, problem.words, domain, problem.start, problem.length, problem.proposal)


@dataclass(frozen=True, slots=True)
class _Placed:
    term: Term
    start: int
    length: int

    def finding(self, severity: Severity, code: str, words: str, domain: str, proposal: str = "") -> Finding:
        return Finding(severity, code, words, domain, self.start, self.length, proposal)


def _is_mechanism(term: Term) -> bool:
    return hasattr(term, "qualifier")


def _after_all(placed: Sequence[_Placed], domain: str) -> Iterator[Finding]:
    ended = False
    for each in placed:
        if ended and _is_mechanism(each.term):
            yield each.finding(Severity.WARNING, "after-all", 'what stands behind "all" is ignored', domain)
        ended = ended or isinstance(each.term, All)


def _all_and_redirect(placed: Sequence[_Placed], domain: str) -> Iterator[Finding]:
    has_all = any(isinstance(each.term, All) for each in placed)
    for each in placed:
        if isinstance(each.term, Redirect) and has_all:
            words = 'a redirect is ignored in a record with an "all"'
            yield each.finding(Severity.WARNING, "ignored-redirect", words, domain)


def _unwise(placed: Sequence[_Placed], domain: str) -> Iterator[Finding]:
    for each in placed:
        term = each.term
        if isinstance(term, All) and term.qualifier is Qualifier.PASS:
            yield each.finding(Severity.WARNING, "pass-all", "everybody may send mail as this domain", domain, "-all")
        if isinstance(term, All) and term.qualifier is Qualifier.NEUTRAL:
            words = "nobody is refused: receivers treat neutral like no record (RFC 7208 section 8.2)"
            yield each.finding(Severity.NOTE, "neutral-all", words, domain, "~all")
        if isinstance(term, Ptr):
            words = "ptr is slow and must not be published (RFC 7208 section 5.5)"
            yield each.finding(Severity.WARNING, "ptr", words, domain)
        elif isinstance(term, Asking) and term.domain_spec is not None and "p" in term.domain_spec.letters:
            words = "%{p} is slow and must not be published (RFC 7208 section 7.3)"
            yield each.finding(Severity.WARNING, "ptr", words, domain)
        if isinstance(term, Ip4 | Ip6):
            yield from _host_bits(each, term, domain)
        if isinstance(term, Ip6) and term.address >> IP4_BITS == 0xFFFF and term.prefix_length >= MAPPED_BITS:
            # RFC 7208 section 5: such clients are looked for as IPv4.
            proposal = str(Ip4(term.qualifier, term.address & 0xFFFF_FFFF, term.prefix_length - MAPPED_BITS))
            words = "an IPv4-mapped address never matches: such clients count as IPv4"
            yield each.finding(Severity.WARNING, "mapped", words, domain, proposal)


def _host_bits(each: _Placed, term: Ip4 | Ip6, domain: str) -> Iterator[Finding]:
    shift = (IP4_BITS if isinstance(term, Ip4) else IP6_BITS) - term.prefix_length
    network = term.address >> shift << shift
    if network != term.address:
        proposal = str(type(term)(term.qualifier, network, term.prefix_length))
        words = f"the address has bits behind its prefix of {term.prefix_length}"
        yield each.finding(Severity.NOTE, "host-bits", words, domain, proposal)


def _duplicates(placed: Sequence[_Placed], domain: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for each in placed:
        text = str(each.term).lower()
        if text in seen:
            yield each.finding(Severity.WARNING, "duplicate", "this term stands in the record twice", domain)
        seen.add(text)


def _covered(placed: Sequence[_Placed], domain: str) -> Iterator[Finding]:
    """Networks inside an earlier network never match."""
    first_of: dict[tuple[int, int], tuple[int, _Placed]] = {}
    for position, each in enumerate(placed):
        if isinstance(each.term, Ip4 | Ip6):
            first_of.setdefault(network_range(each.term), (position, each))
    # From left to right, wider ones first: what is open around a network forms a stack, no deeper than an address
    # has bits.
    around: list[tuple[int, int, _Placed]] = []
    for (first, behind), (position, each) in sorted(first_of.items(), key=lambda item: (item[0][0], -item[0][1])):
        while around and around[-1][0] <= first:
            around.pop()
        earlier = [other for _, other_position, other in around if other_position < position]
        if earlier:
            yield each.finding(Severity.WARNING, "covered", f"{shown(earlier[0].term)} covers this already", domain)
        around.append((behind, position, each))


def _endless(placed: Sequence[_Placed], domain: str) -> Iterator[Finding]:
    if not any(isinstance(each.term, All | Redirect) for each in placed):
        words = 'without "all" or redirect, everybody else gets neutral (RFC 7208 section 4.7)'
        yield Finding(Severity.WARNING, "no-all", words, domain, proposal="-all")


def _size(text: str, domain: str) -> Iterator[Finding]:
    if len(text) > MAX_STRING_OCTETS:
        words = f"{len(text)} octets: in the zone it must be split into strings of at most {MAX_STRING_OCTETS}"
        yield Finding(Severity.NOTE, "long-string", words, domain)
    if len(text) + len(domain) > MAX_RECORD_OCTETS:
        size = len(text) + len(domain)
        words = f"{size} octets with its name; over {MAX_RECORD_OCTETS} may not fit a UDP answer (RFC 7208 section 3.4)"
        yield Finding(Severity.WARNING, "long-record", words, domain)


# --- a domain ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LintReport:
    """What was found in a record and in all that it refers to."""

    domain: str
    record: str | None
    """The text of the record, if there is exactly one."""
    findings: tuple[Finding, ...]
    lookups: int = 0
    """Terms that ask the DNS, over the whole tree: what a receiver asks in the worst case."""
    void_lookups_ip4: int = 0
    """How many of them find nothing, for an IPv4 client."""
    void_lookups_ip6: int = 0
    ip4_addresses: int = 0
    """How many addresses the record authorises, at most."""
    ip6_networks: int = 0
    """The same for IPv6, in networks of /64."""
    questions: int = 0
    """How many questions the check itself asked."""

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not any(finding.severity is Severity.ERROR for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "domain": self.domain,
            "record": self.record,
            "ok": self.ok,
            "lookups": self.lookups,
            "void_lookups": {"ip4": self.void_lookups_ip4, "ip6": self.void_lookups_ip6},
            "ip4_addresses": self.ip4_addresses,
            "ip6_networks": self.ip6_networks,
            "questions": self.questions,
            "findings": [finding.to_dict() for finding in self.findings],
        }


def is_record(text: str) -> bool:
    """Whether a text given by a person is meant as a record, not as a domain."""
    return " " in text or "=" in text


def lint(what: str) -> Plan[LintReport]:
    """Check the record of a domain, or a record's text, with everything that it refers to.

    Raises `ValueError`, at once, for what is neither a domain nor a record.
    """
    if is_record(what):
        return _lint_record(what)
    domain = to_ascii(what)
    if domain is None or not is_fqdn(domain):
        raise ValueError(f"neither a domain of two labels or more nor a record: {what[:60]!r}")
    return _lint_domain(domain)


def _lint_record(text: str) -> Plan[LintReport]:
    walk = _Walk()
    yield from walk.record("", text, (), Qualifier.PASS)
    return walk.report("", text)


def _lint_domain(domain: str) -> Plan[LintReport]:
    walk = _Walk()
    text = yield from walk.domain(domain, (), Qualifier.PASS)
    return walk.report(domain, text)


@dataclass
class _Walk:
    """The way through the include tree."""

    findings: list[Finding] = field(default_factory=list)
    lookups: int = 0
    void_ip4: int = 0
    void_ip6: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)
    questions: int = 0

    def ask(self, *questions: Question) -> Plan[list[Answer]]:
        if self.questions + len(questions) > MAX_QUESTIONS:
            self.questions = MAX_QUESTIONS
            return []
        self.questions += len(questions)
        return (yield from ask_all(questions))

    def note(self, severity: Severity, code: str, words: str, domain: str, start: int = 0, length: int = 0) -> None:
        self.findings.append(Finding(severity, code, words, domain, start, length))

    def domain(self, domain: str, path: tuple[str, ...], qualifier: Qualifier) -> Plan[str | None]:
        """Look at the record of a domain; its text, if there is exactly one."""
        answers = yield from self.ask(Question(domain, "TXT"))
        if not answers:
            return None
        answer = answers[0]
        if answer.failed:
            self.note(Severity.ERROR, "dns-error", f"the record cannot be asked: {answer.outcome}", domain)
            return None
        texts = [text for text in (octets.decode("latin-1") for octets in answer.texts) if has_version(text)]
        if len(texts) != 1:
            words = "there is no SPF record" if not texts else f"there are {len(texts)} SPF records; one is allowed"
            code = "no-record" if not texts else "several-records"
            self.note(Severity.ERROR, code, words, domain)
            return None
        yield from self.record(domain, texts[0], path, qualifier)
        return texts[0]

    def record(self, domain: str, text: str, path: tuple[str, ...], qualifier: Qualifier) -> Plan[None]:
        self.findings += lint_text(text, domain)
        if not has_version(text):
            return
        # Terms in error make the record invalid; the others are looked at all the same, for when that is fixed.
        placed, _ = _read(text)
        has_all = any(isinstance(each.term, All) for each in placed)
        for each in placed:
            term = each.term
            if isinstance(term, All):
                if term.qualifier is Qualifier.PASS and qualifier is Qualifier.PASS:
                    self.ranges.append((0, IP6_OFFSET + (1 << IP6_BITS)))
                return
            if isinstance(term, Ip4 | Ip6):
                if term.qualifier is Qualifier.PASS and qualifier is Qualifier.PASS:
                    self.ranges.append(network_range(term))
            elif isinstance(term, Asking) and not (isinstance(term, Redirect) and has_all):
                yield from self.term(each, term, domain, (*path, domain), qualifier)

    def term(self, each: _Placed, term: Asking, domain: str, path: tuple[str, ...], outer: Qualifier) -> Plan[None]:
        self.lookups += 1
        if self.lookups > MAX_TERMS:
            return
        spec = term.domain_spec
        if spec is not None and spec.letters:
            return  # the name depends on the message
        name = target_name(expand_name(spec, {})) if spec is not None else domain
        if not name:
            if spec is not None:
                # RFC 7208 section 4.8 leaves open what happens; only these two have to find a record.
                severity = Severity.ERROR if isinstance(term, Include | Redirect) else Severity.WARNING
                self.note(severity, "bad-domain", "this is no domain name", domain, each.start, each.length)
            return
        qualifier = Qualifier.NEUTRAL if outer is not Qualifier.PASS else getattr(term, "qualifier", Qualifier.PASS)
        match term:
            case Include() | Redirect():
                yield from self.other(each, name, domain, path, qualifier)
            case A():
                yield from self.hosts(each, term, [name], domain, qualifier)
            case Mx():
                yield from self.exchanges(each, term, name, domain, qualifier)
            case Exists():
                answers = yield from self.ask(Question(name, "A"))
                self.void(each, domain, *(answers * 2))

    def other(self, each: _Placed, name: str, domain: str, path: tuple[str, ...], qualifier: Qualifier) -> Plan[None]:
        if name in path:
            words = f"{shown(each.term)} leads back to where it comes from"
            self.note(Severity.ERROR, "loop", words, domain, each.start, each.length)
        else:
            yield from self.domain(name, path, qualifier)

    def hosts(self, each: _Placed, term: A | Mx, names: list[str], domain: str, qualifier: Qualifier) -> Plan[None]:
        questions = [Question(name, rtype) for name in names for rtype in ("A", "AAAA")]
        answers = yield from self.ask(*questions)
        if not answers:
            return
        self.void(each, domain, _any_void(answers[::2]), _any_void(answers[1::2]))
        if qualifier is Qualifier.PASS:
            self.ranges += [_host_range(address, term) for answer in answers for address in answer.addresses]

    def exchanges(self, each: _Placed, term: Mx, name: str, domain: str, qualifier: Qualifier) -> Plan[None]:
        answers = yield from self.ask(Question(name, "MX"))
        if not answers:
            return
        if len(answers[0].exchanges) > MAX_MX_HOSTS:
            words = f"{name} has {len(answers[0].exchanges)} MX hosts; receivers give up at {MAX_MX_HOSTS + 1}"
            self.note(Severity.ERROR, "too-many-mx-hosts", words, domain, each.start, each.length)
        names = [target_name(exchange.host) for exchange in sorted(answers[0].exchanges)[:MAX_MX_HOSTS]]
        found = [host for host in names if host is not None]
        if found:
            yield from self.hosts(each, term, found, domain, qualifier)
        else:
            self.void(each, domain, answers[0], answers[0])

    def void(self, each: _Placed, domain: str, ip4: Answer | None = None, ip6: Answer | None = None) -> None:
        """Count what finds nothing, and tell of what finds nothing for anybody."""
        for answer in (ip4, ip6):
            if answer is not None and answer.failed:
                words = f"{shown(each.term)} cannot be asked: {answer.outcome}"
                self.note(Severity.WARNING, "dns-error", words, domain, each.start, each.length)
                return
        void4, void6 = ip4 is not None and ip4.void, ip6 is not None and ip6.void
        self.void_ip4 += void4
        self.void_ip6 += void6
        if void4 and void6:
            words = f"{shown(each.term)} finds nothing in the DNS"
            self.note(Severity.WARNING, "void", words, domain, each.start, each.length)

    def report(self, domain: str, text: str | None) -> LintReport:
        bounds = merged(self.ranges) if self.ranges else []
        ip4 = sum(min(last, IP6_OFFSET) - first for first, last in _pairs(bounds) if first < IP6_OFFSET)
        ip6 = sum(last - max(first, IP6_OFFSET) for first, last in _pairs(bounds) if last > IP6_OFFSET)
        self.findings += _costs(self, domain, ip4)
        return LintReport(
            domain,
            text,
            tuple(self.findings),
            self.lookups,
            self.void_ip4,
            self.void_ip6,
            ip4,
            -(-ip6 >> 64),
            self.questions,
        )


def _any_void(answers: Sequence[Answer]) -> Answer | None:
    """The answer that counts for a term: a DNS error, else a void one, else any."""
    order = sorted(answers, key=lambda answer: (not answer.failed, not answer.void))
    return order[0] if order else None


def _host_range(address: Any, term: A | Mx) -> tuple[int, int]:
    if address.version == 4:
        return network_range(Ip4(Qualifier.PASS, int(address), term.ip4_length))
    return network_range(Ip6(Qualifier.PASS, int(address), term.ip6_length))


def _pairs(bounds: list[int]) -> Iterator[tuple[int, int]]:
    return zip(bounds[::2], bounds[1::2], strict=True)


def _costs(walk: _Walk, domain: str, ip4: int) -> Iterator[Finding]:
    if walk.lookups > MAX_LOOKUPS:
        words = f"{walk.lookups} terms ask the DNS; receivers stop after {MAX_LOOKUPS} (RFC 7208 section 4.6.4)"
        yield Finding(Severity.ERROR, "too-many-lookups", words, domain)
    void = max(walk.void_ip4, walk.void_ip6)
    if void > MAX_VOID_LOOKUPS:
        words = f"{void} terms find nothing; receivers stop after {MAX_VOID_LOOKUPS} (RFC 7208 section 4.6.4)"
        yield Finding(Severity.ERROR, "too-many-void-lookups", words, domain)
    if ip4 > MANY_IP4_ADDRESSES:
        words = f"{ip4:,} IPv4 addresses may send mail as this domain"
        yield Finding(Severity.WARNING, "broad", words, domain)
    if walk.questions >= MAX_QUESTIONS or walk.lookups > MAX_TERMS:
        yield Finding(Severity.WARNING, "not-all-seen", "the tree is too large; not all of it was looked at", domain)
