"""The evaluation of SPF records.

Check_host() of RFC 7208, as a plan: one short function for each mechanism. It walks through parsed records only; it
asks questions by yielding them, and reads no clock.
"""

# SECURITY: records, their number and what they refer to are chosen by whoever sends the mail. The work is bounded by
# the limits of `SpfPolicy`: at most 10 terms ask, one of them at most 11 questions, plus one question for the first
# record and 12 for an explanation. Recursion is bounded by the same ten. Names are checked before they are asked
# (`target_name`), texts before they are returned.

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeAlias, cast

from mailauth.mail.names import MAX_ADDRESS_CHARACTERS, is_within, reverse_name, to_ascii
from mailauth.plan.dns import TIMED_OUT, Answer, Exchange, Outcome, Question
from mailauth.plan.execution import Plan
from mailauth.spf.compile import Lookup, Networks, Step
from mailauth.spf.identity import UNKNOWN, Client, record_question, split_sender
from mailauth.spf.macros import MacroString, expand_name, expand_text, parse_explain_string, target_name
from mailauth.spf.policy import SpfPolicy
from mailauth.spf.problem import Problem, TermError, shown
from mailauth.spf.record import Record, parsed_record
from mailauth.spf.result import Discarded, Identity, Reason, SpfResult, result_of
from mailauth.spf.terms import IP4_BITS, IP6_BITS, Asking, Exists, Include, Mechanism, Mx, Ptr, Result


class Watcher(Protocol):
    """What follows an evaluation, to trace it."""

    def follow(self, record: Record, domain: str) -> Iterator[Step]:
        """The steps of a record; whoever takes the next one found no match in the last."""

    def begin_explanation(self) -> None:
        """What is asked from now on is for the explanation."""


# Members of an Enum cost a lookup each; these are used for every answer.
_FOUND, _NO_DATA = Outcome.FOUND, Outcome.NO_DATA
_PASS, _FAIL, _NEUTRAL, _NONE = Result.PASS, Result.FAIL, Result.NEUTRAL, Result.NONE
_MATCHED, _DEFAULT, _NO_DOMAIN = Reason.MATCHED, Reason.DEFAULT, Reason.NO_DOMAIN

_FAILURES = {
    Outcome.TIMED_OUT: (Reason.DNS_TIMED_OUT, "timed out"),
    Outcome.SERVER_FAILURE: (Reason.DNS_SERVER_FAILURE, "got a server failure"),
    Outcome.REFUSED: (Reason.DNS_REFUSED, "was refused"),
}

_new = tuple.__new__

_LOCAL_PART = frozenset("sl")
_RECEIVER = re.compile(r"[\x21-\x7e]{1,255}\Z")
_PRINTABLE = re.compile(r"[\x20-\x7e]+\Z")

Verdict: TypeAlias = tuple[Result, Mechanism | None, Record, str]
"""How a record decided: the result, the mechanism that matched, the record, and the domain that it stands at."""


# --- the evaluation ---------------------------------------------------------------------------------------


class Stop(Exception):
    """The topmost check_host() returns this error at once (RFC 7208 sections 4.6.2, 5.2)."""

    def __init__(self, result: Result, reason: Reason, problem: str) -> None:
        super().__init__(problem)
        self.result = result
        self.reason = reason
        self.problem = problem


