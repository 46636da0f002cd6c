"""The documentation of the facade, run as it stands.

Whoever pastes the examples of docs/facade.md gets what they say; its table names every restriction.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mailauth import restrictions

TEXT = (Path(__file__).parents[2] / "docs" / "facade.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_the_examples_run_one_after_the_other() -> None:
    names: dict[str, Any] = {}
    assert len(EXAMPLES) == 6
    for example in EXAMPLES:
        exec(compile(example, "facade.md", "exec"), names)
    assert names["report"].not_evaluated == {
        "iprev": "no restriction asks for it",
        "rbl": "no list is named",
        "spf_helo": "no restriction asks for it",
        "greylist": "no store is named",
    }


def test_every_restriction_is_in_the_table() -> None:
    table = TEXT.partition("\n## Restrictions\n")[2]
    named = set(re.findall(r"^\| `(\w+)\(", table, re.MULTILINE))
    assert named == set(restrictions.__all__) - {"Restriction"}
