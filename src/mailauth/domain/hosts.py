"""The hosts that take the domain's mail: MX records, whether they lead anywhere, and the names of their addresses."""

# SECURITY: the domain may be anybody's. At most `MAX_HOSTS` hosts and `MAX_ADDRESSES` addresses are looked at.

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from mailauth import iprev
from mailauth.domain.finding import Area, Finding, error, note, unknown, warning
from mailauth.iprev import IprevResult
from mailauth.mail.names import is_fqdn, parse_ip
from mailauth.plan import Answer, Exchange, IPAddress, Plan, Question, ask, ask_all, run_all, unaskable
from mailauth.rbl import NOT_PUBLIC

MAX_HOSTS = 20
"""MX hosts that are looked at; SPF's "mx" stops at 10 (RFC 7208 section 4.6.4)."""

MAX_ADDRESSES = 40
"""Addresses whose names are looked up."""


@dataclass(frozen=True, slots=True)
class MailHost:
    """One host that mail for the domain goes to. `alias` is what it is an alias for, empty if it is none."""

    name: str
    preference: int  # the lowest is tried first (RFC 5321 section 5.1); 0 where the domain's own address stands in
    addresses: tuple[IPAddress, ...] = ()
    alias: str = ""
    detail: str = ""  # why a name in an MX record was not looked up; "" where it was

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "name": self.name,
            "preference": self.preference,
            "addresses": [str(address) for address in self.addresses],
            "alias": self.alias or None,
            "detail": self.detail,
        }


@dataclass(frozen=True, slots=True)
class MailHosts:
    """Where mail for the domain goes. `null`: a null MX says that there is no mail (RFC 7505); `implicit`: there is no
    MX record, and the domain's own address stands in (RFC 5321 section 5.1). `exists`: whether the name is in the DNS;
    None where that is not known."""

    hosts: tuple[MailHost, ...] = ()  # by preference, each once; at most 20
    null: bool = False
    implicit: bool = False
    exists: bool | None = True
    findings: tuple[Finding, ...] = ()  # what is wrong with the MX records and the addresses of the hosts

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """The addresses of all hosts, each once."""
        return tuple(dict.fromkeys(address for host in self.hosts for address in host.addresses))

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "hosts": [host.to_dict() for host in self.hosts],
            "null": self.null,
            "implicit": self.implicit,
            "exists": self.exists,
        }


def mail_hosts(domain: str) -> Plan[MailHosts]:
    """A plan that finds the hosts of a domain (RFC 5321 section 5.1), and what is wrong with them."""
    answer = yield from ask(Question(domain, "MX"))
    if answer.failed:
        return MailHosts(exists=None, findings=(unknown(Area.MX, domain, answer.outcome, "its MX records"),))
    if answer.name_exists is False:
        return _gone(domain)
    if not answer.found:
        return (yield from _without_mx(domain, answer))
    exchanges = sorted(set(answer.exchanges))
    if any(not exchange.host for exchange in exchanges):
        return MailHosts(null=True, findings=tuple(_null(domain, exchanges)))
    hosts: list[MailHost] = []
    found = list(_of_records(domain, answer, exchanges))
    for host, findings in (yield from run_all([_host(domain, each) for each in _unique(exchanges)[:MAX_HOSTS]])):
        hosts.append(host)
        found += findings
    return MailHosts(tuple(hosts), findings=tuple(found))


def _unique(exchanges: list[Exchange]) -> list[Exchange]:
    """Each host once, at its best preference."""
    return sorted({exchange.host: exchange for exchange in reversed(exchanges)}.values())


def _gone(domain: str) -> MailHosts:
    """RFC 8020: nothing stands at a name that does not exist, nor below it."""
    words = "the domain does not exist in the DNS"
    advice = "look at the spelling, and whether it is registered"
    return MailHosts(exists=False, findings=(error("domain.no-such-name", domain, words, "RFC 8020", advice),))


def _without_mx(domain: str, answer: Answer) -> Plan[MailHosts]:
    answers = yield from ask_all([Question(domain, "A"), Question(domain, "AAAA"), Question(domain, "TXT")])
    addresses = tuple(address for each in answers[:2] for address in each.addresses)
    if addresses:
        words = "there is no MX record: mail goes to the address of the domain itself"
        advice = 'publish an MX record, or the null MX "0 ." if the domain takes no mail'
        found = warning("mx.implicit", domain, words, "RFC 5321 section 5.1", advice)
        return MailHosts((MailHost(domain, 0, addresses),), implicit=True, findings=(found,))
    failed = next((each for each in answers if each.failed), None)
    if failed is not None:
        return MailHosts(exists=None, findings=(unknown(Area.MX, domain, failed.outcome, "its address"),))
    exists = any(each.found or each.name_exists is not False for each in (answer, *answers))
    if not exists:
        return _gone(domain)
    words = "it has neither an MX record nor an address: nobody can answer its mail, and receivers may refuse it"
    advice = 'publish an MX record, or the null MX "0 ." to say so plainly'
    return MailHosts(findings=(warning("mx.none", domain, words, "RFC 5321 section 5.1", advice),))


def _null(domain: str, exchanges: list[Exchange]) -> Iterator[Finding]:
    source = "RFC 7505 section 3"
    if len({exchange.host for exchange in exchanges}) > 1:
        words = "a null MX stands beside other MX records: what becomes of mail depends on the sender"
        yield error("mx.null-among-others", domain, words, source, "leave out either the null MX or the others")
    else:
        yield note("mx.null", domain, "a null MX says that the domain takes no mail", source)
        if exchanges[0].preference != 0:
            words = f"the null MX has the preference {exchanges[0].preference}, not 0"
            yield warning("mx.null-preference", domain, words, source, 'write it "0 ."')