class Evaluation:
    """One check_host(): what it was called with, and what it has counted so far."""

    __slots__ = (
        "client", "discarded", "domain", "explaining", "given", "helo", "identity", "local_part", "lookups",
        "macro_values", "missing", "now", "out_of_time", "policy", "question", "receiver", "reverse_names", "tracer",
        "valid_names", "void_lookups",
    )  # fmt: skip

    def __init__(
        self,
        client: Client,
        identity: Identity,
        mail_from: str,
        helo: str,
        policy: SpfPolicy,
        receiver: str | None,
        now: float | None,
    ) -> None:
        self.client = client
        self.identity = identity
        self.helo = helo
        self.policy = policy
        self.receiver = receiver
        self.now = now
        self.local_part, given_domain = split_sender(mail_from, helo)
        self.question = question = record_question(given_domain)
        self.domain = given_domain if question is None else question.name
        if question is None:
            self.given = len(mail_from or helo)
        self.lookups = self.void_lookups = 0
        self.explaining = False
        self.tracer: Watcher | None = None
        self.out_of_time = False  # a question was left open by the time limit
        self.macro_values: dict[str, str] | None = None
        self.reverse_names: list[str] | None = None
        self.valid_names: dict[str, bool] | None = None
        self.discarded: tuple[Discarded, ...] = ()
        self.missing = _NO_DOMAIN
        """Why the last domain that was looked at has no record."""

    def result(self) -> Plan[SpfResult]:
        """check_host() for the <domain> of the sender, and the explanation if it fails."""
        if self.question is None:
            # RFC 7208 section 4.3: malformed or not a multi-label name.
            return self.without_verdict(_NONE, Reason.NO_DOMAIN, _no_domain(self.identity, self.domain, self.given))
        try:
            answer: Answer = yield self.question
            record = self.record_of(self.domain, answer)
            if record is None:
                words = f"{self.domain} {_MISSING_WORDS[self.missing]}"
                return self.without_verdict(_NONE, self.missing, words + self.nearly_words())
            if record.asks or self.tracer is not None:
                verdict = yield from self.evaluate(record, self.domain)
            else:
                verdict = self.decide(record, self.domain)
        except Stop as stop:
            return self.without_verdict(stop.result, stop.reason, stop.problem)
        result, directive, record, where = verdict
        explanation = None
        if result is _FAIL and record.explanation is not None and self.policy.explain:
            try:
                explanation = yield from self.explain(record, where)
            except Stop:
                explanation = None  # the time was over: a fail without words (RFC 7208 section 6.2)
        return self.finished(result, _DEFAULT if directive is None else _MATCHED, directive, record, where, explanation)

    def without_verdict(self, result: Result, reason: Reason, problem: str) -> SpfResult:
        """No record decided."""
        return self.finished(result, reason, None, None, "", None, problem)

    def finished(
        self,
        result: Result,
        reason: Reason,
        directive: Mechanism | None,
        record: Record | None,
        record_domain: str,
        explanation: str | None,
        problem: str = "",
    ) -> SpfResult:
        return result_of(
            {
                "result": result,
                "reason": reason,
                "identity": self.identity,
                "domain": "" if self.question is None else self.domain,
                "sender": f"{self.local_part}@{self.domain}",
                "helo": self.helo,
                "ip": self.client.ip,
                "directive": directive,
                "record": record,
                "record_domain": record_domain,
                "explanation": explanation,
                "lookups": self.lookups,
                "void_lookups": self.void_lookups,
                "problem": problem,
                "discarded": self.discarded,
            }
        )

    def decide(self, record: Record, domain: str) -> Verdict:
        """What a record says that asks nothing (`Record.asks`): it holds networks and an end."""
        number = self.client.number
        if record.program and bisect_right(record.program[0].bounds, number) & 1:  # type: ignore[union-attr]
            term = record.program[0].first_match(number)  # type: ignore[union-attr]
            return term.qualifier.result, term, record, domain
        return _ending(record, domain)

    def evaluate(self, record: Record, domain: str) -> Plan[Verdict]:
        """What a record says (RFC 7208 section 4.6). Errors end the whole evaluation: `Stop`."""
        number, is_ip4, max_lookups = self.client.number, self.client.is_ip4, self.policy.max_lookups
        # A tracer looks over our shoulder; it hands us the same steps.
        steps = record.program if self.tracer is None else self.tracer.follow(record, domain)
        # RFC 7208 section 4.6.2: each mechanism is considered in turn from left to right.
        for step in steps:
            if type(step) is Networks:
                if bisect_right(step.bounds, number) & 1:
                    term = step.first_match(number)
                    return term.qualifier.result, term, record, domain
                continue
            self.lookups = lookups = self.lookups + 1
            if lookups > max_lookups:
                raise self.too_many_lookups()
            if step.letters:
                if "p" in step.letters:
                    yield from self.prepare_validated_name(domain)
                if not self.local_part.isascii() and not self.can_match(step):
                    continue
            question = (step.question if is_ip4 else step.question6) or self.question_of(step, domain)
            directive: Any = step.term
            if not step.one_answer:
                matched = yield from _MATCHES[type(directive)](self, step, domain, question)
            elif question is None:
                continue
            else:
                answer: Answer = yield question
                if answer.outcome is not _FOUND:
                    self.nothing(question, answer)
                    continue
                # RFC 7208 section 5.7: any A record will do, even for an IPv6 client. Section 5.3: the client's own.
                matched = type(directive) is Exists or self.holds(answer, directive.ip4_length, directive.ip6_length)
            if matched:
                return directive.qualifier.result, directive, record, domain
        if record.redirect_step is not None:
            return (yield from self.redirect(record.redirect_step, domain))
        return _ending(record, domain)

    def can_match(self, step: Lookup) -> bool:
        # RFC 8616 section 4: with a local part that is not ASCII, terms with %{s} or %{l} do not match anything.
        return self.local_part.isascii() or step.letters.isdisjoint(_LOCAL_PART)

    def record_of(self, domain: str, answer: Answer) -> Record | None:
        """Pick and parse the record of a domain (RFC 7208 sections 4.3 to 4.6)."""
        if answer.outcome is not _FOUND:
            if answer.failed:
                # RFC 7208 section 4.4: any other error, and a timeout, is a temperror.
                raise _dns_error(Question(domain, "TXT"), answer)
            self.missing = Reason.NO_RECORD if answer.outcome is _NO_DATA else Reason.NO_SUCH_DOMAIN
            if self.lookups:
                # An include or redirect asked: counted, but the missing record is a permerror in any case.
                self.void_lookups += 1
            return None
        found: Record | Problem | None = None
        for octets in answer.records:
            # RFC 7208 section 4.5: records with another version are discarded, whatever is in them.
            record = parsed_record(octets)
            if record is not None:
                if found is not None:
                    self.discarded = _several(domain, answer)
                    raise Stop(Result.PERMERROR, Reason.SEVERAL_RECORDS, f"{domain} has several SPF records")
                found = record
        if type(found) is Record:
            return found
        if isinstance(found, Problem):
            # RFC 7208 section 4.6: a syntax error anywhere is a permerror, before anything is evaluated.
            raise Stop(Result.PERMERROR, Reason.SYNTAX_ERROR, f"the record of {domain} is in error at {found}")
        self.missing = Reason.NO_RECORD
        self.discarded = _nearly(domain, answer)
        return None

    def nearly_words(self) -> str:
        """Words about a TXT record that was meant as the one that is missing; empty if there is none."""
        return f"; a TXT record is nearly one: {shown(self.discarded[0].why)}" if self.discarded else ""

    # --- limits (RFC 7208 section 4.6.4) ---

    def too_many_lookups(self) -> Stop:
        """RFC 7208 section 4.6.4: more than ten terms are a permerror."""
        self.lookups = self.policy.max_lookups
        words = f"more than {self.lookups} terms ask the DNS"
        return Stop(Result.PERMERROR, Reason.TOO_MANY_LOOKUPS, words)

    def count_lookup(self) -> None:
        self.lookups += 1
        if self.lookups > self.policy.max_lookups:
            raise self.too_many_lookups()

    def count_void(self) -> None:
        """RFC 7208 section 4.6.4: a third void lookup is a permerror."""
        self.void_lookups += 1
        if self.void_lookups > self.policy.max_void_lookups:
            words = f"more than {self.policy.max_void_lookups} terms ask for what is not in the DNS"
            raise Stop(Result.PERMERROR, Reason.TOO_MANY_VOID_LOOKUPS, words)

    # --- asking ---

    def question_of(self, step: Lookup, domain: str) -> Question | None:
        """The question that a term begins with, its name expanded; None if that gives no name.

        RFC 7208 section 4.8: without a domain-spec, the <domain> is the target.
        """
        name: str | None = domain
        if step.name is not None:
            name = target_name(expand_name(step.name, self.values(step.letters, domain)))
            if name is None:
                return None
        # Question(...) without the detour of a named tuple's constructor.
        return _new(Question, (name, step.rtype if self.client.is_ip4 else step.rtype6))

    def prepare_validated_name(self, domain: str) -> Plan[None]:
        """Set the value of %{p}. RFC 7208 section 4.6.4: its PTR question counts like that of "ptr".

        A void answer to it does not: what is limited are terms, and the term has a question of its own.
        """
        if self.reverse_names is None and not self.explaining:
            self.count_lookup()
        name = yield from self.validated_name(domain)
        if name == UNKNOWN:
            self.require_time()
        self.values(frozenset(), domain)["p"] = name

    def require_time(self) -> None:
        """Stop where the time limit left open what the client's names are.

        RFC 7208 section 4.6.4: an exceeded time limit is a temperror. Section 5.5, by which a DNS error is no match,
        speaks of other errors.
        """
        if self.out_of_time:
            raise Stop(Result.TEMPERROR, Reason.DNS_TIMED_OUT, TIMED_OUT.detail)

    def nothing(self, question: Question, answer: Answer) -> None:
        """A term asked for what is not there: a void lookup (section 4.6.4).

        RFC 7208 section 5: "no such name" is the same as no records, everything else is a temperror.
        """
        if answer.failed:
            raise _dns_error(question, answer)
        self.count_void()

    def holds(self, answer: Answer, ip4_length: int, ip6_length: int) -> bool:
        """Whether an answer to A or AAAA holds the client's address, as far as the prefix length says (section 5)."""
        client = self.client
        shift = IP4_BITS - ip4_length if client.is_ip4 else IP6_BITS - ip6_length
        wanted = client.address >> shift
        # A loop: a generator expression would cost more than all of it.
        for address in answer.records:  # noqa: SIM110
            if int(address) >> shift == wanted:
                return True
        return False

    # --- mechanisms (RFC 7208 section 5) ---

    def match_include(self, step: Lookup, domain: str, question: Question | None) -> Plan[bool]:
        """RFC 7208 section 5.2: another domain's record gives pass."""
        verdict = yield from self.check(question)
        if verdict is None:
            raise self.no_record(Reason.INCLUDE_WITHOUT_RECORD, step, domain, question)
        return verdict[0] is _PASS

    def no_record(self, reason: Reason, step: Lookup, domain: str, question: Question | None) -> Stop:
        name = "what it names" if question is None else question.name
        words = f"{shown(step.term)} in the record of {domain}: {name} has no SPF record{self.nearly_words()}"
        return Stop(Result.PERMERROR, reason, words)

    def check(self, question: Question | None) -> Plan[Verdict | None]:
        """The recursive check_host() of include and redirect; None if there is no record.

        RFC 7208 section 4.3: a malformed or single-label domain has none.
        """
        if question is None or "." not in question.name:
            return None
        answer: Answer = yield question
        record = self.record_of(question.name, answer)
        if record is None:
            return None
        if record.asks or self.tracer is not None:
            return (yield from self.evaluate(record, question.name))
        return self.decide(record, question.name)

    def match_mx(self, step: Lookup, domain: str, question: Question | None) -> Plan[bool]:
        """RFC 7208 section 5.4: one of the addresses of a name's MX hosts; no implicit MX."""
        if question is None:
            return False
        answer: Answer = yield question
        if answer.outcome is not _FOUND:
            self.nothing(question, answer)
            return False
        if len(answer.exchanges) > self.policy.max_mx_hosts:
            # RFC 7208 section 4.6.4; erratum 5227: the limit is on the hosts of one "mx".
            problem = f"{question.name} has more than {self.policy.max_mx_hosts} MX hosts"
            raise Stop(Result.PERMERROR, Reason.TOO_MANY_MX_HOSTS, problem)
        return (yield from self.match_exchanges(cast("Mx", step.term), sorted(answer.exchanges)))

    def match_exchanges(self, term: Mx, exchanges: list[Exchange]) -> Plan[bool]:
        void = False
        for exchange in exchanges:
            name = target_name(exchange.host)
            if name is None:  # a null MX (RFC 7505), or no name at all
                continue
            question = Question(name, self.client.address_type)
            answer: Answer = yield question
            if answer.failed:
                raise _dns_error(question, answer)
            if self.holds(answer, term.ip4_length, term.ip6_length):
                return True
            void = void or answer.void
        if void:
            # RFC 7208 section 4.6.4 limits the number of terms for which there is nothing, so a term counts once.
            self.count_void()
        return False

    def match_ptr(self, step: Lookup, domain: str, question: Question | None) -> Plan[bool]:
        """RFC 7208 section 5.5: a reverse name of the client leads back to it, and lies in the target domain."""
        if question is None:
            return False
        for name in (yield from self.names_of_client(void_counts=True)):
            if is_within(name, question.name) and (yield from self.is_validated(name)):
                return True
        self.require_time()
        return False

    # --- modifiers (RFC 7208 section 6) ---

    def redirect(self, step: Lookup, domain: str) -> Plan[Verdict]:
        """RFC 7208 section 6.1; it counts as a lookup (section 4.6.4)."""
        self.count_lookup()
        if "p" in step.letters:
            yield from self.prepare_validated_name(domain)
        question = (step.question or self.question_of(step, domain)) if self.can_match(step) else None
        verdict = yield from self.check(question)
        if verdict is None:
            raise self.no_record(Reason.REDIRECT_WITHOUT_RECORD, step, domain, question)
        return verdict

    def explain(self, record: Record, domain: str) -> Plan[str | None]:
        """The explanation that goes with a fail of this record (RFC 7208 section 6.2); None if anything is wrong."""
        assert record.explanation is not None
        # RFC 7208 section 4.6.4: what an explanation asks comes later and is not subject to the limits.
        self.explaining = True
        if self.tracer is not None:
            self.tracer.begin_explanation()
        spec = record.explanation.domain_spec
        if "p" in spec.letters:
            yield from self.prepare_validated_name(domain)
        name = target_name(expand_name(spec, self.values(spec.letters, domain)))
        if name is None:
            return None
        answer: Answer = yield Question(name, "TXT")
        if not answer.found or len(answer.texts) != 1:
            return None
        try:
            text = parse_explain_string(answer.texts[0].decode("latin-1"))
        except TermError:
            return None
        return (yield from self.explanation(text, domain))

    def explanation(self, string: MacroString, domain: str) -> Plan[str | None]:
        letters = string.letters
        if "t" in letters and self.now is None:
            return None
        if "p" in letters:
            yield from self.prepare_validated_name(domain)
        text = expand_text(string, self.values(letters, domain), self.policy.max_explanation)
        # RFC 7208 section 6.2: limited to US-ASCII. Macros may bring in anything that the client sent.
        return text if _PRINTABLE.match(text) else None

    # --- reverse names: "ptr" and %{p} (RFC 7208 sections 5.5 and 7.3) ---

    def names_of_client(self, *, void_counts: bool) -> Plan[list[str]]:
        """The first PTR names of the client, asked once; none after a DNS error (section 5.5).

        RFC 7208 section 4.6.4: what stands behind the tenth name is ignored.
        """
        if self.reverse_names is None:
            answer: Answer = yield Question(reverse_name(self.client.ip), "PTR")
            self.out_of_time |= answer is TIMED_OUT
            names = answer.names[: self.policy.max_ptr_names]
            self.reverse_names = [name for name in map(target_name, names) if name is not None]
            if answer.void and void_counts:
                self.count_void()
        return self.reverse_names

    def is_validated(self, name: str) -> Plan[bool]:
        """Whether a PTR name leads back to the client; a DNS error skips the name (RFC 7208 section 5.5).

        What the owner of the client's address puts there must not make an error of the domain's record
        (section 4.6.4 says so for the limit of ten), so missing names are not counted as void.
        """
        if self.valid_names is None:
            self.valid_names = {}
        valid = self.valid_names.get(name)
        if valid is None:
            answer: Answer = yield Question(name, self.client.address_type)
            self.out_of_time |= answer is TIMED_OUT
            valid = self.valid_names[name] = self.holds(answer, IP4_BITS, IP6_BITS)
        return valid

    def validated_name(self, domain: str) -> Plan[str]:
        """%{p}: the domain itself if it is validated, else a name below it, else any (RFC 7208 section 7.3)."""
        names = yield from self.names_of_client(void_counts=False)
        for name in sorted(names, key=lambda name: (name != domain, not is_within(name, domain))):
            if (yield from self.is_validated(name)):
                return name
        return UNKNOWN

    def values(self, letters: frozenset[str], domain: str) -> dict[str, str]:
        """The values of these macro letters, among others."""
        values = self.macro_values
        if values is None:
            client = self.client
            values = self.macro_values = {
                "l": self.local_part, "o": self.domain, "i": client.dotted, "ir": client.dotted_reversed, "d": domain,
            }  # fmt: skip
        else:
            values["d"] = domain
        if not letters <= _AT_HAND:
            for letter in letters - _AT_HAND:
                if letter not in values:
                    values[letter] = _VALUES[letter](self)
        return values


