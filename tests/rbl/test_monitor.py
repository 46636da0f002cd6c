"""`Monitor`: which lists are in service.

One listing for each zone, whatever is out of service; a sick list never makes a listing; a list that is well again is
asked again. Time is a variable of the test.
"""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mailauth.plan import Answer, Execution, Question, run
from mailauth.rbl import Listing, Monitor, MonitorPolicy, RuleError
from mailauth.resolvers import ZoneResolver

CLIENT, REVERSED = "192.0.2.1", "1.2.0.192"
KEY = "abcdefghijkl1234mnopqrst56"
GOOD, OTHER = "good.example", "other.example"
WELL = {(f"2.0.0.127.{zone}", "A"): ["127.0.0.2"] for zone in (GOOD, OTHER)}
LISTED = {(f"{REVERSED}.{zone}", "A"): ["127.0.0.2"] for zone in (GOOD, OTHER)}
DOWN: Any = {(f"{name}.{GOOD}", "*"): "timeout" for name in (REVERSED, "2.0.0.127", "1.0.0.127")}
WILDCARD = {(f"*.{GOOD}", "A"): ["127.0.0.2"]}


class World:
    """Lists that change, a clock, a monitor, and what was asked."""

    def __init__(self, records: Any, failures: Any = None, **policy: Any) -> None:
        self.now = 0.0
        self.asked: list[str] = []
        self.set(records, failures)
        self.monitor = Monitor(clock=lambda: self.now, policy=MonitorPolicy(**policy))

    def set(self, records: Any, failures: Any = None) -> None:
        self.zone = ZoneResolver(records, failures=failures)

    def lookup(self, question: Question, time_limit: float | None = None) -> Answer:
        self.asked.append(question.name)
        return self.zone.lookup(question)

    def query(self, *zones: str) -> list[Listing]:
        self.asked.clear()
        return run(self.monitor.query(CLIENT, zones or (GOOD,)), self)

    def listing(self) -> Listing:
        return self.query()[0]


def test_a_healthy_list_is_tested_once_in_an_hour() -> None:
    world = World(WELL | LISTED)
    assert world.listing().listed
    assert f"2.0.0.127.{GOOD}" in world.asked
    for world.now in (10.0, 3599.0):
        assert world.listing().listed
        assert f"2.0.0.127.{GOOD}" not in world.asked
    world.now = 3600.0
    assert world.listing().listed
    assert f"2.0.0.127.{GOOD}" in world.asked


def test_tests_and_questions_go_out_together() -> None:
    world = World({})
    questions = Execution(world.monitor.query(CLIENT, [GOOD])).start()
    assert {q.name for q in questions} >= {f"{REVERSED}.{GOOD}", f"2.0.0.127.{GOOD}", f"1.0.0.127.{GOOD}"}


def test_the_first_listing_of_a_wildcard_does_not_count() -> None:
    world = World(WILDCARD)
    listing = world.listing()
    assert (listing.result, listing.reason) == ("temperror", "out-of-service")
    assert "wildcard" in listing.detail


def test_an_empty_list_is_taken_out() -> None:
    world = World({})
    assert world.listing().result == "not-listed"  # what it does not list needs no belief
    assert world.listing().reason == "out-of-service"
    assert world.asked == []


def test_a_list_that_is_out_is_not_asked_and_the_others_are() -> None:
    world = World(WILDCARD | WELL | LISTED)
    world.query(GOOD, OTHER)
    good, other = world.query(GOOD, OTHER)
    assert (good.zone, good.reason) == (GOOD, "out-of-service")
    assert other.listed
    assert not any(name.endswith(GOOD) for name in world.asked)


def test_a_list_that_is_well_again_comes_back() -> None:
    world = World(WILDCARD, retry_after=60)
    world.listing()
    assert not world.monitor.record_of(GOOD).in_service
    world.set(WELL | LISTED)
    world.now = 59.0
    assert world.listing().reason == "out-of-service"
    assert world.asked == []
    world.now = 60.0
    world.listing()  # the test; the question goes out from the next time on
    assert world.monitor.record_of(GOOD).in_service
    assert world.listing().listed


def test_tests_of_a_sick_list_become_rarer() -> None:
    world = World(WILDCARD, retry_after=60, retry_at_most=300)
    times = []
    for second in range(1200):
        world.now = float(second)
        world.query()
        if world.asked:
            times.append(second)
    assert times == [0, 60, 180, 420, 720, 1020]


def test_a_list_is_tested_for_what_it_is_asked_about() -> None:
    world = World({})
    world.query()
    assert {name for name in world.asked if name.startswith(("test.", "invalid."))} == set()
    run(Monitor(clock=lambda: 0.0).query("bad.example", [GOOD]), world)
    assert {f"test.{GOOD}", f"invalid.{GOOD}"} <= set(world.asked)


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailauth.rbl.monitor.MAX_ZONES", 2)
    world = World({})
    assert len(world.query(*[f"l{n}.example" for n in range(5)])) == 5
    assert len(world.monitor.records()) == 2


DNS_ERRORS = {"timeout": "timed-out", "servfail": "server-failure", "refused": "refused-by-server"}


@pytest.mark.parametrize("error", [*DNS_ERRORS, "error-code", "not-a-list"])
def test_errors_in_a_row_take_a_list_out(error: str) -> None:
    world = World(WELL, errors_allowed=3, retry_after=60)
    assert world.listing().result == "not-listed"
    name = f"{REVERSED}.{GOOD}"
    records = {"error-code": ["127.255.255.254"], "not-a-list": ["198.51.100.7"]}.get(error, [])
    world.set(WELL | {(name, "A"): records}, {(name, "A"): error} if error in DNS_ERRORS else None)
    reasons = []
    for world.now in (1.0, 2.0, 3.0, 4.0):
        reasons.append(world.listing().reason.value)
    expected = DNS_ERRORS.get(error, error)
    assert reasons == [expected] * 3 + ["out-of-service"]
    assert "3 errors in a row" in world.monitor.record_of(GOOD).why


