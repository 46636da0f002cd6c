"""Corrupt, locked, full, read-only, unreachable and silent stores: the real things.

A store that fails lets mail through (or defers it, if asked to), says why, and serves again by itself as soon as it
can.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from mailauth.greylist import AsyncGreylist, Decision, Greylist, Record, State, StoreError, StoreErrorReason
from mailauth.stores import open_async_store, open_store
from mailauth.stores.sqlite import SqliteStore
from tests.dbservers import PostgresServer, RedisServer, Server, running_server

T = 1_800_000_000.0
FOUR = ["new", "too-early", "retried", "known"]


def check(greylist: Greylist, at: float = 0, sender: str = "ann@example.org") -> Decision:
    return greylist.check("192.0.2.1", sender, "bob@example.net", now=T + at)


def failing(greylist: Greylist, reason: StoreErrorReason) -> Decision:
    """The decision of a check of something new, while the store fails for this reason."""
    record = Record(State.WAITING, T, T, 1, 0, int(T) + 5000)

    def fill() -> None:
        # On a full disk a page may still have room for a few.
        for i in range(500):
            greylist.store.compare_and_set(f"probe{i}", None, record)

    with pytest.raises(StoreError) as caught:
        fill()
    assert caught.value.reason is reason, caught.value
    return check(greylist, sender="stranger@example.org")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "greylist.db"


@pytest.fixture
def greylist(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Greylist]:
    monkeypatch.setattr("mailauth.stores.sqlite.LOOK_INTERVAL", 0)
    with Greylist(open_store(f"sqlite://{path}", time_limit=0.2)) as greylist:
        yield greylist


def test_a_store_that_is_dropped_closes_its_file(path: Path) -> None:
    """From Python 3.13 on, a connection that is not closed is a ResourceWarning."""
    unraisable: list[Any] = []
    hook, sys.unraisablehook = sys.unraisablehook, unraisable.append
    try:
        store = SqliteStore(path)
        store.get(("x",))
        del store
        gc.collect()
    finally:
        sys.unraisablehook = hook
    assert not unraisable
    assert not Path(f"{path}-wal").exists()


def test_a_connection_is_closed_where_the_file_cannot_be_looked_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def remember(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*arguments, **options))
        return opened[-1]

    def fail(path: str) -> tuple[int, int]:
        raise PermissionError("no")

    monkeypatch.setattr(sqlite3, "connect", remember)
    monkeypatch.setattr("mailauth.stores.sqlite._identity", fail)
    with pytest.raises(StoreError):
        SqliteStore(path).get(("x",))
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0].execute("SELECT 1")


def test_a_file_that_is_no_database(greylist: Greylist, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_bytes(b"From ann@example.org\n" * 500)
    decision = failing(greylist, StoreErrorReason.CORRUPT)
    assert (decision.action, decision.reason) == ("accept", "store-error")
    assert "not a database" in decision.detail
    assert "not a database" in caplog.text
    assert Greylist(greylist.store, on_error="defer").check("192.0.2.1", "a@b.example", "c@d.example").deferred
    path.unlink()
    assert [check(greylist, at).reason for at in (0, 1, 300, 301)] == FOUR


def test_a_corrupt_database(greylist: Greylist, path: Path) -> None:
    for i in range(300):
        check(greylist, sender=f"a{i}x@example.org")
    greylist.close()
    size = path.stat().st_size
    assert size > 5 * 4096
    whole = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    decision = failing(greylist, StoreErrorReason.CORRUPT)
    assert (decision.action, decision.reason) == ("accept", "store-error")
    greylist.close()
    # A backup put in its place is all that is needed.
    new = path.with_suffix(".new")
    new.write_bytes(whole)
    new.replace(path)
    assert check(greylist, 300, sender="a7x@example.org").reason == "retried"


@pytest.mark.parametrize(
    "change",
    [
        "state = CAST(x'ff' AS TEXT)",
        "state = 'nothing'",
        "first_seen = 'soon'",
        "last_seen = x'00'",
        "deferred = 9223372036854775807",
        "expires = 0.5",
    ],
)
def test_a_record_that_is_none(greylist: Greylist, path: Path, change: str) -> None:
    check(greylist)
    with contextlib.closing(sqlite3.connect(path)) as other, other:
        other.execute(f"UPDATE greylist SET {change}")
    decision = check(greylist, 1)
    assert (decision.action, decision.reason) == ("accept", "store-error")
    assert str(path) in decision.detail
    assert check(greylist, 0, "dan@example.org").reason == "new"
    # It goes with its time like any other, and its key can be used again.
    for _ in range(3):
        with contextlib.suppress(StoreError):
            greylist.expire(now=T + 1e10)
    assert check(greylist, 2).reason == "new"


@pytest.mark.parametrize("octets", [0, 1, 100, 4095, 4097])
def test_a_database_that_was_cut_short(greylist: Greylist, path: Path, octets: int) -> None:
    check(greylist)
    greylist.close()
    os.truncate(path, octets)
    for at in (0, 1, 300):
        assert check(greylist, at).reason in {"store-error", "new", "too-early", "retried"}


def test_a_locked_database(greylist: Greylist, path: Path) -> None:
    check(greylist)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        decision = failing(greylist, StoreErrorReason.LOCKED)
        assert (decision.action, decision.reason) == ("accept", "store-error")
        # Reading goes on: what is in the store is decided as ever.
        assert check(greylist, 300).reason == "retried"
        other.execute("ROLLBACK")
    assert check(greylist, 1, sender="stranger@example.org").reason == "new"
    assert check(greylist, 301).reason == "retried"


def test_each_thread_waits_for_a_lock_in_its_own_time(path: Path) -> None:
    """None waits longer because of another, nor shorter: the last has time left when the lock is given up."""
    limit, record = 4.0, Record(State.WAITING, T, T, 1, 0, int(T) + 5000)
    store = open_store(f"sqlite://{path}", time_limit=limit)
    store.get(["a"])
    waited: dict[str, float] = {}

    def write(key: str) -> None:
        start = time.monotonic()
        with contextlib.suppress(StoreError):
            store.compare_and_set(key, None, record)
        waited[key] = time.monotonic() - start

    threads = {key: threading.Thread(target=write, args=(key,)) for key in ("first", "second", "third", "late")}
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for key in ("first", "second", "third"):
            threads[key].start()
            time.sleep(0.05)
        time.sleep(limit / 2)
        threads["late"].start()
        for key in ("first", "second", "third"):
            threads[key].join()
        other.execute("ROLLBACK")
    threads["late"].join()
    # One that began anew behind another would take twice the limit.
    assert max(waited.values()) < limit * 1.6, waited
    assert [record is not None for record in store.get(list(threads))] == [False, False, False, True]
    store.close()


def test_a_lock_that_no_waiting_frees_is_not_asked_for_again_and_again(path: Path) -> None:
    """SQLITE_LOCKED: the conflict is within the process. It is reported at once, with time left or without."""
    store = SqliteStore(path, time_limit=5)
    tries: list[int] = []
    reported: list[StoreErrorReason] = []

    def conflict(connection: sqlite3.Connection) -> None:
        tries.append(1)
        error = sqlite3.OperationalError("database table is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_LOCKED
        raise error

    def write() -> None:
        with pytest.raises(StoreError) as caught:
            store._write(conflict)
        reported.append(caught.value.reason)

    with store._write_lock:  # so that the write has to stand in line
        thread = threading.Thread(target=write)
        thread.start()
        while not store._writes:
            time.sleep(0.001)
    thread.join()
    assert (tries, reported) == ([1], [StoreErrorReason.LOCKED])
    store.close()


def test_a_lock_that_is_given_up_in_time_is_waited_for(path: Path) -> None:
    greylist = Greylist(open_store(f"sqlite://{path}", time_limit=30))
    check(greylist)
    greylist.close()
    # This lock keeps readers out, too.
    program = """
        import sqlite3, sys
        other = sqlite3.connect(sys.argv[1], isolation_level=None)
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        print("locked", flush=True)
        sys.stdin.readline()
        other.close()
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        import threading

        impatient = Greylist(open_store(f"sqlite://{path}", time_limit=0.01))
        assert check(impatient, 1).reason == "store-error"
        # The lock is given up while the check waits, or before it begins; it comes to its decision in both cases.
        timer = threading.Timer(0.05, lambda: other.communicate("now\n"))
        timer.start()
        assert check(greylist, 1).reason == "too-early"
        timer.join()
    greylist.close()


