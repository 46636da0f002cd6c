"""Encoded words (RFC 2047): read, and written in the ways in which mailers write them."""

# SECURITY: the text comes from the peer. Values are bounded before they are read, and no expression backtracks.

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterator

from mailauth.mail.text import in_charset

MAX_OCTETS = 4096
"""Octets of a value that is recoded; longer ones are left alone."""

_WORD = re.compile(rb"=\?([A-Za-z0-9_-]{1,40})(?:\*[A-Za-z0-9-]*+)?\?([bBqQ])\?([^?\s]*+)\?=")
_BETWEEN = re.compile(rb"(\?=)[ \t\r\n]++(?==\?)")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_HEX = re.compile(rb"=([0-9A-Fa-f]{2})")
_WORD_OCTETS = 75  # RFC 2047 section 2


def value_of(raw: bytes) -> bytes:
    """The value of a field on one line, without the blanks around it; its line ends are CRLF or LF."""
    return _FOLD.sub(b"", raw.partition(b":")[2]).strip(b" \t\r\n")


def decoded(value: bytes) -> str | None:
    """The text of a value, which UTF-8 can write; None if it is nothing but plain ASCII, or cannot be read."""
    if len(value) > MAX_OCTETS or (value.isascii() and b"=?" not in value):
        return None
    pieces, done = [], 0
    value = _BETWEEN.sub(rb"\1", value)
    try:
        for match in _WORD.finditer(value):
            pieces.append(value[done : match.start()].decode("utf-8"))
            pieces.append(in_charset(_octets(match[2], match[3]), match[1].decode("ascii")))
            done = match.end()
        pieces.append(value[done:].decode("utf-8"))
        text = "".join(pieces)
        text.encode("utf-8")  # UTF-7, for one, has lone surrogates
    except (ValueError, LookupError, Base64Error):
        return None
    return text


def _octets(how: bytes, text: bytes) -> bytes:
    if how in b"bB":
        return a2b_base64(text + b"=" * (-len(text) % 4))
    return _HEX.sub(lambda match: bytes([int(match[1], 16)]), text.replace(b"_", b" "))


def spellings(text: str) -> Iterator[bytes]:
    """The text as it may have been written: 8-bit, and as encoded words of each kind."""
    yield text.encode("utf-8", "replace")
    if text.isascii():
        return
    charsets = ["utf-8", "UTF-8"]
    try:
        text.encode("iso-8859-1")
        charsets += ["iso-8859-1", "ISO-8859-1"]
    except UnicodeEncodeError:
        pass  # the text has characters that only UTF-8 has
    for charset in charsets:
        for how in "BQbq":
            yield _written(text, charset, how, 10_000)
            yield _written(text, charset, how, _WORD_OCTETS)
            yield b" ".join(_runs(text, charset, how))


def _runs(text: str, charset: str, how: str) -> Iterator[bytes]:
    """Only the words that need it are encoded, together with those between them."""
    words = text.split(" ")
    strange = [index for index, word in enumerate(words) if not word.isascii()]
    first, last = strange[0], strange[-1] + 1
    yield from (word.encode("ascii") for word in words[:first])
    yield _written(" ".join(words[first:last]), charset, how, _WORD_OCTETS)
    yield from (word.encode("ascii") for word in words[last:])


_Q_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")


def _written(text: str, charset: str, how: str, most: int) -> bytes:
    room = most - len(f"=?{charset}?{how}??=")
    words: list[bytes] = []
    current = b""
    for char in text:
        octets = char.encode(charset)
        if current and _length(current + octets, how) > room:
            words.append(current)
            current = b""
        current += octets
    words.append(current)
    return b" ".join(b"=?%b?%b?%b?=" % (charset.encode(), how.encode(), _encoded(word, how)) for word in words)


def _length(octets: bytes, how: str) -> int:
    return (len(octets) + 2) // 3 * 4 if how in "Bb" else len(_encoded(octets, how))


def _encoded(octets: bytes, how: str) -> bytes:
    if how in "Bb":
        return b2a_base64(octets, newline=False)
    return b"".join(
        b"_" if octet == 0x20 else bytes([octet]) if octet in _Q_PLAIN else b"=%02X" % octet for octet in octets
    )
