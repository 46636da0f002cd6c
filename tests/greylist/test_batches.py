"""SQLite under asyncio: decisions that wait at the same time share a transaction, and each has its own outcome."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth.greylist import AsyncGreylist, Decision, Greylist, GreylistPolicy
from mailauth.stores import open_async_store, open_store
from mailauth.stores.batches import AsyncSqliteStore
from mailauth.stores.memory import MemoryStore
from mailauth.stores.threads import ThreadedStore

T = 1_800_000_000.0
POLICY = GreylistPolicy(auto_allow=2)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite://{tmp_path}/greylist.db"


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches."""
    sizes: list[int] = []
    original = AsyncSqliteStore._decide

    def decide(self: AsyncSqliteStore, batch: list[Any]) -> None:
        sizes.append(len(batch))
        original(self, batch)

    monkeypatch.setattr(AsyncSqliteStore, "_decide", decide)
    return sizes


class Gate:
    """Keeps the thread busy until it is opened, so that what comes meanwhile waits."""

    def __init__(self, store: AsyncSqliteStore) -> None:
        self.closed, self.opened = threading.Event(), threading.Event()
        self.task = asyncio.ensure_future(store.perform(self._plan))

    def _plan(self, store: Any) -> Any:
        from mailauth.plan import Call

        return (yield Call(self._wait))

    def _wait(self) -> bool:
        self.closed.set()
        return self.opened.wait(20)

    async def __aenter__(self) -> Gate:
        assert await asyncio.to_thread(self.closed.wait, 20)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.opened.set()
        assert await self.task


def check(greylist: AsyncGreylist, sender: str, at: float = 0, ip: str = "192.0.2.1") -> asyncio.Task[Decision]:
    return asyncio.ensure_future(greylist.check(ip, sender, "bob@example.net", now=T + at))


def senders(count: int) -> list[str]:
    return [f"{chr(97 + number // 26)}{chr(97 + number % 26)}@example.org" for number in range(count)]


def run(url: str, test: Callable[[AsyncGreylist, AsyncSqliteStore], Any], **options: Any) -> None:
    async def main() -> None:
        store = open_async_store(url, **options)
        assert isinstance(store, AsyncSqliteStore)
        async with AsyncGreylist(store, policy=POLICY) as greylist:
            await test(greylist, store)

    asyncio.run(main())


def test_what_waits_at_the_same_time_shares_a_transaction(url: str, batches: list[int]) -> None:
    async def test(greylist: AsyncGreylist, store: AsyncSqliteStore) -> None:
        async with Gate(store):
            tasks = [check(greylist, sender) for sender in senders(40)]
            await asyncio.sleep(0)
        assert {decision.reason for decision in await asyncio.gather(*tasks)} == {"new"}

    run(url, test)
    assert batches == [1, 40]


def test_one_triplet_many_times_in_one_batch(url: str) -> None:
    async def test(greylist: AsyncGreylist, store: AsyncSqliteStore) -> None:
        async with Gate(store):
            tasks = [check(greylist, "ann@example.org") for _ in range(30)]
            await asyncio.sleep(0)
        reasons = Counter(str(decision.reason) for decision in await asyncio.gather(*tasks))
        assert reasons == {"new": 1, "too-early": 29}
        assert (await check(greylist, "ann@example.org", 300)).attempts == 31

    run(url, test)


ATTEMPTS = st.tuples(
    st.sampled_from(["192.0.2.1", "198.51.100.9"]), st.sampled_from(senders(4)), st.sampled_from([1, 299, 301, 4000])
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(ATTEMPTS, max_size=6), max_size=6))
def test_in_a_batch_or_one_by_one_the_decisions_are_the_same(tmp_path: Path, rounds: list[list[Any]]) -> None:
    """Decisions of one transaction are those of one transaction each."""
    path = tmp_path / "greylist.db"
    alone = Greylist(MemoryStore(), policy=POLICY)

    async def test(greylist: AsyncGreylist, store: AsyncSqliteStore) -> None:
        now = 0.0
        for attempts in rounds:
            now += max((wait for _, _, wait in attempts), default=0)
            async with Gate(store):
                tasks = [check(greylist, sender, now, ip) for ip, sender, _ in attempts]
                await asyncio.sleep(0)
            expected = [alone.check(ip, sender, "bob@example.net", now=T + now) for ip, sender, _ in attempts]
            assert await asyncio.gather(*tasks) == expected

    run(f"sqlite://{path}", test)
    for leftover in tmp_path.iterdir():
        leftover.unlink()


def test_an_answer_comes_when_its_record_is_in_the_file(url: str) -> None:
    async def test(greylist: AsyncGreylist, store: AsyncSqliteStore) -> None:
        reader = sqlite3.connect(store._file.path)
        seen: list[int] = []
        count = "SELECT count(*) FROM greylist WHERE key LIKE ?"

        async def one(sender: str) -> None:
            assert (await check(greylist, sender)).reason == "new"
            seen.append(reader.execute(count, (f"%{sender}%",)).fetchone()[0])

        await asyncio.gather(*map(one, senders(60)))
        assert seen == [1] * 60
        reader.close()

    run(url, test)


