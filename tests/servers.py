"""Real servers for tests: finding programs, free ports, waiting until one listens.

How the tests find and start real servers. A server that is missing skips the test on a user's machine, with one line
that names the Debian package, and fails it in CI.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

_PLACES = "/usr/sbin:/usr/local/sbin:/sbin:" + os.environ.get("PATH", "/usr/bin:/bin")


def need(program: str, package: str) -> str:
    """The path of a program that a test needs; without it: a skip that says what to install, in CI a failure."""
    path = shutil.which(program, path=_PLACES) or shutil.which(program)
    if path is None:
        missing(f"{program} is not installed (Debian: apt-get install {package})")
    assert path is not None
    return path


def missing(reason: str) -> None:
    """A server is not there: fail in CI, skip elsewhere."""
    if os.environ.get("CI"):
        pytest.fail(f"CI must not skip: {reason}", pytrace=False)
    pytest.skip(reason)


_SHARES = 16  # test processes at a time


def _ports() -> Iterator[int]:
    """Ports that no system gives to a socket which asks for any, and no other process of this run takes; each once."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _SHARES
    share = range(10_000 + number, 32_000, _SHARES)
    start = random.SystemRandom().randrange(len(share))
    return itertools.cycle([*share[start:], *share[:start]])


_PORTS = _ports()


def free_port(address: str = "127.0.0.1") -> int:
    """A port that is free for UDP and TCP, and stays free until the server has started."""
    for port in itertools.islice(_PORTS, 100):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            contextlib.suppress(OSError),
        ):
            tcp.bind((address, port))
            udp.bind((address, port))
            return port
    raise RuntimeError("no port is free for both UDP and TCP")


def wait_for_tcp(port: int, address: str = "127.0.0.1", seconds: float = 20.0) -> None:
    """Wait until something listens; fail the test if nothing does."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        time.sleep(0.02)
    pytest.fail(f"nothing listens on {address}:{port} after {seconds} s")


@contextlib.contextmanager
def running(command: Sequence[str | Path], log: Path, **options: object) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in the foreground until the block ends; its output goes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen([str(word) for word in command], stdout=output, stderr=output, **options)  # type: ignore[call-overload]
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
