"""Surveys: an evaluation that goes on where check_host() stops, and looks at the whole tree of a record.

It follows every include and redirect past matches and limits, for one client or for all of them at once, and makes a
`TreeRecord`. Names, records, limits and matches are those of the evaluation (`Evaluation`), whose subclass it is; only
that it never stops, and takes networks as sets of clients.
"""

# SECURITY: a domain may be anybody's. A survey asks at most `MAX_QUESTIONS` questions, follows at most `MAX_TERMS`
# terms, reads at most `MAX_WORDS` words of records, goes `MAX_DEPTH` records deep, and visits no domain twice on one
# path.

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, cast

from mailauth.plan.dns import Answer, IPAddress, Question
from mailauth.plan.execution import Gather, Plan
from mailauth.spf.check import check_helo, check_host
from mailauth.spf.compile import Lookup, network_range
from mailauth.spf.evaluate import Evaluation, Stop
from mailauth.spf.identity import Client, client_of
from mailauth.spf.macros import expand_name, target_name
from mailauth.spf.parse import has_version, parse_terms
from mailauth.spf.policy import DEFAULT_POLICY, SpfPolicy
from mailauth.spf.problem import Problem, RecordError
from mailauth.spf.ranges import EVERYBODY, FAMILIES, NOBODY, Ranges, both, either, first_matches, union, without
from mailauth.spf.record import Record
from mailauth.spf.result import Identity, SpfResult
from mailauth.spf.slips import decoded
from mailauth.spf.terms import (
    A,
    All,
    Asking,
    Exists,
    Explanation,
    Include,
    Ip4,
    Ip6,
    Mx,
    Ptr,
    Qualifier,
    Redirect,
    Result,
    Term,
)
from mailauth.spf.trace import MATCH, NO_MATCH, USED, TraceQuestion
from mailauth.spf.tree import TreeRecord, TreeTerm, families_of, is_mechanism

T = TypeVar("T")

MAX_QUESTIONS = 300
MAX_TERMS = 100
"""Terms that ask, over the whole tree; a record that has more is long past what receivers do."""
MAX_DEPTH = 20
"""Records below one another. RFC 7208 section 4.6.4: receivers give up after ten; a tree of a hundred would need more
of Python's stack than a caller may have left."""
MAX_WORDS = 40_000
"""Words of all records together; the longest TXT record has room for some 32,000."""

UNKNOWN_DOMAIN = "its domain is not known"
"""Why a term of a text that stands nowhere is not followed."""

_KNOWN_LETTERS = frozenset("do")
"""Macros that stand for the same whoever the client is: %{d}, the current domain, and %{o}, that of the sender."""


class _Enough(Exception):
    """The tree is larger than what is looked at."""


@dataclass(slots=True)
class _OpenTerm:
    """A term that is being looked at; the fields are those of `TreeTerm`."""

    text: str
    start: int
    term: Term
    families: tuple[int, ...]
    number: int = 0
    lookups: int = 0
    void: tuple[int, ...] = ()
    may_be_void: bool = False
    can_match: Ranges = NOBODY
    doubtful: bool = False
    """Whether who matches depends on more than the address."""
    failure: str = ""
    hidden: str = ""
    questions: list[TraceQuestion] = field(default_factory=list)
    record: TreeRecord | None = None
    result: Result | None = None
    """What it makes of the client: that of its qualifier, an error, or None for no match."""
    outcome: str = ""

    def closed(self, matches: Ranges) -> TreeTerm:
        return TreeTerm(
            self.text, self.start, self.term, None, self.families, self.number, self.lookups, self.void,
            self.may_be_void, matches, self.failure, self.hidden, tuple(self.questions), self.record, self.outcome,
        )  # fmt: skip


