"""The stores that the tests of greylisting run against, each kind with each kind of caller."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from mailauth.stores import open_async_store, open_store
from tests.dbservers import Server

ALL_STORES = [
    "memory",
    "sqlite",
    "sqlite-full",
    pytest.param("redis", marks=pytest.mark.server),
    pytest.param("postgresql", marks=pytest.mark.server),
]
SHARED_STORES = ALL_STORES[1:]


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """The URL of an empty store of a kind."""

    def url(kind: str) -> str:
        match kind:
            case "memory":
                return "memory:"
            case "sqlite":
                return f"sqlite://{tmp_path}/greylist.db"
            case "sqlite-full":
                return f"sqlite://{tmp_path}/greylist.db?durability=full"
            case "redis":
                server: Server = request.getfixturevalue("redis_server")
                return f"{server.url}?prefix={tmp_path.name}:"
        server = request.getfixturevalue("postgres_server")
        wipe(server.url)
        return server.url

    return url


def wipe(url: str) -> None:
    """Empty a store by its own operations."""
    store = open_store(url)
    while entries := store.scan().entries:
        for key, record in entries:
            store.compare_and_set(key, record, None)
    store.close()


class Awaited:
    """An async store for synchronous test code: each operation runs to its end in one event loop."""

    def __init__(self, url: str, run: Callable[..., Any], stop: Callable[[], None]) -> None:
        self._store = open_async_store(url)
        self._run = run
        self._stop = stop

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any, **options: Any) -> Any:
            return await getattr(self._store, name)(*arguments, **options)

        return lambda *arguments, **options: self._run(call, *arguments, **options)

    def stop(self) -> None:
        self.close()
        self._stop()


def open_for(caller: str, url: str) -> Any:
    """A store for a kind of caller, to be used synchronously in any case; `stop` ends it."""
    if caller == "asyncio":
        runner = asyncio.Runner()
        return Awaited(url, lambda function, *a, **k: runner.run(function(*a, **k)), runner.close)
    if caller == "trio":

        def run(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
            async def main() -> Any:
                return await function(*arguments, **options)

            return trio.run(main)

        return Awaited(url, run, lambda: None)
    store: Any = open_store(url)
    store.stop = store.close
    return store
