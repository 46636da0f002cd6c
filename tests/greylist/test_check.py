"""One check from the caller's side: `Greylist` and `AsyncGreylist`.

Sync and async callers get the same decisions, and nothing a peer or a store does raises.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from mailauth.config import SettingsFile, read_greylist_settings
from mailauth.greylist import (
    AsyncGreylist,
    Decision,
    Entry,
    Greylist,
    GreylistPolicy,
    Page,
    Reason,
    Record,
    Settings,
    State,
    StoreError,
    StoreErrorReason,
)
from mailauth.stores import open_async_store
from mailauth.stores.memory import MemoryStore

IP, ANN, BOB = "192.0.2.1", "ann@example.org", "bob@example.net"
T = 1_800_000_000.0
HOUR, DAY = 3600.0, 86400.0


def test_the_contract() -> None:
    clock = iter([T, T + 100, T + 305])
    greylist = Greylist(MemoryStore(), clock=lambda: next(clock))
    decision = greylist.check(IP, ANN, BOB)
    assert (decision.action, decision.reason, decision.retry_after) == ("defer", "new", 300)
    assert (decision.first_seen, decision.attempts, decision.deferred) == (T, 1, True)
    decision = greylist.check(IP, ANN, BOB)
    assert (decision.action, decision.reason, decision.retry_after, decision.attempts) == (
        "defer",
        "too-early",
        200,
        2,
    )
    decision = greylist.check(IP, ANN, BOB)
    assert (decision.action, decision.reason, decision.retry_after) == ("accept", "retried", 0)
    assert (decision.first_seen, decision.attempts, decision.waited, decision.reply) == (T, 3, 305, None)
    assert json.loads(json.dumps(decision.to_dict()))["action"] == "accept"


SCRIPT: Sequence[tuple[float, dict[str, Any]]] = (
    (0, {}),
    (10, {"ip": "192.0.2.200"}),
    (300, {"ip": "192.0.2.9", "sender": "Ann+x@EXAMPLE.ORG"}),
    (301, {}),
    (DAY, {"sender": ""}),
    (DAY + 400, {"sender": "<>"}),
    (40 * DAY, {}),
    (41 * DAY, {"recipient": "postmaster@example.net"}),
    (41 * DAY, {"authenticated": True}),
    (41 * DAY, {"ip": "203.0.113.1", "proven_domain": "example.org"}),
    (41 * DAY + 400, {"ip": "198.51.100.1", "proven_domain": "Example.org"}),
    (41 * DAY + 400, {"ip": "198.51.100.1", "proven_domain": None}),
    (41 * DAY + 500, {"client_name": "mx.friend.example"}),
)
REASONS = ["new", "too-early", "retried", "known", "new", "retried", "expired", "exempt-recipient", "authenticated",
           "new", "retried", "new", "exempt-client"]  # fmt: skip
FRIENDS = read_greylist_settings('[exempt]\nclients = [".friend.example"]')


def attempt(changes: dict[str, Any]) -> dict[str, Any]:
    return {"ip": IP, "sender": ANN, "recipient": BOB, **changes}


def test_a_story_sync() -> None:
    greylist = Greylist(MemoryStore(), settings=FRIENDS)
    decisions = [greylist.check(**attempt(changes), now=T + at) for at, changes in SCRIPT]
    assert [decision.reason for decision in decisions] == REASONS


@pytest.mark.parametrize("run", [asyncio.run, lambda coroutine: trio.run(lambda: coroutine)], ids=["asyncio", "trio"])
def test_the_same_story_async(run: Any) -> None:
    async def story() -> list[Decision]:
        async with AsyncGreylist(open_async_store("memory:"), settings=FRIENDS) as greylist:
            return [await greylist.check(**attempt(changes), now=T + at) for at, changes in SCRIPT]

    sync = Greylist(MemoryStore(), settings=FRIENDS)
    assert run(story()) == [sync.check(**attempt(changes), now=T + at) for at, changes in SCRIPT]


def test_a_client_is_allowed_after_five_distinct_successes_an_hour_apart() -> None:
    greylist = Greylist(MemoryStore())
    reasons = []
    for i in range(6):
        now = T + i * 2 * HOUR
        reasons.append(greylist.check(IP, f"a{i}x@example.org", BOB, now=now).reason)
        greylist.check(IP, f"a{i}x@example.org", BOB, now=now + 300)
    assert reasons == ["new"] * 5 + ["client-allowed"]
    # another address of the network, another recipient; and not another network
    assert greylist.check("192.0.2.99", ANN, "cy@example.net", now=T + DAY).reason == "client-allowed"
    assert greylist.check("192.0.3.99", ANN, "cy@example.net", now=T + DAY).reason == "new"
    # forgotten when it has not been used for 35 days
    assert greylist.check(IP, "new@example.org", BOB, now=T + 37 * DAY).reason == "new"


def test_a_burst_of_successes_counts_once() -> None:
    greylist = Greylist(MemoryStore())
    for now in (T, T + 300):
        for i in range(20):
            greylist.check(IP, f"a{i}x@example.org", BOB, now=now)
    assert greylist.check(IP, ANN, BOB, now=T + 301).reason == "new"
    (client,) = greylist.store.get(["192.0.2.0/24"])
    assert client is not None
    assert (client.state, client.passed) == (State.COUNTING, 1)


def test_the_same_triplet_again_is_no_distinct_success() -> None:
    greylist = Greylist(MemoryStore())
    for day in range(30):
        greylist.check(IP, ANN, BOB, now=T + day * DAY)
    (client,) = greylist.store.get(["192.0.2.0/24"])
    assert client is not None
    assert client.passed == 1


def test_automatic_allowing_can_be_switched_off() -> None:
    greylist = Greylist(MemoryStore(), policy=GreylistPolicy(auto_allow=0))
    for now in (T, T + 300):
        greylist.check(IP, ANN, BOB, now=now)
    assert greylist.store.get(["192.0.2.0/24"]) == [None]


def test_settings_of_recipients(tmp_path: Any) -> None:
    path = tmp_path / "greylist.toml"
    path.write_text('[recipient."bob@example.net"]\nmode = "off"\n[recipient."cy@example.net"]\nmode = "dry-run"')
    greylist = Greylist(MemoryStore(), settings=SettingsFile(path))
    assert greylist.check(IP, ANN, BOB, now=T).reason == "off"
    dry = greylist.check(IP, ANN, "cy@example.net", now=T)
    assert (dry.action, dry.reason, dry.dry_run, dry.retry_after) == ("accept", "new", True, 300)
    assert "dry run" in dry.detail
    # a dry run writes down what it would have done
    assert greylist.check(IP, ANN, "cy@example.net", now=T + 300).reason == "retried"
    path.write_text("delay = 60")
    assert greylist.check(IP, ANN, BOB, now=T).retry_after == 60


@settings(max_examples=50)
@given(st.text(), st.text(), st.none() | st.text(), st.none() | st.text())
def test_nothing_a_peer_sends_raises(sender: str, recipient: str, proven: str | None, name: str | None) -> None:
    """Any texts give a decision, and coming back in time gives an acceptance."""
    greylist = Greylist(MemoryStore(), settings=FRIENDS)
    first = greylist.check(IP, sender, recipient, now=T, proven_domain=proven, client_name=name)
    again = greylist.check(IP, sender, recipient, now=T + 300, proven_domain=proven, client_name=name)
    assert not again.deferred
    assert "\n" not in str(first.reply)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"ip": "mx.example.org"}, ValueError),
        ({"ip": b"192.0.2.1"}, TypeError),
        ({"sender": b"ann@example.org"}, TypeError),
        ({"sender": None}, TypeError),
        ({"recipient": 3}, TypeError),
        ({"now": math.nan}, ValueError),
        ({"now": math.inf}, ValueError),
        ({"now": T * 1000}, ValueError),
        ({"now": -1e300}, ValueError),
    ],
)
def test_the_callers_mistakes_raise(arguments: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Greylist(MemoryStore()).check(**{"ip": IP, "sender": ANN, "recipient": BOB, **arguments})


def test_mistakes_in_setting_up_raise() -> None:
    with pytest.raises(TypeError, match="open_store"):
        Greylist("sqlite:greylist.db")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="policy of their own"):
        Greylist(MemoryStore(), policy=GreylistPolicy(), settings=Settings())
    with pytest.raises(ValueError, match="maybe"):
        Greylist(MemoryStore(), on_error="maybe")


# --- stores that fail ----------------------------------------------------------------------------------------


class Failing(MemoryStore):
    """A store that fails at some operations."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.names = names

    def _fail(self, name: str) -> None:
        if name in self.names:
            raise StoreError("out of order", StoreErrorReason.UNREACHABLE)

    def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        self._fail("get")
        return super().get(keys)

    def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        self._fail("client" if key.endswith("/24") else "triplet")
        return super().compare_and_set(key, expected, record)

    def expire(self, now: float, limit: int) -> Sequence[Entry]:
        self._fail("expire")
        return super().expire(now, limit)

    def scan(self, prefix: str = "", cursor: str = "", limit: int = 1000) -> Page:
        self._fail("scan")
        return super().scan(prefix, cursor, limit)


