"""Body canonicalisation (RFC 6376 sections 3.4.3 and 3.4.4).

Any body, cut in any way, has the digest of its canonical form as the slow reference makes it.
"""

from __future__ import annotations

import hashlib
import re
import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailauth.dkim import body
from mailauth.dkim.body import BodyHash, RelaxedBody, SimpleBody
from mailauth.mail.lines import LineEnd

CLASSES = {"simple": SimpleBody, "relaxed": RelaxedBody}


def reference(octets: bytes, canonicalization: str) -> bytes:
    """The RFC's words, line by line."""
    lines = octets.split(b"\r\n")
    if canonicalization == "relaxed":
        lines = [re.sub(rb"[ \t]+", b" ", line) for line in lines]
        lines = [line.rstrip(b" ") for line in lines]
    while lines and lines[-1] == b"":
        lines.pop()
    if not lines:
        return b"" if canonicalization == "relaxed" else b"\r\n"
    return b"".join(line + b"\r\n" for line in lines)


def canonical(pieces: list[bytes], canonicalization: str) -> bytes:
    found = bytearray()
    canonicalizer = CLASSES[canonicalization](found.extend)
    for piece in pieces:
        canonicalizer.feed(piece)
    canonicalizer.close()
    return bytes(found)


# RFC 6376 section 3.4.5, and the digests of sections 3.4.3 and 3.4.4
EXAMPLE = b" C \r\nD \t E\r\n\r\n\r\n"


