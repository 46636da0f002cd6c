"""`Metrics`: counters for Prometheus and a health check, over HTTP (extra `metrics`: prometheus_client).

``/metrics`` has the counters of all worker processes together, ``/health`` says whether this process does its work.
"""

# SECURITY: whoever reaches the address may read how much mail is refused, no more: no label is a peer's.

from __future__ import annotations

import fcntl
import glob
import io
import json
import logging
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from mailauth import MailAuthError, __version__

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Metric

_log = logging.getLogger("mailauth.service")

STALLED_SECONDS = 10.0
"""A process whose event loop has not run for so long is not healthy."""
REQUEST_SECONDS = 10.0
"""How long a client may take to send its request, and to take the answer."""
MAX_HEAD_OCTETS = 65_536
"""Of a request; http.server takes no longer lines either."""
MAX_CLIENTS = 32
"""Requests at a time; more are let go at once."""
_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client adds up the processes that share this folder


@contextmanager
def shared_by_workers() -> Iterator[None]:
    """Let the processes that are forked within the block count together. Before prometheus_client is imported."""
    with tempfile.TemporaryDirectory(prefix="mailauth-metrics-") as folder:
        os.environ[_MULTIPROCESS] = folder
        # systemd-tmpfiles takes away what is old, unless its directory is locked (tmpfiles.d(5), "Age").
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)
            del os.environ[_MULTIPROCESS]


