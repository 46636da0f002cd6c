"""``mailauth config check``.

`mailauth config check` says with its exit status whether a file can be used, and never shows a traceback.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mailauth.cli import main
from mailauth.config import load

GOOD = """
hostname = "mx.here.example"
domains = ["here.example"]
[rbl]
lists = ["zen.example=127.0.0.[2..11]*3 reject"]
[greylist]
store = "redis://me:hunter2@localhost/0"
[listen]
deliver_to = "smtp://127.0.0.1:10025"
"""


def check(tmp_path: Path, text: str, *words: str) -> int:
    file = tmp_path / "mx.toml"
    file.write_text(text)
    return main(["config", "check", str(file), *words])


def test_a_good_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, GOOD) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"{tmp_path}/mx.toml: ok\n")
    for words in (
        "mx.here.example",
        "zen.example=127.0.0.[2..11]*3 reject",
        "reject_unauth_destination",
        "10025",
        "300 s",
    ):
        assert words in output
    assert "hunter2" not in output


def test_a_bad_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, GOOD + "prot = 1\n[spf]\nx = 1\n") == 1
    assert capsys.readouterr().out == (
        f"{tmp_path}/mx.toml:10: listen.prot: unknown key; did you mean 'port'?\n"
        f"{tmp_path}/mx.toml:12: spf.x: unknown key; there are explain, max_explanation, max_lookups, max_mx_hosts, "
        "max_ptr_names, max_void_lookups, prefetch\n"
        "2 mistakes\n"
    )


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, GOOD, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is True
    assert found["summary"]["hostname"] == "mx.here.example"
    assert check(tmp_path, "x = 1", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [mistake["key"] for mistake in found["mistakes"]] == ["x", ""]


def test_a_file_that_cannot_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", str(tmp_path / "no")]) == 2
    assert main(["config", "check", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 2


def test_what_a_file_says_cannot_move_the_cursor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(tmp_path, '"a\\u001b[2J" = 1\nhostname = "\\u001b[2J"')
    assert "\x1b" not in capsys.readouterr().out


KEY = "abcdefghijkl1234mnopqrst56"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("dnsbl.sorbs.net", "dnsbl.sorbs.net is dead, and never asked: SORBS, shut down on 2024-06-05"),
        ("db.wpbl.info", "is dead"),
        ("multi.surbl.org", "is not asked here, as it is a list of domains: name it in reject_rhsbl"),
        ("dnsbl-3.uceprotect.net*9 reject", "dnsbl-3.uceprotect.net may only score; here it is set to reject"),
        ("bl.spamcop.net", "may only score; here it weighs 1, and so rejects alone (threshold 1)"),
        ("list.dnswl.org*2", "lists good senders; here it weighs 2"),
        ("all.s5h.net reject", "may only score; here it is set to reject"),
        ("ips.backscatterer.org", "is for mail from the null sender only"),
        (f"{KEY}.authbl.dq.spamhaus.net", "***.authbl.dq.spamhaus.net is for hosts that log in"),
        ("KEY.zen.dq.spamhaus.net", "zen.dq.spamhaus.net: KEY stands in the zone for your own key"),
        ("KEY.bl.example", "bl.example: KEY stands"),
        ("zen.dq.spamhaus.net", "your own key is missing: KEY.zen.dq.spamhaus.net"),
    ],
)
def test_lists_that_do_nothing_or_too_much(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str, words: str
) -> None:
    assert check(tmp_path, f'hostname = "mx.here.example"\n[rbl]\nlists = ["{rule}"]\n') == 1
    output = capsys.readouterr().out
    assert output.startswith(f"{tmp_path}/mx.toml:3: rbl.lists[0]: ")
    assert words in output
    assert KEY not in output
    # A list that dies, or a newer catalogue, stops no server.
    assert load(tmp_path / "mx.toml").rbl.lists


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("reject_rbl ix.dnsbl.manitu.net", "is dead"),
        ("warn_if_reject reject_rbl_client bl.sorbs.net", "is dead"),
        ("reject_rbl dbl.spamhaus.org", "a list of domains: name it in reject_rhsbl"),
        (
            "reject_rbl bl.spamcop.net*3 psbl.surriel.com*2 threshold=3",
            "bl.spamcop.net may only score; here it weighs 3",
        ),
        ("reject_rhsbl_sender zen.spamhaus.org", "a list of addresses: name it in reject_rbl"),
        ("reject_rhsbl_helo ebl.msbl.org", "a list of e-mail addresses: name it in reject_ebl_sender"),
        ("reject_rbl ips.backscatterer.org", "for mail from the null sender only"),
        ("reject_rbl dnsbl-2.uceprotect.net reject", "is set to reject"),
    ],
)
def test_lists_in_restrictions(tmp_path: Path, capsys: pytest.CaptureFixture[str], item: str, words: str) -> None:
    text = f'hostname = "mx.here.example"\n[restrictions]\nrecipient = [\n  "permit_authenticated",\n  "{item}",\n]\n'
    assert check(tmp_path, text, "--json") == 1
    (mistake,) = json.loads(capsys.readouterr().out)["mistakes"]
    assert (mistake["line"], mistake["key"]) == (5, "restrictions.recipient[1]")
    assert words in mistake["problem"]
    assert load(tmp_path / "mx.toml")


def test_lists_with_which_nothing_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = (
        "zen.spamhaus.org reject", f"{KEY}.zen.dq.spamhaus.net*3", "bl.spamcop.net*2", "rep.mailspike.net=127.0.0.10",
        "list.dnswl.org=127.0.[0..255].[2..3] allow", "dwl.dnswl.org*-2", "ebl.msbl.org", "mine.example reject",
    )  # fmt: skip
    lists = ", ".join(f'"{rule}"' for rule in rules)
    assert check(tmp_path, f'hostname = "mx.here.example"\n[rbl]\nthreshold = 3\nlists = [{lists}]\n') == 0
    output = capsys.readouterr().out
    # With what signatures say, the client is judged when the message is there; senders, too.
    assert "check_dmarc\n                reject_rbl\n                reject_ebl_sender\n" in output
    assert KEY not in output


def test_lists_that_do_nothing_keep_no_service_from_starting(tmp_path: Path) -> None:
    """For a unit file: what cannot be loaded is told from what does no good."""
    dead = GOOD.replace("zen.example=127.0.0.[2..11]*3 reject", "dnsbl.sorbs.net")
    assert check(tmp_path, dead) == 1
    assert check(tmp_path, dead, "--no-lint") == 0
    assert check(tmp_path, dead + "nonsense = 1\n", "--no-lint") == 1
