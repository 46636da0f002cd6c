"""``mailauth greylist``.

Every mistake is one line and status 2; nothing from a peer moves the cursor.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mailauth.cli import greylist as cli
from mailauth.cli import main
from mailauth.greylist import Greylist
from mailauth.stores import open_store

T = 1_800_000_000.0
NOW = ["--now", str(T + 600)]


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.server),
                        pytest.param("postgresql", marks=pytest.mark.server)])  # fmt: skip
def url(request: pytest.FixtureRequest, store_url: Callable[[str], str]) -> str:
    """A store with two known triplets, two that wait, one that never came back, and one hostile."""
    url = store_url(request.param)
    with Greylist(open_store(url)) as greylist:
        for at in (0, 400):
            for letter in "ab":
                greylist.check(f"192.0.2.{ord(letter)}", f"{letter}@example.org", "bob@example.net", now=T + at)
        greylist.check("198.51.100.1", "cy@example.com", "bob@example.net", now=T + 500)
        greylist.check("2001:db8::1", "", "dan@example.net", now=T + 500)
        greylist.check("198.51.100.9", "eve@example.com", "bob@example.net", now=T - 3 * 86400)
        greylist.check("203.0.113.1", "x\x1b[2J\r\n@evil.example", "bob@example.net", now=T + 500)
    return url


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = main(["greylist", *words])
    out, err = capsys.readouterr()
    return status, out, err


def senders(text: str) -> set[str]:
    return {row["sender"] for row in json.loads(text)}


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["--client", "192.0.2.77"], {None, "a@example.org", "b@example.org"}),
        (["--client", "192.0.0.0/16"], {None, "a@example.org", "b@example.org"}),
        (["--client", "192.0.2.128/25"], {None, "a@example.org", "b@example.org"}),
        (["--client", "2001:db8::ffff"], {"<>"}),
        (["--sender", "A+x@Example.org"], {"a@example.org"}),
        (["--sender", "@example.com"], {"cy@example.com", "eve@example.com"}),
        (["--sender", "<>"], {"<>"}),
        (["--recipient", "dan@example.net"], {"<>"}),
        (["--state", "known"], {"a@example.org", "b@example.org"}),
        (["--state", "known", "--sender", "a@example.org"], {"a@example.org"}),
        (["--state", "counting"], {None}),
    ],
)
def test_show_filters(url: str, capsys: pytest.CaptureFixture[str], filters: list[str], expected: set[str]) -> None:
    status, out, _ = run(capsys, "show", "--store", url, "--json", *filters, *NOW)
    assert (status, senders(out)) == (0, expected)


def test_show_for_people(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "show", "--store", url, *NOW)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split()[:4] == ["STATE", "CLIENT", "SENDER", "RECIPIENT"]
    assert len(lines) == 8
    assert "\x1b" not in out
    assert any("known" in line and "a@example.org" in line and "3 minutes ago" in line for line in lines)
    status, out, err = run(capsys, "show", "--store", url, "--limit", "2", *NOW)
    assert len(out.splitlines()) == 3
    assert "only the first 2" in err
    status, out, err = run(capsys, "show", "--store", url, "--sender", "nobody@example.org")
    assert (status, out, err) == (1, "", "no record matches\n")


def check(url: str, ip: str, sender: str, at: float) -> str:
    with Greylist(open_store(url)) as greylist:
        return greylist.check(ip, sender, "bob@example.net", now=T + at).reason.value


def test_allow_a_sender_lets_in_what_waits_from_it(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "allow", "--store", url, "--sender", "cy@example.com", *NOW)
    assert (status, out) == (0, "allowed: 198.51.100.0/24, cy@example.com to bob@example.net\n")
    assert check(url, "198.51.100.1", "cy@example.com", 601) == "known"
    assert run(capsys, "allow", "--store", url, "--sender", "cy@example.com", *NOW)[0] == 1


def test_allow_a_client(url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, _ = run(capsys, "allow", "--store", url, "--client", "198.51.100.1", "--json", *NOW)
    assert (status, json.loads(out)) == (0, {"allowed": [["198.51.100.0/24"]]})
    assert check(url, "198.51.100.200", "anybody@example.com", 601) == "client-allowed"
    assert run(capsys, "allow", "--store", url, "--client", "192.0.2.0/24", *NOW)[0] == 0
    assert run(capsys, "allow", "--store", url, "--client", "Example.com", *NOW)[1] == "allowed: example.com\n"
    settings = tmp_path / "greylist.toml"
    settings.write_text("ipv4_prefix = 32")
    out = run(capsys, "allow", "--store", url, "--client", "203.0.113.5", "--settings", str(settings), *NOW)[1]
    assert out == "allowed: 203.0.113.5/32\n"


def test_allow_a_triplet_beforehand(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    triplet = ["--client", "203.0.113.77", "--sender", "Fay@example.org", "--recipient", "bob@example.net"]
    assert run(capsys, "allow", "--store", url, *triplet, *NOW)[0] == 0
    assert check(url, "203.0.113.1", "fay@example.org", 601) == "known"


def test_forget(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "forget", "--store", url, "--client", "192.0.2.1", *NOW)
    assert (status, len(out.splitlines())) == (0, 3)
    assert check(url, "192.0.2.97", "a@example.org", 601) == "new"
    status, out, _ = run(capsys, "forget", "--store", url, "--all", "--json", *NOW)
    assert (status, len(json.loads(out)["forgotten"])) == (0, 5)
    assert run(capsys, "show", "--store", url, *NOW)[0] == 1


def test_forget_what_somebody_else_removes_meanwhile(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is gone before its turn comes is done with, not tried again for ever."""
    real = open_store(url)

    class Racing:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def scan(self, *arguments: Any, **options: Any) -> Any:
            page = real.scan(*arguments, **options)
            for key, record in page.entries[:3]:
                real.compare_and_set(key, record, None)
            return page

    monkeypatch.setattr(cli, "open_store", lambda url: Racing())
    assert run(capsys, "forget", "--store", url, "--all", *NOW)[0] == 0
    assert real.scan().entries == []
    real.close()


