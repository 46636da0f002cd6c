"""The addresses in a header field such as From, where they can be read in one way only.

No decoding and no MIME: octets in, domains as A-labels out.
"""

# SECURITY: every octet comes from the peer, and programs read odd addresses differently. Either there is exactly one
# reading, or none is offered. The work is linear; all repeats in the expressions are possessive.

from __future__ import annotations

import re
from collections.abc import Iterator

from mailauth.mail.names import Mailbox, to_ascii

MAX_ADDRESS_FIELD_OCTETS = 64 * 1024
"""More than a thousand addresses in one From; nobody writes that."""

# RFC 5322 section 3.4, as far as it takes to find the domains:
#   address-list = address *("," address)      group   = display-name ":" [mailbox-list] ";"
#   mailbox      = [display-name] "<" local-part "@" domain ">" / local-part "@" domain
# Programs differ on everything else (a "@" in a bare display name, a second one in an address, blanks and comments
# inside it, a route, control characters): one shows this address to its user, another checks that one. So all of it is
# doubt, also where RFC 5322 section 4.4 has it as obsolete syntax.
# The usual form goes in one step: no quoting, no comment, one address in angle brackets or bare.
_NO_CONTROL = rb"\x00-\x08\x0b-\x1f\x7f"
_USUAL_ATOM = rb'[^"(),:;<>@\\\[\]\s' + _NO_CONTROL + rb"]++"
_USUAL_TEXT = rb'[^"(),:;<>@\\\[\]' + _NO_CONTROL + rb"]*+"
_QUOTED_TEXT = rb'[^"\\' + _NO_CONTROL + rb"]*+"
_BLANKS = rb"[ \t\n]*+(?:\r\n[ \t\n]*+)*+"
_USUAL_ADDRESS = re.compile(
    rb"%(blanks)b(?:(?:\"%(quoted)b(?:\r\n%(quoted)b)*+\"|%(text)b(?:\r\n%(text)b)*+)%(blanks)b<(%(atom)b)@(%(atom)b)>"
    rb"|(%(atom)b)@(%(atom)b))%(blanks)b\Z"
    % {b"blanks": _BLANKS, b"quoted": _QUOTED_TEXT, b"text": _USUAL_TEXT, b"atom": _USUAL_ATOM}
)
_ADDRESS_TOKEN = re.compile(rb"""(?s)"(?:[^"\\]++|\\.)*+"|\[[^\[\]]*+\]|[^\s"()\[\]<>,:;@\\]++|\s++|\\.|.""")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
_BLANK = b" "


def address_domains(value: bytes) -> tuple[str, ...] | None:
    """The domains of all addresses in a field such as From, as A-labels; None if it cannot be read without doubt.

    A value of more than `MAX_ADDRESS_FIELD_OCTETS` is not read, nor one with control characters in it.
    """
    pairs = _address_pairs(value)
    return None if pairs is None else _domains(pairs)


def _domains(pairs: list[tuple[bytes, bytes]]) -> tuple[str, ...] | None:
    names = []
    for _, domain in pairs:
        try:
            name = to_ascii(domain.decode("utf-8"))
        except UnicodeDecodeError:
            return None
        if name is None:
            return None
        names.append(name)
    return tuple(names)


def addresses(value: bytes) -> tuple[Mailbox, ...] | None:
    """The same with local parts, as they are written; what is not UTF-8 in them is replaced."""
    pairs = _address_pairs(value)
    domains = None if pairs is None else _domains(pairs)
    if pairs is None or domains is None:
        return None
    return tuple(map(Mailbox, [local_part.decode("utf-8", "replace") for local_part, _ in pairs], domains))


def has_group(value: bytes) -> bool:
    """Whether the field names a group (RFC 5322 section 3.4), empty or not; only for a value that can be read."""
    return b":" in value and b":" in _without_comments(value)


def _address_pairs(value: bytes) -> list[tuple[bytes, bytes]] | None:
    """Local part and domain of each address."""
    if len(value) > MAX_ADDRESS_FIELD_OCTETS:
        return None
    usual = _USUAL_ADDRESS.match(value)
    if usual is not None:
        return [(usual[1] or usual[3], usual[2] or usual[4])]
    return None if _CONTROL.search(value) else _unusual_pairs(value)


def _unusual_pairs(value: bytes) -> list[tuple[bytes, bytes]] | None:
    found: list[tuple[bytes, bytes]] = []
    address: list[bytes] = []
    in_group = in_brackets = False
    for token in _without_comments(value):
        if token == b":" and not in_brackets:
            if in_group or b"@" in address:
                return None
            in_group, address = True, []
        elif not in_brackets and (token == b"," or (token == b";" and in_group)):
            if not _end_of_address(address, found):
                return None
            in_group, address = in_group and token == b",", []
        else:
            in_brackets = token == b"<" or (in_brackets and token != b">")
            address.append(token)
    return found if not in_group and _end_of_address(address, found) else None


def _end_of_address(address: list[bytes], found: list[tuple[bytes, bytes]]) -> bool:
    """Add one address, if there is one; whether it makes sense."""
    words = _trimmed(address)
    if not words:
        return True
    if b"<" in words:
        start = words.index(b"<")
        # What stands before the brackets is a name, and nothing may stand behind them.
        if words[-1] != b">" or b"@" in words[:start] or not _UNPAIRED.isdisjoint(words[:start]):
            return False
        words = _trimmed(words[start + 1 : -1])
    if not _is_address(words):
        return False
    at = words.index(b"@")
    found.append((b"".join(words[:at]), b"".join(words[at + 1 :])))
    return True


# What ends a name or an address before its time.
_UNPAIRED = frozenset((b"<", b">", b'"', b"[", b"]", b"\\", b"(", b")", b":", b";", b","))


def _is_address(words: list[bytes]) -> bool:
    """Whether this is local-part "@" domain, without a blank, a comment or another "@" in it."""
    whole = words.count(b"@") == 1 and 0 < words.index(b"@") < len(words) - 1
    return whole and _BLANK not in words and _UNPAIRED.isdisjoint(words) and not words[-1].startswith(b'"')


def _trimmed(words: list[bytes]) -> list[bytes]:
    start, end = 0, len(words)
    while start < end and words[start] == _BLANK:
        start += 1
    while end > start and words[end - 1] == _BLANK:
        end -= 1
    return words[start:end]


def _without_comments(value: bytes) -> Iterator[bytes]:
    """The tokens, blanks and comments as `_BLANK`; what is never closed, and what is escaped, as one character."""
    depth = 0
    for match in _ADDRESS_TOKEN.finditer(value):
        token = match.group()
        if token == b"(":
            depth += 1
        elif depth:
            depth -= token == b")"
        else:
            yield _BLANK if token.isspace() else token[:1] if token.startswith(b"\\") else token
        if token == b"(" and depth == 1:
            yield _BLANK
    if depth:
        yield b"("
