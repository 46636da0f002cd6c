"""SPF records: `Record.parse` and the cached parser of the evaluation.

The record: parsing it, printing it, picking it out of the TXT records of a name, and the form in which the evaluation
walks through it. No DNS, no message, no connection.
"""

# SECURITY: records are written by whoever owns the domain of the sender. Parsing is one pass without backtracking; a
# TXT record is at most 65,535 octets. The cache of parsed records is bounded in number and in the size of each.

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any, TypeAlias, cast, final

from mailauth.plan.dns import Question, RecordType
from mailauth.spf.macros import MacroString, expand_name, parse_domain_spec, parse_macro_string, target_name
from mailauth.spf.problem import Problem, RecordError, TermError
from mailauth.spf.terms import (
    IP4_BITS,
    IP6_BITS,
    A,
    All,
    Asking,
    Exists,
    Explanation,
    Include,
    Ip4,
    Ip6,
    Mechanism,
    Mx,
    Ptr,
    Qualifier,
    Redirect,
    Term,
    UnknownModifier,
)

VERSION = "v=spf1"

MAX_STRING_OCTETS = 255
"""RFC 1035 section 3.3: a character-string has at most 255 octets; RFC 7208 section 3.3 joins several."""

MAX_CACHED_RECORDS = 2048
MAX_CACHED_OCTETS = 2048
"""Longer records are parsed anew each time: with the number above, what a flood of records can hold in memory stays
below some 70 MB. RFC 7208 section 3.4 asks for less than 450 octets."""


@dataclass(frozen=True)
class Record:
    """A valid SPF record: its terms in their order. Immutable; may be shared between threads.

    Equal records print alike, and ``Record.parse(str(record)) == record``.
    """

    terms: tuple[Term, ...] = ()
    all: All | None = field(init=False, compare=False, repr=False)
    """The first "all"; mechanisms behind it are ignored (RFC 7208 section 5.1)."""
    redirect: Redirect | None = field(init=False, compare=False, repr=False)
    """The "redirect" modifier, unless an "all" anywhere makes it ignored (RFC 7208 section 6.1)."""
    explanation: Explanation | None = field(init=False, compare=False, repr=False)
    """The "exp" modifier."""
    program: tuple[Step, ...] = field(init=False, compare=False, repr=False)
    """What the evaluation does, step by step, up to an "all"."""
    redirect_step: Lookup | None = field(init=False, compare=False, repr=False)
    """What it does after that."""
    asks: bool = field(init=False, compare=False, repr=False)
    """Whether any of it asks the DNS; if not, there is one step at most."""

    @staticmethod
    def parse(text: str | bytes) -> Record:
        """The record that `text` is. Raises `RecordError`, which points at the first error and proposes."""
        if isinstance(text, bytes):
            text = text.decode("latin-1")
        if not has_version(text):
            words = f'a record begins with "{VERSION}", followed by a space or nothing'
            raise RecordError(Problem("no-version", words, 0, max(1, len(text.split(" ", 1)[0]))))
        return _parse_versioned(text)

    @property
    def directives(self) -> tuple[Mechanism, ...]:
        """The mechanisms, in their order."""
        return tuple(cast("Mechanism", term) for term in self.terms if type(term) not in _MODIFIERS)

    def __str__(self) -> str:
        return " ".join([VERSION, *map(str, self.terms)])

    def strings(self, limit: int = MAX_STRING_OCTETS) -> list[str]:
        """The record as the strings of a TXT record, each of at most 255 octets (RFC 7208 section 3.3)."""
        text = str(self)
        parts = []
        while len(text) > limit:
            # Between two terms where that is possible; the space goes with the term before it.
            cut = text.rfind(" ", 0, limit) + 1 or limit
            parts.append(text[:cut])
            text = text[cut:]
        return [*parts, text]

    def __post_init__(self) -> None:
        # One pass; frozen dataclasses take values for derived fields only this way.
        vars(self).update(_derived(self.terms))


def _parse_versioned(text: str) -> Record:
    rest = text[len(VERSION) :]
    try:
        terms = [parse_term(word) for word in rest.split(" ") if word]
        if "=" in rest:
            _require_single_modifiers(terms)
    except TermError:
        # Once more, slowly, to say where.
        problem = next(found for _, _, found in parse_terms(text) if type(found) is Problem)
        raise RecordError(problem) from None
    # What Record(terms) does, without the detour of a frozen dataclass.
    record = _new(Record)
    _set(record, "__dict__", _derived(tuple(terms)))
    return record


