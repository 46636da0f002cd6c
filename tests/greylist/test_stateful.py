"""A rule-based state machine drives every store against a model, with random clocks.

A store driven through `Greylist` by any clock behaves like the model below, which is written from the rules of
docs/greylist.md, without the machine's table and without a store.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from mailauth.greylist import Greylist, GreylistPolicy, State
from mailauth.stores import open_store
from tests.dbservers import Server
from tests.greylist.conftest import wipe

DELAY, WINDOW, LIFETIME, ENOUGH, INTERVAL, REFRESH = 300.0, 7200.0, 86400.0, 3, 600.0, 1800.0
POLICY = GreylistPolicy(
    delay=DELAY,
    retry_window=WINDOW,
    lifetime=LIFETIME,
    auto_allow=ENOUGH,
    auto_allow_interval=INTERVAL,
    refresh=REFRESH,
)
CLIENTS = st.integers(0, 1)
PEOPLE = st.integers(0, 4)
STEPS = st.one_of(
    st.sampled_from([0.0, 1.0, 60.0, DELAY - 1, DELAY, DELAY + 1, INTERVAL, REFRESH, WINDOW, WINDOW + 1, LIFETIME + 1]),
    st.floats(0, 2 * DELAY),
    st.floats(-2 * LIFETIME, 2 * LIFETIME),
)


class Model:
    """The rules, written once more: first attempts, passes and clients as plain dictionaries."""

    def __init__(self) -> None:
        self.first: dict[Any, float] = {}  # of a triplet that waits
        self.used: dict[Any, float] = {}  # of a triplet that is known: its last use, as far as written down
        self.tries: dict[Any, int] = {}
        self.successes: dict[int, int] = {}
        self.last: dict[int, float] = {}  # of a client: its last counted success or use

    def check(self, client: int, person: int, now: float) -> str:
        if self.successes.get(client, 0) >= ENOUGH and now - self.last[client] <= LIFETIME:
            self.last[client] = self._refreshed(self.last[client], now)
            return "client-allowed"
        triplet = client, person
        if triplet in self.used:
            return self._known(triplet, now)
        if triplet not in self.first:
            return self._start(triplet, now, "new", 1)
        self.tries[triplet] += 1
        if now - self.first[triplet] < DELAY:
            self.first[triplet] = min(now, self.first[triplet])
            return "too-early"
        if now - self.first[triplet] > WINDOW:
            return self._start(triplet, now, "too-late", self.tries[triplet])
        self.used[triplet] = now
        self._count(client, now)
        return "retried"

    def _start(self, triplet: Any, now: float, reason: str, tries: int) -> str:
        self.used.pop(triplet, None)
        self.first[triplet] = now
        self.tries[triplet] = tries
        return reason

    def _known(self, triplet: Any, now: float) -> str:
        if now - self.used[triplet] > LIFETIME:
            return self._start(triplet, now, "expired", 1)
        self.used[triplet] = self._refreshed(self.used[triplet], now)
        return "known"

    def _refreshed(self, last: float, now: float) -> float:
        return now if abs(now - last) >= REFRESH else last

    def _count(self, client: int, now: float) -> None:
        if client in self.last and now - self.last[client] > LIFETIME:
            del self.last[client], self.successes[client]
        if client not in self.last or abs(now - self.last[client]) >= INTERVAL:
            self.successes[client] = self.successes.get(client, 0) + 1
            self.last[client] = now

    def expire(self, now: float) -> None:
        """Records go when their last second, rounded up, has passed: only those that have no say any more."""
        for triplet, first in list(self.first.items()):
            gone = self.used[triplet] + LIFETIME if triplet in self.used else first + WINDOW
            if -(-gone // 1) < now:
                del self.first[triplet], self.tries[triplet]
                self.used.pop(triplet, None)
        for client, last in list(self.last.items()):
            if -(-(last + LIFETIME) // 1) < now:
                del self.last[client], self.successes[client]


class Driven(RuleBasedStateMachine):
    """Checks with a clock that may step anywhere, and expiry in between."""

    kind = "memory"
    url = "memory:"

    @initialize()
    def begin(self) -> None:
        self.now = 1_800_000_000.0
        self.model = Model()
        self.folder = tempfile.TemporaryDirectory() if self.kind == "sqlite" else None
        if self.folder is not None:
            self.url = f"sqlite://{Path(self.folder.name)}/greylist.db"
        elif self.kind != "memory":
            wipe(self.url)
        self.greylist = Greylist(open_store(self.url), policy=POLICY, clock=lambda: self.now, expire_every=None)

    @rule(client=CLIENTS, person=PEOPLE, step=STEPS)
    def check(self, client: int, person: int, step: float) -> None:
        self.now += step
        expected = self.model.check(client, person, self.now)
        decision = self.greylist.check(f"10.0.{client}.{person}", f"{'abcde'[person]}@example.org", "bob@example.net")
        assert decision.reason == expected
        assert decision.retry_after <= DELAY + 1
        if decision.deferred:
            assert decision.attempts == self.model.tries[client, person]

    @rule(client=CLIENTS, person=PEOPLE)
    def come_back_when_told(self, client: int, person: int) -> None:
        """The promise: whoever comes back in time is let through, whatever the clock did before."""
        sender = f"{'abcde'[person]}@example.org"
        for expected_action in ("any", "accept"):
            self.model.check(client, person, self.now)
            decision = self.greylist.check(f"10.0.{client}.1", sender, "bob@example.net")
            if not decision.deferred:
                return
            assert expected_action == "any"
            self.now += decision.retry_after

    @rule()
    def expire(self) -> None:
        self.model.expire(self.now)
        while self.greylist.expire(limit=3):
            pass

    @invariant()
    def the_same_is_known(self) -> None:
        if hasattr(self, "greylist"):
            entries = self.greylist.store.scan().entries
            triplets = {key: record for key, record in entries if " " in key}
            assert len(triplets) == len(self.model.first)
            known = sum(record.state is State.KNOWN for record in triplets.values())
            assert known == len(self.model.used)

    def teardown(self) -> None:
        if hasattr(self, "greylist"):
            self.greylist.close()
            if self.folder is not None:
                self.folder.cleanup()


def drive(kind: str, url: str, examples: int) -> None:
    class Here(Driven):
        pass

    Here.kind, Here.url = kind, url
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


def test_memory_against_the_model() -> None:
    drive("memory", "memory:", 100)


def test_sqlite_against_the_model() -> None:
    drive("sqlite", "", 25)


@pytest.mark.server
def test_redis_against_the_model(redis_server: Server) -> None:
    drive("redis", f"{redis_server.url}?prefix=stateful:", 25)


@pytest.mark.server
def test_postgresql_against_the_model(postgres_server: Server) -> None:
    drive("postgresql", postgres_server.url, 15)
