"""From dnspython's types to `Answer`.

Dnspython's messages, records and errors as the plan layer's values, for every resolver that uses dnspython. No I/O.
"""

# SECURITY: messages come from whoever runs the zone that is asked about. dnspython has parsed them; a message is at
# most 64 KiB, `MAX_RECORDS` of its records are kept, `MAX_CHAIN` CNAMEs are followed, all work is linear.

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver

from mailauth.plan.dns import MAX_CHAIN, MAX_RECORDS, Answer, Exchange, Outcome, Question

if TYPE_CHECKING:
    import dns.rrset

_IN = dns.rdataclass.IN
_CNAME = dns.rdatatype.CNAME
_SOA = dns.rdatatype.SOA
_TYPES = {rtype: dns.rdatatype.from_text(rtype) for rtype in ("A", "AAAA", "CNAME", "MX", "PTR", "TXT", "SPF")}

MAX_DETAIL = 300
"""Characters of an exception's text that are kept in `Answer.detail`."""


def query_name(name: str) -> dns.name.Name:
    """The name of a question, which `unaskable` let pass, as dnspython's type: absolute, without escapes."""
    return dns.name.Name([*[label.encode("ascii") for label in name.split(".")], b""])


def query_type(question: Question) -> dns.rdatatype.RdataType:
    """The type of a question as dnspython's type. Raises `ValueError` for a type that no plan asks for."""
    rtype = _TYPES.get(question.type)
    if rtype is None:
        raise ValueError(f"{question}: records are of type {', '.join(_TYPES)}")
    return rtype


def name_text(name: dns.name.Name) -> str:
    """The name in lower case without the final dot; octets that are no printable ASCII stand as ``\\DDD``."""
    # dnspython escapes what a master file must escape, dots inside labels among them.
    return name.to_text(omit_final_dot=True).lower() if len(name.labels) > 1 or name.labels[0] else ""


def askable_text(name: dns.name.Name) -> str:
    """The name as a `Question` has it: no escapes, every octet stands for itself.

    Labels that no question can hold (with a dot or other octets than ASCII) are escaped, so that they match none.
    """
    labels = name.labels[:-1] if name.is_absolute() else name.labels
    return ".".join([_askable_label(label) for label in labels])


def _askable_label(label: bytes) -> str:
    if b"." not in label and b"\0" not in label and label.isascii():
        return label.decode("ascii").lower()
    return "".join("\0" if octet == 0x2E else chr(octet) for octet in label)


def record_value(rtype: str, rdata: Any) -> Any:
    """The value of an A, AAAA, CNAME, MX, PTR, TXT or SPF record; None for any other type."""
    match rtype:
        case "A":
            return IPv4Address(rdata.address)
        case "AAAA":
            return IPv6Address(rdata.address)
        case "MX":
            return Exchange(rdata.preference, name_text(rdata.exchange))
        case "CNAME" | "PTR":
            return name_text(rdata.target)
        case "TXT" | "SPF":
            return b"".join(rdata.strings)
    return None


def answer_of(response: dns.message.Message, question: Question) -> Answer:
    """What a response with the code NOERROR or NXDOMAIN says to `question`.

    Records of other types and other names are skipped; CNAMEs are followed within the response, since a resolver
    that serves stubs sends the whole chain (RFC 1034 section 3.6.2). The TTL is the least along the chain.
    """
    name, rtype, ttl = query_name(question.name), query_type(question), None
    for _ in range(MAX_CHAIN + 1):
        found = response.get_rrset(response.answer, name, _IN, rtype)
        # A response that says "no such name" and gives records all the same is not believed.
        if found is not None and response.rcode() != dns.rcode.NXDOMAIN:
            return _found(found, question.type, _least(ttl, found.ttl))
        alias = response.get_rrset(response.answer, name, _IN, _CNAME)
        if not alias:
            return _nothing(response, name, ttl)
        name, ttl = alias[0].target, _least(ttl, alias.ttl)
    return Answer(Outcome.SERVER_FAILURE, detail=f"CNAME chain over {MAX_CHAIN} or a loop")


def _least(ttl: int | None, other: int) -> int:
    return other if ttl is None else min(ttl, other)


def _found(rrset: dns.rrset.RRset, rtype: str, ttl: int) -> Answer:
    records = tuple(record_value(rtype, rdata) for rdata in islice(rrset, MAX_RECORDS))
    detail = "" if len(rrset) <= MAX_RECORDS else f"{MAX_RECORDS} of {len(rrset)} records kept"
    return Answer(Outcome.FOUND, records, ttl, detail)


def _nothing(response: dns.message.Message, name: dns.name.Name, chain_ttl: int | None) -> Answer:
    """RFC 2308 section 5: the lesser of the SOA's TTL and its MINIMUM field; without a SOA it may not be kept."""
    missing = response.rcode() == dns.rcode.NXDOMAIN
    ttl, exists = 0, None
    if chain_ttl is not None:
        exists = True  # RFC 6604 section 3: NXDOMAIN is about the end of the chain
    elif not missing and _denied_compactly(response, name):
        exists = False
    for rrset in response.authority:
        if rrset.rdtype == _SOA and rrset and name.is_subdomain(rrset.name):
            ttl = _least(chain_ttl, min(rrset.ttl, rrset[0].minimum))
            break
    detail = "" if chain_ttl is None else f"the CNAME leads to {name_text(name)}"
    return Answer(Outcome.NO_SUCH_NAME if missing else Outcome.NO_DATA, ttl=ttl, detail=detail, exists=exists)


def _denied_compactly(response: dns.message.Message, name: dns.name.Name) -> bool:
    """RFC 9824 section 3.1: an NSEC record of the name itself, with the type NXNAME, says that it does not exist.

    Servers send it to whom sets the DO bit, as a configured dnspython resolver may.
    """
    nsec = response.get_rrset(response.authority, name, _IN, dns.rdatatype.NSEC)
    windows = nsec[0].windows if nsec else ()
    return any(window == 0 and len(bits) > 16 and bits[16] & 0x80 for window, bits in windows)


def failure_of(error: Exception, question: Question) -> Answer:
    """What an exception of dnspython's resolver, or of the operating system, means for `question`."""
    match error:
        case dns.resolver.NXDOMAIN():
            return answer_of(next(iter(error.kwargs["responses"].values())), question)
        case dns.exception.Timeout():
            return Answer(Outcome.TIMED_OUT, detail=_words(error))
        case dns.resolver.NoNameservers():
            return Answer(_outcome_of(error.kwargs.get("errors", ())), detail=_words(error))
    return Answer(Outcome.SERVER_FAILURE, detail=_words(error))


def _outcome_of(errors: Any) -> Outcome:
    """Of several servers, the last that answered at all decides."""
    for *_, response in reversed(errors):
        if response is not None:
            return Outcome.REFUSED if response.rcode() == dns.rcode.REFUSED else Outcome.SERVER_FAILURE
    return Outcome.SERVER_FAILURE


def _words(error: Exception) -> str:
    # The text may hold names from the wire; dnspython escapes them.
    return f"{type(error).__name__}: {error}"[:MAX_DETAIL]
