"""The HTTP server of the counters: what clients of all kinds get, and cannot do."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from mailauth.service import metrics
from mailauth.service.metrics import STALLED_SECONDS, Health, Metrics

HEALTH = b"GET /health HTTP/1.0\r\n\r\n"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Iterator[int]:
    monkeypatch.setattr(metrics, "REQUEST_SECONDS", 1.0)
    caplog.set_level(logging.INFO)
    listening = socket.create_server(("127.0.0.1", 0))
    served = Metrics()
    served.listen([listening], Health(["policyd"]))
    yield listening.getsockname()[1]
    listening.close()


def say(port: int, octets: bytes) -> bytes:
    """All that the server says to these octets."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(octets)
        reply = b""
        try:
            while received := connection.recv(65536):
                reply += received
        except ConnectionResetError:
            pass  # it did not read all of what it was sent
        return reply


def healthy(port: int) -> bool:
    return say(port, HEALTH).startswith(b"HTTP/1.0 200 OK\r\n")


@pytest.mark.parametrize(
    "octets",
    [
        b"\0\xff\xfe\r\n\r\n",
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"GET /metrics?name[]=%ff&x HTTP/1.0\r\n\r\n",
        b"GET /%00%ff HTTP/1.0\r\n\r\n",
        b"HEAD /metrics HTTP/1.0\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nContent-Length: 999999999\r\n\r\n",
        b"GET /metrics HTTP/1.0\r\nContent-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET /metrics HTTP/1.0\r\n" + 1000 * b"A: b\r\n" + b"\r\n",
        b"GET /metrics HTTP/1.0\r\nX: " + 200_000 * b"x" + b"\r\n\r\n",
        b"GET /" + 200_000 * b"x" + b" HTTP/1.0\r\n\r\n",
    ],
)
def test_any_octets(
    port: int, octets: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever is sent: an answer or none, no line in the log, and the next client is served."""
    say(port, octets)
    assert healthy(port)
    assert not caplog.records
    assert capfd.readouterr().err == ""


def test_by_hand(port: int) -> None:
    """With netcat, a line ends with LF alone."""
    assert say(port, b"GET /health HTTP/1.0\n\n").startswith(b"HTTP/1.0 200 OK\r\n")


def test_clients_that_go_away_are_nothing_to_tell(
    port: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    for octets in (b"", b"GET /metr", b"GET /metrics HTTP/1.0\r\n\r\n"):
        for _ in range(5):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(octets)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()  # by a reset
    assert healthy(port)
    assert not caplog.records
    assert capfd.readouterr().err == ""


def test_slow_clients_are_let_go_and_are_no_more_than_some(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that sends an octet now and then has one deadline for all of them."""
    before = threading.active_count()
    slow = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(metrics.MAX_CLIENTS + 20)]
    end = time.monotonic() + 20
    while slow:
        assert time.monotonic() < end
        assert threading.active_count() <= before + metrics.MAX_CLIENTS
        for connection in list(slow):
            try:
                connection.sendall(b"G")
                connection.settimeout(0.001)
                over = connection.recv(1) == b""
            except TimeoutError:
                over = False
            except ConnectionError:
                over = True
            if over:
                slow.remove(connection)
                connection.close()
    assert healthy(port)


def test_a_unix_socket(tmp_path: object) -> None:
    path = f"{tmp_path}/metrics.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen(5)
        Metrics().listen([listening], Health(["policyd"]))
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(path)
            client.sendall(HEALTH)
            assert client.recv(65536).startswith(b"HTTP/1.0 200 OK\r\n")


def test_a_loop_that_stands_still_is_not_healthy() -> None:
    now = [0.0]
    health = Health(["policyd"], clock=lambda: now[0])
    assert health.status == "ok"
    now[0] = STALLED_SECONDS + 1
    assert health.status == "stalled"
    health.beat()
    assert health.status == "ok"
    health.stopping = True
    assert health.status == "stopping"


def test_content_types(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/metrics")
    assert connection.getresponse().headers["Content-Type"].startswith("text/plain; version=")
    connection.close()
