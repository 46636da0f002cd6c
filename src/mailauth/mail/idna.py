"""IDNA2008 (RFC 5891, 5892): U-label to A-label for lookup.

One U-label to one A-label, by IDNA2008. Loaded only when a name is not ASCII.
"""

# The run-time dependencies hold no IDNA2008 code, and the standard library's "idna" codec is IDNA2003, which maps
# "ß" to "ss" and so asks the DNS about somebody else's domain. The rules of RFC 5892 are stated in terms of Unicode
# properties that `unicodedata` has, so they are computed here instead of shipped as a table; a test compares every
# code point with the `idna` package.
#
# SECURITY: labels come from the peer. The length of the input is bounded by the caller (253 characters).

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

# RFC 5892 section 2.6.
_EXCEPTIONS_VALID = frozenset("\u00df\u03c2\u06fd\u06fe\u0f0b\u3007")
_EXCEPTIONS_DISALLOWED = frozenset("\u0640\u07fa\u302e\u302f\u3031\u3032\u3033\u3034\u3035\u303b")
# RFC 5892 appendix A: allowed in some places only.
_ARABIC_INDIC = frozenset(map(chr, range(0x0660, 0x066A)))
_EXTENDED_ARABIC_INDIC = frozenset(map(chr, range(0x06F0, 0x06FA)))
_LETTER_DIGITS = frozenset({"Ll", "Lu", "Lo", "Nd", "Lm", "Mn", "Mc"})  # RFC 5892 section 2.1
_VIRAMA = 9  # canonical combining class

# RFC 5892 sections 2.3 to 2.5 and 2.9: ranges that unicodedata has no property for.
_IGNORABLE_RANGES = (
    (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0), (0xE0000, 0xE0FFF), (0x20D0, 0x20FF), (0x1D100, 0x1D1FF), (0x1D200, 0x1D24F),
    (0x1100, 0x11FF), (0xA960, 0xA97F), (0xD7B0, 0xD7FF),
)  # fmt: skip
_IGNORABLE = frozenset(chr(code) for first, last in _IGNORABLE_RANGES for code in range(first, last + 1))


def label_to_ascii(label: str) -> str | None:
    """The A-label of one label (ASCII labels in lower case); None where IDNA2008 has none."""
    if label.isascii():
        return label.lower()
    # RFC 5895 section 2 (the mapping that users' software does): case, width, and normal form C.
    label = unicodedata.normalize("NFC", _map_width(label).lower())
    if label.isascii():
        return label
    if not _valid(label):
        return None
    a_label = "xn--" + label.encode("punycode").decode("ascii")
    return a_label if len(a_label) <= 63 else None


def _map_width(label: str) -> str:
    return "".join(
        unicodedata.normalize("NFKC", char)
        if unicodedata.decomposition(char).startswith(("<wide>", "<narrow>"))
        else char
        for char in label
    )


def _valid(label: str) -> bool:
    """RFC 5891 section 5.4: what must be true of a U-label before it is looked up."""
    if label[2:4] == "--" or label[0] == "-" or label[-1] == "-":
        return False
    if unicodedata.category(label[0]) in {"Mn", "Mc", "Me"}:
        return False
    return all(_allowed(label, i) for i in range(len(label))) and _bidi(label)


def _allowed(label: str, i: int) -> bool:
    char = label[i]
    if _protocol_valid(char):
        return True
    match char:
        case "\u00b7":  # A.3: middle dot, between two l
            return 0 < i < len(label) - 1 and label[i - 1] == label[i + 1] == "l"
        case "\u0375":  # A.4: Greek keraia, before Greek
            return i + 1 < len(label) and _script(label[i + 1], "GREEK ")
        case "\u05f3" | "\u05f4":  # A.5, A.6: Hebrew geresh and gershayim, after Hebrew
            return i > 0 and _script(label[i - 1], "HEBREW ")
        case "\u30fb":  # A.7: Katakana middle dot, in a label with kana or Han
            return any(_script(c, *_KANA_AND_HAN) for c in label if c != "\u30fb")
        case "\u200c" | "\u200d" if i > 0 and unicodedata.combining(label[i - 1]) == _VIRAMA:  # A.1, A.2
            return True
        case "\u200c":  # A.1: the non-joiner, between letters that would join
            return _joins(reversed(label[:i]), "<initial>") and _joins(iter(label[i + 1 :]), "<final>")
    if char in _ARABIC_INDIC:  # A.8, A.9: the two sets of digits never together
        return not _EXTENDED_ARABIC_INDIC.intersection(label)
    if char in _EXTENDED_ARABIC_INDIC:
        return not _ARABIC_INDIC.intersection(label)
    return False


def _joins(neighbours: Iterator[str], form: str) -> bool:
    """Whether the next letter joins: "<initial>", to the letter after it, "<final>", to the letter before it."""
    letter = next((char for char in neighbours if unicodedata.category(char) not in {"Mn", "Me"}), "")
    return letter in _joining_letters(form)


@cache
def _joining_letters(form: str) -> frozenset[str]:
    """The letters that have a presentation form of the kind `form`.

    Python does not know the property Joining_Type that RFC 5892 A.1 asks for, but the letters of the Arabic script
    have compatibility characters for their joined forms (U+FB50 to U+FEFF), and these say what they are made of.
    """
    decompositions = (unicodedata.decomposition(chr(code)).split() for code in range(0xFB50, 0xFEFF))
    return frozenset(chr(int(d[1], 16)) for d in decompositions if len(d) == 2 and d[0] == form)


# With the blank, since what hiragana and katakana share ("KATAKANA-HIRAGANA ...") is of neither script.
_KANA_AND_HAN = (
    "HIRAGANA ",
    "HENTAIGANA ",
    "KATAKANA ",
    "CJK UNIFIED IDEOGRAPH",
    "CJK COMPATIBILITY IDEOGRAPH",
    "IDEOGRAPHIC ITERATION MARK",
    "IDEOGRAPHIC NUMBER ZERO",
    "OLD CHINESE ITERATION MARK",
)


def _script(char: str, *scripts: str) -> bool:
    """Whether the character is of a script, which its name begins with."""
    return unicodedata.name(char, "").startswith(scripts)


@lru_cache(maxsize=1024)
def _protocol_valid(char: str) -> bool:
    """PVALID of RFC 5892 section 3, in its order."""
    if char in _EXCEPTIONS_VALID:
        return True
    if char in _EXCEPTIONS_DISALLOWED or char in _ARABIC_INDIC or char in _EXTENDED_ARABIC_INDIC:
        return False
    if char.isascii():
        return char.isdigit() or ("a" <= char <= "z") or char == "-"
    if char in _IGNORABLE or unicodedata.category(char) not in _LETTER_DIGITS:
        return False
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", char).casefold()) == char


def _bidi(label: str) -> bool:
    """RFC 5893 section 2, for a label with right-to-left characters."""
    classes = [unicodedata.bidirectional(char) for char in label]
    if not any(c in {"R", "AL", "AN"} for c in classes):
        return True
    last = next((c for c in reversed(classes) if c != "NSM"), "")
    if classes[0] in {"R", "AL"}:
        allowed = {"R", "AL", "AN", "EN", "ES", "CS", "ET", "ON", "BN", "NSM"}
        return allowed.issuperset(classes) and last in {"R", "AL", "EN", "AN"} and not {"EN", "AN"} <= set(classes)
    allowed = {"L", "EN", "ES", "CS", "ET", "ON", "BN", "NSM"}
    return classes[0] == "L" and allowed.issuperset(classes) and last in {"L", "EN"}
