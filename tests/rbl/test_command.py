"""``mailauth rbl``.

The command says what the library says; a wrong call is one line on stderr and status 2; no key is shown.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mailauth.cli import main

KEY = "abcdefghijkl1234mnopqrst56"
ZONE = f"""
$TTL 300
1.2.0.192.zen.spamhaus.org. A 127.0.0.4
1.2.0.192.zen.spamhaus.org. TXT "see https://check.spamhaus.org/"
1.2.0.192.bl.example. A 127.0.0.2
1.2.0.192.bl.example. TXT "Spam\\013\\010\\027[31m source"
1.2.0.192.list.dnswl.org. A 127.0.5.2
1.2.0.192.error.example. A 127.255.255.254
1.2.0.192.{KEY}.zen.dq.spamhaus.net. A 127.0.0.2
1.2.0.192.lapsed.example. A 198.51.100.7
2.0.0.127.bl.example. A 127.0.0.2
*.wild.example. A 127.0.0.2
bad.example.dbl.spamhaus.org. A 127.0.1.2
"""


class Command:
    def __init__(self, zone: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.zone = zone
        self.capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        status = main(["rbl", *words, "--zone", str(self.zone)])
        output = self.capsys.readouterr()
        return status, output.out, output.err


@pytest.fixture
def rbl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    path = tmp_path / "test.zone"
    path.write_text(ZONE)
    return Command(path, capsys)


def test_the_table(rbl: Command) -> None:
    status, out, err = rbl("192.0.2.1", "--list", "bl.example", "clean.example", "zen.spamhaus.org*3", "list.dnswl.org")
    assert status == 1
    assert not err
    assert (
        out
        == """\
192.0.2.1: listed by 2 of 4 lists

  LISTED          bl.example        +1  127.0.0.2
                                    "Spam ?[31m source"
  LISTED          zen.spamhaus.org  +3  127.0.0.4
                                    XBL: compromised hosts
                                    "see https://check.spamhaus.org/"
                                    removal: https://check.spamhaus.org/
  listed as good  list.dnswl.org    -1  127.0.5.2
                                    trust: medium
  not listed      clean.example

