"""What the subjects that ask a server share: names that nobody asked before, resolvers, the floor, awaited work.

All ask the server of `delayserver`, which answers each name after the delay that the name says.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import dns.asyncresolver
import dns.resolver

from benchmarks.measure import FLOOR, Contender
from mailauth.resolvers import AsyncDnspythonResolver, DnspythonResolver

CAP = 200
"""Questions in flight at a time, for all contenders."""
LIMIT = 20.0
ATTEMPTS = 3

Ask = Callable[[Sequence[str]], Awaitable[int]]
"""Asks all names at once and returns how many were answered."""

_numbers = iter(range(1, 1 << 24))


def fresh_address() -> str:
    """A public address that was not asked about before: no cache may help."""
    number = next(_numbers)
    return f"11.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def lists(delays: Sequence[str]) -> list[str]:
    """The zones of lists with those delays, as "d20"."""
    return [f"{delay}.l{i}.example" for i, delay in enumerate(delays)]


def names(delays: Sequence[str], addresses: int = 1) -> list[str]:
    """What is asked about so many fresh addresses."""
    wanted = []
    for _ in range(addresses):
        reverse = ".".join(reversed(fresh_address().split(".")))
        wanted += [f"{reverse}.{zone}" for zone in lists(delays)]
    return wanted


def awaited(
    name: str, ask: Callable[[Any], Awaitable[int]], make: Callable[[], Sequence[Any]], count: int,
    loop: asyncio.AbstractEventLoop, version: str = "",
) -> Contender:  # fmt: skip
    """A contender that asks what `make` gives anew each time, and must get `count` answers."""

    def attempt(loops: int) -> tuple[float, list[int]]:
        work = [make() for _ in range(loops)]

        async def run() -> tuple[float, list[int]]:
            start = time.perf_counter()
            answered = [await ask(each) for each in work]
            return time.perf_counter() - start, answered

        return loop.run_until_complete(run())

    return complete(name, attempt, count, version)


def complete(name: str, attempt: Callable[[int], tuple[float, list[int]]], count: int, version: str) -> Contender:
    """A contender whose every loop must get `count` answers.

    A datagram may get lost on a busy machine; such a value is measured again.
    """

    def timed(loops: int) -> float:
        answered: list[int] = []
        for _ in range(ATTEMPTS):
            seconds, answered = attempt(loops)
            if answered == [count] * loops:
                return seconds
        raise RuntimeError(f"{name}: {answered} answers in place of {count} each, {ATTEMPTS} times")

    return Contender(name, timed, version)


async def raw_udp(port: int, wanted: Sequence[str]) -> int:
    """The floor: one socket, no checks, no retry, nothing parsed."""
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


def floor(port: int, delays: Sequence[str], loop: asyncio.AbstractEventLoop, addresses: int = 1) -> Contender:
    """Raw UDP for the same names."""
    count = len(delays) * addresses
    return awaited(FLOOR, lambda wanted: raw_udp(port, wanted), lambda: names(delays, addresses), count, loop)


def dnspython(port: int) -> dns.resolver.Resolver:
    """dnspython's blocking resolver, set to the server."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    return resolver


def async_dnspython(port: int) -> dns.asyncresolver.Resolver:
    """The one that is awaited."""
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    return resolver


def our_resolvers(port: int) -> dict[str, Any]:
    """Ours, by what they stand on; the one on c-ares where it is installed."""
    found: dict[str, Any] = {
        "dnspython": AsyncDnspythonResolver(async_dnspython(port)),
        "dnspython, threads": DnspythonResolver(dnspython(port)),
    }
    try:
        from mailauth.resolvers import CaresResolver
    except ImportError:
        return found
    return {"c-ares": CaresResolver(["127.0.0.1"], port=port), **found}