def test_stats_before_and_after_expiry(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    def stats(now: float) -> dict[str, Any]:
        status, out, _ = run(capsys, "stats", "--store", url, "--json", "--now", str(now))
        assert status == 0
        result: dict[str, Any] = json.loads(out)
        return result

    before = stats(T + 600)
    assert (before["waiting"], before["known"], before["clients_counting"]) == (4, 2, 1)
    assert (before["deferred"], before["came_back"], before["never_retried"]) == (6, 2, 1)
    assert before["still_waiting"] == 3
    assert before["share_that_came_back"] == pytest.approx(2 / 3)
    assert run(capsys, "expire", "--store", url, *NOW)[1] == "removed 1 record\n"
    after = stats(T + 600)
    assert {**after, "waiting": 4} == before
    # long after: all is removed, and still counted
    later = str(T + 100 * 86400)
    assert json.loads(run(capsys, "expire", "--store", url, "--json", "--now", later)[1]) == {"removed": 6}
    last = stats(T + 100 * 86400)
    assert (last["waiting"], last["known"], last["deferred"]) == (0, 0, 6)
    assert (last["came_back"], last["never_retried"], last["share_that_came_back"]) == (2, 4, pytest.approx(1 / 3))
    out = run(capsys, "stats", "--store", url, *NOW)[1]
    assert "33.3%  of those whose time is over came back" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["show", "--store", "mysql:x"], "names no store"),
        (["show", "--store", "memory:"], "only by the process that has it"),
        (["show", "--store", "sqlite:/nonexistent/greylist.db"], "there is no file"),
        (["allow", "--store", "sqlite:/nonexistent/greylist.db", "--client", "192.0.2.1"], "unable to open"),
        (["show", "--store", "redis://127.0.0.1:1/0"], "127.0.0.1:1"),
        (["show", "--store", "FILE", "--client", "a b"], "neither an address, a network nor a domain"),
        (["allow", "--store", "FILE"], "say what to allow"),
        (
            ["allow", "--store", "FILE", "--client", "192.0.0.0/16"],
            "192.0.0.0/16 is no client",
        ),
        (["allow", "--store", "FILE", "--client", "192.0.2.128/25"], "networks of /24"),
        (["allow", "--store", "FILE", "--client", "2001:db8::/48"], "networks of /64"),
        (["forget", "--store", "FILE"], "say what to forget"),
        (["allow", "--store", "FILE", "--client", "192.0.2.1", "--settings", "/nonexistent"], "cannot read"),
        (
            [
                "allow",
                "--store",
                "FILE",
                "--client",
                "192.0.2.1",
                "--sender",
                "@x.example",
                "--recipient",
                "b@c.example",
            ],
            "name an address",
        ),
    ],
)
def test_mistakes(words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = f"sqlite://{tmp_path}/greylist.db"
    made = open_store(store)
    made.get(["k"])
    made.close()
    status, out, err = run(capsys, *[store if word == "FILE" else word for word in words])
    assert (status, out, len(err.splitlines())) == (2, "", 1)
    assert message in err


@pytest.mark.parametrize(
    ("option", "value"), [("--now", "nan"), ("--now", "1e300"), ("--now", "soon"), ("--limit", "-1"), ("--limit", "x")]
)
def test_a_number_that_is_none(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(capsys, "show", "--store", "sqlite:x.db", option, value)
    assert stop.value.code == 2
    assert value in capsys.readouterr().err


def test_a_file_that_is_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mail"
    path.write_text("From ann\n" * 1000)
    status, _, err = run(capsys, "stats", "--store", f"sqlite://{path}")
    assert (status, len(err.splitlines())) == (2, 1)
    assert "not a database" in err
