"""The catalogue of well-known lists: what they list, what their answers mean, their terms, and whether they are alive.

Facts as of `AS_OF`, from the lists' own pages; lists change, so read a list's policy page before you rely on it. No
list is asked because it stands here: the caller names the lists. Nothing here decides anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import lru_cache, partial
from typing import Any

from mailauth.rbl.pattern import Pattern

AS_OF = "2026-11"
"""Year and month of these facts."""


class Kind(StrEnum):
    """What a list can be asked about."""

    ADDRESS = "address"  # IP addresses (RFC 5782 section 2)
    DOMAIN = "domain"  # domain names (RFC 5782 section 3)
    DKIM = "dkim"  # domains of signatures that pass (d=); of other domains it says nothing
    EMAIL = "email"  # e-mail addresses, by their hash


class Sense(StrEnum):
    """What an answer says about the subject."""

    BAD = "bad"  # against it: a source of spam, for example
    GOOD = "good"  # for it: a sender with a good name
    NEUTRAL = "neutral"  # neither: a listing only where a rule's filter names the code
    ERROR = "error"  # about the question, not about the subject: never a listing


class Use(StrEnum):
    """What a list is good for, by its own policy and by experience."""

    REJECT = "reject"  # few false positives: mail may be refused on its word alone
    SCORE = "score"  # one voice among several
    INFORM = "inform"  # to learn where one is listed; too small, or too strict, to filter by
    ALLOW = "allow"  # lists good senders


class Scope(StrEnum):
    """Which of the list's kind it may be asked about, by its own policy."""

    ANY = "any"  # all of them: its policy sets no limit
    CLIENT = "client"  # the connecting client, never the hops of Received fields
    MX_CLIENT = "mx-client"  # a client that connects to an MX, never authenticated submission
    NULL_SENDER = "null-sender"  # the client, for mail from the null sender or postmaster, never for all mail
    LOGINS = "logins"  # hosts that log in, never for mail from other servers


class State(StrEnum):
    """Whether a list is still there."""

    LIVE = "live"  # it answered when the catalogue was made
    DEAD = "dead"  # it is gone, and is never asked


@dataclass(frozen=True, slots=True)
class Code:
    """What the answers that match a pattern mean."""

    pattern: Pattern
    meaning: str
    sense: Sense = Sense.BAD

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

    `ip_versions` are the versions of IP that a list of addresses says it has; where it does not say (empty), it is
    asked about both. `keyed` lists give each customer a zone below `zone`, whose first label is the customer's key: a
    secret; without `registration` they can be asked without one, too. `part_of` is the zone of a list that holds all of
    this one. `terms` says what must be done or kept before one asks. `test_names` are entries that are always there
    besides those of RFC 5782 section 5, `test_absent` those that never are. Of a dead list only `name`, `zone`,
    `since` (a date, or a year; empty if unknown) and `note` say anything, and every zone below it is dead, too.
    """

    name: str
    zone: str  # in lower case; of a keyed list what stands behind the key
    kind: Kind = Kind.ADDRESS
    codes: tuple[Code, ...] = ()  # what its answers mean; without a rule's filter, those with its `sense` are listings
    sense: Sense = Sense.BAD  # what a listing says about the subject
    use: Use = Use.SCORE
    scope: Scope = Scope.ANY
    ip_versions: tuple[int, ...] = ()
    policy_page: str = ""  # URL of what the list says of itself; "" if it has no page
    removal_page: str = ""  # URL where one asks to be taken off; "" if it has none
    terms: str = ""
    registration: bool = False  # one has to register before one may ask
    keyed: bool = False
    part_of: str = ""
    state: State = State.LIVE
    since: str = ""
    note: str = ""  # what else to know of it; of a dead list, what became of it
    test_names: tuple[str, ...] = ()
    test_absent: tuple[str, ...] = ()  # of a list of domains they take the place of those of RFC 5782

    @property
    def needs_key(self) -> bool:
        """Whether nobody can ask it without a key of one's own."""
        return self.keyed and self.registration

    @property
    def shown_zone(self) -> str:
        """The zone, with ``KEY`` where a key must stand."""
        return f"KEY.{self.zone}" if self.needs_key else self.zone

    @property
    def weight(self) -> int:
        """How much a listing says about mail, from -2 (good) to 4, where all lists are asked at once."""
        if self.scope in (Scope.NULL_SENDER, Scope.LOGINS):
            return 0
        return {Use.REJECT: 4, Use.SCORE: 2, Use.INFORM: 1, Use.ALLOW: -2}[self.use]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        words = {name: value.value for name, value in plain.items() if isinstance(value, StrEnum)}
        lists = {name: list(value) for name, value in plain.items() if isinstance(value, tuple)}
        codes = [code.to_dict() for code in self.codes]
        return {**plain, **words, **lists, "codes": codes, "zone": self.shown_zone, "weight": self.weight}


