"""examples/aiosmtpd_server.py, with swaks and with floods.

The example server does what its configuration says, as a program of its own, and 100 MB cost it no memory.
"""

from __future__ import annotations

import contextlib
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mailauth.config import load
from tests.servers import free_port, need, running, wait_for_tcp

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "aiosmtpd_server.py"
MAX_SIZE = 1_000_000
FLOOD = 100_000_000


class Program(NamedTuple):
    port: int
    pid: int
    mail: Path
    log: Path

    def peak_memory(self) -> int:
        """The most memory that the process ever had, in octets."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) * 1024


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The example with its own configuration, but for the port, the folder and a smaller size."""
    folder = tmp_path_factory.mktemp("example")
    port = free_port()
    text = (ROOT / "examples" / "aiosmtpd_server.toml").read_text()
    for old, new in {
        "port = 8025": f"port = {port}\nmax_size = {MAX_SIZE}",
        "maildir:/tmp/mailauth-example": f"maildir:{folder}/mail",
        '"demo.zone"': f'"{ROOT}/examples/demo.zone"',
        '"127.0.0.0/8", "::1"': '"127.0.0.99"',
    }.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "server.toml").write_text(text)
    command = [sys.executable, EXAMPLE, folder / "server.toml"]
    with running(command, folder / "log", env={"PYTHONPATH": str(ROOT / "src")}) as process:
        wait_for_tcp(port)
        yield Program(port, process.pid, folder / "mail", folder / "log")
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert "Traceback" not in (folder / "log").read_text()


def test_the_file_is_checked_and_small() -> None:
    assert load(ROOT / "examples" / "aiosmtpd_server.toml").listen is not None
    assert len(EXAMPLE.read_text().splitlines()) < 80


def flood(program: Program, piece: bytes) -> bytes:
    """Send 100 MB as the content of a message; the reply."""
    with socket.create_connection(("127.0.0.1", program.port), 60, source_address=("127.0.0.99", 0)) as connection:
        file = connection.makefile("rb")
        with contextlib.closing(file):
            for line in (b"", b"HELO x.example", b"MAIL FROM:<a@b.example>", b"RCPT TO:<c@d.example>", b"DATA"):
                if line:
                    connection.sendall(line + b"\r\n")
                assert file.readline()[:1] in b"23"
            for _ in range(FLOOD // len(piece)):
                connection.sendall(piece)
            connection.sendall(b"\r\n.\r\n")
            return file.readline()


@pytest.mark.parametrize("piece", [b"x" * 100_000, b"\r\n" * 50_000, b".\r" * 50_000], ids=["line", "lines", "dots"])
def test_a_hundred_megabytes_are_refused_and_not_kept(program: Program, piece: bytes) -> None:
    before = program.peak_memory()
    reply = flood(program, piece)
    assert reply.startswith(b"552 5.3.4 ")
    # The limit is 1 MB; a few buffers of the sockets and of the interpreter come on top.
    assert program.peak_memory() - before < 12 * MAX_SIZE


def test_a_hundred_megabytes_that_are_announced_are_not_even_sent(program: Program) -> None:
    with smtplib.SMTP("127.0.0.1", program.port, "localhost", timeout=30) as client:
        client.ehlo("x.example")
        assert client.docmd(f"MAIL FROM:<a@b.example> SIZE={FLOOD}")[0] == 552


def swaks(program: Program, *words: str) -> tuple[int, str]:
    command = [need("swaks", "swaks"), "--server", f"127.0.0.1:{program.port}", "--timeout", "30", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.server
@pytest.mark.parametrize(
    ("words", "status", "reply"),
    [
        ("--to suzie@shopping.example.net --from joe@nowhere.example.com --ehlo mx.example.com", 24, "450 4.1.8"),
        ("--to suzie@shopping.example.net --from joe@football.example.com --ehlo mx.example.com", 24, "550 5.7.23"),
        ("--to suzie@shopping.example.org --from <> --ehlo mx.example.com", 24, "554 5.7.1"),
        ("--to postmaster@shopping.example.net --from <> --ehlo mx.example.com", 0, "250 2.0.0"),
        ("--to suzie@shopping.example.net --from <> --ehlo mx.example.com", 24, "450 4.7.1"),
        ("--to a@b.example,c@d.example --from joe@football.example.com --local-interface 127.0.0.99", 0, "250 2.0.0"),
        ("--to suzie@shopping.example.net --from <> --ehlo mx..example.com", 24, "501 5.5.2"),
        ("--to postmaster@shopping.example.net --from <> --ehlo mx.example.com --pipeline", 0, "250 2.0.0"),
    ],
)
def test_swaks(program: Program, words: str, status: int, reply: str) -> None:
    found, output = swaks(program, *words.split())
    assert found == status, output
    assert reply in output
    if status == 0:
        assert any(program.mail.joinpath("new").iterdir())


def test_a_bad_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("hostnam = 1\n")
    for words, expected in (
        ([tmp_path / "bad.toml"], "bad.toml:1: hostnam: unknown key"),
        ([], "usage"),
        (["no"], "no"),
    ):
        done = subprocess.run(
            [sys.executable, EXAMPLE, *words], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "src")}
        )
        assert done.returncode == 2
        assert expected in done.stderr
        assert "Traceback" not in done.stderr
