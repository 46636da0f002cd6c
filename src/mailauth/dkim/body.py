"""Body canonicalisation and hashing (RFC 6376 sections 3.4.3, 3.4.4 and 3.7), pushed in pieces of any size."""

# Nothing here looks at single lines: a block without blanks goes to the hash as it stands, and what must change
# changes by whole-block operations that run in C. Between blocks only a pending blank or CR is carried, and a count
# of line ends, since those at the end of the body do not count (RFC 6376 sections 3.4.3 and 3.4.4).
#
# SECURITY: the body comes from the peer. Each octet is looked at a fixed number of times, whatever it is and however
# the input is cut; memory is bounded by the block.

from __future__ import annotations

import hashlib
from codecs import utf_16_le_decode, utf_16_le_encode
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import repeat
from typing import Protocol, TypeAlias

from mailauth.mail.lines import CrlfConverter, LineEnd

BLOCK_OCTETS = 64 * 1024
"""How much is canonicalised at a time: enough that the steps count little, too little to count in memory."""

Sink: TypeAlias = Callable[[bytes | memoryview], object]

_TAB = 0x09
_CRLF = b"\r\n"
_LF = LineEnd.LF
_MANY = 4096
_MANY_CRLF = _CRLF * _MANY
_SOME_CRLF = _CRLF * 64


class Canonicalizer(Protocol):
    """Takes the body in pieces and hands its canonical octets to a sink."""

    def feed(self, data: bytes, start: int = 0) -> None:
        """The next piece: `data` from `start`."""

    def close(self) -> None:
        """The body is at its end."""


