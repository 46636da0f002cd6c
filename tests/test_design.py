"""docs/design.md: its picture is that of the code, its example runs, and the places that it names are there."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from docs.tools.house import ROWS, direct

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")


def test_the_picture_has_the_arrows_of_the_code() -> None:
    svg = "{http://www.w3.org/2000/svg}"
    titles = {
        group.findtext(f"{svg}title") or "" for group in ElementTree.parse(ROOT / "docs/img/house.svg").iter(f"{svg}g")
    }
    drawn = {tuple(title.split("->")) for title in titles if "->" in title}
    assert drawn == direct(), "draw it anew: python -m docs.tools.house docs/img"
    assert {part for row in ROWS for part in row} <= titles


def test_the_example_runs() -> None:
    [example] = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    exec(compile(example, "design.md", "exec"), {})


def test_the_places_that_it_names_are_there() -> None:
    places = re.findall(r"`((?:[a-z]+/)+[a-z_]+\.(?:py|md))`", TEXT)
    assert len(places) > 10
    for place in places:
        assert (ROOT / place).exists() or (ROOT / "src" / "mailauth" / place).exists(), place
