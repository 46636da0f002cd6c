"""What went wrong at the DNS provider's form: a broken key record in words, with a proposal.

Nothing is judged here: record.py and crypto.py have refused the text, and this says what its author most likely did.
Pure functions of octets; an empty string where nothing is known.
"""

# SECURITY: the text comes from whoever runs the zone. Each expression is linear, and what is shown of it is short and
# escaped.

from __future__ import annotations

import re
from base64 import b64encode
from binascii import Error as Base64Error
from binascii import a2b_base64
from typing import NamedTuple

MAX_TEXT = 4096
"""Octets of a record that are looked at."""

_STRING = 255  # RFC 1035 section 3.3: what a form that knows only one string takes


class _Fault(NamedTuple):
    pattern: re.Pattern[bytes]
    words: str


def _fault(pattern: bytes, words: str, flags: int = 0) -> _Fault:
    return _Fault(re.compile(pattern, flags), words)


# RFC 6376 section 3.6.2.2: the record is the text of the TXT record, without anything that a zone file has around it.
_OTHER_RECORDS = (
    _fault(rb'\A[\s"]*v=spf1\b', "an SPF record stands there: it belongs at the domain itself", re.IGNORECASE),
    _fault(rb'\A[\s"]*v=DMARC1\b', "a DMARC record stands there: it belongs at _dmarc. and the domain", re.IGNORECASE),
    _fault(rb'\A[\s"]*v=(?:STSv1|TLSRPTv1|BIMI1)\b', "a record of another protocol stands there", re.IGNORECASE),
)
_AROUND = (
    _fault(rb"-----BEGIN[A-Z ]*PRIVATE KEY", "p= holds a PRIVATE key: everybody has it now; make a new pair of keys"),
    _fault(rb"-----BEGIN|-----END", "the armour of the PEM file is in p=: only the lines between belong there, joined"),
    _fault(rb"\bssh-(?:rsa|ed25519)\b", "p= holds a key of SSH: DKIM takes the base64 of the DER form (RFC 6376)"),
    _fault(
        rb"\sIN\s+TXT\s|\s[0-9]+\s+TXT\s|\sTXT\s+[\"(]",
        "the whole line of a zone file is in the text: only what stands between the quotes belongs there",
        re.IGNORECASE,
    ),
    _fault(
        rb"\A[\s\"]*[A-Za-z0-9._-]+\._domainkey\b",
        "the name of the record is in the text: it begins with v=DKIM1",
        re.IGNORECASE,
    ),
    _fault(rb"&(?:quot|amp|lt|gt|#[0-9]+);", "characters of HTML (&quot;) are in the text: paste the plain text"),
    _fault(rb"%[23][0-9A-Fa-f]", "characters are written as in a URL (%2B, %3D): paste the plain text"),
    _fault(rb"\xe2\x80[\x98-\x9f]", "typographic quotes are in the text: leave them out"),
    _fault(
        rb"\xc2\xa0|\xe2\x80[\x80-\x8d\xa8\xa9\xaf]|\xe3\x80\x80|\xef\xbb\xbf|(?<![\x80-\xff])\xa0",
        "a typographic blank (such as U+00A0) is in the text: write plain blanks",
    ),
    _fault(rb'"\s*"', "the quotes between two strings are part of the text: the provider's form joins them itself"),
    _fault(rb'\A\s*"|"\s*\Z|\A\s*\'', "the quotes are part of the text: the provider's form adds its own"),
    _fault(rb"\\;", 'a backslash stands before ";": leave it out, this form needs none'),
    _fault(rb"\\(?:n|r|032|010|\")", "escapes of a zone file (\\) are part of the text: leave them out"),
    _fault(rb"[\r\n]", "line ends are part of the text: write it in one line"),
    _fault(
        rb"<[A-Za-z _-]+>|\bYOUR[_ -]|\.\.\.|\bpublic[ _-]?key\b", "a placeholder stands in the text", re.IGNORECASE
    ),
    _fault(rb"\A\s*v=1\s*;", "a key record says v=DKIM1, a signature v=1"),
    _fault(rb"\A\s*v=DKIM1\s*[,:|]", 'tags are separated by ";"'),
    _fault(rb"\A\s*v\s*:\s*DKIM1|;\s*[kp]\s*:", 'a tag and its value are separated by "="'),
    _fault(rb"\A\s*v=DKIM1\s+[a-z]=", 'no ";" stands behind v=DKIM1', re.IGNORECASE),
    _fault(rb";\s*[a-z]=[^;\s]+\s+[a-z]=", 'a ";" is missing between two tags', re.IGNORECASE),
    _fault(rb"(?:\A|[;\s])p\s*=\s*p\s*=", "p= stands twice in front of the key"),
    _fault(rb"(?:\A|;)\s*[A-Z]\s*=", "tags are written in lower case (RFC 6376 section 3.2): v=, k=, p="),
    _fault(rb";\s*(?:MI[IG]|[A-Za-z0-9+/]{40})", "p= is missing in front of the key"),
)


