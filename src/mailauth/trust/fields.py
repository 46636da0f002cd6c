"""Which Authentication-Results fields count: those that our own servers wrote, by their id and by their place."""

# RFC 8601 sections 4.1, 5 and 7.1: a reader may use the fields with an authserv-id of its own site, which the server at
# the border added after it took away all that claimed to be its own. This reader does not count on the taking away.
# From the top it goes down through what our own hosts wrote, to the Received with which the message came in from
# outside; below it stands what the sender may have written.
#
# SECURITY: a field counts only where no sender can write, unless the caller's policy says that the server puts it
# elsewhere; then only the topmost one does.

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from mailauth import authres
from mailauth.authres import ARC_FIELD_NAME, FIELD_NAME, AuthenticationResults, ParseFailure
from mailauth.mail.header import Field, Header
from mailauth.mail.names import is_within, parse_ip, to_ascii
from mailauth.plan import IPAddress
from mailauth.trust.policy import LOOPBACK, Leniency, Network, Placement, Provider, TrustPolicy
from mailauth.trust.received import Hop, read_received
from mailauth.trust.verdict import MAX_PASSED_OVER, PassedOver, Why

_NAME, _ARC_NAME = FIELD_NAME.lower(), ARC_FIELD_NAME.lower()
_NAMES = {_NAME: FIELD_NAME, _ARC_NAME: ARC_FIELD_NAME}
_PLAIN_NAME = re.compile(rb"(?:ARC-)?Authentication-Results:", re.IGNORECASE)
# RFC 3848, RFC 6531 section 4.3: SMTP AUTH. Not of LMTP, where servers write it of their own delivery.
_AUTHENTICATED = re.compile(r"(?:E|UTF8)?SMTPS?A\Z|ASMTP\Z")
# What servers put on top (RFC 5321 section 4.4, RFC 7208 section 9.1, RFC 9228).
_TRACE = frozenset({_NAME, "received-spf", "return-path", "delivered-to", "x-original-to", "envelope-to"})


@dataclass(frozen=True, slots=True)
class Site:
    """Our own servers: how they name themselves, and how they hand mail on to each other."""

    ids: frozenset[str]
    hosts: tuple[str, ...]
    networks: tuple[Network, ...]
    placement: Placement
    provider: Provider

    @classmethod
    def of(cls, ids: frozenset[str], policy: TrustPolicy) -> Site:
        """By the caller's ids and policy."""
        provider = policy.provider
        assert not isinstance(provider, str)  # TrustPolicy has looked it up
        known = provider or Provider("")
        networks = (*policy.networks, *known.networks)
        return cls(
            ids,
            (*policy.hosts, *known.hosts) or tuple(ids),
            (*LOOPBACK, *[ip_network(network) for network in networks]),
            policy.placement if provider is None else known.placement,
            known,
        )

    def wrote(self, hop: Hop) -> bool:
        """Whether one of our hosts wrote this Received field; if it is not invented, which its place must show."""
        if hop.by is None:
            return False
        name, address = to_ascii(hop.by), _literal(hop.by)
        if address is not None:
            return inside([address], [ip_network(network) for network in self.provider.networks])
        return name is not None and any(is_within(name, host) for host in self.hosts)

    def is_border(self, hop: Hop) -> bool:
        """Whether the message came in from outside with this Received field of ours; in doubt, it did."""
        if hop.helo is None:
            return not self.provider.local_hops  # a program on that host handed it in
        if _AUTHENTICATED.match(hop.protocol):
            return True  # a user did: through a web mailer on that host, a tunnel to it
        # RFC 2033 section 1: LMTP is not for wide area networks.
        return not inside(hop.addresses, self.networks) and (bool(hop.addresses) or "LMTP" not in hop.protocol)

    def owns(self, authserv_id: str, used: set[Leniency]) -> bool:
        """Whether the id is one of ours."""
        key = exact_name(authserv_id)
        if key is None:
            return False
        if key in self.ids or key in self.provider.authserv_ids:
            return True
        domains = [each.removeprefix("*.") for each in self.provider.authserv_ids if each.startswith("*.")]
        if Leniency.ID_BELOW_DOMAIN in self.provider.leniencies and any(is_within(key, each) for each in domains):
            used.add(Leniency.ID_BELOW_DOMAIN)
            return True
        return False


def inside(addresses: Sequence[IPAddress], networks: Iterable[Network]) -> bool:
    """Whether there are addresses, and all of them are in the networks."""
    networks = list(networks)
    return bool(addresses) and all(
        any(each in network for network in networks if network.version == each.version) for each in addresses
    )


def _literal(text: str) -> IPAddress | None:
    try:
        return parse_ip(text.strip("[]").removeprefix("IPv6:"))
    except ValueError:
        return None


def exact_name(text: str) -> str | None:
    """The id, or a domain, as it is compared (RFC 8601 section 2.5; RFC 8616 section 3: A-labels are U-labels).

    None for what only some readers take for the same: a final dot, full-width letters, ideographic dots.
    """
    odd = not text.isascii() and (unicodedata.normalize("NFKC", text) != text or "\u3002" in text)
    return None if odd or text.endswith(".") else to_ascii(text)


@dataclass(frozen=True, slots=True)
class Believed:
    """A field that counts. `index` is its place among those of its name."""

    source: str
    index: int
    results: AuthenticationResults
    leniencies: frozenset[Leniency]


