"""`Program`: one of our services as its user starts it, in a process of its own, with a zone file for the DNS."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

ZONE = """\
$ORIGIN .
$TTL 300
mailbox.test            A    192.0.2.25
client.test             A    192.0.2.1
client.test             TXT  "v=spf1 ip4:192.0.2.0/24 -all"
forged.test             TXT  "v=spf1 -all"
1.2.0.192.in-addr.arpa  PTR  client.test.
9.2.0.192.bl.test       A    127.0.0.2
2.0.0.127.bl.test       A    127.0.0.2
rsa._domainkey.example.org  TXT  "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
"""


def request(**attributes: str) -> bytes:
    """A policy request of Postfix at RCPT."""
    values = {
        "request": "smtpd_access_policy",
        "protocol_state": "RCPT",
        "protocol_name": "ESMTP",
        "client_address": "192.0.2.1",
        "client_name": "client.test",
        "helo_name": "client.test",
        "sender": "ann@client.test",
        "recipient": "bob@mailbox.test",
        "instance": "a.b.c",
        "queue_id": "",
        **attributes,
    }
    return "".join(f"{name}={value}\n" for name, value in values.items()).encode() + b"\n"


def ask(connection: socket.socket, **attributes: str) -> str:
    """The action for a request."""
    connection.sendall(request(**attributes))
    reply = b""
    while not reply.endswith(b"\n\n"):
        octets = connection.recv(4096)
        assert octets, f"the service closed the connection after {reply!r}"
        reply += octets
    return reply.decode().removeprefix("action=").rstrip("\n")


class Program:
    """``mailauth COMMAND --config FILE`` in a folder; `log` is what it wrote to standard error."""

    def __init__(self, command: str, folder: Path, config: str) -> None:
        self.command, self.folder = command, folder
        self.file = folder / "mailauth.toml"
        (folder / "zone").write_text(ZONE)
        self.write(config)
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, config: str) -> None:
        """Another configuration; the name of this server and the zone stand in front."""
        self.file.write_text(f'hostname = "mx.mailbox.test"\n{config}\n[resolver]\nzone = "zone"\n')

    def words(self, *more: str) -> list[str]:
        return [sys.executable, "-m", "mailauth", self.command, "--config", str(self.file), *more]

    def start(
        self, prefix: Sequence[str] = (), environment: Mapping[str, str] | None = None, **options: object
    ) -> None:
        """Start it, and wait until it serves."""
        log_file = self.folder / "log"
        before = self.log.count("serving ") if log_file.exists() else 0
        with log_file.open("ab") as log:
            self.process = subprocess.Popen(  # type: ignore[call-overload]
                [*prefix, *self.words()],
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src"), **(environment or {})},
                **options,
            )
        self.wait_for_log("serving ", before + 1)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def wait_for_log(self, pattern: str, count: int = 1, seconds: float = 20.0) -> None:
        """Wait until `count` places of the log match."""
        end = time.monotonic() + seconds
        while len(re.findall(pattern, self.log)) < count:
            if time.monotonic() > end or (self.process is not None and self.process.poll() is not None):
                pytest.fail(f"no {pattern!r} in the log:\n{self.log}")
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self, seconds: float = 20.0) -> int:
        """Its exit status."""
        assert self.process is not None
        return self.process.wait(seconds)

    def stop(self) -> int:
        """End it as a service manager does; the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait()

    def close(self) -> None:
        """Kill it, if it runs."""
        self.kill()

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def serving(command: str, folder: Path, config: str) -> Iterator[Program]:
    """A service that runs until the block ends."""
    program = Program(command, folder, config)
    try:
        program.start()
        yield program
    finally:
        program.kill()


def connect(path: Path | str) -> socket.socket:
    """A connection to a unix socket."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(20)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection
