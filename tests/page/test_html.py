"""Text becomes markup in one place, and only there; nothing that a text says can be more than text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailauth.page.html import ELEMENTS, MAX_TEXT_CHARACTERS, Html, element, join, lines, text
from tests.page.samples import ATTACKS


class Reader(HTMLParser):
    """What an independent parser sees: elements, attributes, text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.said: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    @property
    def text(self) -> str:
        return "".join(self.said)


@given(st.text(max_size=300))
def test_any_text_stays_text(value: str) -> None:
    """Any characters: no element, no attribute, and what can be printed is there as it was."""
    seen = Reader(element("p", value, title=value))
    assert seen.elements == ["p"]
    assert [name for name, _ in seen.attributes] == ["title"]
    if value.isprintable() and value.isascii():
        assert seen.text == value
        assert seen.attributes[0][1] == value
    assert seen.text.isprintable()


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_are_words(attack: str) -> None:
    seen = Reader(join("a", element("td", attack, data_label=attack), attack))
    assert seen.elements == ["td"]


def test_what_cannot_be_printed_is_shown() -> None:
    assert text("a\x1b[1m\r\n\x00\u202eb\udc80") == "a\\x1b[1m\\r\\n\\x00\\u202eb\\udc80"
    assert lines("a: b\r\n\tc\n\x07") == "a: b\n    c\n\\x07"


def test_marks_that_pile_up_are_shown_as_escapes() -> None:
    """Real scripts need a few marks on a letter; hundreds would be drawn over what stands around them."""
    for word in ("Việt", "e\u0301\u0302", "ภาษาที่", "שָׁלוֹם", "हिन्दी"):
        assert text(word) == word
    assert text("Z" + "\u0301" * 6 + "x" + "\u0489") == "Z" + "\u0301" * 4 + "\\u0301" * 2 + "x\u0489"


def test_letters_that_show_nothing_are_shown() -> None:
    assert text("bank\u3164\u2800.example") == "bank\\u3164\\u2800.example"


def test_long_texts_are_cut() -> None:
    shown = text("<" * (MAX_TEXT_CHARACTERS + 5))
    assert shown.endswith("… (5 more characters)")
    assert shown.count("&lt;") == MAX_TEXT_CHARACTERS


def test_markup_joined_with_text_is_text_again() -> None:
    """Whoever forgets `join` gets visible markup, never an element."""
    spoiled = element("b" if "b" in ELEMENTS else "strong", "x") + "<i>"
    assert Reader(element("p", spoiled)).elements == ["p"]
    assert isinstance(join(spoiled), Html)


@pytest.mark.parametrize("name", ["script", "iframe", "img", "style", "form", "object", "base", "meta", "link"])
def test_elements_that_pages_do_not_have(name: str) -> None:
    with pytest.raises(ValueError, match="no element"):
        element(name)


@pytest.mark.parametrize("attribute", ["onclick", "onerror", "style", "src", "srcset", "formaction"])
def test_attributes_that_pages_do_not_have(attribute: str) -> None:
    with pytest.raises(ValueError, match="no attribute"):
        element("p", **{attribute: "x"})


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "http://example.org/", "data:text/html,x", "//example.org", " https://x"]
)
def test_links_that_pages_do_not_have(link: str) -> None:
    with pytest.raises(ValueError, match="not a link"):
        element("a", "x", href=link)


def test_children() -> None:
    assert element("p", "a", None, 3, [element("code", "b"), ["<"]], class_="x", open=True, id=None) == (
        '<p class="x" open>a3<code>b</code>&lt;</p>'
    )
