"""``mailauth rbl``.

The command says what the library says; a wrong call is one line on stderr and status 2; no key is shown.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mailauth.cli import main
from mailauth.rbl import Kind

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


def test_all_says_what_was_left_out_and_why(rbl: Command) -> None:
    _, out, _ = rbl("192.0.2.1", "--all")
    left_out, _, table = out.partition("\n\n")
    assert "part of zen.spamhaus.org: sbl.spamhaus.org, xbl.spamhaus.org" in left_out
    assert "KEY.zen.dq.spamhaus.net" in left_out.partition("needs a key:")[2]
    assert "has no IPv4 addresses: bl.ipv6.spameatingmonkey.net" in left_out
    assert "sbl.spamhaus.org" not in table
    whys = {one["zone"]: one["why"] for one in json.loads(rbl("192.0.2.1", "--all", "--json")[1])["left_out"]}
    assert whys["KEY.zen.dq.spamhaus.net"] == "needs a key"
    assert whys["sorbs.net"] == "dead"
    assert whys["multi.surbl.org"] == "a list of domains"
    assert whys["ebl.msbl.org"] == "a list of e-mail addresses"
    assert "psbl.surriel.com" not in whys


def test_all_ends_with_a_table_by_weight(rbl: Command) -> None:
    rbl.zone.write_text(
        ZONE
        + """
1.2.0.192.all.s5h.net. A 127.0.0.2
1.2.0.192.bl.spamcop.net. A 127.0.0.2
1.2.0.192.ips.backscatterer.org. A 127.0.0.2
"""
    )
    table = rbl("192.0.2.1", "--all")[1].partition("\n\n")[2].splitlines()
    listed = [line.split()[1:3] for line in table if line.startswith("  LISTED")]
    assert listed == [
        ["zen.spamhaus.org", "+4"],
        ["bl.spamcop.net", "+2"],
        ["all.s5h.net", "+1"],
        ["ips.backscatterer.org", "+0"],
    ]
    removal = [line.split()[1] for line in table if "removal:" in line]
    assert removal == [
        "https://check.spamhaus.org/",
        "https://www.spamcop.net/bl.shtml",
        "https://www.usenix.org.uk/content/rbl.html",
        "https://www.backscatterer.org/?target=test",
    ]
    assert "null sender only" in "\n".join(table)


def test_progress_on_a_terminal(rbl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    _, out, err = rbl("192.0.2.1", "--list", "bl.example", "clean.example")
    assert "\r2 of 2 lists answered" in err
    assert err.endswith("\r\x1b[K")
    assert "answered" not in out
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    assert not rbl("192.0.2.1", "--list", "bl.example")[2]


def test_an_e_mail_address(rbl: Command) -> None:
    name = "a4414de3ce1f77d2615b90c3ba16219b38193ced"  # printf ann@example.org | sha1sum
    rbl.zone.write_text(f"{name}.ebl.msbl.org. A 127.0.0.2\n")
    status, out, _ = rbl("Ann+x@example.org", "--all")
    assert status == 1
    assert "ebl.msbl.org" in out
    assert "+4" in out
    assert rbl("bob@example.org", "--all")[0] == 0


def test_the_catalogue_by_kind_and_the_dead(rbl: Command) -> None:
    def zones(*words: str) -> set[str]:
        return {one["zone"] for one in json.loads(rbl("catalogue", *words, "--json")[1])["lists"]}

    assert zones("--kind", "email") == {"ebl.msbl.org"}
    assert zones("--kind", "dkim") == {"dwl.dnswl.org"}
    assert "multi.surbl.org" in zones("--kind", "domain")
    assert "zen.spamhaus.org" in zones("--kind", "address")
    assert "sorbs.net" not in zones("--kind", "address")
    assert "sorbs.net" in zones("--dead")
    assert "zen.spamhaus.org" not in zones("--dead")
    assert zones() == set().union(zones("--dead"), *(zones("--kind", kind) for kind in Kind))
    out = rbl("catalogue", "--dead")[1]
    assert "ix.dnsbl.manitu.net  NiX Spam: dead, shut down on 2025-01-16" in out
    assert "psbl" not in out
    with pytest.raises(SystemExit) as caught:
        rbl("catalogue", "--dead", "--kind", "domain")
    assert caught.value.code == 2


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
