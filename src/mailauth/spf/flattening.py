"""Flattened records: the includes of a record resolved to the networks that they authorise today.

What is proposed is a copy of what others may change at any time, so it is given with the TTLs after which it is stale.
"""

# SECURITY: what is included may be anybody's. A record of a few hundred words can authorise everybody but some IPv6
# addresses, which takes a hundred networks for each of them, so that networks are bounded here.

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from mailauth.plan.execution import Plan
from mailauth.spf.linter import domain_or_record
from mailauth.spf.macros import parse_domain_spec
from mailauth.spf.ranges import Network, networks
from mailauth.spf.record import Record
from mailauth.spf.survey import survey
from mailauth.spf.terms import A, Explanation, Include, Ip4, Ip6, Mx, Ptr, Qualifier, Redirect, Term, place_in_record
from mailauth.spf.tree import FAILURE_WORDS, TreeRecord, TreeTerm

MAX_NETWORKS = 5_000
"""Networks that take the place of includes; the longest TXT record has room for fewer."""


@dataclass(frozen=True, slots=True)
class Flattened:
    """A record with its includes resolved, or why there is none."""

    domain: str
    """As A-labels; empty for a text that was given without the place where it will stand."""
    tree: TreeRecord
    """What it was made from."""
    record: Record | None
    """The proposal; None where the domain has no valid record."""
    problem: str = ""
    """Why there is none."""
    kept: tuple[tuple[str, str], ...] = ()
    """The terms that cannot be resolved, and why."""
    ttls: tuple[tuple[str, int], ...] = ()
    """The questions whose answers are in the record, with their TTLs in seconds, the shortest first."""
    lookups: int = 0
    """How many lookups the proposal costs, those beneath what stays among them."""

    @property
    def ttl(self) -> int | None:
        """The seconds after which it may be stale; None where nothing was resolved."""
        return self.ttls[0][1] if self.ttls else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "domain": self.domain,
            "record": None if self.record is None else str(self.record),
            "problem": self.problem or None,
            "strings": [] if self.record is None else self.record.strings(),
            "octets": 0 if self.record is None else len(str(self.record)),
            "lookups": {"before": self.tree.lookups, "after": self.lookups},
            "ttl": self.ttl,
            "ttls": [{"question": question, "ttl": ttl} for question, ttl in self.ttls],
            "kept": [{"term": term, "why": why} for term, why in self.kept],
        }


def flatten(what: str, *, domain: str = "") -> Plan[Flattened]:
    """The record of a domain, or a record's text, with its includes resolved to networks.

    `domain`: where the text will stand. Raises `ValueError`, at once, for what is neither a domain nor a record.
    """
    return _flatten(*domain_or_record(what, domain))


def _flatten(domain: str, text: str | None) -> Plan[Flattened]:
    found = yield from survey(domain, text)
    tree = found.tree
    if tree.record is None:
        problem = FAILURE_WORDS[tree.failure] if tree.failure else "the record is in error; lint says where"
        return Flattened(domain, tree, None, problem)
    work = _Flattening()
    terms = list(work.terms_of(tree))
    terms.sort(key=place_in_record)
    ttls = sorted(work.ttls.items(), key=lambda item: item[1])
    return Flattened(
        domain, tree, Record(tuple(dict.fromkeys(terms))), "", tuple(work.kept.items()), tuple(ttls), work.lookups
    )


class _Flattening:
    """Collects what stays, and how long what was resolved is good for."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.ttls: dict[str, int] = {}
        self.lookups = 0
        self.room = MAX_NETWORKS

    def terms_of(self, record: TreeRecord) -> Iterator[Term]:
        """The terms of a record that take its place: those of the domain itself, or of what it redirects to."""
        for each in record.evaluated:
            term = each.term
            if term is None or (isinstance(term, Ip4 | Ip6 | Include | A | Mx) and not each.families):
                continue  # nobody comes to it
            match term:
                case Include():
                    yield from self.include(each, term)
                case Redirect():
                    yield from self.redirect(each, term)
                case Explanation() if any(
                    isinstance(other.term, Redirect) and other.families for other in record.terms
                ):
                    continue  # RFC 7208 section 6.2: that of the target is used
                case A() | Mx() | Ptr() if record.path and term.domain_spec is None:
                    self.lookups += each.lookups
                    yield _at(term, record.domain)
                case _:
                    self.lookups += each.lookups
                    yield term

    def include(self, each: TreeTerm, term: Include) -> Iterator[Term]:
        if each.record is None or not each.certain:
            why = _why(each)
        else:
            found = networks(each.matches, self.room + 1)
            if len(found) <= self.room:
                self.room -= len(found)
                self.note(each.record)
                yield from (_term_of(network, term.qualifier) for network in found)
                return
            why = f"more than {MAX_NETWORKS} networks in all"
        self.kept[each.text] = why
        self.lookups += each.lookups
        yield term

    def redirect(self, each: TreeTerm, term: Redirect) -> Iterator[Term]:
        """The terms of the target, since its other results count as well (RFC 7208 section 6.1)."""
        target = each.record
        if not each.families:
            return
        if target is None or target.record is None or _uses_domain(target.record):
            self.kept[each.text] = _why(each) if target is None or target.record is None else "uses %{d} of its own"
            self.lookups += each.lookups
            yield term
            return
        if target.answer is not None:
            self.ttls[f"{target.domain} TXT"] = target.answer.ttl
        yield from self.terms_of(target)

    def note(self, record: TreeRecord) -> None:
        """Everything beneath was resolved."""
        if record.answer is not None:
            self.ttls[f"{record.domain} TXT"] = record.answer.ttl
        for term in record.terms:
            for question in term.questions:
                # Of what was not found nothing is in the record; how long that holds is often not known.
                if question.answer.found:
                    self.ttls[str(question.question)] = question.answer.ttl
            if term.record is not None:
                self.note(term.record)


def _term_of(network: Network, qualifier: Qualifier) -> Ip4 | Ip6:
    kind = Ip4 if isinstance(network, IPv4Network) else Ip6
    return kind(qualifier, int(network.network_address), network.prefixlen)


def _at(term: A | Mx | Ptr, domain: str) -> Term:
    """The same term, for the record of another domain (RFC 7208 section 4.8)."""
    spec = parse_domain_spec(domain)
    if isinstance(term, Ptr):
        return Ptr(term.qualifier, spec)
    return type(term)(term.qualifier, spec, term.ip4_length, term.ip6_length)


def _uses_domain(record: Record) -> bool:
    specs: Sequence[Any] = [getattr(term, "domain_spec", None) for term in record.terms]
    return any(spec is not None and "d" in spec.letters for spec in specs)


def _why(each: TreeTerm) -> str:
    if each.failure:
        return FAILURE_WORDS[each.failure]
    if each.hidden:
        return each.hidden
    inner = _uncertain(each.record) if each.record is not None else None
    if inner is None:
        return "it cannot be resolved"
    reason = inner.hidden or FAILURE_WORDS.get(inner.failure, "in error")
    return f"{inner.text} in it: {reason}"


def _uncertain(record: TreeRecord) -> TreeTerm | None:
    for term in record.terms:
        if term.families and not term.certain:
            return (_uncertain(term.record) if term.record is not None else None) or term
    return None
