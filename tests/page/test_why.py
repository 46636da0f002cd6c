"""docs/why.md: its commands run offline, their pages say what the text says of them, and its pictures are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.tools.why import ROOT, TEXT, commands, page_of, pictures

from tests.page.test_html import Reader

# What the text says of each page.
SAID = (
    ("Accepted", "asks to quarantine such mail", "The body is not the one that was signed", "pass, not aligned"),
    ("Rejected", "decided by check_spf, reason spf-fail", "-all in the record of shop.example matches"),
    ("permerror", "too-many-lookups", "lookup 11 of 10", "11 of 10 lookups"),
    ("permerror", "the key is cut off", "the form took one string of 255", "spf passed for bank.example"),
    ("what passed is not aligned with agency.example: spf sendfast.example, dkim sendfast.example", "asks to reject"),
)


@pytest.mark.parametrize("number", range(5), ids=["list", "provider", "lookups", "key", "aligned"])
def test_the_pages_say_what_the_text_says(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = page_of(commands()[number], tmp_path)
    text = " ".join(Reader(page).text.split()).lower()
    for words in SAID[number]:
        assert words.lower() in text
    for name, part in pictures():
        if name.startswith(f"why-{number + 1}-"):
            assert part == "verdict" or f'id="{part}"' in page


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    [example] = re.findall(r"^```python\n(.*?)^```$", TEXT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    exec(compile(example, "why.md", "exec"), {})


def test_every_picture_is_there() -> None:
    assert len(commands()) == 5
    assert pictures()
    for name, _ in pictures():
        assert (ROOT / "docs" / "img" / name).read_bytes().startswith(b"\x89PNG"), "python -m docs.tools.why docs/img"
