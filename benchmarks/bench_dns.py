"""DNS: wall time of many lists at once, and lookups per second, beside raw UDP, dnspython and aiodns."""

from __future__ import annotations

import asyncio
import select
import socket
import statistics
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dns.asyncresolver
import dns.resolver

from benchmarks.common import package, table
from benchmarks.delayserver import delay_server
from mailauth.plan import Question, ask_all, run, run_async
from mailauth.resolvers import AsyncDnspythonResolver, Cache, CachingResolver, CaresResolver, DnspythonResolver
from mailauth.resolvers.system import MAX_THREADS

# So many that each contender meets a quiet moment of the machine; fewer where one round takes long.
ROUNDS, FEW_ROUNDS = 81, 31
ADDRESSES, LISTS = 1000, 10
CAP = 200
LIMIT = 20.0

Ask = Callable[[Sequence[str]], Awaitable[int]]
"""Asks for the A records of all names at once and returns how many were answered."""

_next_address = iter(range(1, 1 << 24))


def fresh_address() -> str:
    """An address that was not asked about before, reversed: no cache may help."""
    number = next(_next_address)
    return f"{number & 255}.{number >> 8 & 255}.{number >> 16 & 255}.10"


def names(delays: Sequence[str]) -> list[str]:
    address = fresh_address()
    return [f"{address}.{delay}.l{i}.example" for i, delay in enumerate(delays)]


# --- contenders ----------------------------------------------------------------------------------------------


def questions(wanted: Sequence[str]) -> list[Question]:
    return [Question(name, "A") for name in wanted]


