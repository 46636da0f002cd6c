"""Builds SPF records and prints them for a zone file.

Writing records: from what an author has to the terms of a valid record, and from a record to the lines of a zone. The
opposite of the parser; it asks nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any, Literal, TypeAlias

from mailauth.mail.names import is_hostname, to_ascii
from mailauth.spf.macros import MacroString, parse_domain_spec
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
    place_in_record,
)  # fmt: skip

Hosts: TypeAlias = bool | str | Iterable[str | None]
Networks: TypeAlias = str | IPv4Network | IPv6Network | Iterable[str | IPv4Network | IPv6Network]

_WORDS = {"fail": Qualifier.FAIL, "softfail": Qualifier.SOFTFAIL, "neutral": Qualifier.NEUTRAL, "pass": Qualifier.PASS}
_ALL = {member.value: member for member in Qualifier} | _WORDS


def build_record(
    *,
    ip: Networks = (),
    a: Hosts = False,
    mx: Hosts = False,
    include: str | Iterable[str] = (),
    exists: str | Iterable[str] = (),
    redirect: str | None = None,
    explanation: str | None = None,
    all: Literal["-", "~", "?", "+", "fail", "softfail", "neutral", "pass"] | None = "-",
) -> Record:
    """A valid record that authorises these hosts.

    `ip`: addresses and networks of both families; those that touch or overlap are put together. `a`, `mx`: True
    for the domain's own, or other domains (None among them: the own). `include`, `exists`, `redirect`,
    `explanation`: domains, which may hold macros; U-labels become A-labels. A single one needs no list. `all`: the
    qualifier for everybody else, as a sign or in words; a redirect takes its place. What asks nothing comes first
    (RFC 7208 section 10.1.1).

    Raises `ValueError` for anything that is not a network, a domain or a qualifier, and for a record that alone asks
    more than ten times.
    """
    if all is not None and all not in set(_ALL):
        raise ValueError(f"all is a qualifier, one of {', '.join(_ALL)}: {all!r}")
    terms: list[Term] = list(_networks(ip))
    terms += [A(domain_spec=spec) for spec in _hosts(a)]
    terms += [Mx(domain_spec=spec) for spec in _hosts(mx)]
    terms += [Include(Qualifier.PASS, domain_spec(name)) for name in _items("include", include)]
    terms += [Exists(Qualifier.PASS, domain_spec(name)) for name in _items("exists", exists)]
    if redirect is not None:
        terms.append(Redirect(domain_spec(redirect)))
    elif all is not None:
        terms.append(All(_ALL[all]))
    if explanation is not None:
        terms.append(Explanation(domain_spec(explanation)))
    _require_few_lookups(terms)
    return Record(tuple(sorted(dict.fromkeys(terms), key=place_in_record)))


def _items(name: str, given: Any) -> list[Any]:
    """The items of a list; a single one is a list of itself, and not its characters."""
    if isinstance(given, str | IPv4Network | IPv6Network):
        return [given]
    if isinstance(given, Iterable) and not isinstance(given, bytes):
        return list(given)
    raise ValueError(f"{name} is a list, or one item of it: {given!r}")


def _network(given: object) -> IPv4Network | IPv6Network:
    if not isinstance(given, str | IPv4Network | IPv6Network):
        raise ValueError(f"not an address or network: {given!r}")
    try:
        return ip_network(given, strict=False)
    except ValueError:
        raise ValueError(f"not an address or network: {str(given)[:60]!r}") from None


def _networks(given: Networks) -> Iterator[Ip4 | Ip6]:
    networks = [_unmapped(_network(each)) for each in _items("ip", given)]
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
    for name in _items("a host or mx", hosts):
        yield None if name is None else domain_spec(name)


def domain_spec(name: str) -> MacroString:
    """A domain, or a text with macros, as a record holds it. Raises `ValueError`.

    A final dot is not written (RFC 7208 section 7.3).
    """
    if not isinstance(name, str):
        raise ValueError(f"not a domain: {name!r}")
    text = name if "%" in name else to_ascii(name)
    try:
        spec = parse_domain_spec(text or "")
    except TermError as error:
        words = "this is an address; ip takes those" if _is_network(name) else error.words
        raise ValueError(f"{name[:60]!r}: {words}") from None
    if "%" not in name and not is_hostname((text or "").removesuffix(".")):
        raise ValueError(f"{name[:60]!r}: no domain has such a name")
    return spec


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _require_few_lookups(terms: Iterable[Term]) -> None:
    asking = sum(isinstance(term, A | Mx | Include | Exists | Redirect) for term in terms)
    if asking > MAX_LOOKUPS:
        raise ValueError(f"{asking} terms ask the DNS; receivers stop after {MAX_LOOKUPS} (RFC 7208 section 4.6.4)")


def zone_line(domain: str, record: Record) -> str:
    """The record as a line of a master file (RFC 1035 section 5.1), of type TXT only (RFC 7208 section 3.1).

    U-labels of the domain become A-labels.

    Raises `ValueError` for anything but a domain name, blanks and line ends among it.
    """
    owner = to_ascii(domain)
    if owner is None or not is_hostname(owner.removeprefix("*.")):
        raise ValueError(f"not the name of a domain: {domain[:60]!r}")
    quoted = ('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in record.strings())
    return f"{owner}. IN TXT {' '.join(quoted)}"
