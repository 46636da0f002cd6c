"""`Whitelists`: postgrey's white lists of clients and of recipients, read as they are. Text in, no files.

What they name is not greylisted. The format is that of postgrey(8), "Whitelists": one entry a line, ``#`` begins a
comment, capitals do not matter.
"""

# SECURITY: entries are the site's own, regular expressions included. The names and addresses that are matched come from
# the peer: what is longer than a name or an address may be matches nothing, so no expression sees more than that.
#
#   client    = name          "example.org": this host or domain and all below it
#             / address       "192.0.2.1", "2001:db8::1"
#             / network       "192.0.2.0/24", "2001:db8::/32"
#             / first octets  "192.0.2" or "192.0"
#   recipient = domain        "example.org": this domain and all below it
#             / local "@"     "ann@": in every domain, and with any extension ("ann+lists@example.org")
#             / mailbox       "ann@example.org", and with any extension
#   either    = "/" expression "/"   sought in the client's name, or in the whole address

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import NamedTuple

from mailauth.greylist.decision import Reason
from mailauth.greylist.settings import Patterns
from mailauth.mail.names import split_address, to_ascii
from mailauth.plan.dns import MAX_NAME_OCTETS, IPAddress

MAX_ADDRESS_CHARACTERS = 320
"""RFC 5321 section 4.5.3.1: 64 of the local part, "@", 255 of the domain. A longer recipient matches nothing."""


class RefusedLine(NamedTuple):
    """A line of a white list that cannot be understood; as in postgrey, the others hold."""

    filename: str
    number: int  # the first line is 1
    text: str  # the line without its comment
    why: str

    def __str__(self) -> str:
        return f"{self.filename}:{self.number}: {self.text[:100]!r}: {self.why}"


@dataclass(frozen=True, slots=True)
class ClientWhitelist:
    """Clients that are not greylisted, by address and by confirmed name."""

    networks: Patterns = field(default_factory=Patterns)  # single addresses included
    names: frozenset[str] = frozenset()  # hosts and domains, each with all below it
    expressions: tuple[re.Pattern[str], ...] = ()  # sought in the confirmed name
    refused: tuple[RefusedLine, ...] = ()

    @classmethod
    def parse(cls, text: str, filename: str = "<white list>") -> ClientWhitelist:
        """Read a white list. No text is an error: lines that cannot be understood are in `refused`."""
        networks: list[str] = []
        names: set[str] = set()
        expressions: list[re.Pattern[str]] = []

        def take(entry: str) -> None:
            if (expression := _expression(entry)) is not None:
                expressions.append(expression)
            elif (network := _network(entry)) is not None:
                networks.append(network)
            else:
                names.add(_domain(entry))

        refused = _read(text, filename, take)
        return cls(Patterns.of(networks), frozenset(names), tuple(expressions), refused)

    def match(self, ip: IPAddress, name: str | None) -> str | None:
        """The entry that holds for a client; `name` is its confirmed name, None or "unknown" without one."""
        if found := self.networks.match_ip(ip):
            return found
        if not name or len(name) > MAX_NAME_OCTETS:
            return None
        if self.names and (domain := to_ascii(name)) is not None:
            for candidate in _with_parents(domain):
                if candidate in self.names:
                    return candidate
        return _found(self.expressions, name)


@dataclass(frozen=True, slots=True)
class RecipientWhitelist:
    """Recipients whose mail is not greylisted."""

    domains: frozenset[str] = frozenset()
    """Each with all below it."""
    local_parts: frozenset[str] = frozenset()
    """In every domain."""
    mailboxes: frozenset[tuple[str, str]] = frozenset()
    """Local part and domain."""
    expressions: tuple[re.Pattern[str], ...] = ()
    """Sought in the whole address."""
    refused: tuple[RefusedLine, ...] = ()

    @classmethod
    def parse(cls, text: str, filename: str = "<white list>") -> RecipientWhitelist:
        """Read a white list. No text is an error: lines that cannot be understood are in `refused`."""
        domains: set[str] = set()
        local_parts: set[str] = set()
        mailboxes: set[tuple[str, str]] = set()
        expressions: list[re.Pattern[str]] = []

        def take(entry: str) -> None:
            local_part, at, domain = entry.partition("@")
            if (expression := _expression(entry)) is not None:
                expressions.append(expression)
            elif not at:
                domains.add(_domain(entry))
            elif not local_part:
                raise ValueError(f"no local part; a domain is written {domain}")
            elif not domain:
                local_parts.add(local_part.lower())
            else:
                mailboxes.add((local_part.lower(), _domain(domain)))

        refused = _read(text, filename, take)
        return cls(frozenset(domains), frozenset(local_parts), frozenset(mailboxes), tuple(expressions), refused)

    def match(self, address: str) -> str | None:
        """The entry that holds for a recipient."""
        if len(address) > MAX_ADDRESS_CHARACTERS:
            return None
        mailbox = split_address(address)
        domain = None if mailbox is None else to_ascii(mailbox.domain)
        if mailbox is not None and domain is not None:
            for local_part in _without_extensions(mailbox.local_part.lower()):
                if local_part in self.local_parts:
                    return f"{local_part}@"
                if (local_part, domain) in self.mailboxes:
                    return f"{local_part}@{domain}"
            for candidate in _with_parents(domain):
                if candidate in self.domains:
                    return candidate
        return _found(self.expressions, address)


