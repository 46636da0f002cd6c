"""From the text of an SPF record to its terms (RFC 7208 sections 4.5, 4.6.1, 5, 6 and 12).

One term, or all of them with their places; what is wrong is a `TermError` that points at it and proposes. Nothing here
knows what a term does.
"""

# SECURITY: records are written by whoever owns the domain of the sender. Parsing is one pass without backtracking.

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address

from mailauth.spf.macros import MacroString, parse_domain_spec, parse_macro_string
from mailauth.spf.problem import Problem, TermError
from mailauth.spf.terms import (
    IP4_BITS,
    IP6_BITS,
    A,
    All,
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
                    require_single_modifiers([*once, term])
                    once.append(term)
                yield offset, word, term
            except TermError as error:
                yield offset, word, error.at(offset, word)
        offset += len(word) + 1


_ONCE: tuple[type[Term], ...] = (Redirect, Explanation)


def require_single_modifiers(terms: list[Term]) -> None:
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


# What people write for what they mean, where the closest name is another one, or none is close.
_MEANT = {"ip": "ip4", "inc": "include"}


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
    # RFC 7208 section 5.6: four parts; without a prefix length, "/32".
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
    # RFC 7208 section 5.6: without a prefix length, "/128".
    match = _IP6.match(rest)
    if match is None:
        raise _bad_ip6(rest, start)
    try:
        address = int(IPv6Address(match[1]))
    except ValueError:
        raise _bad_ip6(rest, start) from None
    return Ip6(qualifier, address, _length(match[2], IP6_BITS, start + match.start(2)))


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