_new, _set = object.__new__, object.__setattr__


# --- from text to terms -----------------------------------------------------------------------------------


# version          = "v=spf1"
def has_version(text: str) -> bool:
    """Whether the text is an SPF record at all (RFC 7208 section 4.5), valid or not."""
    return text[:6].lower() == VERSION and text[6:7] in ("", " ")


# record           = version terms *SP
# terms            = *( 1*SP ( directive / modifier ) )
def parse_terms(text: str) -> Iterator[tuple[int, str, Term | Problem]]:
    """Parse what follows the version, word by word: where it stands, the word, and the term or what is wrong."""
    offset = len(VERSION)
    once: list[Term] = []
    for word in text[offset:].split(" "):
        if word:
            try:
                term = parse_term(word)
                if type(term) in _ONCE:
                    _require_single_modifiers([*once, term])
                    once.append(term)
                yield offset, word, term
            except TermError as error:
                yield offset, word, error.at(offset, word)
        offset += len(word) + 1


_ONCE: tuple[type[Term], ...] = (Redirect, Explanation)


def _require_single_modifiers(terms: list[Term]) -> None:
    # RFC 7208 section 6: "These two modifiers MUST NOT appear in a record more than once each."
    kinds: list[type[Term]] = [type(term) for term in terms]
    for kind in _ONCE:
        if kinds.count(kind) > 1:
            name = str(terms[kinds.index(kind)]).partition("=")[0]
            raise TermError("repeated-modifier", f"{name}= may stand in a record only once", 0, len(str(terms[-1])))


# directive        = [ qualifier ] mechanism
# name             = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )
_TERM = re.compile(r"([-+?~]?)([A-Za-z][A-Za-z0-9_.-]*)(.*)\Z", re.DOTALL)
_PASS = Qualifier.PASS
_COMMON: dict[str, Term] = {
    **{f"{member.value}all": All(member) for member in Qualifier},
    "all": All(),
    "a": A(),
    "mx": Mx(),
}
QUALIFIERS = {"": Qualifier.PASS, **{member.value: member for member in Qualifier}}


def parse_term(word: str) -> Term:
    """One term, without the spaces around it. Raises `TermError`."""
    # What most terms of most records are.
    if word[:4] == "ip4:" and (match := _IP4.match(word, 3)) is not None:
        return _ip4(_PASS, match)
    if word in _COMMON:
        return _COMMON[word]
    name, colon, _ = word.partition(":")
    if colon and name in _WITH_ARGUMENT:
        parse_argument, qualifier = _WITH_ARGUMENT[name]
        return parse_argument(qualifier, word[len(name) :], len(name))
    match = _TERM.match(word)
    if match is None:
        raise _not_a_term(word)
    sign, name, rest = match.groups()
    if rest[:1] == "=" and not sign:
        return _parse_modifier(name, rest[1:], len(name) + 1)
    parse = _MECHANISMS.get(name) or _MECHANISMS.get(name.lower())
    if parse is None:
        raise _unknown_mechanism(sign, name, rest)
    return parse(QUALIFIERS[sign], rest, len(sign) + len(name))


def _not_a_term(word: str) -> TermError:
    bad = next((i for i, char in enumerate(word) if not "\x21" <= char <= "\x7e"), None)
    if bad is not None:
        return TermError("bad-character", f"{word[bad]!a} is not allowed in a record", bad, 1)
    return TermError("bad-term", "a term begins with the name of a mechanism or modifier", 0, len(word))


# What people write for what they mean.
_MEANT = {"ip": "ip4", "ipv4": "ip4", "ipv6": "ip6", "includes": "include", "inc": "include", "exist": "exists"}


def _unknown_mechanism(sign: str, name: str, rest: str) -> TermError:
    if sign and rest[:1] == "=":
        return TermError("bad-term", "a modifier has no qualifier", 0, 1, "")
    from difflib import get_close_matches

    close = get_close_matches(name[:16].lower(), _MECHANISMS, n=1, cutoff=0.7)
    proposal = _MEANT.get(name.lower()) or (close[0] if close else "")
    words = f"no mechanism is called {name[:40]!r}" + (f"; {proposal!r} is" if proposal else "")
    return TermError("unknown-mechanism", words, len(sign), len(name), proposal)


