"""Several processes on one store; processes killed at random moments.

However many processes decide at once, and however one of them ends, no acknowledged decision is lost, none is counted
twice, and nothing is accepted early.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from mailauth.greylist import State
from mailauth.stores import open_store
from tests.dbservers import PostgresServer, RedisServer, running_server
from tests.greylist.conftest import SHARED_STORES
from tests.greylist.worker import ROUNDS, TRIPLETS

ROOT = Path(__file__).parent.parent.parent
PROCESSES = 8


def worker(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.greylist.worker", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment,
    )


@pytest.mark.parametrize("kind", SHARED_STORES)
def test_eight_processes_race_on_the_same_triplets(kind: str, store_url: Callable[[str], str]) -> None:
    url = store_url(kind)
    processes = [worker("race", url) for _ in range(PROCESSES)]
    said: list[dict[str, Any]] = []
    for _, times in ROUNDS:
        for process in processes:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            process.stdin.write("go\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
        for process in processes:
            said += [json.loads(process.stdout.readline()) for _ in range(times * TRIPLETS)]  # type: ignore[union-attr]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    assert not [line for line in said if line["note"]]
    judge_the_race(said, url)


def judge_the_race(said: list[dict[str, Any]], url: str) -> None:
    reasons = Counter((line["triplet"], line["reason"]) for line in said)
    actions = Counter((line["at"], line["action"]) for line in said)
    # Never early: before the delay is over all are deferred, afterwards none is.
    assert actions[0.0, "accept"] == actions[299.0, "accept"] == 0
    assert actions[300.0, "defer"] == actions[4000.0, "defer"] == 0
    for i in range(TRIPLETS):
        assert reasons[i, "new"] == 1
        assert reasons[i, "retried"] == 1
    # No update lost: the store has counted every deferral, and every triplet's success.
    store = open_store(url)
    records = dict(store.scan().entries)
    store.close()
    deferrals = Counter(line["triplet"] for line in said if line["action"] == "defer")
    for i in range(TRIPLETS):
        record = records[f"192.0.2.0/24 x{chr(97 + i)}@example.org bob@example.net"]
        assert record.state is State.KNOWN
        assert record.deferred == deferrals[i] == PROCESSES * (ROUNDS[0][1] + ROUNDS[1][1])
    assert records["192.0.2.0/24"].passed == TRIPLETS


def last_words(process: subprocess.Popen[str]) -> str:
    """What a process said before it was killed, and was not read yet.

    Not by `communicate`, which reads past the buffer that `readline` filled, and so would begin within a line.
    """
    assert process.stdout is not None
    with process.stdout:
        rest = process.stdout.read()
    if process.stdin is not None:
        process.stdin.close()
    process.wait()
    return rest


def killed_after(lines: int, process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """What a process acknowledged before it was killed, some time after so many lines."""
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    rest = last_words(process)
    assert process.returncode == -signal.SIGKILL
    return [json.loads(line) for line in [*said, *rest.splitlines(keepends=True)] if line.endswith("\n")]


def assert_remembered(url: str, said: list[dict[str, Any]]) -> None:
    store = open_store(url, time_limit=30)
    for line in said:
        assert not line["note"]
        (record,) = store.get([f"192.0.2.0/24 {line['sender']} bob@example.net"])
        assert record is not None, f"lost: {line}"
        if line["reason"] == "retried":
            assert record.state is State.KNOWN, f"lost: {line}"
        assert record.deferred == 1
    store.close()


@pytest.mark.parametrize("kind", SHARED_STORES)
def test_a_writer_killed_at_random_moments_loses_nothing(kind: str, store_url: Callable[[str], str]) -> None:
    url = store_url(kind)
    everything = []
    for life in range(4):
        lines = random.randrange(1, 150)
        everything += killed_after(lines, worker("endless", url, f"life{chr(97 + life)}"))
        assert_remembered(url, everything)
    if kind.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite://").partition("?")[0]) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.close()


@pytest.mark.server
@pytest.mark.parametrize("kind", [RedisServer, PostgresServer])
def test_a_server_killed_keeps_what_was_acknowledged_with_full_durability(kind: type) -> None:
    """PostgreSQL by ``?durability=full``; Redis by its own setting, a file that is synced with each command.

    With its default, "everysec", Redis may even put off writing while another sync takes long.
    """
    with running_server(kind) as server:
        if kind is RedisServer:
            with redis.Redis.from_url(server.url) as client:
                client.config_set("appendfsync", "always")
        url = server.url + ("?durability=full" if kind is PostgresServer else "")
        process = worker("endless", url, "server")
        assert process.stdout is not None
        said = [json.loads(process.stdout.readline()) for _ in range(100)]
        server.stop(signal.SIGKILL)
        process.kill()
        rest = last_words(process)
        said += [json.loads(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        server.start()
        assert_remembered(url, [line for line in said if not line["note"]])
