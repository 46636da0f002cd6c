"""One address looked up in many lists at once, all of which list it, on a server that answers after a delay.

By c-ares, pydnsbl stands beside us, in a process of its own; by dnspython there is no peer. No list is asked for its
reason, since pydnsbl asks none. The floor is one raw UDP socket that asks the same names and checks nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.delayserver import delay_server
from benchmarks.dnswork import ATTEMPTS, LIMIT, awaited, complete, floor, fresh_address, lists, our_resolvers
from benchmarks.measure import OURS, Case, Contender, missing, package
from benchmarks.worker import Worker
from mailauth import aio, sync
from mailauth.rbl import Listing, RblPolicy

TITLE = "Block lists"

NO_TEXT = RblPolicy(ask_text=False)
MIXED = ["d100"] + [f"d{delay}" for delay in range(2, 20, 2)]
LISTS = {
    "10 lists of 20 ms": (["d20"] * 10, 1),
    "30 lists of 20 ms": (["d20"] * 30, 1),
    "one list of 100 ms, nine of 2 to 18 ms": (MIXED, 1),
    "20 addresses, 10 lists without delay": (["d0"] * 10, 20),
}
WORKER = Path(__file__).parent / "workers" / "pydnsbl_worker.py"


def cases() -> Iterator[Case]:
    with delay_server() as port, asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        loop = runner.get_loop()
        worker, resolvers = pydnsbl(stack), our_resolvers(port)
        for words, (delays, addresses) in LISTS.items():
            for kind, resolver in resolvers.items():
                contenders = [floor(port, delays, loop, addresses), ours(resolver, delays, addresses, loop)]
                if kind == "c-ares":
                    contenders.append(with_pydnsbl(worker, port, delays, addresses))
                yield Case(f"{words}, {kind}", contenders, seconds=0.2)


def ours(resolver: Any, delays: Sequence[str], addresses: int, loop: asyncio.AbstractEventLoop) -> Contender:
    """`query_rbl`, awaited or, with the resolver of threads, one address after another."""
    zones = lists(delays)

    async def one(address: str) -> list[Listing]:
        if hasattr(resolver, "lookup_async"):
            return await aio.query_rbl(address, zones, policy=NO_TEXT, resolver=resolver, time_limit=LIMIT)
        return sync.query_rbl(address, zones, policy=NO_TEXT, resolver=resolver, time_limit=LIMIT)

    async def ask(wanted: Sequence[str]) -> int:
        found = await asyncio.gather(*map(one, wanted))
        return sum(listing.listed for listings in found for listing in listings)

    return awaited(OURS, ask, lambda: fresh(addresses), addresses * len(delays), loop, package(OURS))


def fresh(addresses: int) -> list[str]:
    return [fresh_address() for _ in range(addresses)]


def pydnsbl(stack: contextlib.ExitStack) -> Worker | None:
    """pydnsbl in the environment that `make bench` makes for it; None if there is none."""
    python = Path(sys.prefix) / "pydnsbl" / "bin" / "python"
    if not python.exists():
        return None
    worker = stack.enter_context(Worker("pydnsbl", "", [python, WORKER]))
    try:
        worker.version = worker.ask(version=True)["result"]
    except RuntimeError:  # it cannot be imported
        return None
    return worker


def with_pydnsbl(worker: Worker | None, port: int, delays: Sequence[str], addresses: int) -> Contender:
    if worker is None:
        return missing("pydnsbl")
    zones, count, key = lists(delays), addresses * len(delays), ",".join(delays)
    asked = (
        worker.ask(prepare=key, port=port, zones=zones, addresses=fresh(addresses))["result"] for _ in range(ATTEMPTS)
    )
    assert count in asked

    def attempt(loops: int) -> tuple[float, list[int]]:
        answer = worker.ask(time=key, addresses=[fresh(addresses) for _ in range(loops)])
        return float(answer["seconds"]), answer["result"]

    return complete("pydnsbl", attempt, count, worker.version)
