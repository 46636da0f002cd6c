"""What can be said about the text of a record without the DNS: syntax, slips, terms that do nothing or too much.

Advice for authors; what a record means is decided by the evaluation. `mailauth.spf.linter` adds what the DNS shows.
"""

# SECURITY: a record may be anybody's. Each look at it is linear in its length, but for sorting.

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from mailauth.mail.names import is_hostname
from mailauth.spf.compile import network_range
from mailauth.spf.parse import has_version, parse_terms
from mailauth.spf.problem import Problem, RecordError, shown
from mailauth.spf.record import MAX_STRING_OCTETS, Record
from mailauth.spf.slips import are_terms, correct_name, correct_pair, correct_word, nearly
from mailauth.spf.terms import (
    IP4_BITS,
    IP6_BITS,
    All,
    Include,
    Ip4,
    Ip6,
    Ptr,
    Qualifier,
    Redirect,
    Term,
    UnknownModifier,
)  # fmt: skip

MAX_RECORD_OCTETS = 450
"""Name and text together, so that the answer fits a UDP packet of 512 octets. RFC 7208 section 3.4."""
EDNS_OCTETS = 1232
"""The UDP packets of today's resolvers; a longer answer is asked again by TCP."""
MIN_MEANT = {4: 12, 6: 20}
"""Whoever writes the address of a host with a shorter prefix than these means the host, not a thousandth of the net."""
MAX_REPAIRED = 100
"""Errors of a record for which corrections are looked for; those of the first ones show what is wrong."""
MAPPED_BITS = IP6_BITS - IP4_BITS
"""The prefix ::ffff:0:0/96 of IPv4-mapped addresses. RFC 4291 section 2.5.5.2."""


class Severity(StrEnum):
    """How bad it is, by what receivers do."""

    ERROR = "error"
    """Receivers give permerror, temperror or none in place of a result, to some clients or to all."""
    WARNING = "warning"
    """They give a result, but not the one that was meant, or not reliably."""
    NOTE = "note"
    """Nothing goes wrong; it may be done better."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing about a record: where it is, what it is, what to do."""

    severity: Severity
    code: str
    """Stable, for programs."""
    words: str
    domain: str = ""
    """Where the record stands; empty for the text that was given."""
    start: int = 0
    """The first character of it in the record."""
    length: int = 0
    """How many characters; 0: it is about the record as a whole."""
    proposal: str = ""
    """What to write in place of the term, or of the record where it is about the record; empty: no good guess."""
    term: str = ""
    """The term that it is in."""
    record: str = ""
    """The text of the record."""
    path: tuple[tuple[str, str], ...] = ()
    """The domains and terms by which the record is reached, from the first; empty for the first record itself."""
    texts: tuple[str, ...] = ()
    """Other texts that it is about: records that are discarded, or too many."""

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["severity"] = str(self.severity)
        values["path"] = [{"domain": domain, "term": term} for domain, term in self.path]
        return values | {"texts": list(self.texts)}


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a record in its place: a term, or what is wrong with it."""

    start: int
    text: str
    found: Term | Problem

    def finding(self, severity: Severity, code: str, words: str, proposal: str = "") -> Finding:
        return Finding(severity, code, words, "", self.start, len(self.text), proposal, self.text)


def lint_text(text: str, domain: str = "") -> list[Finding]:
    """What can be said about a record without the DNS, in the order of the record."""
    if not has_version(text):
        return [_no_version(text, domain)]
    words = [Word(*each) for each in parse_terms(text)]
    findings = list(_errors(words, domain))
    for look in (_modifiers, _after_all, _unwise, _names, _networks, _duplicates, _covered):
        findings += look(words)
    findings.sort(key=lambda finding: (finding.start, finding.code != "torn-term"))
    findings = list(_whole_terms(findings))
    ended = any(finding.proposal.endswith("all") for finding in findings if finding.code == "odd-name")
    if not ended and not any(isinstance(word.found, Problem) and _may_be_an_end(word.found) for word in words):
        # Where an end was meant, correcting that is the proposal.
        meant = [finding.proposal for finding in findings if finding.code == "ignored-modifier"]
        has_end = any(each.endswith("all") or each.startswith("redirect=") for each in meant)
        findings += _endless(words, "" if has_end else text)
    findings += _size(text, domain)
    return [replace(finding, domain=domain, record=text) for finding in findings]


def _whole_terms(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Without what is said of the parts of a term that is torn."""
    behind = 0
    for finding in findings:
        if finding.code == "torn-term":
            behind = finding.start + finding.length
        elif finding.start < behind:
            continue
        yield finding


