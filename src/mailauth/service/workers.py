"""`supervise`: several processes on the same sockets, and one that watches them.

The watcher does no mail: it starts a worker again that ended by itself, checks a configuration before it has the
workers read it, and passes signals on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from os import PathLike

from mailauth import MailAuthError
from mailauth import config as configuration
from mailauth.config import Config
from mailauth.service.application import Application, Kind, addresses, status
from mailauth.service.listeners import Listeners
from mailauth.service.metrics import Metrics, require_prometheus, shared_by_workers, worker_ended
from mailauth.service.notify import Notifier
from mailauth.service.running import log_refused, serve

_log = logging.getLogger("mailauth.service")

RESTART_SECONDS = 1.0
"""How long a worker that ended by itself stays away: one that cannot start must not keep the machine busy."""
MAX_FAILURES = 3
"""How often each worker may fail to start, where none runs, before all end: a service manager sees that, and may know
better what to do."""
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

    Nothing else may run in this process. 0: a signal ended it; 1: no worker can start, or one had to be killed.
    Raises `MailAuthError` where metrics are wanted and cannot be had.
    """
    if config.service.metrics is not None:
        require_prometheus()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        with shared_by_workers(), contextlib.closing(_Watcher(path, config, kinds, listeners)) as watcher:
            return watcher.watch(notifier)
    finally:
        for number in _SIGNALS - {signal.SIGCHLD}:
            signal.signal(number, signal.SIG_IGN)  # one more of them, that came meanwhile, changes nothing
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class _Watcher:
    """The workers, each at its place: 0, 1, 2, ..."""

    def __init__(
        self, path: str | PathLike[str], config: Config, kinds: tuple[Kind, ...], listeners: Listeners
    ) -> None:
        self._path, self._config, self._kinds, self._listeners = path, config, kinds, listeners
        self._listen = addresses(config, kinds)
        self._number = config.service.workers
        self._workers: dict[int, BaseProcess] = {}
        self._status = f"{status(self._listen)}, with {self._number} workers"
        self._started, self._say_started = os.pipe()
        self._ours, self._theirs = os.pipe()  # the workers see that this process has ended
        os.set_blocking(self._started, False)

    def _start(self) -> bool:
        """Start one more worker; False where the system has no room for a process just now."""
        place = min(set(range(self._number)) - self._workers.keys())
        process = _FORK.Process(target=self._work, args=(place,))
        try:
            process.start()
        except OSError as error:
            # The other workers go on meanwhile.
            _log.error("a worker cannot be started: %s", error.strerror)
            return False
        self._workers[place] = process
        return True

    def _work(self, place: int) -> None:
        """In the worker: serve, until a signal or the end of the watcher."""
        os.close(self._theirs)
        # SIGHUP stays blocked until it has its handler: before, it would end the process.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS - {signal.SIGHUP})

        def started() -> None:
            os.write(self._say_started, b".")

        try:
            metrics = None if self._config.service.metrics is None else Metrics(place)
            application = Application(self._path, self._config, self._kinds, metrics, self._listen)
            asyncio.run(serve(application, self._listeners, metrics=metrics, started=started, parent=self._ours))
        except (MailAuthError, ValueError, OSError) as error:
            _log.error("a worker cannot serve: %s", error)
            raise SystemExit(1) from None

    def watch(self, notifier: Notifier) -> int:
        """Start the workers, and wait for signals and for their ends; the exit status."""
        while len(self._workers) < self._number and self._start():
            pass
        started, restart_at, failures = 0, 0.0, 0
        while True:
            number = self._signal(min(WATCH_SECONDS, notifier.interval))
            notifier.alive()
            if number in (signal.SIGTERM, signal.SIGINT):
                notifier.stopping()
                return self._end(self._config.service.grace, notifier)
            if number == signal.SIGHUP:
                self._reload(notifier)
            before, started = started, started + self._newly_started()
            failures = failures if before == started else 0
            if before < self._number <= started:
                notifier.ready(self._status)
                _log.info("serving %s", self._status)
            lost = self._reap()
            if not lost and len(self._workers) < self._number and time.monotonic() >= restart_at:
                lost = 0 if self._start() else 1
            if lost:
                failures += lost
                if not self._workers and (not started or failures > MAX_FAILURES * self._number):
                    _log.error("no worker can serve")
                    return 1
                restart_at = time.monotonic() + RESTART_SECONDS

    def _signal(self, seconds: float) -> int | None:
        found = signal.sigtimedwait(_SIGNALS, seconds)
        return None if found is None else found.si_signo

    def _newly_started(self) -> int:
        try:
            return len(os.read(self._started, 4096))
        except BlockingIOError:
            return 0

    def _reap(self) -> int:
        """How many workers have ended by themselves; the log says how."""
        ended = [(place, process) for place, process in self._workers.items() if process.exitcode is not None]
        for place, process in ended:
            _log.error("the worker %d ended by itself (exit status %d)", process.pid, process.exitcode)
            self._forget(place)
        return len(ended)

    def _forget(self, place: int) -> None:
        self._workers.pop(place).close()
        if self._config.service.metrics is not None:
            worker_ended(place)

    def _reload(self, notifier: Notifier) -> None:
        """Have the workers read the file, if it can be used."""
        notifier.reloading()
        try:
            config = configuration.load(self._path)
        except (OSError, MailAuthError, ValueError) as error:
            log_refused(self._path, error)
        else:
            # For workers that are started from now on. What needs a restart stays as it was.
            self._config = replace(config, service=self._config.service)
            self._send(signal.SIGHUP)
        notifier.ready(self._status)

    def _send(self, number: signal.Signals) -> None:
        for process in self._workers.values():
            if process.pid is not None and process.exitcode is None:
                os.kill(process.pid, number)

    def _end(self, grace: float, notifier: Notifier) -> int:
        """End the workers in an orderly way; 0, or 1 if one had to be killed."""
        # Who connects now is refused at once, and does not wait for a worker that will never come.
        self._listeners.close()
        self._send(signal.SIGTERM)
        end = time.monotonic() + grace + KILL_SECONDS
        while self._workers and time.monotonic() < end:
            wait([process.sentinel for process in self._workers.values()], min(WATCH_SECONDS, notifier.interval))
            notifier.alive()
            for place in [place for place, process in self._workers.items() if process.exitcode is not None]:
                self._forget(place)
        return 1 if self._workers else 0

    def close(self) -> None:
        """Kill what still runs."""
        for place, process in list(self._workers.items()):
            process.kill()
            process.join()
            self._forget(place)
        for descriptor in (self._started, self._say_started, self._ours, self._theirs):
            os.close(descriptor)
