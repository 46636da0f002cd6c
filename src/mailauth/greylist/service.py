"""`Greylist` and `AsyncGreylist`: greylisting over a store, with a clock, a log line for a store that fails, and expiry
in small steps. What is decided is check.py's and machine.py's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from typing import Any, NoReturn

from mailauth.greylist.check import Attempt, check_attempt, expire_some
from mailauth.greylist.decision import Action, Decision, Reason
from mailauth.greylist.policy import GreylistPolicy
from mailauth.greylist.settings import Settings, SettingsSource
from mailauth.greylist.store import AsyncStore, Store, StoreError
from mailauth.mail.names import parse_ip
from mailauth.plan.drivers import run, run_async
from mailauth.plan.execution import Plan

_log = logging.getLogger("mailauth.greylist")

EXPIRE_EVERY = 64
"""After so many new records (or errors of the store) an object removes some old records ..."""
EXPIRE_STEP = 4 * EXPIRE_EVERY
"""... at most so many: more than came in, which takes only milliseconds."""


_BEFORE_EXPIRY = (Reason.NEW, Reason.STORE_ERROR)

MAX_TIME = 1e12
"""Seconds. A larger number is in another unit; much larger, and a float cannot count seconds any more."""


class _NoResolver:
    """A plan of greylisting has no questions to the DNS."""

    def lookup(self, question: object, time_limit: object, /) -> NoReturn:
        raise AssertionError(question)

    async def lookup_async(self, question: object, /) -> NoReturn:
        raise AssertionError(question)


NO_RESOLVER = _NoResolver()


class _Checks:
    """What both classes share: settings, clock, and the plans."""

    def __init__(
        self,
        store: Any,
        *,
        policy: GreylistPolicy | None = None,
        settings: SettingsSource | None = None,
        on_error: str | Action = Action.ACCEPT,
        clock: Callable[[], float] = time.time,
        expire_every: int | None = EXPIRE_EVERY,
    ) -> None:
        if not callable(getattr(store, "compare_and_set", None)):
            raise TypeError(f"not a store: {type(store).__name__}; mailauth.stores.open_store() opens one by its URL")
        if policy is not None and settings is not None:
            raise ValueError("settings have a policy of their own: Settings(policy=...) or SettingsFile(path, policy)")
        self.store = store
        self._settings = settings if settings is not None else Settings(policy=policy or GreylistPolicy())
        self._on_error = Action(on_error)
        self._clock = clock
        self._expire_every = expire_every
        self._new = 0

    def _now(self, now: float | None) -> float:
        seconds = float(self._clock() if now is None else now)
        if not abs(seconds) <= MAX_TIME:
            raise ValueError(f"now is in seconds since the epoch, not {seconds!r}")
        return seconds

    def _check(self, attempt: Attempt, now: float | None, store: Store | AsyncStore) -> Plan[Decision]:
        """Check an attempt, and remove some old records if it is time for that."""
        for text in (attempt.sender, attempt.recipient):
            if not isinstance(text, str):
                raise TypeError(f"an address is text, not {type(text).__name__}; the null sender is ''")
        seconds = self._now(now)
        decision = yield from check_attempt(attempt, seconds, self._settings.current(), store, self._on_error)
        if decision.note and (decision.reason is Reason.STORE_ERROR or not decision.reason.startswith("exempt")):
            _log.warning("greylist store: %s; decision: %s (%s)", decision.note, decision.action, decision.reason)
        # A full store takes no new records until old ones are removed.
        if decision.reason in _BEFORE_EXPIRY and self._expire_every is not None:
            self._new += 1
            if self._new % self._expire_every == 0:
                try:
                    yield from expire_some(store, seconds, EXPIRE_STEP)
                except StoreError as error:
                    _log.warning("greylist store: expiry put off: %s", error)
        return decision


class Greylist(_Checks):
    """Greylisting for synchronous callers. One object may be shared by threads.

    `store` comes from `mailauth.stores.open_store`. `settings` (a `Settings` or `SettingsFile`) name exemptions and
    settings per recipient, and have a policy; without them, `policy` holds for all. `on_error` ("accept" or "defer")
    is the decision while the store fails. `clock` gives the time where a call has no `now`. After every
    `expire_every` new triplets (or errors of the store) a few old records are removed; None leaves it to `expire`.
    """

    store: Store

    def check(
        self,
        ip: str | IPv4Address | IPv6Address,
        sender: str,
        recipient: str,
        *,
        now: float | None = None,
        proven_domain: str | None = None,
        client_name: str | None = None,
        authenticated: bool = False,
    ) -> Decision:
        """Defer or accept this client's mail from `sender` (MAIL FROM; empty: null) to `recipient` (RCPT TO).

        `proven_domain` is a domain proven for the client (SPF pass, DKIM pass, confirmed reverse name): it then
        counts in place of the network. `client_name` is the confirmed reverse name, for exemptions. Raises
        `ValueError` for a bad `ip` or `now` and `TypeError` for anything that is not text; never for what an address
        holds, nor for the store.
        """
        attempt = Attempt(parse_ip(ip), sender, recipient, proven_domain, client_name, authenticated)
        return run(self._check(attempt, now, self.store), NO_RESOLVER, time_limit=None)

    def expire(self, *, now: float | None = None, limit: int = EXPIRE_STEP) -> int:
        """Remove up to `limit` records that have run out and return their number. Raises `StoreError`."""
        return run(expire_some(self.store, self._now(now), limit), NO_RESOLVER, time_limit=None)

    def close(self) -> None:
        """Close the store."""
        self.store.close()

    def __enter__(self) -> Greylist:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncGreylist(_Checks):
    """`Greylist` with the same arguments, awaited; `store` comes from `mailauth.stores.open_async_store`."""

    store: AsyncStore

    async def check(
        self,
        ip: str | IPv4Address | IPv6Address,
        sender: str,
        recipient: str,
        *,
        now: float | None = None,
        proven_domain: str | None = None,
        client_name: str | None = None,
        authenticated: bool = False,
    ) -> Decision:
        """As `Greylist.check`."""
        attempt = Attempt(parse_ip(ip), sender, recipient, proven_domain, client_name, authenticated)
        # A store that knows how to carry out a whole decision does it in less time than one operation after another.
        perform = getattr(self.store, "perform", None)
        if perform is not None:
            decision: Decision = await perform(partial(self._check, attempt, now))
            return decision
        return await run_async(self._check(attempt, now, self.store), NO_RESOLVER, time_limit=None)

    async def expire(self, *, now: float | None = None, limit: int = EXPIRE_STEP) -> int:
        """As `Greylist.expire`."""
        return await run_async(expire_some(self.store, self._now(now), limit), NO_RESOLVER, time_limit=None)

    async def close(self) -> None:
        """Close the store."""
        await self.store.close()

    async def __aenter__(self) -> AsyncGreylist:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
