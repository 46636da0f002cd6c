# What belongs here: the checks of the protocol modules as needs of one transaction: the key of each result, and the
# plan that makes it from the facts and the settings. Restrictions and the report read the results by these keys.
"""Which plan makes which check of a transaction."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from mailauth import dkim, iprev, rbl, spf
from mailauth.evidence import Evidence, Need
from mailauth.plan import IPAddress

IPREV: Hashable = "iprev"
SPF_HELO: Hashable = "spf-helo"
SPF_MAIL_FROM: Hashable = "spf-mailfrom"
DKIM: Hashable = "dkim"


class RblKey(NamedTuple):
    """The key of the listings of one subject on one set of lists."""

    subject: str
    rules: tuple[rbl.Rule, ...]


class GreylistKey(NamedTuple):
    """The key of the greylist's decision for one recipient."""

    recipient: str


class SenderDomainKey(NamedTuple):
    """The key of what the DNS says of the sender's domain."""

    domain: str | None


# What the next HELO must not inherit.
HELO_KEYS: tuple[Hashable, ...] = (SPF_HELO,)


def of_connection(key: Hashable, ip: IPAddress) -> bool:
    """Whether the next transaction of the session may inherit the result: it is about the client or its HELO alone."""
    return key in (IPREV, SPF_HELO) or (isinstance(key, RblKey) and key.subject == str(ip))


def need_iprev(evidence: Evidence) -> Need:
    """The names of the client, and whether they lead back to it."""
    return Need(IPREV, lambda: iprev.check(evidence.ip))


def need_rbl(evidence: Evidence, rules: Iterable[rbl.Rule]) -> Need:
    """The client on block lists."""
    key = RblKey(str(evidence.ip), tuple(rules))
    return Need(key, lambda: rbl.query(evidence.ip, key.rules, policy=evidence.settings.rbl_policy))


def need_rhsbl(evidence: Evidence, name: str, rules: Iterable[rbl.Rule]) -> Need:
    """A domain on block lists of domains."""
    key = RblKey(name, tuple(rules))
    return Need(key, lambda: rbl.query(name, key.rules, policy=evidence.settings.rbl_policy))


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
    )


def need_dkim(evidence: Evidence) -> Need:
    """Every signature of the message."""
    message = evidence.message
    return Need(
        DKIM,
        lambda: dkim.verify(
            b"" if message is None else message, now=evidence.now, policy=evidence.settings.dkim_policy
        ),
    )


def everything(evidence: Evidence) -> list[Need]:
    """Each check for which the facts are there."""
    needs = [need_iprev(evidence)]
    if evidence.settings.rbl:
        needs.append(need_rbl(evidence, evidence.settings.rbl))
    if evidence.helo is not None:
        needs.append(need_spf_helo(evidence))
    if evidence.mail_from is not None:
        needs.append(need_spf_mail_from(evidence))
    if evidence.message is not None:
        needs.append(need_dkim(evidence))
    return needs
