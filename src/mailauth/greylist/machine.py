"""The greylisting machine (RFC 6647 sections 2.4 and 5).

The states of a record, what can happen to it, and what follows: a table, and pure functions of (record, now, policy).
No clock, no store, no addresses. The diagrams in docs/greylist.md are drawn from the tables.
"""

# Clocks step, and those of several hosts differ. Two rules keep every step from locking mail out: a wait is never
# measured from a moment that lies in the future, and no wait is longer than the delay.

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from mailauth.greylist.decision import Action, Decision, Reason
from mailauth.greylist.policy import GreylistPolicy
from mailauth.greylist.records import Record, State


class Event(StrEnum):
    """What happens to a record when its triplet or its client turns up."""

    # to a triplet
    NEW = "new"  # never seen, or forgotten
    TOO_EARLY = "too-early"  # the delay is not over
    RETRIED = "retried"  # in the window
    TOO_LATE = "too-late"  # after the window
    KNOWN = "known"  # came back in time before
    EXPIRED = "expired"  # known, but not used for longer than its lifetime
    # to a client
    SUCCESS = "success"  # one of its triplets came back in time
    REPEATED = "repeated"  # ... so soon after the last one that it is not counted
    ENOUGH = "enough"  # ... and that was the last success it needed
    CLIENT_ALLOWED = "client-allowed"  # mail of a client that is let through
    CLIENT_EXPIRED = "client-expired"  # not used for longer than its lifetime


Effect = Callable[[Record | None, float, GreylistPolicy], Record]


_REASONS = {event: Reason(event.value) for event in Event if event.value in set(Reason)}


class Transition(NamedTuple):
    """What follows from an event: the next state, the reply to the client (None: nothing yet), the next record."""

    target: State | None
    action: Action | None
    effect: Effect


_OF_TRIPLETS = (State.WAITING, State.KNOWN)
_OF_CLIENTS = (State.COUNTING, State.ALLOWED)

# In Python 3.11 every `Event.NEW` is a call of its own; each check uses these.
_KNOWN, _ALLOWED = State.KNOWN, State.ALLOWED
_NEW_EVENT, _KNOWN_EVENT, _RETRIED_EVENT, _ALLOWED_EVENT = Event.NEW, Event.KNOWN, Event.RETRIED, Event.CLIENT_ALLOWED


def event_for_triplet(record: Record | None, now: float, policy: GreylistPolicy) -> Event:
    """What an attempt at `now` means for a triplet."""
    if record is None or record.state not in _OF_TRIPLETS:
        return _NEW_EVENT
    if record.state is _KNOWN:
        return _KNOWN_EVENT if now - record.last_seen <= policy.lifetime else Event.EXPIRED
    waited = now - record.first_seen
    if waited < policy.delay:
        return Event.TOO_EARLY
    # RFC 6647 section 5: retries within the range are permitted; after it, the "first seen" time is set anew.
    return Event.RETRIED if waited <= policy.retry_window else Event.TOO_LATE


def event_for_client(record: Record, now: float, policy: GreylistPolicy) -> Event | None:
    """What mail at `now` means for its client; None where the triplet decides."""
    if now - record.last_seen > policy.lifetime:
        return Event.CLIENT_EXPIRED
    return _ALLOWED_EVENT if record.state is _ALLOWED else None


def event_for_success(record: Record | None, now: float, policy: GreylistPolicy) -> Event:
    """What a triplet that came back in time at `now` means for its client."""
    if record is None:
        return Event.ENOUGH if policy.auto_allow == 1 else Event.SUCCESS
    if record.state is State.ALLOWED or abs(now - record.last_seen) < policy.auto_allow_interval:
        return Event.REPEATED
    return Event.ENOUGH if record.passed + 1 >= policy.auto_allow else Event.SUCCESS


# --- effects: the record after the event --------------------------------------------------------------------


def _start(record: Record | None, now: float, policy: GreylistPolicy) -> Record:
    return Record(State.WAITING, now, now, 1, 0, math.ceil(now + policy.retry_window))


def _start_again(record: Record | None, now: float, policy: GreylistPolicy) -> Record:
    assert record is not None
    return _start(None, now, policy)._replace(deferred=record.deferred + 1)


def _wait_on(record: Record | None, now: float, policy: GreylistPolicy) -> Record:
    assert record is not None
    # A first attempt in the future: the clock went back. The wait begins now, and lasts no longer than the delay.
    first_seen = min(record.first_seen, now)
    expires = math.ceil(first_seen + policy.retry_window)
    return Record(State.WAITING, first_seen, now, record.deferred + 1, record.passed, expires)


def _pass(record: Record | None, now: float, policy: GreylistPolicy) -> Record:
    assert record is not None
    expires = math.ceil(now + policy.lifetime)
    return Record(State.KNOWN, record.first_seen, now, record.deferred, record.passed + 1, expires)