@dataclass(slots=True)
class _Branch:
    """A record that is being looked at: the clients that may come to its next term, and what was found so far."""

    domain: str
    path: tuple[tuple[str, str], ...]
    reach: Ranges
    explains: bool
    """Whether its "exp" is used: not that of an included record (RFC 7208 section 6.2)."""
    terms: list[TreeTerm] = field(default_factory=list)
    passes: Ranges = NOBODY
    surely: Ranges = NOBODY
    sure: bool = True
    """Whether no term that depends on the client can have decided otherwise than pass."""
    doubtful: bool = False
    result: Result | None = None

    def match(self, who: Ranges, passing: Ranges) -> Ranges:
        """These clients match, and these of them pass; those who come here and match."""
        matches, passing = both(who, self.reach), both(passing, self.reach)
        self.passes = either(self.passes, passing)
        if self.sure:
            # Of an include, only those for whom nothing in its record that depends on the client decides before.
            self.surely = either(self.surely, both(matches, passing))
        self.reach = without(self.reach, matches)
        return matches

    def take(self, term: _OpenTerm, qualifier: Qualifier | None) -> None:
        """A term was looked at; those who match it go no further."""
        shown = both(term.can_match, self.reach)
        sure = term.can_match if term.record is None else term.record.surely
        passes = qualifier is Qualifier.PASS
        self.match(sure, term.can_match if passes else NOBODY)
        self.terms.append(term.closed(shown))
        self.doubtful |= term.doubtful
        self.sure &= passes or not term.doubtful
        if self.result is None:
            self.result = term.result


def survey(domain: str, text: str | None = None) -> Plan[Survey]:
    """A plan that looks at the whole tree of a domain (an A-label), or of a text that stands or will stand there.

    For all clients of both families at once; names that depend on the client are not followed.
    """
    found = Survey(domain, None, f"postmaster@{domain}", "", DEFAULT_POLICY)
    if text is None:
        found.tree = yield from found.visit(domain, (), EVERYBODY, explains=True)
    else:
        found.tree = yield from found.walk(_Branch(domain, (), EVERYBODY, explains=True), text, None)
    return found


def whole_tree(
    ip: str | IPAddress,
    *,
    helo: str = "",
    mail_from: str = "",
    identity: Identity = "mailfrom",
    policy: SpfPolicy = DEFAULT_POLICY,
    receiver: str | None = None,
    now: float | None = None,
) -> Plan[tuple[SpfResult, TreeRecord | None]]:
    """A plan for the result of a client, and the whole tree with what each term says of it, from the same answers.

    The arguments are those of `check_host`. The tree goes on past the match and past the limits; it is None where the
    identity has no domain. Raises `ValueError` or `TypeError` for an invalid client address.
    """
    # Each question by itself: the tree asks what it needs beyond them.
    options: dict[str, Any] = {"policy": replace(policy, prefetch=False), "receiver": receiver, "now": now}
    plan = (
        check_helo(ip, helo, **options)
        if identity == "helo"
        else check_host(ip, helo=helo, mail_from=mail_from, **options)
    )
    answers: dict[Question, Answer] = {}
    answer: Answer | None = None
    sender = "" if identity == "helo" else mail_from
    while True:
        try:
            question = plan.send(answer)
        except StopIteration as stop:
            return (yield from _with_tree(stop.value, answers, client_of(ip), sender, policy))
        assert isinstance(question, Question)
        answer = answers[question] = yield question


def _with_tree(
    spf: SpfResult, answers: dict[Question, Answer], client: Client, mail_from: str, policy: SpfPolicy
) -> Plan[tuple[SpfResult, TreeRecord | None]]:
    if not spf.domain:
        return spf, None
    found = Survey(spf.domain, client, mail_from, spf.helo, policy)
    found.answers = answers
    return spf, (yield from found.visit(spf.domain, (), EVERYBODY, explains=True))


