"""Key records (RFC 6376 section 3.6.1).

A DKIM key record, parsed into an immutable value or into the reason why it is none. No DNS and no cryptography: `p=`
is octets here.
"""

# RFC 6376 section 3.6.1, with RFC 8463 (k=ed25519):
#   v= "DKIM1", and then first      h= alg *( [FWS] ":" [FWS] alg )   k= "rsa" / "ed25519" / other
#   p= [ base64string ]             s= "email" / "*" / other, a list  t= "y" / "s" / other, a list
#   n= notes, for people            g= of RFC 4871, ignored (RFC 6376 appendices C.1, C.2 and E)
#
# SECURITY: records come from the DNS of whoever signed (RFC 6376 section 8.8). Records, tags and key octets are bounded
# before they are decoded.

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from mailauth.dkim.advice import about_base64, about_text, about_version
from mailauth.dkim.result import Reason
from mailauth.dkim.signature import decode_base64, shown
from mailauth.mail.taglist import BadTagList, items
from mailauth.mail.taglist import parse as parse_tags

MAX_RECORD_OCTETS = 16 * 1024
"""A TXT record may hold 65,535 octets; a key of 16,384 bits takes 2,800."""

MAX_KEY_OCTETS = 4096
"""p= decoded: more than the largest key that any policy allows."""

_MAX_ITEMS = 32
_FOLD = re.compile(rb"\r?\n(?=[ \t])")


class KeyRecord(NamedTuple):
    """A key record that is well formed."""

    key_type: str  # k=, lower case
    key: bytes  # p=, decoded; empty: revoked
    hash_names: tuple[str, ...] | None  # h=, lower case; None: all
    services: tuple[str, ...]  # s=, lower case
    flags: tuple[str, ...]  # t=, lower case
    notes: str  # n=

    @property
    def revoked(self) -> bool:
        """Whether p= is empty."""
        return not self.key


class BadRecord(NamedTuple):
    """A record that cannot be used. `foreign`: it is no DKIM record at all, just a TXT record in the same place."""

    reason: Reason
    detail: str
    foreign: bool = False


def parse_record(text: bytes) -> KeyRecord | BadRecord:
    """Read a TXT record, its strings joined (RFC 6376 sections 3.6.2.2 and 6.1.2). Any octets have a result."""
    if len(text) > MAX_RECORD_OCTETS:
        return BadRecord(Reason.KEY_MALFORMED, f"the record has more than {MAX_RECORD_OCTETS} octets")
    # The record of a busy sender is asked again and again, and parsing it costs more than looking it up in a cache.
    # Only those of usual length are cached, since whoever signs chooses what is in them.
    return _known_record(text) if len(text) <= _MAX_CACHED_OCTETS else _read_record(text)


_MAX_CACHED_OCTETS = 2048


def _read_record(text: bytes) -> KeyRecord | BadRecord:
    # A TXT record may have been pasted with its line ends; folds are blanks (RFC 6376 section 3.2).
    tags = parse_tags(_FOLD.sub(b" ", text), allow_empty=True)
    if isinstance(tags, BadTagList):
        # A record that at least tries to be one is worth a word; others are none of DKIM's business.
        foreign = b"p=" not in text and not text.lstrip().startswith(b"v=DKIM1")
        return BadRecord(Reason.KEY_MALFORMED, _with(tags.detail, about_text(text)), foreign)
    return _bad_version(tags, text) or _read(tags, text)


def _with(words: str, more: str) -> str:
    return f"{words}: {more}" if more else words


_known_record = lru_cache(maxsize=512)(_read_record)


def _bad_version(tags: dict[bytes, bytes], text: bytes) -> BadRecord | None:
    """RFC 6376 section 3.6.1: v= is DKIM1 to the letter, and stands first; other versions MUST be discarded."""
    version = tags.get(b"v")
    if version is None:
        return None
    if version != b"DKIM1":
        foreign = not version.upper().startswith(b"DKIM")
        words = _with(f"v={shown(version)} is not DKIM1", about_version(version) or about_text(text))
        return BadRecord(Reason.KEY_MALFORMED, words, foreign)
    if next(iter(tags)) != b"v":
        return BadRecord(Reason.KEY_MALFORMED, "v= is not the first tag")
    return None


def _read(tags: dict[bytes, bytes], text: bytes) -> KeyRecord | BadRecord:
    if b"p" not in tags:
        words = _with("p= is missing", about_text(text))
        return BadRecord(Reason.KEY_MALFORMED, words, foreign=b"v" not in tags)
    key = decode_base64(tags[b"p"], MAX_KEY_OCTETS)
    if key is None:
        words = _with("p= is no base64, or too long", about_base64(tags[b"p"], text))
        return BadRecord(Reason.KEY_MALFORMED, words)
    for name in (b"h", b"s", b"t"):
        # Not cut short: what follows may be the t=s that forbids subdomains.
        if tags.get(name, b"").count(b":") >= _MAX_ITEMS:
            return BadRecord(Reason.KEY_MALFORMED, f"{name.decode()}= has more than {_MAX_ITEMS} items")
    hash_names = _list(tags, b"h") if b"h" in tags else None
    services, flags = _list(tags, b"s", b"*"), _list(tags, b"t")
    if hash_names == () or services == ():
        return BadRecord(Reason.KEY_MALFORMED, f"{'h=' if hash_names == () else 's='} is an empty list")
    return KeyRecord(
        key_type=tags[b"k"].lower().decode("ascii", "replace") if b"k" in tags else "rsa",
        key=key,
        hash_names=hash_names,
        services=services,
        flags=flags,
        notes=tags[b"n"].decode("utf-8", "replace") if b"n" in tags else "",
    )


def _list(tags: dict[bytes, bytes], name: bytes, default: bytes = b"") -> tuple[str, ...]:
    """The items of a list, lower case; unknown ones are the reader's to ignore."""
    value = tags.get(name, default)
    parts = items(value.lower(), _MAX_ITEMS) or []
    return tuple(part.decode("ascii", "replace") for part in parts if part)