def _of_records(domain: str, answer: Answer, exchanges: list[Exchange]) -> Iterator[Finding]:
    names = [exchange.host for exchange in exchanges]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        words = f"{name} stands in several MX records"
        yield note("mx.duplicate", domain, words, "RFC 5321 section 5.1", "one record for each host is enough")
    if len(set(names)) > MAX_HOSTS:
        words = f"there are {len(set(names))} MX hosts; {MAX_HOSTS} were looked at"
        yield warning("mx.many", domain, words, "RFC 7208 section 4.6.4", "publish ten at most: SPF's mx stops there")


def _host(domain: str, exchange: Exchange) -> Plan[tuple[MailHost, list[Finding]]]:
    """One MX host: its addresses, and what is wrong with its name."""
    name = exchange.host
    wrong = _bad_name(domain, name)
    if wrong is not None:
        return MailHost(name, exchange.preference, detail=wrong.words), [wrong]
    alias, *answers = yield from ask_all([Question(name, "CNAME"), Question(name, "A"), Question(name, "AAAA")])
    addresses = tuple(address for answer in answers for address in answer.addresses)
    findings = []
    target = alias.names[0] if alias.names else ""
    if target:
        words = f"the MX host {name} is an alias of {target}; some senders do not follow it, or loop"
        advice = f"name {target} in the MX record, or give {name} addresses of its own"
        findings.append(error("mx.alias", domain, words, "RFC 2181 section 10.3, RFC 5321 section 5.1", advice))
    failed = next((answer for answer in answers if answer.failed), None)
    if failed is not None:
        findings.append(unknown(Area.MX, name, failed.outcome, "its address"))
    elif not addresses:
        words = f"the MX host {name} has no address: {str(answers[0].outcome).replace('-', ' ')}"
        findings.append(error("mx.unresolvable", domain, words, "RFC 5321 section 5.1", _no_address_advice(name)))
    findings += _not_public(name, addresses)
    return MailHost(name, exchange.preference, addresses, target), findings


def _no_address_advice(name: str) -> str:
    if name.endswith(".msv1.invalid"):
        return "prove that the domain is yours to the provider by a TXT record, and take this MX record out"
    return "publish its address, or take it out of the MX records"


def _bad_name(domain: str, name: str) -> Finding | None:
    source = "RFC 1035 section 3.3.9, RFC 5321 section 5.1"
    try:
        parse_ip(name)
    except ValueError:
        if is_fqdn(name) and unaskable(name) is None:
            return None
        words = f"the MX host {name[:80]!a} is no host name of two labels or more"
        return error("mx.bad-name", domain, words, source, "name a host that has addresses, with its whole name")
    words = f"the MX record holds the address {name}: it has to name a host"
    return error("mx.address", domain, words, source, "give the address a name, and publish that as MX")


def _private_network(address: IPAddress) -> IPv4Network | IPv6Network | None:
    return next((net for net in NOT_PUBLIC if net.version == address.version and address in net), None)


def _not_public(name: str, addresses: Iterable[IPAddress]) -> Iterator[Finding]:
    for address in addresses:
        inside = _private_network(address)
        if inside is not None:
            words = f"the MX host {name} has the address {address}, which the Internet cannot reach (in {inside})"
            yield error("mx.not-public", name, words, "RFC 6890 section 2.2", "publish a public address")


# --- reverse names ------------------------------------------------------------------------------------------------


def reverse_names(
    addresses: Iterable[IPAddress], sending: Iterable[IPAddress]
) -> Plan[tuple[list[IprevResult], list[Finding]]]:
    """A plan of the names of addresses, there and back (RFC 8601 section 3). `sending` are those that send mail: theirs
    matter to receivers, those of hosts that only take mail to few."""
    senders = list(dict.fromkeys(sending))
    # Of an address that the Internet cannot reach, the address is the fault, and it has no name there.
    public = (address for address in dict.fromkeys(addresses) if _private_network(address) is None)
    others = [address for address in public if address not in senders]
    results = yield from run_all([iprev.check(ip) for ip in [*senders, *others][:MAX_ADDRESSES]])
    findings = [finding for each in results if (finding := _of_reverse(each, each.ip in senders)) is not None]
    return results, findings


def _of_reverse(found: IprevResult, sends: bool) -> Finding | None:
    subject, severe = str(found.ip), error if sends else note
    use = "receivers refuse mail from it" if sends else "it matters if the host sends mail as well"
    source = "RFC 8601 section 3, RFC 1912 section 2.1"
    if found.result == "pass":
        return None
    if found.result == "temperror":
        return unknown(Area.REVERSE, subject, found.detail, "its reverse name")
    if found.reason == "no-ptr":
        advice = "have the provider of the address publish a PTR record with the host's name"
        return severe("reverse.no-name", subject, f"the address has no name (PTR); {use}", source, advice)
    names = ", ".join(found.names[:5])
    if found.reason == "no-host-name":
        words = f"its PTR record {names} holds no host name; {use}"
        return severe("reverse.not-confirmed", subject, words, source, "have the PTR record name a host")
    does = "names {} do" if len(found.names) > 1 else "name {} does"
    words = f"its {does.format(names)} not lead back to the address; {use}"
    advice = (
        f"publish the address at {found.names[0]}, or change the PTR record" if found.names else "change the PTR record"
    )
    return severe("reverse.not-confirmed", subject, words, source, advice)