def _no_version(text: str, domain: str) -> Finding:
    correction = nearly(text.encode("utf-8", "surrogateescape"))
    words, proposal = correction or ('a record begins with "v=spf1", followed by a blank or nothing', "")
    length = max(1, len(text.split(" ", 1)[0]))
    return Finding(Severity.ERROR, "no-version", words, domain, 0, length, proposal, record=text)


# --- errors --------------------------------------------------------------------------------------------------------


def _errors(words: Sequence[Word], domain: str) -> Iterator[Finding]:
    """Text that is not a term. RFC 7208 section 4.6: a permerror, wherever it stands."""
    taken = -1
    found = 0
    for index, word in enumerate(words):
        if index <= taken or not isinstance(word.found, Problem):
            continue
        found += 1
        if found > MAX_REPAIRED:
            problem = word.found
            yield Finding(Severity.ERROR, problem.code, problem.words, "", problem.start, problem.length, "", word.text)
            continue
        for first in range(max(index - 1, taken + 1), index + 1):
            torn = _torn(words[first : first + 3])
            if torn is not None:
                taken = first + torn.term.count(" ")
                yield torn
                break
        else:
            yield _error(word.text, word.found, domain)


def _torn(words: Sequence[Word]) -> Finding | None:
    """The first words as the one term that blanks tear apart."""
    parts = words[:2]
    correction = _pair(*parts) if len(parts) == 2 else None
    if len(words) == 3 and words[1].text in (":", "="):
        # "include : example.org"
        parts, correction = words, correct_pair(words[0].text + words[1].text, words[2].text)
    if len(words) == 3 and words[1].text == "-" and words[0].text.lower().startswith("ip4:"):
        # "ip4:192.0.2.0 - 192.0.2.7"
        parts, correction = words, correct_word(f"{words[0].text}-{words[2].text}")
    if correction is None:
        return None
    length = parts[-1].start + len(parts[-1].text) - parts[0].start
    term = " ".join(part.text for part in parts)
    return Finding(Severity.ERROR, "torn-term", correction[0], "", parts[0].start, length, correction[1], term)


def _pair(first: Word, second: Word) -> tuple[str, str] | None:
    """What two words were meant to be that belong together; both are in error, but for an "all" behind its sign."""
    if isinstance(first.found, All) and second.text in ("-", "?", "~"):
        return correct_pair(first.text, second.text)
    if not isinstance(first.found, Problem) and second.text[:1] != "/":
        return None
    if not isinstance(second.found, Problem) and first.text not in ("-", "+", "?", "~"):
        return None
    is_ip6 = first.text.lower().strip("+-?~:=") == "ip6"
    if ":" in second.text[1:] and not is_ip6 and correct_word(second.text) is not None:
        return None  # a slip of its own
    return correct_pair(first.text, second.text)


def _error(word: str, problem: Problem, domain: str) -> Finding:
    correction = correct_word(word) or _host_of(word, problem, domain)
    words = problem.words if correction is None else correction[0]
    if correction is None and problem.code == "bad-domain" and word[:4].lower() == "exp=":
        words = "exp= takes a name, and a TXT record at that name holds the words"
    if problem.code == "bad-character" and correction is None:
        words = _character(word) or words
    proposal = "" if correction is None else correction[1]
    return Finding(Severity.ERROR, problem.code, words, "", problem.start, problem.length, proposal, word)


