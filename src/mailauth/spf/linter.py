"""Checks the record of a domain, or a text, with everything that it refers to: `lint`.

The findings of a tree (`mailauth.spf.tree`), in the order of the record, and the report that holds both. Advice only:
what a record means is decided by the evaluation.
"""

# SECURITY: a domain may be anybody's; the survey bounds the tree. Each look at the tree is linear in it.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from string import ascii_letters
from typing import Any

from mailauth.mail.names import is_fqdn, is_within, to_ascii
from mailauth.plan.dns import Question
from mailauth.plan.execution import Plan
from mailauth.spf.advice import (
    EDNS_OCTETS,
    Finding,
    Severity,
    is_valid,
    lint_text,
    private_network,
)  # fmt: skip
from mailauth.spf.macros import parse_explain_string
from mailauth.spf.parse import has_version
from mailauth.spf.policy import MAX_LOOKUPS, MAX_MX_HOSTS, MAX_VOID_LOOKUPS
from mailauth.spf.problem import TermError, shown
from mailauth.spf.ranges import EVERYBODY, IP6, Ranges, both, counted, pairs, size
from mailauth.spf.slips import decoded, nearly
from mailauth.spf.survey import MAX_QUESTIONS, UNKNOWN_DOMAIN, Survey, survey
from mailauth.spf.terms import A, All, Explanation, Include, Ip4, Ip6, Mx, Qualifier, Redirect, UnknownModifier
from mailauth.spf.tree import TreeRecord, TreeTerm, is_mechanism

MANY_IP4_ADDRESSES = 1 << 21
"""More authorised IPv4 addresses than this (a /11) are worth a warning: so many nobody sends mail from."""
MANY_IP6_NETWORKS = 1 << 40
"""The same for IPv6, in networks of /64: a /24; the largest providers have /29."""
MAX_NAMES = 5
"""Names of which it is asked whether they are for another mechanism."""
MAX_OTHER_TEXTS = 20
"""TXT records beside the SPF record that are looked at."""


@dataclass(frozen=True, slots=True)
class LintReport:
    """What was found in a record and in all that it refers to."""

    domain: str
    """As A-labels; empty for a text that was given without the place where it will stand."""
    tree: TreeRecord
    findings: tuple[Finding, ...]
    """In the order of the record."""
    lookups: int
    """Terms that ask the DNS, over the whole tree: what a receiver asks in the worst case."""
    void_lookups_ip4: int
    """How many of them find nothing, for an IPv4 client."""
    void_lookups_ip6: int
    """The same for an IPv6 client."""
    complete: bool
    """Whether all of the tree was looked at: nothing in it that may be an error depends on the client, and it is not
    too large."""

    @property
    def record(self) -> str | None:
        """The text of the record, if there is exactly one."""
        return self.tree.text

    @property
    def ip4_addresses(self) -> int:
        """How many addresses the record certainly authorises."""
        return size(self.tree.passes, 4)

    @property
    def ip6_networks(self) -> int:
        """The same for IPv6, in networks of /64, begun ones as whole ones."""
        return -(-size(self.tree.passes, 6) >> 64)

    @property
    def questions(self) -> int:
        """How many questions the tree holds."""
        return sum(1 + sum(len(term.questions) for term in record.terms) for record in self.tree.records())

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def ip6_over_limit(self) -> bool:
        """Whether there is no error, but clients of IPv6 that nothing matches get one: they find nothing too often."""
        return not self.errors and any(finding.code == "too-many-void-lookups" for finding in self.findings)

    @property
    def ok(self) -> bool:
        """Whether no client gets permerror: all was seen, there is no error, and none for clients of IPv6 alone."""
        return self.complete and not self.errors and not self.ip6_over_limit

    @property
    def verdict(self) -> str:
        """What receivers say, in words."""
        if self.tree.failure == "no-record":
            return "no record: receivers give none"
        if self.tree.failure == "dns-error":
            return "the record was not found out: receivers give temperror"
        if not self.errors:
            words = "no errors" if self.complete else "no errors in what could be followed"
            ip6 = "; IPv6 clients that no earlier term matches get permerror" if self.ip6_over_limit else ""
            return words + ip6
        result = "temperror" if all(finding.code == "dns-error" for finding in self.errors) else "permerror"
        certain = self.tree.failure or (self.tree.text is not None and not is_valid(self.tree.text))
        return f"errors: receivers give {result}{'' if certain else ' to clients that no earlier term matches'}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "domain": self.domain,
            "record": self.record,
            "ok": self.ok,
            "verdict": self.verdict,
            "complete": self.complete,
            "lookups": self.lookups,
            "void_lookups": {"ip4": self.void_lookups_ip4, "ip6": self.void_lookups_ip6},
            "ip4_addresses": self.ip4_addresses,
            "ip6_networks": self.ip6_networks,
            "questions": self.questions,
            "findings": [finding.to_dict() for finding in self.findings],
            "tree": self.tree.to_dict(),
        }


