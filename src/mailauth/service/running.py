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
from collections.abc import AsyncIterator, Callable
from typing import Any

from mailauth import MailAuthError
from mailauth.config import ConfigError
from mailauth.service.application import Application, Handle, Part
from mailauth.service.listeners import BACKLOG, Listeners
from mailauth.service.metrics import Health, Metrics
from mailauth.service.notify import Notifier

_log = logging.getLogger("mailauth.service")

CANCEL_SECONDS = 2.0
"""How long a connection may take to end after it was told to, before the process ends without it."""


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
            async with _beating(running.health):
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
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()
        self._reloading: asyncio.Task[None] | None = None
        self._again = False

    async def listen(self, part: Part, listening: socket.socket) -> None:
        """Serve a socket."""
        handle = self._counted(part.name, part.handle)
        if listening.family != socket.AF_UNIX:
            self._servers.append(await asyncio.start_server(handle, sock=listening, backlog=BACKLOG))
            return
        # The socket belongs to all workers, and is removed by the process that made it.
        keep: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
        self._servers.append(await asyncio.start_unix_server(handle, sock=listening, backlog=BACKLOG, **keep))

    def _counted(self, name: str, handle: Handle) -> Handle:
        async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # A task of its own: asyncio logs the cancellation of the one that it made itself.
            task = asyncio.ensure_future(self._serve(name, handle, reader, writer))
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)

        return counted

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
    except ConfigError as error:
        for mistake in error.mistakes:
            _log.error("%s", mistake)
        _log.error("the configuration stays as it was: %s has mistakes", application.path)
    except (OSError, ValueError, MailAuthError) as error:
        _log.error("the configuration stays as it was: %s", error)
    else:
        _log.info("%s was read again", application.path)
        return "ok"
    return "failed"


@contextlib.contextmanager
def _on_signals(stop: asyncio.Event, reload: Callable[[], None], parent: int | None) -> Any:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
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
async def _beating(health: Health) -> AsyncIterator[None]:
    async def beat() -> None:
        while True:
            health.beat()
            await asyncio.sleep(1)

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
    """Standard input and output: a connection, as spawn(8) has it, or two pipes."""
    if stat.S_ISSOCK(os.fstat(0).st_mode):
        return await asyncio.open_connection(sock=socket.socket(fileno=os.dup(0)))
    loop, reader = asyncio.get_running_loop(), asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(0), "rb"))
    # The protocol that asyncio itself uses for writers whose reader is another object.
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.streams.FlowControlMixin(loop), os.fdopen(os.dup(1), "wb")
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def allow_many_connections() -> None:
    """Raise the soft limit of open files to the hard one: a connection is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
