"""The DKIM-Signature header field (RFC 6376 section 3.5).

One DKIM-Signature field, parsed into an immutable value or into the reason why it cannot be. No DNS, no hashing, no
judgement about time or strength: that is verification.py's.
"""

# RFC 6376 section 3.5, with RFC 8463 section 4.1 (a=) and RFC 8616 (U-labels and UTF-8 in d=, s=, i=):
#   v= 1*DIGIT, only "1"            a= k "-" h                      b=, bh= base64string
#   c= alg ["/" alg]                d= sub-domain 1*("." sub-domain)
#   h= hdr-name *( [FWS] ":" [FWS] hdr-name )                       i= [ Local-part ] "@" domain-name
#   l= 1*76DIGIT                    q= method *( [FWS] ":" [FWS] method )
#   s= sub-domain *( "." sub-domain )                               t=, x= 1*12DIGIT
# Literals in ABNF are case-insensitive (RFC 5234 section 2.3), so "RSA-SHA256" is taken.
#
# SECURITY: the field comes from the peer (RFC 6376 section 8.9). Lists are counted and numbers measured before they are
# built; each step is linear. What a value is shown as in `detail` is cut short and escaped.

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

from mailauth.dkim.header import Places, places
from mailauth.dkim.result import Reason
from mailauth.mail.lines import LineEnd
from mailauth.mail.names import is_fqdn, is_within, to_ascii
from mailauth.mail.taglist import BadTagList, Problem, items, without_blanks
from mailauth.mail.taglist import parse as parse_tags
from mailauth.plan import MAX_NAME_OCTETS, Question

MAX_SIGNED_NAMES = 1000
"""Names in h=; real signatures have about ten to forty."""

MAX_SIGNATURE_OCTETS = 2048
"""b= of the largest key that could ever be verified (16,384 bits)."""

MAX_BODY_HASH_OCTETS = 64
"""bh= of the longest digest there is; SHA-256 has 32."""

MAX_IDENTITY_OCTETS = 1024
"""i= with its quoting; an address has at most 320 octets (RFC 5321 section 4.5.3.1)."""

_LF = LineEnd.LF
_ENCODED_WORD = re.compile(rb"=\?[A-Za-z0-9*_-]{1,40}\?[QqBb]\?")
_REWRITTEN = "the field was rewritten as encoded words by a gateway (RFC 2047)"
_DIGEST_OCTETS = {"sha256": 32, "sha1": 20}
_REQUIRED = (b"v", b"a", b"d", b"h", b"s")  # with b= and bh=: RFC 6376 section 6.1.1
_FIELD_NAMES = re.compile(rb"[!-9;-~]++(?::[!-9;-~]++)*+\Z")
# The value of b= with the blanks around it, only where a tag begins: neither bh=, nor a tag whose name ends in b, nor
# a "b=" within another value (h= may list a field of that name).
_B_FIRST = re.compile(rb"[ \t\r\n]*+b[ \t\r\n]*+=([^;]*+)")
_B_LATER = re.compile(rb";[ \t\r\n]*+b[ \t\r\n]*+=([^;]*+)")
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_HEX_OCTET = re.compile(rb"=([0-9A-F]{2})")
_QUOTED = re.compile(rb"(?:[^=]++|=[0-9A-F]{2})*+")


class Refusal(Exception):
    """The signature goes no further: the reason, in code and words. Never leaves the package."""

    found: Mapping[str, Any] = MappingProxyType({})  # what is known of the key that got furthest

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


class Terms(NamedTuple):
    """What a signer says alike in one signature after the other: all but the tags that differ with each message."""

    algorithm: str  # as in a=, lower case
    key_type: str  # its first half: what k= of the key must say
    hash_name: str  # its second half: what h= of the key must allow
    header_canonicalization: str
    body_canonicalization: str
    domain: str  # A-label, lower case
    question: Question  # what to ask for the key (RFC 6376 section 3.6.2)
    signed_fields: frozenset[str]  # lower case
    places: Places  # the same in the order of h=
    identity_domain: str  # A-label, lower case


