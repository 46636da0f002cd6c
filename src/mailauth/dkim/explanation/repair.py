"""A broken key record repaired, as its author most likely meant it.

advice.py says in words what went wrong at the DNS provider's form; here it is undone, octet by octet. Whether the
result is right shows when the key in it fits a signature.
"""

# SECURITY: the record comes from whoever runs the zone. It is bounded before it is repaired; each step is linear.

from __future__ import annotations

import re
from base64 import b64encode, urlsafe_b64decode
from binascii import Error as Base64Error
from binascii import a2b_base64, unhexlify
from collections.abc import Callable, Iterator, Sequence
from html import unescape
from itertools import permutations
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from mailauth.dkim.record import BadRecord, KeyRecord, parse_record

MAX_TEXT = 8192
MAX_RECORDS = 6

_ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")


class Repaired(NamedTuple):
    """A record as it should be, and what was changed."""

    text: bytes
    record: KeyRecord
    changes: tuple[str, ...]


def repaired(texts: Sequence[bytes]) -> Iterator[Repaired]:
    """Each record repaired; then records that belong together joined."""
    texts = [text for text in texts if len(text) <= MAX_TEXT][:MAX_RECORDS]
    for text in texts:
        yield from _repaired(text, ())
    for first, second in permutations(texts, 2):
        # The second half of a key in a record of its own: some forms make a record of each string.
        if b"p=" in first and b"=" not in second.strip().rstrip(b'="'):
            yield from _repaired(first + second.strip(), ("join the two records: they are two strings of one record",))


def _repaired(text: bytes, changes: tuple[str, ...]) -> Iterator[Repaired]:
    done = list(changes)
    for words, step in _STEPS:
        after = step(text)
        if after != text:
            done.append(words)
            text = after
    record = parse_record(text)
    if not isinstance(record, BadRecord) and record.key:
        yield Repaired(text, record, tuple(done))


def _sub(pattern: bytes, by: bytes, flags: int = 0) -> Callable[[bytes], bytes]:
    compiled = re.compile(pattern, flags)
    return lambda text: compiled.sub(by, text)


def _from_version(text: bytes) -> bytes:
    """v=DKIM1 first, without the line of a zone file or the name of the record before it; other tags come behind."""
    found = re.search(rb"v[ \t]*=[ \t]*DKIM1", text, re.IGNORECASE)
    if found is None or not found.start():
        return text
    before, rest = text[: found.start()], text[found.start() :]
    # Two strings in the wrong order: what stands before is the end of the key.
    if re.fullmatch(rb"[A-Za-z0-9+/=\s\"]{16,}", before):
        return rest.rstrip(b'" ') + before.strip(b'" ')
    # RFC 6376 section 3.6.1: v= is the first tag.
    if b"p=" in before:
        return b"v=DKIM1; " + (before.rstrip(b"; \t") + text[found.end() :]).strip(b"\"'; \t")
    return text if re.fullmatch(rb"[\s\"';]*", before) else rest


def _without_armour(text: bytes) -> bytes:
    return re.sub(rb"-----(?:BEGIN|END)[A-Z ]*PUBLIC KEY-----", b"", text)


def _unescaped(text: bytes) -> bytes:
    if re.search(rb"&(?:quot|amp|lt|gt|#[0-9]+);", text) is None:
        return text
    return unescape(text.decode("latin-1")).encode("latin-1", "replace")


def _unquoted(text: bytes) -> bytes:
    return unquote_to_bytes(text) if re.search(rb"%(?:2[0-9A-F]|3[BD])", text, re.IGNORECASE) else text


def _lower_tags(text: bytes) -> bytes:
    return re.sub(rb"(?:\A|(?<=;))([ \t]*+)([A-Z])([ \t]*+=)", lambda m: m[1] + m[2].lower() + m[3], text)


def _version(text: bytes) -> bytes:
    return re.sub(rb"\A[ \t]*v[ \t]*=[ \t]*DKIM1\b", b"v=DKIM1", text, flags=re.IGNORECASE)


