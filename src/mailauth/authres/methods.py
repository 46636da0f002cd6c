"""Building results from plain words and text: one function for each method; and `build`, the whole field.

The modules that evaluate the methods are not imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address
from itertools import pairwise

from mailauth.authres.field import AuthenticationResults
from mailauth.authres.result import MethodResult, Property
from mailauth.authres.words import MAX_INSTANCE, RESULT_WORDS
from mailauth.mail.names import parse_ip, split_address

SIGNATURE_CHARACTERS = 8
"""RFC 6008 section 4: at least the first eight characters of a signature identify it."""


def build(authserv_id: str, *results: MethodResult, smtputf8: bool = False) -> bytes:
    """The field as octets, folded, ready to be put in front of a message; without results it says ``none``.

    Raises `ValueError` for an authserv-id that cannot be one and for a result word that its method does not have
    (RFC 8601 sections 2.7 and 4). Whatever the values hold, the field is well-formed.
    """
    for result in results:
        _check_words(result)
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
    pairs = properties.items() if isinstance(properties, Mapping) else properties
    items = []
    for name, value in pairs:
        ptype, dot, rest = name.partition(".")
        if not dot:
            raise ValueError(
                f"a property is a type and a name with a dot between them, such as smtp.helo; not {name!r}"
            )
        items.append(Property(ptype, rest, value))
    return _checked(method, result, items, reason, comment)


def _checked(
    method: str, result: str, properties: Iterable[Property], reason: str | None, comment: str
) -> MethodResult:
    built = MethodResult(method, result, tuple(properties), reason, comment)
    _check_words(built)
    return built


def _check_words(result: MethodResult) -> None:
    # RFC 8601 section 2.7. A method that IANA does not list may have any.
    words = RESULT_WORDS.get(result.method)
    if words is not None and result.result not in words:
        raise ValueError(f"{result.method!r} has no result {result.result!r}; it has {', '.join(sorted(words))}")


def _given(*properties: tuple[str, str, str | None]) -> list[Property]:
    """Those properties (type, name, value) that have a value."""
    return [Property(ptype, name, value) for ptype, name, value in properties if value is not None]


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
        mailbox = split_address(mail_from)
        mail_from = mailbox.domain if mailbox else mail_from.rpartition("@")[2]
    properties = _given(("smtp", "mailfrom", mail_from), ("smtp", "helo", helo))
    return _checked("spf", result, properties, reason, comment)


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
    properties = _given(
        ("header", "d", domain),
        ("header", "i", identity),
        ("header", "s", selector),
        ("header", "a", algorithm),
        ("header", "b", start),
    )
    return _checked("dkim", result, properties, reason, comment)


def distinct_length(signatures: Iterable[str]) -> int:
    """How many characters of each signature (b tag) tell them apart, eight at least (RFC 6008 section 4).

    Equal signatures are counted once.
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

    Raises `ValueError` for a result that the method does not have and for anything that is not an address.
    """
    return _checked("iprev", result, (Property("policy", "iprev", str(parse_ip(ip))),), reason, comment)


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
    properties = _given(("dns", "zone", zone), ("policy", "ip", ip), ("policy", "txt", text), ("dns", "sec", sec))
    return _checked("dnswl", result, properties, reason, comment)


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
    properties = _given(("smtp", "auth", identity), ("smtp", "mailfrom", mail_from))
    return _checked("auth", result, properties, reason, comment)


def dmarc(
    result: str,
    *,
    header_from: str | None = None,
    policy: str | None = None,
    published: str | None = None,
    disposition: str | None = None,
    reason: str | None = None,
    comment: str = "",
) -> MethodResult:
    """A DMARC result (RFC 9989 section 9.1): the domain of the From field, and the policy.

    `policy` is what was evaluated for the message (the property policy.dmarc): "none", "quarantine" or "reject".
    `published` (p= of the record) and `disposition` (what was done with the message) stand in the comment, as many
    servers write them: ``(p=reject dis=none)``. Raises `ValueError` for a result or a policy that DMARC does not have.
    """
    if policy not in (None, "none", "quarantine", "reject"):
        raise ValueError(f"a DMARC policy is none, quarantine or reject, not {policy!r}")
    words = [f"{tag}={word}" for tag, word in (("p", published), ("dis", disposition)) if word is not None]
    properties = _given(("header", "from", header_from), ("policy", "dmarc", policy))
    return _checked("dmarc", result, properties, reason, " ".join(filter(None, (*words, comment))))


def arc(
    result: str,
    *,
    remote_ip: str | IPv4Address | IPv6Address | None = None,
    oldest_pass: int | None = None,
    reason: str | None = None,
    comment: str = "",
) -> MethodResult:
    """The result of an ARC chain (RFC 8617 section 5.2): "none", "pass" or "fail".

    `remote_ip` is the address of the SMTP client that the chain came from (section 10.1), `oldest_pass` the number of
    the oldest ARC-Message-Signature that still verifies; 0: all of them do. Raises `ValueError` for another result,
    for anything that is not an address, and for a number that is not between 0 and 50.
    """
    if oldest_pass is not None and not 0 <= oldest_pass <= MAX_INSTANCE:
        raise ValueError(f"oldest_pass is between 0 and {MAX_INSTANCE} (RFC 8617 section 4.2.1), not {oldest_pass!r}")
    ip = None if remote_ip is None else str(parse_ip(remote_ip))
    oldest = None if oldest_pass is None else str(oldest_pass)
    properties = _given(("smtp", "remote-ip", ip), ("header", "oldest-pass", oldest))
    return _checked("arc", result, properties, reason, comment)
