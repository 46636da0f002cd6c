"""Well-known block lists: what they list, what their answers mean, their terms, and whether they are alive.

Facts as of `AS_OF`, from the lists' own pages; lists change, so read a list's policy page before you rely on it.

Facts about well-known lists, as data, and how to look them up. Nothing here decides anything, and no list is asked
because it stands here: the caller names the lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from mailauth.rbl.pattern import Pattern

AS_OF = "2026-11"


class Kind(StrEnum):
    """What a list can be asked about."""

    ADDRESS = "address"
    DOMAIN = "domain"


class Sense(StrEnum):
    """What an answer says about the subject."""

    BAD = "bad"
    GOOD = "good"
    NEUTRAL = "neutral"
    ERROR = "error"  # about the question, not about the subject: never a listing


class Use(StrEnum):
    """What a list is good for, by its own policy and by experience."""

    REJECT = "reject"  # few false positives: mail may be refused on its word alone
    SCORE = "score"  # one voice among several
    ALLOW = "allow"  # lists good senders


class State(StrEnum):
    """Whether a list is still there."""

    LIVE = "live"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Code:
    """What the answers that match a pattern mean."""

    pattern: Pattern
    meaning: str
    sense: Sense

    @property
    def is_error(self) -> bool:
        """Whether such an answer is about the question, not about the subject."""
        return self.sense is Sense.ERROR

    def to_dict(self) -> dict[str, str]:
        """For JSON."""
        return {"pattern": str(self.pattern), "meaning": self.meaning, "sense": self.sense.value}


@dataclass(frozen=True, slots=True)
class KnownList:
    """A list in the catalogue.

    `keyed` lists give each customer a zone below `zone`, whose first label is the customer's key: a secret.
    `part_of` is the zone of a list that holds all of this one. `terms` says what must be done or kept before one
    asks; `test_names` are entries that are always there besides those of RFC 5782 section 5. Of a dead list only
    `name`, `zone`, `state` and `note` say anything, and every zone below it is dead, too.
    """

    name: str
    zone: str
    kind: Kind = Kind.ADDRESS
    codes: tuple[Code, ...] = ()
    sense: Sense = Sense.BAD
    use: Use = Use.SCORE
    policy_page: str = ""
    removal_page: str = ""
    terms: str = ""
    registration: bool = False
    keyed: bool = False
    part_of: str = ""
    state: State = State.LIVE
    note: str = ""
    test_names: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "zone": ("KEY." if self.keyed else "") + self.zone,
            "kind": self.kind.value,
            "use": self.use.value,
            "state": self.state.value,
            "note": self.note,
            "codes": [code.to_dict() for code in self.codes],
            "policy_page": self.policy_page,
            "removal_page": self.removal_page,
            "terms": self.terms,
            "registration": self.registration,
            "part_of": self.part_of,
        }


def _code(pattern: str, meaning: str, sense: Sense = Sense.BAD) -> Code:
    return Code(Pattern.parse(pattern), meaning, sense)


def _error(pattern: str, meaning: str) -> Code:
    return _code(pattern, meaning, Sense.ERROR)


# Answers that no list gives about its subject. Spamhaus began it, others followed; see their FAQ on return codes.
COMMON_ERRORS = (
    _error("127.255.255.252", "the zone's name is misspelt"),
    _error("127.255.255.254", "asked through a public resolver, or by a host without reverse DNS"),
    _error("127.255.255.255", "too many queries"),
    _error("127.255.255.[0..255]", "the list refuses to answer"),
)

# What lists of one house have in common.
_SPAMHAUS = KnownList(
    "", "", use=Use.REJECT, removal_page="https://check.spamhaus.org/",
    terms="free for small non-commercial use through one's own resolver; public resolvers are refused",
)  # fmt: skip
_SPAMHAUS_DQS = replace(
    _SPAMHAUS, registration=True, keyed=True,
    terms="the Data Query Service: registration, a key of one's own in the zone's name",
)  # fmt: skip
_UCEPROTECT = KnownList(
    "", "", use=Use.SCORE, terms="free for moderate use",
    policy_page="https://www.uceprotect.net/en/index.php?m=3&s=0",
    removal_page="https://www.uceprotect.net/en/rblcheck.php",
)  # fmt: skip

_SBL = _code("127.0.0.2", "SBL: spam sources and spam services")
_CSS = _code("127.0.0.3", "CSS: low-reputation senders")
_XBL = _code("127.0.0.[4..7]", "XBL: compromised hosts")
_DROP = _code("127.0.0.9", "DROP: hijacked networks")
_PBL = (
    _code("127.0.0.10", "PBL: should not send mail directly, says its provider"),
    _code("127.0.0.11", "PBL: should not send mail directly, says Spamhaus"),
)
_ZEN = (_SBL, _CSS, _XBL, _DROP, *_PBL)
_DBL = (
    _code("127.0.1.2", "spam domain"),
    _code("127.0.1.4", "phishing domain"),
    _code("127.0.1.5", "malware domain"),
    _code("127.0.1.6", "botnet control domain"),
    _code("127.0.1.102", "abused legitimate domain: spam"),
    _code("127.0.1.103", "abused legitimate domain: redirector"),
    _code("127.0.1.104", "abused legitimate domain: phishing"),
    _code("127.0.1.105", "abused legitimate domain: malware"),
    _code("127.0.1.106", "abused legitimate domain: botnet control"),
    _error("127.0.1.255", "an address was asked, not a domain"),
)
_LISTED = (_code("127.0.0.2", "listed"),)

LISTS: tuple[KnownList, ...] = (
    replace(
        _SPAMHAUS, name="Spamhaus ZEN", zone="zen.spamhaus.org", codes=_ZEN,
        policy_page="https://www.spamhaus.org/blocklists/zen-blocklist/",
    ),
    replace(
        _SPAMHAUS, name="Spamhaus SBL", zone="sbl.spamhaus.org", codes=(_SBL, _CSS, _DROP),
        policy_page="https://www.spamhaus.org/blocklists/spamhaus-blocklist/", part_of="zen.spamhaus.org",
    ),
    replace(
        _SPAMHAUS, name="Spamhaus XBL", zone="xbl.spamhaus.org", codes=(_XBL,),
        policy_page="https://www.spamhaus.org/blocklists/exploits-blocklist/", part_of="zen.spamhaus.org",
    ),
    replace(
        _SPAMHAUS, name="Spamhaus PBL", zone="pbl.spamhaus.org", codes=_PBL,
        policy_page="https://www.spamhaus.org/blocklists/policy-blocklist/", part_of="zen.spamhaus.org",
    ),
    replace(
        _SPAMHAUS, name="Spamhaus DBL", zone="dbl.spamhaus.org", kind=Kind.DOMAIN, codes=_DBL,
        test_names=("dbltest.com",), policy_page="https://www.spamhaus.org/blocklists/domain-blocklist/",
    ),
    replace(
        _SPAMHAUS_DQS, name="Spamhaus ZEN (DQS)", zone="zen.dq.spamhaus.net", codes=_ZEN,
        policy_page="https://www.spamhaus.org/blocklists/zen-blocklist/",
    ),
    replace(
        _SPAMHAUS_DQS, name="Spamhaus DBL (DQS)", zone="dbl.dq.spamhaus.net", kind=Kind.DOMAIN, codes=_DBL,
        test_names=("dbltest.com",), policy_page="https://www.spamhaus.org/blocklists/domain-blocklist/",
    ),
    KnownList(
        "SpamCop", "bl.spamcop.net", codes=_LISTED, use=Use.SCORE,
        policy_page="https://www.spamcop.net/fom-serve/cache/291.html",
        removal_page="https://www.spamcop.net/bl.shtml", terms="free",
    ),
    replace(
        _UCEPROTECT, name="UCEPROTECT level 1", zone="dnsbl-1.uceprotect.net", codes=_LISTED,
        note="single addresses",
    ),
    replace(
        _UCEPROTECT, name="UCEPROTECT level 2", zone="dnsbl-2.uceprotect.net", codes=_LISTED,
        note="whole allocations: never reject on it",
    ),
    replace(
        _UCEPROTECT, name="UCEPROTECT level 3", zone="dnsbl-3.uceprotect.net", codes=_LISTED,
        note="whole providers: never reject on it",
    ),
    KnownList(
        "Barracuda", "b.barracudacentral.org", codes=_LISTED, use=Use.REJECT,
        policy_page="https://www.barracudacentral.org/rbl", registration=True,
        removal_page="https://www.barracudacentral.org/rbl/removal-request",
        terms="free; the asking resolver's address must be registered",
    ),
    KnownList(
        "PSBL", "psbl.surriel.com", codes=_LISTED, use=Use.SCORE,
        policy_page="https://psbl.org/", removal_page="https://psbl.org/", terms="free",
    ),
    KnownList(
        "Mailspike reputation", "rep.mailspike.net", use=Use.SCORE,
        codes=(
            _code("127.0.0.10", "worst possible reputation"),
            _code("127.0.0.11", "very bad reputation"),
            _code("127.0.0.12", "bad reputation"),
            _code("127.0.0.[13..16]", "neutral reputation", Sense.NEUTRAL),
            _code("127.0.0.17", "possibly legitimate sender", Sense.GOOD),
            _code("127.0.0.18", "good reputation", Sense.GOOD),
            _code("127.0.0.19", "very good reputation", Sense.GOOD),
            _code("127.0.0.20", "excellent reputation", Sense.GOOD),
        ),
        policy_page="https://www.mailspike.org/about.html",
        removal_page="https://www.mailspike.org/iplookup.html", terms="free for moderate use",
    ),
    KnownList(
        "DNSWL", "list.dnswl.org", sense=Sense.GOOD, use=Use.ALLOW,
        codes=(
            _error("127.0.0.255", "too many queries, or asked through a public resolver"),
            _code("127.0.[0..255].0", "trust: none", Sense.NEUTRAL),
            _code("127.0.[0..255].1", "trust: low", Sense.GOOD),
            _code("127.0.[0..255].2", "trust: medium", Sense.GOOD),
            _code("127.0.[0..255].3", "trust: high", Sense.GOOD),
        ),
        policy_page="https://www.dnswl.org/", removal_page="https://www.dnswl.org/",
        terms="free for moderate use through one's own resolver",
    ),
    KnownList(
        "URIBL", "multi.uribl.com", Kind.DOMAIN, use=Use.SCORE, test_names=("test.uribl.com",),
        codes=(
            _error("127.0.0.1", "refused: too many queries, or a public resolver"),
            _code("127.0.0.[&2]", "black: spam domain"),
            _code("127.0.0.[&4]", "grey: bulk mail that not everybody wants"),
            _code("127.0.0.[&8]", "red: found automatically"),
        ),
        policy_page="https://uribl.com/about.shtml", removal_page="https://admin.uribl.com/",
        terms="free for moderate use through one's own resolver; ask about registered domains",
    ),
    KnownList(
        "SURBL", "multi.surbl.org", Kind.DOMAIN, use=Use.SCORE,
        test_names=("surbl-org-permanent-test-point.com",),
        codes=(
            _error("127.0.0.1", "refused: the use is not allowed"),
            _code("127.0.0.[&8]", "PH: phishing"),
            _code("127.0.0.[&16]", "MW: malware"),
            _code("127.0.0.[&64]", "ABUSE: spam and other abuse"),
            _code("127.0.0.[&128]", "CR: cracked site"),
        ),
        policy_page="https://surbl.org/lists", removal_page="https://surbl.org/surbl-analysis",
        terms="free for fewer than 1000 users; ask about registered domains",
    ),
    KnownList(
        "hostkarma", "hostkarma.junkemailfilter.com", use=Use.SCORE,
        codes=(
            _code("127.0.0.1", "white: good sender", Sense.GOOD),
            _code("127.0.0.2", "black: spam source"),
            _code("127.0.0.3", "yellow: sends good mail and spam", Sense.NEUTRAL),
            _code("127.0.0.4", "brown: spam source, not yet black"),
        ),
        policy_page="https://wiki.junkemailfilter.com/index.php/Spam_DNS_Lists",
        removal_page="https://wiki.junkemailfilter.com/index.php/Spam_DNS_Lists", terms="free for moderate use",
    ),
    KnownList("SORBS", "sorbs.net", state=State.DEAD, note="shut down on 2024-06-05"),
    KnownList("NiX Spam", "ix.dnsbl.manitu.net", state=State.DEAD, note="shut down on 2025-01-16"),
    KnownList("AHBL", "ahbl.org", state=State.DEAD, note="shut down in 2015; it then listed the whole world"),
    KnownList("NJABL", "njabl.org", state=State.DEAD, note="shut down in 2013"),
    KnownList("ORDB", "ordb.org", state=State.DEAD, note="shut down in 2006; it later listed the whole world"),
)  # fmt: skip

_BY_ZONE = {known.zone: known for known in LISTS}


@lru_cache(maxsize=1024)
def find(zone: str) -> KnownList | None:
    """What is known of the list with that zone (A-labels, lower case), or None."""
    known = _BY_ZONE.get(zone)
    if known is None:
        parent = zone.partition(".")[2]
        below = _BY_ZONE.get(parent)
        known = below if below is not None and below.keyed else _dead_above(parent)
    return known


def _dead_above(zone: str) -> KnownList | None:
    while zone:
        known = _BY_ZONE.get(zone)
        if known is not None and known.state is State.DEAD:
            return known
        zone = zone.partition(".")[2]
    return None


def live(kind: Kind | None = None) -> Iterator[KnownList]:
    """The lists that can be asked without a key of one's own, each entry once: no list that is part of another."""
    for known in LISTS:
        if known.state is State.LIVE and not known.keyed and not known.part_of and kind in {None, known.kind}:
            yield known
