"""sd_notify(3): what the service manager is told."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from mailauth.service.notify import Notifier


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
