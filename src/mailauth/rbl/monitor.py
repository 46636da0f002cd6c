"""`Monitor`: takes a sick list out, and brings it back when it is well again.

The memory of which lists are well. It asks nothing itself and reads no clock: it makes plans, and the clock is given
to it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from threading import Lock
from typing import Any

from mailauth.plan import IPAddress, Plan, run_all, side_by_side
from mailauth.rbl.health import Health, HealthResult, check_health
from mailauth.rbl.listing import Listing, Reason, Result
from mailauth.rbl.querying import DEFAULT_POLICY, RblPolicy, Subject, query_rules, rules_of
from mailauth.rbl.rule import Rule

_log = logging.getLogger("mailauth.rbl")

MAX_ZONES = 1000
"""Zones kept. They are the administrator's, a few dozen; the bound is against a mistake."""


@dataclass(frozen=True, slots=True)
class MonitorPolicy:
    """When lists are tested, taken out and brought back. All times are in seconds.

    RFC 5782 section 5 asks clients to check "periodically", without a number: a healthy list is tested every
    `check_every`. It is taken out when its test entries say that it is sick, or after `errors_allowed` answers in a
    row that were no answers (error codes, timeouts, failures, addresses outside 127.0.0.0/8). A list that is out
    is tested again after `retry_after`, then after twice that, and so on up to `retry_at_most`.
    """

    check_every: float = 3600.0
    errors_allowed: int = 5
    retry_after: float = 60.0
    retry_at_most: float = 3600.0

    def __post_init__(self) -> None:
        if self.errors_allowed < 1 or not 0 < self.retry_after <= self.retry_at_most or self.check_every <= 0:
            raise ValueError(f"times are above zero, retry_after is at most retry_at_most: {self!r}")


DEFAULT_MONITOR_POLICY = MonitorPolicy()


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one zone. `out_since` is None for a list in service; times are the clock's."""

    shown_zone: str
    errors: int = 0  # questions in a row that got no proper answer
    out_since: float | None = None
    why: str = ""  # why it is out, in words; "" in service
    next_check: float = float("-inf")  # its test entries are asked from then on; -inf: never tested so far
    retry_after: float = 0.0  # seconds from the last test that failed to the next one; 0 in service

    @property
    def in_service(self) -> bool:
        """Whether the list is asked."""
        return self.out_since is None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "zone": self.shown_zone,
            "in_service": self.in_service,
            "errors": self.errors,
            "out_since": self.out_since,
            "why": self.why,
        }