class SignatureField(NamedTuple):
    """A DKIM-Signature field that is well formed."""

    raw: bytes  # the field as it came
    b_start: int  # the place of b='s value in `raw`, the blanks around it included (RFC 6376 section 3.7)
    b_end: int
    end: int  # where the line end of the field begins
    terms: Terms
    signature: bytes
    body_hash: bytes
    body_length: int | None
    signed_at: int | None
    expires_at: int | None


Tags: TypeAlias = dict[bytes, bytes]


def parse(
    raw: bytes, line_end: LineEnd, details: dict[str, Any], adapt: Callable[[Tags], Tags] | None = None
) -> SignatureField:
    """Read the octets of a field; what is found on the way goes into `details`, named as in `result.Signature`.

    `adapt` makes the tags of a field that is akin those of a DKIM-Signature. Raises `Refusal` where RFC 6376 section
    6.1.1 says PERMFAIL.
    """
    start, end = raw.index(b":") + 1, end_of_text(raw, line_end)
    tags = read_tags(raw[start:end], line_end)
    if adapt is not None:
        tags = adapt(tags)
    try:
        terms = _terms(tags, len(raw), details)
    except Refusal:
        _note_the_rest(tags, details)
        raise
    b_place = place_of_b(raw, start, end)
    if b_place is None or b"bh" not in tags:
        raise Refusal(Reason.MISSING_TAG, f"{'b' if b_place is None else 'bh'}= is missing")
    signature = read_signature(tags[b"b"], details)
    length, signed_at, expires_at = _numbers(tags, details) if not _NUMBERED.isdisjoint(tags) else (None, None, None)
    body_hash = decode_base64(tags[b"bh"], MAX_BODY_HASH_OCTETS)
    if not body_hash:
        raise Refusal(Reason.MALFORMED_TAG, "bh= is no base64, or empty, or too long")
    # A longer value whose beginning is the digest is no digest.
    if len(body_hash) != _DIGEST_OCTETS[terms.hash_name]:
        raise Refusal(Reason.MALFORMED_TAG, f"bh= has {len(body_hash)} octets, which is no {terms.algorithm} digest")
    b_start, b_end = b_place.span(1)
    values = (raw, b_start, b_end, end, terms, signature, body_hash, length, signed_at, expires_at)
    return tuple.__new__(SignatureField, values)  # NamedTuple's own constructor is slow


def place_of_b(raw: bytes, start: int, end: int) -> re.Match[bytes] | None:
    """Where the value of b= stands; most signers put it last."""
    last = _B_LATER.match(raw, raw.rfind(b";"), end)
    return last or _B_LATER.search(raw, start, end) or _B_FIRST.match(raw, start, end)


def _note_the_rest(tags: Tags, details: dict[str, Any]) -> None:
    """What stands beside terms that are refused: with several signatures, `signature_data` tells which one it was."""
    with suppress(Refusal):
        read_signature(tags.get(b"b", b""), details)
    with suppress(Refusal):
        _numbers(tags, details)


_TAG_LIST_REASONS = {Problem.SYNTAX: Reason.MALFORMED_TAG_LIST, Problem.DUPLICATE: Reason.DUPLICATE_TAG}
_MAX_LENGTH_DIGITS = 76  # RFC 6376 section 3.5, l=
_MAX_TIME_DIGITS = 12  # RFC 6376 section 3.5, t= and x=


def end_of_text(raw: bytes, line_end: LineEnd) -> int:
    """Where the line end of a field begins; its length if it has none."""
    if raw.endswith(b"\r\n"):
        return len(raw) - 2
    return len(raw) - 1 if line_end is _LF and raw.endswith(b"\n") else len(raw)


def shown(value: bytes) -> str:
    """A few octets of a peer's value, safe to show."""
    return ascii(value[:40].decode("utf-8", "replace"))


