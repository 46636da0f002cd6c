"""A wrong call says how the subcommand, not the whole program, is called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mailauth.cli import main


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["spf", "check", "--ip", "192.0.2.1", "--bogus"], "usage: mailauth spf check"),
        (["spf", "lint", "example.org", "more"], "usage: mailauth spf lint"),
        (["dkim", "verify", "--bogus"], "usage: mailauth dkim verify"),
        (["check", "--ip", "192.0.2.1", "--bogus"], "usage: mailauth check"),
        (["greylist", "stats", "memory:", "--bogus"], "usage: mailauth greylist stats"),
    ],
)
def test_the_usage_is_that_of_the_subcommand(words: list[str], usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(usage)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["dkim", "keygen", "--domain", "example.org", "--ttl=-5"], "argument --ttl: not a number of seconds, 0 to"),
        (["dkim", "keygen", "--domain", "example.org", "--ttl", "4294967296"], "argument --ttl: not a number of"),
        (["greylist", "show", "memory:", "--limit", "x"], "argument --limit: not a number, zero or more: 'x'"),
        (["greylist", "show", "memory:", "--now", "x"], "argument --now: neither ISO 8601 nor seconds since 1970: 'x'"),
        (["dkim", "verify", "--now", "x"], "argument --now: neither ISO 8601 nor seconds since 1970: 'x'"),
        (["srs", "forward", "a@b.example", "--now", "nan"], "argument --now: neither ISO 8601 nor seconds since 1970"),
        (["check", "--ip", "192.0.2.1", "--now", "x"], "argument --now: neither ISO 8601 nor seconds since 1970: 'x'"),
    ],
)
def test_a_value_that_is_none_is_named(words: list[str], error: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert error in capsys.readouterr().err


def test_what_cannot_be_written_is_said_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message, zone = tmp_path / "message", tmp_path / "zone"
    message.write_bytes(b"From: a@example.org\r\n\r\n")
    zone.write_text("")
    words = ["check", "--ip", "192.0.2.1", "--zone", str(zone), str(message)]
    assert main([*words, "--record", f"{tmp_path}/none/x"]) == 2
    assert capsys.readouterr().err == f"mailauth: cannot write {tmp_path}/none/x: No such file or directory\n"
    for page in (f"{message}/x", "/dev/full"):
        assert main([*words, "--html", page]) == 2
        assert re.fullmatch(f"mailauth: cannot write {page}: [A-Z][a-z ]+\n", capsys.readouterr().err)


def test_the_time_is_written_in_the_same_way_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--now``: a date and time without an offset is UTC."""
    secret, message = tmp_path / "secret", tmp_path / "message"
    secret.write_text("not much of a secret\n")
    message.write_bytes(b"From: a@example.org\r\n\r\n")
    rewritten = []
    for now in ("2027-01-15T08:00:00", "2027-01-15T09:00:00+01:00", "1800000000"):
        words = ["--domain", "example.net", "--secret-file", str(secret), "--now", now]
        assert main(["srs", "forward", "a@b.example", *words]) == 0
        rewritten.append(capsys.readouterr().out)
        assert main(["dkim", "verify", str(message), "--now", now]) == 1
        capsys.readouterr()
    assert len(set(rewritten)) == 1


@pytest.mark.parametrize(
    "words",
    [["check", "--ip", "192.0.2.1"], ["arc"], ["whowrote"], ["dkim", "verify"], ["dkim", "explain"], ["dkim", "sign"]],
)
def test_an_empty_file_is_no_message(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program in front of a pipe may have failed: "no signature", or "nobody sealed it", would be a verdict."""
    empty = tmp_path / "empty"
    empty.touch()
    assert main([*words, str(empty)]) == 2
    assert capsys.readouterr().err == f"mailauth: {empty} is empty: there is no message in it\n"
