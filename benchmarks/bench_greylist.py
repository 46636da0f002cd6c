"""Greylisting: decisions per second for new and known triplets, one caller and eight.

How fast greylisting decides, for each store, beside what the same store does in a bare loop of upserts and of reads
(its floors). `python -m benchmarks.bench_greylist --records 10000000` measures a large SQLite store instead.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from benchmarks.common import package, table
from mailauth.greylist import Greylist, GreylistPolicy, Record, State
from mailauth.stores import open_store
from mailauth.stores.urls import parse_url

T = 1_800_000_000.25
CLIENTS = 1000
ROUNDS = 12
KINDS = ("floor", "new", "known", "bare read")
LARGE_ROUNDS = 5


def attempt(caller: int, turn: int, i: int) -> tuple[str, str, str]:
    """Client, sender and recipient of one attempt: many senders, from a thousand networks, to fewer recipients."""
    network = (caller * 7919 + turn * 104729 + i) % CLIENTS
    return (
        f"10.{network >> 8}.{network & 255}.7",
        f"ann.b{caller}c{turn}d{i}x@example.org",
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
    record = Record(State.WAITING, T, T, 1, 0, int(T))
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
        lambda key: connection.execute(upsert, (key, "waiting", T, T, 1, 0, int(T), 0)),
        lambda key: connection.execute("SELECT * FROM greylist WHERE key = ?", (key,)).fetchone(),
    )


def _redis_floor(url: str) -> Bare:
    import redis

    client = redis.Redis.from_url(url)
    text = Record(State.WAITING, T, T, 1, 0, int(T)).to_text()
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
        lambda key: connection.execute(upsert, ("floor " + key, "waiting", T, T, 1, 0, int(T), 0)),
        lambda key: connection.execute(read, ("floor " + key,)).fetchone(),
    )


# --- callers -------------------------------------------------------------------------------------------------


class Span(NamedTuple):
    """What one caller did of one kind in one round; the clock is the same for all processes."""

    kind: str
    turn: int
    done: int
    start: float
    end: float


def work(url: str, caller: int, count: int, barrier: Any, stop: Any, report: Callable[[Span], None]) -> None:
    """One caller: floors, new and known in turns, all callers beginning each together."""
    greylist = Greylist(open_store(url, time_limit=60), policy=GreylistPolicy(auto_allow_interval=1e8))
    bare = floor(url)

    def measure(kind: str, turn: int, call: Callable[[Any], object], items: Sequence[Any]) -> int:
        number = turn * len(KINDS) + KINDS.index(kind) + 1
        barrier.wait()
        start, done = time.perf_counter(), 0
        for item in itertools.islice(itertools.cycle(items), count):
            call(item)
            done += 1
            if stop.value >= number:
                break
        end = time.perf_counter()
        # Who is done first ends it for all: stragglers that have the store to themselves are not what is measured.
        stop.value = number
        report(Span(kind, turn, done, start, end))
        return done

    for turn in range(ROUNDS):
        attempts = [attempt(caller, turn, i) for i in range(count)]
        keys = [" ".join(a) for a in attempts]
        written = measure("floor", turn, bare.upsert, keys)
        met = measure("new", turn, lambda a: greylist.check(*a, now=T), attempts)
        for a in attempts[:met]:
            greylist.check(*a, now=T + 400)
        measure("known", turn, lambda a: greylist.check(*a, now=T + 401), attempts[:met])
        measure("bare read", turn, bare.read, keys[:written])
    greylist.close()


def _in_process(url: str, caller: int, count: int, barrier: Any, stop: Any, results: Any) -> None:
    work(url, caller, count, barrier, stop, results.put)


def rates(url: str, callers: Sequence[int], count: int) -> dict[str, float]:
    """Operations per second of all callers together, by kind. A server keeps its records: no caller may come twice.

    All rounds count, not the best: what a store puts off (SQLite's checkpoints) falls into one round or the next.
    """
    rounds: dict[tuple[str, int], list[Span]] = defaultdict(list)
    for span in _run(url, callers, count):
        rounds[span.kind, span.turn].append(span)
    done, seconds = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0.0)
    for (kind, _), spans in rounds.items():
        done[kind] += sum(span.done for span in spans)
        seconds[kind] += min(span.end for span in spans) - min(span.start for span in spans)
    return {kind: done[kind] / seconds[kind] for kind in KINDS}


def _run(url: str, callers: Sequence[int], count: int) -> Iterator[Span]:
    if url == "memory:":
        yield from _run_threads(url, callers, count)
        return
    context = multiprocessing.get_context("spawn")
    barrier, results, stop = context.Barrier(len(callers)), context.Queue(), context.Value("i", 0, lock=False)
    processes = [
        context.Process(target=_in_process, args=(url, caller, count, barrier, stop, results)) for caller in callers
    ]
    for process in processes:
        process.start()
    for _ in range(len(callers) * ROUNDS * len(KINDS)):
        yield results.get(timeout=600)
    for process in processes:
        process.join()


def _run_threads(url: str, callers: Sequence[int], count: int) -> list[Span]:
    spans: list[Span] = []
    barrier, stop = threading.Barrier(len(callers)), SimpleNamespace(value=0)
    threads = [
        threading.Thread(target=work, args=(url, caller, count, barrier, stop, spans.append)) for caller in callers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return spans


def stores(stack: ExitStack, folder: Path) -> Iterator[tuple[str, str, int]]:
    """Name, URL and calls per round of each store that this machine has."""
    from tests.dbservers import PostgresServer, RedisServer, running_server

    yield "memory", "memory:", 2000
    yield "SQLite, NORMAL", f"sqlite://{folder}/normal.db", 1000
    yield "SQLite, FULL", f"sqlite://{folder}/full.db?durability=full", 100
    if shutil.which("redis-server"):
        server = stack.enter_context(running_server(RedisServer))
        yield f"Redis ({package('redis')})", server.url, 400
    if list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        server = stack.enter_context(running_server(PostgresServer))
        yield f"PostgreSQL ({package('psycopg')})", server.url, 200
        yield "PostgreSQL, normal", server.url + "?durability=normal", 200


def compare(names: str = "") -> None:
    """The table of all stores, or of those whose names begin so."""
    rows, caller = [], itertools.count()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, url, count in stores(stack, folder):
            for callers in (1, 8) if name.startswith(names) else ():
                numbered = list(itertools.islice(caller, callers))
                rate = rates(url.replace(".db", f"-{callers}.db"), numbered, count if callers == 1 else count // 2)
                ratios = rate["new"] / rate["floor"], rate["known"] / rate["new"], rate["bare read"] / rate["floor"]
                numbers = (f"{rate[kind]:,.0f}" for kind in KINDS)
                rows.append((name, callers, *numbers, *(f"{ratio:.2f}" for ratio in ratios)))
    table(
        "Greylisting: decisions per second (floor: bare upserts into the same store; bare read: of one record)",
        ("store", "callers", *KINDS, "new / floor", "known / new", "read / floor"),
        rows,
    )
    print("\n  One process is one caller, threads for memory. Fsync and clock speed differ: compare within one run.")


# --- a large store -------------------------------------------------------------------------------------------

SAMPLE = 3000


def large(records: int) -> None:
    """SQLite with so many records beside one with ten thousand: size, and decisions per second in both."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        filled = {number: _filled(Path(name), number) for number in (10_000, records)}
        best: dict[tuple[int, str], float] = {}
        rng = random.Random(1)
        for turn in range(LARGE_ROUNDS):
            for number, (greylist, _) in filled.items():
                for kind, seconds in _sample(greylist, number, turn, rng):
                    best[number, kind] = min(best.get((number, kind), 1e9), seconds)
        for number, (greylist, path) in filled.items():
            greylist.close()
            octets = os.stat(path).st_size
            speeds = [f"{1 / best[number, kind]:,.0f}" for kind in ("new", "known", "expire")]
            rows.append((f"{number:,}", f"{octets / 1e6:,.0f} MB", f"{octets / number:.0f}", *speeds))
    small, big = rows[0], rows[1]
    head = ("records", "size", "octets/record", "new", "known", "expired")
    slower = [
        f"{float(s.replace(',', '')) / float(b.replace(',', '')):.2f}x" for s, b in zip(small[3:], big[3:], strict=True)
    ]
    table("A large SQLite store: operations per second", head, [*rows, ("slower by", "", "", *slower)])


def _filled(folder: Path, number: int) -> tuple[Greylist, Path]:
    """A store with so many records, in the form and size that checks write, put in by plain SQL."""
    from mailauth.stores import sqlite

    path = folder / f"{number}.db"
    greylist = Greylist(open_store(f"sqlite://{path}", time_limit=60), expire_every=None)
    greylist.check("192.0.2.1", "ann@example.org", "bob@example.net", now=T)
    import sqlite3

    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -3000000")
    start = time.perf_counter()
    connection.execute("BEGIN")
    connection.executemany(sqlite._INSERT, (_row(i, number) for i in range(number)))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    print(f"  {number:,} records written in {time.perf_counter() - start:.0f} s", file=sys.stderr)
    return greylist, path


def _row(i: int, number: int) -> tuple[Any, ...]:
    """Record number i, in the order of time: nine in ten wait, one is known; from all over 16 million networks."""
    # An odd factor permutes the 24 bits: every network is as likely, and neighbours in time are none in the table.
    network = i * 0x9E3779B1 & 0xFFFFFF
    key = f"{network >> 16}.{network >> 8 & 255}.{network & 255}.0/24 ann.b{i}x@example.org bob{i % 5000}x@example.net"
    state = State.KNOWN if i % 10 == 0 else State.WAITING
    return key, state.value, T, T + 400, 1, int(state is State.KNOWN), int(T) + i * 172_800 // number, 0


def _sample(greylist: Greylist, number: int, turn: int, rng: random.Random) -> Iterator[tuple[str, float]]:
    """Seconds for one new triplet, one known one, and the removal of one record, each anywhere in the table."""
    known = [_row(rng.randrange(number // 20, number // 10) * 10, number)[0].split(" ") for _ in range(SAMPLE)]
    clients = [f"{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(256)}.9" for _ in range(SAMPLE)]
    start = time.perf_counter()
    for i, client in enumerate(clients):
        greylist.check(client, f"new.t{turn}n{i}x@example.org", "bob@example.net", now=T)
    yield "new", (time.perf_counter() - start) / SAMPLE
    start = time.perf_counter()
    for client, sender, recipient in known:
        greylist.check(client.partition("/")[0], sender, recipient, now=T + 401)
    yield "known", (time.perf_counter() - start) / SAMPLE
    start = time.perf_counter()
    removed = greylist.expire(now=T + 172_800, limit=256)
    yield "expire", (time.perf_counter() - start) / max(1, removed)


def main(arguments: Sequence[str] = ()) -> None:
    """Compare the stores, or with ``--records`` measure a large one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_greylist", description=__doc__)
    parser.add_argument("--records", type=int, metavar="N", help="measure an SQLite store of N records instead")
    parser.add_argument("--store", default="", metavar="NAME", help="only the stores whose names begin so")
    options = parser.parse_args(arguments)
    if options.records:
        large(options.records)
    else:
        compare(options.store)


if __name__ == "__main__":
    main(sys.argv[1:])
