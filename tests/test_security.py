"""docs/security.md names every package, and every module that has something to say about its input."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "mailauth"
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([a-z_.0-9]+)`", PAGE))


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def test_every_module_with_a_security_comment_is_there() -> None:
    speaking = {name_of(path) for path in SOURCE.rglob("*.py") if "# SECURITY:" in path.read_text(encoding="utf-8")}
    assert len(speaking) > 80
    assert not speaking - NAMED, sorted(speaking - NAMED)


def test_every_package_is_there() -> None:
    packages = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    named = {name.partition(".")[0] for name in NAMED}
    assert not packages - named, sorted(packages - named)


def test_every_module_of_the_page_is_there() -> None:
    modules = {name_of(path) for path in SOURCE.rglob("*.py")}
    heads = {name.partition(".")[0] for name in modules if "." in name}
    gone = {name for name in NAMED if name.partition(".")[0] in heads and "." in name and name not in modules}
    assert not gone, sorted(gone)


def test_every_module_of_the_page_says_who_controls_its_input() -> None:
    rows = [line for line in PAGE.splitlines() if re.match(r"\| `[a-z_]+\.?", line)]
    assert len(rows) > 40
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        assert len(cells) == 4, row
        assert all(cells), row


def test_how_to_report_is_in_the_root() -> None:
    assert "Report a vulnerability" in (ROOT / "SECURITY.md").read_text(encoding="utf-8")
