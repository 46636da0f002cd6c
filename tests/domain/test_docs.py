"""docs/domain.md: its example runs, and every code of a finding stands in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "domain.md").read_text(encoding="utf-8")
CODE = r"(?:domain|mx|reverse|lists|spf|dkim|dmarc|tls-rpt|mta-sts|bimi|sender)\.[a-z0-9-]+"


def test_the_example_runs() -> None:
    [example] = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(example, "domain.md", "exec"), names)
    assert names["report"].domain == "example.org"


def test_every_code_is_documented() -> None:
    source = "".join(path.read_text() for path in (ROOT / "src/mailauth/domain").glob("*.py"))
    made = set(re.findall(rf'"({CODE})"', source))
    assert len(made) > 40
    assert made <= set(re.findall(rf"`({CODE})`", TEXT))