@pytest.mark.parametrize("operation", ["get", "triplet"])
@pytest.mark.parametrize("on_error", ["accept", "defer"])
def test_a_store_that_fails_gives_the_decision_that_was_asked_for(
    operation: str, on_error: str, caplog: pytest.LogCaptureFixture
) -> None:
    greylist = Greylist(Failing(operation), on_error=on_error)
    with caplog.at_level(logging.WARNING, "mailauth.greylist"):
        decision = greylist.check(IP, ANN, BOB, now=T)
    assert (decision.action, decision.reason) == (on_error, "store-error")
    assert "out of order" in decision.detail
    assert (decision.reply is not None) == (on_error == "defer")
    assert "out of order" in caplog.text
    assert "ann" not in caplog.text


def test_what_needs_no_store_does_not_ask_it() -> None:
    greylist = Greylist(Failing("get"), on_error="defer")
    assert greylist.check(IP, ANN, BOB, authenticated=True).reason == "authenticated"
    assert greylist.check(IP, ANN, "abuse@example.net").reason == "exempt-recipient"


def test_a_known_triplet_is_accepted_even_if_that_cannot_be_written_down() -> None:
    store = Failing()
    greylist = Greylist(store, on_error="defer")
    greylist.check(IP, ANN, BOB, now=T)
    assert greylist.check(IP, ANN, BOB, now=T + 300).reason == "retried"
    store.names = ("triplet",)
    decision = greylist.check(IP, ANN, BOB, now=T + DAY)
    assert (decision.action, decision.reason) == ("accept", "known")
    assert "not written down" in decision.note


