"""The network resolvers, by name.

One way to ask through every network resolver, so that each test runs against all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import trio

from mailauth.plan import Answer, Question, ask, ask_all, run, run_async
from mailauth.resolvers import AsyncDnspythonResolver, CaresResolver, DnspythonResolver
from tests.dnsserver import async_configuration, sync_configuration

Asker = Callable[..., list[Answer]]
"""Asks the server at a port all questions at once; the third argument is the time for one try, in seconds, and the
fourth how many tries there is time for."""

# As patient as dnspython: a test that has nothing to do with time must not fail on a busy machine.
PATIENT = 10.0
TRIES = 2.5


def by_blocking(
    port: int, questions: Sequence[Question], timeout: float = PATIENT, tries: float = TRIES
) -> list[Answer]:
    resolver = DnspythonResolver(sync_configuration(port, timeout=timeout, lifetime=tries * timeout))
    with ThreadPoolExecutor(12) as threads:
        return list(threads.map(lambda question: run(ask(question), resolver, time_limit=None), questions))


def in_background(
    port: int, questions: Sequence[Question], timeout: float = PATIENT, tries: float = TRIES
) -> list[Answer]:
    with DnspythonResolver(sync_configuration(port, timeout=timeout, lifetime=tries * timeout)) as resolver:
        futures = [resolver.submit(question) for question in questions]
        return [future.result() for future in futures]


def in_a_batch(
    port: int, questions: Sequence[Question], timeout: float = PATIENT, tries: float = TRIES
) -> list[Answer]:
    with DnspythonResolver(sync_configuration(port, timeout=timeout, lifetime=tries * timeout)) as resolver:
        # A second question, or the driver would ask the only one directly.
        other = Question("other.invalid", "A")
        return run(ask_all([*questions, other]), resolver, time_limit=None)[:-1]


async def _asynchronously(
    port: int, questions: Sequence[Question], timeout: float = PATIENT, tries: float = TRIES
) -> list[Answer]:
    resolver = AsyncDnspythonResolver(async_configuration(port, timeout=timeout, lifetime=tries * timeout))
    return await run_async(ask_all(questions), resolver, time_limit=None)


def under_asyncio(
    port: int, questions: Sequence[Question], timeout: float = PATIENT, tries: float = TRIES
) -> list[Answer]:
    return asyncio.run(_asynchronously(port, questions, timeout, tries))


def under_trio(
    port: int, questions: Sequence[Question], timeout: float = PATIENT, tries: float = TRIES
) -> list[Answer]:
    return trio.run(_asynchronously, port, questions, timeout, tries)


async def _through_cares(
    port: int, questions: Sequence[Question], timeout: float = PATIENT, tries: float = TRIES
) -> list[Answer]:
    async with CaresResolver(["127.0.0.1"], port=port, timeout=timeout, tries=int(tries)) as resolver:
        return await run_async(ask_all(questions), resolver, time_limit=None)


def through_cares(
    port: int, questions: Sequence[Question], timeout: float = PATIENT, tries: float = TRIES
) -> list[Answer]:
    return asyncio.run(_through_cares(port, questions, timeout, tries))


def through_cares_in_trio(
    port: int, questions: Sequence[Question], timeout: float = PATIENT, tries: float = TRIES
) -> list[Answer]:
    return trio.run(_through_cares, port, questions, timeout, tries)


def through_cares_synchronously(
    port: int, questions: Sequence[Question], timeout: float = PATIENT, tries: float = TRIES
) -> list[Answer]:
    with CaresResolver(["127.0.0.1"], port=port, timeout=timeout, tries=int(tries)) as resolver:
        return run(ask_all(questions), resolver, time_limit=None)


THROUGH_DNSPYTHON: list[Asker] = [by_blocking, in_background, in_a_batch, under_asyncio, under_trio]
THROUGH_CARES: list[Asker] = [through_cares, through_cares_in_trio, through_cares_synchronously]
ALL: list[Asker] = [*THROUGH_DNSPYTHON, *THROUGH_CARES]