# modifier         = redirect / explanation / unknown-modifier
def _parse_modifier(name: str, value: str, start: int) -> Term:
    match name.lower():
        case "redirect":
            return Redirect(parse_domain_spec(value, start))
        case "exp":
            return Explanation(parse_domain_spec(value, start))
    parse_macro_string(value, start)
    return UnknownModifier(name, value)


def _parse_all(qualifier: Qualifier, rest: str, start: int) -> All:
    if rest:
        raise TermError("unexpected-argument", "all takes no argument", start, len(rest))
    return All(qualifier)


def _argument(rest: str, start: int, what: str) -> str:
    if rest[:1] != ":" or len(rest) == 1:
        raise TermError("missing-argument", f"a colon and {what} are needed here", start, len(rest))
    return rest[1:]


def _parse_include(qualifier: Qualifier, rest: str, start: int) -> Include:
    return Include(qualifier, parse_domain_spec(_argument(rest, start, "a domain"), start + 1))


def _parse_exists(qualifier: Qualifier, rest: str, start: int) -> Exists:
    return Exists(qualifier, parse_domain_spec(_argument(rest, start, "a domain"), start + 1))


def _optional_domain(rest: str, start: int) -> MacroString | None:
    return parse_domain_spec(_argument(rest, start, "a domain"), start + 1) if rest else None


def _parse_ptr(qualifier: Qualifier, rest: str, start: int) -> Ptr:
    return Ptr(qualifier, _optional_domain(rest, start))


# ip4-cidr-length  = "/" ("0" / %x31-39 0*1DIGIT) ; value range 0-32
# ip6-cidr-length  = "/" ("0" / %x31-39 0*2DIGIT) ; value range 0-128
# dual-cidr-length = [ ip4-cidr-length ] [ "/" ip6-cidr-length ]
# A domain-spec never ends in what looks like one of these, so the longest tail is it.
_DUAL_CIDR = re.compile(r"(?:/(0|[1-9][0-9]{0,2}))?(?://(0|[1-9][0-9]{0,2}))?\Z")


def _dual_cidr(rest: str, start: int) -> tuple[str, int, int]:
    if "/" not in rest:
        return rest, IP4_BITS, IP6_BITS
    match = _DUAL_CIDR.search(rest)
    assert match is not None  # it matches the empty tail
    ip4 = _length(match[1], IP4_BITS, start + match.start(1))
    ip6 = _length(match[2], IP6_BITS, start + match.start(2))
    return rest[: match.start()], ip4, ip6


def _length(digits: str | None, bits: int, start: int) -> int:
    if digits is None:
        return bits
    if int(digits) > bits:
        raise _too_long(digits, bits, start)
    return int(digits)


def _too_long(digits: str, bits: int, start: int) -> TermError:
    words = f"a prefix length is at most {bits} here"
    return TermError("bad-prefix-length", words, start, len(digits), str(bits))


def _parse_a(qualifier: Qualifier, rest: str, start: int) -> A:
    domain, ip4, ip6 = _dual_cidr(rest, start)
    return A(qualifier, _optional_domain(domain, start), ip4, ip6)


def _parse_mx(qualifier: Qualifier, rest: str, start: int) -> Mx:
    domain, ip4, ip6 = _dual_cidr(rest, start)
    return Mx(qualifier, _optional_domain(domain, start), ip4, ip6)


# ip4-network      = qnum "." qnum "." qnum "." qnum
# qnum             = DIGIT / %x31-39 DIGIT / "1" 2DIGIT / "2" %x30-34 DIGIT / "25" %x30-35
_QNUM = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IP4 = re.compile(rf":{_QNUM}\.{_QNUM}\.{_QNUM}\.{_QNUM}(?:/(0|[1-9][0-9]{{0,2}}))?\Z")


def _parse_ip4(qualifier: Qualifier, rest: str, start: int) -> Ip4:
    match = _IP4.match(rest)
    if match is None:
        raise _bad_ip4(rest, start)
    return _ip4(qualifier, match, start)


def _ip4(qualifier: Qualifier, match: re.Match[str], start: int = 0) -> Ip4:
    a, b, c, d, digits = match.groups()
    address = int(a) << 24 | int(b) << 16 | int(c) << 8 | int(d)
    length = IP4_BITS if digits is None else int(digits)
    if length > IP4_BITS:
        raise _too_long(digits, IP4_BITS, start + match.start(5))
    return Ip4(qualifier, address, length)


