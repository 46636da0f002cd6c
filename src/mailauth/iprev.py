"""Reverse DNS: does the client's address have a name that points back to it?

The "iprev" method of RFC 8601 section 3, which Postfix calls reject_unknown_client_hostname. Only the plan and its
result; what is done with it is the caller's.
"""

# SECURITY: whoever holds the client's address writes its PTR records: any number of names, of any octets, that point
# anywhere. A name that is no host name is never looked up and never confirmed, and is shown with every other
# character replaced; at most `max_names` names are looked up (RFC 8601 section 7.4).

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailauth.mail.names import is_hostname, parse_ip, reverse_name
from mailauth.plan import Answer, IPAddress, Outcome, Plan, Question, RecordType, ask, ask_all

MAX_NAMES = 10  # RFC 8601 section 3, which takes the number from RFC 7208 section 4.6.4


class Result(StrEnum):
    """RFC 8601 section 2.7.3. There is no "none": a client always has an address."""

    PASS = "pass"  # a name of the client has its address
    FAIL = "fail"  # it has names, none of which has its address
    TEMPERROR = "temperror"  # a DNS error hides whether one has: a later check may succeed
    PERMERROR = "permerror"  # the address has no name


class Reason(StrEnum):
    """Why: stable codes for programs."""

    CONFIRMED = "confirmed"  # at least one name has the address
    NOT_CONFIRMED = "not-confirmed"  # the names have addresses, or none, but not this one
    NO_HOST_NAME = "no-host-name"  # PTR records there are, but none of them is a host name
    NO_PTR = "no-ptr"  # NXDOMAIN, or no PTR record
    REVERSE_FAILURE = "reverse-failure"  # the PTR question stayed open
    FORWARD_FAILURE = "forward-failure"  # nothing confirmed, and a name's address question stayed open


_RESULT_OF = {
    Reason.CONFIRMED: Result.PASS,
    Reason.NOT_CONFIRMED: Result.FAIL,
    Reason.NO_HOST_NAME: Result.FAIL,
    Reason.NO_PTR: Result.PERMERROR,
    Reason.REVERSE_FAILURE: Result.TEMPERROR,
    Reason.FORWARD_FAILURE: Result.TEMPERROR,
}


@dataclass(frozen=True, slots=True)
class IprevPolicy:
    """How many of the client's names are looked up, the first ones of the answer."""

    max_names: int = MAX_NAMES  # from 1 to 100

    def __post_init__(self) -> None:
        if not 1 <= self.max_names <= 100:
            raise ValueError(f"max_names is from 1 to 100, not {self.max_names}")


DEFAULT_POLICY = IprevPolicy()


@dataclass(frozen=True, slots=True)
class IprevResult:
    """The outcome of the check. Everything in it may be shown.

    `confirmed` are the names that point back to the address, in the order of the answer; `names` are all names that
    were found, those that are no host names with their other characters replaced; `lookups` counts the questions.
    """

    result: Result
    reason: Reason
    ip: IPAddress  # an IPv4-mapped one as IPv4
    confirmed: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    lookups: int = 1
    detail: str = ""  # the reason in words

    @property
    def name(self) -> str | None:
        """The client's name: the first that is confirmed, or None."""
        return self.confirmed[0] if self.confirmed else None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "result": self.result.value,
            "reason": self.reason.value,
            "detail": self.detail,
            "ip": str(self.ip),
            "confirmed": list(self.confirmed),
            "names": list(self.names),
            "lookups": self.lookups,
        }

    def __str__(self) -> str:
        return f"iprev={self.result.value} ({self.ip}: {self.detail})"


def check(ip: str | IPAddress, *, policy: IprevPolicy = DEFAULT_POLICY) -> Plan[IprevResult]:
    """A plan that checks the client's reverse DNS (RFC 8601 section 3): at most 1 + `max_names` questions.

    An IPv4-mapped address is checked as IPv4. The names are looked up side by side, for addresses of the client's
    family only; what is not answered by the deadline is a temperror, unless another name was confirmed.

    Raises `ValueError` or `TypeError`, when called, for anything that is not an address.
    """
    return _check(parse_ip(ip), policy)


def _check(ip: IPAddress, policy: IprevPolicy) -> Plan[IprevResult]:
    reverse = yield from ask(Question(reverse_name(ip), "PTR"))
    if not reverse.names:
        return _without_names(ip, reverse)
    found = tuple(dict.fromkeys(reverse.names))
    usable = [name for name in found if is_hostname(name)]
    asked = usable[: policy.max_names]
    # RFC 8601 section 3 speaks of A and AAAA; an address of the other family can never be the client's.
    family: RecordType = "A" if ip.version == 4 else "AAAA"
    answers = yield from ask_all(Question(name, family) for name in asked)
    confirmed = tuple(name for name, answer in zip(asked, answers, strict=True) if ip in answer.addresses)
    reason = _reason(confirmed, asked, answers)
    return IprevResult(
        _RESULT_OF[reason],
        reason,
        ip,
        confirmed,
        tuple(map(_safe, found)),
        1 + len(asked),
        _words(reason, confirmed, len(usable) - len(asked)),
    )


def _without_names(ip: IPAddress, reverse: Answer) -> IprevResult:
    if reverse.failed:
        # RFC 8601 section 2.7.3, "temperror"
        return IprevResult(Result.TEMPERROR, Reason.REVERSE_FAILURE, ip, detail=f"PTR question: {reverse.outcome}")
    # RFC 8601 section 2.7.3, "permerror": RCODE 3, or RCODE 0 without answers
    missing = "no such name" if reverse.outcome is Outcome.NO_SUCH_NAME else "no PTR record"
    return IprevResult(Result.PERMERROR, Reason.NO_PTR, ip, detail=f"the address has no name: {missing}")


def _reason(confirmed: Sequence[str], asked: Sequence[str], answers: Sequence[Answer]) -> Reason:
    if confirmed:
        return Reason.CONFIRMED
    if not asked:
        return Reason.NO_HOST_NAME
    # RFC 8601 section 2.7.3: "fail" needs completed questions; one that stayed open might have confirmed the address.
    return Reason.FORWARD_FAILURE if any(answer.failed for answer in answers) else Reason.NOT_CONFIRMED


def _words(reason: Reason, confirmed: Sequence[str], left_out: int) -> str:
    unchecked = f"; {left_out} more not looked up" if left_out else ""
    return {
        Reason.CONFIRMED: f"{confirmed[0] if confirmed else ''} points back to the address",
        Reason.NOT_CONFIRMED: f"no name points back to the address{unchecked}",
        Reason.NO_HOST_NAME: "its names are no host names",
        Reason.FORWARD_FAILURE: "a name's address could not be looked up",
    }[reason]


def _safe(name: str) -> str:
    """The name with everything replaced that stands in no host name: it may go into headers and logs."""
    return re.sub(r"[^a-z0-9._-]", "?", name[:253].lower())
