"""`Application`: the services that a configuration file sets up, and how they take it over again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from os import PathLike
from typing import Literal, TypeAlias

from mailauth import config as configuration
from mailauth.config import Config, MilterConfig, PolicydConfig
from mailauth.greylist import AsyncStore
from mailauth.milter.filter import MailFilter
from mailauth.milter.settings import Mode
from mailauth.plan import AsyncResolver
from mailauth.policyd import PolicyService
from mailauth.service.metrics import Metrics
from mailauth.srsd import SrsService
from mailauth.stores import open_async_store

_log = logging.getLogger("mailauth.service")

Kind: TypeAlias = Literal["policyd", "milter"]
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


def status(config: Config, kinds: tuple[Kind, ...]) -> str:
    """What is served where, in words."""
    return ", ".join(f"{name} at {' '.join(listen)}" for name, listen in addresses(config, kinds).items())


class Application:
    """The services of a configuration. `make` needs a running event loop, `reload` reads the file again."""

    def __init__(
        self, path: str | PathLike[str], config: Config, kinds: tuple[Kind, ...], metrics: Metrics | None = None
    ):
        self.path = path
        self.config = config
        self.parts: list[Part] = []
        self._metrics = metrics
        self.status = status(config, kinds)
        self._listen = addresses(config, kinds)
        self._policyd: PolicyService | None = None
        self._filters: list[MailFilter] = []
        self._srs: SrsService | None = None
        self._resolver: AsyncResolver | None = None
        self._store: AsyncStore | None = None
        self._opened = AsyncExitStack()
        self._retired: dict[asyncio.Task[None], Closing] = {}

    def make(self) -> None:
        """Make the services. Raises what the builders of `mailauth.config` raise."""
        config, table = self.config, configuration.signing_table(self.config)
        self._resolver = configuration.async_resolver(config.resolver)
        self._store = _open_store(config)
        own = configuration.async_authenticator(
            config, resolver=self._resolver, greylist_store=self._store, closing=self._opened
        )
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
        table, rewriter = configuration.signing_table(config), configuration.srs_rewriter(config)
        # What did not change goes on: a cache and a store in memory would begin empty.
        resolver, store, opened = self._resolver, self._store, AsyncExitStack()
        if config.resolver != self.config.resolver or config.resolver.zone is not None:
            resolver = configuration.async_resolver(config.resolver)
        if config.greylist.store != self.config.greylist.store:
            store = _open_store(config)
        new = configuration.async_authenticator(config, resolver=resolver, greylist_store=store, closing=opened)
        try:
            if self._policyd is not None:
                self._policyd.settings = (config.policyd or PolicydConfig()).policy
                self._policyd.authenticator, self._policyd.networks = new, config.networks
        except OSError:
            await opened.aclose()
            raise
        if self._srs is not None and rewriter is not None:
            self._srs.srs = rewriter
        for each in self._filters:
            each.use(new, table=table, settings=(config.milter or MilterConfig()).policy, networks=config.networks)
        for what in _needs_restart(self.config, config):
            _log.warning("%s is only taken over by a restart", what)
        if self._store is not None and self._store is not store:
            self._retire(self._store.close)
        self._retire(self._opened.aclose)
        self.config, self._resolver, self._store, self._opened = config, resolver, store, opened

    def _retire(self, close: Closing) -> None:
        """Close something when the mails that have begun with it have ended."""

        async def close_later() -> None:
            await asyncio.sleep(RETIRED_SECONDS)
            await close()

        task = asyncio.ensure_future(close_later())
        self._retired[task] = close
        task.add_done_callback(lambda task: self._retired.pop(task, None))

    async def close(self) -> None:
        """Close all stores."""
        for task, close in list(self._retired.items()):
            task.cancel()
            await close()
        if self._store is not None:
            await self._store.close()
        await self._opened.aclose()


def _open_store(config: Config) -> AsyncStore | None:
    return None if config.greylist.store is None else open_async_store(config.greylist.store)


def _needs_restart(old: Config, new: Config) -> Iterator[str]:
    if old.service != new.service:
        yield "[service]"
    kinds: tuple[Kind, ...] = ("policyd", "milter")
    if addresses(old, kinds) != addresses(new, kinds):
        yield "a change of listen"