_P_VALUE = re.compile(rb"((?:\A|;)[ \t]*+p[ \t]*+=)([^;]*+)")


def _clean_key(text: bytes) -> bytes:
    """p= as base64 of the octets that it holds in another form."""

    def clean(match: re.Match[bytes]) -> bytes:
        value = b"".join(match[2].split())
        if re.fullmatch(rb"(?:[0-9A-Fa-f]{2}:?){32,}", value):
            value = b64encode(unhexlify(value.replace(b":", b"")))
        elif b"-" in value or b"_" in value:
            try:
                value = b64encode(urlsafe_b64decode(value + b"=" * (-len(value) % 4)))
            except Base64Error:
                return match[0]
        bare = re.sub(rb"[^A-Za-z0-9+/=]", b"", value)
        return match[1] + bare if bare != b"".join(match[2].split()) else match[0]

    return _P_VALUE.sub(clean, text)


def _key_type(text: bytes) -> bytes:
    """k= as the octets of p= show it."""
    found = _P_VALUE.search(text)
    if found is None:
        return text
    try:
        octets = a2b_base64(b"".join(found[2].split()))
    except Base64Error:
        return text
    kind = re.search(rb"(?:\A|;)[ \t]*+k[ \t]*+=[ \t]*+([^;\s]*+)", text)
    said = kind[1].lower() if kind else b"rsa"
    if len(octets) == 44 and octets.startswith(_ED25519_SPKI):
        octets = octets[12:]
        text = text[: found.start(2)] + b64encode(octets) + text[found.end(2) :]
    true = b"ed25519" if len(octets) == 32 else b"rsa"
    if said == true or not octets:
        return text
    if kind is not None:
        return text[: kind.start(1)] + true + text[kind.end(1) :]
    return re.sub(rb"(?:\A|;)[ \t]*+p[ \t]*+=", lambda m: m[0].replace(b"p", b"k=" + true + b"; p"), text, count=1)


_BLANK = rb"\xc2\xa0|\xe2\x80[\x80-\x8d\xa8\xa9\xaf]|\xe3\x80\x80|\xef\xbb\xbf|(?<![\x80-\xff])\xa0"
_STEPS: tuple[tuple[str, Callable[[bytes], bytes]], ...] = (
    ("write the characters themselves, not &quot; and the like", _unescaped),
    ("write the characters themselves, not %3B and the like", _unquoted),
    ("take out the lines BEGIN and END of the key file", _without_armour),
    ("take out typographic blanks", _sub(_BLANK, b" ")),
    ("take out typographic quotes", _sub(rb"\xe2\x80[\x98-\x9f]", b"")),
    ("let the text begin with v=DKIM1", _from_version),
    ("take out the quotes", _sub(rb'"\s*"|["\']', b"")),
    ("take out the backslashes", _sub(rb"\\", b"")),
    ("take out the parentheses of the zone file", _sub(rb"[()]", b"")),
    ("write it in one line", _sub(rb"[\r\n]+[ \t]*", b" ")),
    ("write the tags in lower case", _lower_tags),
    ("write v=DKIM1 in capitals", _version),
    ('separate the tags by ";"', _sub(rb"\A(v=DKIM1)[ \t]*[,:|]", rb"\1;")),
    ('put ";" behind v=DKIM1', _sub(rb"\A(v=DKIM1)[ \t]+(?=[a-z]=)", rb"\1; ")),
    ('put ";" between the tags', _sub(rb"(;[ \t]*[a-z]=[^;\s]+)[ \t]+(?=[hknpst]=)", rb"\1; ")),
    ("write p= once", _sub(rb"p[ \t]*=[ \t]*p[ \t]*=", b"p=")),
    ("put p= before the key", _sub(rb";[ \t]*(?=MI[IG][A-Za-z0-9+/]{40})", b"; p=")),
    ("write p= in base64", _clean_key),
    ("let k= name the type of the key in p=, and p= hold the form of that type", _key_type),
)
