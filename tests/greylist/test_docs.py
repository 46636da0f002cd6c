"""docs/greylist.md against the code.

The documentation shows the machine and the settings as they are.
"""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from xml.etree import ElementTree

import pytest
from docs.tools.greylist_diagram import TABLES, arrows, sections

from mailauth.config import read_greylist_settings
from mailauth.greylist import GreylistPolicy, Reason

DOCS = Path(__file__).parent.parent.parent / "docs"
DOCUMENT = (DOCS / "greylist.md").read_text()
AGAIN = "run python -m docs.tools.greylist_diagram docs/img, and put its output into docs/greylist.md"


@pytest.mark.parametrize(("name", "text"), list(sections()))
def test_the_diagram_is_the_table(name: str, text: str) -> None:
    found = re.search(rf"<!-- {name}: [^\n]*-->\n(.*?)\n<!-- end of {name} -->", DOCUMENT, re.DOTALL)
    assert found is not None
    assert found[1] == text, AGAIN


@pytest.mark.parametrize("name", TABLES)
def test_the_picture_is_the_table(name: str) -> None:
    """Every arrow of the table with its words, and no other."""
    svg = "{http://www.w3.org/2000/svg}"
    drawn = {}
    for group in ElementTree.parse(DOCS / "img" / f"greylist-{name}.svg").iter(f"{svg}g"):
        if group.get("class") == "edge":
            source, target = (group.findtext(f"{svg}title") or "").split("->")
            drawn[source, target] = [text.text for text in group.iter(f"{svg}text")]
    assert drawn == arrows(TABLES[name]), AGAIN


def test_the_settings_example_holds_every_key_with_its_default() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
    settings = read_greylist_settings(example)
    assert settings.policy == GreylistPolicy()
    for item in fields(GreylistPolicy):
        assert re.search(rf"^{item.name} = ", example, re.MULTILINE), item.name
    assert settings.policy_for("bob@example.net").mode == "off"
    assert settings.policy_for("bob@example.net").delay == 600


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"`{reason}`" in DOCUMENT
