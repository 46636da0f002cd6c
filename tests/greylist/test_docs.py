# Invariant: the documentation shows the machine and the settings as they are.
"""docs/greylist.md against the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from mailauth.greylist import GreylistPolicy, Reason, Settings
from mailauth.greylist.diagram import sections

DOCUMENT = (Path(__file__).parent.parent.parent / "docs" / "greylist.md").read_text()


@pytest.mark.parametrize(("name", "text"), list(sections()))
def test_the_diagram_is_the_table(name: str, text: str) -> None:
    found = re.search(rf"<!-- {name}: [^\n]*-->\n(.*?)\n<!-- end of {name} -->", DOCUMENT, re.DOTALL)
    assert found is not None
    assert found[1] == text, "run python -m mailauth.greylist.diagram and put its output into docs/greylist.md"


def test_the_settings_example_holds_every_key_with_its_default() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENT, re.DOTALL)
    settings = Settings.from_toml(example)
    assert settings.policy == GreylistPolicy()
    for item in fields(GreylistPolicy):
        assert re.search(rf"^{item.name} = ", example, re.MULTILINE), item.name
    assert settings.policy_for("bob@example.net").mode == "off"
    assert settings.policy_for("bob@example.net").delay == 600


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"`{reason}`" in DOCUMENT
