"""The command, from its arguments to its output.

`mailauth spf` says in text and JSON what the library says; a mistake of the user is one line, status 2.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mailauth.cli import main

ZONE = """
$TTL 300
example.org.    TXT "v=spf1 ip4:192.0.2.0/24 include:b.example -all exp=e.example.org"
b.example.      TXT "v=spf1 ip4:198.51.100.0/24 ?all"
e.example.org.  TXT "%{i} at %{t} for %{r}"
mx.example.org. TXT "v=spf1 ip4:203.0.113.1 -all"
bad.example.    TXT "v=spf1 ip4:192.0.2 -all"
"""


@pytest.fixture
def zone(tmp_path: Path) -> str:
    path = tmp_path / "zone"
    path.write_text(ZONE)
    return str(path)


def spf(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        status = main(["spf", *arguments])
    except SystemExit as stop:
        status = int(stop.code or 0)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_check(capsys: pytest.CaptureFixture[str], zone: str) -> None:
    status, out, _ = spf(capsys, "check", "192.0.2.9", "ann@example.org", "--zone", zone)
    assert status == 0
    assert out.startswith("pass  ip4:192.0.2.0/24 in the record of example.org matches\n")


def test_check_fail_with_header_and_reply(capsys: pytest.CaptureFixture[str], zone: str) -> None:
    status, out, _ = spf(
        capsys, "check", "10.0.0.1", "ann@example.org", "--zone", zone, "--receiver", "us.example", "--received-spf"
    )
    assert status == 1
    assert "explanation: example.org says: 10.0.0.1 at 1" in out
    assert "SMTP reply:  550 5.7.23 SPF MAIL FROM check failed" in out
    assert "\nReceived-SPF: fail (us.example: domain of example.org" in out


def test_check_helo(capsys: pytest.CaptureFixture[str], zone: str) -> None:
    for more in (["--identity", "helo"], []):
        status, out, _ = spf(
            capsys, "check", "203.0.113.1", "--helo", "mx.example.org", "--zone", zone, "--json", *more
        )
        document = json.loads(out)
        assert (status, document["result"], document["domain"]) == (0, "pass", "mx.example.org")
        assert document["identity"] == ("helo" if more else "mailfrom")


def test_explain(capsys: pytest.CaptureFixture[str], zone: str) -> None:
    status, out, _ = spf(capsys, "explain", "198.51.100.1", "ann@example.org", "--zone", zone, "--prefetch")
    assert status == 0
    assert "    b.example: pass\n      ip4:198.51.100.0/24: match\n" in out
    _, out, _ = spf(capsys, "explain", "198.51.100.1", "ann@example.org", "--zone", zone, "--json")
    assert json.loads(out)["trace"]["terms"][1]["record"]["domain"] == "b.example"


def test_lint(capsys: pytest.CaptureFixture[str], zone: str) -> None:
    status, out, _ = spf(capsys, "lint", "bad.example", "--zone", zone)
    assert status == 1
    assert (
        "error: an IPv4 address has four parts (RFC 7208 section 5.6)\n"
        "    v=spf1 ip4:192.0.2 -all\n"
        "               ^^^^^^^\n"
        "    write: ip4:192.0.2.0/24\n"
    ) in out
    status, out, _ = spf(capsys, "lint", "example.org", "--zone", zone)
    assert status == 0
    assert out.endswith("no errors\n")
    status, out, _ = spf(capsys, "lint", "v=spf1 +all", "--zone", zone, "--json")
    assert status == 0
    assert json.loads(out)["findings"][0]["code"] == "pass-all"


def test_build(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "build",
        "--ip",
        "192.0.2.1",
        "--mx",
        "--a",
        "h.example.org",
        "--a",
        "--include",
        "b.example",
        "--all",
        "softfail",
    ]
    assert spf(capsys, *arguments) == (0, "v=spf1 ip4:192.0.2.1 a:h.example.org a mx include:b.example ~all\n", "")
    status, out, _ = spf(capsys, *arguments, "--domain", "example.org", "--json")
    assert status == 0
    assert json.loads(out)["zone_line"].startswith('example.org. IN TXT "v=spf1 ')


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "nonsense", "a@b.c", "--zone", "ZONE"],
        ["check", "192.0.2.1", "a@b.c", "--zone", "/no/such/file"],
        ["check"],
        ["nothing"],
        ["lint", "localhost", "--zone", "ZONE"],
        ["build", "--ip", "192.0.2.1/99"],
        ["build", "--include", "x y"],
        ["build", "--all", "maybe"],
    ],
)
def test_mistakes_are_one_line(capsys: pytest.CaptureFixture[str], zone: str, arguments: list[str]) -> None:
    status, out, err = spf(capsys, *[zone if word == "ZONE" else word for word in arguments])
    assert (status, out) == (2, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("mailauth")


def test_output_is_safe_for_terminals(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "zone"
    path.write_text('$TTL 1\nexample.org. TXT "v=spf1 \\027[31m"\n')
    for command in (
        ["check", "192.0.2.1", "a\x1b[1m@example.org"],
        ["explain", "192.0.2.1", "a\x1b@example.org"],
        ["lint", "example.org"],
    ):
        _, out, _ = spf(capsys, *command, "--zone", str(path))
        assert "\x1b" not in out


@pytest.mark.parametrize(
    ("domain", "ending"),
    [("nothing.example.org", "no record: receivers give none"), ("slow.example", "receivers give temperror")],
)
def test_lint_says_what_receivers_make_of_a_domain_without_a_record(
    domain: str, ending: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zone = tmp_path / "test.zone"
    zone.write_text('example.org. 300 TXT "v=spf1 -all"\n')
    with pytest.MonkeyPatch.context() as patch:
        if domain.startswith("slow"):
            from mailauth.resolvers import ZoneResolver

            resolver = ZoneResolver({}, failures={("slow.example", "*"): "timeout"})
            patch.setattr("mailauth.cli.spf.resolver_of", lambda options: resolver)
        assert main(["spf", "lint", domain, "--zone", str(zone)]) == 1
    assert capsys.readouterr().out.rstrip().endswith(ending)