_SENSES = {"": Sense.BAD, "+ ": Sense.GOOD, "~ ": Sense.NEUTRAL, "! ": Sense.ERROR}
_CODE = re.compile(r" *(\S+) ([+~!] |)(.+)")


def _codes(*lines: str) -> tuple[Code, ...]:
    """A pattern and its meaning; between them "+" for a good sender, "~" for neither good nor bad, "!" for an error."""
    parts = [found.groups() for found in map(_CODE.fullmatch, lines) if found]
    return tuple(Code(Pattern.parse(pattern), meaning, _SENSES[sign]) for pattern, sign, meaning in parts)


COMMON_ERRORS = _codes(
    "127.255.255.252 ! the zone's name is misspelt",
    "127.255.255.254 ! asked through a public resolver, or by a host without reverse DNS",
    "127.255.255.255 ! too many queries",
    "127.255.255.[0..255] ! the list refuses to answer",
)
"""Answers that no list gives about its subject. Spamhaus began it, others followed; see their FAQ on return codes."""

_LISTED = _codes("127.0.0.2 listed")
_ANY_LISTED = _codes("127.0.0.[2..255] listed")
_CERTIFIED = _codes("127.0.0.[2..255] + certified sender")
_SBL = _codes(
    "127.0.0.2 SBL: spam sources and spam services",
    "127.0.0.3 CSS: low-reputation senders",
    "127.0.0.9 DROP: hijacked networks",
    "127.0.0.30 BCL: botnet control hosts",
)
_XBL = _codes("127.0.0.[4..7] XBL: compromised hosts")
_PBL = _codes(
    "127.0.0.10 PBL: should not send mail directly, says its provider",
    "127.0.0.11 PBL: should not send mail directly, says Spamhaus",
)
_DBL = _codes(
    "127.0.1.2 spam domain",
    "127.0.1.4 phishing domain",
    "127.0.1.5 malware domain",
    "127.0.1.6 botnet control domain",
    "127.0.1.102 abused legitimate domain: spam",
    "127.0.1.103 abused legitimate domain: redirector",
    "127.0.1.104 abused legitimate domain: phishing",
    "127.0.1.105 abused legitimate domain: malware",
    "127.0.1.106 abused legitimate domain: botnet control",
    "127.0.1.255 ! an address was asked, not a domain",
)
_DNSWL = _codes(
    "127.0.0.255 ! too many queries, or asked through a public resolver",
    "127.0.[0..255].0 ~ trust: none",
    "127.0.[0..255].1 + trust: low",
    "127.0.[0..255].2 + trust: medium",
    "127.0.[0..255].3 + trust: high",
)
_URIBL = _codes(
    "127.0.0.1 ! refused: too many queries, or a public resolver",
    "127.0.0.[&2] black: spam domain",
    "127.0.0.[&4] grey: bulk mail that not everybody wants",
    "127.0.0.[&8] red: found automatically",
)
_ABUSIX_BLACK = _codes("127.0.0.2 mail to spam traps", "127.0.0.3 found by heuristics", "127.0.0.200 listed by hand")
_ABUSIX_EXPLOIT = _codes("127.0.0.4 compromised host")
_ABUSIX_DYNAMIC = _codes("127.0.0.11 generic reverse name", "127.0.0.12 no reverse name")
_DYNA, _NOPTR, _SPAM = _codes(
    "127.0.0.36 DYNA: dynamic address", "127.0.0.37 NOPTR: no reverse name", "127.0.0.38 SPAM: spam source"
)