def is_record(text: str) -> bool:
    """Whether a text given by a person is meant as a record, not as a domain."""
    return " " in text or "=" in text or "\t" in text


def domain_or_record(what: str, domain: str) -> tuple[str, str | None]:
    """What a person gave: a domain without a text, or a record's text with the `domain` where it will stand.

    Raises `ValueError` for what is neither.
    """
    text = what if is_record(what) else None
    given = domain if text is not None else what
    name = to_ascii(given) if given else ""
    if name is None or (name and not is_fqdn(name)) or (text is None and not name):
        raise ValueError(f"neither a domain of two labels or more nor a record: {given[:60]!r}")
    return name, text


def lint(what: str, *, domain: str = "") -> Plan[LintReport]:
    """Check the record of a domain, or a record's text, with everything that it refers to.

    `domain`: where the text will stand. Raises `ValueError`, at once, for what is neither a domain nor a record.
    """
    return _lint(*domain_or_record(what, domain))


def _lint(domain: str, text: str | None) -> Plan[LintReport]:
    found = yield from survey(domain, text)
    tree = found.tree
    old: list[bytes] = []
    if tree.failure == "no-record" and domain:
        # RFC 7208 section 3.1: records of the type SPF (99) are not asked for any more.
        answer = yield Question(domain, "SPF")
        old = [octets for octets in answer.texts if has_version(decoded(octets))] if answer.found else []
    linter = _Linter(found)
    yield from linter.look_at_names()
    findings = [*_of_no_record(tree, old)] if tree.failure else linter.findings()
    complete = not found.truncated and not any(map(_hides_errors, _evaluated(tree)))
    return LintReport(
        domain, tree, tuple(findings), max(found.total.values()), found.voids[4], found.voids[6], complete
    )


# --- no record, or several -------------------------------------------------------------------------------------------


def _of_no_record(tree: TreeRecord, old: Sequence[bytes]) -> Iterator[Finding]:
    """What stands there in place of the one record."""
    texts = () if tree.answer is None else tree.answer.texts[:MAX_OTHER_TEXTS]
    if tree.failure == "dns-error":
        outcome = "" if tree.answer is None else f": {tree.answer.outcome}"
        yield Finding(Severity.ERROR, "dns-error", f"the record cannot be asked{outcome}", tree.domain)
    elif tree.failure == "several-records":
        # RFC 7208 section 3.2: a name MUST NOT have more than one.
        records = tuple(decoded(text) for text in texts if has_version(text.decode("latin-1")))
        words = f"there are {len(records)} SPF records; one is allowed (RFC 7208 section 4.5)"
        yield Finding(Severity.ERROR, "several-records", words, tree.domain, proposal=_in_one(records), texts=records)
    elif tree.failure == "no-record":
        missing = tree.answer is not None and tree.answer.name_exists is False
        words = "the domain does not exist" if missing else "there is no SPF record"
        yield Finding(Severity.ERROR, "no-record", words, tree.domain)
        for octets in old[:1]:
            words = (
                "a record of the type SPF (99): nobody asks for it any more; publish it as TXT (RFC 7208 section 3.1)"
            )
            text = decoded(octets)
            yield Finding(Severity.ERROR, "type-99", words, tree.domain, proposal=text, texts=(text,))
    yield from _near_records(tree, Severity.ERROR)


