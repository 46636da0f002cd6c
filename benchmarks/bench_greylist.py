# What belongs here: how fast greylisting decides, for each store, beside what the same store does in a bare loop of
# upserts (its floor). `python -m benchmarks.bench_greylist --records 10000000` measures a large SQLite store instead.
"""Greylisting: decisions per second for new and known triplets, one caller and eight."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.common import package, table
from mailauth.greylist import Greylist, GreylistPolicy, Record, State
from mailauth.stores import open_store
from mailauth.stores.urls import parse_url

T = 1_800_000_000.25
CLIENTS = 1000
ROUNDS = 5
KINDS = ("floor", "new", "known")


def attempt(caller: int, turn: int, i: int) -> tuple[str, str, str]:
    """Client, sender and recipient of one attempt: many senders, from a thousand networks, to fewer recipients."""
    network = (caller * 7919 + turn * 104729 + i) % CLIENTS
    return (
        f"10.{network >> 8}.{network & 255}.7",
        f"ann.b{caller}c{turn}d{i}x@example.org",
        f"bob{i % 200}x@example.net",
    )


# --- floors: what the store can do at all --------------------------------------------------------------------


def floor(url: str) -> Callable[[str], object]:
    """A function that upserts one record under a key, with the store's own driver and nothing around it."""
    parsed = parse_url(url)
    if parsed.kind == "memory":
        records: dict[str, Record] = {}
        record = Record(State.WAITING, T, T, 1, 0, int(T))
        return lambda key: records.__setitem__(key, record)
    makers = {"sqlite": _sqlite_floor, "redis": _redis_floor, "postgresql": _postgres_floor}
    return makers[parsed.kind](url)


def _sqlite_floor(url: str) -> Callable[[str], object]:
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
    return lambda key: connection.execute(upsert, (key, "waiting", T, T, 1, 0, int(T), 0))


def _redis_floor(url: str) -> Callable[[str], object]:
    import redis

    client = redis.Redis.from_url(url)
    text = Record(State.WAITING, T, T, 1, 0, int(T)).to_text()
    return lambda key: client.set("floor:" + key, text)


def _postgres_floor(url: str) -> Callable[[str], object]:
    import psycopg

    from mailauth.stores import postgres

    open_store(url).get(["k"])
    parsed = parse_url(url)
    connection = psycopg.connect(parsed.rest, autocommit=True)
    if parsed.option("durability") == "normal":
        connection.execute("SET synchronous_commit = off")
    upsert = postgres._INSERT.replace("DO NOTHING", "DO UPDATE SET last_seen = excluded.last_seen")
    return lambda key: connection.execute(upsert, ("floor " + key, "waiting", T, T, 1, 0, int(T), 0))


# --- callers -------------------------------------------------------------------------------------------------


def work(
    url: str, caller: int, count: int, barrier: Any, report: Callable[[tuple[str, int, float, float]], None]
) -> None:
    """One caller: floor, new and known in turns, all callers beginning each together."""
    greylist = Greylist(open_store(url, time_limit=60), policy=GreylistPolicy(auto_allow_interval=1e8))
    upsert = floor(url)
    for turn in range(ROUNDS):
        attempts = [attempt(caller, turn, i) for i in range(count)]
        for kind, call in (
            ("floor", lambda a: upsert(" ".join(a))),
            ("new", lambda a: greylist.check(*a, now=T)),
            ("", lambda a: greylist.check(*a, now=T + 400)),
            ("known", lambda a: greylist.check(*a, now=T + 401)),
        ):
            barrier.wait()
            start = time.perf_counter()
            for one in attempts:
                call(one)
            if kind:
                report((kind, turn, start, time.perf_counter()))
    greylist.close()


def _in_process(url: str, caller: int, count: int, barrier: Any, results: Any) -> None:
    work(url, caller, count, barrier, results.put)


def rates(url: str, callers: int, count: int) -> dict[str, float]:
    """Operations per second of all callers together, by kind: the best round."""
    reports = list(_run(url, callers, count))
    best = {}
    for kind in KINDS:
        spans = [[(start, end) for k, t, start, end in reports if (k, t) == (kind, turn)] for turn in range(ROUNDS)]
        # From the first caller's start to the last one's end; the clock is the same for all processes.
        best[kind] = callers * count / min(max(e for _, e in span) - min(s for s, _ in span) for span in spans)
    return best


def _run(url: str, callers: int, count: int) -> Iterator[tuple[str, int, float, float]]:
    if url == "memory:" or callers == 1:
        yield from _run_threads(url, callers, count)
        return
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(callers), context.Queue()
    processes = [
        context.Process(target=_in_process, args=(url, caller, count, barrier, results)) for caller in range(callers)
    ]
    for process in processes:
        process.start()
    for _ in range(callers * ROUNDS * len(KINDS)):
        yield results.get(timeout=600)
    for process in processes:
        process.join()


def _run_threads(url: str, callers: int, count: int) -> list[tuple[str, int, float, float]]:
    reports: list[tuple[str, int, float, float]] = []
    barrier = threading.Barrier(callers)
    threads = [
        threading.Thread(target=work, args=(url, caller, count, barrier, reports.append)) for caller in range(callers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return reports


def stores(stack: ExitStack, folder: Path) -> Iterator[tuple[str, str, int]]:
    """Name, URL and calls per round of each store that this machine has."""
    from tests.dbservers import PostgresServer, RedisServer, running_server

    yield "memory", "memory:", 4000
    yield "SQLite, NORMAL", f"sqlite://{folder}/normal.db", 2000
    yield "SQLite, FULL", f"sqlite://{folder}/full.db?durability=full", 200
    if shutil.which("redis-server"):
        server = stack.enter_context(running_server(RedisServer))
        yield f"Redis ({package('redis')})", server.url, 1000
    if list(Path("/usr/lib/postgresql").glob("*/bin/postgres")):
        server = stack.enter_context(running_server(PostgresServer))
        yield f"PostgreSQL ({package('psycopg')})", server.url, 300
        yield "PostgreSQL, normal", server.url + "?durability=normal", 300


def compare() -> None:
    """The table of all stores."""
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name, url, count in stores(stack, folder):
            for callers in (1, 8):
                best = rates(url.replace(".db", f"-{callers}.db"), callers, max(50, count // callers))
                rows.append(
                    (
                        name,
                        callers,
                        *(f"{best[kind]:,.0f}" for kind in KINDS),
                        f"{best['new'] / best['floor']:.2f}",
                        f"{best['known'] / best['new']:.1f}",
                    )
                )
    table(
        "Greylisting: decisions per second (floor: bare upserts into the same store)",
        ("store", "callers", "floor", "new", "known", "new / floor", "known / new"),
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
        for turn in range(ROUNDS):
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
    options = parser.parse_args(arguments)
    if options.records:
        large(options.records)
    else:
        compare()


if __name__ == "__main__":
    main(sys.argv[1:])
