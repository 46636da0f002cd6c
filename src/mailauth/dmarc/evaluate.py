"""The evaluation (RFC 9989 sections 4.10.1, 4.10.2, 5.3 and 8): policy discovery, alignment, pass or fail.

`check` returns a plan. It asks in two rounds at most: the names of the author's walk; then those of the identifiers'
walks that are not known yet, and whether the author's domain exists, where np= makes it matter.
"""

# SECURITY: From, d= and MAIL FROM come from the peer. An identifier is walked only if it can be aligned at all, which
# means that it stands below the author's organizational domain; their number is bounded, and a message with more is
# never called a fail or a pass by what was not looked at.

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from mailauth.dmarc.policy import DmarcPolicy
from mailauth.dmarc.record import Alignment, DmarcRecord, Policy
from mailauth.dmarc.result import RESULT_OF, DmarcResult, Identifier, Override, OverrideType, Reason, Result
from mailauth.dmarc.walk import Walk, question_at, visit, walk_from, walk_names
from mailauth.dmarc.walk import walk as walk_plan
from mailauth.mail.author import Author
from mailauth.mail.names import is_fqdn, is_within, to_ascii
from mailauth.mail.text import printable
from mailauth.plan import MAX_NAME_OCTETS, Answer, Plan, Question, ask_all