def _near_records(tree: TreeRecord, severity: Severity) -> Iterator[Finding]:
    """TXT records that were meant as SPF records, and are none."""
    for octets in () if tree.answer is None else tree.answer.texts[:MAX_OTHER_TEXTS]:
        correction = nearly(octets)
        if correction is not None:
            words = f"receivers discard a TXT record that is nearly one: {correction[0]}"
            yield Finding(severity, "nearly", words, tree.domain, proposal=correction[1], texts=(decoded(octets),))


def _in_one(records: Sequence[str]) -> str:
    """Several records as one: the terms of all, each once, with the mildest end; empty if that is no record."""
    words = [[word for word in text.split(" ")[1:] if word] for text in records]
    ends = [word for each in words for word in each if word.lower().lstrip("+-?~") == "all"]
    terms: dict[str, None] = {}
    modifiers: dict[str, str] = {}
    for word in (word for each in words for word in each if word not in ends):
        name, equals, value = word.partition("=")
        if equals and name.lower() == "redirect" and ends:
            # RFC 7208 section 6.1: beside an "all" it would be ignored.
            terms.setdefault(f"include:{value}")
        elif equals and name.lower() == "redirect" and modifiers.get("redirect", word) != word:
            return ""
        elif equals and name.isalpha():
            modifiers.setdefault(name.lower(), word)
        else:
            terms.setdefault(word)
    mildest = sorted(ends, key=lambda word: "+?~-".find(word[0]) if word[0] in "+?~-" else 0)
    # Where somebody forgot to take the old one away, refusing what it allowed would be the surprise.
    end = [end for end in mildest if end[0] in "?~-"][:1]
    # RFC 7208 section 6.1: a redirect stands last.
    last = [modifiers.pop("redirect")] if "redirect" in modifiers else []
    text = " ".join(["v=spf1", *terms, *end, *modifiers.values(), *last])
    return text if is_valid(text) else ""


# --- the tree ----------------------------------------------------------------------------------------------------