def read_tags(text: bytes, line_end: LineEnd) -> Tags:
    """The tags of a field's value."""
    # Whatever ends a line within a field is a fold; a CR or LF that is left over is data, and wrong here.
    text = b"".join(text.split(b"\r\n"))  # quicker than replace()
    tags = parse_tags(text if line_end is not _LF else text.replace(b"\n", b""))
    if isinstance(tags, BadTagList):
        # RFC 2047 section 5: a DKIM-Signature field is no place for encoded words.
        encoded = b"=?" in text[:200] and _ENCODED_WORD.search(text[:200]) is not None
        raise Refusal(_TAG_LIST_REASONS[tags.problem], _REWRITTEN if encoded else tags.detail)
    return tags


class _Reading(NamedTuple):
    """What became of reading the tags that stay the same: the terms, or why there are none."""

    terms: Terms | None
    refusal: tuple[Reason, str] | None
    details: dict[str, Any]


def _terms(tags: Tags, octets: int, details: dict[str, Any]) -> Terms:
    values = tuple(map(tags.get, _TERMS))
    # A busy sender's are always the same.
    reading = _known_terms.get(values)
    if reading is None:
        reading = _read_terms(values)
        # Peers choose them, so those of long fields are not cached, nor those with many names in h=: a name of two
        # octets takes two hundred in memory.
        if octets <= _MAX_CACHED_OCTETS and tags.get(b"h", b"").count(b":") < _MAX_CACHED_NAMES:
            if len(_known_terms) >= _MAX_CACHED_TERMS:
                _known_terms.clear()
            _known_terms[values] = reading
    details.update(reading.details)
    if reading.terms is None:
        assert reading.refusal is not None
        raise Refusal(*reading.refusal)
    return reading.terms


_TERMS = (b"v", b"a", b"c", b"d", b"s", b"h", b"i", b"q")
_MAX_CACHED_OCTETS = 2048
_MAX_CACHED_NAMES = 64
_MAX_CACHED_TERMS = 1024
_known_terms: dict[tuple[bytes | None, ...], _Reading] = {}


def _read_terms(values: tuple[bytes | None, ...]) -> _Reading:
    tags = {name: value for name, value in zip(_TERMS, values, strict=True) if value is not None}
    details: dict[str, Any] = {}
    try:
        domain, selector = read_key_place(tags, details)
        _require_tags(tags)
        algorithm = read_algorithm(tags[b"a"], details)
        canonicalizations = _canonicalizations(tags, details)
        names = details["signed_fields"] = _names(tags[b"h"])
        _query_methods(tags)
        identity_domain = _identity(tags, domain, details)
    except Refusal as refusal:
        return _Reading(None, (refusal.reason, refusal.detail), details)
    key_type, _, hash_name = algorithm.partition("-")
    question = Question(f"{selector}._domainkey.{domain}", "TXT")  # RFC 6376 section 3.6.2
    terms = Terms(
        algorithm,
        key_type,
        hash_name,
        *canonicalizations,
        domain,
        question,
        frozenset(names),
        places(names),
        identity_domain,
    )
    return _Reading(terms, None, details)


def _require_tags(tags: Tags) -> None:
    """RFC 6376 section 6.1.1: another version, or a tag that is missing."""
    version = tags.get(b"v")
    if version is not None and version != b"1":
        raise Refusal(Reason.UNSUPPORTED_VERSION, f"v={shown(version)} is not 1")
    for name in _REQUIRED:
        if name not in tags:
            raise Refusal(Reason.MISSING_TAG, f"{name.decode()}= is missing")


def read_signature(tag: bytes, details: dict[str, Any]) -> bytes:
    """b=."""
    text = without_blanks(tag)
    signature = decode_base64(text, MAX_SIGNATURE_OCTETS)
    if not signature:
        raise Refusal(Reason.MALFORMED_TAG, "b= is no base64, or empty, or too long")
    details["signature_data"] = text[:8].decode("ascii")
    return signature


def _numbers(tags: Tags, details: dict[str, Any]) -> tuple[int | None, int | None, int | None]:
    """l=, t= and x=."""
    length = details["body_length"] = _number(tags, b"l", _MAX_LENGTH_DIGITS)
    signed_at = details["signed_at"] = _number(tags, b"t", _MAX_TIME_DIGITS)
    expires_at = details["expires_at"] = _number(tags, b"x", _MAX_TIME_DIGITS)
    if signed_at is not None and expires_at is not None and expires_at <= signed_at:
        raise Refusal(Reason.MALFORMED_TAG, "x= is not after t=")  # RFC 6376 section 3.5, x=
    return length, signed_at, expires_at