def _host_of(word: str, problem: Problem, domain: str) -> tuple[str, str] | None:
    """A name without its domain, as a zone file may have it: ``a:mail``."""
    name = re.fullmatch(r"([-+?~]?(?:a|mx):)(?!localhost)([a-z0-9_-]+)((?:/[0-9/]+)?)", word, re.IGNORECASE)
    if not domain or name is None or problem.code == "unknown-mechanism":
        return None
    repaired = f"{name[1]}{name[2]}.{domain}{name[3]}"
    return ("a name stands here with its domain", repaired) if are_terms(repaired) else None


def _character(word: str) -> str:
    """A character that no record may hold, by its look and name: an octet says nothing to an author."""
    bad = next((char for char in word if not "\x21" <= char <= "\x7e"), "")
    if not bad:
        return ""
    name = unicodedata.name(bad, "")
    look = f"{bad} " if bad.isprintable() else ""
    return f"{look}(U+{ord(bad):04X}{f', {name}' if name else ''}) is no character of a record"


_ENDS = ("all", "redir", "fail", "deny", "neutral", "none", "any", "every")


def _may_be_an_end(problem: Problem) -> bool:
    """Whether a term in error is what the record should end with."""
    word = problem.term.lower()
    if not any(part in word for part in _ENDS) and not word.startswith(("-", "~", "?")):
        return not word.isascii() and "ll" in word
    correction = correct_word(problem.term)
    meant = "" if correction is None else correction[1]
    return (
        word.lstrip("+-?~*").startswith(("all", "redirect"))
        or word.endswith("all")
        or meant.endswith("all")
        or "redirect=" in meant
    )


# --- terms that do not do what they say ------------------------------------------------------------------------------

_REPORTING = frozenset({"ra", "rp", "rr"})  # RFC 6652 section 3


def _modifiers(words: Sequence[Word]) -> Iterator[Finding]:
    """RFC 7208 section 6: unknown modifiers are ignored, so that a "=" in place of a ":" makes no error."""
    found = 0
    for word in words:
        if isinstance(word.found, UnknownModifier) and word.found.name.lower() not in _REPORTING:
            found += 1
            correction = correct_word(word.text) if found <= MAX_REPAIRED else None
            words_ = f"receivers ignore {shown(word.text)}: no modifier has this name"
            proposal = ""
            if correction is not None:
                words_, proposal = f"receivers ignore {shown(word.text)}: {correction[0]}", correction[1]
            yield word.finding(Severity.WARNING, "ignored-modifier", words_, proposal)


def _after_all(words: Sequence[Word]) -> Iterator[Finding]:
    """What stands behind an "all", or beside it, and a redirect in front of mechanisms."""
    has_all = any(isinstance(word.found, All) for word in words)
    ended = False
    for number, word in enumerate(words, 1):
        if ended and hasattr(word.found, "qualifier"):
            yield word.finding(Severity.WARNING, "after-all", 'what stands behind "all" is ignored')
        ended = ended or isinstance(word.found, All)
        if isinstance(word.found, Redirect) and has_all:
            # Whoever has both wants the terms of the other record, and then an end.
            proposal = "" if ended else f"include:{word.found.domain_spec}"
            says = 'a redirect is ignored beside an "all" (RFC 7208 section 6.1)'
            yield word.finding(Severity.WARNING, "ignored-redirect", says, proposal)
        elif isinstance(word.found, Redirect) and any(hasattr(each.found, "qualifier") for each in words[number:]):
            says = "a redirect is used after all mechanisms, and is to stand there (RFC 7208 section 6.1)"
            yield word.finding(Severity.NOTE, "early-redirect", says)


def _unwise(words: Sequence[Word]) -> Iterator[Finding]:
    for word in words:
        match word.found:
            case All(qualifier=Qualifier.PASS):
                yield word.finding(Severity.WARNING, "pass-all", "everybody may send mail as this domain", "-all")
            case All(qualifier=Qualifier.NEUTRAL):
                says = "nobody is refused: receivers treat neutral like no record (RFC 7208 section 8.2)"
                yield word.finding(Severity.NOTE, "neutral-all", says, "~all")
            case Ptr():
                says = "ptr is slow, and should not be published (RFC 7208 section 5.5)"
                yield word.finding(Severity.WARNING, "ptr", says)
            case term if "p" in _letters(term):
                yield word.finding(Severity.WARNING, "ptr", _P_WORDS)


