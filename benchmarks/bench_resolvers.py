"""Questions to a server on loopback that answers after a delay; each resolver beside the library it stands on.

"c-ares" is `CaresResolver` beside aiodns, "dnspython" is `AsyncDnspythonResolver` beside dnspython's asyncresolver, and
"threads" is `DnspythonResolver` beside dnspython's resolver in as many threads. mailauth adds what the protocols need:
typed answers, a deadline for all, the cap of questions in flight. The floor is one raw UDP socket that checks nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.delayserver import delay_server
from benchmarks.dnswork import CAP, LIMIT, Ask, async_dnspython, awaited, dnspython, floor, names, our_resolvers
from benchmarks.measure import OURS, Case, Contender, call, missing, package
from mailauth.plan import Question, ask_all, run, run_async
from mailauth.resolvers.system import MAX_THREADS

TITLE = "Resolvers"

BATCH = 1000


def cases() -> Iterator[Case]:
    with delay_server() as port, asyncio.Runner() as runner, contextlib.ExitStack() as stack:
        loop = runner.get_loop()
        mine, peers = our_resolvers(port), peers_of(port, stack)
        for delays, words in ((["d20"] * 10, "10 lists of 20 ms"), (["d20"] * 30, "30 lists of 20 ms")):
            for kind, (peer, ask) in peers.items():
                yield case(f"{words}, {kind}", delays, 1, mine.get(kind), peer, ask, port, loop)
        for kind, (peer, ask) in peers.items():
            yield case(f"1,000 at no delay, {kind}", ["d0"] * 10, BATCH // 10, mine.get(kind), peer, ask, port, loop)
        yield one_after_another(port, mine)


def peers_of(port: int, stack: contextlib.ExitStack) -> dict[str, tuple[str, Ask | None]]:
    """Of each of our resolvers: the peer's name and how it is asked, None where it is not installed."""
    threads = stack.enter_context(ThreadPoolExecutor(MAX_THREADS))
    return {
        "c-ares": ("aiodns", plain_aiodns(port)),
        "dnspython": ("dnspython", plain_dnspython(port)),
        "dnspython, threads": ("dnspython", plain_dnspython_in_threads(port, threads)),
    }


def case(
    name: str, delays: Sequence[str], addresses: int, resolver: Any, peer: str, ask: Ask | None, port: int,
    loop: asyncio.AbstractEventLoop,
) -> Case:  # fmt: skip
    """All names at once."""
    count = len(delays) * addresses

    def contender(name: str, ask: Ask) -> Contender:
        return awaited(name, ask, lambda: names(delays, addresses), count, loop, package(name))

    if resolver is None:
        raise RuntimeError("pycares is not installed: make bench installs it")
    return Case(
        name,
        [
            floor(port, delays, loop, addresses),
            contender(OURS, ours(resolver)),
            contender(peer, ask) if ask is not None else missing(peer),
        ],
        seconds=0.2,
    )


def ours(resolver: Any) -> Ask:
    """Our drivers, sync and async."""

    async def ask(wanted: Sequence[str]) -> int:
        plan = ask_all([Question(name, "A") for name in wanted])
        if hasattr(resolver, "lookup_async"):
            answers = await run_async(plan, resolver, time_limit=LIMIT)
        else:
            answers = run(plan, resolver, time_limit=LIMIT)
        return sum(answer.found for answer in answers)

    return ask


def plain_aiodns(port: int) -> Ask | None:
    try:
        import aiodns
    except ImportError:
        return None
    made: list[Any] = []

    async def one(name: str) -> bool:
        async with made[1]:
            return bool(await made[0].query_dns(name, "A"))

    async def ask(wanted: Sequence[str]) -> int:
        if not made:
            resolver = aiodns.DNSResolver(nameservers=["127.0.0.1"], udp_port=port, tcp_port=port)
            made.extend([resolver, asyncio.Semaphore(CAP)])
        return sum(await asyncio.gather(*map(one, wanted)))

    return ask


def plain_dnspython(port: int) -> Ask:
    resolver, turns = async_dnspython(port), asyncio.Semaphore(CAP)

    async def one(name: str) -> bool:
        async with turns:
            return bool(await resolver.resolve(name + ".", "A", lifetime=LIMIT))

    async def ask(wanted: Sequence[str]) -> int:
        return sum(await asyncio.gather(*map(one, wanted)))

    return ask


def plain_dnspython_in_threads(port: int, threads: ThreadPoolExecutor) -> Ask:
    resolver = dnspython(port)

    async def ask(wanted: Sequence[str]) -> int:
        return sum(map(bool, threads.map(lambda name: resolver.resolve(name + ".", "A"), wanted)))

    return ask


def one_after_another(port: int, mine: dict[str, Any]) -> Case:
    """A synchronous caller that waits for each answer, as an SPF evaluation does."""
    plain, own = dnspython(port), mine["dnspython, threads"]
    fresh = iter_names()

    def ask_ours() -> object:
        return own.lookup(Question(next(fresh), "A"), LIMIT)

    def ask_plain() -> object:
        return plain.resolve(next(fresh) + ".", "A")

    assert own.lookup(Question(next(fresh), "A"), LIMIT).found
    assert ask_plain()
    return Case(
        "one after another, dnspython",
        [call(OURS, ask_ours, package(OURS)), call("dnspython", ask_plain, package("dnspython"))],
    )


def iter_names() -> Iterator[str]:
    while True:
        yield from names(["d0"], 100)
