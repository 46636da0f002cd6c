"""docs/why.md shows what the command prints: each console block is run, and its output compared."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mailauth.cli import main

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "why.md").read_text()
BLOCKS = re.findall(r"^```console\n\$ mailauth (dkim .*)\n((?:.*\n)*?)```$", PAGE, re.MULTILINE)


def test_there_are_five_failures() -> None:
    assert len(BLOCKS) == 5


@pytest.mark.parametrize(("command", "output"), BLOCKS, ids=[command.rpartition("/")[2] for command, _ in BLOCKS])
def test_the_page_shows_what_is_printed(
    command: str, output: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(shlex.split(command)) == 1
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == output.splitlines()
