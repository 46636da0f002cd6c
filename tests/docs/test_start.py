"""docs/index.md: the page that its command writes says what the text says of it, and its pictures are there."""

from __future__ import annotations

from pathlib import Path

from docs.tools.start import ROOT, TEXT, page_of, pictures

from tests.page.test_html import Reader


def test_the_page_says_what_the_text_says_of_its_pictures(tmp_path: Path) -> None:
    page = page_of(TEXT.read_text(encoding="utf-8"), tmp_path)
    text = " ".join(Reader(page).text.split())
    for words in (
        "Rejected",
        "550 5.7.23 SPF MAIL FROM check failed",
        "Who wrote it",
        "-all in the record of shop.example",
    ):
        assert words in text
    assert 'class="verdict' in page
    assert 'id="spf"' in page


def test_every_picture_is_there_light_and_dark() -> None:
    found = pictures(TEXT.read_text(encoding="utf-8"))
    assert [dark for _, _, dark in found] == [False, True] * 2
    for name, _, _ in found:
        assert (ROOT / "docs" / "img" / name).read_bytes().startswith(b"\x89PNG"), "python -m docs.tools.start docs/img"