@dataclass(frozen=True, slots=True)
class Whitelists:
    """All white lists of a site (RFC 6647 section 5 item 6)."""

    clients: tuple[ClientWhitelist, ...] = ()
    recipients: tuple[RecipientWhitelist, ...] = ()

    def exemption(self, ip: IPAddress, client_name: str | None, recipient: str) -> tuple[Reason, str] | None:
        """Why mail is not greylisted, and by which entry; None if it is."""
        for clients in self.clients:
            if entry := clients.match(ip, client_name):
                return Reason.EXEMPT_CLIENT, entry
        for recipients in self.recipients:
            if entry := recipients.match(recipient):
                return Reason.EXEMPT_RECIPIENT, entry
        return None


def _read(text: str, filename: str, take: Callable[[str], None]) -> tuple[RefusedLine, ...]:
    """Give each entry to `take`, and return those lines that it does not like."""
    refused: list[RefusedLine] = []
    for number, line in enumerate(text.split("\n"), 1):
        entry = line.partition("#")[0].strip()
        try:
            if len(entry.split()) > 1:
                raise ValueError("an entry has no blanks")
            if entry:
                take(entry)
        except ValueError as error:
            refused.append(RefusedLine(filename, number, entry, str(error)))
    return tuple(refused)


def _expression(entry: str) -> re.Pattern[str] | None:
    """The regular expression between slashes; those of Perl that Python would read otherwise are refused."""
    if len(entry) < 3 or not (entry.startswith("/") and entry.endswith("/")):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # of [[:alnum:]] and the like
            return re.compile(entry[1:-1], re.IGNORECASE | re.ASCII)
    except (re.error, FutureWarning, OverflowError, RecursionError) as error:
        raise ValueError(f"not a regular expression of Python: {error}") from None


_FIRST_OCTETS = re.compile(r"\d{1,3}\.\d{1,3}(?:\.\d{1,3})?", re.ASCII)
_IPV4 = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2})?", re.ASCII)


def _network(entry: str) -> str | None:
    """An address, a network, or the first octets of addresses, as a network; None for anything else."""
    if _FIRST_OCTETS.fullmatch(entry):
        octets = entry.split(".")
        entry = ".".join([*octets, *["0"] * (4 - len(octets))]) + f"/{8 * len(octets)}"
    elif not _IPV4.fullmatch(entry) and entry.count(":") < 2:
        return None
    return str(ip_network(entry, strict=False))


_NAME = re.compile(r"[a-z0-9._-]+|\[[a-z0-9.:]+\]")


def _domain(entry: str) -> str:
    domain = to_ascii(entry)
    if domain is None or not _NAME.fullmatch(domain):
        raise ValueError("neither a name, an address nor /an expression/")
    return domain


def _with_parents(domain: str) -> Iterator[str]:
    """A domain and those that it is below; a name has at most 127 labels."""
    while domain:
        yield domain
        domain = domain.partition(".")[2]


def _without_extensions(local_part: str) -> Iterator[str]:
    """A local part, and what is left of it without an extension: "+" and at least one character."""
    yield local_part
    plus = local_part.find("+", 0, -1)
    while plus >= 0:
        yield local_part[:plus]
        plus = local_part.find("+", plus + 1, -1)


def _found(expressions: Iterable[re.Pattern[str]], text: str) -> str | None:
    return next((f"/{expression.pattern}/" for expression in expressions if expression.search(text)), None)
