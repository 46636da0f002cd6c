"""`Application`: what a new configuration takes over, and what is closed of the old one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from mailauth.config import load
from mailauth.resolvers import CaresResolver
from mailauth.service import Application, application
from mailauth.stores.reports import _SqlReportStore

START = """
hostname = "mx.mailbox.test"
domains = ["mailbox.test"]
[policyd]
listen = ["inet:127.0.0.1:10040"]
[milter]
listen = ["inet:127.0.0.1:10041"]
"""


def reloaded(tmp_path: Path, first: str, check: Callable[[Application, Path], Awaitable[None]]) -> None:
    """An application of that file, in a loop of its own."""
    path = tmp_path / "mailauth.toml"
    path.write_text(START + first)

    async def run() -> None:
        made = Application(path, load(path), ("policyd", "milter"))
        made.make()
        try:
            await check(made, path)
        finally:
            await made.close()

    asyncio.run(run())


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The classes of what was closed, as it was closed."""
    names: list[str] = []
    for kind, close in ((CaresResolver, CaresResolver.close), (_SqlReportStore, _SqlReportStore.close)):

        def counted(self: object, close: Callable[..., None] = close) -> None:  # type: ignore[assignment]
            names.append(type(self).__name__)
            close(self)

        monkeypatch.setattr(kind, "close", counted)
    return names


def test_on_failure_is_taken_over(tmp_path: Path) -> None:
    async def check(made: Application, path: Path) -> None:
        (own,) = made._filters
        assert own.server.on_failure == "tempfail"
        path.write_text(START + 'on_failure = "accept"\n')
        await made.reload()
        assert own.server.on_failure == own.settings.on_failure == "accept"

    reloaded(tmp_path, "", check)


def test_what_was_replaced_is_closed_later(tmp_path: Path, closed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Mails that have begun go on with it for a while."""
    monkeypatch.setattr(application, "RETIRED_SECONDS", 0.3)
    more = '[resolver]\nlibrary = "cares"\n[dmarc]\nreports = "sqlite:///{0}/{1}.db"\n'

    async def check(made: Application, path: Path) -> None:
        path.write_text(START + more.format(tmp_path, "b") + "[spf]\nmax_lookups = 9\n")
        await made.reload()
        assert closed == []
        await asyncio.sleep(1)
        assert closed == ["_SqlReportStore"]  # the resolver is still the one that is configured
        path.write_text(START + more.format(tmp_path, "b").replace('"cares"', '"cares"\ncache = 5'))
        await made.reload()
        await asyncio.sleep(1)
        assert closed == ["_SqlReportStore", "CaresResolver"]

    reloaded(tmp_path, more.format(tmp_path, "a"), check)
    assert sorted(closed) == ["CaresResolver", "CaresResolver", "_SqlReportStore", "_SqlReportStore"]


def test_what_did_not_change_goes_on(tmp_path: Path, closed: list[str]) -> None:
    """Each reading of the file would open a database once more, and the old one stays open for a while."""
    more = f'[resolver]\nlibrary = "cares"\n[dmarc]\nreports = "sqlite:///{tmp_path}/a.db"\n'
    more += f'[greylist]\nstore = "sqlite:///{tmp_path}/g.db"\n'

    async def check(made: Application, path: Path) -> None:
        before = {name: each.value for name, each in made._opened.items()}
        for number in range(100):
            path.write_text(START + more + f"[spf]\nmax_lookups = {number + 1}\n")
            await made.reload()
        assert {name: each.value for name, each in made._opened.items()} == before
        assert not made._retired
        assert made.parts
        assert not closed

    reloaded(tmp_path, more, check)


def test_a_file_that_cannot_be_used_leaves_nothing_open(
    tmp_path: Path, closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check(made: Application, path: Path) -> None:
        before, resolver = made.config, made._opened["resolver"]
        more = f'[resolver]\nlibrary = "cares"\n[dmarc]\nreports = "sqlite:///{tmp_path}/a.db"\n'
        path.write_text(START + more)

        def fail(*args: object) -> None:
            raise OSError("no such file")

        path.write_text(START + more + f'[greylist]\nstore = "sqlite:///{tmp_path}/g.db"\n')
        monkeypatch.setattr(application, "_authenticator", fail)
        with pytest.raises(OSError, match="no such file"):
            await made.reload()
        assert closed == ["CaresResolver", "_SqlReportStore"]
        assert (made.config, made._opened["resolver"]) == (before, resolver)

    reloaded(tmp_path, "", check)


def test_only_what_this_program_serves_needs_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "mailauth.toml"
    path.write_text(START)
    caplog.set_level(logging.WARNING)

    async def run() -> None:
        made = Application(path, load(path), ("policyd",))
        made.make()
        path.write_text(START.replace("10041", "10042"))
        await made.reload()
        assert not caplog.messages
        path.write_text(START.replace("10040", "10043") + "[service]\ngrace = 1\n")
        for _ in range(2):  # as long as it is so
            await made.reload()
        await made.close()

    asyncio.run(run())
    assert caplog.messages == 2 * [
        "[service] is only taken over by a restart",
        "a change of listen is only taken over by a restart",
    ]
