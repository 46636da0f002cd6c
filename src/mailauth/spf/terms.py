"""The mechanisms and modifiers of RFC 7208 as types.

The terms of a record as immutable values, each with the way it is written. Syntax only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address
from typing import TypeAlias

from mailauth.spf.macros import MacroString


class Result(StrEnum):
    """What check_host() returns (RFC 7208 section 2.6)."""

    NONE = "none"  # there is no domain to check, or it has no record (RFC 7208 section 2.6.1)
    NEUTRAL = "neutral"  # the domain does not say whether the client may send for it (section 2.6.2)
    PASS = "pass"  # the client may send mail for the domain (section 2.6.3)
    FAIL = "fail"  # the client may not send mail for the domain (section 2.6.4)
    SOFTFAIL = "softfail"  # the client probably may not: the domain has no stronger policy (section 2.6.5)
    TEMPERROR = "temperror"  # a DNS error, mostly passing: a later check may succeed (section 2.6.6)
    PERMERROR = "permerror"  # a record is in error, or asks for too much: its owner has to correct it (section 2.6.7)


# qualifier        = "+" / "-" / "?" / "~"
class Qualifier(StrEnum):
    """What a match means (RFC 7208 section 4.6.2)."""

    result: Result

    PASS = "+", Result.PASS  # also where none is written
    FAIL = "-", Result.FAIL
    SOFTFAIL = "~", Result.SOFTFAIL
    NEUTRAL = "?", Result.NEUTRAL

    def __new__(cls, sign: str, result: Result) -> Qualifier:
        member = str.__new__(cls, sign)
        member._value_ = sign
        member.result = result
        return member


def _prefix(qualifier: Qualifier) -> str:
    # The qualifier is optional and defaults to "+".
    return "" if qualifier is Qualifier.PASS else qualifier.value


IP4_BITS = 32
IP6_BITS = 128


# all              = "all"
@dataclass(frozen=True, slots=True)
class All:
    """Matches always (RFC 7208 section 5.1)."""

    qualifier: Qualifier = Qualifier.PASS

    def __str__(self) -> str:
        return f"{_prefix(self.qualifier)}all"


# include          = "include"  ":" domain-spec
@dataclass(frozen=True, slots=True)
class Include:
    """Matches if another domain's record gives pass (RFC 7208 section 5.2)."""

    qualifier: Qualifier
    domain_spec: MacroString

    def __str__(self) -> str:
        return f"{_prefix(self.qualifier)}include:{self.domain_spec}"


# a                = "a"      [ ":" domain-spec ] [ dual-cidr-length ]
# mx               = "mx"     [ ":" domain-spec ] [ dual-cidr-length ]
# dual-cidr-length = [ ip4-cidr-length ] [ "/" ip6-cidr-length ]
@dataclass(frozen=True, slots=True)
class _Hosts:
    qualifier: Qualifier = Qualifier.PASS
    domain_spec: MacroString | None = None
    ip4_length: int = IP4_BITS
    ip6_length: int = IP6_BITS

    def _text(self, name: str) -> str:
        spec = "" if self.domain_spec is None else f":{self.domain_spec}"
        ip4 = "" if self.ip4_length == IP4_BITS else f"/{self.ip4_length}"
        ip6 = "" if self.ip6_length == IP6_BITS else f"//{self.ip6_length}"
        return f"{_prefix(self.qualifier)}{name}{spec}{ip4}{ip6}"


@dataclass(frozen=True, slots=True)
class A(_Hosts):
    """Matches an address of a name (RFC 7208 section 5.3)."""

    def __str__(self) -> str:
        return self._text("a")


@dataclass(frozen=True, slots=True)
class Mx(_Hosts):
    """Matches an address of an MX host of a name (RFC 7208 section 5.4)."""

    def __str__(self) -> str:
        return self._text("mx")


# ptr              = "ptr"    [ ":" domain-spec ]
@dataclass(frozen=True, slots=True)
class Ptr:
    """Matches a client whose reverse name lies in a domain; not to be used (RFC 7208 section 5.5)."""

    qualifier: Qualifier = Qualifier.PASS
    domain_spec: MacroString | None = None

    def __str__(self) -> str:
        return f"{_prefix(self.qualifier)}ptr" + ("" if self.domain_spec is None else f":{self.domain_spec}")


# ip4              = "ip4"      ":" ip4-network   [ ip4-cidr-length ]
@dataclass(frozen=True, slots=True)
class Ip4:
    """Matches the addresses of an IPv4 network (RFC 7208 section 5.6)."""

    qualifier: Qualifier
    address: int
    """As written; bits behind the prefix may be set, and do not count."""
    prefix_length: int = IP4_BITS

    def __str__(self) -> str:
        address = self.address
        dotted = f"{address >> 24}.{address >> 16 & 255}.{address >> 8 & 255}.{address & 255}"
        length = "" if self.prefix_length == IP4_BITS else f"/{self.prefix_length}"
        return f"{_prefix(self.qualifier)}ip4:{dotted}{length}"


# ip6              = "ip6"      ":" ip6-network   [ ip6-cidr-length ]
@dataclass(frozen=True, slots=True)
class Ip6:
    """Matches the addresses of an IPv6 network (RFC 7208 section 5.6)."""

    qualifier: Qualifier
    address: int
    """As written; bits behind the prefix may be set, and do not count."""
    prefix_length: int = IP6_BITS

    def __str__(self) -> str:
        length = "" if self.prefix_length == IP6_BITS else f"/{self.prefix_length}"
        return f"{_prefix(self.qualifier)}ip6:{IPv6Address(self.address)}{length}"


# exists           = "exists"   ":" domain-spec
@dataclass(frozen=True, slots=True)
class Exists:
    """Matches if a name has an A record (RFC 7208 section 5.7)."""

    qualifier: Qualifier
    domain_spec: MacroString

    def __str__(self) -> str:
        return f"{_prefix(self.qualifier)}exists:{self.domain_spec}"


# redirect         = "redirect" "=" domain-spec
@dataclass(frozen=True, slots=True)
class Redirect:
    """If nothing matches, another domain's record decides (RFC 7208 section 6.1)."""

    domain_spec: MacroString

    def __str__(self) -> str:
        return f"redirect={self.domain_spec}"


# explanation      = "exp" "=" domain-spec
@dataclass(frozen=True, slots=True)
class Explanation:
    """Where the text stands that explains a fail (RFC 7208 section 6.2)."""

    domain_spec: MacroString

    def __str__(self) -> str:
        return f"exp={self.domain_spec}"


# unknown-modifier = name "=" macro-string
@dataclass(frozen=True, slots=True)
class UnknownModifier:
    """A modifier of another specification: ignored (RFC 7208 section 6)."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


# mechanism        = ( all / include / a / mx / ptr / ip4 / ip6 / exists )
Mechanism: TypeAlias = All | Include | A | Mx | Ptr | Ip4 | Ip6 | Exists
"""A directive: a mechanism with its qualifier."""

# modifier         = redirect / explanation / unknown-modifier
Modifier: TypeAlias = Redirect | Explanation | UnknownModifier

Asking: TypeAlias = Include | A | Mx | Ptr | Exists | Redirect
"""The terms that ask the DNS during the evaluation (RFC 7208 section 4.6.4)."""

Term: TypeAlias = Mechanism | Modifier


def place_in_record(term: Term) -> int:
    """Sorts the terms of a record that is written: "exp" behind all mechanisms, "redirect" last of all.

    They may stand anywhere; RFC 7208 sections 6 and 6.1 say that they SHOULD stand there, and people expect them there.
    """
    return 2 if isinstance(term, Redirect) else 1 if isinstance(term, Explanation) else 0
