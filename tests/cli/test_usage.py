"""A wrong call says how the subcommand, not the whole program, is called."""

from __future__ import annotations

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
