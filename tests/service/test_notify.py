"""sd_notify(3): what the service manager hears."""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailauth.service.notify import Notifier
from tests.service.program import Program


@pytest.mark.parametrize("abstract", [False, True])
def test_messages(tmp_path: Path, abstract: bool) -> None:
    path = f"@mailauth-test-{tmp_path.name}-{id(tmp_path)}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + path[1:] if abstract else path)
        manager.settimeout(5)
        notifier = Notifier(path)
        notifier.ready("policyd at inet:127.0.0.1:10040")
        assert manager.recv(1000) == b"READY=1\nSTATUS=policyd at inet:127.0.0.1:10040"
        notifier.reloading()
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=\d+", manager.recv(1000))
        notifier.stopping()
        assert manager.recv(1000) == b"STOPPING=1"


def test_without_a_manager_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().ready("x")
    Notifier(str(tmp_path / "gone")).ready("x")
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone too"))
    Notifier().stopping()


# --- the watchdog (sd_watchdog_enabled(3)) ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, math.inf),
        ({"WATCHDOG_USEC": "0"}, math.inf),
        ({"WATCHDOG_USEC": "soon"}, math.inf),
        ({}, math.inf),
    ],
)
def test_the_watchdog_of_this_process(
    environment: dict[str, str], interval: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WATCHDOG_USEC", "WATCHDOG_PID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Notifier("/run/manager").interval == interval
    assert Notifier("").interval == math.inf


def test_the_watchdog_hears_no_more_than_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "60000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    with manager(tmp_path) as channel:
        notifier = Notifier(str(tmp_path / "notify"))
        for _ in range(10):
            notifier.alive()
        notifier.stopping()
        assert [channel.recv(100) for _ in range(2)] == [b"WATCHDOG=1", b"STOPPING=1"]


@contextlib.contextmanager
def manager(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(folder / "notify"))
        channel.settimeout(20)
        yield channel


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_feeds_its_watchdog_until_it_has_ended(tmp_path: Path, workers: int) -> None:
    """Half a second: it hears of the service while it serves, after its file was read again, and while it ends."""
    config = f'[policyd]\nlisten = ["unix:{tmp_path}/p"]\n[service]\nworkers = {workers}\ngrace = 1\n'
    program = Program("policyd", tmp_path, config)
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "500000"}
    with manager(tmp_path) as channel:
        try:
            program.start(environment=environment)
            wait_for(channel, b"READY=1")
            assert alive_for(channel, 1.5)
            program.signal(signal.SIGHUP)
            wait_for(channel, b"READY=1")
            assert alive_for(channel, 1.0)
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(tmp_path / "p"))
                connection.sendall(b"request=smtpd_acc")  # and no more: it waits for the rest
                time.sleep(0.3)
                program.signal(signal.SIGTERM)
                wait_for(channel, b"STOPPING=1")
                assert alive_for(channel, 0.7)
                assert program.wait() == 0
        finally:
            program.kill()


def wait_for(channel: socket.socket, state: bytes) -> None:
    while not channel.recv(1000).startswith(state):
        pass


def alive_for(channel: socket.socket, seconds: float) -> int:
    """How often it was heard of."""
    found, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        found += channel.recv(1000) == b"WATCHDOG=1"
    return found


def test_a_loop_that_stands_still_is_not_alive(tmp_path: Path) -> None:
    program = Program("policyd", tmp_path, f'[policyd]\nlisten = ["unix:{tmp_path}/p"]\n')
    with manager(tmp_path) as channel:
        try:
            program.start(environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000"})
            wait_for(channel, b"WATCHDOG=1")
            program.signal(signal.SIGSTOP)
            channel.settimeout(0.5)
            with pytest.raises(TimeoutError):  # what came before is read, then nothing comes
                wait_for(channel, b"STOPPING=1")
            program.signal(signal.SIGCONT)
            channel.settimeout(20)
            wait_for(channel, b"WATCHDOG=1")
            assert program.stop() == 0
        finally:
            program.kill()
