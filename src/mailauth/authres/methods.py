# What belongs here: results of the methods that this library evaluates, and of any other, from plain values. The
# modules that evaluate them are not imported: whoever calls passes words and text.
"""Building results: `spf`, `dkim`, `iprev`, `dnswl`, `auth`, `method_result`; and `build`, the whole field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

from mailauth.authres.model import AuthenticationResults, MethodResult, Property
from mailauth.authres.registry import check_words
from mailauth.mail.names import parse_ip, split_address

SIGNATURE_CHARACTERS = 8
"""RFC 6008 section 4: at least the first eight characters of a signature identify it."""


def build(authserv_id: str, *results: MethodResult, smtputf8: bool = False) -> bytes:
    """The field as octets, folded, ready to be put in front of a message; without results it says ``none``.

    Raises `ValueError` for an authserv-id that cannot be one and for a result word that its method does not have
    (RFC 8601 section 2.7). Whatever the values hold, the field is well-formed.
    """
    for result in results:
        check_words(result.method, result.result)
    return AuthenticationResults(authserv_id, results).to_bytes(smtputf8=smtputf8)


def method_result(
    method: str,
    result: str,
    properties: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    *,
    reason: str | None = None,
    comment: str = "",
) -> MethodResult:
    """The result of any method, with properties such as ``{"header.from": "example.org"}``.

    Raises `ValueError` for a result word that a registered method does not have, and for a name without a dot.
    """
    check_words(method, result)
    pairs = properties.items() if isinstance(properties, Mapping) else properties
    return MethodResult(method, result, tuple(_property(name, value) for name, value in pairs), reason, comment)


def _property(name: str, value: str) -> Property:
    ptype, dot, rest = name.partition(".")
    if not dot:
        raise ValueError(f"a property is a type and a name with a dot between them, such as smtp.helo; not {name!r}")
    return Property(ptype, rest, value)


def _given(**values: str | None) -> list[tuple[str, str]]:
    """Those properties that have a value; ``smtp_helo`` stands for ``smtp.helo``."""
    return [(name.replace("_", "."), value) for name, value in values.items() if value is not None]


def spf(
    result: str,
    *,
    mail_from: str | None = None,
    helo: str | None = None,
    keep_local_part: bool = False,
    reason: str | None = None,
    comment: str = "",
) -> MethodResult:
    """An SPF result (RFC 8601 section 2.7.2) for one identity: MAIL FROM (an address or a domain) or HELO.

    SPF does not vouch for the local part, so it is left out unless `keep_local_part` (for a record that judges it).
    Raises `ValueError` for a result that SPF does not have, and for two identities: each has a result of its own
    (RFC 8601 section 4).
    """
    if mail_from is not None and helo is not None:
        raise ValueError("an SPF result is about MAIL FROM or HELO; give each identity a result of its own")
    if mail_from is not None and not keep_local_part:
        mail_from = _domain_of(mail_from)
    return method_result("spf", result, _given(smtp_mailfrom=mail_from, smtp_helo=helo), reason=reason, comment=comment)


def _domain_of(address: str) -> str:
    mailbox = split_address(address)
    return mailbox.domain if mailbox else address.rpartition("@")[2]


def dkim(
    result: str,
    *,
    domain: str | None = None,
    identity: str | None = None,
    selector: str | None = None,
    algorithm: str | None = None,
    signature: str | None = None,
    signature_length: int = SIGNATURE_CHARACTERS,
    reason: str | None = None,
    comment: str = "",
) -> MethodResult:
    """The result of one DKIM signature (RFC 8601 section 2.7.1): its tags d, i, s, a, and b.

    Of `signature` (the b tag; white space in it does not count) the first `signature_length` characters are written,
    eight at least (RFC 6008 section 4); where a message has several, `distinct_length` tells how many it takes.
    Raises `ValueError` for a result that DKIM does not have and for a length under eight.
    """
    if signature_length < SIGNATURE_CHARACTERS:
        raise ValueError(
            f"a signature is identified by {SIGNATURE_CHARACTERS} characters at least (RFC 6008 section 4)"
        )
    start = None if signature is None else _signature(signature)[:signature_length]
    tags = _given(header_d=domain, header_i=identity, header_s=selector, header_a=algorithm, header_b=start)
    return method_result("dkim", result, tags, reason=reason, comment=comment)


def distinct_length(signatures: Iterable[str]) -> int:
    """How many characters of each signature (b tag) tell them apart, eight at least (RFC 6008 section 4).

    Equal signatures cannot be told apart; they are counted once.
    """
    ordered = sorted({_signature(signature) for signature in signatures})
    shared = (_shared(a, b) for a, b in pairwise(ordered))
    return max(SIGNATURE_CHARACTERS, 1 + max(shared, default=0))


def _signature(text: str) -> str:
    return "".join(text.split())


def _shared(a: str, b: str) -> int:
    """How many characters two texts have in common at their beginning."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))


def iprev(
    result: str, ip: str | IPv4Address | IPv6Address, *, reason: str | None = None, comment: str = ""
) -> MethodResult:
    """The result of the reverse DNS check of the client's address (RFC 8601 sections 2.7.3 and 3).

    Raises `ValueError` for a result that the method does not have and for what is no address.
    """
    properties = {"policy.iprev": str(parse_ip(ip))}
    return method_result("iprev", result, properties, reason=reason, comment=comment)


def dnswl(
    result: str,
    *,
    zone: str | None = None,
    codes: Iterable[str | IPv4Address | IPv6Address] = (),
    text: str | None = None,
    dnssec: bool | None = None,
    reason: str | None = None,
    comment: str = "",
) -> MethodResult:
    """The result of asking a DNS white list (RFC 8904 section 2): its zone, the addresses and the text it answered.

    `dnssec` says whether the answer was authenticated; None: the resolver does not tell, written as "na". Raises
    `ValueError` for a result that the method does not have: a listing is a "pass".
    """
    # RFC 8904 section 3: policy.ip holds the A records, several as a quoted, comma-separated list.
    ip = ",".join(str(code) for code in codes) or None
    sec = {True: "yes", False: "no", None: "na"}[dnssec]
    properties = _given(dns_zone=zone, policy_ip=ip, policy_txt=text, dns_sec=sec)
    return method_result("dnswl", result, properties, reason=reason, comment=comment)


def auth(
    result: str,
    *,
    identity: str | None = None,
    mail_from: str | None = None,
    reason: str | None = None,
    comment: str = "",
) -> MethodResult:
    """The result of SMTP AUTH (RFC 8601 section 2.7.4).

    `identity` is the authorization identity, `mail_from` the mailbox of the AUTH parameter of MAIL FROM. Raises
    `ValueError` for a result that the method does not have.
    """
    properties = _given(smtp_auth=identity, smtp_mailfrom=mail_from)
    return method_result("auth", result, properties, reason=reason, comment=comment)