class Collector:
    """Goes down a header, and keeps the fields that count; what does not is `passed_over`, all ids are `seen`."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.believed: list[Believed] = []
        self.passed_over: list[PassedOver] = []
        self.seen: dict[str, None] = {}
        self._waiting: list[Believed] = []  # for a Received field of ours below them
        self._kept: set[str] = set()  # the names of the fields in these two lists
        self._place: Why | None = None  # why a field that stands here does not count
        self._words = ""
        self._below = False  # right below the Received with which the message came in

    def collect(self, header: Header) -> None:
        """Read the header."""
        numbers = dict.fromkeys(_NAMES, 0)
        at_top = self.site.placement is Placement.TOP
        for each in header.fields:
            if each.name == "received" and self._place is None and not at_top:
                self._pass(read_received(each.value))
            elif (self._below or (at_top and self._place is None)) and each.name not in _TRACE:
                self._end(Why.BELOW_BORDER, f"below {each.name}, which no server of ours puts there")
            if each.name in numbers:
                self._consider(each, numbers[each.name])
                numbers[each.name] += 1
        for one in self._waiting:
            words = "no Received field of our hosts stands below it"
            self.pass_over(_NAMES[one.source], one.index, Why.NO_RECEIVED, words)

    def pass_over(self, what: str, index: int | None, why: Why, detail: str = "") -> None:
        """Note what does not count."""
        if len(self.passed_over) < MAX_PASSED_OVER:
            self.passed_over.append(PassedOver(what, index, why, detail))

    def _pass(self, hop: Hop) -> None:
        """Go on below a Received field."""
        if not self.site.wrote(hop):
            shown = "an unknown host" if hop.by is None else ascii(hop.by[:80])
            self._end(Why.BELOW_UNKNOWN_HOST, f"below a Received field of {shown}, which is none of our hosts")
            return
        found, self._waiting = self._waiting, []
        self.believed += found
        if found and not self.site.is_border(hop):
            # Whose step was taken for one of our own by mistake would otherwise be believed further down.
            self._end(Why.NOT_TOPMOST, "below the topmost server that wrote fields")
        elif self.site.is_border(hop):
            client = ", ".join(map(str, hop.addresses[:2])) or "a client without an address"
            words = f"with which the message came in from {client}" if hop.helo else "of a program that handed it in"
            self._end(Why.BELOW_BORDER, f"below the Received field {words}")
            # Whoever checks and cleans what comes by SMTP seldom does what a program hands in.
            self._below = self.site.placement is Placement.BELOW_RECEIVED and hop.helo is not None

    def _end(self, why: Why, words: str) -> None:
        self._place, self._words, self._below = why, words, False

    def _consider(self, each: Field, index: int) -> None:
        """Keep this field, or say why not."""
        allowed, used = self.site.provider.leniencies, set[Leniency]()
        parsed = authres.parse(each.value, arc=each.name == _ARC_NAME)
        if isinstance(parsed, ParseFailure) and Leniency.GRAMMAR in allowed:
            used.add(Leniency.GRAMMAR)
            parsed = authres.parse(each.value, arc=each.name == _ARC_NAME, lenient=True)
        if parsed.authserv_id and (each.name == _NAME or Leniency.ARC_COPY in allowed):
            self.seen.setdefault(parsed.authserv_id)
        why, words = self._why_not(each, parsed, used)
        if why is None:
            assert isinstance(parsed, AuthenticationResults)
            self._keep(each.name, index, parsed, used)
        else:
            self.pass_over(_NAMES[each.name], index, why, words)

    def _why_not(
        self, each: Field, parsed: AuthenticationResults | ParseFailure, used: set[Leniency]
    ) -> tuple[Why | None, str]:
        """Why a field does not count."""
        if _PLAIN_NAME.match(each.raw) is None:
            return Why.ODD_NAME, "blanks stand before the colon"
        if parsed.authserv_id and not self.site.owns(parsed.authserv_id, used):
            return Why.OTHER_ID, ascii(parsed.authserv_id[:80])
        if isinstance(parsed, ParseFailure):
            return Why.UNREADABLE_FIELD, parsed.detail
        if not parsed.authserv_id:
            if Leniency.NO_AUTHSERV_ID not in self.site.provider.leniencies:
                return Why.NO_ID, "it has no authserv-id"
            used.add(Leniency.NO_AUTHSERV_ID)
        if self._place is not None and not self._below:
            return self._place, self._words
        if each.name == _ARC_NAME:
            if Leniency.ARC_COPY not in self.site.provider.leniencies or self._below:
                return Why.ARC_COPY, "a copy of a field; anybody may write one"
            used.add(Leniency.ARC_COPY)
        elif self._below:
            used.add(Leniency.BELOW_RECEIVED)
        return None, ""

    def _keep(self, name: str, index: int, results: AuthenticationResults, used: set[Leniency]) -> None:
        of_dmarc = [each.result for each in results.results if each.method == "dmarc"]
        if len(of_dmarc) > 1 and "fail" not in of_dmarc:
            self.pass_over(_NAMES[name], index, Why.SEVERAL_RESULTS, "it has more than one result of DMARC")
            return
        weak = not used.isdisjoint({Leniency.NO_AUTHSERV_ID, Leniency.ARC_COPY, Leniency.BELOW_RECEIVED})
        at_top = self.site.placement is Placement.TOP
        if (weak or at_top) and name in self._kept:
            self.pass_over(_NAMES[name], index, Why.NOT_TOPMOST, "only the topmost one counts here")
            return
        self._kept.add(name)
        kept = Believed(name, index, results, frozenset(used))
        (self.believed if self._below or at_top else self._waiting).append(kept)
