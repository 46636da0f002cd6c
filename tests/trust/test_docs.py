"""The page about trust, run as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mailauth.trust import PROVIDERS, Leniency

TEXT = (Path(__file__).parents[2] / "docs" / "trust.md").read_text(encoding="utf-8")


def test_the_examples_run_one_after_the_other() -> None:
    names: dict[str, Any] = {}
    examples = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        exec(compile(example, "trust.md", "exec"), names)


def test_each_leniency_and_provider_is_there() -> None:
    for word in (*Leniency, *PROVIDERS):
        assert f"`{word}`" in TEXT or f'"{word}"' in TEXT, word