_SHORT_IP4 = re.compile(rf"{_QNUM}(?:\.{_QNUM}(?:\.{_QNUM})?)?\.?\Z")


def _bad_ip4(rest: str, start: int) -> TermError:
    argument = _argument(rest, start, "an IPv4 address or network")
    network, _, length = argument.partition("/")
    if network.count(":") > 1:
        return TermError(
            "bad-network", "this is an IPv6 address; ip6: takes those", start - 1, len(rest) + 1, f"6{rest}"
        )
    short = _SHORT_IP4.match(network)
    if short is not None:
        given = [part for part in short.groups() if part]
        proposal = ".".join(given + ["0"] * (4 - len(given))) + f"/{length or 8 * len(given)}"
        # RFC 7208 section 5.6: "It is not permitted to omit parts of the IP address".
        return TermError("bad-network", "an IPv4 address has four parts", start + 1, len(argument), proposal)
    return TermError("bad-network", "not an IPv4 address or network", start + 1, len(argument))


# ip6-network      = <as per Section 2.2 of [RFC4291]>
_IP6 = re.compile(r":([0-9A-Fa-f:.]{2,45})(?:/(0|[1-9][0-9]{0,2}))?\Z")


def _parse_ip6(qualifier: Qualifier, rest: str, start: int) -> Ip6:
    match = _IP6.match(rest)
    if match is not None:
        try:
            address = int(IPv6Address(match[1]))
        except ValueError:
            match = None
        else:
            length = match[2]
            return Ip6(
                qualifier, address, IP6_BITS if length is None else _length(length, IP6_BITS, start + match.start(2))
            )
    raise _bad_ip6(rest, start)


def _bad_ip6(rest: str, start: int) -> TermError:
    argument = _argument(rest, start, "an IPv6 address or network")
    if _IP4.match(rest):
        return TermError(
            "bad-network", "this is an IPv4 address; ip4: takes those", start - 1, len(rest) + 1, f"4{rest}"
        )
    return TermError("bad-network", "not an IPv6 address or network", start + 1, len(argument))


_MECHANISMS: dict[str, Callable[[Qualifier, str, int], Mechanism]] = {
    "all": _parse_all,
    "include": _parse_include,
    "a": _parse_a,
    "mx": _parse_mx,
    "ptr": _parse_ptr,
    "ip4": _parse_ip4,
    "ip6": _parse_ip6,
    "exists": _parse_exists,
}
# The same with their qualifiers, as most people write them.
_WITH_ARGUMENT = {
    f"{sign}{name}": (parse, qualifier) for name, parse in _MECHANISMS.items() for sign, qualifier in QUALIFIERS.items()
}


# --- for the evaluation -----------------------------------------------------------------------------------


@final
class Networks:
    """A run of "ip4" and "ip6" mechanisms as one sorted list of numbers.

    The list holds where authorised ranges begin and end, in turns, so that a number lies in one of them if an odd
    number of entries is not above it. IPv6 addresses stand behind the IPv4 ones (`IP6_OFFSET`).
    """

    __slots__ = ("bounds", "ranges", "terms")

    def __init__(self, terms: Sequence[Ip4 | Ip6]) -> None:
        self.terms = terms
        self.ranges = [network_range(term) for term in terms]
        self.bounds = merged(self.ranges)

    def covers(self, number: int) -> bool:
        """Whether one of the terms matches."""
        return bool(bisect_right(self.bounds, number) & 1)

    def first_match(self, number: int) -> Ip4 | Ip6:
        """The first of the terms that matches; one must."""
        if len(self.terms) == 1:
            return self.terms[0]
        for term, (first, behind) in zip(self.terms, self.ranges, strict=True):
            if first <= number < behind:
                return term
        raise LookupError(number)


IP6_OFFSET = 1 << IP4_BITS
"""What is added to an IPv6 address to make it a number behind those of IPv4."""


def network_range(term: Ip4 | Ip6) -> tuple[int, int]:
    if type(term) is Ip4:
        shift = IP4_BITS - term.prefix_length
        first = term.address >> shift << shift
    else:
        shift = IP6_BITS - term.prefix_length
        first = (term.address >> shift << shift) + IP6_OFFSET
    return first, first + (1 << shift)


