"""One process that serves: it begins to listen, and ends in an orderly way.

SIGTERM and SIGINT end it: nothing new is accepted, connections between two messages are closed at once, and what is in
hand has `grace` seconds. SIGHUP reads the configuration again; a file that cannot be used changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import stat
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from mailauth import MailAuthError
from mailauth.config import ConfigError
from mailauth.service.application import Application, Handle, Part
from mailauth.service.listeners import BACKLOG, Listeners
from mailauth.service.metrics import Health, Metrics
from mailauth.service.notify import Notifier

_log = logging.getLogger("mailauth.service")

ACCEPTED_AT_ONCE = 1
"""Connections that asyncio accepts in one turn of its loop, so that few come in before the first is refused. Where no
file is free it tries as often, with a traceback for each: BACKLOG of them a second would fill the disk."""
REFUSED_SECONDS = 60.0
"""How often the log says at most that connections are refused."""
CANCEL_SECONDS = 2.0
"""How long a connection that is cut off may take to end, before the process ends without it."""
BEAT_SECONDS = 1.0
"""How often the event loop shows that it runs."""


async def serve(
    application: Application,
    listeners: Listeners,
    *,
    metrics: Metrics | None = None,
    notifier: Notifier | None = None,
    started: Callable[[], object] = lambda: None,
    parent: int | None = None,
) -> None:
    """Serve until a signal ends it; `started` is called when all sockets are served.

    `parent` is a pipe whose other end another process holds: when that one ends, so does this one. Raises what the
    builders of `mailauth.config` raise.
    """
    application.make()
    running = _Running(application, metrics, notifier or Notifier(""))
    stop = asyncio.Event()
    with _on_signals(stop, running.reload_soon, parent):
        try:
            for part in application.parts:
                for address in part.listen:
                    for each in listeners.sockets[address]:
                        await running.listen(part, each)
            if metrics is not None and application.config.service.metrics is not None:
                metrics.listen(listeners.sockets[application.config.service.metrics], running.health)
            started()
            running.notifier.ready(application.status)
            if parent is None:
                _log.info("serving %s", application.status)
            async with _beating(running.health, running.notifier):
                await stop.wait()
                await running.finish(application.config.service.grace)
        finally:
            await application.close()


class _Running:
    """The connections and servers of a process."""

    def __init__(self, application: Application, metrics: Metrics | None, notifier: Notifier) -> None:
        self.application = application
        self.notifier = notifier
        self.health = Health(part.name for part in application.parts)
        self._metrics = metrics
        self._limit = max_connections()
        self._refused = -REFUSED_SECONDS
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._reloading: asyncio.Task[None] | None = None
        self._again = False

    async def listen(self, part: Part, listening: socket.socket) -> None:
        """Serve a socket."""
        start: Callable[..., Awaitable[asyncio.Server]] = asyncio.start_server
        keep: dict[str, Any] = {}
        if listening.family == socket.AF_UNIX:
            start = asyncio.start_unix_server
            # The socket belongs to all workers, and is removed by the process that made it.
            keep = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        handle = self._counted(part.name, part.handle)
        self._servers.append(await start(handle, sock=listening, backlog=ACCEPTED_AT_ONCE, **keep))
        listening.listen(BACKLOG)

    def _counted(self, name: str, handle: Handle) -> Handle:
        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if len(self._connections) >= self._limit:
                self._refuse(name, writer)
                return
            # A task of its own: asyncio logs the cancellation of the one that it made itself.
            task = asyncio.ensure_future(self._serve(name, handle, reader, writer))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        return counted

    def _refuse(self, name: str, writer: asyncio.StreamWriter) -> None:
        """Too many: the other side sees a connection that was closed, and does what it does without the service."""
        writer.transport.abort()
        now = asyncio.get_running_loop().time()
        if now >= self._refused + REFUSED_SECONDS:
            self._refused = now
            words = "%s: connections are refused: %d are open, and this process may open %d files (LimitNOFILE)"
            _log.error(words, name, len(self._connections), resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    async def _serve(
        self, name: str, handle: Handle, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._metrics is not None:
            self._metrics.opened(name, 1)
        try:
            await handle(reader, writer)
        except Exception:  # noqa: BLE001 - one connection; the others go on
            _log.exception("%s: a connection ended by an error of ours", name)
        finally:
            if self._metrics is not None:
                self._metrics.opened(name, -1)
            writer.close()

    def reload_soon(self) -> None:
        """Read the configuration again; once more afterwards if asked meanwhile."""
        if self.health.stopping:
            return
        if self._reloading is not None:
            self._again = True
            return
        self._reloading = asyncio.ensure_future(self._reload())

    async def _reload(self) -> None:
        self.notifier.reloading()
        try:
            while True:
                self._again = False
                result = await _reloaded(self.application)
                if self._metrics is not None:
                    self._metrics.loaded(result)
                if not self._again:
                    break
        finally:
            self._reloading = None
            if not self.health.stopping:
                self.notifier.ready(self.application.status)

    async def finish(self, grace: float) -> None:
        """Accept nothing more, and give what is in hand `grace` seconds."""
        self.health.stopping = True
        self.notifier.stopping()
        _log.info("ending; open connections: %d", len(self._connections))
        for server in self._servers:
            server.close()
        for part in self.application.parts:
            part.finish()
        if self._reloading is not None:
            self._reloading.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=grace)
        if self._connections:
            _log.warning("cut off after %g s: open connections: %d", grace, len(self._connections))
            for task in self._connections:
                task.cancel()
            await asyncio.wait(self._connections, timeout=CANCEL_SECONDS)


async def _reloaded(application: Application) -> str:
    """ "ok", or "failed": then the old configuration goes on, and the log says why."""
    try:
        await application.reload()
    except (OSError, ValueError, MailAuthError) as error:
        log_refused(application.path, error)
    else:
        _log.info("%s was read again", application.path)
        return "ok"
    return "failed"


def log_refused(path: str | os.PathLike[str], error: Exception) -> None:
    """Say why a configuration was not taken over: each mistake on a line."""
    words = str(error)
    if isinstance(error, ConfigError):
        for mistake in error.mistakes:
            _log.error("%s", mistake)
        words = f"{path} has mistakes"
    elif isinstance(error, OSError) and error.filename is not None:
        words = f"cannot read {error.filename}: {error.strerror}"
    _log.error("the configuration stays as it was: %s", words)


@contextlib.contextmanager
def _on_signals(stop: asyncio.Event, reload: Callable[[], None], parent: int | None) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # see block_reload
    if parent is not None:
        loop.add_reader(parent, stop.set)  # nothing is ever written: it has ended
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        if parent is not None:
            loop.remove_reader(parent)


@contextlib.asynccontextmanager
async def _beating(health: Health, notifier: Notifier) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            health.beat()
            notifier.alive()
            await asyncio.sleep(min(BEAT_SECONDS, notifier.interval))

    task = asyncio.ensure_future(beat())
    try:
        yield
    finally:
        task.cancel()


async def once(application: Application) -> None:
    """Serve one connection on standard input and output, as spawn(8) of Postfix hands it over, until it is closed."""
    application.make()
    reader, writer = await _standard_streams()
    try:
        for part in application.parts[:1]:
            await part.handle(reader, writer)
    finally:
        writer.close()
        await application.close()


async def _standard_streams() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Standard input and output: a connection, as spawn(8) has it, or pipes and files, as a person has them."""
    if stat.S_ISSOCK(os.fstat(0).st_mode):
        return await asyncio.open_connection(sock=socket.socket(fileno=os.dup(0)))
    ours, theirs = socket.socketpair()

    def send() -> None:
        with contextlib.suppress(OSError):
            while octets := os.read(0, 65536):
                theirs.sendall(octets)
            theirs.shutdown(socket.SHUT_WR)

    def receive() -> None:
        with contextlib.suppress(OSError), theirs:
            while octets := theirs.recv(65536):
                os.write(1, octets)

    # One may wait for input for ever; the other has all to say before the process ends.
    threading.Thread(target=send, daemon=True).start()
    threading.Thread(target=receive).start()
    return await asyncio.open_connection(sock=ours)


def block_reload() -> None:
    """Keep SIGHUP, which ends a process that has no handler yet, until there is one."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


def max_connections() -> int:
    """How many connections leave files for everything else: questions to the DNS, stores, the configuration."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else max(1, limit - max(32, limit // 4))


def allow_many_connections() -> None:
    """Raise the soft limit of open files to the hard one: a connection is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
