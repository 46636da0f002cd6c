"""``mailauth check --html``: the report as a page in a file, beside what the command says and does anyway."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from mailauth.cli import main
from tests.cli.test_check import EXAMPLES, KNOWN, LISTED, SIGNED_TWICE


def test_the_page_beside_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["check", *KNOWN, "--html", str(page), str(SIGNED_TWICE)]) == 0
    assert capsys.readouterr().out.endswith("SMTP reply: 250 2.0.0 Ok\n")
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>\n")
    assert "<title>Accepted: Is dinner ready?</title>" in text
    assert "Questions to the DNS" in text
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_with_json_and_the_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["check", "--json", *LISTED, "--html", str(page), str(SIGNED_TWICE)]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"] == "reject"
    assert "<title>Rejected: " in page.read_text(encoding="utf-8")


def test_the_page_is_not_written_through_a_link(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In a folder of all users, somebody may have guessed under which name the new page is written first."""
    page, other = tmp_path / "page.html", tmp_path / "other"
    (tmp_path / f".page.html.{os.getpid()}").symlink_to(other)
    assert main(["check", *KNOWN, "--html", str(page), str(SIGNED_TWICE)]) == 2
    assert f"cannot write {page}" in capsys.readouterr().err
    assert not other.exists()


def test_from_standard_input_with_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = tmp_path / "mailauth.toml"
    configuration.write_text(f'hostname = "mx.example.net"\n[resolver]\nzone = "{EXAMPLES / "demo.zone"}"\n')
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(SIGNED_TWICE.read_bytes()))))
    page = tmp_path / "page.html"
    words = ["--config", str(configuration), "--ip", "192.0.2.1", "--mail-from", "joe@football.example.com"]
    assert main(["check", *words, "--html", str(page), "-"]) == 0
    assert "football.example.com TXT" in page.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", *KNOWN, "--html", str(tmp_path / "none" / "page.html"), str(SIGNED_TWICE)]) == 2
    assert "cannot write" in capsys.readouterr().err


def test_a_page_that_was_there_is_replaced_whole(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("old" * 100_000)
    assert main(["check", *KNOWN, "--html", str(page), str(SIGNED_TWICE)]) == 0
    assert "old" * 10 not in page.read_text()