class _Linter:
    """Looks at a tree term by term, in the order of the record."""

    def __init__(self, found: Survey) -> None:
        self.found = found
        self.tree = found.tree
        self.meant: dict[str, str] = {}
        """Names that are no use to their mechanism, and the one that they are for."""
        self.places: dict[tuple[int, int], list[str]] = {}
        for record in self.tree.records():
            for term in record.terms:
                if isinstance(term.term, Ip4 | Ip6) and term.passes and len(term.matches) == 2:
                    places = self.places.setdefault((term.matches[0], term.matches[1]), [])
                    if record.domain not in places:
                        places.append(record.domain)

    def look_at_names(self) -> Plan[None]:
        """Whether names that a mechanism finds nothing at are for another one: hosts, or domains with MX hosts."""
        wanted: dict[str, tuple[Question, ...]] = {}
        for record in filter(self.is_ours, self.tree.records()):
            for term in record.terms:
                if isinstance(term.term, Include) and term.failure == "no-record" and term.record is not None:
                    name = term.record.domain
                    wanted[name] = (Question(name, "A"), Question(name, "AAAA"))
                elif isinstance(term.term, Mx | A) and term.questions and term.void == self.found.families:
                    name = term.questions[0].question.name
                    host = (Question(name, "A"), Question(name, "AAAA"))
                    wanted[name] = host if isinstance(term.term, Mx) else (Question(name, "MX"),)
        for name, questions in list(wanted.items())[:MAX_NAMES]:
            if len(self.found.answers) + len(questions) <= MAX_QUESTIONS:
                answers = yield from self.found.ask(questions)
                if any(answer.found for answer in answers):
                    self.meant[name] = "mx" if questions[0].type == "MX" else "a"

    def correction_of(self, term: TreeTerm) -> tuple[str, str]:
        """The other mechanism for the name of a term, in words, and as a proposal; empty if there is none."""
        name = term.record.domain if term.record is not None else term.questions[0].question.name
        meant = self.meant.get(name)
        if meant is None:
            return "", ""
        word = term.text.lstrip("+-?~")
        sign, rest = term.text[: len(term.text) - len(word)], word.lstrip(ascii_letters)
        what = "a host" if meant == "a" else "a domain with MX hosts"
        return f"; {name} is {what}, and {meant} is the mechanism for that", f"{sign}{meant}{rest}"

    def findings(self) -> list[Finding]:
        """All of them."""
        found = list(self.of_record(self.tree))
        found += _near_records(self.tree, Severity.NOTE)
        found += self.costs()
        found += self.breadth()
        if self.found.truncated:
            words = "the tree is too large; not all of it was looked at"
            found.append(Finding(Severity.WARNING, "not-all-seen", words, self.tree.domain))
        return found

    def is_ours(self, record: TreeRecord) -> bool:
        """Whether it is its author's to change: the record itself, and what stands below its domain."""
        return record is self.tree or (bool(self.tree.domain) and is_within(record.domain, self.tree.domain))

    def of_record(self, record: TreeRecord) -> Iterator[Finding]:
        """What is to be said of a record: of its terms in their order, then of the whole."""
        ours = self.is_ours(record)
        text = record.text or ""
        local = [finding for finding in lint_text(text, record.domain) if self.matters(finding, record, ours)]
        of_terms = [finding for finding in local if finding.length]
        ended = False
        for term in record.terms:
            ended |= isinstance(term.term, All)
            end = term.start + len(term.text)
            odd: Finding | None = None
            while of_terms and of_terms[0].start < end:
                finding = of_terms.pop(0)
                if finding.code == "odd-name" and term.failure == "bad-domain":
                    odd = finding
                else:
                    yield replace(finding, path=record.path)
            for finding in self.of_term(record, term, ours, ended):
                if odd is not None:
                    finding = replace(finding, words=odd.words, proposal=odd.proposal)
                yield replace(
                    finding, domain=record.domain, start=term.start, length=len(term.text), term=term.text,
                    record=text, path=record.path,
                )  # fmt: skip
            if term.record is not None and not term.record.failure:
                yield from self.of_record(term.record)
        whole = [finding for finding in local if not finding.length]
        if ours:
            whole += self.of_whole(record)
        for finding in (*of_terms, *whole):
            yield replace(finding, domain=record.domain, record=text, path=record.path)

    def matters(self, finding: Finding, record: TreeRecord, ours: bool) -> bool:
        """Whether a finding about the text is one for the author of the tree."""
        if finding.code == "long-string":
            return record.answer is None  # in the DNS it is split
        if finding.code == "long-record":
            return record.answer is None  # the whole answer is looked at
        if finding.code in ("no-all", "neutral-all") and record.path:
            # What an included record ends with does not matter; what one is redirected to does.
            return ours and all(term.lower().startswith("redirect=") for _, term in record.path)
        return ours or finding.severity is Severity.ERROR or finding.code == "pass-all"

    def of_term(self, record: TreeRecord, term: TreeTerm, ours: bool, ended: bool) -> Iterator[Finding]:
        """What the tree shows of a term; `ended`: it is an "all", or stands behind one."""
        if term.failure:
            yield self.failure(term)
        elif ours and is_mechanism(term.term) and not term.families and not ended:
            words = f"nobody comes to {shown(term.text)}: the terms before it match everybody"
            yield Finding(Severity.WARNING, "unreachable", words)
        elif isinstance(term.term, Include | Redirect) and term.hidden:
            yield Finding(Severity.NOTE, "not-followed", f"{shown(term.text)}: {term.hidden}")
        elif term.families and term.void == self.found.families and is_mechanism(term.term):
            # Another's is not ours to change, but counts among the two that are allowed.
            words, proposal = self.correction_of(term) if isinstance(term.term, Mx | A) else ("", "")
            severity = Severity.WARNING if ours else Severity.NOTE
            yield Finding(severity, "void", f"{shown(term.text)} finds nothing in the DNS{words}", proposal=proposal)
        if isinstance(term.term, Explanation):
            yield from _of_explanation(term, record)
        if ours and term.families:
            yield from self.of_matches(record, term)

    def failure(self, term: TreeTerm) -> Finding:
        """What cannot work; only an include and a redirect must find a record (RFC 7208 section 4.8)."""
        record = isinstance(term.term, Include | Redirect)
        name = "" if term.record is None else term.record.domain
        texts: tuple[str, ...] = ()
        proposal = ""
        match term.failure:
            case "no-record":
                corrections = [] if term.record is None else list(_near_records(term.record, Severity.ERROR))
                words = f"{name or 'its domain'} has no SPF record"
                if isinstance(term.term, Include) and term.record is not None:
                    more, proposal = self.correction_of(term)
                    words += more
                if corrections:
                    words += f"; it has a TXT record that is nearly one: {corrections[0].words.partition(': ')[2]}"
                    texts = corrections[0].texts
            case "several-records":
                words = f"{name} has several SPF records"
                answer = None if term.record is None else term.record.answer
                found = () if answer is None else answer.texts[:MAX_OTHER_TEXTS]
                texts = tuple(decoded(text) for text in found if has_version(text.decode("latin-1")))
            case "loop":
                words = f"{shown(term.text)} leads back to where it comes from"
            case "dns-error":
                failed = next((q for q in term.questions if q.answer.failed), None)
                outcome = _failed_outcome(term)
                words = f"{failed.question if failed else name} cannot be asked: {outcome}"
            case "too-many-mx-hosts":
                exchanges = term.questions[0].answer.exchanges
                words = f"{shown(term.text)} has {len(exchanges)} MX hosts; receivers give up at {MAX_MX_HOSTS + 1}"
            case _:
                words = f"{shown(term.text)}: this is no domain name"
        error = record or term.failure in ("dns-error", "too-many-mx-hosts")
        return Finding(
            Severity.ERROR if error else Severity.WARNING, term.failure, words, proposal=proposal, texts=texts
        )

    def of_matches(self, record: TreeRecord, term: TreeTerm) -> Iterator[Finding]:
        """Whom a term matches: nobody new, somebody private, nearly everybody."""
        if isinstance(term.term, Ip4 | Ip6) and term.passes:
            others = [name for name in self.places.get((term.matches[0], term.matches[1]), ()) if name != record.domain]
            if others:
                yield Finding(Severity.NOTE, "twice", f"the record of {others[0]} has the same network")
        if isinstance(term.term, A | Mx):
            for question in term.questions:
                for address in question.answer.addresses if question.question.type in ("A", "AAAA") else ():
                    bits = 32 if address.version == 4 else 128
                    if private := private_network(int(address), bits, address.version):
                        words = (
                            f"{question.question.name} has {address}, in {private}: no client on the Internet has it"
                        )
                        yield Finding(Severity.WARNING, "private", words)
        adds_nobody = isinstance(term.term, Include) and term.certain and not term.matches
        if adds_nobody and term.passes and record is self.tree and not _stands_before(record, term):
            empty = term.record is not None and not any(map(_has_networks, _evaluated(term.record)))
            why = "nobody passes by its record" if empty else "the terms before it have all of its networks"
            yield Finding(Severity.NOTE, "adds-nobody", f"{shown(term.text)} adds nobody: {why}")
        if isinstance(term.term, All) or record is not self.tree or self.tree.passes == EVERYBODY:
            return
        if term.passes and (many := _many(term.matches)):
            yield Finding(Severity.WARNING, "broad", f"{many} may send as this domain by {shown(term.text)}")

    def of_whole(self, record: TreeRecord) -> Iterator[Finding]:
        """A record of ours as a whole."""
        octets = _answer_octets(record)
        if octets > 512:
            others = 0 if record.answer is None else len(record.answer.texts) - 1
            beside = f", with {others} other TXT records of the name" if others > 0 else ""
            severity = Severity.WARNING if octets > EDNS_OCTETS else Severity.NOTE
            words = f"the answer has {octets} octets{beside}; "
            words += "over 1,232 it is asked again by TCP" if octets > EDNS_OCTETS else "512 fit everywhere"
            yield Finding(severity, "long-answer", f"{words} (RFC 7208 section 3.4)")
        if record is not self.tree or not is_valid(record.text or ""):
            return
        only_ends = all(
            isinstance(term.term, All | Explanation)
            or (isinstance(term.term, UnknownModifier) and term.term.name.lower() in ("ra", "rp", "rr"))
            for term in record.terms
        )
        if not only_ends and record.certain and not record.passes:
            yield Finding(Severity.WARNING, "nobody", "no client passes: the record authorises nobody")

    # --- limits ---

    def costs(self) -> Iterator[Finding]:
        """The limits of RFC 7208 section 4.6.4."""
        lookups = max(self.found.total.values())
        if lookups > MAX_LOOKUPS:
            over = self.first_over()
            words = f"{lookups} lookups; receivers stop after {MAX_LOOKUPS} (RFC 7208 section 4.6.4){over}"
            yield self.whole(Severity.ERROR, "too-many-lookups", words)
        at_most = self.found.voids_at_most
        if at_most[4] > MAX_VOID_LOOKUPS:
            yield self.whole(Severity.ERROR, "too-many-void-lookups", self.void_words(4))
        elif at_most[6] > MAX_VOID_LOOKUPS:
            # Where nobody passes behind it, nobody who may send has the error: hosts without IPv6 are no fault.
            severity = Severity.ERROR if self.ip6_behind_limit() else Severity.NOTE
            yield self.whole(severity, "too-many-void-lookups", self.void_words(6, " for IPv6 clients"))

    def whole(self, severity: Severity, code: str, words: str) -> Finding:
        return Finding(severity, code, words, self.tree.domain, record=self.tree.text or "")

    def first_over(self) -> str:
        for record in self.tree.records():
            for term in record.terms:
                if term.number == MAX_LOOKUPS + 1:
                    where = f" of {record.domain}" if record.domain else ""
                    return f"; the {term.number}th is {shown(term.text)} in the record{where}"
        return ""

    def void_words(self, family: int, who: str = "") -> str:
        """How many terms find nothing, and which."""
        names = [
            shown(term.text) + (f" of {record.domain}" if record is not self.tree else "")
            for record in self.tree.records()
            for term in record.terms
            if family in term.families and _void(term, family)
        ]
        listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        depends = any(
            term.may_be_void and family not in term.void for term in _evaluated(self.tree) if family in term.families
        )
        may = "may find" if depends else "find"
        return f"{len(names)} terms {may} nothing{who}, and receivers stop after {MAX_VOID_LOOKUPS}: {listed}"

    def ip6_behind_limit(self) -> bool:
        """Whether IPv6 clients are authorised by a term that comes after the limit is reached."""
        void = 0
        for term in _evaluated(self.tree):
            if void > MAX_VOID_LOOKUPS and term.record is None and term.passes and not isinstance(term.term, All):
                if both(term.matches, IP6):
                    return True
            void += 6 in term.families and _void(term, 6)
        return False

    def breadth(self) -> Iterator[Finding]:
        """How many may send in all."""
        passes = self.tree.passes
        by_all = any(isinstance(term.term, All) and term.passes for term in self.tree.terms)
        by_one = any(term.passes and _many(term.matches) for term in self.tree.terms)
        if passes == EVERYBODY and not by_all:
            by = [term.text for term in self.tree.terms if term.passes and term.matches]
            last = f", by {shown(by[-1])}" if by else ""
            yield self.whole(Severity.WARNING, "everybody", f"everybody may send mail as this domain{last}")
        elif not by_all and not by_one and (many := _many(passes)):
            yield self.whole(Severity.WARNING, "broad", f"{many} may send as this domain")


