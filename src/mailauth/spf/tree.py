"""The include tree of a domain: every record that its own refers to, with what each term costs and whom it matches.

One value, made by `mailauth.spf.survey`. The findings of `lint`, the tree that is printed, the JSON, ``explain --all``
and the flattened record are all read from it.
"""

# SECURITY: records and answers are a third party's. Printed, everything outside of printable US-ASCII is escaped, lines
# are cut at `WIDTH`, and in JSON lists of networks at `MAX_NETWORKS`.

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from mailauth.plan.dns import Answer
from mailauth.spf.problem import Problem
from mailauth.spf.ranges import FAMILIES, NOBODY, Ranges, counted, networks, size
from mailauth.spf.record import Record
from mailauth.spf.terms import All, Explanation, Ip4, Ip6, Mechanism, Qualifier, Redirect, Result, Term, UnknownModifier
from mailauth.spf.trace import MATCH, NO_MATCH, USED, TraceQuestion, escaped

WIDTH = 100
"""Columns of a printed line, at most."""

MAX_NETWORKS = 1_000
"""Networks of one term or record in JSON: all but a few IPv6 addresses are hundreds of networks for each of them."""


@dataclass(frozen=True, slots=True)
class TreeTerm:
    """A term in its place in the tree."""

    text: str
    """As it is written."""
    start: int
    """Where it stands in the text of its record."""
    term: Term | None
    """None: it is in error (`problem`)."""
    problem: Problem | None = None
    families: tuple[int, ...] = ()
    """4, 6: the families whose clients may come to it; none for a modifier that only says something."""
    number: int = 0
    """How many lookups there are when it has asked, over the whole tree; 0: it asks nothing, or nobody comes to it."""
    lookups: int = 0
    """Its own lookups and those of the records beneath it."""
    void: tuple[int, ...] = ()
    """The families whose clients find nothing for it: a void lookup (RFC 7208 section 4.6.4)."""
    may_be_void: bool = False
    """Whether that depends on the client."""
    matches: Ranges = NOBODY
    """The clients that come to it and certainly match."""
    failure: str = ""
    """A code, for what cannot work: "no-record", "several-records", "dns-error", "loop", "bad-domain",
    "too-many-mx-hosts"."""
    hidden: str = ""
    """Why it was not followed, in words."""
    questions: tuple[TraceQuestion, ...] = ()
    """What was asked for the term itself; those of the records beneath it stand there."""
    record: TreeRecord | None = None
    """What an include or redirect leads to."""
    outcome: str = ""
    """For a client: "match", "no match", "used" (a redirect), or the error."""

    @property
    def passes(self) -> bool:
        """Whether who matches it passes, as far as its own record says."""
        if isinstance(self.term, Redirect):
            return True
        return getattr(self.term, "qualifier", None) is Qualifier.PASS

    @property
    def certain(self) -> bool:
        """Whether everybody it can match is known."""
        return not self.hidden and not self.failure and (self.record is None or self.record.certain)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "term": self.text,
            "start": self.start,
            "clients": list(self.families),
            "number": self.number,
            "lookups": self.lookups,
            "void": list(self.void),
            "may_be_void": self.may_be_void,
            **({"networks": []} if isinstance(self.term, All) else _listed(self.matches)),
            "failure": self.failure or None,
            "hidden": self.hidden or None,
            "outcome": self.outcome or None,
            "questions": [question.to_dict() for question in self.questions],
            "record": None if self.record is None else self.record.to_dict(),
        }


