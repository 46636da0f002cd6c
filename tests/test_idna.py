# Invariant: every label is encoded as the `idna` package encodes it, or refused as it is refused there. Where this
# Python's Unicode is older, newer characters are refused; so is the non-joiner beside letters of rare scripts.
"""U-labels, compared with the `idna` package code point by code point, and with random labels."""

from __future__ import annotations

import unicodedata

import idna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.mail.idna import label_to_ascii


# As sets of characters: a comparison of every code point asks for each of them several times.
def code_points(name: str) -> frozenset[str]:
    ranges = (divmod(packed, 1 << 32) for packed in idna.idnadata.codepoint_classes[name])
    return frozenset(chr(code) for first, end in ranges for code in range(first, end))


PVALID = code_points("PVALID")
CONTEXTUAL = code_points("CONTEXTJ") | code_points("CONTEXTO")
UNICODE = [chr(code) for code in range(0x80, 0x110000) if not 0xD800 <= code < 0xE000]
UNASSIGNED = [char for char in UNICODE if unicodedata.category(char) == "Cn"]
ASSIGNED = [char for char in UNICODE if unicodedata.category(char) != "Cn"]


def theirs(label: str) -> str | None:
    try:
        return idna.alabel(label).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None


def is_mapped(label: str) -> bool:
    """Whether the label is not in the form that mapping makes (RFC 5895): the `idna` package maps nothing here."""
    if label != label.lower() or not unicodedata.is_normalized("NFC", label):
        return True
    return any(unicodedata.decomposition(char).startswith(("<wide>", "<narrow>")) for char in label)


def refused(chars: list[str]) -> list[str]:
    """Those that are not accepted between two letters; what is accepted in company is not asked about alone."""
    if label_to_ascii(f"a{''.join(chars)}a") is not None:
        return []
    return chars if len(chars) == 1 else [char for char in chars if refused([char])]


def test_every_code_point_alone() -> None:
    """Valid by RFC 5892 here exactly where it is there, for all characters that this Python knows."""
    # Between letters of its own direction; what is allowed in some places only is tested below.
    plain = [char for char in ASSIGNED if unicodedata.bidirectional(char) in {"L", "NSM", "EN"}]
    asked = [char for char in plain if char not in CONTEXTUAL and not is_mapped(char) and not is_mapped(f"a{char}a")]
    valid = [char for char in asked if char in PVALID]
    assert len(valid) > 100_000
    for i in range(0, len(valid), 8):
        assert refused(valid[i : i + 8]) == []
    for char in set(asked).difference(valid):
        assert label_to_ascii(f"a{char}a") is None, hex(ord(char))


def test_every_code_point_from_right_to_left() -> None:
    for char in ASSIGNED:
        if unicodedata.bidirectional(char) in {"R", "AL", "AN"} and not is_mapped(char):
            for label in (char, f"a{char}", f"{char}א", f"ب{char}"):
                assert is_mapped(label) or label_to_ascii(label) == theirs(label), ascii(label)


def test_unassigned_code_points_are_refused() -> None:
    assert not any(map(label_to_ascii, UNASSIGNED[::31]))


# Each rule of RFC 5892 appendix A with every valid letter beside the character that it is about.
LETTERS = [char for char in ASSIGNED if char in PVALID]
# Of the ideographs and syllables, which differ in nothing that matters here, one in a hundred.
MANY = ("CJK UNIFIED", "HANGUL", "TANGUT", "EGYPTIAN", "CUNEIFORM", "YI ", "KHITAN", "NUSHU", "ANATOLIAN", "BAMUM")
SOME = [char for i, char in enumerate(LETTERS) if i % 100 == 0 or not unicodedata.name(char, "").startswith(MANY)]
CONTEXTS = {
    "katakana middle dot": "{}\u30fb",
    "greek keraia": "\u0375{}",
    "hebrew geresh": "{}\u05f3",
    "hebrew gershayim": "{}\u05f4",
    "middle dot": "{0}\u00b7{0}",
    "zero width joiner": "{}\u200d",
    "arabic-indic digit": "{}\u0660",
    "extended arabic-indic digit": "{}\u06f0",
}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_context_rules_with_every_letter(context: str) -> None:
    labels = [context.format(char) for char in [*SOME, "l", "a", "0"]]
    differences = [ascii(x) for x in labels if not is_mapped(x) and label_to_ascii(x) != theirs(x)]
    assert differences == []


@pytest.mark.parametrize("context", ["\u0628\u200c{}", "{}\u200c\u0628"])
def test_the_non_joiner_is_never_accepted_where_it_must_not_be(context: str) -> None:
    """RFC 5892 A.1: letters of the Arabic script are known, those of other joining scripts are refused."""
    labels = [label for char in SOME if not is_mapped(label := context.format(char))]
    ours = {label: a_label for label in labels if (a_label := label_to_ascii(label))}
    assert all(theirs(label) == a_label for label, a_label in ours.items())
    for char in "ابپتثجچحخدذرزژسشصضطظعغفقکگلمنوهی":
        label = context.format(char)
        assert label_to_ascii(label) == theirs(label)


ALPHABETS = [
    "abcdefl\u00b7l-0123",
    "אבגד׳״ןףabc0-",
    "ابپتثجدذرزسشصطظعغفقکگلمنوهیء\u200c\u200d\u064b\u0651۰۱۲٠١٢0-",
    "アイウー・々〇漢字ひらa",
    "कखगघ\u094d\u200c\u200d\u093e\u0902",
    "αβγςσ\u0375äöüßéе\u0301",
    "".join(chr(code) for code in range(0xA0, 0x250)),
]
labels = st.one_of([st.text(alphabet, min_size=1, max_size=8) for alphabet in ALPHABETS])


@settings(max_examples=1000, deadline=None)
@given(labels)
def test_random_labels(label: str) -> None:
    label = unicodedata.normalize("NFC", unicodedata.normalize("NFC", label).lower())
    if not label.isascii() and not is_mapped(label):
        assert label_to_ascii(label) == theirs(label)


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
