# What belongs here: the checks of the protocol modules as needs of one transaction: the key of each result, and the
# plan that makes it from the facts and the settings. Restrictions and the report read the results by these keys.
"""Which plan makes which check of a transaction."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Literal, NamedTuple, TypeAlias

from mailauth import dkim, iprev, rbl, spf
from mailauth.mail import names
from mailauth.plan import Plan
from mailauth.transaction.evidence import Evidence, Life, Need
from mailauth.transaction.steps import ReadMessage

IPREV: Hashable = "iprev"
SPF_HELO: Hashable = "spf-helo"
SPF_MAIL_FROM: Hashable = "spf-mailfrom"
DKIM: Hashable = "dkim"
SENDER_DOMAIN: Hashable = "sender-domain"


class RblKey(NamedTuple):
    """The key of the client's listings on one set of lists."""

    rules: tuple[rbl.Rule, ...]


NameOf: TypeAlias = Literal["sender", "helo", "client", "reverse_client"]
"""A name that lists of domains are asked about: the domain of MAIL FROM, of HELO, the confirmed or the unconfirmed
name of the client."""


class RhsblKey(NamedTuple):
    """The key of a name's listings on one set of lists."""

    of: NameOf
    rules: tuple[rbl.Rule, ...]


class NameListings(NamedTuple):
    """The name that was looked up, None where there is none, and what the lists said."""

    name: str | None
    listings: list[rbl.Listing]


class GreylistKey(NamedTuple):
    """The key of the greylist's decision for one recipient."""

    recipient: str


def need_iprev(evidence: Evidence) -> Need:
    """The names of the client, and whether they lead back to it."""
    return Need(IPREV, lambda: iprev.check(evidence.ip), "session")


def need_rbl(evidence: Evidence, rules: tuple[rbl.Rule, ...]) -> Need:
    """The client on block lists."""
    return Need(RblKey(rules), lambda: rbl.query(evidence.ip, rules, policy=evidence.settings.rbl_policy), "session")


_LIVES: dict[NameOf, Life] = {
    "sender": "transaction",
    "helo": "helo",
    "client": "session",
    "reverse_client": "session",
}


def need_rhsbl(evidence: Evidence, of: NameOf, rules: tuple[rbl.Rule, ...]) -> Need:
    """One of the peer's names on block lists of domains."""
    return Need(RhsblKey(of, rules), lambda: _rhsbl(evidence, of, rules), _LIVES[of])


def _rhsbl(evidence: Evidence, of: NameOf, rules: tuple[rbl.Rule, ...]) -> Plan[NameListings]:
    if of in ("client", "reverse_client"):
        # Beside the check of reverse DNS itself this asks the same questions at the same moment, which the execution
        # asks once: the two names of the client need no round of their own.
        found = evidence.result(IPREV)
        if found is None:
            found = yield from iprev.check(evidence.ip)
        candidates = found.confirmed if of == "client" else found.names
        name = next((name for name in candidates if names.is_hostname(name)), None)
    else:
        name = evidence.sender_domain() if of == "sender" else names.to_ascii(evidence.helo or "")
    if name is None or not names.is_hostname(name):
        return NameListings(None, [])
    listings = yield from rbl.query(name, rules, policy=evidence.settings.rbl_policy)
    return NameListings(name, listings)


def need_spf_mail_from(evidence: Evidence) -> Need:
    """SPF of MAIL FROM; of postmaster@HELO for the null sender (RFC 7208 section 2.4)."""
    return Need(
        SPF_MAIL_FROM,
        lambda: spf.check_host(
            evidence.ip,
            helo=evidence.helo,
            mail_from=evidence.mail_from or "",
            receiver=evidence.settings.hostname,
            policy=evidence.settings.spf_policy,
            now=evidence.now,
            trace=evidence.settings.trace,
        ),
    )


def need_spf_helo(evidence: Evidence) -> Need:
    """SPF of the HELO name alone (RFC 7208 section 2.3)."""
    return Need(
        SPF_HELO,
        lambda: spf.check_helo(
            evidence.ip,
            evidence.helo or "",
            receiver=evidence.settings.hostname,
            policy=evidence.settings.spf_policy,
            now=evidence.now,
            trace=evidence.settings.trace,
        ),
        "helo",
    )


def need_dkim(evidence: Evidence) -> Need:
    """Every signature of the message, which is read before the plan is made."""
    verifier = dkim.Verifier(now=evidence.now, policy=evidence.settings.dkim_policy)
    message = b"" if evidence.message is None else evidence.message

    def read() -> ReadMessage:
        evidence.verifier = verifier
        return ReadMessage(message, verifier.feed)

    return Need(DKIM, verifier.finish, before=read)


def everything(evidence: Evidence) -> Iterable[Need]:
    """Each check that a report tells of, as far as the facts are there."""
    yield need_iprev(evidence)
    if evidence.settings.rbl:
        yield need_rbl(evidence, evidence.settings.rbl)
    if evidence.helo is not None:
        yield need_spf_helo(evidence)
    if evidence.mail_from is not None:
        yield need_spf_mail_from(evidence)
    if evidence.message is not None:
        yield need_dkim(evidence)
