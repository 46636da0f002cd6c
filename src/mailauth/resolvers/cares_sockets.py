# What belongs here: how c-ares' sockets are waited for in an event loop. What is read from them is c-ares' business.
#
# c-ares opens a socket for questions that come together and closes it after the last answer. asyncio takes many times
# as long to watch and forget a socket as the system does. So where there is epoll, the event loop watches one epoll
# for good, and the sockets come and go in that.
"""`Sockets` for the event loop."""

from __future__ import annotations

import contextlib
import select
from typing import TYPE_CHECKING, Any, Protocol

from pycares import ARES_SOCKET_BAD

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    Process = Callable[[int, int], None]
    """Is told which socket can be read and which can be written; `ARES_SOCKET_BAD` stands for none."""


class Sockets(Protocol):
    """The sockets that are waited for."""

    def watch(self, fd: int, readable: bool, writable: bool) -> None:
        """Wait for the socket to be readable, writable, both, or (neither) no longer."""

    def close(self) -> None:
        """Wait for none any more."""


def sockets_in(loop: asyncio.AbstractEventLoop, process: Process) -> Sockets:
    """What waits for sockets in the loop, and calls `process`."""
    if hasattr(select, "epoll"):
        with contextlib.suppress(OSError):  # no more files
            return _InEpoll(loop, process)
    return _InLoop(loop, process)


class _InEpoll:
    """Linux."""

    def __init__(self, loop: asyncio.AbstractEventLoop, process: Process) -> None:
        self._loop = loop
        self._process = process
        self._events: dict[int, int] = {}
        # mypy looks at other systems, too.
        self._epoll: Any = select.epoll()  # type: ignore[attr-defined,unused-ignore]
        loop.add_reader(self._epoll.fileno(), self._ready)

    def watch(self, fd: int, readable: bool, writable: bool) -> None:
        events = _IN * readable | _OUT * writable
        if not events:
            if self._events.pop(fd, None) is not None:
                self._epoll.unregister(fd)
        elif fd in self._events:
            self._events[fd] = events
            self._epoll.modify(fd, events)
        else:
            self._events[fd] = events
            self._epoll.register(fd, events)

    def _ready(self) -> None:
        for fd, events in self._epoll.poll(0):
            if fd in self._events:
                # An error shows when the socket is read.
                writable = fd if events & _OUT else ARES_SOCKET_BAD
                self._process(fd if events & ~_OUT else ARES_SOCKET_BAD, writable)

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(self._epoll.fileno())
        self._events.clear()
        self._epoll.close()


_IN, _OUT = 1, 4  # EPOLLIN and EPOLLOUT, which other systems do not have


class _InLoop:
    """Other systems."""

    def __init__(self, loop: asyncio.AbstractEventLoop, process: Process) -> None:
        self._loop = loop
        self._process = process
        self._fds: set[int] = set()

    def watch(self, fd: int, readable: bool, writable: bool) -> None:
        self._fds.add(fd)
        if readable:
            self._loop.add_reader(fd, self._process, fd, ARES_SOCKET_BAD)
        else:
            self._loop.remove_reader(fd)
        if writable:
            self._loop.add_writer(fd, self._process, ARES_SOCKET_BAD, fd)
        else:
            self._loop.remove_writer(fd)
        if not readable and not writable:
            self._fds.remove(fd)

    def close(self) -> None:
        for fd in list(self._fds):
            if not self._loop.is_closed():
                self.watch(fd, readable=False, writable=False)
