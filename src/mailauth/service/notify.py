"""`Notifier`: tells the service manager how the service does (sd_notify(3)); elsewhere it says nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Notifier:
    """Speaks to ``NOTIFY_SOCKET`` of the environment, as ``Type=notify`` and ``Type=notify-reload`` want it."""

    def __init__(self, path: str | None = None) -> None:
        self._path = os.environ.get("NOTIFY_SOCKET") if path is None else path

    def ready(self, status: str) -> None:
        """The service has begun, or has read its configuration again."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read again."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service ends as soon as what is in hand is done."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._path:
            return
        # "@" stands for the first octet of an abstract socket. A manager that does not listen is no reason to fail.
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel, contextlib.suppress(OSError):
            channel.sendto(state.encode(), address)