def test_examples_of_the_rfc() -> None:
    assert canonical([EXAMPLE], "relaxed") == b" C\r\nD E\r\n"
    assert canonical([EXAMPLE], "simple") == b" C \r\nD \t E\r\n"
    for canonicalization, digest in [
        ("simple", "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="),
        ("relaxed", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
    ]:
        from base64 import b64encode

        hashed = BodyHash(canonicalization, LineEnd.CRLF)
        hashed.close()
        whole = hashed.digest(None)
        assert whole is not None
        assert b64encode(whole).decode() == digest


CASES = [
    ("empty", b"", b"\r\n", b""),
    ("one line end", b"\r\n", b"\r\n", b""),
    ("no line end at the end", b"a", b"a\r\n", b"a\r\n"),
    ("blanks alone", b" \t ", b" \t \r\n", b""),
    ("a line of blanks alone", b" \r\n", b" \r\n", b""),
    ("a line of blanks at the end", b"a\r\n \t\r\n\r\n", b"a\r\n \t\r\n", b"a\r\n"),
    ("a line of blanks within", b"a\r\n \t\r\nb\r\n", b"a\r\n \t\r\nb\r\n", b"a\r\n\r\nb\r\n"),
    ("runs of two, three and four", b"a  b   c    d\r\n", b"a  b   c    d\r\n", b"a b c d\r\n"),
    ("a run at the beginning", b"   a\r\n", b"   a\r\n", b" a\r\n"),
    ("VT and FF are no blanks", b"a\x0b\x0c \r\n", b"a\x0b\x0c \r\n", b"a\x0b\x0c\r\n"),
    ("bare CR is data", b"a \r b\r\r\n", b"a \r b\r\r\n", b"a \r b\r\r\n"),
    ("bare LF is data", b"a \n\n", b"a \n\n\r\n", b"a \n\n\r\n"),
    ("CR at the end", b"a\r", b"a\r\r\n", b"a\r\r\n"),
    ("a blank and CR at the end", b"a \r", b"a \r\r\n", b"a \r\r\n"),
    ("only CR", b"\r", b"\r\r\n", b"\r\r\n"),
    ("NUL and 8-bit octets", b"\0\xff \xa0\r\n", b"\0\xff \xa0\r\n", b"\0\xff \xa0\r\n"),
]


@pytest.mark.parametrize(("octets", "simple", "relaxed"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_canonical_form(octets: bytes, simple: bytes, relaxed: bytes) -> None:
    assert canonical([octets], "simple") == reference(octets, "simple") == simple
    assert canonical([octets], "relaxed") == reference(octets, "relaxed") == relaxed


bodies = st.one_of(
    st.binary(max_size=80),
    st.lists(st.sampled_from([b" ", b"  ", b"\t", b"\r", b"\n", b"\r\n", b"x", b"xy", b"\x0b"]), max_size=40).map(
        b"".join
    ),
)
# Longer ones, with as many runs of blanks as it takes to choose the other way.
prose = st.lists(
    st.sampled_from([b"word ", b"a", b"  ", b"   ", b" \r\n", b"\r\n", b"\xc3\xa4 ", b"\t"]),
    min_size=50,
    max_size=200,
)
cut_places = st.lists(st.integers(0, 90), max_size=12)


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(place, len(octets)) for place in places), len(octets)]
    return [octets[a:b] for a, b in pairwise(edges)]


@given(bodies, cut_places, st.sampled_from(["simple", "relaxed"]), st.integers(1, 9))
@example(b" \r\nx", [1, 2], "relaxed", 1)
@example(b"x   y", [], "relaxed", 3)
@example(b"\xe4  b   c \r\n", [], "relaxed", 40)
@example(b"a  b   c    d \r\n", [], "relaxed", 40)
def test_cuts_and_blocks_do_not_matter(octets: bytes, places: list[int], kind: str, block: int) -> None:
    """Any body, any cuts, any block size: the canonical form of the reference."""
    usual = body.BLOCK_OCTETS
    body.BLOCK_OCTETS = block
    try:
        assert canonical(cut(octets, places), kind) == reference(octets, kind)
    finally:
        body.BLOCK_OCTETS = usual


@given(bodies, cut_places, st.sampled_from(["simple", "relaxed"]), st.lists(st.none() | st.integers(0, 90), max_size=6))
def test_lengths(octets: bytes, places: list[int], kind: str, lengths: list[int | None]) -> None:
    """Any body, any cuts, any lengths: the digest of so many octets of the reference, or None."""
    hashed = BodyHash(kind, LineEnd.CRLF)
    for length in [None, *lengths]:
        hashed.want(length)
    for piece in cut(octets, places):
        hashed.feed(piece)
    hashed.close()
    whole = reference(octets, kind)
    assert hashed.length == len(whole)
    for length in lengths:
        expected = None if length is not None and length > len(whole) else hashlib.sha256(whole[:length]).digest()
        assert hashed.digest(length) == expected


# Odd and even places, the octet that marks blanks, and octets that are no UTF-16 where text is read as such.
@given(
    st.lists(
        st.sampled_from(
            [b" ", b"  ", b"a", b"\r\n", b"\r", b"\x01", b"\x01 ", b"\xd8", b"\xdc", b"\xd8a\xdc", b"\x00"]
        ),
        max_size=30,
    ).map(b"".join)
)
@example(b"a   b    c     d \r\n      \r\n")
@example(b"  \r\n   \r\n    \r\nx")
@example(b"a\x01  b   c \x01 \r\n")
@example(b"a  b\x00\xd8\xdc  \xd8c  \r\n")
def test_reading_pairs_of_octets_shows_nowhere(octets: bytes) -> None:
    """Any octets: the canonical form of the reference."""
    assert canonical([octets], "relaxed") == reference(octets, "relaxed")


@given(prose.map(b"".join), st.integers(0, 4), st.booleans())
def test_every_way_to_reduce_blanks_is_the_same(octets: bytes, times: int, ascii_only: bool) -> None:
    """Any text with blanks, few or many, ASCII or not: the canonical form of the reference."""
    octets = (octets.replace(b"\xc3\xa4", b"ae") if ascii_only else octets) * (1 << times)
    assert canonical([octets], "relaxed") == reference(octets, "relaxed")


@given(bodies, cut_places, st.sampled_from(["simple", "relaxed"]))
def test_lf_messages_hash_crlf(octets: bytes, places: list[int], kind: str) -> None:
    """Any body of an LF message: hashed as the same body with CRLF for every line end."""
    hashed = BodyHash(kind, LineEnd.LF)
    for piece in cut(octets, places):
        hashed.feed(piece)
    hashed.close()
    crlf = re.sub(rb"\r?\n", b"\r\n", octets)
    assert hashed.digest(None) == hashlib.sha256(reference(crlf, kind)).digest()


# --- cost ---------------------------------------------------------------------------------------------------


WORST = {
    "10 MB of blanks": b" " * 10_000_000,
    "blanks and text": (b" " * 16_000 + b"x" * 16_000) * 300,
    "pairs of blanks": b"a  " * 3_000_000,
    "odd runs": b"a   b" * 2_000_000,
    "blanks before CRLF": b"x \r\n" * 2_500_000,
    "a million empty lines": b"\r\n" * 1_000_000,
    "empty lines and text in turn": (b"\r\n" * 5000 + b"x") * 900,
    "CR": b"\r" * 10_000_000,
    "CR LF CR CR LF": b"\r\n\r\r\n" * 2_000_000,
}


@pytest.mark.parametrize("octets", WORST.values(), ids=WORST.keys())
@pytest.mark.parametrize("kind", ["simple", "relaxed"])
def test_the_worst_bodies_are_right_and_their_output_is_linear(octets: bytes, kind: str) -> None:
    emitted = 0

    def count(octets: bytes | memoryview) -> None:
        nonlocal emitted
        emitted += len(octets)
        assert len(octets) <= max(len(octets_fed), 1 << 16)
        digest.update(octets)

    octets_fed = octets
    digest = hashlib.sha256()
    canonicalizer = CLASSES[kind](count)
    canonicalizer.feed(octets)
    canonicalizer.close()
    assert emitted <= len(octets) + 2
    if len(octets) < 6_000_000:
        assert digest.digest() == hashlib.sha256(reference(octets, kind)).digest()


@pytest.mark.parametrize("octets", WORST.values(), ids=WORST.keys())
@pytest.mark.parametrize("kind", ["simple", "relaxed"])
def test_the_worst_bodies_take_linear_time(octets: bytes, kind: str) -> None:
    """Eight times the body may take about eight times as long; quadratic work would take 64 times."""

    def seconds(size: int) -> float:
        best = float("inf")
        for _ in range(3):
            start = time.process_time()
            hashed = BodyHash(kind, LineEnd.CRLF)
            hashed.feed(octets[:size])
            hashed.close()
            best = min(best, time.process_time() - start)
        return best

    assert seconds(1_600_000) < 30 * seconds(200_000) + 0.02