def other_record(text: bytes) -> str:
    """Which record of another protocol stands at the key's place."""
    return next((fault.words for fault in _OTHER_RECORDS if fault.pattern.search(text[:MAX_TEXT])), "")


def about_text(text: bytes) -> str:
    """What is in the text that does not belong there, or is missing."""
    text = text[:MAX_TEXT]
    return other_record(text) or next((fault.words for fault in _AROUND if fault.pattern.search(text)), "")


def about_version(value: bytes) -> str:
    """What is wrong with v= that is not DKIM1."""
    if re.match(rb"DKIM1\s+[a-z]=", value, re.IGNORECASE):
        return 'no ";" stands behind v=DKIM1'
    if value.upper().strip(b"\"'") == b"DKIM1":
        return "it is written DKIM1, in capitals and without quotes"
    return ""


def about_base64(value: bytes, text: bytes = b"") -> str:
    """Why p= is no base64, or no whole key."""
    value = value[:MAX_TEXT]
    around = about_text(b"p=" + value)
    if around:
        return around
    bare = b"".join(value.split())
    if re.fullmatch(rb"[A-Za-z0-9_-]+=*", bare) and (b"-" in bare or b"_" in bare):
        return 'it is base64 for URLs: "-" is written "+", and "_" is written "/"'
    if _HEXADECIMAL.fullmatch(bare):
        return "it is hexadecimal: base64 belongs there"
    return cut_off(bare, text)


def cut_off(bare: bytes, text: bytes = b"") -> str:
    """Whether the base64 of a DER key ends before its end, by the length that its first octets name."""
    try:
        octets = a2b_base64(bare[: len(bare) // 4 * 4])
    except Base64Error:
        return ""
    need = _der_octets(octets)
    if need is None or len(octets) >= need:
        return ""
    whole = (need + 2) // 3 * 4
    words = f"the key is cut off: {len(bare)} of {whole} characters"
    if len(text) in (_STRING, _STRING + 1, _STRING - 1):
        return f"{words}: the form took one string of {_STRING}; write it as several strings"
    return f"{words}; a record of more than {_STRING} characters is written as several strings"


def _der_octets(octets: bytes) -> int | None:
    """The length of a DER SEQUENCE, as its first octets say."""
    if len(octets) < 4 or octets[0] != 0x30:
        return None
    if octets[1] < 0x80:
        return 2 + octets[1]
    size = octets[1] & 0x7F
    return 2 + size + int.from_bytes(octets[2 : 2 + size], "big") if size <= 2 else None


_HEXADECIMAL = re.compile(rb"(?:[0-9A-Fa-f]{2}:?){50,}")
_ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")


def about_key(key_type: str, octets: bytes) -> str:
    """Why decoded octets are no public key of the type."""
    if key_type == "ed25519":
        if len(octets) == 44 and octets.startswith(_ED25519_SPKI):
            raw = b64encode(octets[12:]).decode("ascii")
            return f"it is the DER form; RFC 8463 wants the 32 octets alone: p={raw}"
        return "the octets look like an RSA key: k=rsa" if _der_octets(octets) and len(octets) > 100 else ""
    if len(octets) == 32:
        return "32 octets are an Ed25519 key: k=ed25519"
    if octets.startswith(_ED25519_SPKI):
        return "it is an Ed25519 key: k=ed25519, and the last 32 octets alone"
    if re.match(rb"\x30\x82..\x02\x01\x00", octets, re.DOTALL):
        return "it is a PRIVATE key: everybody has it now; make a new pair of keys"
    if re.match(rb"\x30\x82..\x30\x82", octets, re.DOTALL):
        return "it is a certificate: p= takes its public key alone"
    bare = b64encode(octets).rstrip(b"=")
    return "it is hexadecimal: base64 belongs there" if _HEXADECIMAL.fullmatch(bare) else cut_off(bare)
