"""Services in processes of their own, for the subjects that talk to them."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path


@contextlib.contextmanager
def running(command: Sequence[str], address: str, **environment: str) -> Iterator[int]:
    """A service until the block ends, once it takes connections at "inet:HOST:PORT" or "unix:PATH"; its process id."""
    everything = {**os.environ, **environment}
    with subprocess.Popen(command, env=everything, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait(process, address)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:  # a milter of libmilter looks every five seconds whether it shall end
                process.kill()


def wait(process: subprocess.Popen[bytes], address: str, seconds: float = 20.0) -> None:
    """Wait until the service takes connections. Raises `RuntimeError` if it does not, or has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            connect(address).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens at {address}; {process.args!r} has status {process.poll()}")


def connect(address: str) -> socket.socket:
    """A connection to "inet:HOST:PORT" or "unix:PATH"."""
    kind, _, rest = address.partition(":")
    if kind == "unix":
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(rest)
        return connection
    host, _, port = rest.rpartition(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def resident(process: int) -> int:
    """The resident memory of a process, octets."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def debian_version(package: str) -> str:
    """The version of a Debian package, without Debian's own part; an empty string where there is no dpkg."""
    try:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.rpartition("-")[0] or done.stdout
