"""`SpfResult` and its parts.

What an evaluation returns, in types, words and JSON. Nothing is decided here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from mailauth.mail.reply import Reply
from mailauth.plan.dns import IPAddress
from mailauth.spf.problem import shown
from mailauth.spf.record import Record
from mailauth.spf.terms import Mechanism, Result
from mailauth.spf.trace import TraceRecord

Identity: TypeAlias = Literal["mailfrom", "helo"]


class Reason(StrEnum):
    """Why a result came about; stable, for programs."""

    MATCHED = "matched"
    """A mechanism matched."""
    DEFAULT = "default"
    """No mechanism matched, and there is no redirect (RFC 7208 section 4.7)."""
    NO_DOMAIN = "no-domain"
    """The identity has no domain that could be checked (RFC 7208 section 4.3)."""
    NO_SUCH_DOMAIN = "no-such-domain"
    """The DNS has no such name: the result is none (RFC 7208 section 4.3)."""
    NO_RECORD = "no-record"
    """The domain has no SPF record among its TXT records: the result is none (RFC 7208 section 4.5)."""
    SEVERAL_RECORDS = "several-records"
    """A domain that was asked has more than one SPF record: permerror (RFC 7208 section 4.5)."""
    SYNTAX_ERROR = "syntax-error"
    """A record has a syntax error, anywhere in it: permerror (RFC 7208 section 4.6)."""
    TOO_MANY_LOOKUPS = "too-many-lookups"
    """More than ten terms (`SpfPolicy.max_lookups`) ask the DNS: permerror (RFC 7208 section 4.6.4)."""
    TOO_MANY_VOID_LOOKUPS = "too-many-void-lookups"
    """More than two terms (`max_void_lookups`) ask for what is not in the DNS: permerror (RFC 7208 section 4.6.4)."""
    TOO_MANY_MX_HOSTS = "too-many-mx-hosts"
    """One "mx" has more than ten hosts (`max_mx_hosts`): permerror (RFC 7208 section 4.6.4; erratum 5227)."""
    INCLUDE_WITHOUT_RECORD = "include-without-record"
    """The domain of an "include" has no record: permerror (RFC 7208 section 5.2)."""
    REDIRECT_WITHOUT_RECORD = "redirect-without-record"
    """The domain of the "redirect" has no record: permerror (RFC 7208 section 6.1)."""
    DNS_TIMED_OUT = "dns-timed-out"
    """A question was not answered within the time limit: temperror (RFC 7208 section 4.6.4)."""
    DNS_SERVER_FAILURE = "dns-server-failure"
    """A question ended with SERVFAIL or an unusable answer: temperror (RFC 7208 sections 4.4 and 5)."""
    DNS_REFUSED = "dns-refused"
    """The DNS server refused a question: temperror (RFC 7208 sections 4.4 and 5)."""


@dataclass(frozen=True, slots=True)
class Discarded:
    """A TXT record that was meant as the SPF record of a domain, and is not used (RFC 7208 section 4.5)."""

    domain: str
    text: str
    """As its author sees it: UTF-8 if it is."""
    why: str
    """In words: a slip that makes it no SPF record, or that there are several."""
    proposal: str = ""
    """What to write in its place; empty without a good guess."""

    def to_dict(self) -> dict[str, str]:
        """For JSON."""
        return {"domain": self.domain, "text": self.text, "why": self.why, "proposal": self.proposal}


@dataclass(frozen=True)
class SpfResult:
    """The result of checking one identity, and how it came about."""

    result: Result
    reason: Reason
    identity: Identity
    """Which identity was checked."""
    domain: str
    """The domain whose record was asked for, as A-labels; empty if the identity has no usable one."""
    sender: str
    """The mailbox that was checked: of MAIL FROM, or postmaster at the HELO name."""
    helo: str
    """The HELO name as the client gave it; empty if it is not known."""
    ip: IPAddress
    """The client's address; an IPv4-mapped IPv6 address as IPv4."""
    directive: Mechanism | None = None
    """The mechanism that matched."""
    record: Record | None = None
    """The record that decided: the domain's own, or the one that it redirects to."""
    record_domain: str = ""
    """Where that record stands."""
    explanation: str | None = None
    """The domain's explanation of a fail, printable US-ASCII: a third party's words (RFC 7208 section 11.5.2)."""
    lookups: int = 0
    """Terms that asked the DNS; RFC 7208 section 4.6.4 allows ten."""
    void_lookups: int = 0
    """Terms for which the DNS had no data; RFC 7208 section 4.6.4 allows two."""
    problem: str = ""
    """What went wrong, for none, temperror and permerror."""
    discarded: tuple[Discarded, ...] = ()
    """Where a record is missing or there are several: the TXT records that were meant as it."""
    trace: TraceRecord | None = None
    """The whole evaluation, if it was asked for."""

    @property
    def mechanism(self) -> str | None:
        """The mechanism that matched, as it is written in a record; None if none did."""
        return None if self.directive is None else str(self.directive)

    @property
    def detail(self) -> str:
        """The reason in words."""
        if self.problem:
            return self.problem
        where = f"the record of {self.record_domain}"
        if self.directive is None:
            return f"no mechanism in {where} matches"
        return f"{shown(self.directive)} in {where} matches"

    @property
    def reply(self) -> Reply | None:
        """The SMTP reply for a receiver that refuses such mail: for fail, temperror and permerror.

        RFC 7208 section 8.5 asks not to reject for softfail alone, section 8.2 to treat neutral like none.
        """
        identity = "HELO" if self.identity == "helo" else "MAIL FROM"
        match self.result:
            case Result.FAIL:
                # RFC 7372 section 3.2, in place of the 5.7.1 of RFC 7208 section 8.4.
                why = f"{self.ip} is not allowed to send mail for {self.domain}"
                if self.explanation is not None:
                    # RFC 7208 sections 6.2 and 8.4: make it clear that the text comes from a third party.
                    why = f"the domain {self.domain} explains: {self.explanation}"
                return Reply(550, "5.7.23", _one_line(f"SPF {identity} check failed: {why}"))
            case Result.TEMPERROR:
                # RFC 7208 section 8.6. RFC 7372 would allow 4.7.24, which hides that it is the DNS that failed.
                return Reply(451, "4.4.3", _one_line(f"SPF {identity} check: {self.detail}"))
            case Result.PERMERROR:
                # RFC 7372 section 3.2, in place of the 5.5.2 of RFC 7208 section 8.7.
                return Reply(550, "5.7.24", _one_line(f"SPF {identity} check: {self.detail}"))
        return None

    def __str__(self) -> str:
        return f"{self.result} ({self.detail})"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "result": self.result.value,
            "reason": self.reason.value,
            "detail": self.detail,
            "identity": self.identity,
            "domain": self.domain,
            "sender": self.sender,
            "helo": self.helo,
            "ip": str(self.ip),
            "mechanism": self.mechanism,
            "record": None if self.record is None else str(self.record),
            "record_domain": self.record_domain or None,
            "explanation": self.explanation,
            "lookups": self.lookups,
            "void_lookups": self.void_lookups,
            "discarded": [each.to_dict() for each in self.discarded],
            "trace": None if self.trace is None else self.trace.to_dict(),
        }


# RFC 5321 section 4.5.3.1.5: a reply line has at most 512 octets with its code and CRLF.
_MAX_REPLY_TEXT = 512 - len("550 5.7.23 \r\n")


def _one_line(text: str) -> str:
    return text if len(text) <= _MAX_REPLY_TEXT else text[: _MAX_REPLY_TEXT - 3] + "..."


_new, _set = object.__new__, object.__setattr__


def result_of(values: dict[str, Any]) -> SpfResult:
    """An `SpfResult` with these fields; those that are not given have their defaults.

    A frozen dataclass sets each field through a descriptor, which for so many fields takes longer than the whole
    evaluation of a short record.
    """
    result = _new(SpfResult)
    _set(result, "__dict__", values)
    return result
