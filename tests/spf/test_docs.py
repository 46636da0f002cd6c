"""docs/spf.md: whoever types what stands there gets what stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from mailauth.cli import main
from mailauth.spf import build_record, zone_line
from mailauth.spf.advice import Severity

TEXT = (Path(__file__).parent.parent.parent / "docs/spf.md").read_text()
ZONE = re.search(r"```\n(\$TTL .*?)```", TEXT, re.DOTALL)
CONSOLE = re.findall(r"```console\n\$ (.*?)\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("command", "output"), CONSOLE, ids=[command for command, _ in CONSOLE])
def test_a_command(
    command: str, output: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ZONE is not None
    (tmp_path / "example.zone").write_text(ZONE[1])
    monkeypatch.chdir(tmp_path)
    main(shlex.split(command)[1:])
    assert capsys.readouterr().out == output


def test_there_are_commands() -> None:
    assert len(CONSOLE) == 4


def test_a_record_is_written() -> None:
    options = {"ip": ["192.0.2.1", "192.0.2.0", "2001:db8::/32"], "mx": True, "include": "_spf.example.net"}
    record = build_record(**options, all="fail")  # type: ignore[arg-type]
    assert f'"{record}"' in TEXT
    assert zone_line("example.org", record).startswith("example.org. IN TXT ")


def test_the_findings_are_named() -> None:
    """Each code of the corpus stands in the table, and so does each severity in the list."""
    from tests.spf.corpus import CASES

    codes = {line.split()[1].rstrip(":") for case in CASES for line in case.findings}
    syntax = {code for code in codes if code.startswith(("bad-", "missing-", "unexpected-", "repeated-"))}
    assert {code for code in codes - syntax if f"`{code}`" not in TEXT} == set()
    assert all(f"**{severity}**" in TEXT for severity in Severity)