# What the lists of one house have in common.
_spamhaus = partial(
    KnownList, use=Use.REJECT, removal_page="https://check.spamhaus.org/",
    terms="free for small non-commercial use through one's own resolver; public resolvers are refused",
)  # fmt: skip
_spamhaus_dqs = partial(
    KnownList, registration=True, keyed=True, removal_page="https://check.spamhaus.org/",
    terms="the Data Query Service: registration, a key of one's own in the zone's name",
)  # fmt: skip
_uceprotect = partial(
    KnownList, codes=_LISTED, ip_versions=(4,), terms="free for moderate use",
    policy_page="https://www.uceprotect.net/en/index.php?m=3&s=0",
    removal_page="https://www.uceprotect.net/en/rblcheck.php",
)  # fmt: skip
_abusix = partial(
    KnownList, registration=True, keyed=True, policy_page="https://docs.abusix.com/",
    removal_page="https://lookup.abusix.com/", terms="registration, with a free tier; a key in the zone's name",
)  # fmt: skip
_spamrats = partial(
    KnownList, scope=Scope.CLIENT, keyed=True, policy_page="https://www.spamrats.com/about.php",
    removal_page="https://www.spamrats.com/removal.php", terms="free; a registered key in the zone's name for much use",
)  # fmt: skip
_eating_monkey = partial(
    KnownList, codes=_codes("127.0.0.[2..3] listed"), test_names=("_dnsbl_.test",), test_absent=("_dnsblneg_.test",),
    policy_page="https://spameatingmonkey.com/services", removal_page="https://spameatingmonkey.com/lookup",
    terms="free for 100,000 questions a day",
)  # fmt: skip
_validity = partial(
    KnownList, policy_page="https://senderscore.org/", removal_page="https://senderscore.org/",
    terms="10,000 questions a month without an account, then every answer is an error",
)  # fmt: skip
_dnswl = partial(
    KnownList, codes=_DNSWL, sense=Sense.GOOD, use=Use.ALLOW,
    policy_page="https://www.dnswl.org/", removal_page="https://www.dnswl.org/",
    terms="free for moderate use through one's own resolver",
)  # fmt: skip
_uribl = partial(
    KnownList, kind=Kind.DOMAIN, test_names=("test.uribl.com",),
    policy_page="https://uribl.com/about.shtml", removal_page="https://admin.uribl.com/",
    terms="free for moderate use through one's own resolver; ask about registered domains",
)  # fmt: skip
_small = partial(KnownList, codes=_ANY_LISTED, use=Use.INFORM, terms="free", note="a small list")


def _at(page: str, zone: str, name: str) -> KnownList:
    return _small(name, zone, policy_page=page, removal_page=page)


def _dead(name: str, zone: str, since: str, why: str, then: str = "") -> KnownList:
    when = f" {'on' if len(since) > 4 else 'in'} {since}" if since else ""
    return KnownList(name, zone, state=State.DEAD, since=since, note=f"{why}{when}{then and f'; {then}'}")


_SHUT = "shut down"
_LISTS_ALL = "it then listed the whole world"