def test_while_another_process_writes_the_known_are_answered_and_the_new_wait(url: str) -> None:
    async def test(greylist: AsyncGreylist, store: AsyncSqliteStore) -> None:
        await check(greylist, "ann@example.org")
        assert (await check(greylist, "ann@example.org", 300)).reason == "retried"
        other = sqlite3.connect(store._file.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        async with Gate(store):
            new, known = check(greylist, "eve@example.org", 301), check(greylist, "ann@example.org", 301)
            await asyncio.sleep(0)
        assert (await known).reason == "known"
        assert not new.done()
        other.execute("ROLLBACK")
        assert (await new).reason == "new"
        other.close()

    run(url, test)


def test_a_lock_that_is_held_too_long_is_a_decision(url: str) -> None:
    async def test(greylist: AsyncGreylist, store: AsyncSqliteStore) -> None:
        await check(greylist, "ann@example.org")
        other = sqlite3.connect(store._file.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        decisions = await asyncio.gather(*[check(greylist, sender) for sender in senders(5)])
        assert {(str(each.action), str(each.reason)) for each in decisions} == {("accept", "store-error")}
        other.close()
        assert (await check(greylist, "ann@example.org")).reason == "too-early"

    run(url, test, time_limit=0.2)


def test_a_record_that_cannot_be_read_spoils_nobody_elses_decision(url: str) -> None:
    async def test(greylist: AsyncGreylist, store: AsyncSqliteStore) -> None:
        await check(greylist, "ann@example.org")
        with sqlite3.connect(store._file.path) as other:
            other.execute("UPDATE greylist SET state = 'nonsense'")
        other.close()
        async with Gate(store):
            tasks = [check(greylist, sender, 300) for sender in ("ann@example.org", *senders(5))]
            await asyncio.sleep(0)
        first, *others = await asyncio.gather(*tasks)
        assert (first.action, first.reason) == ("accept", "store-error")
        assert {str(decision.reason) for decision in others} == {"new"}

    run(url, test)


def test_a_mistake_of_the_caller_is_raised_to_its_own_caller(url: str) -> None:
    class Broken:
        def current(self) -> Any:
            raise RuntimeError("settings out of order")

    async def main() -> None:
        store = open_async_store(url)
        good, broken = AsyncGreylist(store), AsyncGreylist(store, settings=Broken())
        results = await asyncio.gather(check(good, "a@b.example"), check(broken, "a@b.example"), return_exceptions=True)
        assert isinstance(results[1], RuntimeError)
        assert isinstance(results[0], Decision)
        with pytest.raises(TypeError, match="an address is text"):
            await good.check("192.0.2.1", b"ann@example.org", "bob@example.net")  # type: ignore[arg-type]
        await good.close()

    asyncio.run(main())


def test_a_caller_that_gives_up_disturbs_nobody(url: str) -> None:
    async def test(greylist: AsyncGreylist, store: AsyncSqliteStore) -> None:
        async with Gate(store):
            tasks = [check(greylist, sender) for sender in senders(20)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(each, asyncio.CancelledError) for each in results] == [True, False] * 10
        assert {str(each.reason) for each in results[1::2]} == {"new"}  # type: ignore[union-attr]

    run(url, test)


def test_two_event_loops_share_a_store_that_is_closed_and_used_again(url: str) -> None:
    store = open_async_store(url)
    reasons: list[str] = []

    async def main(names: Sequence[str]) -> None:
        greylist = AsyncGreylist(store)
        reasons.extend(str(each.reason) for each in await asyncio.gather(*[check(greylist, name) for name in names]))
        await store.close()
        reasons.append(str((await check(greylist, names[0])).reason))

    threads = [
        threading.Thread(target=lambda names=part: asyncio.run(main(names)))
        for part in (senders(40)[:20], senders(40)[20:])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    asyncio.run(store.close())
    assert Counter(reasons) == {"new": 40, "too-early": 2}
    with Greylist(open_store(url)) as greylist:
        assert greylist.check("192.0.2.1", "aa@example.org", "bob@example.net", now=T).reason == "too-early"


def test_a_store_that_another_event_loop_closes_goes_on() -> None:
    store = ThreadedStore(open_store("memory:"))
    done: list[object] = []

    async def main() -> None:
        for _ in range(300):
            done.append(await store.get(["a"]))
            await store.close()

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # between any two steps another thread goes on
    try:
        threads = [threading.Thread(target=lambda: asyncio.run(main())) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert done == 900 * [[None]]


FORKED = """
import asyncio, os, sys
from mailauth.greylist import AsyncGreylist
from mailauth.stores import open_async_store
greylist = AsyncGreylist(open_async_store(sys.argv[1]))
check = lambda: asyncio.run(greylist.check("192.0.2.1", "ann@example.org", "bob@example.net", now=1.8e9)).reason
assert check() == "new"
child = os.fork()
if not child:
    os._exit(0 if check() == "too-early" else 1)
assert os.waitpid(child, 0)[1] == 0
assert check() == "too-early"
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_in_a_forked_child(url: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED, url], check=True, timeout=30)
