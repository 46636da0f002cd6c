"""``mailauth config check``.

`mailauth config check` says with its exit status whether a file can be used, and never shows a traceback.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mailauth.cli import main

GOOD = """
hostname = "mx.here.example"
domains = ["here.example"]
[rbl]
lists = ["zen.example=127.0.0.[2..11]*3 reject"]
[greylist]
store = "redis://me:hunter2@localhost/0"
[listen]
deliver_to = "smtp://127.0.0.1:10025"
"""


def check(tmp_path: Path, text: str, *words: str) -> int:
    file = tmp_path / "mx.toml"
    file.write_text(text)
    return main(["config", "check", str(file), *words])


def test_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, GOOD) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"{tmp_path}/mx.toml: ok\n")
    for words in (
        "mx.here.example",
        "zen.example=127.0.0.[2..11]*3 reject",
        "reject_unauth_destination",
        "10025",
        "300 s",
    ):
        assert words in output
    assert "hunter2" not in output


def test_a_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, GOOD + "prot = 1\n[spf]\nx = 1\n") == 1
    assert capsys.readouterr().out == (
        f"{tmp_path}/mx.toml:10: listen.prot: unknown key; did you mean 'port'?\n"
        f"{tmp_path}/mx.toml:12: spf.x: unknown key; there are explain, max_explanation, max_lookups, max_mx_hosts, "
        "max_ptr_names, max_void_lookups, prefetch\n"
        "2 mistakes\n"
    )


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, GOOD, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert found["summary"]["hostname"] == "mx.here.example"
    assert check(tmp_path, "x = 1", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [mistake["key"] for mistake in found["mistakes"]] == ["x", ""]


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", str(tmp_path / "no")]) == 2
    assert main(["config", "check", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_what_a_file_says_cannot_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(tmp_path, '"a\\u001b[2J" = 1\nhostname = "\\u001b[2J"')
    assert "\x1b" not in capsys.readouterr().out
