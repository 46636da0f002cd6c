"""``mailauth whowrote``: what people and programs are shown, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mailauth.cli import main
from tests.dkim.makers import rsa_record, signed

ATTACKS = Path(__file__).parent / "attacks"
CONTROL, FORGED = str(ATTACKS / "001-control.eml"), str(ATTACKS / "004-forged-received.eml")
MINE = ["--authserv-id", "mx.example.net"]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["whowrote", *words])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_by_the_fields_of_ones_own_server(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(capsys, CONTROL, *MINE)
    assert (status, output) == (
        0,
        "author        service@bank.example\n"
        "verdict       verified (dmarc-pass)\n"
        "because       mx.example.net says dmarc=pass for bank.example (strict alignment)\n",
    )


def test_what_was_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(capsys, FORGED, *MINE, "--verbose")
    assert status == 1
    assert "verdict       unverified (no-pass)" in output
    assert "passed over   Authentication-Results #2: below-border" in output


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(capsys, CONTROL, *MINE, "--json")
    found = json.loads(output)
    assert (status, found["verdict"], found["evidence"]["method"]) == (0, "verified", "dmarc")


def test_by_dkim_and_dmarc(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    message, zone = tmp_path / "message.eml", tmp_path / "zone"
    message.write_bytes(signed())
    record = " ".join(f'"{rsa_record()[start : start + 200]}"' for start in range(0, len(rsa_record()), 200))
    zone.write_text(f"sel._domainkey.example.org. 60 TXT {record}\n")
    status, output, _ = run(capsys, str(message), "--zone", str(zone))
    assert status == 0
    assert "verified (dkim-aligned)" in output
    assert run(capsys, CONTROL, "--zone", str(zone))[:2] == (
        1,
        "author        service@bank.example\n"
        "verdict       unverified (no-signature)\n"
        "because       the message has no signature\n"
        "ids seen      mx.example.net\n",
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([CONTROL, "--provider", "nobody"], "there is no provider 'nobody'; there are gmail, microsoft365, yahoo"),
        ([CONTROL, "--authserv-id", "x."], "an authserv-id is a name without a final dot, not 'x.'"),
        ([CONTROL, *MINE, "--method", "iprev"], "'iprev' is not one of dmarc, dkim, spf, auth"),
        ([CONTROL, "--relaxed"], "--relaxed belongs to --authserv-id; without one, DMARC decides"),
        (["/nowhere.eml"], "cannot read /nowhere.eml: No such file or directory"),
    ],
)
def test_usage(capsys: pytest.CaptureFixture[str], words: list[str], complaint: str) -> None:
    status, _, error = run(capsys, *words)
    assert (status, error) == (2, f"mailauth: {complaint}\n")
