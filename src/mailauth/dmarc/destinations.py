"""Where reports go: host and address of a reporting URI, and whether the host takes them (RFC 9990 section 4)."""

# SECURITY: URIs stand in records of whoever owns a domain, and name addresses of anybody. A host of another
# organization gets nothing unless it says so itself; the number of hosts that are asked is bounded.

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from mailauth.dmarc.record import DmarcRecord, parse_record
from mailauth.dmarc.walk import Walk, question_at, visit, walk, walk_from, walk_names
from mailauth.mail.names import is_fqdn, is_hostname, to_ascii
from mailauth.plan import Answer, Plan, Question, ask_all

MAX_HOSTS = 10
"""Hosts that are asked about for one domain."""

# RFC 5322 section 3.2.3, dot-atom-text; RFC 5321 section 4.5.3.1.1: at most 64 octets.
_LOCAL_PART = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++)*+\Z")


def host_of(uri: str) -> str | None:
    """The host that reports for a URI go to, as A-labels (RFC 9990 section 4 step 1); None where it names none."""
    if uri.lower().startswith("mailto:"):
        host: str | None = unquote(uri[7:].partition("?")[0]).rpartition("@")[2]
    else:
        try:
            host = urlsplit(uri).hostname
        except ValueError:
            host = None
    name = to_ascii(host) if host else None
    return name if name is not None and is_hostname(name) else None


def mailto_address(uri: str) -> str | None:
    """The address of a mailto URI (RFC 6068: octets may be written as %XX); None if it names no plain address."""
    if not uri.lower().startswith("mailto:"):
        return None
    return plain_address(unquote(uri[7:].partition("?")[0]))


def plain_address(text: str) -> str | None:
    """An address that every mail server and every header field takes as it is, its domain as A-labels.

    None for anything else: quoted local parts, address literals, comments.
    """
    local_part, _, domain = text.rpartition("@")
    name = to_ascii(domain)
    if name is None or not is_fqdn(name) or not _LOCAL_PART.match(local_part):
        return None
    return f"{local_part}@{name}"


class Destination(NamedTuple):
    """Whether a host takes reports about a domain; `agreed` is None where a DNS error hides it.

    `instead` has the addresses that it names in place of the domain's own; empty: a report goes to neither (RFC 9990
    section 4).
    """

    agreed: bool | None
    instead: tuple[str, ...] | None = None


def verify_destinations(domain: str, hosts: Iterable[str], own: Walk | None = None) -> Plan[dict[str, Destination]]:
    """A plan: whether each host takes reports about a domain (RFC 9990 section 4). The first `MAX_HOSTS` are asked.

    Hosts of the same organization need no authorization. `own` is the walk from the domain, where it was made.
    """
    if own is None:
        own = yield from walk(domain)
    hosts = list(dict.fromkeys(hosts))[:MAX_HOSTS]
    permits = [Question(f"{domain}._report._dmarc.{host}", "TXT") for host in hosts]
    names = list(dict.fromkeys(name for host in hosts for name in walk_names(host)))
    answers = yield from ask_all([*permits, *map(question_at, names)])
    visits = {name: visit(name, answer) for name, answer in zip(names, answers[len(hosts) :], strict=True)}
    ours, found = own.organizational_domain, {}
    for host, answer in zip(hosts, answers, strict=False):
        organizational = walk_from(host, visits).organizational_domain
        if organizational is not None and organizational == ours:
            found[host] = Destination(True)
            continue
        agreement = _agreement(host, answer)
        if agreement is None:
            # Hidden by a DNS error: whether it agreed, or whether it belongs to us and need not agree.
            hidden = answer.failed or organizational is None or ours is None
            agreement = Destination(None if hidden else False)
        found[host] = agreement
    return found


def _agreement(host: str, answer: Answer) -> Destination | None:
    """What the host publishes about the domain, if it is an agreement: steps 6 to 9."""
    found = map(parse_record, answer.texts if answer.found else ())
    # Step 6 discards an invalid tag list, such as one that has a tag twice (RFC 9989 section 4.7).
    records = [record for record in found if isinstance(record, DmarcRecord)]
    if not records:
        return None
    uris = [uri for record in records for uri in record.rua]
    if not uris:
        return Destination(True)
    # Another host in one of them: no report at all.
    same = all(host_of(uri) == host for uri in uris)
    return Destination(True, tuple(filter(None, map(mailto_address, uris))) if same else ())
