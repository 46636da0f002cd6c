"""`Notifier`: says to the service manager how the service does (sd_notify(3)); elsewhere it says nothing."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Mapping


class Notifier:
    """Speaks to ``NOTIFY_SOCKET`` of the environment, as ``Type=notify`` and ``Type=notify-reload`` want it.

    Where the manager has a watchdog (``WatchdogSec=``, sd_watchdog_enabled(3)), `alive` is to be called every
    `interval` seconds at least; without one, `interval` is infinite.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = os.environ.get("NOTIFY_SOCKET") if path is None else path
        # Half of the time after which the manager kills the service.
        self.interval = _watchdog_seconds(os.environ) / 2 if self._path else math.inf
        self._due = -math.inf

    def alive(self) -> None:
        """The service does its work. The manager hears of it once in each `interval`, however often this is called."""
        now = time.monotonic()
        if now >= self._due and self.interval < math.inf:
            self._due = now + self.interval
            self._send("WATCHDOG=1")

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


def _watchdog_seconds(environment: Mapping[str, str]) -> float:
    """The time of the watchdog, if it watches this process."""
    microseconds, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID")
    ours = process is None or process == str(os.getpid())
    if not (ours and microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0):
        return math.inf
    return int(microseconds) / 1_000_000