class SpfResult(Protocol):
    """What is read of a result of SPF; `mailauth.spf.SpfResult` has it."""

    @property
    def result(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def domain(self) -> str | None: ...


class Signature(Protocol):
    """What is read of a result of DKIM; `mailauth.dkim.Signature` has it."""

    @property
    def result(self) -> str: ...
    @property
    def domain(self) -> str | None: ...
    @property
    def selector(self) -> str | None: ...


class Chain(Protocol):
    """What is read of a result of ARC; `mailauth.arc.ArcResult` has it."""

    def vouch(self, author: str, sealers: Sequence[str]) -> str | None:
        """The words for the report, if these sealers vouch for the author's domain; else None."""


_DEFAULT_POLICY = DmarcPolicy()
_MAYBE = "temperror"


def check(
    author: str | Author,
    *,
    spf: SpfResult | None = None,
    dkim: Iterable[Signature] = (),
    arc: Chain | None = None,
    policy: DmarcPolicy = _DEFAULT_POLICY,
    walk: Walk | None = None,
) -> Plan[DmarcResult]:
    """A plan that evaluates DMARC for the author's domain, from results of SPF and DKIM that were found before.

    `author` is the domain in From, or what `mailauth.mail.author.read_author` found; U-labels are converted. Of SPF
    counts a pass for MAIL FROM, which for the null sender is that of HELO (RFC 7208 section 2.4), and never a result
    for HELO itself; of DKIM every pass. `arc` is the message's chain of ARC sets, which counts only for the policy's
    `trusted_sealers`. `walk` is the walk from the author's domain, where it was made before.
    A text that is no domain name gives permerror (RFC 9989 section 5.3.1).
    """
    domain, why = _author_domain(author)
    if domain is None:
        return DmarcResult(Reason.NO_AUTHOR, why, None)
    if walk is None or walk.start != domain:
        walk = yield from walk_plan(domain)
    applied = _discover(walk)
    if isinstance(applied, DmarcResult):
        return applied
    evaluation = _Evaluation(walk, applied, policy, _candidates(spf, dkim), arc)
    names, questions = evaluation.open_names(), evaluation.open_questions()
    if names or questions:
        answers = yield from ask_all([*map(question_at, names), *questions])
        evaluation.take(names, answers)
    return evaluation.result()


def _author_domain(author: str | Author) -> tuple[str | None, str]:
    if isinstance(author, Author):
        return author.domain, author.detail
    name = _domain_name(author) if len(author) <= MAX_NAME_OCTETS + 1 else None
    return name, "" if name is not None else f"{printable(author, 80)!r} is no domain name of two labels or more"


@lru_cache(maxsize=1024)
def _domain_name(text: str) -> str | None:
    name = to_ascii(text)
    return name if name is not None and is_fqdn(name) else None


@dataclass(frozen=True, slots=True)
class _Applied:
    """The record that applies to the author (RFC 9989 section 4.10.1)."""

    name: str  # the policy domain
    record: DmarcRecord
    own: bool  # published for the author itself: p= applies


def _discover(walk: Walk) -> _Applied | DmarcResult:
    """The record of the author, else of its organizational domain, else of its public suffix; or why none applies."""
    record, name = walk.own_record, walk.start
    organizational = walk.organizational_domain

    def ended(reason: Reason, detail: str) -> DmarcResult:
        return DmarcResult(
            reason,
            detail,
            walk.start,
            policy_domain=None if record is None else name,
            organizational_domain=organizational,
            record=record,
            trace=walk.visits,
            queries=len(walk_names(walk.start)),
        )

    if record is None:
        if walk.failed is not None:
            asked = question_at(walk.failed.name)
            return ended(Reason.DNS_ERROR, f"{asked} could not be looked up: {walk.failed.answer.outcome}")
        assert organizational is not None  # only a DNS error hides it
        record, name = walk.record_at(organizational), organizational
        if record is None and walk.public_suffix is not None:
            record, name = walk.public_suffix.record, walk.public_suffix.name
    if record is None:
        if walk.unusable is not None:
            return ended(Reason.UNUSABLE_RECORD, f"{question_at(walk.unusable.name).name}: {walk.unusable.words}")
        why = "".join(f"; {question_at(each.name).name} has {each.words}" for each in walk.discarded)
        return ended(Reason.NO_RECORD, f"no DMARC record applies to {walk.start}{why}")
    if record.p is None:
        return ended(Reason.NO_POLICY, f"the record at _dmarc.{name} has no usable policy and no reporting address")
    return _Applied(name, record, name == walk.start)


@dataclass(slots=True)
class _Candidate:
    """An identifier of SPF or DKIM, whatever became of it."""

    method: str
    domain: str
    selector: str | None
    result: str
    too_many: bool = False  # behind the bound, so that its organizational domain was not looked up
    may_align: bool = False  # it did not pass for a DNS error, and would or might be aligned

    @property
    def counts(self) -> bool:
        """Whether its alignment matters: it passed, or might have but for a DNS error."""
        return self.result in (Result.PASS, _MAYBE)


def _candidates(spf: SpfResult | None, dkim: Iterable[Signature]) -> list[_Candidate]:
    """MAIL FROM first, then the signatures in their order."""
    found = []
    # RFC 9989 section 3.2.4: the SPF domain is that of MAIL FROM; a pass of HELO alone proves nothing of it.
    if spf is not None and spf.identity == "mailfrom" and spf.domain:
        found.append(_Candidate("spf", spf.domain, None, str(spf.result)))
    found += [_Candidate("dkim", each.domain, each.selector, str(each.result)) for each in dkim if each.domain]
    for candidate in found:
        candidate.domain = to_ascii(candidate.domain) or ""
    return [candidate for candidate in found if candidate.domain]


class _Evaluation:
    """The record that applies, and the identifiers on their way to an answer."""

    exists: bool | None = None  # whether the author's domain exists, where it was asked
    existence: Answer | None = None

    def __init__(
        self,
        walk: Walk,
        applied: _Applied,
        policy: DmarcPolicy,
        candidates: Sequence[_Candidate],
        arc: Chain | None,
    ) -> None:
        self.author = walk.start
        self.applied = applied
        self.policy = policy
        self.candidates = candidates
        self.arc = arc
        self.organizational = walk.organizational_domain
        self.first = walk.visits[0]
        self.known = {found.name: found for found in (*walk.visits, *walk.beyond)}
        self.queries = len(self.known)
        self.walked = self._domains_to_walk()

    def _strict(self, candidate: _Candidate) -> bool:
        record = self.applied.record
        return (record.aspf if candidate.method == "spf" else record.adkim) is Alignment.STRICT

    def _domains_to_walk(self) -> list[str]:
        """The domains whose organizational domain decides: relaxed alignment, and below the author's own.

        An organizational domain is the name itself or one above it, so what does not stand below that of the author
        cannot have the same one. Those above or below the author come first.
        """
        if self.organizational is None:
            return []
        domains = []
        for candidate in self.candidates:
            if candidate.counts and not self._strict(candidate) and candidate.domain != self.author:
                if is_within(candidate.domain, self.organizational):
                    domains.append(candidate.domain)
        unique = list(dict.fromkeys(domains))
        unique.sort(key=lambda name: not (is_within(name, self.author) or is_within(self.author, name)))
        return unique[: self.policy.max_identifiers]

    def open_names(self) -> list[str]:
        """The names of the identifiers' walks that were not visited."""
        names = dict.fromkeys(name for domain in self.walked for name in walk_names(domain))
        return [name for name in names if name not in self.known]

    def open_questions(self) -> list[Question]:
        """The question whether the author's domain exists, where that decides between np= and another tag."""
        record = self.applied.record
        if self.applied.own or record.policy_for_subdomains(False)[1] == record.policy_for_subdomains(True)[1]:
            return []
        if self.first.answer.found:
            self.exists = True  # a TXT record of whatever kind stands below it
            return []
        return [Question(self.author, "TXT")]

    def take(self, names: Sequence[str], answers: Sequence[Answer]) -> None:
        """What came of the second round: the answers to `open_names`, then that to `open_questions`."""
        self.queries += len(answers)
        self.known.update({name: visit(name, answer) for name, answer in zip(names, answers, strict=False)})
        if len(answers) > len(names):
            self.existence = answers[-1]
            self.exists = self.existence.name_exists

    def result(self) -> DmarcResult:
        """RFC 9989 sections 5.3.4 to 5.3.6."""
        record = self.applied.record
        tag, asked_for = ("p", record.p) if self.applied.own else record.policy_for_subdomains(self.exists is not False)
        assert asked_for is not None  # `_discover` has no other record
        identifiers = tuple(map(self._identifier, self.candidates))
        reason, detail = self._reason(identifiers)
        disposition, overrides = Policy.NONE, list[Override]()
        if RESULT_OF[reason] is Result.FAIL:
            disposition, overrides = self._disposition(asked_for)
        return DmarcResult(
            reason,
            detail,
            self.author,
            policy=asked_for,
            policy_tag=tag,
            disposition=disposition,
            policy_domain=self.applied.name,
            organizational_domain=self.organizational,
            record=record,
            identifiers=identifiers,
            overrides=tuple(overrides),
            exists=self.exists,
            trace=tuple(self.known.values()),
            queries=self.queries,
        )

    def _identifier(self, candidate: _Candidate) -> Identifier:
        strict = self._strict(candidate)
        aligned, organizational, detail = None, None, f"{candidate.method} did not pass: {candidate.result}"
        if candidate.counts:
            aligned, organizational, detail = self._judge(candidate, strict)
        if candidate.result == _MAYBE:
            candidate.may_align = aligned is not False
            aligned, detail = None, f"{candidate.method} had a temporary error"
        mode = "strict" if strict else "relaxed"
        return Identifier(
            candidate.method,
            candidate.domain,
            candidate.selector,
            candidate.result,
            aligned,
            mode,
            organizational,
            detail,
        )

    def _judge(self, candidate: _Candidate, strict: bool) -> tuple[bool | None, str | None, str]:
        """Aligned, not aligned, or not known (RFC 9989 section 4.10.2); its organizational domain; in words."""
        domain = candidate.domain
        if domain == self.author:
            return True, self.organizational, "the same domain"
        if strict:
            return False, None, f"not the same domain as {self.author}, and alignment is strict"
        if self.organizational is None:
            return None, None, "the organizational domain of the author could not be looked up"
        if not is_within(domain, self.organizational):
            return False, None, f"not below {self.organizational}"
        if domain not in self.walked:
            candidate.too_many = True
            return None, None, f"not looked at: only {self.policy.max_identifiers} domains are"
        organizational = walk_from(domain, self.known).organizational_domain
        if organizational is None:
            return None, None, "its organizational domain could not be looked up"
        return organizational == self.organizational, organizational, f"its organizational domain is {organizational}"

    def _reason(self, identifiers: Sequence[Identifier]) -> tuple[Reason, str]:
        """The result and why; an aligned identifier wins over every error, and an error over a fail (5.3.6)."""
        passed = [each for each in identifiers if each.result == Result.PASS]
        for each in passed:
            if each.aligned:
                return Reason.ALIGNED, f"{each.method} passed for {each.domain}: {each.detail}"
        for each, candidate in zip(identifiers, self.candidates, strict=True):
            if each.result == Result.PASS and each.aligned is None:
                reason = Reason.TOO_MANY_IDENTIFIERS if candidate.too_many else Reason.DNS_ERROR
                return reason, f"{each.method} passed for {each.domain}: {each.detail}"
            if candidate.may_align:
                words = f"{each.method} had a temporary error for {each.domain}, which is or may be aligned"
                return Reason.AUTHENTICATION_ERROR, words
        if self.existence is not None and self.existence.failed:
            return Reason.DNS_ERROR, f"whether {self.author} exists could not be looked up: {self.existence.outcome}"
        if passed:
            found = ", ".join(dict.fromkeys(f"{each.method} {each.domain}" for each in passed[:5]))
            return Reason.NOT_ALIGNED, f"what passed is not aligned with {self.author}: {found}"
        return Reason.NOTHING_PASSED, "neither SPF nor a DKIM signature passed"

    def _disposition(self, asked_for: Policy) -> tuple[Policy, list[Override]]:
        """What is asked of the receiver for a fail, and why it is not what the policy says."""
        overrides = []
        if self.applied.record.t and asked_for is not Policy.NONE:
            asked_for = asked_for.one_level_less
            overrides.append(Override(OverrideType.POLICY_TEST_MODE, "t=y"))
        passed = [candidate.domain for candidate in self.candidates if candidate.result == Result.PASS]
        for kind, trusted in (
            (OverrideType.TRUSTED_FORWARDER, self.policy.trusted_forwarders),
            (OverrideType.MAILING_LIST, self.policy.mailing_lists),
        ):
            believed = next((domain for domain in passed if any(is_within(domain, name) for name in trusted)), None)
            if believed is not None and asked_for is not Policy.NONE:
                asked_for = Policy.NONE
                overrides.append(Override(kind, believed))
        if self.arc is not None and self.policy.trusted_sealers and asked_for is not Policy.NONE:
            # RFC 8617 section 7.2.2 says local_policy; RFC 9990 has a word of its own for forwarders.
            words = self.arc.vouch(self.author, self.policy.trusted_sealers)
            if words is not None:
                asked_for = Policy.NONE
                overrides.append(Override(OverrideType.TRUSTED_FORWARDER, words))
        return asked_for, overrides
