"""Block lists: wall time of whole queries over the slowest list's delay, and listings a second.

What the user of block lists waits for: whole queries, judged, beside a peer that does the same job. What the
resolvers cost on their own is in bench_dns.py, whose server and raw questions are used here.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import dns.asyncresolver
import dns.resolver

from benchmarks.bench_dns import CAP, fresh_address, raw_udp
from benchmarks.common import package, seconds_per_call, table
from benchmarks.delayserver import delay_server
from mailauth.plan import run, run_async
from mailauth.rbl import Listing, RblPolicy, Result, judge, query
from mailauth.resolvers import AsyncDnspythonResolver, DnspythonResolver, ZoneResolver

# So many that each contender meets a quiet moment of the machine; fewer where one round takes long.
ROUNDS, FEW_ROUNDS = 81, 31
ADDRESSES, LISTS = 1000, 10
LIMIT = 20.0
DEADLINE = 0.5

# The peer asks no list for its reason, so neither do we where the two are compared.
NO_TEXT = RblPolicy(ask_text=False)

Ask = Callable[[Sequence[str]], Awaitable[int]]
"""Asks all lists about all addresses at once and returns how many listings came."""


def zones(delays: Sequence[str]) -> list[str]:
    return [f"{delay}.l{i}.example" for i, delay in enumerate(delays)]


def resolvers(port: int) -> dict[str, Any]:
    """Our resolvers, set to the server; the one on c-ares where it is installed."""
    asynchronous, synchronous = dns.asyncresolver.Resolver(configure=False), dns.resolver.Resolver(configure=False)
    for resolver in (asynchronous, synchronous):
        resolver.nameservers, resolver.port = ["127.0.0.1"], port
    found: dict[str, Any] = {
        "AsyncDnspythonResolver": AsyncDnspythonResolver(asynchronous),
        "DnspythonResolver (sync)": DnspythonResolver(synchronous),
    }
    try:
        from mailauth.resolvers import CaresResolver
    except ImportError:
        return found
    return {"CaresResolver": CaresResolver(["127.0.0.1"], port=port), **found}


async def listings_of(
    resolver: Any, address: str, rules: Sequence[str], limit: float = LIMIT, policy: RblPolicy = NO_TEXT
) -> list[Listing]:
    plan = query(address, rules, policy=policy)
    if isinstance(resolver, DnspythonResolver):
        return run(plan, resolver, time_limit=limit)
    return await run_async(plan, resolver, time_limit=limit)


def ours(resolver: Any, rules: Sequence[str], policy: RblPolicy = NO_TEXT) -> Ask:
    async def ask(addresses: Sequence[str]) -> int:
        if isinstance(resolver, DnspythonResolver):
            every = [await listings_of(resolver, address, rules, policy=policy) for address in addresses]
        else:
            every = await asyncio.gather(*(listings_of(resolver, a, rules, policy=policy) for a in addresses))
        return sum(listing.listed for listings in every for listing in listings)

    return ask


def pydnsbl_checker(port: int, delays: Sequence[str]) -> Any:
    """pydnsbl, set to our server; None where it is not installed: it pins an aiodns older than pycares 5."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import aiodns
            import pydnsbl
            import pydnsbl.providers
    except ImportError:
        return None
    zones = [pydnsbl.providers.Provider(f"{delay}.l{i}.example") for i, delay in enumerate(delays)]
    checker = pydnsbl.DNSBLIpChecker(providers=zones, loop=asyncio.get_running_loop(), concurrency=CAP)
    checker._resolver = aiodns.DNSResolver(timeout=5, tries=2, nameservers=["127.0.0.1"], udp_port=port, tcp_port=port)
    return checker


def pydnsbl_ask(port: int, delays: Sequence[str]) -> Ask | None:
    checker = pydnsbl_checker(port, delays)
    if checker is None:
        return None

    async def ask(addresses: Sequence[str]) -> int:
        results = await asyncio.gather(*map(checker.check_async, addresses))
        return sum(len(result.detected_by) for result in results)

    return ask


def floor(port: int, delays: Sequence[str]) -> Ask:
    raw = raw_udp(port)

    async def ask(addresses: Sequence[str]) -> int:
        return await raw([f"{_reverse(address)}.{zone}" for address in addresses for zone in zones(delays)])

    return ask


def _reverse(address: str) -> str:
    return ".".join(reversed(address.split(".")))


def address() -> str:
    """A public address that was not asked about before."""
    return "11." + _reverse(fresh_address()).split(".", 1)[1]


def contenders(port: int, delays: Sequence[str]) -> dict[str, Ask]:
    every: dict[str, Ask | None] = {"raw UDP (the floor)": floor(port, delays)}
    for name, resolver in resolvers(port).items():
        every[f"mailauth.rbl, {name}"] = ours(resolver, zones(delays))
    every[package("pydnsbl")] = pydnsbl_ask(port, delays)
    return {name: ask for name, ask in every.items() if ask is not None}


# --- measurements ---------------------------------------------------------------------------------------------------