_AT_HAND = frozenset("lodip")
_VALUES: Mapping[str, Callable[[Evaluation], str]] = {
    "s": lambda evaluation: f"{evaluation.local_part}@{evaluation.domain}",
    "c": lambda evaluation: str(evaluation.client.ip),
    "v": lambda evaluation: "in-addr" if evaluation.client.is_ip4 else "ip6",
    "h": lambda evaluation: _helo_value(evaluation.helo),
    "r": lambda evaluation: _receiver_value(evaluation.receiver or ""),
    "t": lambda evaluation: str(int(evaluation.now or 0)),
}


_MATCHES: Mapping[type[Asking], Callable[[Evaluation, Lookup, str, Question | None], Plan[bool]]] = {
    Include: Evaluation.match_include,
    Mx: Evaluation.match_mx,
    Ptr: Evaluation.match_ptr,
}


def _ending(record: Record, domain: str) -> Verdict:
    """What holds where nothing matches and nothing is redirected."""
    if record.all is not None:
        return record.all.qualifier.result, record.all, record, domain
    # RFC 7208 section 4.7: the default result.
    return _NEUTRAL, None, record, domain


# --- words ------------------------------------------------------------------------------------------------

_MISSING_WORDS = {
    Reason.NO_RECORD: "has no SPF record",
    Reason.NO_SUCH_DOMAIN: "does not exist",
}


