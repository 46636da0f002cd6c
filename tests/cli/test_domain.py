"""``mailauth domain``, as people and monitoring use it: text, JSON, a page, and an exit status by the worst finding."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import pytest

from mailauth.cli import main
from mailauth.domain import lists_to_ask
from tests.cli.test_check import EXAMPLES, SIGNED_TWICE

ZONE = """
$TTL 300
example.org.               IN MX  10 mx.example.org.
example.org.               IN TXT "v=spf1 ip4:192.0.2.0/24 -all"
mx.example.org.            IN A   192.0.2.25
25.2.0.192.in-addr.arpa.   IN PTR mx.example.org.
_dmarc.example.org.        IN TXT "v=DMARC1; p=reject; rua=mailto:dmarc@example.org"
s1._domainkey.example.org. IN TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
25.2.0.192.bl.example.     IN A   127.0.0.2
"""


def run(tmp_path: Path, *words: str, zone: str = ZONE) -> int:
    file = tmp_path / "zone"
    file.write_text(zone)
    return main(["domain", *words, "--zone", str(file)])


def test_a_good_domain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "example.org") == 0
    out = capsys.readouterr().out
    assert out.startswith("example.org: 3 notes\n")
    assert "\nMX          10 mx.example.org  192.0.2.25\n" in out
    assert "\nDKIM        good      s1  ed25519, 256 bits  (guessed)\n" in out
    assert "            tls-rpt.none; RFC 8460 section 3\n            → publish" in out


def test_the_lists_that_could_be_asked_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "example.org", "--html", str(tmp_path / "page.html"))
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("lists")]
    number = len(lists_to_ask())
    assert f"{number} can be (zen.spamhaus.org, dbl.spamhaus.org, …) by --all-lists, one by --list ZONE" in line
    page = (tmp_path / "page.html").read_text()
    assert f"asks the {number} that need no key" in page
    assert all(known.zone in page for known in lists_to_ask())
    run(tmp_path, "example.org", "--all-lists", "--json")
    asked = {each["zone"] for each in json.loads(capsys.readouterr().out)["lists"]}
    assert asked == {known.zone for known in lists_to_ask()}


def test_the_records_as_they_are_published(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two = ZONE.replace("p=reject;", "pct=100; p=reject;") + 'example.org. IN TXT "v=spf1 -all"\n'
    run(tmp_path, "example.org", "--html", str(tmp_path / "page.html"), zone=two)
    out, page = capsys.readouterr().out, (tmp_path / "page.html").read_text()
    assert "DMARC       v=DMARC1; pct=100; p=reject; rua=" in out
    assert re.search(r"SPF +v=spf1 \S.*\n +v=spf1 -all\n", out)
    assert page.count("<dt>Records</dt>") == 1
    assert "v=DMARC1; pct=100; p=reject;" in page.partition('id="dmarc"')[2].partition("</dl>")[0]


def test_errors_and_warnings_by_the_exit_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "example.org", zone=ZONE.replace(" -all", "")) == 3
    assert '  warning   without "all" or redirect' in capsys.readouterr().out
    assert run(tmp_path, "example.org", zone=ZONE.replace("192.0.2.0/24", "192.0.2.0/33")) == 1
    assert run(tmp_path, "example.org", "--list", "bl.example") == 1
    assert "is listed by bl.example" in capsys.readouterr().out


def test_what_is_to_be_copied_is_not_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is longer than what is left of a line, with hyphens, stays whole."""
    host = "-".join(["a-host"] * 9) + ".a-long-name.example.org"
    zone = ZONE.replace("mx.example.org", host, 1)
    assert run(tmp_path, "example.org", zone=zone) == 1
    shown = [line for line in capsys.readouterr().out.splitlines() if host in line]
    assert [line.split()[0] for line in shown] == ["MX", host]  # the record, and what is wrong with it


def test_json_has_stable_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--json", "example.org", "--selector", "s9", "--no-guess", "--ip", "192.0.2.25") == 1
    document = json.loads(capsys.readouterr().out)
    assert document["worst"] == "error"
    assert document["counts"] == {"error": 1, "unknown": 0, "warning": 0, "note": 3}
    assert [finding["code"] for finding in document["findings"]] == [
        "dkim.no-key",
        "tls-rpt.none",
        "mta-sts.none",
        "bimi.none",
    ]
    assert set(document["findings"][0]) == {"severity", "code", "subject", "words", "source", "advice"}
    assert document["clients"][0]["result"] == "pass"


def test_the_page(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run(tmp_path, "example.org", "--html", str(page)) == 0
    text = page.read_text(encoding="utf-8")
    assert "<title>example.org: 3 notes</title>" in text
    assert "s1._domainkey.example.org TXT" in text


def test_with_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--zone", str(EXAMPLES / "demo.zone"), "--ip", "192.0.2.1", "--message", str(SIGNED_TWICE)]
    assert main(["domain", "football.example.com", *words, "--mail-from", "joe@football.example.com"]) == 3
    out = capsys.readouterr().out
    assert "SPF pass; DKIM football.example.com pass, football.example.com pass; DMARC pass" in out
    assert "sender.no-unsubscribe; Gmail and Yahoo, of marketing and subscribed mail; RFC 8058 section 3" in out


def test_every_list_of_the_catalogue_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "example.org", "--all-lists") == 0
    captured = capsys.readouterr()
    assert "lists with terms of their own" in captured.err
    assert "2 subjects on" in captured.out


def test_a_domain_that_does_not_exist(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "gone.example") == 1
    assert capsys.readouterr().out == (
        "gone.example: 1 error\n\n"
        "  error     the domain does not exist in the DNS\n"
        "            domain.no-such-name; RFC 8020\n"
        "            → look at the spelling, and whether it is registered\n"
    )


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_on_a_terminal_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert run(tmp_path, "example.org") == 0
    assert re.search(r"\r\d+ questions answered\r", terminal.getvalue())
    assert terminal.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["localhost"], "not a domain"),
        (["example.org", "--selector", "a b"], "no selector"),
        (["example.org", "--ip", "x"], "not an IPv4"),
        (["example.org", "--list", "a..b"], "bad rule"),
        (["example.org", "--helo", "x"], "belong to a --message"),
        (["example.org", "--message", "x"], "--message needs an --ip"),
        (["example.org", "--ip", "192.0.2.1", "--message", "/nonexistent"], "cannot read"),
        (["example.org", "--ip", "192.0.2.1", "--message", "/dev/null"], "is empty"),
    ],
)
def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str) -> None:
    assert run(tmp_path, *words) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("mailauth: ")
    assert said in captured.err
    assert captured.out == ""