# --- a full disk ---------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"only root can mount a small disk (the next test does without): {mount.stderr.strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_full_disk(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = small_disk / "greylist.db"
    greylist = Greylist(open_store(f"sqlite://{path}", time_limit=1))
    assert check(greylist).reason == "new"
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    reasons = [check(greylist, sender=f"a{i}x@example.org").reason for i in range(2000)]
    assert reasons[-1] == "store-error"
    assert set(reasons) <= {"new", "store-error"}
    decision = failing(greylist, StoreErrorReason.FULL)
    assert (decision.action, "full" in decision.detail) == ("accept", True)
    # What is in the store is still decided by it, and who has waited gets through.
    assert check(greylist, 300).reason == "retried"
    filler.unlink()
    assert [check(greylist, at, "dan@example.org").reason for at in (0, 1, 300, 301)] == FOUR
    deferred_while_there_was_room = [i for i, reason in enumerate(reasons) if reason == "new"]
    for i in deferred_while_there_was_room:
        assert check(greylist, 300, f"a{i}x@example.org").reason in {"retried", "client-allowed"}
    greylist.close()


def test_a_file_that_must_not_grow(path: Path) -> None:
    """As a full disk or a used-up quota, without being root: a limit on the size of files."""
    program = """
        import resource, signal, sys
        from mailauth.greylist import Greylist
        from mailauth.stores import open_store
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        greylist = Greylist(open_store(sys.argv[1], time_limit=1))
        def check(sender, at=0):
            return greylist.check("192.0.2.1", sender, "bob@example.net", now=1.8e9 + at).reason
        assert check("ann@example.org") == "new"
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        reasons = [check(f"a{i}x@example.org") for i in range(3000)]
        assert reasons[-1] == "store-error", reasons[-1]
        assert set(reasons) == {"new", "store-error"}
        assert check("ann@example.org", 300) == "retried"
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert [check("dan@example.org", at) for at in (0, 1, 300, 301)] == ["new", "too-early", "retried", "known"]
    """
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    run_program(program, f"sqlite://{path}")


