"""``mailauth dmarc``, from its arguments to its output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mailauth.cli import main

ZONE = """$TTL 300
_dmarc.example.org. TXT "v=DMARC1; p=reject; sp=none; np=quarantine; pct=50"
"""


@pytest.fixture
def zone_file(tmp_path: Path) -> str:
    path = tmp_path / "zone"
    path.write_text(ZONE)
    return str(path)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["dmarc", *words])
    out, err = capsys.readouterr()
    return status, out, err


def test_check(capsys: pytest.CaptureFixture[str], zone_file: str) -> None:
    status, out, _ = run(capsys, "check", "example.org", "--spf", "bounce.example.org", "--zone", zone_file)
    assert status == 0
    assert out.startswith("pass  spf passed for bounce.example.org")
    status, out, _ = run(capsys, "check", "gone.example.org", "--dkim", "other.example", "--zone", zone_file)
    assert status == 1
    assert "policy:       np=quarantine, from _dmarc.example.org" in out
    assert "exists:       no" in out
    assert "record:       v=DMARC1; p=reject; sp=none; np=quarantine; pct=50\n" in out  # as it is published
    _, out, _ = run(capsys, "check", "example.org", "--zone", zone_file)
    assert "--spf and --dkim say what passed" in out
    _, out, _ = run(capsys, "check", "localhost", "--zone", zone_file)
    assert "author:" not in out
    status, out, _ = run(capsys, "check", "example.org", "--zone", zone_file, "--json")
    assert (status, json.loads(out)["result"], json.loads(out)["disposition"]) == (1, "fail", "reject")


@pytest.mark.parametrize(
    "words", [["ann@example.org"], ["_dmarc.example.org"], ["example.org", "--spf", "ann@example.org"]]
)
def test_an_address_is_no_domain(capsys: pytest.CaptureFixture[str], words: list[str], zone_file: str) -> None:
    status, out, err = run(capsys, "check", *words, "--zone", zone_file)
    assert (status, out) == (2, "")
    assert err.startswith("mailauth: a domain alone is asked for: example.org, not ")


def test_explain_shows_the_walk_as_a_tree(capsys: pytest.CaptureFixture[str], zone_file: str) -> None:
    status, out, _ = run(capsys, "explain", "a.b.example.org", "--dkim", "example.org", "--zone", zone_file)
    assert status == 0
    lines = out.splitlines()
    assert lines[0] == "_dmarc.a.b.example.org  no record"
    assert lines[1] == "  _dmarc.b.example.org  no record"
    assert lines[2].startswith("    _dmarc.example.org  v=DMARC1; p=reject; sp=none; np=quarantine")
    assert lines[2].endswith("<- policy, organizational domain")
    assert lines[3] == "      _dmarc.org  no record"
    status, out, _ = run(capsys, "explain", "example.org", "--zone", zone_file, "--json")
    assert [visit["question"] for visit in json.loads(out)["trace"]] == ["_dmarc.example.org TXT", "_dmarc.org TXT"]


def test_explain_says_where_the_walk_ended_and_what_was_asked_besides(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    zone = tmp_path / "zone"
    zone.write_text(
        '$TTL 60\n_dmarc.bank.test. TXT "v=DMARC1; p=none; psd=y"\n_dmarc.a.bank.test. TXT "v=DMARC1; p=none"\n'
    )
    words = ["explain", "a.bank.test", "--dkim", "b.a.bank.test", "--zone", str(zone)]
    status, out, _ = run(capsys, *words)
    assert out.split("\n\n")[0].splitlines() == [
        "_dmarc.a.bank.test  v=DMARC1; p=none   <- policy, organizational domain",
        "  _dmarc.bank.test  v=DMARC1; p=none; psd=y",
        "    _dmarc.test  not looked at: psd= ends the walk below",
    ]
    assert out.split("\n\n")[1] == "for the identifiers:\n_dmarc.b.a.bank.test  no record"
    assert status == 0


def test_lint(capsys: pytest.CaptureFixture[str], zone_file: str) -> None:
    status, out, _ = run(capsys, "lint", "example.org", "--zone", zone_file)
    assert status == 0
    assert "note: pct= was removed" in out
    assert out.startswith("example.org  v=DMARC1; p=reject; sp=none; np=quarantine; pct=50\n")
    assert out.endswith("2 warnings, 2 notes\n")
    _, out, _ = run(capsys, "lint", "v=DMARC1; p=reject; rua=mailto:a@example.org")
    assert out == "nothing to repair\n"
    status, out, _ = run(capsys, "lint", "other.example", "--zone", zone_file, "--json")
    assert (status, json.loads(out)["findings"][0]["code"]) == (1, "no-record")
    status, _, err = run(capsys, "lint", "nonsense", "--zone", zone_file)
    assert status == 2
    assert err.count("\n") == 1


def test_build(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "build", "--p", "reject", "--rua", "agg@example.org")[:2] == (
        0, "v=DMARC1; p=reject; rua=mailto:agg@example.org\n",
    )  # fmt: skip
    _, out, _ = run(capsys, "build", "--domain", "example.org", "--test", "--json")
    assert json.loads(out)["zone_line"] == '_dmarc.example.org. 3600 IN TXT "v=DMARC1; p=none; t=y"'
    assert run(capsys, "build", "--rua", "not an address")[0] == 2
