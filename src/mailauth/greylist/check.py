# What belongs here: the logic of one check, as plans that yield store operations: written once, for sync and async.
# No clock, no store; the transitions are machine.py's.
"""Plans over a store: check an attempt, remove what has run out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from mailauth.greylist.decision import Action, Decision, Reason
from mailauth.greylist.keys import TALLY_PREFIX, Keys, keys_of
from mailauth.greylist.machine import admit, credit, decide
from mailauth.greylist.policy import GreylistPolicy, Mode
from mailauth.greylist.records import NEVER, Record, State
from mailauth.greylist.settings import Settings
from mailauth.greylist.store import CompareAndSet, Entry, Expire, Get, StoreError, StorePlan, Trouble
from mailauth.plan.dns import IPAddress

MAX_RACES = 100
"""How often a check starts over because others changed the same record meanwhile; each time, one of them got on."""


class Attempt(NamedTuple):
    """One client that wants to send from one sender to one recipient, and what the caller knows of it."""

    ip: IPAddress
    sender: str
    recipient: str
    proven_domain: str | None = None
    client_name: str | None = None
    authenticated: bool = False


def check_attempt(
    attempt: Attempt, now: float, settings: Settings, on_error: Action = Action.ACCEPT
) -> StorePlan[Decision]:
    """Decide about an attempt at `now`. A store that fails gives the decision `on_error` (RFC 6647 section 8.2)."""
    # RFC 6647 section 5: not for authenticated clients.
    if attempt.authenticated:
        return Decision(Action.ACCEPT, Reason.AUTHENTICATED)
    ip, sender, recipient, proven_domain, client_name, _ = attempt
    exemption = settings.exemption(ip, client_name, sender, recipient)
    if exemption is not None:
        return Decision(Action.ACCEPT, exemption[0], note=exemption[1])
    policy = settings.policy_for(recipient)
    if policy.mode is _OFF:
        return Decision(Action.ACCEPT, Reason.OFF)
    keys = keys_of(ip, sender, recipient, policy, proven_domain)
    try:
        decision = yield from judge(keys, now, policy)
    except StoreError as error:
        retry_after = int(policy.delay) if on_error is Action.DEFER else 0
        decision = Decision(on_error, Reason.STORE_ERROR, retry_after, note=str(error))
    return decision.as_dry_run() if policy.mode is _DRY_RUN else decision


# In Python 3.11 every `Mode.OFF` is a call of its own.
_OFF, _DRY_RUN = Mode.OFF, Mode.DRY_RUN
_KNOWN, _RETRIED = Reason.KNOWN, Reason.RETRIED


def judge(keys: Keys, now: float, policy: GreylistPolicy) -> StorePlan[Decision]:
    """Read both records, let the machine decide, and write down what changed; again, if somebody was faster."""
    record: Record | None = None
    decision: Decision | None = None
    for _ in range(MAX_RACES):
        client, record = yield Get(keys)
        admitted = admit(client, now, policy)
        if admitted is not None:
            return (yield from _write_down(keys.client, client, *admitted))
        decision, after = decide(record, now, policy)
        if after is record:
            return decision
        if decision.reason is _KNOWN:
            return (yield from _write_down(keys.triplet, record, decision, after))
        try:
            swapped = yield CompareAndSet(keys.triplet, record, after)
        except StoreError as error:
            # Who has waited has waited. But to defer what cannot be written down would be to defer it for ever.
            if decision.deferred:
                raise
            return replace(decision, note=f"not written down: {error}")
        if swapped:
            if decision.reason is _RETRIED and policy.auto_allow:
                decision = yield from _credit(keys.client, client, now, policy, decision)
            return decision
    if record is None or decision is None:
        raise StoreError("others kept changing the same record", Trouble.CONTENTION)
    # The record is there, and what it says holds: a crowd of attempts must not be a way past it.
    return replace(decision, note="not written down: others kept changing the same record")


def _write_down(key: str, before: Record | None, decision: Decision, after: Record) -> StorePlan[Decision]:
    """Note the use of what is known or allowed. It is so in any case: losing a race or the store changes nothing."""
    if after is before:
        return decision
    try:
        yield CompareAndSet(key, before, after)
    except StoreError as error:
        return replace(decision, note=f"not written down: {error}")
    return decision


def _credit(
    key: str, client: Record | None, now: float, policy: GreylistPolicy, decision: Decision
) -> StorePlan[Decision]:
    """Count a success of the client. The triplet has been let through already, whatever becomes of the count."""
    try:
        for _ in range(MAX_RACES):
            after = credit(client, now, policy)
            if after is client or (yield CompareAndSet(key, client, after)):
                return decision
            (client,) = yield Get((key,))
    except StoreError as error:
        return replace(decision, note=f"success of the client not counted: {error}")
    return decision


# --- expiry ---------------------------------------------------------------------------------------------------


def expire_some(now: float, limit: int) -> StorePlan[int]:
    """Remove up to `limit` records that have run out, and return how many there were.

    What they counted is added to the tallies (one for each state), for `mailauth greylist stats`. A process that
    is killed in between loses these counts, nothing else.
    """
    removed: list[Entry] = list((yield Expire(now, limit)))
    for key, sums in tallies(removed, now).items():
        yield from _add_to_tally(key, sums)
    return len(removed)


def tallies(removed: Iterable[Entry], now: float) -> dict[str, Record]:
    """The sums over removed records, by the keys that keep them."""
    sums: dict[str, Record] = {}
    for _, record in removed:
        key = TALLY_PREFIX + record.state.value
        sums[key] = _sum(sums.get(key), _as_tally(record, now))
    return sums


def _as_tally(record: Record, now: float) -> Record:
    return Record(State.TALLY, now, now, record.deferred, record.passed, NEVER, 1)


def _sum(one: Record | None, other: Record) -> Record:
    if one is None:
        return other
    return Record(
        State.TALLY,
        min(one.first_seen, other.first_seen),
        max(one.last_seen, other.last_seen),
        one.deferred + other.deferred,
        one.passed + other.passed,
        NEVER,
        one.removed + other.removed,
    )


def _add_to_tally(key: str, sums: Record) -> StorePlan[None]:
    for _ in range(MAX_RACES):
        (before,) = yield Get((key,))
        if (yield CompareAndSet(key, before, _sum(before, sums))):
            return
    raise StoreError("others kept changing the same tally", Trouble.CONTENTION)