_NUMBERED = frozenset((b"l", b"t", b"x"))


def read_key_place(tags: Tags, details: dict[str, Any]) -> tuple[str, str]:
    """d= and s=, first of all, so that every later refusal can name them.

    A domain of one label is refused (RFC 6376 section 8.14).
    """
    domain, selector = "", ""
    if b"d" in tags:
        domain = details["domain"] = _domain("d", tags[b"d"])
    if b"s" in tags:
        selector = details["selector"] = _selector(tags[b"s"])
    if domain and selector:
        # RFC 1035 section 2.3.4; all else that could be wrong with the name was refused with its parts.
        if len(selector) + len("._domainkey.") + len(domain) > MAX_NAME_OCTETS:
            raise Refusal(Reason.MALFORMED_TAG, f"s= and d= together make a name over {MAX_NAME_OCTETS} octets")
    return domain, selector


def _domain(tag: str, value: bytes) -> str:
    # RFC 8616 section 5: U-labels are allowed, and become A-labels before the lookup.
    domain = _ascii_name(value) if len(value) <= MAX_NAME_OCTETS else None
    if domain is None or not is_fqdn(domain):
        raise Refusal(Reason.MALFORMED_TAG, f"{tag}={shown(value)} is no domain name")
    return domain


def _ascii_name(value: bytes) -> str | None:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if text.endswith(".") else to_ascii(text)


def _selector(value: bytes) -> str:
    selector = _ascii_name(value) if len(value) <= MAX_NAME_OCTETS else None
    if selector is None or not is_selector(selector):
        raise Refusal(Reason.MALFORMED_TAG, f"s={shown(value)} is no selector")
    return selector


def is_selector(text: str) -> bool:
    """Whether the text is a selector (RFC 6376 section 3.1; underscores tolerated), as A-labels in lower case."""
    return _SELECTOR.match(text) is not None


def read_algorithm(value: bytes, details: dict[str, Any]) -> str:
    """a=; an algorithm that is not known ends it (RFC 6376 section 3.3.4)."""
    algorithm = value.lower()
    # Whether it may be used is the policy's business: rsa-sha1 is known, so that the result can say what it was.
    if algorithm not in _ALGORITHMS:
        raise Refusal(Reason.UNSUPPORTED_ALGORITHM, f"a={shown(value)} is not known")
    name = details["algorithm"] = algorithm.decode("ascii")
    return name


_ALGORITHMS = frozenset({b"rsa-sha256", b"ed25519-sha256", b"rsa-sha1"})


def _canonicalizations(tags: Tags, details: dict[str, Any]) -> tuple[str, str]:
    # RFC 6376 section 3.4: a signature with others is ignored.
    tag = tags.get(b"c")
    value = tag.lower() if tag is not None else b"simple/simple"
    both = _CANONICALIZATIONS.get(value)
    if both is None:
        raise Refusal(Reason.UNSUPPORTED_CANONICALIZATION, f"c={shown(value)} is not known")
    details["header_canonicalization"], details["body_canonicalization"] = both
    return both


# RFC 6376 section 3.5: if only one is named, it is that of the header, and "simple" is that of the body.
_CANONICALIZATIONS = {
    b"simple": ("simple", "simple"),
    b"relaxed": ("relaxed", "simple"),
    b"simple/simple": ("simple", "simple"),
    b"simple/relaxed": ("simple", "relaxed"),
    b"relaxed/simple": ("relaxed", "simple"),
    b"relaxed/relaxed": ("relaxed", "relaxed"),
}


def decode_base64(value: bytes, limit: int) -> bytes | None:
    """A base64string (RFC 6376 section 2.10: blanks anywhere, padding may be missing); None if it is none.

    What decodes to more than `limit` octets is not decoded.
    """
    if 0x20 in value or 0x09 in value:  # blanks
        value = without_blanks(value)
    if len(value) > limit * 4 // 3 + 4:
        return None
    if len(value) % 4:
        value += b"=" * (-len(value) % 4)
    try:
        return a2b_base64(value, strict_mode=True) if value else b""
    except Base64Error:
        return None