def run_program(program: str, *arguments: str, **options: Any) -> None:
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr


# --- folders and permissions ---------------------------------------------------------------------------------

NOBODY = 65534


def test_a_folder_that_may_only_be_read() -> None:
    """Run as nobody where the tests run as root, whom no permission stops."""
    program = """
        import os, sys
        path, uid = sys.argv[1], int(sys.argv[2])
        from mailauth.greylist import Greylist, StoreError
        from mailauth.stores import open_store
        open_store("sqlite:x.db")  # what is imported late may not be readable for nobody
        if uid:
            os.chown(os.path.dirname(path), uid, uid)
            os.setgid(uid)
            os.setuid(uid)
        greylist = Greylist(open_store("sqlite://" + path, time_limit=1))
        def check(at, sender="ann@example.org"):
            return greylist.check("192.0.2.1", sender, "bob@example.net", now=1.8e9 + at).reason
        folder = os.path.dirname(path)
        os.chmod(folder, 0o500)
        try:
            greylist.store.get(["k"])
        except StoreError as error:
            assert error.reason == "unreachable", error.reason
        assert check(0) == "store-error"
        os.chmod(folder, 0o700)
        assert check(0) == "new"
        greylist.close()
        os.chmod(path, 0o400)
        os.chmod(folder, 0o500)
        # What is there is read where SQLite can; nothing new is written.
        assert check(0, "stranger@example.org") == "store-error"
        os.chmod(path, 0o600)
        os.chmod(folder, 0o700)
        assert [check(at) for at in (1, 300, 301)] == ["too-early", "retried", "known"]
    """
    # Not below tmp_path: nobody may not enter the folders of another user's tests.
    with tempfile.TemporaryDirectory() as above:
        os.chmod(above, 0o755)
        folder = Path(above) / "state"
        folder.mkdir()
        run_program(program, str(folder / "greylist.db"), str(NOBODY if os.geteuid() == 0 else 0))


def test_a_folder_that_is_missing_and_comes(tmp_path: Path) -> None:
    greylist = Greylist(open_store(f"sqlite://{tmp_path}/mounted/greylist.db"))
    assert check(greylist).reason == "store-error"
    (tmp_path / "mounted").mkdir()
    assert [check(greylist, at).reason for at in (0, 1, 300, 301)] == FOUR
    greylist.close()


# --- servers -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[RedisServer, PostgresServer], ids=["redis", "postgresql"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with running_server(request.param) as server:
        yield server


def checks_of(caller: str, url: str) -> tuple[Callable[[float, str], Decision], Callable[[], None]]:
    """A function that checks, and one that ends it, for a kind of caller."""
    if caller == "sync":
        greylist = Greylist(open_store(url, time_limit=1.5))
        return lambda at, sender: check(greylist, at, sender), greylist.close
    store = open_async_store(url, time_limit=1.5)
    async_greylist = AsyncGreylist(store)
    runner = asyncio.Runner()

    def run(function: Callable[[], Any]) -> Any:
        return runner.run(function()) if caller == "asyncio" else trio.run(function)

    def stop() -> None:
        run(async_greylist.close)
        runner.close()

    def one(at: float, sender: str) -> Decision:
        decision: Decision = run(lambda: async_greylist.check("192.0.2.1", sender, "bob@example.net", now=T + at))
        return decision

    return one, stop


