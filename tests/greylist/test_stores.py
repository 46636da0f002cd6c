"""The contract of the stores; the same tests for all of them.

Every store, from every kind of caller, keeps what it acknowledged and swaps one record for another only if the one
that is expected is there.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailauth.greylist import Greylist, GreylistPolicy, Record, State, Store, StoreError
from mailauth.stores import open_async_store, open_store, sqlite
from mailauth.stores.urls import parse_url, redact
from tests.greylist.conftest import ALL_STORES, SHARED_STORES, open_for

A = Record(State.WAITING, 1000.125, 2000.0625, 1, 0, 5000)
B = Record(State.KNOWN, 1000.125, 3000.1, 2, 1, 9000)


@pytest.fixture(params=ALL_STORES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sync", "asyncio", "trio"])
def store(request: pytest.FixtureRequest, kind: str, store_url: Callable[[str], str]) -> Iterator[Any]:
    store = open_for(request.param, store_url(kind))
    yield store
    store.stop()


def test_an_empty_store(store: Any) -> None:
    assert list(store.get(["a", "b"])) == [None, None]
    assert list(store.get([])) == []
    assert not store.scan().entries
    assert not store.expire(1e12, 10)


def test_compare_and_set(store: Any) -> None:
    assert not store.compare_and_set("k", A, B)
    assert store.compare_and_set("k", None, A)
    assert not store.compare_and_set("k", None, B)
    assert not store.compare_and_set("k", B, A)
    assert list(store.get(["k"])) == [A]
    assert store.compare_and_set("k", A, B)
    assert list(store.get(["x", "k"])) == [None, B]
    assert not store.compare_and_set("k", A, None)
    assert store.compare_and_set("k", B, None)
    assert list(store.get(["k"])) == [None]
    assert not store.compare_and_set("k", B, None)
    assert store.compare_and_set("k", None, None)
    assert store.compare_and_set("k", None, A)
    assert not store.compare_and_set("k", None, None)
    assert list(store.get(["k"])) == [A]


@pytest.mark.parametrize("field", range(7))
def test_every_field_is_compared(store: Any, field: int) -> None:
    other = State.KNOWN if field == 0 else A[field] + 1
    assert store.compare_and_set("k", None, A)
    assert not store.compare_and_set("k", Record(*A[:field], other, *A[field + 1 :]), B)
    assert store.compare_and_set("k", A, A)


def test_records_come_back_bit_by_bit(store: Any) -> None:
    @settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(
        st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=900),
        st.builds(
            Record,
            st.sampled_from(State),
            st.floats(-1e12, 1e12),
            st.floats(-1e12, 1e12),
            *[st.integers(0, 2**53)] * 4,
        ),
    )
    def check(key: str, record: Record) -> None:
        assert store.compare_and_set(key, None, record)
        assert list(store.get([key])) == [record]
        assert store.compare_and_set(key, record, None)

    check()


def test_expiry_takes_the_oldest_and_only_what_has_run_out(store: Any) -> None:
    for i in range(10):
        assert store.compare_and_set(f"k{i}", None, A._replace(expires=100 + i))
    assert not store.expire(100, 10)
    removed = store.expire(104.5, 3)
    assert sorted(key for key, _ in removed) == ["k0", "k1", "k2"]
    assert {record.expires for _, record in removed} == {100, 101, 102}
    assert sorted(key for key, _ in store.expire(104.5, 100)) == ["k3", "k4"]
    assert not store.expire(104.5, 100)


def test_expiry_goes_by_the_record_as_it_is_now(store: Any) -> None:
    renewed = A._replace(expires=900)
    assert store.compare_and_set("k", None, A._replace(expires=100))
    assert store.compare_and_set("k", A._replace(expires=100), renewed)
    assert not store.expire(500, 10)
    assert store.compare_and_set("gone", None, A._replace(expires=100))
    assert store.compare_and_set("gone", A._replace(expires=100), None)
    assert not store.expire(500, 10)
    assert [tuple(entry) for entry in store.expire(901, 10)] == [("k", renewed)]


def test_scanning_sees_every_record_once_while_nobody_writes(store: Any) -> None:
    for i in range(25):
        assert store.compare_and_set(f"10.0.{i}.0/24", None, A)
        assert store.compare_and_set(f"10.0.{i}.0/24 a@x b*[c]?\\@y", None, B)
    keys, cursor = [], ""
    for _ in range(1000):
        page = store.scan(cursor=cursor, limit=7)
        keys += [key for key, _ in page.entries]
        cursor = page.cursor
        if not cursor:
            break
    assert len(keys) == len(set(keys)) == 50
    page = store.scan(prefix="10.0.7.0/24 ", limit=1000)
    assert [tuple(entry) for entry in page.entries] == [("10.0.7.0/24 a@x b*[c]?\\@y", B)]


def test_a_closed_store_opens_again(kind: str, store_url: Callable[[str], str]) -> None:
    for caller in ("sync", "asyncio", "trio"):
        store = open_for(caller, store_url(kind))
        assert store.compare_and_set(caller, None, A)
        store.close()
        assert list(store.get([caller])) == [A]
        store.stop()


@pytest.mark.parametrize("shared", SHARED_STORES)
def test_what_is_written_outlives_the_object(shared: str, store_url: Callable[[str], str]) -> None:
    url = store_url(shared)
    first = open_store(url)
    assert first.compare_and_set("k", None, A)
    first.close()
    second = open_store(url)
    assert list(second.get(["k"])) == [A]
    second.close()


def test_threads_share_one_store(kind: str, store_url: Callable[[str], str]) -> None:
    """Of eight threads that count one record up, each step is one of theirs, and none is lost."""
    store: Store = open_store(store_url(kind))
    store.compare_and_set("k", None, A._replace(deferred=0))
    failures: list[BaseException] = []

    def count() -> None:
        try:
            for _ in range(25):
                while True:
                    (record,) = store.get(["k"])
                    assert record is not None
                    if store.compare_and_set("k", record, record._replace(deferred=record.deferred + 1)):
                        break
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    (record,) = store.get(["k"])
    store.close()
    assert record is not None
    assert record.deferred == 200


def test_async_callers_share_one_store(kind: str, store_url: Callable[[str], str]) -> None:
    import asyncio

    async def main() -> Record | None:
        store = open_async_store(store_url(kind))

        async def count() -> None:
            for _ in range(5):
                while True:
                    (record,) = await store.get(["k"])
                    after = A if record is None else record._replace(deferred=record.deferred + 1)
                    if await store.compare_and_set("k", record, after):
                        break

        await asyncio.gather(*(count() for _ in range(40)))
        (record,) = await store.get(["k"])
        await store.close()
        return record

    record = asyncio.run(main())
    assert record is not None
    assert record.deferred == 200


def test_a_cancelled_caller_leaves_the_store_usable(kind: str, store_url: Callable[[str], str]) -> None:
    import asyncio

    async def main() -> None:
        store = open_async_store(store_url(kind))
        await store.compare_and_set("k", None, A)
        for step in range(20):
            task = asyncio.create_task(store.get(["k"]))  # type: ignore[arg-type]
            for _ in range(step % 5):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert list(await store.get(["k"])) == [A]
        await store.close()

    asyncio.run(main())


@pytest.mark.parametrize("shared", SHARED_STORES)
def test_a_forked_child_gets_connections_of_its_own(shared: str, store_url: Callable[[str], str]) -> None:
    url = store_url(shared)
    program = """
