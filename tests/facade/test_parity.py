"""The signatures of both facades, and their results side by side.

Whoever knows mailauth.sync knows mailauth.aio: the same names, arguments, defaults and results.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import trio

from mailauth import aio, sync
from mailauth.plan import Answer, Question
from tests.facade.world import BOB, FACADES, GOOD, LISTED, NOW, STRANGER, SYNC, Facade, signed, zone

CLASSES = ("Authenticator", "Session", "Greylist")
# What differs by nature: a context manager is entered with "with" or "async with".
BY_NATURE = {"__enter__": "__aenter__", "__exit__": "__aexit__"}


def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any, str]]:
    """Name, kind, default and annotation, that of the async side in the words of the sync one."""
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = str(parameter.annotation).replace("Async", "")
        found.append((name, parameter.kind, parameter.default, annotation))
    return found


def members(cls: type) -> dict[str, Any]:
    """The public methods and properties, and the constructor."""
    everything = dict(
        inspect.getmembers(cls, lambda member: inspect.isfunction(member) or isinstance(member, property))
    )
    return {
        name: member
        for name, member in everything.items()
        if not name.startswith("_") or name in ("__init__", *BY_NATURE)
    }


def test_both_have_the_same_names() -> None:
    assert sync.__all__ == aio.__all__
    assert {name for name in vars(sync) if not name.startswith("_") and callable(vars(sync)[name])} >= set(sync.__all__)


@pytest.mark.parametrize("name", sync.__all__)
def test_functions_and_classes_match(name: str) -> None:
    ours, theirs = getattr(sync, name), getattr(aio, name)
    assert inspect.getdoc(ours)
    assert inspect.getdoc(theirs)
    if name not in CLASSES:
        assert parameters(ours) == parameters(theirs)
        assert inspect.iscoroutinefunction(theirs)
        assert not inspect.iscoroutinefunction(ours)


@pytest.mark.parametrize("name", CLASSES)
def test_methods_match(name: str) -> None:
    ours, theirs = members(getattr(sync, name)), members(getattr(aio, name))
    for method, member in ours.items():
        other = theirs.get(method, getattr(getattr(aio, name), BY_NATURE.get(method, method), None))
        assert other is not None, f"{name}.{method} is missing in aio"
        if isinstance(member, property):
            assert isinstance(other, property)
        elif method not in BY_NATURE:
            assert parameters(member) == parameters(other), f"{name}.{method}"
        assert inspect.getdoc(member) or method.startswith("__"), f"{name}.{method} has no docstring"
        assert inspect.getdoc(other) or method.startswith("__"), f"{name}.{method} has no docstring"
    assert set(theirs) - {"__aenter__", "__aexit__"} <= set(ours)


@pytest.mark.parametrize("name", ["Authenticator", "Session"])
def test_what_waits_in_sync_is_awaited_in_aio(name: str) -> None:
    waits = {
        "Authenticator": {"check", "run"},
        "Session": {"connect", "helo", "mail", "rcpt", "data"},
    }[name]
    theirs = members(getattr(aio, name))
    assert {method for method, member in theirs.items() if inspect.iscoroutinefunction(member)} == waits


# --- results -----------------------------------------------------------------------------------------------


def everything(facade: Facade) -> list[Any]:
    """One call of each name, the results as JSON-ready values."""
    module, run = facade.module, facade.run
    auth = facade.authenticator(rbl=["bl.example"], greylist=facade.greylist())
    facts = {"helo": "mx.example.org", "mail_from": "ann@example.org", "rcpt_to": [BOB], "now": NOW}
    results = [
        run(module.check_spf(STRANGER, mail_from="ann@example.org", now=NOW, resolver=zone())),
        run(module.check_spf(GOOD, helo="mx.example.org", now=NOW, trace=True, resolver=zone())),
        *run(module.verify_dkim(signed(), now=NOW, resolver=zone())),
        *run(module.explain_dkim(signed() + b"more", now=NOW, resolver=zone())),
        *run(module.query_rbl(LISTED, ["bl.example"], resolver=zone())),
        run(module.check_iprev(GOOD, resolver=zone())),
        run(facade.greylist().check(GOOD, "ann@example.org", BOB, now=NOW)),
        run(auth.check(signed(), ip=LISTED, **facts)),
        run(auth.check(signed(), ip=GOOD, **facts)),
    ]
    return [result.to_dict() for result in results]


def test_sync_asyncio_and_trio_give_the_same_results() -> None:
    first, *others = [everything(facade) for facade in FACADES]
    assert all(other == first for other in others)
    assert len(first) == 9


def test_sync_works_inside_a_running_loop() -> None:
    async def main() -> list[Any]:
        return everything(SYNC)

    assert asyncio.run(main()) == trio.run(main) == everything(SYNC)


def test_one_authenticator_serves_fifty_threads() -> None:
    greylist = SYNC.greylist()
    auth = SYNC.authenticator(rbl=["bl.example"], greylist=greylist)
    barrier = threading.Barrier(50)

    def work(number: int) -> tuple[str, str, str]:
        barrier.wait()
        ip = LISTED if number % 2 else GOOD
        session = auth.session(ip)
        session.helo("mx.example.org")
        session.mail(f"ann{number}@example.org", now=NOW)
        decision = session.rcpt(BOB, now=NOW)
        report = auth.check(
            signed(), ip=ip, helo="mx.example.org", mail_from=f"eve{number}@example.org", rcpt_to=BOB, now=NOW
        )
        return decision.reason, report.decision.reason, report.mail_from

    with ThreadPoolExecutor(50) as threads:
        results = list(threads.map(work, range(50)))
    for number, (reason, whole, sender) in enumerate(results):
        expected = "rbl-score" if number % 2 else "greylist-new"
        assert (reason, whole, sender) == (expected, expected, f"eve{number}@example.org")


class Yielding:
    """Answers after giving way to other tasks, so that two hundred of them are in flight at once."""

    def __init__(self, give_way: Callable[[], Any]) -> None:
        self.give_way = give_way
        self.at_once = self.most = 0

    async def lookup_async(self, question: Question) -> Answer:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.give_way()
        self.at_once -= 1
        return zone().lookup_now(question)


async def _two_hundred(auth: Any, gather: Callable[[Callable[[int], Any]], Any]) -> list[str]:
    reasons = [""] * 200

    async def work(number: int) -> None:
        session = auth.session(LISTED if number % 2 else GOOD)
        await session.helo("mx.example.org")
        await session.mail(f"ann{number}@example.org", now=NOW)
        reasons[number] = (await session.rcpt(BOB, now=NOW)).reason

    await gather(work)
    return reasons


EXPECTED = ["rbl-score" if number % 2 else "greylist-new" for number in range(200)]


def test_one_authenticator_serves_two_hundred_tasks_of_asyncio() -> None:
    async def gather(work: Callable[[int], Any]) -> None:
        await asyncio.gather(*map(work, range(200)))

    facade = FACADES[1]
    resolver = Yielding(lambda: asyncio.sleep(0))
    auth = facade.authenticator(rbl=["bl.example"], greylist=facade.greylist(), resolver=resolver)
    assert asyncio.run(_two_hundred(auth, gather)) == EXPECTED
    assert resolver.most > 100


def test_one_authenticator_serves_two_hundred_tasks_of_trio() -> None:
    async def gather(work: Callable[[int], Any]) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(work, number)

    facade = FACADES[2]
    resolver = Yielding(trio.lowlevel.checkpoint)
    auth = facade.authenticator(rbl=["bl.example"], greylist=facade.greylist(), resolver=resolver)
    assert trio.run(_two_hundred, auth, gather) == EXPECTED
    assert resolver.most > 100


def test_the_default_resolver_is_made_once() -> None:
    sync._default.clear()
    try:
        with ThreadPoolExecutor(20) as threads:
            made = {id(resolver) for resolver in threads.map(lambda _: sync.default_resolver(), range(20))}
        assert len(made) == 1
    finally:
        sync._default.clear()