def test_an_answer_between_errors_forgets_them() -> None:
    world = World(WELL, errors_allowed=2)
    for world.now in range(1, 20):
        world.set(WELL, {(f"{REVERSED}.{GOOD}", "A"): "timeout"} if world.now % 2 else None)
        world.listing()
        assert world.monitor.record_of(GOOD).in_service


def test_one_lost_test_does_not_take_a_list_out() -> None:
    world = World(WELL | LISTED, {(f"2.0.0.127.{GOOD}", "A"): "timeout"})
    assert world.listing().listed
    assert world.monitor.record_of(GOOD).in_service


def test_a_list_that_does_not_answer_its_tests_stays_out() -> None:
    world = World({}, DOWN, errors_allowed=1, retry_after=60)
    world.listing()
    assert not world.monitor.record_of(GOOD).in_service
    world.now = 60.0
    world.listing()
    assert not world.monitor.record_of(GOOD).in_service
    assert world.monitor.record_of(GOOD).out_since == 0.0


def test_two_queries_at_once_test_once() -> None:
    world = World({})
    first = Execution(world.monitor.query(CLIENT, [GOOD])).start()
    second = Execution(world.monitor.query(CLIENT, [GOOD])).start()
    assert len(first) > 1
    assert [question.name for question in second] == [f"{REVERSED}.{GOOD}"]


def test_a_plan_that_was_cancelled_is_no_harm() -> None:
    world = World(WELL | LISTED, retry_after=60)
    execution = Execution(world.monitor.query(CLIENT, [GOOD]))
    execution.start()
    execution.close()
    world.now = 60.0
    assert world.listing().listed
    assert f"2.0.0.127.{GOOD}" in world.asked


def test_a_zone_with_two_filters_is_tested_once() -> None:
    world = World(WELL | LISTED)
    listings = world.query(f"{GOOD}=127.0.0.2", f"{GOOD}=127.0.0.3", GOOD)
    assert [one.result for one in listings] == ["listed", "not-listed", "listed"]
    assert world.asked.count(f"2.0.0.127.{GOOD}") == 1
    assert len(world.monitor.records()) == 1


def test_a_dead_list_stays_refused() -> None:
    world = World({})
    for _ in range(3):
        (listing,) = world.query("bl.sorbs.net")
        assert (listing.result, listing.reason) == ("refused", "dead-list")
        assert world.asked == []


def test_what_is_not_asked_is_no_error() -> None:
    world = World(WELL, errors_allowed=1)
    run(world.monitor.query("10.0.0.1", [GOOD]), world)
    assert world.monitor.record_of(GOOD).in_service
    assert world.monitor.record_of(GOOD).errors == 0


def test_check_tests_what_is_due() -> None:
    world = World(WELL)
    assert [health.zone for health in run(world.monitor.check([GOOD, OTHER]), world)] == [GOOD, OTHER]
    assert run(world.monitor.check([GOOD, OTHER]), world) == []
    world.now = 3600.0
    assert len(run(world.monitor.check([GOOD, OTHER]), world)) == 2


def test_changes_are_logged_without_keys(caplog: pytest.LogCaptureFixture) -> None:
    zone = f"{KEY}.bl.example"
    world = World({(f"*.{zone}", "A"): ["127.0.0.2"]})
    with caplog.at_level(logging.INFO, logger="mailauth.rbl"):
        world.query(zone)
        world.query(zone)
        world.set({(f"2.0.0.127.{zone}", "A"): ["127.0.0.2"]})
        world.now = 60.0
        world.query(zone)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 2
    assert messages[0].startswith("list ***.bl.example is out of service: ")
    assert messages[1] == "list ***.bl.example is back in service"
    assert KEY not in json.dumps([record.to_dict() for record in world.monitor.records()])


def test_mistakes_raise_when_called() -> None:
    with pytest.raises(RuleError):
        World({}).monitor.query(CLIENT, ["zen"])
    with pytest.raises(ValueError):
        MonitorPolicy(errors_allowed=0)
    with pytest.raises(ValueError):
        MonitorPolicy(retry_after=100, retry_at_most=10)


class AnyHistory(RuleBasedStateMachine):
    """Through any history of lists that fall sick and recover, one listing for each zone, in order; a list
    that lists everything never makes a listing once it was tested; a list that is well is in service after
    `retry_at_most` and one query."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(WELL | LISTED, retry_after=10, retry_at_most=100, check_every=50)
        self.state = "well"

    @rule(state=st.sampled_from(["well", "wildcard", "empty", "down"]))
    def change(self, state: str) -> None:
        self.state = state
        records = {"well": WELL | LISTED, "wildcard": WILDCARD, "empty": {}, "down": {}}[state]
        self.world.set(records, DOWN if state == "down" else None)

    @rule(seconds=st.integers(1, 200))
    def wait(self, seconds: int) -> None:
        self.world.now += seconds

    @rule()
    def ask(self) -> None:
        listings = self.world.query(GOOD, OTHER)
        assert [listing.zone for listing in listings] == [GOOD, OTHER]
        tested = f"2.0.0.127.{GOOD}" in self.world.asked
        if self.state == "wildcard" and tested:
            assert not listings[0].listed

    @rule()
    def recover(self) -> None:
        self.change("well")
        self.wait(100)
        self.ask()
        assert self.world.listing().listed

    @invariant()
    def errors_are_bounded(self) -> None:
        record = self.world.monitor.record_of(GOOD)
        assert record.errors <= 5 or not record.in_service


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