def test_a_success_that_cannot_be_counted_is_still_one(caplog: pytest.LogCaptureFixture) -> None:
    greylist = Greylist(Failing("client"), on_error="defer")
    greylist.check(IP, ANN, BOB, now=T)
    decision = greylist.check(IP, ANN, BOB, now=T + 300)
    assert (decision.action, decision.reason) == ("accept", "retried")
    assert "not counted" in caplog.text


class Busy(MemoryStore):
    """A store in which somebody else is always faster."""

    def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        return False


def test_losing_every_race_ends() -> None:
    decision = Greylist(Busy()).check(IP, ANN, BOB, now=T)
    assert (decision.action, decision.reason) == ("accept", "store-error")


# --- expiry --------------------------------------------------------------------------------------------------


def test_old_records_go_in_small_steps_while_new_ones_come() -> None:
    greylist = Greylist(MemoryStore(), policy=GreylistPolicy(auto_allow=0))
    for i in range(1000):
        greylist.check("192.0.2.1", f"a{i}x@example.org", BOB, now=T)
    for i in range(1000):
        greylist.check("192.0.2.1", f"b{i}x@example.org", BOB, now=T + 3 * DAY)
    entries = greylist.store.scan(limit=5000).entries
    assert not [key for key, _ in entries if " a" in key]
    tally = dict(entries)["#waiting"]
    assert (tally.state, tally.removed, tally.deferred, tally.passed) == (State.TALLY, 1000, 1000, 0)
    assert len(entries) == 1001