score 3, threshold 1: reject
"""
    )


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["192.0.2.1", "--list", "clean.example"], 0, "listed by 0 of 1 list\n"),
        (["192.0.2.1", "--list", "bl.example"], 1, "listed by 1 of 1 list\n"),
        (["192.0.2.1", "--list", "bl.example", "--threshold", "2"], 1, "threshold 2: nothing against it"),
        (["192.0.2.1", "--list", "list.dnswl.org"], 0, "listed as good"),
        (["192.0.2.1", "--list", "list.dnswl.org allow", "bl.example reject"], 1, "allow, because of list.dnswl.org"),
        (["192.0.2.1", "--list", "bl.example reject"], 1, "reject, because of bl.example"),
        (["192.0.2.1", "--list", "error.example"], 3, "public resolver"),
        (["192.0.2.1", "--list", "bl.sorbs.net"], 3, "shut down on 2024-06-05"),
        (["10.0.0.1", "--list", "bl.example"], 3, "not a public address"),
        (["127.0.0.2", "--list", "bl.example", "--private"], 1, "listed by 1 of 1 list\n"),
        (["192.0.2.9", "--list", "bl.example", "dbl.spamhaus.org"], 0, "listed by 0 of 2 lists; 1 not asked\n"),
        (["192.0.2.9", "--list", "dbl.spamhaus.org"], 3, "listed by 0 of 1 list; 1 not asked\n"),
        (["192.0.2.1", "--list", "lapsed.example"], 3, "no list         lapsed.example  198.51.100.7"),
        (["192.0.2.1", "--list", "list.dnswl.org=127.0.[0..255].3"], 0, "trust: medium"),
        (["bad.example", "--list", "dbl.spamhaus.org"], 1, "spam domain"),
        (["bad.example", "--list", "zen.spamhaus.org"], 3, "not asked about domains"),
        (["health", "--list", "bl.example"], 0, "healthy  "),
        (["health", "--list", "bl.example", "wild.example"], 1, "lists-all"),
        (["health", "--list", "clean.example"], 1, "silent"),
        (["health", "--list", "ahbl.org"], 1, "dead"),
        (["catalogue"], 0, "zen.spamhaus.org"),
    ],
)
def test_statuses(rbl: Command, words: list[str], status: int, said: str) -> None:
    found, out, _ = rbl(*words)
    assert found == status
    assert said in out


def test_a_threshold_is_1_or_more(rbl: Command) -> None:
    with pytest.raises(SystemExit) as caught:
        rbl("192.0.2.1", "--list", "clean.example", "--threshold", "0")
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["192.0.2.1"], "name the lists to ask"),
        (["health"], "name the lists to ask"),
        (["not an address", "--list", "bl.example"], "neither an address nor a domain name"),
        (["192.0.2.1", "--list", "bl.example=127.0.0.300"], "at character 9"),
        (["192.0.2.1", "--list", f"{KEY}.bl.example*x"], "***.bl.example*x"),
        (["192.0.2.1", "--zone-list", "/nonexistent/lists"], "cannot read"),
    ],
)
def test_a_wrong_call_is_one_line(rbl: Command, words: list[str], said: str) -> None:
    status, out, err = rbl(*words)
    assert status == 2
    assert not out
    assert said in err
    assert err.count("\n") == 1
    assert KEY not in err


def test_a_file_of_rules(rbl: Command, tmp_path: Path) -> None:
    path = tmp_path / "lists"
    path.write_text("# ours\nbl.example*2\nclean.example reject\n")
    status, out, _ = rbl("192.0.2.1", "--zone-list", str(path))
    assert (status, "score 2" in out) == (1, True)
    path.write_text("bl.example\nnothing\n")
    assert "line 2" in rbl("192.0.2.1", "--zone-list", str(path))[2]
    path.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in rbl("192.0.2.1", "--zone-list", str(path))[2]


def test_all_asks_the_catalogue_and_warns(rbl: Command) -> None:
    status, out, err = rbl("192.0.2.1", "--all")
    assert status == 1
    assert "zen.spamhaus.org" in out
    assert "psbl.surriel.com" in out
    assert "multi.surbl.org" not in out  # a list of domains
    assert "terms" in err
    assert "multi.surbl.org" in rbl("example.org", "--all")[1]


def test_json(rbl: Command) -> None:
    status, out, _ = rbl("192.0.2.1", "--list", "bl.example", f"{KEY}.zen.dq.spamhaus.net", "--json")
    report = json.loads(out)
    assert status == 1
    assert [one["zone"] for one in report["listings"]] == ["bl.example", "***.zen.dq.spamhaus.net"]
    assert report["verdict"]["action"] == "reject"
    assert KEY not in out
    assert json.loads(rbl("health", "--list", "bl.example", "--json")[1])[0]["result"] == "healthy"
    assert json.loads(rbl("catalogue", "--json")[1])["lists"]


def test_no_key_is_shown(rbl: Command) -> None:
    for words in (["192.0.2.1"], ["health"], ["192.0.2.1", "--json"], ["health", "--json"]):
        out = rbl(words[0], "--list", f"{KEY}.zen.dq.spamhaus.net", f"{KEY}.bl.example", *words[1:])[1]
        assert "***" in out
        assert KEY not in out


def test_watching_prints_a_line_where_a_list_changes(rbl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", pause)
    status, output, _ = rbl("health", "--list", "bl.example", "wild.example", "--watch", "60")
    assert (status, pauses) == (130, [60.0] * 3)
    lines = [line.split("  ", 1)[1] for line in output.splitlines()]
    assert lines[0] == "bl.example  in service"
    assert lines[1].startswith("wild.example  out of service")
    assert len(lines) == 2