async def wall_times(asks: dict[str, Ask], count: int, rounds: int) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in asks}
    for _ in range(rounds + 2):
        for name, ask in asks.items():
            subject = [address()]
            start = time.perf_counter()
            listed = await ask(subject)
            times[name].append(time.perf_counter() - start)
            if listed != count:
                raise AssertionError(f"{name}: {listed} of {count} listings")
    # The first two rounds open sockets, start threads and load modules.
    return {name: values[2:] for name, values in times.items()}


async def lists_at_once(port: int, title: str, delays: Sequence[str], slowest: float, rounds: int = ROUNDS) -> None:
    times = await wall_times(contenders(port, delays), len(delays), rounds)
    rows = [
        [name, f"{min(values) / slowest:.3f}", f"{statistics.median(values) / slowest:.3f}"]
        for name, values in times.items()
    ]
    table(title, ["contender", "best", "median"], rows)


async def with_reasons(port: int) -> None:
    """Every list lists the address and is asked for its reason: two questions after each other, 10 lists at once."""
    rules = zones(["d20"] * 10)
    asks = {f"mailauth.rbl, {name}": ours(r, rules, RblPolicy()) for name, r in resolvers(port).items()}
    times = await wall_times(asks, 10, FEW_ROUNDS)
    rows = [
        [name, f"{min(values) / 0.040:.3f}", f"{statistics.median(values) / 0.040:.3f}"]
        for name, values in times.items()
    ]
    table("10 lists of 20 ms, all list it, reasons asked: wall time / 40 ms", ["contender", "best", "median"], rows)


async def dead_list(port: int) -> None:
    """Nine lists of 20 ms and one that never answers, under a deadline."""
    delays = ["d20"] * 9 + ["dead"]
    rows = []
    for name, resolver in resolvers(port).items():
        start = time.perf_counter()
        listings = await listings_of(resolver, address(), zones(delays), DEADLINE)
        wall = (time.perf_counter() - start) / DEADLINE
        dead = sum(listing.result is Result.TEMPERROR for listing in listings)
        rows.append([f"mailauth.rbl, {name}", f"{wall:.3f}", sum(one.listed for one in listings), dead])
    checker = pydnsbl_checker(port, delays)
    if checker is not None:
        start = time.perf_counter()
        result = await checker.check_async(address())
        wall = (time.perf_counter() - start) / DEADLINE
        rows.append([f"{package('pydnsbl')} (its default timeout)", f"{wall:.3f}", len(result.detected_by), 1])
    table(f"One of 10 lists is dead: wall time / {DEADLINE} s", ["contender", "wall", "listed", "no answer"], rows)


async def listings_per_second(port: int) -> None:
    delays = ["d0"] * LISTS
    rates: dict[str, float] = {}
    lost: dict[str, int] = {}
    asks = contenders(port, delays)
    for _ in range(3):
        for name, ask in asks.items():
            addresses = [address() for _ in range(ADDRESSES)]
            start = time.perf_counter()
            listed = await ask(addresses)
            rate = ADDRESSES * LISTS / (time.perf_counter() - start)
            rates[name] = max(rates.get(name, 0.0), rate)
            lost[name] = lost.get(name, 0) + ADDRESSES * LISTS - listed
    floor_rate = rates["raw UDP (the floor)"]
    rows = [[name, f"{rate:,.0f}", f"{rate / floor_rate:.2f}", lost[name]] for name, rate in rates.items()]
    title = f"Listings per second, {ADDRESSES:,} addresses x {LISTS} lists (sync: one address after another)"
    table(title, ["contender", "per second", "of the floor", "lost of 30,000"], rows)


def own_cost() -> None:
    """What judging costs without any network: lists in memory."""
    rules = [f"l{i}.example=127.0.0.[2..11]*3" for i in range(LISTS)]
    names = [(f"1.2.0.192.l{i}.example", kind) for i in range(LISTS) for kind in ("A", "TXT")]
    listed = ZoneResolver({name: ["127.0.0.2" if name[1] == "A" else "reason"] for name in names})
    clean = ZoneResolver()
    seconds = seconds_per_call(
        {
            "10 lists, none lists it": lambda: judge(run(query("192.0.2.1", rules), clean)),
            "10 lists, all list it, with reasons": lambda: judge(run(query("192.0.2.1", rules), listed)),
        }
    )
    table("Questions, judging and verdict, DNS in memory", ["query", "us"], _microseconds(seconds))


def _microseconds(seconds: dict[str, float]) -> list[list[object]]:
    return [[name, f"{value * 1e6:.0f}"] for name, value in seconds.items()]


async def measure(port: int) -> None:
    for count in (10, 30):
        await lists_at_once(port, f"{count} lists of 20 ms: wall time / 20 ms", ["d20"] * count, 0.020)
    mixed = ["d100"] + [f"d{delay}" for delay in range(2, 20, 2)]
    await lists_at_once(port, "One list of 100 ms, nine of 2 to 18 ms: wall time / 100 ms", mixed, 0.100, FEW_ROUNDS)
    await with_reasons(port)
    await dead_list(port)
    await listings_per_second(port)


def main() -> None:
    with delay_server() as port:
        asyncio.run(measure(port))
    own_cost()


if __name__ == "__main__":
    sys.exit(main())
