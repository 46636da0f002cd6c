# What belongs here: dnspython's messages, records and errors as the plan layer's values, for every resolver that
# uses dnspython. No I/O.
#
# SECURITY: messages come from whoever runs the zone that is asked about. dnspython has parsed them; a message is at
# most 64 KiB, `MAX_RECORDS` of its records are kept, `MAX_CHAIN` CNAMEs are followed, all work is linear.
"""From dnspython's types to `Answer`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.resolver

from mailauth.plan.dns import Answer, Exchange, Outcome, Question

MAX_RECORDS = 1000
"""Records kept of one answer. A message of 64 KiB can hold some 4,000; no mail domain needs as many."""

MAX_CHAIN = 15
"""CNAMEs followed within one answer, as dnspython does; more, or a loop, is a server failure."""


def query_name(name: str) -> dns.name.Name:
    """The name of a question, which `unaskable` let pass, as dnspython's type: absolute, without escapes."""
    return dns.name.Name([label.encode("ascii") for label in name.split(".")] + [b""])


def name_text(name: dns.name.Name) -> str:
    """The name in lower case without the final dot; octets that are no printable ASCII stand as ``\\DDD``."""
    # dnspython escapes what a master file must escape, dots inside labels among them.
    return name.to_text(omit_final_dot=True).lower() if len(name.labels) > 1 or name.labels[0] else ""


def record_value(rtype: str, rdata: Any) -> Any:
    """The value of an A, AAAA, MX, PTR or TXT record; None for any other type."""
    match rtype:
        case "A":
            return IPv4Address(rdata.address)
        case "AAAA":
            return IPv6Address(rdata.address)
        case "MX":
            return Exchange(rdata.preference, name_text(rdata.exchange))
        case "PTR":
            return name_text(rdata.target)
        case "TXT":
            return b"".join(rdata.strings)
    return None


def answer_of(response: dns.message.Message, question: Question) -> Answer:
    """What a response of NOERROR or NXDOMAIN says to `question`.

    Records of other types and other names are skipped, CNAMEs are followed within the response. The TTL is the
    least along the chain; without records the SOA's say counts, too (RFC 2308 section 5).
    """
    assert isinstance(response, dns.message.QueryMessage)
    try:
        chain = response.resolve_chaining()
    except dns.exception.DNSException as error:
        return Answer(Outcome.SERVER_FAILURE, detail=f"bad response: {_words(error)}")
    if chain.answer is not None:
        values = [record_value(question.type, rdata) for rdata in list(chain.answer)[:MAX_RECORDS]]
        detail = "" if len(chain.answer) <= MAX_RECORDS else f"{MAX_RECORDS} of {len(chain.answer)} records kept"
        return Answer(Outcome.FOUND, tuple(values), chain.minimum_ttl, detail)
    missing = response.rcode() == dns.rcode.NXDOMAIN
    ttl = 0 if chain.minimum_ttl >= _NO_TTL else chain.minimum_ttl
    return Answer(Outcome.NO_SUCH_NAME if missing else Outcome.NO_DATA, ttl=ttl)


_NO_TTL = 2**31 - 1  # what dnspython reports where nothing in the response has a say on the TTL


def failure_of(error: Exception, question: Question) -> Answer:
    """What an exception of dnspython's resolver, or of the operating system, means for `question`."""
    if isinstance(error, dns.resolver.NXDOMAIN):
        return answer_of(next(iter(error.kwargs["responses"].values())), question)
    if isinstance(error, dns.exception.Timeout):
        return Answer(Outcome.TIMED_OUT, detail=_words(error))
    if isinstance(error, dns.resolver.NoNameservers):
        return Answer(_outcome_of(error.kwargs.get("errors", ())), detail=_words(error))
    return Answer(Outcome.SERVER_FAILURE, detail=_words(error))


def _outcome_of(errors: Any) -> Outcome:
    """Of several servers, the last that answered at all decides."""
    for *_, response in reversed(errors):
        if response is not None:
            return Outcome.REFUSED if response.rcode() == dns.rcode.REFUSED else Outcome.SERVER_FAILURE
    return Outcome.SERVER_FAILURE


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