class Survey(Evaluation):
    """One survey, and what it has counted."""

    __slots__ = (
        "answers", "families", "known_letters", "total", "tree", "truncated", "voids", "voids_at_most",
        "words_left",
    )  # fmt: skip

    tree: TreeRecord

    def __init__(self, domain: str, client: Client | None, mail_from: str, helo: str, policy: SpfPolicy) -> None:
        super().__init__(client or client_of("0.0.0.0"), "mailfrom", mail_from, helo, policy, None, None)
        self.families: tuple[int, ...] = (4, 6) if client is None else (4 if client.is_ip4 else 6,)
        self.known_letters = (_KNOWN_LETTERS if domain else frozenset()) if client is None else frozenset("slodiphv")
        self.answers: dict[Question, Answer] = {}
        self.words_left = MAX_WORDS
        self.total = dict.fromkeys(FAMILIES, 0)
        """Lookups of a client that comes to every term that clients of its family may come to."""
        self.voids = dict.fromkeys(FAMILIES, 0)
        self.voids_at_most = dict.fromkeys(FAMILIES, 0)
        """The same with those that depend on the client."""
        self.truncated = False

    @property
    def for_client(self) -> bool:
        """Whether it is for one client."""
        return len(self.families) == 1

    # --- limits: counted, never kept ---

    def count_lookup(self) -> None:
        """One more."""
        self.lookups += 1
        for family in self.families:
            self.total[family] += 1

    def count_void(self) -> None:
        """One more."""
        self.void_lookups += 1

    # --- asking ---

    def ask(self, questions: Sequence[Question]) -> Plan[list[Answer]]:
        """The answers, each asked once. Raises `_Enough` where there have been too many."""
        new = [question for question in dict.fromkeys(questions) if question not in self.answers]
        if len(self.answers) + len(new) > MAX_QUESTIONS:
            raise _Enough
        if new:
            found: list[Answer] = yield Gather(new)
            self.answers.update(zip(new, found, strict=True))
        return [self.answers[question] for question in questions]

    def asked_for(self, term: _OpenTerm, questions: Sequence[Question]) -> Plan[list[Answer]]:
        """The same, noted with the term."""
        answers = yield from self.ask(questions)
        term.questions += map(TraceQuestion, questions, answers)
        return answers

    def noted(self, term: _OpenTerm, plan: Generator[Any, Any, T]) -> Plan[T]:
        """A part of the evaluation, its questions noted with the term."""
        answer: Answer | None = None
        while True:
            try:
                question = plan.send(answer)
            except StopIteration as stop:
                return cast("T", stop.value)
            (answer,) = yield from self.asked_for(term, [question])

    # --- records ---

    def visit(
        self, domain: str, path: tuple[tuple[str, str], ...], reach: Ranges, *, explains: bool
    ) -> Plan[TreeRecord]:
        """The record of a domain, and what is beneath it."""
        if len(path) > MAX_DEPTH:
            self.truncated = True
            return TreeRecord(domain, None, None, "not-asked", None, path)
        try:
            (answer,) = yield from self.ask([Question(domain, "TXT")])
        except _Enough:
            self.truncated = True
            return TreeRecord(domain, None, None, "not-asked", None, path)
        if answer.failed:
            return TreeRecord(domain, None, None, "dns-error", answer, path, result=Result.TEMPERROR)
        # RFC 7208 section 4.5.
        texts = [octets for octets in answer.texts if has_version(octets.decode("latin-1"))]
        if len(texts) != 1:
            code, result = ("several-records", Result.PERMERROR) if texts else ("no-record", Result.NONE)
            return TreeRecord(domain, None, None, code, answer, path, result=result)
        text = decoded(texts[0])
        self.words_left -= text.count(" ")
        if self.words_left < 0:
            self.truncated = True
            return TreeRecord(domain, None, None, "not-asked", answer, path)
        return (yield from self.walk(_Branch(domain, path, reach, explains), text, answer))

    def walk(self, branch: _Branch, text: str, answer: Answer | None) -> Plan[TreeRecord]:
        """The terms of a record. Those in error make it invalid; the others are looked at for when it is right."""
        words = list(parse_terms(text)) if has_version(text) else []
        has_all = any(isinstance(found, All) for _, _, found in words)
        record = _valid(text)
        run: list[tuple[int, str, Ip4 | Ip6]] = []
        redirect: tuple[int, str, Redirect] | None = None
        for start, word, found in words:
            if isinstance(found, Ip4 | Ip6):
                run.append((start, word, found))
                continue
            self.take_networks(branch, run)
            run = []
            if isinstance(found, Redirect):
                if has_all:  # RFC 7208 section 6.1: it is ignored
                    branch.terms.append(TreeTerm(word, start, found))
                else:
                    redirect = (start, word, found)
            else:
                yield from self.take(branch, start, word, found)
        self.take_networks(branch, run)
        if redirect is not None:
            yield from self.take(branch, *redirect)
        if branch.result is None:
            branch.result = Result.NEUTRAL  # RFC 7208 section 4.7
        result = (branch.result if record is not None else Result.PERMERROR) if self.for_client else None
        # RFC 7208 section 6.1: a redirect is evaluated last, wherever it stands; it is shown in its place.
        terms = tuple(sorted(branch.terms, key=lambda term: term.start))
        return TreeRecord(
            branch.domain, text, record, "", answer, branch.path, terms, branch.passes, branch.surely, branch.doubtful,
            result,
        )  # fmt: skip

    def take(self, branch: _Branch, start: int, word: str, found: Term | Problem) -> Plan[None]:
        """One word of a record that is no network."""
        if isinstance(found, Problem):
            branch.terms.append(TreeTerm(word, start, None, found))
            return
        comes = families_of(branch.reach) if is_mechanism(found) or isinstance(found, Redirect) else ()
        term = _OpenTerm(word, start, found, tuple(family for family in comes if family in self.families))
        qualifier = getattr(found, "qualifier", Qualifier.PASS)
        if isinstance(found, All) and term.families:
            term.can_match, term.result, term.outcome = EVERYBODY, qualifier.result, MATCH if self.for_client else ""
        elif isinstance(found, Explanation):
            yield from self.explanation_of(branch, term, found)
        elif isinstance(found, Asking) and term.families:
            yield from self.follow(branch, term, found)
            if self.for_client and not term.outcome:
                matched = USED if isinstance(found, Redirect) else MATCH
                term.outcome = NO_MATCH if term.result is None else matched
        branch.take(term, qualifier)

    def take_networks(self, branch: _Branch, run: Sequence[tuple[int, str, Ip4 | Ip6]]) -> None:
        """A run of networks: what they match together; one by one they are only noted."""
        if not run:
            return
        ranges = [network_range(term) for _, _, term in run]
        passing = first_matches(ranges, [term.qualifier is Qualifier.PASS for _, _, term in run])
        comes = tuple(family for family in families_of(branch.reach) if family in self.families)
        branch.match(union(ranges), passing)
        for (start, word, term), (first, behind) in zip(run, ranges, strict=True):
            outcome = ""
            if self.for_client:
                matched = first <= self.client.number < behind
                outcome = MATCH if matched else NO_MATCH
                if matched and branch.result is None:
                    branch.result = term.qualifier.result
            branch.terms.append(TreeTerm(word, start, term, families=comes, matches=(first, behind), outcome=outcome))

    # --- terms that ask ---

    def follow(self, branch: _Branch, term: _OpenTerm, found: Asking) -> Plan[None]:
        """What a term asks, and whom it matches. Errors are noted; nothing stops."""
        if max(self.total.values()) >= MAX_TERMS:
            self.truncated, term.hidden = True, "not followed: the tree is too large"
            return
        before = self.lookups
        self.lookups += 1
        for family in term.families:
            self.total[family] += 1
        term.number = self.number(term)
        step = Lookup(found)
        try:
            yield from self.look(branch, term, step)
        except Stop as stop:  # nothing but time that ran out: what is counted stops nothing here
            term.failure, term.result, term.outcome = "dns-error", stop.result, stop.result.value
        except _Enough:
            self.truncated, term.hidden = True, "not followed: the tree is too large"
        depends = bool(step.letters - _KNOWN_LETTERS) or isinstance(found, Ptr)
        term.doubtful = depends or (term.record is not None and term.record.doubtful)
        term.lookups = self.lookups - before
        for family in term.families:
            self.voids[family] += family in term.void
            self.voids_at_most[family] += family in term.void or term.may_be_void

    def number(self, term: _OpenTerm) -> int:
        return max(self.total[family] for family in term.families)

    def look(self, branch: _Branch, term: _OpenTerm, step: Lookup) -> Plan[None]:
        if "p" in step.letters:
            yield from self.reverse_names_of_client(term, branch.domain)
            term.number = self.number(term)
        hidden = step.letters - self.known_letters
        if hidden or (not branch.domain and step.name is None):
            # A text that stands nowhere has no <domain>.
            what = ", ".join(sorted(f"%{{{letter}}}" for letter in hidden))
            depend = "depends" if len(hidden) == 1 else "depend"
            term.hidden = f"{what} {depend} on the client: not followed" if hidden else UNKNOWN_DOMAIN
            term.may_be_void = bool(hidden) and isinstance(step.term, A | Mx | Exists)
            return
        if isinstance(step.term, Ptr):
            yield from self.ptr(branch, term, step)
            return
        name = branch.domain
        if step.name is not None:
            found = target_name(expand_name(step.name, self.values(step.letters, branch.domain)))
            name = found if found is not None and self.can_match(step) else ""
        if not name or (isinstance(step.term, Include | Redirect) and "." not in name):
            # RFC 7208 section 4.8 leaves open what happens; only these two have to find a record.
            term.failure = "bad-domain"
            # RFC 8616 section 4: with a local part that is not ASCII, an include does not match.
            if isinstance(step.term, Redirect) or (isinstance(step.term, Include) and self.can_match(step)):
                term.result, term.outcome = Result.PERMERROR, Result.PERMERROR.value
            return
        match step.term:
            case Include() | Redirect():
                yield from self.other(branch, term, name)
            case A(ip4_length=four, ip6_length=six):
                yield from self.hosts(term, [name], four, six)
            case Mx():
                yield from self.exchanges(term, step.term, name)
            case Exists():
                yield from self.exists(term, name)

    def reverse_names_of_client(self, term: _OpenTerm, domain: str) -> Plan[None]:
        """What %{p} costs (RFC 7208 section 4.6.4), once in an evaluation."""
        if self.for_client:
            yield from self.noted(term, self.prepare_validated_name(domain))
        elif self.reverse_names is None:
            self.reverse_names = []
            self.count_lookup()

    def ptr(self, branch: _Branch, term: _OpenTerm, step: Lookup) -> Plan[None]:
        if self.for_client:
            before = self.void_lookups
            question = self.question_of(step, branch.domain)
            if (yield from self.noted(term, self.match_ptr(step, branch.domain, question))):
                term.result = cast("Ptr", step.term).qualifier.result
            term.void = self.families if self.void_lookups > before else ()
            return
        term.hidden = "depends on the client's reverse names"
        # Who has none finds nothing; asked once in an evaluation.
        term.may_be_void = self.reverse_names is None
        self.reverse_names = []

    def other(self, branch: _Branch, term: _OpenTerm, name: str) -> Plan[None]:
        """RFC 7208 sections 5.2 and 6.1: another record."""
        path = (*branch.path, (branch.domain, term.text))
        redirect = isinstance(term.term, Redirect)
        if any(domain == name for domain, _ in path):
            term.failure, term.result, term.outcome = "loop", Result.PERMERROR, Result.PERMERROR.value
            return
        found = term.record = yield from self.visit(name, path, branch.reach, explains=branch.explains and redirect)
        term.can_match = found.passes
        if found.failure == "not-asked":
            term.hidden = "not followed: the tree is too large"
        elif found.failure:
            term.failure = found.failure
            term.result = Result.TEMPERROR if found.failure == "dns-error" else Result.PERMERROR
            term.outcome = term.result.value
        elif found.record is None:
            term.result, term.outcome = Result.PERMERROR, Result.PERMERROR.value
        elif found.result in (Result.PERMERROR, Result.TEMPERROR):
            term.result, term.outcome = found.result, found.result.value
        elif redirect:
            term.result = found.result
        elif found.result is Result.PASS:
            term.result = cast("Include", term.term).qualifier.result

    def hosts(self, term: _OpenTerm, names: Sequence[str], ip4_length: int, ip6_length: int) -> Plan[None]:
        """The addresses of names, for the clients of each family."""
        ranges: list[tuple[int, int]] = []
        for family in term.families:
            rtype: Any = "A" if family == 4 else "AAAA"
            answers = yield from self.asked_for(term, [Question(name, rtype) for name in names])
            for answer in answers:
                if answer.failed and term.result is None:
                    term.failure, term.result, term.outcome = "dns-error", Result.TEMPERROR, Result.TEMPERROR.value
                if self.for_client and term.result is None and self.holds(answer, ip4_length, ip6_length):
                    # Of the hosts of an "mx" the first decides: what comes after it is not asked any more.
                    term.result = cast("A", term.term).qualifier.result
                ranges += [_host_range(address, ip4_length, ip6_length) for address in answer.addresses]
            if any(answer.void for answer in answers) and (not self.for_client or term.result is None):
                term.void = (*term.void, family)
        term.can_match = union(ranges)

    def exchanges(self, term: _OpenTerm, found: Mx, name: str) -> Plan[None]:
        """RFC 7208 section 5.4."""
        (answer,) = yield from self.asked_for(term, [Question(name, "MX")])
        if not answer.found:
            if answer.failed:
                term.failure, term.result, term.outcome = "dns-error", Result.TEMPERROR, Result.TEMPERROR.value
            else:
                term.void = term.families
            return
        hosts = [target_name(exchange.host) for exchange in sorted(answer.exchanges)]
        names = [host for host in hosts if host is not None][: self.policy.max_mx_hosts]
        yield from self.hosts(term, names, found.ip4_length, found.ip6_length)
        if len(answer.exchanges) > self.policy.max_mx_hosts:
            term.failure, term.result = "too-many-mx-hosts", Result.PERMERROR
            term.outcome = Result.PERMERROR.value

    def exists(self, term: _OpenTerm, name: str) -> Plan[None]:
        """RFC 7208 section 5.7: any A record will do, and then everybody matches."""
        (answer,) = yield from self.asked_for(term, [Question(name, "A")])
        if answer.failed:
            term.failure, term.result, term.outcome = "dns-error", Result.TEMPERROR, Result.TEMPERROR.value
        elif answer.void:
            term.void = term.families
        else:
            letters = cast("Exists", term.term).domain_spec.letters
            term.can_match = EVERYBODY if letters <= _KNOWN_LETTERS else NOBODY
            term.result = cast("Exists", term.term).qualifier.result

    def explanation_of(self, branch: _Branch, term: _OpenTerm, found: Explanation) -> Plan[None]:
        """What the target of an "exp" holds; the limits do not count it (RFC 7208 section 4.6.4)."""
        letters = found.domain_spec.letters
        if self.for_client or not branch.explains or not letters <= self.known_letters:
            return
        name = target_name(expand_name(found.domain_spec, self.values(letters, branch.domain)))
        if name is None:
            term.failure = "bad-domain"
            return
        try:
            yield from self.asked_for(term, [Question(name, "TXT")])
        except _Enough:
            self.truncated = True


def _valid(text: str) -> Record | None:
    try:
        return Record.parse(text)
    except RecordError:
        return None


def _host_range(address: IPAddress, ip4_length: int, ip6_length: int) -> tuple[int, int]:
    if address.version == 4:
        return network_range(Ip4(Qualifier.PASS, int(address), ip4_length))
    return network_range(Ip6(Qualifier.PASS, int(address), ip6_length))
