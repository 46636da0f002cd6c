"""U-labels become A-labels by IDNA2008 with the mapping of RFC 5895, for any text."""

from __future__ import annotations

import idna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.mail.names import _label_to_ascii as label_to_ascii


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_an_a_label_or_none(text: str) -> None:
    """Never an exception; what comes out is ASCII in lower case, at most 63 octets if it was not ASCII before."""
    label = label_to_ascii(text)
    if label is not None:
        assert label.isascii()
        assert label == label.lower()
        if not text.isascii() and label.startswith("xn--"):
            assert len(label) <= 63
            assert idna.ulabel(label)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("bücher", "xn--bcher-kva"),
        ("BÜCHER", "xn--bcher-kva"),
        ("bu\u0308cher", "xn--bcher-kva"),  # in normal form D
        ("straße", "xn--strae-oqa"),  # IDNA2003 would ask about "strasse", somebody else's domain
        ("ｅｘａｍｐｌｅ", "example"),  # full width (RFC 5895 section 2.3)
        ("例え", "xn--r8jz45g"),
        ("испытание", "xn--80akhbyknj4f"),
        ("نامه\u200cای", "xn--mgba3gch31f060k"),  # Persian, with a zero width non-joiner
        ("example", "example"),
        ("EXAMPLE", "example"),
        ("xn--bcher-kva", "xn--bcher-kva"),
        ("_dmarc", "_dmarc"),
        ("-bücher", None),
        ("bücher-", None),
        ("büc--her", "xn--bc--her-n2a"),
        ("bü--cher", None),  # RFC 5891 section 4.2.3.1: hyphens in third and fourth place
        ("\u0301bad", None),  # begins with a combining mark
        ("a b\u00fc", None),
        ("☃", None),  # a symbol
        ("ü" * 60, None),  # over 63 octets
        ("בa", None),  # RFC 5893: left-to-right in a right-to-left label
        ("۱٠", None),  # two sets of digits
    ],
)
def test_examples(label: str, expected: str | None) -> None:
    assert label_to_ascii(label) == expected
