"""Paths of the envelope, RFC 5321 section 4.1.2.

Any text behind FROM: or TO: is a path or none; what is one has no controls, and stands in the text as it is.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.aiosmtpd.paths import parse_path


@pytest.mark.parametrize(
    ("text", "address", "parameters"),
    [
        ("<ann@example.org>", "ann@example.org", ""),
        ("<>", "", ""),
        ("<> SIZE=1", "", "SIZE=1"),
        ("<ann@example.org> SIZE=10 BODY=8BITMIME", "ann@example.org", "SIZE=10 BODY=8BITMIME"),
        ("ann@example.org", "ann@example.org", ""),
        ("ann@example.org SIZE=1", "ann@example.org", "SIZE=1"),
        ("<Postmaster>", "Postmaster", ""),
        ('<"a b"@example.org>', '"a b"@example.org', ""),
        ('<"a>b"@example.org>', '"a>b"@example.org', ""),
        (r'<"a\"b\\"@example.org>', r'"a\"b\\"@example.org', ""),
        ("<@a.example,@b.example:ann@example.org>", "ann@example.org", ""),
        ("<@a.example:ann@example.org>", "ann@example.org", ""),
        ("<ann@[192.0.2.1]>", "ann@[192.0.2.1]", ""),
        ("<ann@[IPv6:2001:db8::1]>", "ann@[IPv6:2001:db8::1]", ""),
        ("<jürgen@bücher.example>", "jürgen@bücher.example", ""),
        ("<a@b@example.org>", "a@b@example.org", ""),
        ("<a!b%c@example.org>", "a!b%c@example.org", ""),
        ("<ann+x=y@example.org>", "ann+x=y@example.org", ""),
    ],
)
def test_paths(text: str, address: str, parameters: str) -> None:
    assert parse_path(text) == (address, parameters)


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "<", ">", "<ann@example.org", "ann@example.org>", "<ann@example.org>x", "<<ann@example.org>>",
        "<a b@example.org>", '<"a@example.org>', "<a\x00@example.org>", "<a\r@example.org>", "<a\x7f@example.org>",
        "<a\udcff@example.org>", "<a\u2028@example.org>", '<"a\n"@example.org>', "<@a.example:>", "<a,b@example.org>",
        "<ann(comment)@example.org>", '<"a"b@example.org>', "< ann@example.org>",
    ],
)  # fmt: skip
def test_no_paths(text: str) -> None:
    assert parse_path(text) is None


@given(st.text(max_size=60) | st.text(alphabet='<>"\\@:, ab.\r\x00\udcff', max_size=30))
def test_anything(text: str) -> None:
    """Any text is a path without controls, or None."""
    path = parse_path(text)
    if path is not None:
        assert path.address in text
        assert not any(
            ord(char) < 32 or 0x7F <= ord(char) < 0xA0 or 0xD800 <= ord(char) < 0xE000 for char in path.address
        )


def test_the_scan_is_linear() -> None:
    """A text of 200,000 characters that almost is a path."""
    for text in ('<"' + "\\a" * 100_000, "<" + "@a," * 60_000 + ":", "<" + "a" * 200_000, '"' * 200_000):
        assert parse_path(text) is None
