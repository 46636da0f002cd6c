"""`query`: ask many lists about one address, domain or e-mail address, all at the same time.

Which questions are sent to which lists about a subject, and the plan that sends them. What the answers mean is in
listing.py.
"""

# SECURITY: the subject is the peer's (its address, its HELO, its sender, a name from its reverse DNS). One list costs
# at most two questions. Nothing but a public address, a plain domain name or a hash is ever sent to a list: a HELO of
# "10.0.0.1" or "mail.corp.internal" would tell strangers about the inside of somebody's network.

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TypeAlias

from mailauth.mail.names import is_fqdn, is_within, parse_ip, reverse_labels, split_address, to_ascii
from mailauth.mail.text import printable
from mailauth.plan import MAX_NAME_OCTETS, Answer, IPAddress, Plan, Question, run_all
from mailauth.rbl.catalogue import Kind
from mailauth.rbl.listing import Listing, Reason, Result, judge_answer, safe_text
from mailauth.rbl.rule import Rule, as_rule

Network: TypeAlias = IPv4Network | IPv6Network

# The IANA registries of special-purpose addresses (RFC 6890): what is not the public Internet. The networks for
# documentation (192.0.2.0/24 and its like) are left out: nobody has them, and examples and tests need them.
NOT_PUBLIC: tuple[Network, ...] = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",  # RFC 791: this network
        "10.0.0.0/8",  # RFC 1918: private
        "100.64.0.0/10",  # RFC 6598: behind a carrier's NAT
        "127.0.0.0/8",  # RFC 1122: loopback
        "169.254.0.0/16",  # RFC 3927: link-local
        "172.16.0.0/12",  # RFC 1918: private
        "192.0.0.0/24",  # RFC 6890: protocol assignments
        "192.168.0.0/16",  # RFC 1918: private
        "198.18.0.0/15",  # RFC 2544: benchmarks
        "224.0.0.0/3",  # RFC 5771 and RFC 1112: multicast, reserved, broadcast
        # RFC 4291 section 2.4: all unicast addresses of the public Internet are in 2000::/3.
        "::/3",
        "4000::/2",
        "8000::/1",
        "2001::/23",  # RFC 2928: protocol assignments (Teredo, benchmarks, ORCHID)
    )
)

# Names that exist only inside somebody's network, and names of addresses, which are no business of a list of domains.
# "test", "invalid" and "example" are left out, for the same reason as the networks for documentation.
NOT_PUBLIC_DOMAINS = (
    "localhost",  # RFC 6761 section 6.3
    "local",  # RFC 6762 section 3
    *("intranet", "internal", "private", "corp", "home", "lan"),  # RFC 6762 appendix G
    "home.arpa",  # RFC 8375
    "onion",  # RFC 7686
    "alt",  # RFC 9476
    "in-addr.arpa",  # RFC 1035 section 3.5
    "ip6.arpa",  # RFC 3596 section 2.5
)


@dataclass(frozen=True, slots=True)
class RblPolicy:
    """What is asked. The defaults suit a mail server on the public Internet.

    `ask_text`: ask the lists that list the subject for their reason (RFC 5782 section 2.1: MAY), one more question
    each. `not_public` and `not_public_domains`: what no list is ever asked about; empty them to ask a list of your
    own about your own addresses. Raises `TypeError` for anything that is not a network, and for a string in place of
    domains.
    """

    ask_text: bool = True
    not_public: tuple[Network, ...] = NOT_PUBLIC
    not_public_domains: tuple[str, ...] = NOT_PUBLIC_DOMAINS

    def __post_init__(self) -> None:
        if not all(isinstance(network, IPv4Network | IPv6Network) for network in self.not_public):
            raise TypeError("not_public holds networks: ipaddress.ip_network reads them")
        # One string would be a tuple of its letters, and protect nothing.
        domains: object = self.not_public_domains
        if isinstance(domains, str):
            raise TypeError("not_public_domains is a tuple of domain names")


DEFAULT_POLICY = RblPolicy()


@dataclass(frozen=True, slots=True)
class Subject:
    """What the lists are asked about: `text` as it is shown, `labels` as they stand before the zone.

    `unasked` says why no list may be asked about it; it is empty when they may. `ip_version` is that of an address.
    """

    text: str
    kind: Kind
    labels: str = ""
    unasked: str = ""
    ip_version: int = 0

    @classmethod
    def of(cls, subject: str | IPAddress, policy: RblPolicy = DEFAULT_POLICY) -> Subject:
        """The subject as a value. Any string has one (it may come from a peer); another type is a `TypeError`.

        RFC 5782 sections 2.1 and 2.4: the octets of an address stand in reverse, or its 32 nibbles; section 3: a name
        stands as it is.
        """
        ip = _address(subject)
        if ip is not None:
            inside = next((net for net in policy.not_public if net.version == ip.version and ip in net), None)
            unasked = "" if inside is None else f"not a public address (in {inside})"
            return cls(str(ip), Kind.ADDRESS, reverse_labels(ip), unasked, ip.version)
        text = str(subject)
        shown = printable(text, MAX_NAME_OCTETS, ascii_only=True)
        mailbox = split_address(text)
        name = to_ascii(mailbox.domain if mailbox else text)
        if name is None or not is_fqdn(name):
            return cls(shown, Kind.DOMAIN, unasked="neither an address nor a domain name")
        inside_of = next((domain for domain in policy.not_public_domains if is_within(name, domain)), None)
        unasked = "" if inside_of is None else f"not a public domain (in {inside_of})"
        if mailbox:
            return cls(shown, Kind.EMAIL, _hash(mailbox.local_part, name), unasked)
        return cls(name, Kind.DOMAIN, name, unasked)


