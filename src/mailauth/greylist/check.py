"""Plans over a store: check an attempt, remove what has run out. No clock; the transitions are machine.py's.

Each step is a `Call` of an operation of the store, so the same plan serves a `Store` and an `AsyncStore`.
"""

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
from mailauth.greylist.store import AsyncStore, Entry, Store, StoreError, StoreErrorReason
from mailauth.plan.dns import IPAddress
from mailauth.plan.execution import Call, Plan

MAX_RACES = 100
"""How often a check starts over because another one changed the same record first."""


class Attempt(NamedTuple):
    """One client that wants to send from one sender to one recipient, and what the caller knows of it."""

    ip: IPAddress
    sender: str  # MAIL FROM; "" is the null sender
    recipient: str  # RCPT TO
    proven_domain: str | None = None  # by SPF, DKIM or its confirmed name: counts in place of the network
    client_name: str | None = None  # the confirmed reverse name, for exemptions; None without one
    authenticated: bool = False  # by SMTP AUTH


def check_attempt(
    attempt: Attempt, now: float, settings: Settings, store: Store | AsyncStore, on_error: Action = Action.ACCEPT
) -> Plan[Decision]:
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
        decision = yield from judge(store, keys, now, policy)
    except StoreError as error:
        retry_after = int(policy.delay) if on_error is Action.DEFER else 0
        decision = Decision(on_error, Reason.STORE_ERROR, retry_after, note=str(error))
    return decision.as_dry_run() if policy.mode is _DRY_RUN else decision


# In Python 3.11 every `Mode.OFF` is a call of its own.
_OFF, _DRY_RUN = Mode.OFF, Mode.DRY_RUN
_KNOWN, _RETRIED = Reason.KNOWN, Reason.RETRIED


def judge(store: Store | AsyncStore, keys: Keys, now: float, policy: GreylistPolicy) -> Plan[Decision]:
    """Read both records, decide, and store what changed; start over if another check was faster."""
    record: Record | None = None
    decision: Decision | None = None
    for _ in range(MAX_RACES):
        client, record = yield Call(store.get, keys)
        admitted = admit(client, now, policy)
        if admitted is not None:
            return (yield from _write_down(store, keys.client, client, *admitted))
        decision, after = decide(record, now, policy)
        if after is record:
            return decision
        if decision.reason is _KNOWN:
            return (yield from _write_down(store, keys.triplet, record, decision, after))
        try:
            swapped = yield Call(store.compare_and_set, keys.triplet, record, after)
        except StoreError as error:
            # Who has waited is accepted all the same. A deferral that is not stored would be repeated for ever.
            if decision.deferred:
                raise
            return replace(decision, note=f"not written down: {error}")
        if swapped:
            if decision.reason is _RETRIED and policy.auto_allow:
                decision = yield from _credit(store, keys.client, client, now, policy, decision)
            return decision
    if record is None or decision is None:
        raise StoreError("others kept changing the same record", StoreErrorReason.CONTENTION)
    # The record exists, so its decision holds: many attempts at once must not bypass greylisting.
    return replace(decision, note="not written down: others kept changing the same record")


def _write_down(
    store: Store | AsyncStore, key: str, before: Record | None, decision: Decision, after: Record
) -> Plan[Decision]:
    """Store the use of a known triplet or an allowed client. If that fails, the decision stays the same."""
    if after is before:
        return decision
    try:
        yield Call(store.compare_and_set, key, before, after)
    except StoreError as error:
        return replace(decision, note=f"not written down: {error}")
    return decision


def _credit(
    store: Store | AsyncStore,
    key: str,
    client: Record | None,
    now: float,
    policy: GreylistPolicy,
    decision: Decision,
) -> Plan[Decision]:
    """Count a success of the client. The triplet is accepted whether it can be counted or not."""
    try:
        for _ in range(MAX_RACES):
            after = credit(client, now, policy)
            if after is client or (yield Call(store.compare_and_set, key, client, after)):
                return decision
            (client,) = yield Call(store.get, (key,))
    except StoreError as error:
        return replace(decision, note=f"success of the client not counted: {error}")
    return decision


# --- expiry ---------------------------------------------------------------------------------------------------


def expire_some(store: Store | AsyncStore, now: float, limit: int) -> Plan[int]:
    """Remove up to `limit` records that have run out, and return how many there were.

    What they counted is added to the tallies (one for each state), for `mailauth greylist stats`. A process that
    is killed in between loses these counts, nothing else.
    """
    removed: list[Entry] = list((yield Call(store.expire, now, limit)))
    for key, sums in _tallies(removed, now).items():
        for _ in range(MAX_RACES):
            (before,) = yield Call(store.get, (key,))
            if (yield Call(store.compare_and_set, key, before, _sum(before, sums))):
                break
        else:
            raise StoreError("others kept changing the same tally", StoreErrorReason.CONTENTION)
    return len(removed)


def _tallies(removed: Iterable[Entry], now: float) -> dict[str, Record]:
    """The sums over removed records, by the keys that keep them."""
    sums: dict[str, Record] = {}
    for _, record in removed:
        key = TALLY_PREFIX + record.state.value
        tally = Record(State.TALLY, now, now, record.deferred, record.passed, NEVER, 1)
        sums[key] = _sum(sums.get(key), tally)
    return sums


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