def merged(ranges: Sequence[tuple[int, int]]) -> list[int]:
    """Ranges (first, behind the last), joined where they touch, as one list of bounds in rising order."""
    if len(ranges) == 1:
        return list(ranges[0])
    bounds: list[int] = []
    end = -1
    for first, behind in sorted(ranges):
        if first > end:
            bounds += (first, behind)
            end = behind
        elif behind > end:
            bounds[-1] = end = behind
    return bounds


_NO_LETTERS: frozenset[str] = frozenset()


@final
class Lookup:
    """A term that asks the DNS, with its first question ready where the name in it does not depend on the message."""

    __slots__ = ("letters", "name", "one_answer", "question", "question6", "rtype", "rtype6", "term")

    def __init__(self, term: Asking) -> None:
        self.term = term
        self.rtype, self.rtype6, self.one_answer = _FIRST_QUESTION[type(term)]
        self.question: Question | None = None
        """What an IPv4 client makes it ask."""
        self.question6: Question | None = None
        """What an IPv6 client makes it ask."""
        self.name = spec = term.domain_spec
        """Its domain-spec; None: it has none, and is about the <domain>."""
        self.letters = _NO_LETTERS if spec is None else spec.letters
        if spec is not None and not spec.letters:
            self._prepare(spec)

    def _prepare(self, spec: MacroString) -> None:
        name = target_name(expand_name(spec, {}))
        if name is not None:
            self.question = self.question6 = Question(name, self.rtype)
            if self.rtype6 != self.rtype:
                self.question6 = Question(name, self.rtype6)


# The types that IPv4 and IPv6 clients make a term ask first (RFC 7208 sections 5 and 6.1), and whether that answer
# is all that it needs.
_FIRST_QUESTION: dict[type[Asking], tuple[RecordType, RecordType, bool]] = {
    Include: ("TXT", "TXT", False),
    A: ("A", "AAAA", True),
    Mx: ("MX", "MX", False),
    Ptr: ("PTR", "PTR", False),
    Exists: ("A", "A", True),
    Redirect: ("TXT", "TXT", False),
}

Step: TypeAlias = Networks | Lookup


def _derived(terms: tuple[Term, ...]) -> dict[str, Any]:
    """The fields of a `Record` with these terms."""
    modifiers: dict[type[Term], Any] = {}
    end: All | None = None
    program: list[Step] = []
    run: list[Ip4 | Ip6] = []
    asks = False
    for term in terms:
        kind = type(term)
        if kind in _MODIFIERS:
            modifiers[kind] = term
        elif end is not None:
            pass  # RFC 7208 section 5.1: mechanisms behind "all" are ignored
        elif kind is Ip4 or kind is Ip6:
            run.append(cast("Ip4 | Ip6", term))
        else:
            if run:
                program.append(Networks(run))
                run = []
            if kind is All:
                end = cast("All", term)
            else:
                program.append(Lookup(cast("Asking", term)))
                asks = True
    if run:
        program.append(Networks(run))
    # RFC 7208 section 5.1: redirect is ignored when there is an "all", wherever it stands.
    redirect = modifiers.get(Redirect) if end is None else None
    return {
        "terms": terms,
        "program": tuple(program),
        "all": end,
        "redirect": redirect,
        "redirect_step": None if redirect is None else Lookup(redirect),
        "explanation": modifiers.get(Explanation),
        "asks": asks or redirect is not None,
    }


_MODIFIERS = frozenset({Redirect, Explanation, UnknownModifier})


def _parsed(octets: bytes) -> Record | Problem | None:
    # RFC 7208 section 4.5; octets that are no US-ASCII are errors in SPF records, and do not matter elsewhere.
    text = octets.decode("latin-1")
    if not has_version(text):
        return None
    try:
        return _parse_versioned(text)
    except RecordError as error:
        return error.problem


_cached = lru_cache(maxsize=MAX_CACHED_RECORDS)(_parsed)


def parsed_record(octets: bytes) -> Record | Problem | None:
    """A TXT record as the SPF record that it is, or what is wrong with that; None for a record of anything else.

    Cached: a short record is evaluated in less time than it takes to parse it.
    """
    return _cached(octets) if len(octets) <= MAX_CACHED_OCTETS else _parsed(octets)


def forget_records() -> None:
    """Empty the cache of parsed records, for measurements and tests."""
    _cached.cache_clear()