def _hides_errors(term: TreeTerm) -> bool:
    """Whether what it asks is not known, so that it may be an error to some: no record, too many MX hosts.

    What finds nothing for some client only is counted; of a text without a domain it is not known for any.
    """
    return bool(term.hidden) and (isinstance(term.term, Include | Redirect | Mx) or term.hidden == UNKNOWN_DOMAIN)


def _void(term: TreeTerm, family: int) -> bool:
    return family in term.void or term.may_be_void


def _evaluated(record: TreeRecord) -> Iterator[TreeTerm]:
    """The terms of a tree in the order in which a client that matches nothing comes to them."""
    for term in record.evaluated:
        yield term
        if term.record is not None:
            yield from _evaluated(term.record)


def _has_networks(term: TreeTerm) -> bool:
    """Whether it names an address at all."""
    asked = (each.answer for each in term.questions if each.question.type in ("A", "AAAA"))
    return isinstance(term.term, Ip4 | Ip6) or any(answer.found for answer in asked)


def _stands_before(record: TreeRecord, term: TreeTerm) -> bool:
    """Whether the same term stands before this one; lint_text says so."""
    return any(other.text == term.text and other.start < term.start for other in record.terms)


def _failed_outcome(term: TreeTerm) -> str:
    answers = [question.answer for question in term.questions]
    if term.record is not None and term.record.answer is not None:
        answers.append(term.record.answer)
    return next((str(answer.outcome) for answer in answers if answer.failed), "dns-error")


