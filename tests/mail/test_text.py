"""What a peer sent is shown on one line, in characters that can be printed, and no longer than asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.mail.text import printable


@pytest.mark.parametrize(
    ("text", "ascii_only", "expected"),
    [
        ("mx.example.org", False, "mx.example.org"),
        ("a\r\n250 ok", False, "a??250 ok"),
        ("\x1b[31mred", False, "?[31mred"),
        ("bücher", False, "bücher"),
        ("bücher", True, "b?cher"),
        ("\u202egro", False, "?gro"),  # turns the direction of what follows
    ],
)
def test_examples(text: str, ascii_only: bool, expected: str) -> None:
    assert printable(text, ascii_only=ascii_only) == expected


@given(st.text(), st.integers(0, 20), st.booleans())
def test_any_text(text: str, limit: int, ascii_only: bool) -> None:
    """Any text is shown on one line, printable, within the limit."""
    shown = printable(text, limit, ascii_only=ascii_only)
    assert len(shown) == min(len(text), limit)
    assert shown.isprintable()
    assert shown.isascii() or not ascii_only