class Health:
    """Whether a process does its work. `beat` is called by its event loop again and again."""

    def __init__(self, services: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.services = tuple(services)
        self.stopping = False
        self._clock = clock
        self._beaten = clock()

    def beat(self) -> None:
        """The event loop runs."""
        self._beaten = self._clock()

    @property
    def status(self) -> str:
        """ "ok", "stopping", or "stalled"."""
        if self.stopping:
            return "stopping"
        return "stalled" if self._clock() - self._beaten > STALLED_SECONDS else "ok"


def require_prometheus() -> Any:
    """The library. Raises `MailAuthError` where it is not installed."""
    try:
        import prometheus_client
    except ImportError:
        raise MailAuthError("service.metrics needs prometheus_client: pip install 'mailauth[metrics]'") from None
    return prometheus_client


class Metrics:
    """Counts what the services do. Raises `MailAuthError` where prometheus_client is not installed.

    `place` is that of a worker process: the one that is started in its place goes on with its counters.
    """

    def __init__(self, place: int | None = None) -> None:
        prometheus_client = require_prometheus()
        self._client = prometheus_client
        shared = place is not None
        if shared:
            # By default a file for each process that ever was: a worker that fails again and again would fill the disk.
            prometheus_client.values.ValueClass = prometheus_client.values.MultiProcessValue(lambda: place)
        self._registry: CollectorRegistry = prometheus_client.CollectorRegistry()
        if not shared:
            for collector in (prometheus_client.ProcessCollector, prometheus_client.PlatformCollector):
                collector(registry=self._registry)
        self._shared = shared
        self._events = prometheus_client.Counter(
            "mailauth_events", "What the services did", ["service", "event"], registry=self._registry
        )
        self._connections = prometheus_client.Gauge(
            "mailauth_connections",
            "Open connections",
            ["service"],
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        self._loads = prometheus_client.Counter(
            "mailauth_configuration_loads", "How often the file was read", ["result"], registry=self._registry
        )

    def count(self, service: str, event: str) -> None:
        """Something happened: the action of a policy request, or a word of `mailauth.milter.MailFilter`."""
        self._events.labels(service, event.lower()).inc()

    def opened(self, service: str, change: int) -> None:
        """A connection was opened (1) or closed (-1)."""
        self._connections.labels(service).inc(change)

    def loaded(self, result: str) -> None:
        """The configuration was read: "ok", or "failed"."""
        self._loads.labels(result).inc()

    def listen(self, sockets: Iterable[socket.socket], health: Health) -> None:
        """Serve HTTP at the sockets, in threads that end with the process."""
        for name in health.services:  # what has not happened yet is 0, so that the first one is an increase
            self._connections.labels(name)
        for result in ("ok", "failed"):
            self._loads.labels(result)
        for each in sockets:
            server = _Server(each, partial(self._application, health))
            threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()

    def _application(self, health: Health, environ: dict[str, Any], respond: Any) -> Iterable[bytes]:
        """WSGI: ``/health`` ourselves, ``/metrics`` by the library."""
        path = environ.get("PATH_INFO")
        if path == "/health":
            return _health(health, respond)
        if path != "/metrics":
            respond("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics and /health are here\n"]
        registry = self._registry
        if self._shared:
            registry = self._client.CollectorRegistry()
            registry.register(_AllWorkers())
        found: Iterable[bytes] = self._client.make_wsgi_app(registry)(environ, respond)
        return found


class _AllWorkers:
    """Collects what all worker processes have counted."""

    def collect(self) -> Iterable[Metric]:
        from prometheus_client import multiprocess

        # A worker that starts makes its files empty and gives them their size then; the library fails on an empty one.
        files = [file for file in glob.glob(os.path.join(os.environ[_MULTIPROCESS], "*.db")) if _has_size(file)]
        merged: Iterable[Metric] = multiprocess.MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
        return merged


def _has_size(file: str) -> bool:
    try:
        return os.stat(file).st_size > 0
    except FileNotFoundError:  # its worker has ended
        return False


def worker_ended(place: int) -> None:
    """The worker process at that place has ended: its connections count no more. Its counters stay."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(place)  # type: ignore[no-untyped-call]


def _health(health: Health, respond: Any) -> Iterable[bytes]:
    status = health.status
    body = json.dumps({"status": status, "services": health.services, "version": __version__, "pid": os.getpid()})
    respond("200 OK" if status == "ok" else "503 Service Unavailable", [("Content-Type", "application/json")])
    return [body.encode() + b"\n"]


class _Handler(WSGIRequestHandler):
    """Reads the whole head of a request by one deadline: a client that sends an octet now and then is let go, too."""

    timeout = REQUEST_SECONDS

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BytesIO(self._head())

    def _head(self) -> bytes:
        head, end = b"", time.monotonic() + REQUEST_SECONDS
        while not head.endswith((b"\r\n\r\n", b"\n\n")) and len(head) < MAX_HEAD_OCTETS:
            self.connection.settimeout(max(0.001, end - time.monotonic()))
            octets = self.connection.recv(4096)
            if not octets:
                break
            head += octets
        self.connection.settimeout(REQUEST_SECONDS)
        return head

    def log_message(self, format: str, *args: object) -> None:
        _log.debug(format, *args)


class _Server(ThreadingMixIn, WSGIServer):
    """wsgiref's server at a socket that listens already."""

    daemon_threads = True

    def __init__(self, listening: socket.socket, application: Any) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        listening.setblocking(False)  # another worker may be first
        self.socket = listening
        self._free = threading.BoundedSemaphore(MAX_CLIENTS)
        place = listening.getsockname()
        # What server_bind would have set; a unix socket has no host and no port.
        self.server_name, self.server_port = (place[0], place[1]) if isinstance(place, tuple) else ("localhost", 0)
        self.setup_environ()
        self.set_app(application)

    def get_request(self) -> tuple[socket.socket, Any]:
        """As socketserver does; a client of a unix socket has no address."""
        try:
            connection, place = self.socket.accept()
        except BlockingIOError:
            raise
        except OSError:
            time.sleep(1)  # no file is free: it is asked again at once otherwise
            raise
        return connection, place or ("", 0)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread, as long as there are not too many."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """In the thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or was too slow, is nothing to tell; what is our own fault is."""
        error = sys.exc_info()[1]
        _log.log(logging.DEBUG if isinstance(error, OSError) else logging.ERROR, "metrics: %r", error)
