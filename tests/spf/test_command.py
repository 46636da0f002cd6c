"""The command, from its arguments to its output.

`mailauth spf` says in text and JSON what the library says; a mistake of the user is one line, status 2.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mailauth.cli import main
from tests.spf.corpus import CASES, Case

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
    ("records", "shown"),
    [
        ('@ TXT "v=spf1\\009mx -all"', ['found: "v=spf1\\tmx -all"', "write: v=spf1 mx -all"]),
        ('@ SPF "v=spf1 mx -all"', ["a record of the type SPF (99)", "write: v=spf1 mx -all"]),
        ('@ TXT "v=spf1 mx -all"\n@ TXT "v=spf1 a ~all"', ['found: "v=spf1 a ~all"', "write: v=spf1 mx a ~all"]),
    ],
)
def test_check_and_explain_show_what_stands_in_place_of_a_record(
    records: str, shown: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "zone"
    path.write_text(f"$ORIGIN example.org.\n$TTL 300\n{records}\n")
    for command in ("check", "explain"):
        status, out, _ = spf(capsys, command, "192.0.2.1", "ann@example.org", "--zone", str(path))
        assert status == 1
        assert [words for words in shown if words not in out] == []


def test_many_findings_alike_are_counted(capsys: pytest.CaptureFixture[str], zone: str) -> None:
    text = "v=spf1 " + " ".join(f"ip4:198.51.{i}" for i in range(9)) + " ptr -all"
    _, out, _ = spf(capsys, "lint", text, "--zone", zone)
    assert out.count("an IPv4 address has four parts") == 5
    assert "    ... and 4 more like this in the same record\nwarning: ptr is slow" in out
    document = json.loads(spf(capsys, "lint", text, "--zone", zone, "--json")[1])
    assert len(document["findings"]) == 10


def test_build_says_what_is_unwise_and_refuses_what_no_domain_has(capsys: pytest.CaptureFixture[str]) -> None:
    assert spf(capsys, "build", "--ip", "10.0.0.1") == (
        0,
        "v=spf1 ip4:10.0.0.1 -all\n",
        "warning: no client on the Internet has such an address: 10.0.0.0/8 is private or reserved\n",
    )
    assert spf(capsys, "build", "--ip", "192.0.2.1", "--mx")[2] == ""
    for option, value, words in (
        ("--a", "*.example.org", "no domain has such a name"),
        ("--include", "192.0.2.1", "this is an address; ip takes those"),
    ):
        status, out, error = spf(capsys, "build", option, value)
        assert (status, out) == (2, "")
        assert words in error


def test_build_takes_a_name_in_any_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert spf(capsys, "build", "--ip", "192.0.2.1", "--domain", "bücher.example") == (
        0, 'xn--bcher-kva.example. IN TXT "v=spf1 ip4:192.0.2.1 -all"\n', ""
    )  # fmt: skip


def test_the_limits_are_options(capsys: pytest.CaptureFixture[str], zone: str) -> None:
    asked = ["check", "10.0.0.1", "ann@example.org", "--zone", zone]
    status, out, _ = spf(capsys, *asked, "--max-lookups", "0")
    assert (status, "more than 0 terms ask the DNS" in out, "0 of 0" in out) == (1, True, True)
    assert "explanation" not in spf(capsys, *asked, "--no-explanation")[1]
    assert "explanation: example.org says: 10.0\n" in spf(capsys, *asked, "--max-explanation", "4")[1]
    for name in ("max-void-lookups", "max-mx-hosts", "max-ptr-names"):
        assert spf(capsys, *asked, f"--{name}", "5")[0] == 1


def test_explain_all(capsys: pytest.CaptureFixture[str], zone: str) -> None:
    asked = ["explain", "--all", "192.0.2.1", "ann@example.org", "--zone", zone]
    status, out, _ = spf(capsys, *asked)
    assert status == 0
    assert "       ip4:192.0.2.0/24                          match, 256 IPv4\n" in out
    assert "  1    include:b.example                         no match" in out
    assert "\npass  ip4:192.0.2.0/24 in the record of example.org matches\n" in out
    document = json.loads(spf(capsys, *asked, "--json")[1])
    assert [term["outcome"] for term in document["tree"]["terms"]] == ["match", "no match", "match", None]
    assert spf(capsys, *asked, "--prefetch")[1] == out
    status, out, _ = spf(capsys, "explain", "--all", "192.0.2.1", "--helo", "[192.0.2.1]", "--zone", zone)
    assert (status, out.startswith("none  ")) == (1, True)


def test_flatten(capsys: pytest.CaptureFixture[str], zone: str) -> None:
    status, out, _ = spf(capsys, "flatten", "example.org", "--zone", zone)
    assert status == 0
    assert out.startswith(
        "v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.0/24 -all exp=e.example.org\n\nlookups: 1 before, 0 after\n"
    )
    assert "stale:   after 300 s" in out
    assert "warning: those whom you include change their servers" in out
    assert json.loads(spf(capsys, "flatten", "example.org", "--zone", zone, "--json")[1])["ttl"] == 300
    assert spf(capsys, "flatten", "bad.example", "--zone", zone)[:2] == (
        1, "bad.example: the record is in error; lint says where\n"
    )  # fmt: skip
    status, out, _ = spf(
        capsys, "flatten", "v=spf1 mx include:%{i}.b.example -all", "--domain", "x.example", "--zone", zone
    )
    assert "kept:    include:%{i}.b.example: %{i} depends on the client: not followed" in out


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_lines_fit_a_terminal(case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """At most a hundred columns, but for what is to be copied; the last line says what receivers say."""
    monkeypatch.setattr("mailauth.cli.spf.resolver_of", lambda options: case.zone)
    for command in (
        ["lint", "example.org"],
        ["explain", "--all", "192.0.2.1", "ann@example.org"],
        ["flatten", "example.org"],
    ):
        status, out, err = spf(capsys, *command)
        assert err == ""
        lines = out.splitlines()
        copied = lines[0] if command[0] == "flatten" else None
        for line in lines:
            assert len(line) <= 100 or line == copied or "write: " in line, line
            assert line.isprintable()
        if command[0] == "lint":
            assert lines[-1].startswith(case.verdict)
            assert status == (1 if any(each.startswith("error") for each in case.findings) else 0)


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "192.0.2.1", "a@b.c", "--max-lookups", "-1"],
        ["check", "192.0.2.1", "a@b.c", "--max-lookups", "ten"],
        ["flatten", "localhost"],
        ["build", "--ip", "192.0.2.1", "--domain", "a b"],
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