def raw_udp(port: int) -> Ask:
    """The floor: one socket, no checks, no retry, nothing parsed but the id."""

    async def ask(wanted: Sequence[str]) -> int:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("127.0.0.1", port))
            answered = 0
            for start in range(0, len(wanted), CAP):
                batch = wanted[start : start + CAP]
                for number, name in enumerate(batch):
                    labels = b"".join(bytes([len(label)]) + label for label in name.encode().split(b"."))
                    sock.send(struct.pack("!HHHHHH", number, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1")
                for _ in batch:
                    if select.select([sock], [], [], 1)[0]:
                        answered += len(sock.recv(512)) > 12
            return answered

    return ask


def plain_dnspython(port: int) -> Ask:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    turns: list[asyncio.Semaphore] = []

    async def one(name: str) -> int:
        async with turns[0]:
            return len(await resolver.resolve(name + ".", "A", lifetime=LIMIT))

    async def ask(wanted: Sequence[str]) -> int:
        turns[:] = turns or [asyncio.Semaphore(CAP)]
        return sum(await asyncio.gather(*map(one, wanted)))

    return ask


def ours(resolver: Any) -> Ask:
    async def ask(wanted: Sequence[str]) -> int:
        answers = await run_async(ask_all(questions(wanted)), resolver, time_limit=LIMIT)
        return sum(answer.found for answer in answers)

    return ask


def ours_sync(resolver: Any) -> Ask:
    async def ask(wanted: Sequence[str]) -> int:
        return sum(answer.found for answer in run(ask_all(questions(wanted)), resolver, time_limit=LIMIT))

    return ask


def plain_aiodns(port: int) -> Ask | None:
    try:
        import aiodns
    except ImportError:
        return None
    resolver = aiodns.DNSResolver(nameservers=["127.0.0.1"], udp_port=port, tcp_port=port)
    query = getattr(resolver, "query_dns", None) or resolver.query
    turns = asyncio.Semaphore(CAP)

    async def one(name: str) -> int:
        async with turns:
            return bool(await query(name, "A"))

    async def ask(wanted: Sequence[str]) -> int:
        return sum(await asyncio.gather(*map(one, wanted)))

    return ask


def plain_dnspython_sync(port: int) -> Ask:
    """dnspython's resolver in as many threads as ours takes."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    threads = ThreadPoolExecutor(MAX_THREADS)

    async def ask(wanted: Sequence[str]) -> int:
        return sum(1 for answer in threads.map(lambda name: resolver.resolve(name + ".", "A"), wanted) if answer)

    return ask


def contenders(port: int, delays: Sequence[str]) -> dict[str, Ask]:
    asynchronous, synchronous = dns.asyncresolver.Resolver(configure=False), dns.resolver.Resolver(configure=False)
    for resolver in (asynchronous, synchronous):
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
    every: dict[str, Ask | None] = {
        "raw UDP (the floor)": raw_udp(port),
        "CaresResolver": ours(CaresResolver(["127.0.0.1"], port=port)),
        "CaresResolver (sync)": ours_sync(CaresResolver(["127.0.0.1"], port=port)),
        "AsyncDnspythonResolver": ours(AsyncDnspythonResolver(asynchronous)),
        "DnspythonResolver (sync)": ours_sync(DnspythonResolver(synchronous)),
        package("aiodns"): plain_aiodns(port),
        f"{package('dnspython')} asyncresolver": plain_dnspython(port),
        f"{package('dnspython')} resolver in threads": plain_dnspython_sync(port),
    }
    return {name: ask for name, ask in every.items() if ask is not None}


# --- measurements --------------------------------------------------------------------------------------------


async def wall_times(asks: dict[str, Ask], delays: Sequence[str], rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(rounds + 2):
        for name, ask in asks.items():
            wanted = names(delays)
            start = time.perf_counter()
            answered = await ask(wanted)
            times[name].append(time.perf_counter() - start)
            if answered != len(wanted):
                raise AssertionError(f"{name}: {answered} of {len(wanted)} answered")
    # The first two rounds open sockets, start threads and load modules.
    return {name: values[2:] for name, values in times.items()}


async def lists_at_once(port: int, title: str, delays: Sequence[str], slowest: float, rounds: int = ROUNDS) -> None:
    times = await wall_times(contenders(port, delays), delays, rounds)
    rows = [
        [name, f"{min(values) / slowest:.3f}", f"{statistics.median(values) / slowest:.3f}"]
        for name, values in times.items()
    ]
    table(title, ["contender", "best", "median"], rows)


async def dead_list(port: int) -> None:
    """Nine lists of 20 ms and one that never answers, under a deadline of half a second."""
    limit, delays = 0.5, ["d20"] * 9 + ["dead"]
    synchronous, asynchronous = dns.resolver.Resolver(configure=False), dns.asyncresolver.Resolver(configure=False)
    for resolver in (asynchronous, synchronous):
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
    rows = []
    asyncs: dict[str, Any] = {
        "AsyncDnspythonResolver": AsyncDnspythonResolver(asynchronous),
        "CaresResolver": CaresResolver(["127.0.0.1"], port=port),
    }
    for name, resolver in asyncs.items():
        start = time.perf_counter()
        answers = await run_async(ask_all(questions(names(delays))), resolver, time_limit=limit)
        rows.append([name, f"{(time.perf_counter() - start) / limit:.3f}", sum(a.found for a in answers)])
    start = time.perf_counter()
    with DnspythonResolver(synchronous) as blocking:
        answers = run(ask_all(questions(names(delays))), blocking, time_limit=limit)
        rows.append(["DnspythonResolver (sync)", f"{(time.perf_counter() - start) / limit:.3f}", _found(answers)])
    table("One of 10 lists is dead: wall time / deadline of 0.5 s", ["contender", "wall", "answered"], rows)


def _found(answers: Sequence[Any]) -> int:
    return sum(answer.found for answer in answers)


async def lookups_per_second(port: int, delay: str, rounds: int = 5) -> None:
    delays = [delay] * LISTS
    rates: dict[str, float] = {}
    cpu: dict[str, float] = {}
    asks = contenders(port, delays)
    for _ in range(rounds):
        for name, ask in asks.items():
            wanted = [name for _ in range(ADDRESSES) for name in names(delays)]
            start, worked = time.perf_counter(), time.process_time()
            answered = await ask(wanted)
            rate = len(wanted) / (time.perf_counter() - start)
            cpu[name] = min(cpu.get(name, 1.0), (time.process_time() - worked) / len(wanted))
            if answered != len(wanted) and not name.startswith("raw"):
                raise AssertionError(f"{name}: {answered} of {len(wanted)} answered")
            rates[name] = max(rates.get(name, 0.0), rate)
    floor = rates["raw UDP (the floor)"]
    rows = [[name, f"{rate:,.0f}", f"{rate / floor:.2f}", f"{cpu[name] * 1e6:.0f}"] for name, rate in rates.items()]
    table(
        f"Lookups per second, {ADDRESSES:,} addresses x {LISTS} lists, delay {delay[1:]} ms, {CAP} in flight",
        ["contender", "per second", "of the floor", "CPU us each"],
        rows,
    )


def one_at_a_time(port: int, count: int = 1000) -> None:
    """A synchronous caller that asks one question after another, as an SPF evaluation does."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    mine = DnspythonResolver(resolver)
    cached = CachingResolver(mine, Cache())
    cares = CaresResolver(["127.0.0.1"], port=port)
    repeated = Question("1.2.3.4.d0.l1.example", "A")
    cached.lookup(repeated, LIMIT)
    asks: dict[str, Callable[[str], object]] = {
        "CaresResolver": lambda name: cares.lookup(Question(name, "A"), LIMIT),
        "DnspythonResolver": lambda name: mine.lookup(Question(name, "A"), LIMIT),
        f"{package('dnspython')} resolver": lambda name: resolver.resolve(name + ".", "A"),
        "CachingResolver, a hit": lambda _: cached.lookup(repeated, LIMIT),
    }
    best = dict.fromkeys(asks, float("inf"))
    for _ in range(5):
        for name, ask in asks.items():
            wanted = names(["d0"] * (count // 5))
            start = time.perf_counter()
            for one in wanted:
                ask(one)
            best[name] = min(best[name], (time.perf_counter() - start) / len(wanted))
    rows = [[name, f"{seconds * 1e6:.1f}"] for name, seconds in best.items()]
    table("One question after another, microseconds each", ["contender", "us"], rows)


async def measure(port: int) -> None:
    for count in (10, 30):
        await lists_at_once(port, f"{count} lists of 20 ms: wall time / 20 ms", ["d20"] * count, 0.020)
    mixed = ["d100"] + [f"d{delay}" for delay in range(2, 20, 2)]
    await lists_at_once(port, "One list of 100 ms, nine of 2 to 18 ms: wall time / 100 ms", mixed, 0.100, FEW_ROUNDS)
    await dead_list(port)
    await lookups_per_second(port, "d0")
    await lookups_per_second(port, "d20")


def main() -> None:
    with delay_server() as port:
        asyncio.run(measure(port))
        one_at_a_time(port)


if __name__ == "__main__":
    sys.exit(main())