def _names(value: bytes) -> tuple[str, ...]:
    parts = items(value, MAX_SIGNED_NAMES)
    if parts is None:
        raise Refusal(Reason.MALFORMED_TAG, f"h= has more than {MAX_SIGNED_NAMES} names")
    names = b":".join(parts)
    if _FIELD_NAMES.match(names) is None:
        raise Refusal(Reason.MALFORMED_TAG, f"h={shown(value)} is no list of field names")
    return tuple(names.lower().decode("ascii").split(":"))  # RFC 6376 section 6.1.3: compared without case


def _identity(tags: Tags, domain: str, details: dict[str, Any]) -> str:
    """The domain of i=, which must be d= or below it, compared by labels (RFC 6376 sections 3.10 and 6.1.1)."""
    tag = tags.get(b"i")
    if tag is None:
        details["identity"] = "@" + domain  # RFC 6376 section 3.5, i=
        return domain
    if tag[:1] == b"@" and tag[1:] == tags[b"d"]:
        details["identity"] = "@" + domain  # written out, which is common
        return domain
    if len(tag) > MAX_IDENTITY_OCTETS:
        raise Refusal(Reason.MALFORMED_TAG, f"i= is longer than {MAX_IDENTITY_OCTETS} octets")
    identity = _unquoted(tag)
    local_part, at, raw_domain = identity.rpartition("@")
    if not at or not is_local_part(local_part):
        raise Refusal(Reason.MALFORMED_TAG, f"i={shown(tag)} is no address")
    details["identity"] = identity
    identity_domain = _domain("i", raw_domain.encode("utf-8"))
    if not is_within(identity_domain, domain):
        raise Refusal(Reason.IDENTITY_OUTSIDE_DOMAIN, f"i= is in {identity_domain}, which is not within {domain}")
    return identity_domain


# Blanks are allowed in a quoted local part; what would start a line or end a string is not. A "@" that is not quoted
# makes an address that others would cut in another place (RFC 5321 section 4.1.2).
_BAD_LOCAL_PART = re.compile(r'[\x00-\x1f\x7f]|\A(?!"(?:[^"\\]|\\.)*+"\Z).*@', re.DOTALL)


def is_local_part(text: str) -> bool:
    """Whether the text, which may be empty, can stand before the "@" of i=."""
    return _BAD_LOCAL_PART.search(text) is None


def _unquoted(value: bytes) -> str:
    """dkim-quoted-printable (RFC 6376 section 2.11, RFC 8616 section 5)."""
    text = without_blanks(value)
    if b"=" in text:
        if _QUOTED.fullmatch(text) is None:
            raise Refusal(Reason.MALFORMED_TAG, f"i={shown(value)} is no dkim-quoted-printable")
        text = _HEX_OCTET.sub(lambda match: bytes([int(match[1], 16)]), text)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(Reason.MALFORMED_TAG, "i= is not UTF-8") from None


def _number(tags: Tags, name: bytes, digits: int) -> int | None:
    tag = tags.get(name)
    if tag is None:
        return None
    if not tag.isdigit() or len(tag) > digits:
        raise Refusal(Reason.MALFORMED_TAG, f"{name.decode()}={shown(tag)} is not 1 to {digits} digits")
    return int(tag)


def _query_methods(tags: Tags) -> None:
    """Unknown methods are passed over; dns/txt must be among them (RFC 6376 section 3.5, q=)."""
    tag = tags.get(b"q")
    if tag is not None and tag.lower() != b"dns/txt":
        methods = items(tag.lower(), MAX_SIGNED_NAMES)
        if methods is None or b"" in methods:
            raise Refusal(Reason.MALFORMED_TAG, f"q={shown(tag)} is no list of methods")
        if b"dns/txt" not in methods:
            raise Refusal(Reason.UNSUPPORTED_QUERY_METHOD, f"q={shown(tag)} has no dns/txt")