_MAX_LOOKED_AT = 20
"""TXT records that are looked at for being nearly an SPF record."""
_HEAD = 80
"""Octets of each in which the name of SPF has to stand."""


_LOOKS_LIKE_ONE = re.compile(rb"(?i)spf|sfp|psf")


def _nearly(domain: str, answer: Answer) -> tuple[Discarded, ...]:
    """The TXT records that were meant as an SPF record, and are none."""
    texts = [octets for octets in answer.texts[:_MAX_LOOKED_AT] if _LOOKS_LIKE_ONE.search(octets[:_HEAD])]
    if not texts:
        return ()
    from mailauth.spf.slips import decoded, nearly  # seldom needed, and slow to load

    corrections = [(octets, correction) for octets in texts if (correction := nearly(octets)) is not None]
    return tuple(Discarded(domain, decoded(octets), why, proposal) for octets, (why, proposal) in corrections)


def _several(domain: str, answer: Answer) -> tuple[Discarded, ...]:
    """The SPF records of a domain that has more than one."""
    from mailauth.spf.slips import MAX_TEXT, decoded

    records = [octets for octets in answer.texts if parsed_record(octets) is not None]
    why = f"one of {len(records)} SPF records, where one is allowed"
    return tuple(Discarded(domain, decoded(octets[:MAX_TEXT]), why) for octets in records[:_MAX_LOOKED_AT])


def _no_domain(identity: Identity, given: str, length: int) -> str:
    what = "the HELO name" if identity == "helo" else "the domain of the sender"
    if length > MAX_ADDRESS_CHARACTERS:
        whole = "the HELO name" if identity == "helo" else "the sender"
        return f"{whole} is longer than {MAX_ADDRESS_CHARACTERS} characters"
    if not given:
        return f"{what} is empty"
    if given.startswith("["):
        return f"{what} is an address literal"
    return f"{what} is not a domain name of two labels or more"


def _helo_value(helo: str) -> str:
    if not helo or len(helo) > MAX_ADDRESS_CHARACTERS:
        return UNKNOWN
    return helo if helo.isascii() else to_ascii(helo) or UNKNOWN


def _receiver_value(receiver: str) -> str:
    # RFC 7208 section 7.3: "unknown" where there is no name.
    return receiver if _RECEIVER.match(receiver) else UNKNOWN


def _dns_error(question: Question, answer: Answer) -> Stop:
    reason, words = _FAILURES[answer.outcome]
    return Stop(Result.TEMPERROR, reason, f"the DNS question {question} {words}")
