"""The server under test, in a thread, with the DNS and the clock of the test."""

from __future__ import annotations

import asyncio
import smtplib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from small_mta import Mail, SmallMta, restrictions

from mailauth.aio import Authenticator, Greylist
from mailauth.resolvers import AsyncDnspythonResolver
from mailauth.testing import Clock, ZoneServer

CLIENT = "192.0.2.1"


class Running:
    """The server, and what it has kept so far."""

    def __init__(self, mta: SmallMta, kept: list[Mail]) -> None:
        self.kept = kept
        self._mta = mta
        self._started = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve()], daemon=True)

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        server = await self._mta.start("127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._over.wait()
        server.close()

    def __enter__(self) -> Running:
        self._thread.start()
        assert self._started.wait(20)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)

    def connect(self, ip: str = CLIENT, helo: str = "mx.example.org") -> smtplib.SMTP:
        """A client at that address."""
        smtp = smtplib.SMTP("127.0.0.1", self.port, timeout=20)
        assert smtp.docmd("XCLIENT", f"ADDR={ip}")[0] == 220
        smtp.ehlo(helo)
        return smtp

    def send(self, message: bytes, *, ip: str = CLIENT, sender: str = "ann@example.org") -> str:
        """What the server says last: code and enhanced code."""
        with self.connect(ip) as smtp:
            for verb, rest in (("MAIL", f"FROM:<{sender}>"), ("RCPT", "TO:<bob@example.net>")):
                code, text = smtp.docmd(verb, rest)
                if code != 250:
                    return f"{code} {text.split()[0].decode()}"
            code, text = smtp.data(message)
            return f"{code} {text.split()[0].decode()}"


@contextmanager
def running(resolver: Any, clock: Clock, *, greylisting: bool = False, time_limit: float = 10.0) -> Iterator[Running]:
    """The server with this DNS."""
    kept: list[Mail] = []

    async def keep(mail: Mail) -> None:
        kept.append(mail)

    authenticator = Authenticator(
        "mx.example.net",
        restrictions=restrictions(["example.net"], ["bl.example"]),
        greylist=Greylist("memory:", clock=clock) if greylisting else None,
        resolver=resolver,
        time_limit=time_limit,
        clock=clock,
    )
    with Running(SmallMta(authenticator, keep, trusted=["127.0.0.1"]), kept) as server:
        yield server


def asking(dns: ZoneServer) -> AsyncDnspythonResolver:
    """The resolver of a program whose name server is configured."""
    return AsyncDnspythonResolver.asking([dns.address], dns.port)


@pytest.fixture
def mta(mailauth_dns: ZoneServer, mailauth_clock: Clock) -> Iterator[Running]:
    """The server without greylisting; its DNS is `mailauth_zone`, its clock `mailauth_clock`."""
    with running(asking(mailauth_dns), mailauth_clock) as server:
        yield server
