"""Builds SPF records and prints them for a zone file.

Writing records: from what an author has to the terms of a valid record, and from a record to the lines of a zone. The
opposite of the parser; it asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Literal, TypeAlias

from mailauth.mail.names import to_ascii
from mailauth.spf.macros import MacroString, parse_domain_spec
from mailauth.spf.parse import QUALIFIERS
from mailauth.spf.policy import MAX_LOOKUPS
from mailauth.spf.problem import TermError
from mailauth.spf.record import Record
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
    Mx,
    Qualifier,
    Redirect,
    Term,
)  # fmt: skip

Hosts: TypeAlias = bool | Iterable[str | None]


def build_record(
    *,
    ip: Iterable[str | IPv4Network | IPv6Network] = (),
    a: Hosts = False,
    mx: Hosts = False,
    include: Iterable[str] = (),
    exists: Iterable[str] = (),
    redirect: str | None = None,
    explanation: str | None = None,
    all: Literal["-", "~", "?", "+"] | None = "-",
) -> Record:
    """A valid record that authorises these hosts.

    `ip`: addresses and networks of both families; those that touch or overlap are put together. `a`, `mx`: True
    for the domain's own, or other domains (None among them: the own). `include`, `exists`, `redirect`,
    `explanation`: domains, which may hold macros; U-labels become A-labels. `all`: the qualifier for everybody else;
    a redirect takes its place. What asks nothing comes first (RFC 7208 section 10.1.1).

    Raises `ValueError` for anything that is not a network or domain, and for a record that alone asks more than ten
    times.
    """
    terms: list[Term] = list(_networks(ip))
    terms += [A(domain_spec=spec) for spec in _hosts(a)]
    terms += [Mx(domain_spec=spec) for spec in _hosts(mx)]
    terms += [Include(Qualifier.PASS, domain_spec(name)) for name in include]
    terms += [Exists(Qualifier.PASS, domain_spec(name)) for name in exists]
    if redirect is not None:
        terms.append(Redirect(domain_spec(redirect)))
    elif all is not None:
        terms.append(All(QUALIFIERS[all]))
    if explanation is not None:
        terms.append(Explanation(domain_spec(explanation)))
    _require_few_lookups(terms)
    return Record(tuple(dict.fromkeys(terms)))


def _networks(given: Iterable[str | IPv4Network | IPv6Network]) -> Iterator[Ip4 | Ip6]:
    networks = [_unmapped(ip_network(each, strict=False)) for each in given]
    four = [network for network in networks if isinstance(network, IPv4Network)]
    six = [network for network in networks if isinstance(network, IPv6Network)]
    for network4 in collapse_addresses(four):
        yield Ip4(Qualifier.PASS, int(network4.network_address), network4.prefixlen)
    for network6 in collapse_addresses(six):
        yield Ip6(Qualifier.PASS, int(network6.network_address), network6.prefixlen)


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    # RFC 7208 section 5: clients with IPv4-mapped addresses are looked for as IPv4.
    if isinstance(network, IPv6Network) and network.prefixlen >= IP6_BITS - IP4_BITS:
        mapped = network.network_address.ipv4_mapped
        return network if mapped is None else IPv4Network((mapped, network.prefixlen - (IP6_BITS - IP4_BITS)))
    return network


def _hosts(hosts: Hosts) -> Iterator[MacroString | None]:
    if isinstance(hosts, bool):
        if hosts:
            yield None
        return
    for name in hosts:
        yield None if name is None else domain_spec(name)


def domain_spec(name: str) -> MacroString:
    """A domain, or a text with macros, as a record holds it. Raises `ValueError`."""
    text = name if "%" in name else to_ascii(name)
    try:
        return parse_domain_spec(text or "")
    except TermError as error:
        raise ValueError(f"{name!r}: {error.words}") from None


def _require_few_lookups(terms: Iterable[Term]) -> None:
    asking = sum(isinstance(term, A | Mx | Include | Exists | Redirect) for term in terms)
    if asking > MAX_LOOKUPS:
        raise ValueError(f"{asking} terms ask the DNS; receivers stop after {MAX_LOOKUPS} (RFC 7208 section 4.6.4)")


def zone_line(domain: str, record: Record) -> str:
    """The record as a line of a master file (RFC 1035 section 5.1)."""
    quoted = ('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in record.strings())
    return f"{domain.removesuffix('.')}. IN TXT {' '.join(quoted)}"