def _of_explanation(term: TreeTerm, record: TreeRecord) -> Iterator[Finding]:
    """RFC 7208 section 6.2: with anything wrong here, a fail is explained by nobody."""
    fails = any(getattr(other.term, "qualifier", None) is Qualifier.FAIL and other.families for other in record.terms)
    if not fails and not record.path:
        words = "nobody gets these words: they explain a fail, and no term of this record begins with -"
        yield Finding(Severity.NOTE, "explanation", words)
    for question in term.questions:
        answer, name = question.answer, question.question.name
        words = ""
        if answer.failed:
            words = f"{name} cannot be asked: {answer.outcome}"
        elif not answer.found:
            words = f"there is no TXT record at {name}: a fail is not explained"
        elif all(has_version(text.decode("latin-1")) for text in answer.texts):
            words = f"what stands at {name} is an SPF record, and no explanation"
        elif len(answer.texts) > 1:
            words = f"{len(answer.texts)} TXT records at {name}, where one is allowed: a fail is not explained"
        else:
            try:
                parse_explain_string(answer.texts[0].decode("latin-1"))
            except TermError as error:
                words = f"the explanation at {name} is in error: {error.words}"
        if words:
            texts = tuple(decoded(text) for text in answer.texts[:3]) if answer.found else ()
            yield Finding(Severity.WARNING, "explanation", words, texts=texts)


def _many(ranges: Ranges) -> str:
    """How many there are, where that is too many; empty otherwise."""
    if len(ranges) > 2 and sum(behind - first for first, behind in pairs(ranges)) <= MANY_IP4_ADDRESSES:
        return ""
    ip4, ip6 = size(ranges, 4), -(-size(ranges, 6) >> 64)
    words = [f"{ip4:,} IPv4 addresses"] if ip4 > MANY_IP4_ADDRESSES else []
    if ip6 > MANY_IP6_NETWORKS:
        words.append(f"{counted(ip6)} IPv6 networks of /64")
    return " and ".join(words)


def _answer_octets(record: TreeRecord) -> int:
    """The size of the DNS answer with the record: RFC 7208 section 3.4 counts all TXT records of the name."""
    if record.answer is None:
        return 0
    # RFC 1035 section 4.1: the header, the question; each record 12 octets, with its name compressed, and a length
    # octet for each string of 255; RFC 6891: 11 octets for OPT.
    size_of = [12 + len(text) + max(1, -(-len(text) // 255)) for text in record.answer.texts]
    return 12 + len(record.domain) + 2 + 4 + 11 + sum(size_of)


__all__ = ["Finding", "LintReport", "Severity", "is_record", "lint", "lint_text"]
