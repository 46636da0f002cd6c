"""Fixtures: one event loop for all tests, and servers in it.

The fixtures of this folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.smtpd.server import BASE, REST, Server, running_loop


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with running_loop() as loop:
        yield loop


@pytest.fixture
def serve(loop: asyncio.AbstractEventLoop) -> Iterator[Callable[..., Server]]:
    """``serve(more, **arguments)``: a server whose configuration has these tables, besides the usual ones."""
    servers = []

    def start(more: str = "", rest: str = REST, base: str = BASE, **arguments: Any) -> Server:
        server = Server(base + more + rest, loop, **arguments)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.close()