def test_expiry_on_request_tallies_what_it_removes() -> None:
    greylist = Greylist(MemoryStore(), expire_every=None)
    for now in (T, T + 1, T + 400):
        greylist.check(IP, ANN, BOB, now=now)
    for i in range(10):
        greylist.check(IP, f"a{i}x@example.org", BOB, now=T)
    assert greylist.expire(now=T + 2 * DAY) == 0
    assert [greylist.expire(now=T + 40 * DAY, limit=5) for _ in range(4)] == [5, 5, 2, 0]
    tallies = dict(greylist.store.scan().entries)
    assert (tallies["#known"].removed, tallies["#known"].deferred, tallies["#known"].passed) == (1, 2, 1)
    assert (tallies["#waiting"].removed, tallies["#waiting"].deferred) == (10, 10)
    assert tallies["#counting"].removed == 1
    assert greylist.expire(now=T + 1e6 * DAY) == 0


def test_expiry_that_fails_does_not_touch_the_decision(caplog: pytest.LogCaptureFixture) -> None:
    greylist = Greylist(Failing("expire"), expire_every=1)
    assert greylist.check(IP, ANN, BOB, now=T).reason is Reason.NEW
    assert "expiry put off" in caplog.text
    with pytest.raises(StoreError):
        greylist.expire(now=T)


def test_a_full_memory_store_lets_mail_through() -> None:
    greylist = Greylist(MemoryStore(max_records=10))
    reasons = [greylist.check(IP, f"a{i}x@example.org", BOB, now=T).reason for i in range(12)]
    assert reasons == ["new"] * 10 + ["store-error"] * 2
    assert greylist.check(IP, "a3x@example.org", BOB, now=T + 300).action == "accept"


def test_a_full_memory_store_gets_room_again() -> None:
    """Service returns by itself, since what has run out is removed even while nothing new fits in."""
    greylist = Greylist(MemoryStore(max_records=10), expire_every=4)
    for i in range(12):
        greylist.check(IP, f"a{i}x@example.org", BOB, now=T)
    reasons = [greylist.check(IP, f"b{i}x@example.org", BOB, now=T + 3 * DAY).reason for i in range(12)]
    assert reasons == ["store-error"] * 4 + ["new"] * 8


class Crowded(MemoryStore):
    """A store in which others try the same triplet all the time."""

    def compare_and_set(self, key: str, expected: Record | None, record: Record | None) -> bool:
        if expected is not None:
            super().compare_and_set(key, expected, expected._replace(deferred=expected.deferred + 1))
        return super().compare_and_set(key, expected, record)


def test_a_crowd_of_attempts_does_not_open_the_door() -> None:
    """Who loses every race gets what the record says, neither let in early nor kept out."""
    greylist = Greylist(Crowded())
    assert greylist.check(IP, ANN, BOB, now=T).reason == "new"
    early = greylist.check(IP, ANN, BOB, now=T + 1)
    assert (early.action, early.reason) == ("defer", "too-early")
    assert "not written down" in early.note
    late = greylist.check(IP, ANN, BOB, now=T + 300)
    assert (late.action, late.reason) == ("accept", "retried")


def test_a_client_allowed_by_hand_is_let_through_without_automatic_allowing() -> None:
    greylist = Greylist(MemoryStore(), policy=GreylistPolicy(auto_allow=0))
    greylist.store.compare_and_set("192.0.2.0/24", None, Record(State.ALLOWED, T, T, 0, 0, int(T + 35 * DAY)))
    assert greylist.check("192.0.2.1", ANN, BOB, now=T).reason == "client-allowed"
