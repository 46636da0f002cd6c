"""`Application`: the services that a configuration file sets up, and how they take it over again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from typing import Any, Literal, TypeAlias

from mailauth import config as configuration
from mailauth.aio import Authenticator
from mailauth.config import Config, MilterConfig, PolicydConfig, ResolverConfig
from mailauth.milter.filter import MailFilter
from mailauth.milter.settings import Mode
from mailauth.policyd import PolicyService
from mailauth.service.metrics import Metrics
from mailauth.srsd import SrsService
from mailauth.stores import open_async_store, open_report_store

_log = logging.getLogger("mailauth.service")

Kind: TypeAlias = Literal["policyd", "milter"]
"""What a program serves: the policy service (with the tables of SRS, where they are configured), the milter."""
Closing: TypeAlias = Callable[[], Awaitable[None]]
Handle: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

RETIRED_SECONDS = 600.0
"""How long what was replaced is kept for the mails that have begun with it: longer than an SMTP client waits for the
reply to the end of its message (RFC 5321 section 4.5.3.2.6)."""
_SRS = ("srs", "srs-forward", "srs-reverse")
_MODES: dict[str, Mode] = {"milter": "both", "milter-verify": "verify", "milter-sign": "sign"}


@dataclass(frozen=True)
class Part:
    """One service: what serves a connection, and what ends those that are idle. `listen` are its addresses."""

    name: str
    listen: tuple[str, ...]
    handle: Handle
    finish: Callable[[], object]


def addresses(config: Config, kinds: tuple[Kind, ...]) -> dict[str, tuple[str, ...]]:
    """Where each service listens, by its name; services that listen nowhere are left out."""
    milter, srs, found = config.milter or MilterConfig(), config.srs, {}
    if "policyd" in kinds and (config.policyd is not None or (kinds == ("policyd",) and srs is None)):
        found["policyd"] = (config.policyd or PolicydConfig()).listen
    if "policyd" in kinds and srs is not None:
        found |= {"srs": srs.listen, "srs-forward": srs.listen_forward, "srs-reverse": srs.listen_reverse}
    if "milter" in kinds:
        found |= {"milter": milter.listen, "milter-verify": milter.listen_verify, "milter-sign": milter.listen_sign}
    return {name: listen for name, listen in found.items() if listen}


def status(listen: Mapping[str, tuple[str, ...]]) -> str:
    """What is served where, in words."""
    return ", ".join(f"{name} at {' '.join(addresses)}" for name, addresses in listen.items())


@dataclass(frozen=True)
class _Opened:
    """What a part of the file wants to be opened, and how it is closed."""

    wanted: object
    value: Any
    close: Closing


class Application:
    """The services of a configuration. `make` needs a running event loop, `reload` reads the file again.

    `listen` are the addresses that are listened at (`addresses`); without it, those of the configuration.
    """

    def __init__(
        self,
        path: str | PathLike[str],
        config: Config,
        kinds: tuple[Kind, ...],
        metrics: Metrics | None = None,
        listen: Mapping[str, tuple[str, ...]] | None = None,
    ):
        self.path = path  # of the configuration file, for `reload`
        self.config = config  # the one that holds
        self.parts: list[Part] = []  # the services that `make` made
        self._kinds = kinds
        self._metrics = metrics
        self._listen = addresses(config, kinds) if listen is None else listen
        self.status = status(self._listen)  # what is served where, for the log and for systemd
        self._policyd: PolicyService | None = None
        self._filters: list[MailFilter] = []
        self._srs: SrsService | None = None
        self._opened: dict[str, _Opened] = {}
        self._retired: dict[asyncio.Task[None], Closing] = {}

    def make(self) -> None:
        """Make the services. Raises what the builders of `mailauth.config` raise."""
        config, table = self.config, configuration.signing_table(self.config)
        self._open(config, self._opened)
        own = _authenticator(config, self._opened)
        if "policyd" in self._listen:
            settings = (config.policyd or PolicydConfig()).policy
            self._policyd = PolicyService(own, settings, config.networks, count=self._counting("policyd"))
            self._add("policyd", self._policyd)
        for name in self._listen.keys() & _MODES:
            made = MailFilter(
                own,
                table=table,
                settings=(config.milter or MilterConfig()).policy,
                networks=config.networks,
                mode=_MODES[name],
                count=self._counting(name),
            )
            self._filters.append(made)
            self._add(name, made)
        rewriter = configuration.srs_rewriter(config)
        if rewriter is not None and self._listen.keys() & _SRS:
            self._srs = SrsService(rewriter, count=self._counting("srs"))
            for name, handle in zip(_SRS, self._srs.handles, strict=True):
                if name in self._listen:
                    self.parts.append(Part(name, self._listen[name], handle, self._srs.finish))

    def _open(self, config: Config, opened: dict[str, _Opened]) -> None:
        """Open what the configuration wants. What has not changed goes on: a cache or a store in memory would begin
        empty, and a database would see new connections beside the old ones."""
        wanted: dict[str, Any] = {
            "resolver": config.resolver,
            "store": config.greylist.store,
            "reports": config.dmarc.reports,
        }
        for name, what in wanted.items():
            old = self._opened.get(name)
            changed = old is None or old.wanted != what or (name == "resolver" and what.zone is not None)
            opened[name] = _OPEN[name](what) if changed or old is None else old

    def _add(self, name: str, service: PolicyService | MailFilter) -> None:
        self.parts.append(Part(name, self._listen[name], service.handle, service.finish))

    def _counting(self, name: str) -> Callable[[str], object]:
        return (lambda event: None) if self._metrics is None else partial(self._metrics.count, name)

    async def reload(self) -> None:
        """Read the file again; mails that have begun keep what they began with.

        Nothing changes where it cannot be used: then `ConfigError`, `ValueError`, `MailAuthError` or `OSError` is
        raised. Sockets, log, metrics and the number of workers stay as they are until the service starts anew.
        """
        config = await asyncio.to_thread(configuration.load, self.path)
        table = await asyncio.to_thread(configuration.signing_table, config)
        rewriter = configuration.srs_rewriter(config)
        opened: dict[str, _Opened] = {}
        try:
            self._open(config, opened)
            new = _authenticator(config, opened)
            if self._policyd is not None:
                self._policyd.settings = (config.policyd or PolicydConfig()).policy
        except BaseException:
            for name, each in opened.items():
                if each is not self._opened.get(name):
                    await each.close()
            raise
        if self._srs is not None and rewriter is not None:
            self._srs.srs = rewriter
        if self._policyd is not None:
            self._policyd.authenticator, self._policyd.networks = new, config.networks
        settings = (config.milter or MilterConfig()).policy
        for mail_filter in self._filters:
            mail_filter.use(new, table=table, settings=settings, networks=config.networks)
            mail_filter.server.on_failure = settings.on_failure
        for what in self._needs_restart(config):
            _log.warning("%s is only taken over by a restart", what)
        for name, old in self._opened.items():
            if old is not opened[name]:
                self._retire(old.close)
        self.config, self._opened = replace(config, service=self.config.service), opened

    def _needs_restart(self, new: Config) -> Iterator[str]:
        if new.service != self.config.service:
            yield "[service]"
        if addresses(new, self._kinds) != self._listen:
            yield "a change of listen"

    def _retire(self, close: Closing) -> None:
        """Close something when the mails that have begun with it have ended."""

        async def close_later() -> None:
            await asyncio.sleep(RETIRED_SECONDS)
            await close()

        task = asyncio.ensure_future(close_later())
        self._retired[task] = close
        task.add_done_callback(lambda task: self._retired.pop(task, None))

    async def close(self) -> None:
        """Close all stores and resolvers."""
        for task, close in list(self._retired.items()):
            task.cancel()
            await close()
        for each in self._opened.values():
            await each.close()


def _authenticator(config: Config, opened: Mapping[str, _Opened]) -> Authenticator:
    return configuration.async_authenticator(
        config,
        resolver=opened["resolver"].value,
        greylist_store=opened["store"].value,
        dmarc_reports=opened["reports"].value,
    )


def _open_resolver(wanted: ResolverConfig) -> _Opened:
    closing = AsyncExitStack()
    return _Opened(wanted, configuration.async_resolver(wanted, closing), closing.aclose)


def _open_store(wanted: str | None) -> _Opened:
    store = None if wanted is None else open_async_store(wanted)
    return _Opened(wanted, store, _nothing if store is None else store.close)


def _open_reports(wanted: str | None) -> _Opened:
    reports = None if wanted is None else open_report_store(wanted)
    return _Opened(wanted, reports, _nothing if reports is None else partial(asyncio.to_thread, reports.close))


async def _nothing() -> None:
    """There is nothing to close."""


_OPEN: dict[str, Callable[[Any], _Opened]] = {
    "resolver": _open_resolver,
    "store": _open_store,
    "reports": _open_reports,
}
