"""`supervise`: several processes on the same sockets, and one that watches them.

The watcher does no mail: it starts a worker again that ended by itself, checks a configuration before it has the
workers read it, and passes signals on.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import time
from multiprocessing.process import BaseProcess
from os import PathLike

from mailauth import MailAuthError
from mailauth import config as configuration
from mailauth.config import Config
from mailauth.service.application import Application, Kind, status
from mailauth.service.listeners import Listeners
from mailauth.service.metrics import Metrics, shared_by_workers, worker_ended
from mailauth.service.notify import Notifier
from mailauth.service.running import serve

_log = logging.getLogger("mailauth.service")

RESTART_SECONDS = 1.0
"""How long a worker that ended by itself stays away: one that cannot start must not keep the machine busy."""
WATCH_SECONDS = 0.2
"""How often the watcher looks after its workers."""
KILL_SECONDS = 5.0
"""How long after their own time to finish workers are killed."""
_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD})
_FORK = multiprocessing.get_context("fork")  # the sockets are inherited


def supervise(
    path: str | PathLike[str],
    config: Config,
    kinds: tuple[Kind, ...],
    listeners: Listeners,
    notifier: Notifier,
) -> int:
    """Run as many processes as `config` says until a signal ends them; the exit status.

    Nothing else may run in this process. 0: a signal ended it; 1: no worker could start, or one had to be killed.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    service = config.service
    watcher = _Watcher(path, config, kinds, listeners)
    try:
        with shared_by_workers():
            for _ in range(service.workers):
                watcher.start()
            return watcher.watch(service.workers, notifier, service.grace)
    finally:
        watcher.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class _Watcher:
    def __init__(
        self, path: str | PathLike[str], config: Config, kinds: tuple[Kind, ...], listeners: Listeners
    ) -> None:
        self._path, self._config, self._kinds, self._listeners = path, config, kinds, listeners
        self._workers: set[BaseProcess] = set()
        self._status = f"{status(config, kinds)}, with {config.service.workers} workers"
        self._started, self._say_started = os.pipe()
        self._ours, self._theirs = os.pipe()  # the workers see that this process has ended
        os.set_blocking(self._started, False)

    def start(self) -> None:
        """Start one more worker."""
        process = _FORK.Process(target=self._work)
        process.start()
        self._workers.add(process)

    def _work(self) -> None:
        """In the worker: serve, until a signal or the end of the watcher."""
        os.close(self._theirs)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        metrics = None if self._config.service.metrics is None else Metrics()
        application = Application(self._path, self._config, self._kinds, metrics)

        def started() -> None:
            os.write(self._say_started, b".")

        try:
            asyncio.run(serve(application, self._listeners, metrics=metrics, started=started, parent=self._ours))
        except (MailAuthError, ValueError, OSError) as error:
            _log.error("a worker cannot serve: %s", error)
            raise SystemExit(1) from None

    def watch(self, workers: int, notifier: Notifier, grace: float) -> int:
        """Wait for signals and for the ends of workers; the exit status."""
        started, restart_at = 0, 0.0
        while True:
            number = self._signal()
            if number in (signal.SIGTERM, signal.SIGINT):
                notifier.stopping()
                return self._end(grace)
            if number == signal.SIGHUP:
                self._reload(notifier)
            before, started = started, started + self._newly_started()
            if before < workers <= started:
                notifier.ready(self._status)
                _log.info("serving %s", self._status)
            if self._reap():
                if not started:
                    return 1
                restart_at = time.monotonic() + RESTART_SECONDS
            if len(self._workers) < workers and time.monotonic() >= restart_at:
                self.start()

    def _signal(self) -> int | None:
        found = signal.sigtimedwait(_SIGNALS, WATCH_SECONDS)
        return None if found is None else found.si_signo

    def _newly_started(self) -> int:
        try:
            return len(os.read(self._started, 4096))
        except BlockingIOError:
            return 0

    def _reap(self) -> bool:
        """Whether a worker has ended; the log says how."""
        ended = [process for process in self._workers if process.exitcode is not None]
        for process in ended:
            _log.error("the worker %d ended by itself (exit status %d)", process.pid, process.exitcode)
            self._forget(process)
        return bool(ended)

    def _forget(self, process: BaseProcess) -> None:
        self._workers.discard(process)
        if process.pid is not None:
            worker_ended(process.pid)

    def _reload(self, notifier: Notifier) -> None:
        """Have the workers read the file, if it can be used."""
        notifier.reloading()
        try:
            configuration.load(self._path)
        except (OSError, MailAuthError, ValueError) as error:
            _log.error("the configuration stays as it was: %s", error)
        else:
            self._send(signal.SIGHUP)
        notifier.ready(self._status)

    def _send(self, number: signal.Signals) -> None:
        for process in self._workers:
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, number)

    def _end(self, grace: float) -> int:
        """End the workers in an orderly way; 0, or 1 if one had to be killed."""
        self._send(signal.SIGTERM)
        end = time.monotonic() + grace + KILL_SECONDS
        for process in list(self._workers):
            process.join(max(0.0, end - time.monotonic()))
            if process.exitcode is not None:
                self._forget(process)
        return 1 if self._workers else 0

    def close(self) -> None:
        """Kill what still runs."""
        for process in list(self._workers):
            process.kill()
            process.join()
            self._forget(process)
        for descriptor in (self._started, self._say_started, self._ours, self._theirs):
            os.close(descriptor)