class Monitor:
    """Keeps the health of the lists that are asked through it (RFC 5782 sections 5 and 7).

    May be shared between threads and tasks.

    `clock` gives seconds that only go forward: pass ``time.monotonic``. Ask with `query` in place of
    `mailauth.rbl.query`: it asks the same questions, leaves out the lists that are out of service, tests those that
    are due at the same time, and learns from the answers. `check` tests on its own, for a task in the background.
    """

    def __init__(self, *, clock: Callable[[], float], policy: MonitorPolicy = DEFAULT_MONITOR_POLICY) -> None:
        self._clock = clock
        self._policy = policy
        self._records: dict[str, Record] = {}
        self._lock = Lock()

    def query(
        self, subject: str | IPAddress, zones: Iterable[str | Rule], *, policy: RblPolicy = DEFAULT_POLICY
    ) -> Plan[list[Listing]]:
        """A plan like that of `mailauth.rbl.query`; one `Listing` for each zone here, too.

        A list that is out of service is not asked: its listing is a temperror, "out-of-service". What a list
        answers while its test entries say that it is sick does not count either. Tests that are due are part of
        the plan; a list that is down can hold it up to the deadline, once in a test's interval.
        """
        return self._query(Subject.of(subject, policy), rules_of(zones), policy)

    def check(self, zones: Iterable[str | Rule]) -> Plan[list[Health]]:
        """A plan that tests those of the zones that are due, and keeps what it found; may ask nothing."""
        return self._check(rules_of(zones))

    def record_of(self, zone: str | Rule) -> Record:
        """What is known of a zone."""
        (rule,) = rules_of([zone])
        with self._lock:
            return self._records.get(rule.zone) or Record(rule.shown_zone)

    def records(self) -> list[Record]:
        """What is known of all zones that were asked so far, for a status page."""
        with self._lock:
            return list(self._records.values())

    # --- plans -------------------------------------------------------------------------------------------------

    def _query(self, subject: Subject, rules: list[Rule], policy: RblPolicy) -> Plan[list[Listing]]:
        asked = [rule for rule in rules if self.record_of(rule).in_service]
        # A list of which nothing is known is tested for what it is asked about.
        tested = [rule if rule.kind else replace(rule, kind=subject.kind) for rule in rules]
        listings, _ = yield from side_by_side(query_rules(subject, asked, policy), self._check(tested))
        self._learn(listings)
        answered = dict(zip(map(id, asked), listings, strict=True))
        return [self._believed(rule, answered.get(id(rule)), subject) for rule in rules]

    def _believed(self, rule: Rule, listing: Listing | None, subject: Subject) -> Listing:
        record = self.record_of(rule)
        if listing is not None and (record.in_service or listing.result is not Result.LISTED):
            return listing
        why = record.why or "it was out of service"
        return Listing(rule, subject.text, Result.TEMPERROR, Reason.OUT_OF_SERVICE, f"out of service: {why}")

    def _check(self, rules: Iterable[Rule]) -> Plan[list[Health]]:
        due = list(self._due(rules))
        healths = yield from run_all([check_health(rule) for rule in due])
        for health in healths:
            self._keep(health)
        return healths

    # --- memory ------------------------------------------------------------------------------------------------

    def _due(self, rules: Iterable[Rule]) -> Iterator[Rule]:
        """The rules whose zones are due for a test, each zone once; from now on they are not due."""
        now = self._clock()
        with self._lock:
            for rule in rules:
                record = self._records.get(rule.zone) or Record(rule.shown_zone)
                if record.next_check <= now and not rule.dead:
                    # Put off at once, so that others who ask meanwhile do not test it, too.
                    put_off = record.retry_after or self._policy.retry_after
                    self._put(rule.zone, replace(record, next_check=now + put_off))
                    yield rule

    def _keep(self, health: Health) -> None:
        zone, now = health.rule.zone, self._clock()
        with self._lock:
            record = self._records.get(zone) or Record(health.zone)
            if health.healthy:
                self._put(zone, Record(record.shown_zone, next_check=now + self._policy.check_every))
            elif health.result is HealthResult.TEMPERROR and record.in_service:
                # The answers to questions count those; one lost packet must not take a list out.
                self._put(zone, replace(record, next_check=now + self._policy.retry_after))
            else:
                self._take_out(zone, record, health.detail, now)

    def _learn(self, listings: Iterable[Listing]) -> None:
        now = self._clock()
        with self._lock:
            for listing in {listing.rule.zone: listing for listing in listings}.values():
                zone = listing.rule.zone
                record = self._records.get(zone) or Record(listing.zone)
                if listing.reason in _NO_ANSWERS:
                    record = replace(record, errors=record.errors + 1)
                    if record.in_service and record.errors >= self._policy.errors_allowed:
                        self._take_out(zone, record, f"{record.errors} errors in a row: {listing.detail}", now)
                        continue
                elif listing.reason in _ANSWERS:
                    record = replace(record, errors=0)
                self._put(zone, record)

    def _take_out(self, zone: str, record: Record, why: str, now: float) -> None:
        retry = self._policy.retry_after if record.in_service else 2 * record.retry_after
        retry = min(retry, self._policy.retry_at_most)
        since = now if record.out_since is None else record.out_since
        self._put(zone, replace(record, out_since=since, why=why, retry_after=retry, next_check=now + retry))

    def _put(self, zone: str, record: Record) -> None:
        old = self._records.get(zone)
        if old is None and len(self._records) >= MAX_ZONES:
            return
        self._records[zone] = record
        if record.in_service != (old is None or old.in_service):
            if record.in_service:
                _log.info("list %s is back in service", record.shown_zone)
            else:
                _log.warning("list %s is out of service: %s", record.shown_zone, record.why)


_NO_ANSWERS = frozenset(
    {Reason.TIMED_OUT, Reason.SERVER_FAILURE, Reason.REFUSED_BY_SERVER, Reason.ERROR_CODE, Reason.NOT_A_LIST}
)
_ANSWERS = frozenset({Reason.LISTED, Reason.NO_ENTRY, Reason.OTHER_CODE})
