"""Dot-unstuffing.

The content of a message, its end and what stands behind it do not depend on how the octets are cut; the oracle goes
line by line as RFC 5321 section 4.5.2 is written.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.aiosmtpd.content import ContentReader, bare_line_end

PIECES = st.lists(st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"a", b"..", b"\r\n.", b"\r\n.\r"]), max_size=30)


def line_by_line(octets: bytes) -> tuple[bytes, bytes] | None:
    """The content and what follows it; None if the end is not among the octets."""
    content = b""
    while b"\r\n" in octets:
        line, _, octets = octets.partition(b"\r\n")
        if line == b".":
            return content, octets
        content += line.removeprefix(b".") + b"\r\n"
    return None


@given(PIECES, st.lists(st.integers(1, 6), min_size=1, max_size=80))
def test_cutting_cannot_matter(pieces: list[bytes], sizes: list[int]) -> None:
    """Content in any cut is the same content, and what follows it the same rest."""
    octets = b"".join(pieces) + b"\r\n.\r\nNOOP\r\n"
    expected = line_by_line(octets)
    reader = ContentReader(None)
    for index in range(10_000):
        size = sizes[index % len(sizes)]
        rest = reader.feed(octets[:size])
        octets = octets[size:]
        if rest is not None:
            break
    else:
        pytest.fail("no end was found")
    assert (reader.content, rest + octets) == expected
    assert reader.octets == len(reader.content)


@given(PIECES, st.integers(0, 20))
def test_over_the_limit_nothing_is_kept(pieces: list[bytes], limit: int) -> None:
    """Beyond the limit the octets are counted, and none is kept."""
    octets = b"".join(pieces) + b"\r\n.\r\n"
    expected = line_by_line(octets)
    assert expected is not None
    reader = ContentReader(limit)
    assert reader.feed(octets) == expected[1]
    assert reader.octets == len(expected[0])
    assert reader.too_large == (len(expected[0]) > limit)
    assert reader.content == (b"" if reader.too_large else expected[0])


def test_an_endless_line_is_not_kept() -> None:
    """A hundred times the limit, without a line end: what is held stays below the limit."""
    reader = ContentReader(1000)
    for _ in range(1000):
        assert reader.feed(b"x" * 100) is None
        assert len(reader._kept) <= 1002
    assert reader.feed(b"\r\n.\r\n") == b""
    assert (reader.too_large, reader.octets) == (True, 100_002)


@pytest.mark.parametrize(
    ("content", "bare"),
    [
        (b"", None),
        (b"a\r\n", None),
        (b"a\n", "LF"),
        (b"a\r", "CR"),
        (b"\r\r\n", "CR"),
        (b"\r\n\n", "LF"),
        (b"\n\r", "LF"),
    ],
)
def test_bare_line_ends(content: bytes, bare: str | None) -> None:
    assert bare_line_end(content) == bare