@dataclass(frozen=True, slots=True)
class TreeRecord:
    """A domain of the tree and its record."""

    domain: str
    """Empty for a text that was given."""
    text: str | None
    """The record, if there is exactly one."""
    record: Record | None = None
    """The same, parsed, if it is valid."""
    failure: str = ""
    """Why there is none: "no-record", "several-records", "dns-error", "not-asked"."""
    answer: Answer | None = None
    """What the DNS said to the TXT question."""
    path: tuple[tuple[str, str], ...] = ()
    """The domains and terms by which it is reached, from the first."""
    terms: tuple[TreeTerm, ...] = ()
    """In the order of the text, those in error included."""
    passes: Ranges = NOBODY
    """The clients that come to it and pass, unless a term that depends on the client decides before."""
    surely: Ranges = NOBODY
    """Those of them for whom no term that depends on the client can decide before."""
    doubtful: bool = False
    """Whether any term depends on the client."""
    result: Result | None = None
    """What it says of a client, where the tree was made for one."""

    @property
    def certain(self) -> bool:
        """Whether everybody that it can match is known."""
        return self.record is not None and all(term.certain for term in self.terms if term.families)

    @property
    def octets(self) -> int:
        """The length of the record."""
        return 0 if self.text is None else len(self.text.encode("utf-8", "surrogateescape"))

    @property
    def lookups(self) -> int:
        """The lookups of its terms and of the records beneath them."""
        return sum(term.lookups for term in self.terms)

    @property
    def evaluated(self) -> tuple[TreeTerm, ...]:
        """The terms in the order of the evaluation: a redirect last, wherever it stands (RFC 7208 section 6.1)."""
        return tuple(sorted(self.terms, key=lambda term: isinstance(term.term, Redirect)))

    def records(self) -> Iterator[TreeRecord]:
        """This record and those beneath, in the order in which they are evaluated."""
        yield self
        for term in self.evaluated:
            if term.record is not None:
                yield from term.record.records()

    def lines(self, *, max_lookups: int = 10, depth: int = 0) -> Iterator[str]:
        """For people: each term with its number of the lookups, indented, and what came of it."""
        yield _line("", "  " * depth + (escaped(self.domain) or "(the text)"), self._words())
        hidden, decided = 0, False
        for index, term in enumerate(self.terms):
            if self._is_inside_run(index) and not term.outcome.startswith("match"):
                hidden += 1
                continue
            if hidden:
                yield _more(hidden, depth)
                hidden = 0
            yield from self._term_lines(term, depth + 1, max_lookups, decided)
            decided |= term.outcome not in ("", NO_MATCH)
        if hidden:
            yield _more(hidden, depth)

    def _is_inside_run(self, index: int) -> bool:
        """Whether it is one of many networks in a row, and not among the first of them."""
        before = self.terms[max(0, index - _SHOWN_OF_RUN) : index + 1]
        return len(before) > _SHOWN_OF_RUN and all(isinstance(term.term, Ip4 | Ip6) for term in before)

    def _term_lines(self, term: TreeTerm, depth: int, max_lookups: int, decided: bool) -> Iterator[str]:
        number = str(term.number) if term.number else ""
        # A client that has matched does not come here any more.
        outcome = _IF_IT_CAME.get(term.outcome, term.outcome) if decided else term.outcome
        words = ", ".join(filter(None, (outcome, *_term_words(term, max_lookups))))
        yield _line(number, "  " * depth + escaped(term.text), words)
        if term.record is not None and not term.record.failure:
            yield from term.record.lines(max_lookups=max_lookups, depth=depth + 1)

    def _words(self) -> str:
        if self.failure:
            return FAILURE_WORDS[self.failure]
        if self.answer is None:
            return f"{self.octets} octets"
        others = len(self.answer.texts) - 1
        more = f", {others} other TXT record{'s' if others > 1 else ''}" if others > 0 else ""
        result = "" if self.result is None else f"{self.result}, "
        return f"{result}{self.octets} octets, TTL {self.answer.ttl}{more}"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "domain": self.domain,
            "record": self.text,
            "failure": self.failure or None,
            "result": None if self.result is None else self.result.value,
            "octets": self.octets,
            "ttl": None if self.answer is None else self.answer.ttl,
            "lookups": self.lookups,
            **_listed(self.passes),
            "path": [{"domain": domain, "term": term} for domain, term in self.path],
            "terms": [term.to_dict() for term in self.terms],
        }


