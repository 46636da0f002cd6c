"""The page about SRS: its example runs, its configuration is one, its table has every field."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from mailauth.config import parse
from mailauth.srs import SrsPolicy

TEXT = (Path(__file__).parents[2] / "docs" / "srs.md").read_text(encoding="utf-8")


def test_the_example_runs() -> None:
    [example] = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    exec(compile(example, "srs.md", "exec"), {})


def test_the_configuration_is_one(tmp_path: Path) -> None:
    [example] = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    (tmp_path / "secrets").write_text("a long secret\n")
    text = 'hostname = "mx.example.net"\n' + example.replace("/etc/mailauth/srs-secrets", str(tmp_path / "secrets"))
    assert parse(text).srs is not None


def test_every_field_is_in_the_table() -> None:
    assert re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE) == [field.name for field in fields(SrsPolicy)]
