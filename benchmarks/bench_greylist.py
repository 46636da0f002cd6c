"""One decision of `Greylist.check` for a triplet that is new, and for one that is known, in each store.

The floor is one bare upsert into the same store with its own driver, and for known triplets, which need no write, one
bare read. "4 callers" are four processes at once; the time is that of one decision of all of them together. "full" is
a store that syncs for each transaction, "normal" one that may lose the last moments when the power fails.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import FLOOR, OURS, Case, Contender, missing, package
from mailauth.greylist import Action, Greylist, GreylistPolicy, Record, State
from mailauth.stores import open_store
from mailauth.stores.urls import parse_url

TITLE = "Greylist stores"

T = 1_800_000_000.25
LATER = int(T) + 30 * 86_400
"""When bare records run out, so that no store takes them away."""
CLIENTS = 1000
KNOWN = 50
CALLERS = 4
FLOORS = {"new": "upsert", "known": "read"}


def attempt(caller: int, i: int) -> tuple[str, str, str]:
    """Client, sender and recipient of one attempt: many senders, from a thousand networks, to fewer recipients."""
    network = (caller * 7919 + i) % CLIENTS
    return (
        f"10.{network >> 8}.{network & 255}.7",
        f"ann.b{caller}c{i}x@example.org",
        f"bob{i % 200}x@example.net",
    )


# --- floors: what the store can do at all --------------------------------------------------------------------


class Bare(NamedTuple):
    """One record upserted under a key, and one read, with the store's own driver and nothing around it."""

    upsert: Callable[[str], object]
    read: Callable[[str], object]


def floor(url: str) -> Bare:
    """The store's driver as it comes, but for the durability, which is the store's."""
    makers = {"memory": _memory_floor, "sqlite": _sqlite_floor, "redis": _redis_floor, "postgresql": _postgres_floor}
    return makers[parse_url(url).kind](url)


def _memory_floor(url: str) -> Bare:
    records: dict[str, Record] = {}
    record = Record(State.WAITING, T, T, 1, 0, LATER)
    return Bare(lambda key: records.__setitem__(key, record), records.get)


def _sqlite_floor(url: str) -> Bare:
    import sqlite3

    from mailauth.stores import sqlite

    parsed = parse_url(url)
    connection = sqlite3.connect(parsed.rest + ".floor", isolation_level=None, timeout=60)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {parsed.option('durability') or 'NORMAL'}")
    for statement in sqlite.SCHEMA:
        connection.execute(
            statement.replace("TABLE ", "TABLE IF NOT EXISTS ").replace("INDEX ", "INDEX IF NOT EXISTS ")
        )
    upsert = sqlite._INSERT.replace("DO NOTHING", "DO UPDATE SET last_seen = excluded.last_seen")
    return Bare(
        lambda key: connection.execute(upsert, (key, "waiting", T, T, 1, 0, LATER, 0)),
        lambda key: connection.execute("SELECT * FROM greylist WHERE key = ?", (key,)).fetchone(),
    )


def _redis_floor(url: str) -> Bare:
    import redis

    client = redis.Redis.from_url(url)
    text = Record(State.WAITING, T, T, 1, 0, LATER).to_text()
    return Bare(lambda key: client.set("floor:" + key, text), lambda key: client.get("floor:" + key))


def _postgres_floor(url: str) -> Bare:
    import psycopg

    from mailauth.stores import postgres

    open_store(url).get(["k"])
    parsed = parse_url(url)
    connection = psycopg.connect(parsed.rest, autocommit=True)
    if parsed.option("durability") == "normal":
        connection.execute("SET synchronous_commit = off")
    upsert = postgres._INSERT.replace("DO NOTHING", "DO UPDATE SET last_seen = excluded.last_seen")
    read = f"SELECT * FROM {postgres.TABLE} WHERE key = %s"
    return Bare(
        lambda key: connection.execute(upsert, ("floor " + key, "waiting", T, T, 1, 0, LATER, 0)),
        lambda key: connection.execute(read, ("floor " + key,)).fetchone(),
    )


# --- callers -------------------------------------------------------------------------------------------------