def _listed(ranges: Ranges) -> dict[str, Any]:
    """The networks for JSON; where there are more, it says so."""
    found = [str(network) for network in networks(ranges, MAX_NETWORKS + 1)]
    more = {"more_networks": True} if len(found) > MAX_NETWORKS else {}
    return {"networks": found[:MAX_NETWORKS]} | more


_IF_IT_CAME = {MATCH: "would match", USED: "would be used"}
_SHOWN_OF_RUN = 3
_NUMBER_WIDTH = 5
_TERM_WIDTH = 44

FAILURE_WORDS = {
    "no-record": "there is no SPF record",
    "several-records": "there are several SPF records",
    "dns-error": "the DNS did not answer",
    "not-asked": "not looked at: the tree is too large",
    "loop": "leads back to where it comes from",
    "bad-domain": "this is no domain name",
    "too-many-mx-hosts": "too many MX hosts",
}


def _more(hidden: int, depth: int) -> str:
    return _line("", "  " * depth + f"  ... {hidden} more network{'s' if hidden > 1 else ''}", "")


def _line(number: str, left: str, right: str) -> str:
    room = _TERM_WIDTH
    if len(left) > room - 1:
        room = min(len(left) + 1, WIDTH - _NUMBER_WIDTH - min(len(right), 40))
        left = left if len(left) < room else left[: room - 4] + "..."
    line = f"{number:>{_NUMBER_WIDTH - 2}}  {left:<{room}}{right}".rstrip()
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."


def _term_words(term: TreeTerm, max_lookups: int) -> Iterator[str]:
    if term.number > max_lookups:
        yield f"over the limit of {max_lookups}"
    if term.problem is not None:
        yield "in error"
        return
    if isinstance(term.term, UnknownModifier | Redirect) and not term.families:
        yield "ignored"
    if term.failure:
        yield FAILURE_WORDS[term.failure]
    elif term.record is not None and term.record.text is not None and term.record.record is None:
        yield "its record is in error"
    if term.hidden:
        yield term.hidden
    if not term.families:
        if not isinstance(term.term, Explanation) and hasattr(term.term, "qualifier"):
            yield "nobody comes to it"
        return
    if isinstance(term.term, All):
        if not term.outcome:
            yield f"everybody else: {term.term.qualifier.result}"
    elif isinstance(term.term, Ip4 | Ip6):
        if term.matches[1] - term.matches[0] > 1:
            yield amount(term.matches, few=0) + _unless_pass(term)
    elif term.matches:
        yield amount(term.matches) + _unless_pass(term)
    elif is_mechanism(term.term) and term.certain and len(term.void) < len(term.families):
        yield "nobody new"
    if len(term.void) == len(FAMILIES):
        yield "finds nothing"
    else:
        yield from (f"nothing for IPv{family} clients" for family in term.void)
    if term.record is not None and term.lookups > 1:
        yield f"{term.lookups} lookups"


def _unless_pass(term: TreeTerm) -> str:
    """What becomes of who matches, where that is not pass."""
    return "" if term.passes else f": {cast('Mechanism', term.term).qualifier.result}"


def amount(ranges: Ranges, few: int = 2) -> str:
    """How many addresses there are; the networks themselves where they are as few."""
    first = networks(ranges, few + 1)
    if len(first) <= few:
        return " ".join(str(net).removesuffix("/32").removesuffix("/128") for net in first) or "nobody"
    words = []
    if count := size(ranges, 4):
        words.append(f"{count:,} IPv4")
    if count := size(ranges, 6):
        words.append(f"{counted(count)} IPv6" if count < 1 << 64 else f"{counted(-(-count >> 64))} IPv6 /64")
    return " + ".join(words)


def is_mechanism(term: Term | None) -> bool:
    """Whether it is one, and no modifier."""
    return term is not None and hasattr(cast("Mechanism", term), "qualifier")


def families_of(ranges: Ranges) -> tuple[int, ...]:
    """The families that have an address in them."""
    first4, behind4 = FAMILIES[4]
    found = []
    if ranges and ranges[0] < behind4:
        found.append(4)
    if ranges and ranges[-1] > behind4:
        found.append(6)
    assert first4 == 0
    return tuple(found)