LISTS: tuple[KnownList, ...] = (
    _spamhaus(
        "Spamhaus ZEN", "zen.spamhaus.org", codes=_SBL + _XBL + _PBL, scope=Scope.MX_CLIENT, ip_versions=(4, 6),
        policy_page="https://www.spamhaus.org/blocklists/zen-blocklist/",
    ),
    _spamhaus(
        "Spamhaus SBL", "sbl.spamhaus.org", codes=_SBL, ip_versions=(4, 6), part_of="zen.spamhaus.org",
        policy_page="https://www.spamhaus.org/blocklists/spamhaus-blocklist/",
    ),
    _spamhaus(
        "Spamhaus XBL", "xbl.spamhaus.org", codes=_XBL, part_of="zen.spamhaus.org",
        policy_page="https://www.spamhaus.org/blocklists/exploits-blocklist/",
    ),
    _spamhaus(
        "Spamhaus PBL", "pbl.spamhaus.org", codes=_PBL, scope=Scope.MX_CLIENT, part_of="zen.spamhaus.org",
        policy_page="https://www.spamhaus.org/blocklists/policy-blocklist/",
    ),
    _spamhaus(
        "Spamhaus DBL", "dbl.spamhaus.org", Kind.DOMAIN, _DBL, test_names=("dbltest.com",),
        policy_page="https://www.spamhaus.org/blocklists/domain-blocklist/",
    ),
    _spamhaus_dqs(
        "Spamhaus ZEN (DQS)", "zen.dq.spamhaus.net", codes=_SBL + _XBL + _PBL, use=Use.REJECT, scope=Scope.MX_CLIENT,
        ip_versions=(4, 6), policy_page="https://www.spamhaus.org/blocklists/zen-blocklist/",
    ),
    _spamhaus_dqs(
        "Spamhaus DBL (DQS)", "dbl.dq.spamhaus.net", Kind.DOMAIN, _DBL, use=Use.REJECT, test_names=("dbltest.com",),
        policy_page="https://www.spamhaus.org/blocklists/domain-blocklist/",
    ),
    _spamhaus_dqs(
        "Spamhaus AuthBL", "authbl.dq.spamhaus.net", codes=_codes("127.0.0.20 tries stolen passwords"),
        scope=Scope.LOGINS, policy_page="https://docs.spamhaus.com/datasets/",
    ),
    _spamhaus_dqs(
        "Spamhaus ZRD", "zrd.dq.spamhaus.net", Kind.DOMAIN,
        _codes("127.0.2.[2..24] first seen within a day: the last octet says how many hours ago"),
        policy_page="https://docs.spamhaus.com/datasets/",
    ),
    KnownList(
        "SpamCop", "bl.spamcop.net", codes=_LISTED, terms="free",
        policy_page="https://www.spamcop.net/fom-serve/cache/291.html",
        removal_page="https://www.spamcop.net/bl.shtml",
    ),
    _uceprotect("UCEPROTECT level 1", "dnsbl-1.uceprotect.net", note="single addresses"),
    _uceprotect("UCEPROTECT level 2", "dnsbl-2.uceprotect.net", note="whole allocations: never reject on it"),
    _uceprotect("UCEPROTECT level 3", "dnsbl-3.uceprotect.net", note="whole providers: never reject on it"),
    KnownList(
        "Barracuda", "b.barracudacentral.org", codes=_LISTED, use=Use.REJECT, registration=True,
        policy_page="https://www.barracudacentral.org/rbl",
        removal_page="https://www.barracudacentral.org/rbl/removal-request",
        terms="free; the asking resolver's address must be registered",
    ),
    KnownList(
        "PSBL", "psbl.surriel.com", codes=_LISTED, policy_page="https://psbl.org/", removal_page="https://psbl.org/",
        terms="free",
    ),
    KnownList(
        "Mailspike reputation", "rep.mailspike.net", terms="free for moderate use",
        codes=_codes(
            "127.0.0.10 worst possible reputation",
            "127.0.0.11 very bad reputation",
            "127.0.0.12 bad reputation",
            "127.0.0.[13..16] ~ neutral reputation",
            "127.0.0.17 + possibly legitimate sender",
            "127.0.0.18 + good reputation",
            "127.0.0.19 + very good reputation",
            "127.0.0.20 + excellent reputation",
        ),
        policy_page="https://www.mailspike.org/about.html", removal_page="https://www.mailspike.org/iplookup.html",
    ),
    _dnswl("DNSWL", "list.dnswl.org", ip_versions=(4, 6)),
    _dnswl("DNSWL for DKIM domains", "dwl.dnswl.org", Kind.DKIM),
    _uribl("URIBL", "multi.uribl.com", codes=_URIBL),
    _uribl("URIBL black", "black.uribl.com", codes=_URIBL[:2], part_of="multi.uribl.com"),
    _uribl("URIBL grey", "grey.uribl.com", codes=(_URIBL[0], _URIBL[2]), part_of="multi.uribl.com"),
    _uribl("URIBL red", "red.uribl.com", codes=(_URIBL[0], _URIBL[3]), part_of="multi.uribl.com"),
    KnownList(
        "SURBL", "multi.surbl.org", Kind.DOMAIN, test_names=("surbl-org-permanent-test-point.com",),
        codes=_codes(
            "127.0.0.1 ! refused: the use is not allowed",
            "127.0.0.[&8] PH: phishing",
            "127.0.0.[&16] MW: malware",
            "127.0.0.[&64] ABUSE: spam and other abuse",
            "127.0.0.[&128] CR: cracked site",
        ),
        policy_page="https://surbl.org/lists", removal_page="https://surbl.org/surbl-analysis",
        terms="free for fewer than 1000 users; ask about registered domains",
    ),
    KnownList(
        "hostkarma", "hostkarma.junkemailfilter.com", terms="free for moderate use",
        codes=_codes(
            "127.0.0.1 + white: good sender",
            "127.0.0.2 black: spam source",
            "127.0.0.3 ~ yellow: sends good mail and spam",
            "127.0.0.4 brown: spam source, not yet black",
        ),
        policy_page="https://wiki.junkemailfilter.com/index.php/Spam_DNS_Lists",
        removal_page="https://wiki.junkemailfilter.com/index.php/Spam_DNS_Lists",
    ),
    _abusix(
        "Abusix combined", "combined.mail.abusix.zone", codes=_ABUSIX_BLACK + _ABUSIX_EXPLOIT + _ABUSIX_DYNAMIC,
        scope=Scope.MX_CLIENT,
    ),
    _abusix("Abusix black", "black.mail.abusix.zone", codes=_ABUSIX_BLACK, part_of="combined.mail.abusix.zone"),
    _abusix("Abusix exploit", "exploit.mail.abusix.zone", codes=_ABUSIX_EXPLOIT, part_of="combined.mail.abusix.zone"),
    _abusix(
        "Abusix dynamic", "dynamic.mail.abusix.zone", codes=_ABUSIX_DYNAMIC, scope=Scope.MX_CLIENT,
        part_of="combined.mail.abusix.zone",
    ),
    _abusix(
        "Abusix policy", "policy.mail.abusix.zone", codes=_ABUSIX_DYNAMIC, scope=Scope.MX_CLIENT,
        part_of="combined.mail.abusix.zone", note="deprecated: ask dynamic",
    ),
    _abusix(
        "Abusix domains", "dblack.mail.abusix.zone", Kind.DOMAIN,
        _codes("127.0.1.1 seen in spam", "127.0.1.2 newly observed", "127.0.1.3 behind short URLs"),
        note="holds all names below a listed one, too", test_names=("a.test",),
    ),
    _spamrats(
        "SpamRATS", "all.spamrats.com",
        codes=(_DYNA, _NOPTR, _SPAM, *_codes("127.0.0.43 ~ AUTH: tries to log in; says nothing about mail")),
    ),
    _spamrats("SpamRATS DYNA", "dyna.spamrats.com", codes=(_DYNA,), part_of="all.spamrats.com"),
    _spamrats("SpamRATS NOPTR", "noptr.spamrats.com", codes=(_NOPTR,), part_of="all.spamrats.com"),
    _spamrats("SpamRATS SPAM", "spam.spamrats.com", codes=(_SPAM,), part_of="all.spamrats.com"),
    _spamrats(
        "SpamRATS AUTH", "auth.spamrats.com", codes=_codes("127.0.0.43 AUTH: tries to log in"), scope=Scope.LOGINS,
        part_of="all.spamrats.com",
    ),
    KnownList(
        "DroneBL", "dnsbl.dronebl.org", ip_versions=(4, 6), terms="free, for commercial use, too",
        codes=_codes(
            "127.0.0.3 IRC drone",
            "127.0.0.5 bottler",
            "127.0.0.6 unknown worm or bot",
            "127.0.0.7 DDoS drone",
            "127.0.0.8 open SOCKS proxy",
            "127.0.0.9 open HTTP proxy",
            "127.0.0.10 ProxyChain",
            "127.0.0.11 web page proxy",
            "127.0.0.13 brute force attacks",
            "127.0.0.14 open wingate",
            "127.0.0.15 compromised router",
            "127.0.0.16 autorooting worm",
            "127.0.0.17 botnet",
            "127.0.0.18 DNS or MX on IRC",
            "127.0.0.19 abused VPN",
        ),
        note="its text says what a code means today", policy_page="https://dronebl.org/docs/what",
        removal_page="https://dronebl.org/lookup",
    ),
    _eating_monkey("Spam Eating Monkey", "bl.spameatingmonkey.net", ip_versions=(4,)),
    _eating_monkey("Spam Eating Monkey IPv6", "bl.ipv6.spameatingmonkey.net", ip_versions=(6,)),
    _eating_monkey(
        "Spam Eating Monkey backscatter", "backscatter.spameatingmonkey.net", ip_versions=(4,), scope=Scope.NULL_SENDER,
    ),
    _eating_monkey("Spam Eating Monkey domains", "uribl.spameatingmonkey.net", Kind.DOMAIN),
    _eating_monkey("Spam Eating Monkey fresh domains", "fresh15.spameatingmonkey.net", Kind.DOMAIN),
    KnownList(
        "Backscatterer", "ips.backscatterer.org", codes=_LISTED, scope=Scope.NULL_SENDER, terms="free for moderate use",
        policy_page="https://www.backscatterer.org/?target=usage",
        removal_page="https://www.backscatterer.org/?target=test",
    ),
    _validity("Validity blocklist", "bl.score.senderscore.com", codes=_ANY_LISTED),
    _validity(
        "Validity Sender Score", "score.senderscore.com", note="the last octet is the score; 80 and more is good",
        codes=_codes("127.0.4.[0..79] a score below 80", "127.0.4.[80..100] + a score of 80 or more"),
    ),
    _validity(
        "Validity certification", "sa-trusted.bondedsender.org", codes=_CERTIFIED, sense=Sense.GOOD, use=Use.ALLOW
    ),
    _validity("Validity Safe", "sa-accredit.habeas.com", codes=_CERTIFIED, sense=Sense.GOOD, use=Use.ALLOW),
    KnownList(
        "blocklist.de", "bl.blocklist.de", codes=_codes("127.0.0.[2..21] attacks: ssh, mail, apache and others"),
        ip_versions=(4, 6), note="attacks of every kind; mail.bl.blocklist.de has those on mail alone", terms="free",
        policy_page="https://www.blocklist.de/en/rbldns.html", removal_page="https://www.blocklist.de/en/delist.html",
    ),
    KnownList(
        "blocklist.de mail", "mail.bl.blocklist.de", codes=_codes("127.0.0.[2..21] attacks on mail servers"),
        ip_versions=(4, 6), part_of="bl.blocklist.de", terms="free",
        policy_page="https://www.blocklist.de/en/rbldns.html", removal_page="https://www.blocklist.de/en/delist.html",
    ),
    KnownList(
        "GBUdb truncate", "truncate.gbudb.net", codes=_LISTED, policy_page="https://www.gbudb.com/truncate/",
        terms="free", note="no removal on request: entries expire",
    ),
    _at("https://www.usenix.org.uk/content/rbl.html", "all.s5h.net", "s5h"),
    _at("https://0spam.org/", "bl.0spam.org", "0spam"),
    _at("https://www.nordspam.com/", "bl.nordspam.com", "NordSpam"),
    _at("https://suomispam.net/", "bl.suomispam.net", "Suomispam"),
    _at("https://rbl.interserver.net/", "rbl.interserver.net", "InterServer"),
    _at("https://rbl.your-server.de/", "rbl.your-server.de", "Hetzner"),
    _at("https://www.virusfree.cz/", "bip.virusfree.cz", "virusfree.cz"),
    KnownList(
        "MSBL EBL", "ebl.msbl.org", Kind.EMAIL, use=Use.REJECT, terms="free for moderate use",
        codes=_codes("127.0.0.[2..3] address to which spam asks to reply", "127.0.1.[2..3] ~ grey: not certain"),
        policy_page="https://msbl.org/ebl.html", removal_page="https://msbl.org/ebl.html",
    ),
    _dead("SORBS", "sorbs.net", "2024-06-05", _SHUT),
    _dead("NiX Spam", "ix.dnsbl.manitu.net", "2025-01-16", _SHUT),
    _dead("AHBL", "ahbl.org", "2015", _SHUT, _LISTS_ALL),
    _dead("NJABL", "njabl.org", "2013", _SHUT),
    _dead("ORDB", "ordb.org", "2006", _SHUT, "it later listed the whole world"),
    _dead("WPBL", "wpbl.info", "2024", _SHUT, "since October 2025 each question costs the whole time limit"),
    _dead("inps.de", "dnsbl.inps.de", "2020", _SHUT),
    _dead("SpamCannibal", "spamcannibal.org", "2018", "its domain lapsed", "again in 2019; " + _LISTS_ALL),
    _dead("CBL", "cbl.abuseat.org", "", "part of Spamhaus XBL now: ask zen.spamhaus.org"),
    _dead("DSBL", "dsbl.org", "2008", _SHUT),
    _dead("Madavi", "madavi.de", "2025", _SHUT),
    _dead("Burnt-Tech", "burnt-tech.com", "", "its domain expired, and a wildcard answers"),
    _dead("sectoor", "sectoor.de", "2018", _SHUT),
    _dead("LashBack", "ubl.unsubscore.com", "", "off line"),
    _dead("rfc-ignorant.org", "rfc-ignorant.org", "2012", _SHUT),
    _dead("five-ten-sg", "five-ten-sg.com", "", _SHUT),
    _dead("abuse.ch spam", "spam.abuse.ch", "", _SHUT),
    _dead("abuse.ch combined", "combined.abuse.ch", "", _SHUT),
    _dead("abuse.ch drone", "drone.abuse.ch", "", _SHUT),
    _dead("MAPS", "mail-abuse.org", "", _SHUT),
    _dead("VIRBL", "virbl.bit.nl", "", _SHUT),
    _dead("Spamhaus Whitelist", "swl.spamhaus.org", "", _SHUT),
)  # fmt: skip
"""All entries, those of dead lists included; `find` looks one up by its zone."""

_BY_ZONE = {known.zone: known for known in LISTS}


@lru_cache(maxsize=1024)
def find(zone: str) -> KnownList | None:
    """What is known of the list with that zone (A-labels, lower case), or None."""
    known = _BY_ZONE.get(zone)
    above = zone.partition(".")[2]
    if known is None and (below := _BY_ZONE.get(above)) and below.keyed:
        return below
    while known is None and above:
        found = _BY_ZONE.get(above)
        known = found if found is not None and found.state is State.DEAD else None
        above = above.partition(".")[2]
    return known


def why_left_out(known: KnownList) -> str:
    """Why a list is not asked where all that can be are (`live`); empty if it is."""
    if known.state is State.DEAD:
        return "dead"
    if known.needs_key:
        return "needs a key"
    return f"part of {known.part_of}" if known.part_of else ""


def live(kind: Kind | None = None) -> Iterator[KnownList]:
    """The lists that can be asked without a key of one's own, each entry once: no list that is part of another."""
    return (known for known in LISTS if kind in {None, known.kind} and not why_left_out(known))
