"""The page about ARC, run as it stands."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

TEXT = (Path(__file__).parents[2] / "docs" / "arc.md").read_text(encoding="utf-8")


def test_the_examples_run_one_after_the_other() -> None:
    names: dict[str, Any] = {}
    examples = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "arc.md", "exec"), names)