_P_WORDS = "%{p} is slow, and should not be published (RFC 7208 section 7.3)"


def _letters(term: Term | Problem) -> frozenset[str]:
    spec = getattr(term, "domain_spec", None)
    return frozenset() if spec is None else spec.letters


# Free mail: the record of the service names its own servers, with which all of its users send.
_FREE_MAIL = {
    "gmail.com": "_spf.google.com", "googlemail.com": "_spf.google.com", "outlook.com": "spf.protection.outlook.com",
    "hotmail.com": "spf.protection.outlook.com", "live.com": "spf.protection.outlook.com", "yahoo.com": "",
    "ymail.com": "", "aol.com": "", "icloud.com": "", "me.com": "", "gmx.net": "", "gmx.de": "", "gmx.com": "",
    "web.de": "", "mail.ru": "", "yandex.ru": "", "yandex.com": "", "qq.com": "", "163.com": "", "freemail.hu": "",
}  # fmt: skip
# Hosters of whom many customers share servers that let each of them send as any domain.
_SHARED = frozenset({"websitewelcome.com", "secureserver.net", "bluehost.com", "hostgator.com", "mx.ovh.com"})


def _names(words: Sequence[Word]) -> Iterator[Finding]:
    """Names that no domain has, and those that say more than their author wants."""
    for word in words:
        spec = getattr(word.found, "domain_spec", None)
        if spec is None or spec.letters:
            continue
        name = str(spec).lower().removesuffix(".")
        correction = correct_name(word.text)
        if "%" not in name and (correction is not None or not is_hostname(name)):
            words_, proposal = correction or ("no domain has such a name", "")
            yield word.finding(Severity.WARNING, "odd-name", words_, proposal)
        if isinstance(word.found, Include | Redirect) and name in _FREE_MAIL:
            instead = _FREE_MAIL[name]
            says = f"every user of the free-mail service {name} may send as this domain"
            if instead:
                says += "; whose domain is hosted there names another record"
            head = word.text[: len(word.text) - len(str(spec))]
            yield word.finding(Severity.WARNING, "free-mail", says, head + instead if instead else "")
        if isinstance(word.found, Include | Redirect) and name in _SHARED:
            says = f"every customer on the shared servers of {name} may send as this domain (RFC 7208 section 11.4)"
            yield word.finding(Severity.NOTE, "shared-servers", says)


# --- networks ----------------------------------------------------------------------------------------------------

# RFC 6890 and its successors: addresses from which no mail comes over the Internet. Those for documentation are not
# here: what is in a document may be linted, too.
PRIVATE: tuple[IPv4Network | IPv6Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
            "192.168.0.0/16", "224.0.0.0/3", "::/127", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
        ),
    )
)  # fmt: skip


def private_network(address: int, length: int, family: int) -> str:
    """The private or reserved network that all of a network lies in; empty if there is none."""
    bits = IP4_BITS if family == 4 else IP6_BITS
    for private in PRIVATE:
        if private.version == family and length >= private.prefixlen:
            if address >> bits - private.prefixlen == int(private.network_address) >> bits - private.prefixlen:
                return str(private)
    return ""


