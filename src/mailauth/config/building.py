"""Authenticators, resolvers and greylists as a configuration wants them.

From a configuration to the objects that do the work. Libraries are imported when they are needed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailauth.config.greylist import SettingsFile
from mailauth.config.lists import read_lists
from mailauth.config.schema import Config, ResolverConfig, SigningConfig
from mailauth.config.signing import load_signing_table
from mailauth.dkim import SigningRule, SigningTable
from mailauth.greylist import AsyncStore, SettingsSource
from mailauth.greylist import Settings as GreylistSettings
from mailauth.rbl import Monitor
from mailauth.srs import Srs, read_secrets
from mailauth.stores import open_report_store

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from mailauth import aio, sync
    from mailauth.dmarc.reports import ReportStore
    from mailauth.plan import AsyncResolver, Resolver
    from mailauth.resolvers import AsyncDnspythonResolver, DnspythonResolver, ZoneResolver


def authenticator(
    config: Config,
    *,
    resolver: Resolver | None = None,
    trace: bool = False,
    clock: Callable[[], float] = time.time,
) -> sync.Authenticator:
    """The `mailauth.sync.Authenticator` that the configuration describes. One serves a whole process.

    `resolver` replaces the configured one, `clock` gives the time. Raises `ValueError` or `OSError` where
    a file has changed for the worse since the configuration was read, `MailAuthError` where a driver is missing.
    """
    from mailauth import sync

    greylist = None
    if config.greylist.store is not None:
        greylist = sync.Greylist(config.greylist.store, **_greylist_arguments(config, clock))
    own = sync_resolver(config.resolver) if resolver is None else resolver
    return sync.Authenticator(greylist=greylist, resolver=own, **_arguments(config, trace, clock))


def async_authenticator(
    config: Config,
    *,
    resolver: AsyncResolver | None = None,
    trace: bool = False,
    clock: Callable[[], float] = time.time,
    greylist_store: AsyncStore | None = None,
    dmarc_reports: ReportStore | None = None,
) -> aio.Authenticator:
    """The `mailauth.aio.Authenticator` that the configuration describes; the arguments of `authenticator`.

    `greylist_store` and `dmarc_reports` are used in place of the stores that are named, where they are named.
    """
    from mailauth import aio

    arguments = _arguments(config, trace, clock, dmarc_reports)
    greylist = None
    if config.greylist.store is not None:
        store = config.greylist.store if greylist_store is None else greylist_store
        greylist = aio.Greylist(store, **_greylist_arguments(config, clock))
    own = async_resolver(config.resolver) if resolver is None else resolver
    return aio.Authenticator(greylist=greylist, resolver=own, **arguments)


def _arguments(
    config: Config, trace: bool, clock: Callable[[], float], reports: ReportStore | None = None
) -> dict[str, Any]:
    restrictions, wrong = read_lists(config)
    for _, _, error in wrong:  # of a Config that was made by hand; those from a file were checked
        raise error
    if reports is None and config.dmarc.reports is not None:
        reports = open_report_store(config.dmarc.reports)
    return {
        "hostname": config.hostname,
        "authserv_id": config.authserv_id or "",
        "rbl": config.rbl.lists,
        "restrictions": restrictions,
        "delay_reject": config.delay_reject,
        "trace": trace,
        "spf_policy": config.spf,
        "dkim_policy": config.dkim,
        "dmarc_policy": config.dmarc.policy,
        "dmarc_reports": None if config.dmarc.reports is None else reports,
        "rbl_policy": config.rbl.policy,
        "rbl_monitor": Monitor(clock=time.monotonic) if config.rbl.monitor else None,
        "time_limit": config.deadlines.evaluation,
        "clock": clock,
    }


def _greylist_arguments(config: Config, clock: Callable[[], float]) -> dict[str, Any]:
    return {"settings": _greylist_settings(config), "on_error": config.greylist.on_error, "clock": clock}


def _greylist_settings(config: Config) -> SettingsSource:
    if config.greylist.settings is None:
        return GreylistSettings(policy=config.greylist.policy)
    return SettingsFile(config.greylist.settings, config.greylist.policy)


def sync_resolver(config: ResolverConfig) -> Resolver:
    """The resolver of the ``[resolver]`` table, for synchronous callers."""
    from mailauth.resolvers import DnspythonResolver

    resolver: Resolver = _resolver(config, DnspythonResolver)
    return resolver


def async_resolver(config: ResolverConfig, closing: AsyncExitStack | None = None) -> AsyncResolver:
    """The resolver of the ``[resolver]`` table, for asynchronous callers.

    What it opens is closed with `closing`; a program that goes on with it until its end needs none.
    """
    from mailauth.resolvers import AsyncDnspythonResolver

    resolver: AsyncResolver = _resolver(config, AsyncDnspythonResolver, closing)
    return resolver


def _resolver(
    config: ResolverConfig,
    dnspython: type[DnspythonResolver] | type[AsyncDnspythonResolver],
    closing: AsyncExitStack | None = None,
) -> Any:
    if config.zone is not None:
        return _zone(config.zone)
    if config.library == "cares":
        from mailauth.resolvers import CaresResolver

        own = CaresResolver(config.nameservers or None, port=config.port)
        if closing is not None:
            closing.callback(own.close)
        return _cached(own, config.cache)
    named = config.nameservers
    return _cached(dnspython.asking(named, config.port) if named else dnspython(), config.cache)


def srs_rewriter(config: Config) -> Srs | None:
    """What rewrites the senders of forwarded mail; None without a ``[srs]`` table.

    Raises `ValueError` or `OSError` for secrets that cannot be used.
    """
    own = config.srs
    if own is None:
        return None
    from_file = [] if own.secret_file is None else read_secrets(own.secret_file.read_text(encoding="utf-8"))
    return Srs(
        own.domain,
        [*own.secrets, *from_file],
        own_domains=[*config.domains, *own.own_domains, config.hostname],
        policy=own.policy,
    )


def signing_table(config: Config) -> SigningTable | None:
    """Which keys sign for which sender, for mail of our own clients; None where nothing is signed.

    Raises `ValueError` or `OSError` for a key that cannot be used.
    """
    if config.signing_table is not None:
        return load_signing_table(config.signing_table)
    return signing_table_of(config.signing) if config.signing else None


def signing_table_of(entries: Iterable[SigningConfig]) -> SigningTable:
    """The ``[[signing]]`` tables as one. Raises `ValueError` or `OSError` for a key that cannot be used."""
    return SigningTable(
        SigningRule(entry.senders, entry.selector, entry.key.read_bytes(), entry.domain, entry.allow)
        for entry in entries
    )


def _zone(path: Path) -> ZoneResolver:
    from mailauth.resolvers import ZoneResolver

    return ZoneResolver.from_file(path)


def _cached(inner: Any, entries: int) -> Any:
    from mailauth.resolvers import Cache, CachingResolver
    from mailauth.resolvers.cache import MAX_OCTETS

    if not entries:
        return inner
    # Whoever wants more answers than usual wants them kept: most take some 600 octets.
    return CachingResolver(inner, Cache(entries, max_octets=max(MAX_OCTETS, 1000 * entries)))