def _address(subject: str | IPAddress) -> IPAddress | None:
    if not isinstance(subject, str):
        return parse_ip(subject)
    # RFC 5321 section 4.1.3: in HELO and in mail addresses an address stands in brackets, IPv6 with a tag.
    text = subject.removesuffix(".")
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
        text = text[5:] if text[:5].lower() == "ipv6:" else text
    try:
        return parse_ip(text)
    except ValueError:
        return None


_GMAIL = "gmail.com"


def _hash(local_part: str, domain: str) -> str:
    """What an EBL is asked about an address: the SHA-1 of the mailbox, whichever of its spellings was used.

    That is the address in lower case, without a tag (``+...``), for Gmail without dots (https://msbl.org/ebl.html).
    """
    if len(local_part) > 2 and local_part.startswith('"') and local_part.endswith('"'):
        # RFC 5321 section 4.1.2: a quoted string stands for what is in it.
        local_part = re.sub(r"\\(.)", r"\1", local_part[1:-1])
    local_part = local_part.lower()
    local_part = local_part.partition("+")[0] or local_part
    if domain in (_GMAIL, "googlemail.com"):
        local_part, domain = local_part.replace(".", "") or local_part, _GMAIL
    return hashlib.sha1(f"{local_part}@{domain}".encode(errors="replace"), usedforsecurity=False).hexdigest()


def query(
    subject: str | IPAddress, zones: Iterable[str | Rule], *, policy: RblPolicy = DEFAULT_POLICY
) -> Plan[list[Listing]]:
    """A plan that asks all lists about the subject at the same time: one `Listing` for each, in order, none hidden.

    `subject` is an IP address (an IPv4-mapped one is asked as IPv4), a domain name (U-labels become A-labels), or an
    e-mail address, of which a hash is asked; a string that is none of them gives listings with the reason "not-asked".
    `zones` are rules in Postfix's notation (`Rule.parse`) or `Rule` values; the same zone may stand there several times
    with different filters, and is asked once. Each list that lists the subject is asked for its reason at once, without
    waiting for the others; one whose reason did not come by the deadline counts as listed, its text empty.

    Raises `RuleError` or `TypeError`, when called, for the caller's mistakes; the plan itself raises nothing.
    """
    return query_rules(Subject.of(subject, policy), rules_of(zones), policy)


def rules_of(zones: Iterable[str | Rule]) -> list[Rule]:
    """The rules that the caller means. Raises `RuleError` or `TypeError`."""
    if isinstance(zones, str):
        raise TypeError("zones is a list of lists to ask, not one string")
    return [as_rule(zone) for zone in zones]


def query_rules(subject: Subject, rules: Iterable[Rule], policy: RblPolicy) -> Plan[list[Listing]]:
    """The plan of `query`, from values."""
    return (yield from run_all([_ask_list(subject, rule, policy) for rule in rules]))


def _ask_list(subject: Subject, rule: Rule, policy: RblPolicy) -> Plan[Listing]:
    unasked = _unasked(subject, rule)
    if unasked is not None:
        return unasked
    name = f"{subject.labels}.{rule.zone}"
    # RFC 5782 section 2.1: a client MUST ask for the A record, and MAY ask for the TXT record.
    answer: Answer = yield Question(name, "A")
    judgment = judge_answer(rule, answer)
    text = ""
    if judgment.result is Result.LISTED and policy.ask_text:
        answer = yield Question(name, "TXT")
        text = safe_text(rule, answer.texts)
    return Listing(rule, subject.text, *judgment, text)


def _unasked(subject: Subject, rule: Rule) -> Listing | None:
    """The listing for a question that is not sent, or None if it is."""
    known = rule.known
    if known is not None and rule.dead:
        return Listing(rule, subject.text, Result.REFUSED, Reason.DEAD_LIST, f"{known.name}: {known.note}")
    why = subject.unasked
    if not why and rule.kind not in ASKED[subject.kind]:
        # A list of domains would get the addresses of all clients, and answer them with an error code.
        lists = "a list of unknown kind" if rule.kind is None else f"a list of {PLURAL[rule.kind]}"
        why = f"{lists} is not asked about {PLURAL[subject.kind]}"
    if not why and known is not None and subject.ip_version and known.ip_versions:
        if subject.ip_version not in known.ip_versions:
            why = f"the list has no IPv{subject.ip_version} addresses"
    # Both parts are host names: only their sum can be too much.
    if not why and len(subject.labels) + 1 + len(rule.zone) > MAX_NAME_OCTETS:
        why = "the name is too long for the DNS"
    return Listing(rule, subject.text, Result.NOT_LISTED, Reason.NOT_ASKED, why) if why else None


ASKED: dict[Kind, tuple[Kind | None, ...]] = {
    Kind.ADDRESS: (Kind.ADDRESS, None),
    Kind.DOMAIN: (Kind.DOMAIN, Kind.DKIM, None),
    Kind.EMAIL: (Kind.EMAIL,),
}
"""Which lists are asked about a subject of that kind; None is for those of which nobody says what they list."""

PLURAL = {
    Kind.ADDRESS: "addresses",
    Kind.DOMAIN: "domains",
    Kind.DKIM: "DKIM domains",
    Kind.EMAIL: "e-mail addresses",
}
