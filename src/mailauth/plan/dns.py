"""Questions to the DNS and the answers to them, as plain immutable values.

The words in which plans talk about DNS. Values only: nothing here asks, waits or parses wire format, and nothing here
imports a DNS library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Literal, NamedTuple, TypeAlias, cast

RecordType: TypeAlias = Literal["A", "AAAA", "CNAME", "MX", "PTR", "TXT", "SPF"]
"""The record types that mail authentication asks for. CNAME asks whether a name is an alias; all others follow it.
SPF (99) is asked only to say that nobody else does (RFC 7208 section 3.1)."""

IPAddress: TypeAlias = IPv4Address | IPv6Address

# RFC 1035 section 2.3.4: 255 octets on the wire are 253 characters of text without the final dot.
MAX_NAME_OCTETS = 253
MAX_LABEL_OCTETS = 63

MAX_CHAIN = 15
"""CNAMEs that a resolver follows from one name; a longer chain, or a loop, is a server failure. No RFC sets the
number: dnspython's own limit is this, common servers follow 11 to 16."""

MAX_RECORDS = 1000
"""Records that a network resolver keeps of one answer. 64 KiB hold some 4,000; no mail domain needs as many."""


class Question(NamedTuple):
    """One question to the DNS.

    `name` is text in ASCII without the final dot; its dots separate labels, and every other character stands
    for itself (there are no escapes). Case does not matter to the DNS; plans ask in lower case so that equal
    questions compare equal.
    """

    name: str
    type: RecordType

    def __str__(self) -> str:
        return f"{self.name} {self.type}"


class Exchange(NamedTuple):
    """The data of an MX record (RFC 1035 section 3.3.9); the host of a null MX (RFC 7505) is ``""``."""

    preference: int  # the lowest is tried first (RFC 5321 section 5.1)
    host: str


class Outcome(Enum):
    """How a question ended. The first three are facts about the name, the last three are temporary DNS errors."""

    FOUND = "found"  # at least one record of the type
    NO_DATA = "no-data"  # the name exists, without records of this type (RFC 2308 section 2.2)
    NO_SUCH_NAME = "no-such-name"  # NXDOMAIN (RFC 8020), or a name that cannot exist
    TIMED_OUT = "timed-out"  # no answer within the time limit
    SERVER_FAILURE = "server-failure"  # SERVFAIL, no server reached, an unreadable answer, or too many CNAMEs
    REFUSED = "refused"  # the server does not answer this client (RCODE 5)

    # The members are single; Enum's own hash is written in Python, and would be asked with each answer.
    __hash__ = object.__hash__

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Answer:
    """What the DNS said to one `Question`.

    `records` holds data of the asked type only: addresses for A and AAAA, `Exchange` for MX, names (text) for
    CNAME and PTR, and for TXT the octets of each record, its strings joined (RFC 7208 section 3.3, RFC 6376 section
    3.6.2.2). Names in answers are lower-case text without the final dot; octets in them that are no plain
    printable ASCII stand as ``\\DDD`` (RFC 1035 section 5.1), so they never pass for a host name.
    `ttl` is in seconds. `detail` says in words what the outcome leaves open, for logs and traces. `exists` is set where
    the response says of the name that was asked what the outcome does not (see `name_exists`).
    """

    outcome: Outcome
    records: tuple[Any, ...] = ()
    ttl: int = 0
    detail: str = ""
    exists: bool | None = field(default=None, compare=False)

    @property
    def found(self) -> bool:
        """Whether there is at least one record."""
        return self.outcome is Outcome.FOUND

    @property
    def void(self) -> bool:
        """Whether the DNS said that there is nothing (RFC 7208 section 4.6.4, "void lookup")."""
        return self.outcome is Outcome.NO_DATA or self.outcome is Outcome.NO_SUCH_NAME

    @property
    def failed(self) -> bool:
        """Whether the question stays open: timeout, server failure or refusal, all of them temporary."""
        return self.outcome in _FAILURES

    @property
    def name_exists(self) -> bool | None:
        """Whether the name that was asked exists (RFC 8020); None where that cannot be known.

        An alias exists also where NXDOMAIN is about its target (RFC 6604 section 3), and NXNAME in a NOERROR response
        says that the name does not exist (RFC 9824 section 3.1). Without either, "no data" leaves it open: signers that
        deny compactly give that answer for names that do not exist, and few resolvers show why.
        """
        if self.exists is None and self.outcome in _PROVEN:
            return self.outcome is Outcome.FOUND
        return self.exists

    @property
    def addresses(self) -> tuple[IPAddress, ...]:
        """The records of an answer to A or AAAA."""
        return cast("tuple[IPAddress, ...]", self.records)

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The records of an answer to MX."""
        return cast("tuple[Exchange, ...]", self.records)

    @property
    def names(self) -> tuple[str, ...]:
        """The records of an answer to CNAME or PTR."""
        return cast("tuple[str, ...]", self.records)

    @property
    def texts(self) -> tuple[bytes, ...]:
        """The records of an answer to TXT or SPF, the strings of each record joined."""
        return cast("tuple[bytes, ...]", self.records)


_PROVEN = frozenset({Outcome.FOUND, Outcome.NO_SUCH_NAME})
_FAILURES = frozenset({Outcome.TIMED_OUT, Outcome.SERVER_FAILURE, Outcome.REFUSED})

TIMED_OUT = Answer(Outcome.TIMED_OUT, detail="the time limit was reached")


def not_asked(question: Question) -> Answer | None:
    """The answer to a question that is not sent, since its name cannot exist; None if it can be sent."""
    reason = unaskable(question.name)
    return None if reason is None else Answer(Outcome.NO_SUCH_NAME, detail=f"not asked: {reason}")


# One or more labels of 1 to 63 octets; a dot only separates.
_ASKABLE = re.compile(r"(?:[\x01-\x2d\x2f-\x7f]{1,63}\.)*[\x01-\x2d\x2f-\x7f]{1,63}")


def unaskable(name: str) -> str | None:
    """Why `name` cannot be asked in the DNS, or None if it can (RFC 1035 section 2.3.4; RFC 5890 for non-ASCII).

    Every resolver answers such a question with `Outcome.NO_SUCH_NAME` and sends nothing.
    """
    if len(name) <= MAX_NAME_OCTETS and _ASKABLE.fullmatch(name):
        return None
    if len(name) > MAX_NAME_OCTETS:
        return f"name over {MAX_NAME_OCTETS} octets"
    if not name.isascii():
        return "name is not ASCII"
    if "\0" in name:
        return "name holds NUL"
    if "" in name.split("."):
        return "empty label" if name else "empty name"
    return f"label over {MAX_LABEL_OCTETS} octets"