def _use(record: Record | None, now: float, policy: GreylistPolicy) -> Record:
    assert record is not None
    # Reading is cheap and writing is not. abs(): a last use far in the future would keep the record for ever.
    if abs(now - record.last_seen) < policy.refresh:
        return record
    return record._replace(last_seen=now, passed=record.passed + 1, expires=math.ceil(now + policy.lifetime))


def _count(record: Record | None, now: float, policy: GreylistPolicy) -> Record:
    expires = math.ceil(now + policy.lifetime)
    if record is None:
        record = Record(State.COUNTING, now, now, 0, 0, expires)
    return record._replace(last_seen=now, passed=record.passed + 1, expires=expires)


def _allow(record: Record | None, now: float, policy: GreylistPolicy) -> Record:
    return _count(record, now, policy)._replace(state=State.ALLOWED)


def _keep(record: Record | None, now: float, policy: GreylistPolicy) -> Record:
    assert record is not None
    return record


DEFER, ACCEPT = Action.DEFER, Action.ACCEPT

TRIPLET: MappingProxyType[tuple[State | None, Event], Transition] = MappingProxyType(
    {
        (None, Event.NEW): Transition(State.WAITING, DEFER, _start),
        (State.WAITING, Event.TOO_EARLY): Transition(State.WAITING, DEFER, _wait_on),
        (State.WAITING, Event.RETRIED): Transition(State.KNOWN, ACCEPT, _pass),
        (State.WAITING, Event.TOO_LATE): Transition(State.WAITING, DEFER, _start_again),
        (State.KNOWN, Event.KNOWN): Transition(State.KNOWN, ACCEPT, _use),
        (State.KNOWN, Event.EXPIRED): Transition(State.WAITING, DEFER, _start),
    }
)
"""What follows when a triplet turns up. None is the state of a key without a record."""

CLIENT: MappingProxyType[tuple[State | None, Event], Transition] = MappingProxyType(
    {
        (None, Event.SUCCESS): Transition(State.COUNTING, None, _count),
        (None, Event.ENOUGH): Transition(State.ALLOWED, None, _allow),
        (State.COUNTING, Event.SUCCESS): Transition(State.COUNTING, None, _count),
        (State.COUNTING, Event.REPEATED): Transition(State.COUNTING, None, _keep),
        (State.COUNTING, Event.ENOUGH): Transition(State.ALLOWED, None, _allow),
        (State.COUNTING, Event.CLIENT_EXPIRED): Transition(None, None, _keep),
        (State.ALLOWED, Event.CLIENT_ALLOWED): Transition(State.ALLOWED, ACCEPT, _use),
        (State.ALLOWED, Event.REPEATED): Transition(State.ALLOWED, None, _keep),
        (State.ALLOWED, Event.CLIENT_EXPIRED): Transition(None, None, _keep),
    }
)
"""What follows for a client. One that has run out counts as absent; its record is replaced, or removed in time."""


def decide(record: Record | None, now: float, policy: GreylistPolicy) -> tuple[Decision, Record]:
    """The decision about a triplet at `now`, and the record to keep: the same object if nothing changed."""
    event = event_for_triplet(record, now, policy)
    # The record of something else (in a store that was edited by hand) counts as none, and is replaced.
    state = None if record is None or event is _NEW_EVENT else record.state
    _, action, effect = TRIPLET[state, event]
    after = effect(record, now, policy)
    reason = _REASONS[event]
    first_seen, attempts = after.first_seen, after.deferred
    if action is DEFER:
        return Decision.of(DEFER, reason, _remaining(after, now, policy), first_seen, attempts, 0.0), after
    waited = max(0.0, now - first_seen) if event is _RETRIED_EVENT else 0.0
    return Decision.of(ACCEPT, reason, 0, first_seen, attempts + after.passed, waited), after


def _remaining(record: Record, now: float, policy: GreylistPolicy) -> int:
    """Whole seconds after which a retry is in the window; floating-point sums may come out slightly lower."""
    seconds = max(1, math.ceil(record.first_seen + policy.delay - now))
    return seconds + 1 if now + seconds - record.first_seen < policy.delay else seconds


def admit(record: Record | None, now: float, policy: GreylistPolicy) -> tuple[Decision, Record] | None:
    """Let a client through that is allowed, with its record to keep; None where the triplet has to decide.

    RFC 6647 section 5 item 1: its traffic is accepted whatever the envelope.
    """
    if record is None or event_for_client(record, now, policy) is not _ALLOWED_EVENT:
        return None
    after = CLIENT[_ALLOWED, _ALLOWED_EVENT].effect(record, now, policy)
    return Decision(ACCEPT, Reason.CLIENT_ALLOWED, 0, after.first_seen, after.passed), after


def credit(record: Record | None, now: float, policy: GreylistPolicy) -> Record:
    """The record of a client after one of its triplets came back in time: the same object if it does not count."""
    if record is not None:
        spent = event_for_client(record, now, policy) is Event.CLIENT_EXPIRED
        record = None if spent or record.state not in _OF_CLIENTS else record
    event = event_for_success(record, now, policy)
    return CLIENT[None if record is None else record.state, event].effect(record, now, policy)