class Caller:
    """One caller of a store: decides about triplets of its own, and does what is bare."""

    def __init__(self, url: str, number: int) -> None:
        self._greylist = Greylist(open_store(url, time_limit=60), policy=GreylistPolicy(auto_allow_interval=1e8))
        self._bare = floor(url)
        self._number = number
        self._count = itertools.count()
        self._known = [attempt(number, next(self._count)) for _ in range(KNOWN)]
        self._keys = [" ".join(each) for each in self._known]
        for each, key in zip(self._known, self._keys, strict=True):
            assert self._greylist.check(*each, now=T).action is Action.DEFER
            assert self._greylist.check(*each, now=T + 400).action is Action.ACCEPT
            self._bare.upsert(key)
            assert self._bare.read(key)

    def do(self, kind: str, count: int) -> tuple[float, float]:
        """Do it so many times; when it began and ended, by the clock that all processes share."""
        if kind in ("known", "read"):
            items: list[Any] = list(itertools.islice(itertools.cycle(self._known), count))
        else:
            items = [attempt(self._number, next(self._count)) for _ in range(count)]
        if kind in ("upsert", "read"):
            items = [" ".join(each) for each in items]
        work = {"new": self._new, "known": self._again, "upsert": self._bare.upsert, "read": self._bare.read}[kind]
        start = time.perf_counter()
        for item in items:
            work(item)
        return start, time.perf_counter()

    def seconds(self, kind: str, count: int) -> float:
        """The seconds of so many operations."""
        start, end = self.do(kind, count)
        return end - start

    def _new(self, triplet: tuple[str, str, str]) -> None:
        self._greylist.check(*triplet, now=T)

    def _again(self, triplet: tuple[str, str, str]) -> None:
        self._greylist.check(*triplet, now=T + 401)

    def close(self) -> None:
        self._greylist.close()


def serve(url: str, number: int, pipe: Any) -> None:
    """A caller in a process of its own."""
    caller = Caller(url, number)
    pipe.send("ready")
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(caller.do(*pipe.recv()))
    caller.close()


class Callers:
    """Several callers at once, each in a process of its own."""

    def __init__(self, url: str, first: int, stack: ExitStack) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipes = []
        for number in range(first, first + CALLERS):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(url, number, theirs), daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join, 20)
            stack.callback(ours.close)
            self._pipes.append(ours)
        for pipe in self._pipes:
            assert pipe.recv() == "ready"

    def seconds(self, kind: str, count: int) -> float:
        """The seconds of so many operations in all."""
        each = -(-count // CALLERS)
        for pipe in self._pipes:
            pipe.send((kind, each))
        spans = [pipe.recv() for pipe in self._pipes]
        return (max(end for _, end in spans) - min(start for start, _ in spans)) * count / (each * CALLERS)


# --- cases ---------------------------------------------------------------------------------------------------


def cases() -> Iterator[Case]:
    # Two stores may be one server, which keeps its records: no caller may come twice.
    numbers = itertools.count(step=CALLERS + 1)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for (name, url), number in zip(stores(stack, folder).items(), numbers, strict=False):
            with contextlib.closing(Caller(url, number)) as caller:
                yield from kinds(name, caller.seconds)
            if url != "memory:":
                with ExitStack() as callers:
                    yield from kinds(f"{name}, {CALLERS} callers", Callers(url, number + 1, callers).seconds)


def kinds(name: str, do: Callable[[str, int], float]) -> Iterator[Case]:
    """New and known triplets, each beside its floor."""
    for kind, bare in FLOORS.items():
        own = Contender(OURS, partial(do, kind), package(OURS))
        yield Case(f"{name}, {kind}", [Contender(FLOOR, partial(do, bare)), own])


def stores(stack: ExitStack, folder: Path) -> dict[str, str]:
    """The URL of each store that this machine has; in CI all are there."""
    from tests.dbservers import PostgresServer, RedisServer, running_server

    found = {
        "memory": "memory:",
        "SQLite, normal": f"sqlite://{folder}/normal.db",
        "SQLite, full": f"sqlite://{folder}/full.db?durability=full",
    }
    if shutil.which("redis-server"):
        found["Redis"] = stack.enter_context(running_server(RedisServer)).url
    else:
        print(f"  Redis: {missing('Redis').why}")
    if list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        url = stack.enter_context(running_server(PostgresServer)).url
        found["PostgreSQL, normal"], found["PostgreSQL, full"] = url + "?durability=normal", url
    else:
        print(f"  PostgreSQL: {missing('PostgreSQL').why}")
    return found