import os, sys
from mailauth.greylist import Record, State
from mailauth.stores import open_store
store = open_store(sys.argv[1])
record = Record(State.WAITING, 1.0, 2.0, 1, 0, 5000)
assert store.compare_and_set("parent", None, record)
children = []
for i in range(3):
    pid = os.fork()
    if pid == 0:
        ok = all(store.compare_and_set(f"child{i}.{j}", None, record) for j in range(20))
        ok = ok and store.get(["parent"])[0] == record
        os._exit(0 if ok else 1)
    children.append(pid)
for j in range(20):
    assert store.compare_and_set(f"parent.{j}", None, record)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
assert len(store.scan().entries) == 81
store.close()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, url], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shared", SHARED_STORES)
def test_a_forked_child_gets_threads_and_loops_of_its_own(shared: str, store_url: Callable[[str], str]) -> None:
    """As in a server that looks into its store before it forks its workers."""
    program = """
import asyncio, os, signal, sys
from mailauth.greylist import Record, State
from mailauth.stores import open_async_store
store = open_async_store(sys.argv[1])
record = Record(State.WAITING, 1.0, 2.0, 1, 0, 5000)
assert asyncio.run(store.compare_and_set("parent", None, record))
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    ok = asyncio.run(store.compare_and_set("child", None, record))
    os._exit(0 if ok and asyncio.run(store.get(["parent"]))[0] == record else 1)
assert os.waitpid(pid, 0)[1] == 0
assert asyncio.run(store.get(["child"]))[0] == record
"""
    done = subprocess.run(
        [sys.executable, "-c", program, store_url(shared)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


# --- SQLite itself -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("durability", "synchronous"), [("normal", 1), ("full", 2)])
def test_the_file_is_set_up_right(tmp_path: Path, durability: str, synchronous: int) -> None:
    path = tmp_path / "greylist.db"
    store: Any = open_store(f"sqlite://{path}?durability={durability}")
    store.compare_and_set("k", None, A)
    connection = store._idle[0][0]
    value = lambda name: connection.execute(f"PRAGMA {name}").fetchone()[0]  # noqa: E731
    assert (value("journal_mode"), value("synchronous")) == ("wal", synchronous)
    assert (value("user_version"), value("application_id")) == (1, int.from_bytes(b"matg"))
    plans = connection.execute("EXPLAIN QUERY PLAN SELECT key FROM greylist WHERE expires < 5 ORDER BY expires LIMIT 9")
    assert "greylist_expires" in str(plans.fetchall())
    store.close()


def test_concurrent_decisions_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: while one transaction is held up, the writes of fifty threads pile up, then share few."""
    store: Any = open_store(f"sqlite://{tmp_path}/greylist.db?durability=full")
    store.compare_and_set("k", None, A)
    transactions: list[int] = []
    run_transaction = sqlite._transaction

    def counted(connection: Any, batch: list[Any]) -> Any:
        transactions.append(len(batch))
        return run_transaction(connection, batch)

    monkeypatch.setattr(sqlite, "_transaction", counted)
    store._write_lock.acquire()
    threads = [threading.Thread(target=store.compare_and_set, args=(f"k{i}", None, A)) for i in range(50)]
    for thread in threads:
        thread.start()
    while len(store._writes) < 50:
        threading.Event().wait(0.001)
    store._write_lock.release()
    for thread in threads:
        thread.join()
    assert sum(transactions) == 50
    assert len(transactions) == 1
    assert len(store.scan().entries) == 51
    store.close()


def test_another_programs_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        open_store(f"sqlite://{path}").get(["k"])
    assert path.read_bytes() == before


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "greylist.db"
    store = open_store(f"sqlite://{path}")
    store.compare_and_set("k", None, A)
    store.close()
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 2")
    other.close()
    with pytest.raises(StoreError, match="schema version 2; this release of mailauth knows 1"):
        store.get(["k"])


def test_a_file_that_is_removed_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailauth.stores.sqlite.LOOK_INTERVAL", 0)
    path = tmp_path / "greylist.db"
    store = open_store(f"sqlite://{path}")
    assert store.compare_and_set("k", None, A)
    for file in tmp_path.iterdir():
        file.unlink()
    assert list(store.get(["k"])) == [None]
    assert store.compare_and_set("k", None, A)
    assert path.exists()
    store.close()


@pytest.mark.server
def test_postgresql_leaves_a_foreign_table_alone(postgres_server: Any) -> None:
    import psycopg

    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA theirs")
        connection.execute("CREATE TABLE theirs.mailauth_greylist (x int)")
    store = open_store(postgres_server.url + "?options=-csearch_path%3Dtheirs")
    with pytest.raises(StoreError, match="of another program"):
        store.get(["k"])
    store.close()


@pytest.mark.server
@pytest.mark.parametrize(("durability", "setting"), [("normal", "off"), ("full", "on")])
def test_postgresql_durability(postgres_server: Any, durability: str, setting: str) -> None:
    store: Any = open_store(f"{postgres_server.url}?durability={durability}")
    store.get(["k"])
    assert store._query("SHOW synchronous_commit", ())[0] == [(setting,)]
    store.close()


@pytest.mark.server
@pytest.mark.parametrize("open_any", [open_store, open_async_store])
def test_postgresql_that_isolates_more_strictly_lets_nobody_fail_who_loses(postgres_server: Any, open_any: Any) -> None:
    import psycopg

    from tests.greylist.conftest import wipe

    wipe(postgres_server.url)
    url = postgres_server.url + "?options=-cdefault_transaction_isolation%3Dserializable"
    store: Any = open_for("sync" if open_any is open_store else "asyncio", url)
    store.compare_and_set("k", None, A)
    with psycopg.connect(postgres_server.url) as other:
        other.execute("UPDATE mailauth_greylist SET deferred = deferred + 1 WHERE key = 'k'")
        answers: list[Any] = []

        def swap() -> None:
            try:
                answers.append(store.compare_and_set("k", A, B))
            except StoreError as error:
                answers.append(error)

        thread = threading.Thread(target=swap)
        thread.start()
        with psycopg.connect(postgres_server.url, autocommit=True) as third:
            waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            while not third.execute(waiting).fetchone()[0]:  # type: ignore[index]
                assert thread.is_alive()
        other.commit()
        thread.join()
    assert answers == [False]
    store.stop()


@pytest.mark.server
@pytest.mark.parametrize("caller", ["sync", "asyncio"])
def test_postgresql_table_that_another_makes_at_the_same_time(postgres_server: Any, caller: str) -> None:
    """Who has seen no table waits for the one who makes it, and then finds it."""
    import psycopg

    from mailauth.stores import postgres

    path = f"race_{caller}"
    url = f"{postgres_server.url}?options=-csearch_path%3D{path}"
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with (
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(url) as maker,
        psycopg.connect(url, autocommit=True) as watcher,
    ):
        watcher.execute(f"CREATE SCHEMA {path}")
        maker.execute("SELECT pg_advisory_xact_lock(%s)", (postgres._SCHEMA_LOCK,))
        store = open_for(caller, url)
        found = thread.submit(store.get, ("k",))
        while watcher.execute(waiting).fetchone() != (1,):
            assert not found.done()
            time.sleep(0.01)
        maker.execute(postgres.SCHEMA)
        maker.commit()
        assert list(found.result()) == [None]
    store.stop()


@pytest.mark.server
def test_threads_that_all_meet_a_dead_connection(postgres_server: Any) -> None:
    """Each of them closes what is kept, at the same time: none may stumble over what another took first."""
    store: Any = open_store(postgres_server.url)
    store.get(["k"])

    class Vanishing(deque[Any]):
        """What a check for emptiness saw is gone a moment later."""

        def __len__(self) -> int:
            return super().__len__() + 1

    store._idle = Vanishing(store._idle)
    store.close()
    assert list(store.get(["nobody"])) == [None]
    store.close()


# --- URLs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "kind", "rest"),
    [
        ("memory:", "memory", "memory:"),
        ("sqlite:///var/lib/greylist.db", "sqlite", "/var/lib/greylist.db"),
        ("sqlite:/var/lib/greylist.db", "sqlite", "/var/lib/greylist.db"),
        ("sqlite:greylist.db?durability=full", "sqlite", "greylist.db"),
        ("sqlite:///a%20b%3F.db", "sqlite", "/a b?.db"),
        ("redis://:secret@host:6380/2?prefix=gl:&ssl=x", "redis", "redis://:secret@host:6380/2?ssl=x"),
        ("valkey://host/0", "redis", "redis://host/0"),
        ("valkeys://host/0", "redis", "rediss://host/0"),
        ("postgres://u@h/db?durability=full&sslmode=require", "postgresql", "postgres://u@h/db?sslmode=require"),
    ],
)
def test_urls(url: str, kind: str, rest: str) -> None:
    parsed = parse_url(url)
    assert (parsed.kind, parsed.rest) == (kind, rest)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("greylist.db", "names no store"),
        ("mysql://host/db", "names no store; there are memory:, sqlite:"),
        ("sqlite://greylist.db", "write sqlite:///path, or sqlite:greylist.db"),
        ("sqlite:", "names a file"),
        ("sqlite:x.db?durability=most", "durability is one of normal, full"),
        ("sqlite:x.db?durabilty=full", "has no option 'durabilty'"),
        ("sqlite:x.db?time_limit=soon", "time_limit is a number of seconds"),
        ("sqlite:x.db?time_limit=0", "more than 0"),
        ("memory:?durability=full", "has no option"),
        ("redis://host:port/0", "[Pp]ort"),
        ("postgresql://host/db?durabilty=full", "invalid URI query parameter"),
        ("redis://host/0?durability=full", "redis://host/0: there is no option durability"),
        ("unix:///run/redis.sock?timelimit=1", "there is no option timelimit"),
    ],
)
def test_urls_that_make_no_sense(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        open_store(url)
    with pytest.raises(ValueError, match=words):
        open_async_store(url)


def test_passwords_are_not_shown() -> None:
    assert redact("postgresql://ann:secret@db.example/mail?password=secret") == "postgresql://ann@db.example/mail"
    assert redact("redis://:secret@h:6379/0") == "redis://h:6379/0"
    store = open_store("postgresql://ann:secret@127.0.0.1:1/mail?connect_timeout=2")
    decision = Greylist(store, policy=GreylistPolicy()).check("192.0.2.1", "a@b.example", "c@d.example")
    assert decision.reason == "store-error"
    assert "secret" not in decision.detail


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://ann:secret@h:6379/0?x=secret", "redis://ann@h:6379/0"),
        ("redis://:secret@[::1]:6379/0", "redis://[::1]:6379/0"),
        ("unix://:secret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("postgresql://h1:5432,h2:5432/mail", "postgresql://h1:5432,h2:5432/mail"),
        ("postgresql:///mail?host=/run&password=secret", "postgresql:///mail"),
        ("sqlite:///srv/a@b.db?durability=full", "sqlite:///srv/a@b.db"),
        # as people type them
        ("redis://:sec/secret@h/0", "redis://..."),
        ("redis://:sec#secret@h", "redis://..."),
        ("postgresql://u:sec?secret@h/d", "postgresql://..."),
        ("postgresql://u:100%secret@h/d", "postgresql://u@h/d"),
        ("postgresql://u:se@secret@h/d", "postgresql://u@h/d"),
        ("redis://[:secret@h/0", "redis://[@h/0"),
        ("redis://:123/secret@h/0", "redis://..."),
        ("postgresql:///mail?user=ann@secret", "postgresql://..."),
        ("redis://:secret", "redis://..."),
        ("redis//:secret@h", "..."),
        ("host=db password=secret dbname=x", "..."),
        ("mysql://u:secret@h/d", "mysql://u@h/d"),
    ],
)
def test_no_mistake_in_a_url_shows_a_secret(url: str, shown: str) -> None:
    assert redact(url) == shown
    for open_any in (open_store, open_async_store):
        assert "secret" not in what_is_seen(open_any, url)


def what_is_seen(open_any: Callable[[str], Any], url: str) -> str:
    """All that a log could hold of opening a store: its repr, or the message and what is shown as its cause."""
    try:
        return repr(open_any(url))
    except ValueError as error:
        return "".join(line for line in traceback.format_exception(error) if not line.startswith("  File"))


def test_drivers_load_only_when_a_store_of_their_kind_is_opened() -> None:
    program = """
import sys
from mailauth.stores import open_store
heavy = {"sqlite3", "redis", "psycopg", "asyncio", "trio"}
def loaded(): return sorted({name.split(".")[0] for name in sys.modules} & heavy)
before = loaded()
open_store("memory:")
assert loaded() == before == [], loaded()
open_store("sqlite:x.db")
assert loaded() == ["sqlite3"], loaded()
"""
    # Coverage of programs that tests start would load sqlite3 itself.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