def _networks(words: Sequence[Word]) -> Iterator[Finding]:
    for word in words:
        term = word.found
        if not isinstance(term, Ip4 | Ip6):
            continue
        bits, family = (IP4_BITS, 4) if isinstance(term, Ip4) else (IP6_BITS, 6)
        network = term.address >> bits - term.prefix_length << bits - term.prefix_length
        if network != term.address:
            meant = (network, term.prefix_length) if term.prefix_length >= MIN_MEANT[family] else (term.address, bits)
            proposal = str(type(term)(term.qualifier, *meant))
            says = f"the address has bits behind its prefix of {term.prefix_length}"
            yield word.finding(Severity.NOTE, "host-bits", says, proposal)
        if family == 6 and term.address >> IP4_BITS == 0xFFFF and term.prefix_length >= MAPPED_BITS:
            # RFC 7208 section 5: such clients are looked for as IPv4.
            proposal = str(Ip4(term.qualifier, term.address & 0xFFFF_FFFF, term.prefix_length - MAPPED_BITS))
            says = "an IPv4-mapped address never matches: such clients count as IPv4"
            yield word.finding(Severity.WARNING, "mapped", says, proposal)
        elif family == 6 and term.prefix_length >= MAPPED_BITS and 0xFFFF < term.address <= 0xFFFF_FFFF:
            # RFC 4291 section 2.5.5.1: these are not used any more.
            proposal = str(Ip4(term.qualifier, term.address, term.prefix_length - MAPPED_BITS))
            yield word.finding(Severity.WARNING, "mapped", "no client has such an IPv4-compatible address", proposal)
        elif private := private_network(term.address, term.prefix_length, family):
            says = f"no client on the Internet has such an address: {private} is private or reserved"
            yield word.finding(Severity.WARNING, "private", says)


def _duplicates(words: Sequence[Word]) -> Iterator[Finding]:
    seen: set[str] = set()
    for word in words:
        if isinstance(word.found, Problem | UnknownModifier | All):
            continue
        text = str(word.found).lower()
        if text in seen:
            yield word.finding(Severity.NOTE, "duplicate", "this term stands in the record twice")
        seen.add(text)


def _covered(words: Sequence[Word]) -> Iterator[Finding]:
    """Networks inside an earlier network never match."""
    first_of: dict[tuple[int, int], tuple[int, Word]] = {}
    for position, word in enumerate(words):
        if isinstance(word.found, Ip4 | Ip6):
            first_of.setdefault(network_range(word.found), (position, word))
    # From left to right, wider ones first: what is open around a network forms a stack, no deeper than an address
    # has bits.
    around: list[tuple[int, int, Word]] = []
    for (first, behind), (position, word) in sorted(first_of.items(), key=lambda item: (item[0][0], -item[0][1])):
        while around and around[-1][0] <= first:
            around.pop()
        earlier = [other for _, other_position, other in around if other_position < position]
        if earlier:
            yield _covered_by(word, earlier[0])
        around.append((behind, position, word))


def _covered_by(word: Word, earlier: Word) -> Finding:
    """Nothing goes wrong where both say the same; else the later one was meant as an exception."""
    if getattr(word.found, "qualifier", None) == getattr(earlier.found, "qualifier", None):
        return word.finding(Severity.NOTE, "covered", f"{shown(earlier.text)} covers this already")
    says = f"{shown(earlier.text)} decides before this: an exception stands in front of what it is taken from"
    return word.finding(Severity.WARNING, "covered", says)


# --- the record as a whole -----------------------------------------------------------------------------------------


def _endless(words: Sequence[Word], text: str) -> Iterator[Finding]:
    if not any(isinstance(word.found, All | Redirect) for word in words):
        says = 'without "all" or redirect, everybody else gets neutral (RFC 7208 section 4.7)'
        proposal = f"{text.rstrip()} -all" if text else ""
        yield Finding(Severity.WARNING, "no-all", says, proposal=proposal if is_valid(proposal) else "")


def _size(text: str, domain: str) -> Iterator[Finding]:
    octets = len(text.encode("utf-8", "surrogateescape"))
    if octets > MAX_STRING_OCTETS:
        says = f"{octets} octets: in the zone it must be split into strings of at most {MAX_STRING_OCTETS}"
        yield Finding(Severity.NOTE, "long-string", says)
    size = octets + len(domain)
    if size > MAX_RECORD_OCTETS:
        severity = Severity.NOTE if size <= EDNS_OCTETS - 100 else Severity.WARNING
        says = f"{size} octets with its name; up to {MAX_RECORD_OCTETS} fit any UDP answer (RFC 7208 section 3.4)"
        yield Finding(severity, "long-record", says)


def is_valid(text: str) -> bool:
    """Whether receivers can read it."""
    try:
        Record.parse(text)
    except RecordError:
        return False
    return True