@pytest.mark.server
@pytest.mark.parametrize("caller", ["sync", "asyncio", "trio"])
def test_a_server_that_dies_and_comes_back(server: Server, caller: str, caplog: pytest.LogCaptureFixture) -> None:
    one, stop = checks_of(caller, server.url)
    sender = f"{caller}@example.org"
    assert one(0, sender).reason == "new"
    for how in (signal.SIGINT, signal.SIGKILL):
        server.stop(how)
        decision = one(1, sender)
        assert (decision.action, decision.reason) == ("accept", "store-error")
        assert "greylist store" in caplog.text
        server.start()
        assert one(2, sender).reason == "too-early"
    assert one(300, sender).reason == "retried"
    stop()


@pytest.mark.server
@pytest.mark.parametrize("caller", ["sync", "asyncio", "trio"])
def test_a_server_that_restarts_between_two_checks_is_not_noticed(server: Server, caller: str) -> None:
    one, stop = checks_of(caller, server.url)
    sender = f"restart.{caller}@example.org"
    assert one(0, sender).reason == "new"
    server.stop()
    server.start()
    assert one(1, sender).reason == "too-early"
    stop()


@pytest.mark.server
@pytest.mark.parametrize("caller", ["sync", "asyncio", "trio"])
def test_a_server_that_falls_silent_costs_the_time_limit(server: Server, caller: str) -> None:
    one, stop = checks_of(caller, server.url)
    sender = f"silent.{caller}@example.org"
    assert one(0, sender).reason == "new"
    server.freeze()
    try:
        decision = one(1, sender)
    finally:
        server.thaw()
    assert (decision.action, decision.reason) == ("accept", "store-error")
    assert "no answer within 1.5 s" in decision.note
    assert one(2, sender).reason == "too-early"
    stop()


@pytest.mark.server
def test_redis_out_of_memory(caplog: pytest.LogCaptureFixture) -> None:
    import redis

    with running_server(RedisServer) as server, redis.Redis.from_url(server.url) as admin:
        greylist = Greylist(open_store(server.url))
        assert check(greylist).reason == "new"
        admin.config_set("maxmemory", "1")
        decision = failing(greylist, StoreErrorReason.FULL)
        assert (decision.action, decision.reason) == ("accept", "store-error")
        assert check(greylist, 300).reason == "retried"
        admin.config_set("maxmemory", "0")
        assert check(greylist, 1, "dan@example.org").reason == "new"
        greylist.close()


@pytest.mark.server
@pytest.mark.parametrize("caller", ["sync", "asyncio"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b"waiting", b"waiting soon 1 1 1 1 1"])
def test_redis_with_something_else_under_a_key(redis_server: Server, caller: str, value: bytes) -> None:
    import redis

    one, stop = checks_of(caller, redis_server.url + "?prefix=other:")
    with redis.Redis.from_url(redis_server.url) as admin:
        admin.set("other:r:192.0.2.0/24 ann@example.org bob@example.net", value)
    decision = one(0, "ann@example.org")
    assert (decision.action, decision.reason) == ("accept", "store-error")
    assert "not a record" in decision.note
    stop()


@pytest.mark.server
def test_a_postgresql_that_only_reads() -> None:
    import psycopg

    with running_server(PostgresServer) as server:
        greylist = Greylist(open_store(server.url))
        assert check(greylist).reason == "new"
        greylist.close()
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
            decision = failing(greylist, StoreErrorReason.READ_ONLY)
            assert (decision.action, decision.reason) == ("accept", "store-error")
            assert check(greylist, 300).reason == "retried"
            admin.execute("SET default_transaction_read_only = off")
            admin.execute("ALTER DATABASE postgres SET default_transaction_read_only = off")
        greylist.close()
        assert check(greylist, 1, "dan@example.org").reason == "new"
        greylist.close()


def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    for url in ("redis://127.0.0.1:1/0", "postgresql://ann@127.0.0.1:1/mail"):
        greylist = Greylist(open_store(url))
        with caplog.at_level(logging.WARNING, "mailauth.greylist"):
            assert check(greylist).reason == "store-error"
        greylist.close()