class SimpleBody:
    """RFC 6376 section 3.4.3: "*CRLF" at the end becomes one CRLF."""

    _withheld = 0  # CRLFs that count only if something follows
    _cr = False  # a CR whose LF may be in the next piece
    empty = True  # nothing but CRLFs so far

    def __init__(self, sink: Sink) -> None:
        self.sink = sink

    def feed(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        """The next piece: `data` from `start` to `end`."""
        if end is None:
            end = len(data)
        if start >= end:
            return
        if self._cr:
            if data[start] == 0x0A:
                self._cr = False
                self._withheld += 1
                start += 1
            else:
                self._end_in_cr()
        if data.endswith(b"\r", start, end):
            self._cr = True
            end -= 1
        text_end = _before_crlfs(data, start, end)
        if text_end > start:
            if self._withheld:
                self._emit_withheld()
            self.empty = False
            self.sink(data if start == 0 and text_end == len(data) else memoryview(data)[start:text_end])
        self._withheld += (end - text_end) // 2

    def close(self) -> None:
        """The body is at its end; an empty one counts as one CRLF."""
        if self._cr:
            self._end_in_cr()
        self.sink(_CRLF)

    def _end_in_cr(self) -> None:
        self._cr = False
        self._emit_withheld()
        self.empty = False
        self.sink(b"\r")

    def _emit_withheld(self) -> None:
        if not self._withheld:
            return
        many, few = divmod(self._withheld, _MANY)
        for _ in range(many):
            self.sink(_MANY_CRLF)
        self.sink(_CRLF * few)
        self._withheld = 0


def _before_crlfs(data: bytes, start: int, end: int) -> int:
    """Where the CRLFs at the end of `data` begin."""
    if not data.endswith(_CRLF, start, end):
        return end
    end -= 2
    if data.endswith(_SOME_CRLF, start, end):
        while data.endswith(_MANY_CRLF, start, end):
            end -= len(_MANY_CRLF)
        while data.endswith(_SOME_CRLF, start, end):
            end -= len(_SOME_CRLF)
    while data.endswith(_CRLF, start, end):
        end -= 2
    return end


class RelaxedBody(SimpleBody):
    """RFC 6376 section 3.4.4: blanks reduced within lines and removed at their ends, then the same."""

    _held = b""  # a blank, or a blank and a CR, whose meaning depends on what follows

    def feed(self, data: bytes, start: int = 0, end: int | None = None) -> None:
        """The next piece: `data` from `start` to `end`."""
        end = len(data) if end is None else end
        for at in range(start, end, BLOCK_OCTETS):
            stop = min(at + BLOCK_OCTETS, end)
            if self._held or data.find(b" ", at, stop) >= 0 or data.find(b"\t", at, stop) >= 0:
                self._block(self._held + data[at:stop])
            else:
                SimpleBody.feed(self, data, at, stop)

    def _block(self, block: bytes) -> None:
        if _TAB in block:
            block = block.replace(b"\t", b" ")
        self._held = b""
        if block.endswith((b" ", b" \r")):
            block = self._without_last_blanks(block)
        SimpleBody.feed(self, _reduced(block))

    def _without_last_blanks(self, block: bytes) -> bytes:
        """Hold back the blanks at the end, and a CR behind them."""
        if block.endswith(b" "):
            self._held = b" "
            return block.rstrip(b" ")
        self._held = b" \r"
        return block[:-1].rstrip(b" ")

    def close(self) -> None:
        """The body is at its end; a body of nothing but blanks and line ends is empty."""
        if self._held == b" \r":
            super().feed(b" \r")
        self._held = b""
        if self._cr:
            self._end_in_cr()
        if not self.empty:
            self.sink(_CRLF)


# Blanks are so frequent in prose that a search for two of them costs more than all else: it stumbles over every one,
# and the processor cannot foresee where. Read as UTF-16, a pair of octets is one character, and looking for one
# character is quick. Pairs begin at even and at odd places, so the block is read twice. Of two blanks the second gives
# way to a mark, which keeps the places of all others; the marks are taken out at the end.
_MARK = b"\x01"
_TWO_BLANKS, _BLANK_MARK, _MARK_BLANK, _BLANK_CR, _MARK_CR = (
    pair.decode("utf-16-le") for pair in (b"  ", b" \x01", b"\x01 ", b" \r", b"\x01\r")
)


_PAIRS_PAY_FROM = 8192  # octets; a body of 5 MB is read 1.75 times as fast, one of 2 KB loses 2 us


def _reduced(block: bytes) -> bytes:
    """Runs of blanks to one blank, and none before CRLF; the block ends in no blank."""
    if len(block) < _PAIRS_PAY_FROM or _MARK[0] in block:
        return _reduced_by_splitting(block)
    try:
        return _reduced_by_pairs(block)
    except UnicodeDecodeError:
        # Octets that are no UTF-16 (surrogates out of place): rare in text, impossible in ASCII.
        return _reduced_by_splitting(block)


def _reduced_by_splitting(block: bytes) -> bytes:
    return _without_blanks_before_crlf(_without_runs(block))


def _reduced_by_pairs(block: bytes) -> bytes:
    even, marked = _marked(block, 0)
    odd, marked = _marked(marked, 1)
    if marked is not block:
        block = marked.replace(_MARK, b"")
    # count() is quicker than "in" here, which stumbles over every blank.
    if even.count(_BLANK_CR) or odd.count(_BLANK_CR) or _MARK_CR in odd:
        block = _without_blanks_before_crlf(block)
    # A blank behind a mark is the third of a run, and always at an odd place. Each round halves the runs.
    return _reduced_by_pairs(block) if _MARK_BLANK in odd else block


def _marked(block: bytes, start: int) -> tuple[str, bytes]:
    """The pairs from `start` as characters; the block with two blanks that are such a pair as a blank and a mark."""
    pairs, octets = utf_16_le_decode(block[start:])
    if _TWO_BLANKS in pairs:
        # Half a character at the end was not decoded.
        marked = utf_16_le_encode(pairs.replace(_TWO_BLANKS, _BLANK_MARK))[0]
        block = block[:start] + marked + block[start + octets :]
    return pairs, block


def _without_runs(block: bytes) -> bytes:
    """Runs of blanks to one blank."""
    first, *others = block.split(b"  ")
    if others:
        # What is empty between two pairs of blanks stems from a longer run; an odd run leaves one blank too many.
        rests = map(bytes.lstrip, filter(None, others), repeat(b" "))
        block = b" ".join([first, *rests])
    return block


def _without_blanks_before_crlf(block: bytes) -> bytes:
    # Cheaper than replace(), which goes over the block twice.
    return _CRLF.join(block.split(b" \r\n"))


class LfBody:
    """The body of an LF message, with CRLF for every line end, in front of a canonicaliser."""

    def __init__(self, inner: Canonicalizer) -> None:
        self._inner = inner
        self._converter = CrlfConverter()

    def feed(self, data: bytes, start: int = 0) -> None:
        """The next piece: `data` from `start`."""
        for at in range(start, len(data), BLOCK_OCTETS):
            self._inner.feed(self._converter.feed(data[at : at + BLOCK_OCTETS]))

    def close(self) -> None:
        """The body is at its end."""
        self._inner.feed(self._converter.close())
        self._inner.close()


class BodyHash:
    """SHA-256 over one canonical form of the body: of all of it, and of its first octets for each length wanted.

    Lengths are those of l= (RFC 6376 sections 3.5 and 5.3.1).
    """

    def __init__(self, canonicalization: str, line_end: LineEnd) -> None:
        self._hash = hashlib.sha256()
        self._prefixes: _Prefixes | None = None
        self._inner = RelaxedBody(self._hash.update) if canonicalization == "relaxed" else SimpleBody(self._hash.update)
        self._outer: Canonicalizer = LfBody(self._inner) if line_end is _LF else self._inner
        self.feed = self._outer.feed

    def want(self, length: int | None) -> None:
        """Count the octets from here on, and keep the digest of the first `length`. Only before the first piece."""
        if self._prefixes is None:
            self._prefixes = _Prefixes(self._hash)
            self._inner.sink = self._prefixes.update
        if length is not None:
            self._prefixes.want(length)

    def close(self) -> None:
        """The body is at its end."""
        self._outer.close()

    @property
    def length(self) -> int:
        """Octets of the canonical body so far; not known unless something was wanted."""
        assert self._prefixes is not None
        return self._prefixes.length

    def digest(self, length: int | None) -> bytes | None:
        """The digest of the first `length` octets (None: of all); None if there are not so many."""
        if length is None:
            return self._hash.digest()
        return None if self._prefixes is None else self._prefixes.digest(length)


class _Prefixes:
    """Counts what goes into a hash, and keeps the digest of its first octets for each length that is wanted."""

    def __init__(self, whole: hashlib._Hash) -> None:
        self._hash = whole
        self.length = 0
        self._lengths: list[int] = []  # those still to come, as a heap
        self._digests: dict[int, bytes] = {}

    def want(self, length: int) -> None:
        heappush(self._lengths, length)
        self._snapshots()

    def digest(self, length: int) -> bytes | None:
        return self._digests.get(length)

    def update(self, octets: bytes | memoryview) -> None:
        end = self.length + len(octets)
        if self._lengths and self._lengths[0] <= end:
            octets = self._up_to_lengths(memoryview(octets), end)
        self._hash.update(octets)
        self.length = end

    def _up_to_lengths(self, octets: memoryview, end: int) -> memoryview:
        """Hash up to each length that lies within these octets; return the rest."""
        while self._lengths and self._lengths[0] <= end:
            part = self._lengths[0] - self.length
            self._hash.update(octets[:part])
            octets, self.length = octets[part:], self._lengths[0]
            self._snapshots()
        return octets

    def _snapshots(self) -> None:
        """Keep the digest if the octets so far are of a length that is wanted."""
        while self._lengths and self._lengths[0] == self.length:
            length = heappop(self._lengths)
            if length not in self._digests:
                self._digests[length] = self._hash.copy().digest()
