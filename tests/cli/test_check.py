"""The ``mailauth check`` command, as people and programs use it.

`mailauth check` says accept, reject, defer or usage error by its exit status, gives a reason for every line, and
answers a mistake of its user with one line on stderr and status 2, never with a traceback.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from mailauth.cli import main

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent / "src")}
SIGNED_TWICE = EXAMPLES / "rfc8463-a3.eml"

SENDER = [
    "--zone", str(EXAMPLES / "demo.zone"), "--helo", "mail.football.example.com",
    "--rcpt-to", "suzie@shopping.example.net",
    "--mail-from", "joe@football.example.com", "--hostname", "mx.shopping.example.net",
]  # fmt: skip
KNOWN = ["--ip", "192.0.2.1", *SENDER]
LISTED = ["--ip", "203.0.113.99", *SENDER, "--rbl", "bl.example.org"]


def check(*words: str | Path) -> int:
    return main(["check", *map(str, words)])


def report(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, object]:
    check("--json", *words)
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_two_signatures_pass(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(*KNOWN, SIGNED_TWICE) == 0
    out = capsys.readouterr().out
    assert "DKIM          pass        d=football.example.com s=brisbane ed25519-sha256" in out
    assert "DKIM          pass        d=football.example.com s=test rsa-sha256" in out
    assert "SPF MAIL FROM pass        ip4:192.0.2.0/28" in out
    assert "reverse DNS   pass        mail.football.example.com" in out
    assert "\nverdict       accept\n" in out
    assert "\nAuthentication-Results: mx.shopping.example.net;\n" in out
    assert out.endswith("SMTP reply: 250 2.0.0 Ok\n")


def test_the_first_signed_message(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, *KNOWN, EXAMPLES / "rfc6376-a2.eml")
    assert [signature["result"] for signature in found["dkim"]] == ["pass"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("changed", [b"Are you hungry now?", b"are you hungry yet?"])
def test_one_change_of_the_body_breaks_every_signature(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, changed: bytes
) -> None:
    message = SIGNED_TWICE.read_bytes()
    assert b"Are you hungry yet?" in message
    (tmp_path / "changed.eml").write_bytes(message.replace(b"Are you hungry yet?", changed))
    found = report(capsys, *KNOWN, tmp_path / "changed.eml")
    results = [(signature["result"], signature["reason"]) for signature in found["dkim"]]  # type: ignore[attr-defined]
    assert results == [("fail", "body-hash-differs")] * 2


def test_a_listed_client_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(*LISTED, SIGNED_TWICE) == 1
    out = capsys.readouterr().out
    assert "block list    listed" in out
    assert "203.0.113.99 sent spam to a trap" in out
    assert "SMTP reply: 554 5.7.1 " in out


def test_json_says_what_the_lines_say(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, *LISTED, SIGNED_TWICE)
    assert found["verdict"] == "reject"
    assert [(listing["zone"], listing["result"]) for listing in found["rbl"]] == [("bl.example.org", "listed")]  # type: ignore[attr-defined]
    assert found["spf"]["result"] == "fail"  # type: ignore[index]
    assert found["iprev"]["result"] == "fail"  # type: ignore[index]
    assert str(found["reply"]).startswith("554 5.7.1 ")


def test_greylisting_defers_and_lets_a_retry_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    greylisted = [*KNOWN, "--greylist", f"sqlite:///{tmp_path}/greylist.db"]
    assert check(*greylisted, "--now", "2026-11-01T12:00:00Z", SIGNED_TWICE) == 75
    assert "450 4.7.1 " in capsys.readouterr().out
    assert check(*greylisted, "--now", "2026-11-01T12:01:00Z", SIGNED_TWICE) == 75
    assert check(*greylisted, "--now", "2026-11-01T12:10:00Z", SIGNED_TWICE) == 0
    assert "greylist      accept" in capsys.readouterr().out


def test_verbose_adds_the_spf_tree_and_the_dkim_details(capsys: pytest.CaptureFixture[str]) -> None:
    check("-v", *KNOWN, SIGNED_TWICE)
    out = capsys.readouterr().out
    assert "? football.example.com TXT" in out
    assert "ip4:192.0.2.0/28: match" in out
    assert "canonical     relaxed/relaxed" in out


def test_every_check_that_was_not_made_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    found = report(capsys, "--ip", "192.0.2.1", "--zone", EXAMPLES / "demo.zone", SIGNED_TWICE)
    why = found["not_evaluated"]
    assert why == {
        "rbl": "no list is named",
        "spf_helo": "no HELO name is known",
        "greylist": "no store is named",
    }


def test_a_configuration_file_takes_the_place_of_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configuration = """
hostname = "mx.shopping.example.net"
[rbl]
lists = ["bl.example.org=127.0.0.4*2"]
[restrictions]
client = ["reject_rbl"]
recipient = ["check_spf"]
"""
    (tmp_path / "mailauth.toml").write_text(configuration)
    words = ["--config", tmp_path / "mailauth.toml", "--zone", EXAMPLES / "demo.zone", "--rcpt-to", "a@b.example"]
    assert check(*words, "--ip", "203.0.113.99", "--mail-from", "joe@football.example.com", SIGNED_TWICE) == 1
    out = capsys.readouterr().out
    assert "by check_spf (spf-fail)" in out or "by reject_rbl" in out
    assert check(*words, "--ip", "192.0.2.1", "--mail-from", "joe@football.example.com", SIGNED_TWICE) == 0


def test_no_colour_outside_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    check(*LISTED, SIGNED_TWICE)
    assert "\x1b" not in capsys.readouterr().out


def test_colour_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    check(*LISTED, SIGNED_TWICE)
    assert "\x1b[31mlisted" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    check(*LISTED, SIGNED_TWICE)
    assert "\x1b" not in capsys.readouterr().out


def test_what_a_peer_sent_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "message.eml").write_bytes(
        b"From: a@example.com\r\nDKIM-Signature: v=1; d=\x1b[2J\x07; s=\x9b\r\n\r\nHi\r\n"
    )
    hostile = ["--helo", "x\x1b[2J\r\nEvil: yes", "--mail-from", "a\x1b]0;t\x07@b\nc"]
    check("--ip", "192.0.2.1", "--zone", EXAMPLES / "demo.zone", *hostile, tmp_path / "message.eml")
    out = capsys.readouterr().out
    assert not [char for char in out if not char.isprintable() and char != "\n"]
    assert "\nEvil:" not in out


def run_command(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mailauth", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT, **options)  # type: ignore[call-overload,no-any-return]


def test_standard_input_is_a_message() -> None:
    with SIGNED_TWICE.open("rb") as message:
        done = run_command("check", *KNOWN, "-", stdin=message)
    assert done.returncode == 0
    assert done.stdout.count("DKIM          pass") == 2
    assert not done.stderr


BAD_ZONE = '$ORIGIN example.org.\n@ IN TXT "fine"\n@ IN A 192.0.2.300\n'


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--ip", "192.0.2.1", "no-such-file.eml"], "no-such-file.eml"),
        (["--ip", "192.0.2.1", "."], "directory"),
        (["--ip", "192.0.2.256", SIGNED_TWICE], "192.0.2.256"),
        (["--ip", "mail.example.org", SIGNED_TWICE], "not an IPv4 or IPv6 address"),
        (["--ip", "192.0.2.1", "--zone", "no.zone", SIGNED_TWICE], "no.zone"),
        (["--ip", "192.0.2.1", "--zone", "bad.zone", SIGNED_TWICE], "bad.zone:3"),
        (["--ip", "192.0.2.1", "empty.eml"], "empty"),
        (["--ip", "192.0.2.1", "--greylist", "mysql://x", SIGNED_TWICE], "mysql"),
        (["--ip", "192.0.2.1", "--rbl", "bl.example.org=1.2.3", SIGNED_TWICE], "1.2.3"),
        (["--ip", "192.0.2.1", "--hostname", "not a name", SIGNED_TWICE], "not a name"),
        (["--ip", "192.0.2.1", "--now", "yesterday", SIGNED_TWICE], "--now: neither ISO 8601 nor seconds"),
        (["--ip", "192.0.2.1", "--now", "nan", SIGNED_TWICE], "--now: neither ISO 8601 nor seconds"),
        (["--ip", "192.0.2.1", "--now", "1e999", SIGNED_TWICE], "--now: neither ISO 8601 nor seconds"),
        (["--ip", "192.0.2.1", "--time-limit", "-1", SIGNED_TWICE], "--time-limit: not a number of seconds"),
        (["--ip", "192.0.2.1", "--time-limit", "ten", SIGNED_TWICE], "--time-limit: not a number of seconds: 'ten'"),
        (["--ip", "192.0.2.1", "--config", "no.toml", SIGNED_TWICE], "no.toml"),
        (["--ip", "192.0.2.1", "--config", "bad.toml", SIGNED_TWICE], "bad.toml:2"),
        (["--ip", "192.0.2.1", "--config", "bad.toml", "--rbl", "bl.example.org", SIGNED_TWICE], "--config"),
        ([SIGNED_TWICE], "--ip"),
        (["--ip", "192.0.2.1"], "MESSAGE"),
    ],
)
def test_a_mistake_is_one_clear_line_and_status_2(words: list[str | Path], says: str, tmp_path: Path) -> None:
    (tmp_path / "bad.zone").write_text(BAD_ZONE)
    (tmp_path / "empty.eml").write_bytes(b"")
    (tmp_path / "bad.toml").write_text('hostname = "mx.example.net"\nnetwork = ["192.0.2.0/24"]\n')
    done = run_command("check", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert not done.stdout
    assert "Traceback" not in done.stderr
    assert says in done.stderr
    complaint = [line for line in done.stderr.splitlines() if line.startswith("mailauth")]
    assert len(complaint) == 1


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file that can be opened and not be read")
def test_a_file_that_can_be_opened_and_not_be_read() -> None:
    done = run_command("check", *KNOWN, "/proc/self/mem")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "rror" in done.stderr


def test_standard_input_that_is_closed() -> None:
    command = ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "mailauth", "check", *KNOWN, "-"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (2, "mailauth: cannot read standard input: it is closed\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_no_success(unbuffered: str) -> None:
    command = [sys.executable, "-m", "mailauth", "check", *KNOWN, str(SIGNED_TWICE)]
    environment = {**ENVIRONMENT, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith("mailauth: ")
    assert "Traceback" not in done.stderr


def test_a_terminal_that_knows_ascii_only() -> None:
    command = [sys.executable, "-m", "mailauth", "check", *KNOWN, "--mail-from", "\u00e5nn@b\u00fccher.example"]
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*command, str(SIGNED_TWICE)], capture_output=True, check=False, env=environment)
    assert not done.stderr
    assert b"?nn@b?cher.example" in done.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_no_traceback(unbuffered: str) -> None:
    command = [sys.executable, "-m", "mailauth", "check", "--json", *KNOWN, str(SIGNED_TWICE)]
    environment = {**ENVIRONMENT, "PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    # Neither 0 (accept) nor 1 (reject).
    assert process.returncode == 141


def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    """`make demo` runs this script, which checks each exit status itself."""
    (tmp_path / "mailauth").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mailauth "$@"\n')
    (tmp_path / "mailauth").chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(EXAMPLES.parent / "src")}
    script = ["sh", str(EXAMPLES / "demo.sh")]
    done = subprocess.run(script, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n=== ") == 8
    assert not done.stderr
    assert "DMARC         pass        spf passed for football.example.com: the same domain\n" in done.stdout
    assert "example.com asks for sp=quarantine; disposition quarantine\n" in done.stdout
    assert "<- policy, organizational domain\n" in done.stdout


def test_a_message_larger_than_memory_would_like_is_read_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            sizes.append(-1 if size is None else size)
            return super().read(size)

    stream = Counting(SIGNED_TWICE.read_bytes() + b"x" * 1_000_000)
    monkeypatch.setattr("mailauth.cli.check.open_message", lambda path: stream)
    assert check(*KNOWN, SIGNED_TWICE) == 0
    assert sizes
    assert all(0 < size <= 1 << 20 for size in sizes)


def test_the_shell_completes_words() -> None:
    """What bash sends by argcomplete's protocol: the line so far."""
    line = "mailauth dkim ver"
    asked = {"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "_ARGCOMPLETE_IFS": " "}
    program = "import sys; from mailauth.cli import main; main([])"
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer"
        environment = {**ENVIRONMENT, **asked, "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
        subprocess.run([sys.executable, "-c", program], check=True, env=environment, capture_output=True)
        assert answer.read_text().split() == ["verify"]
