"""A zone with a good sender, a bad one and block lists; one signed message; sync, asyncio and trio as one `Facade`.

The world that the tests of the facade share: a zone, a signed message, and the three ways to call. No test.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import trio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

import dkim
from mailauth import aio, sync
from mailauth.resolvers import ZoneResolver
from mailauth.stores.memory import AsyncMemoryStore, MemoryStore

HOSTNAME = "mx.mailbox.test"
GOOD = "192.0.2.1"  # mx.example.org, which may send for example.org
LISTED = "192.0.2.10"  # on bl.example
STRANGER = "198.51.100.7"  # may not send for example.org
BOB, EVE = "bob@mailbox.test", "eve@mailbox.test"
NOW = 1_800_000_000.0

PLAIN = b"From: Ann <ann@example.org>\r\nTo: bob@mailbox.test\r\nSubject: Hello\r\n\r\nHello, Bob.\r\n"


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def sign(message: bytes) -> bytes:
    """The message with a signature of example.org that passes."""
    pem = _key().private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    header: bytes = dkim.sign(message, b"s1", b"example.org", pem, include_headers=[b"from", b"to", b"subject"])
    return header + message


def signed() -> bytes:
    """The plain message, signed."""
    return sign(PLAIN)


def records() -> dict[tuple[str, str], list[str | bytes]]:
    """The DNS of this world."""
    public = _key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        ("1.2.0.192.in-addr.arpa", "PTR"): ["mx.example.org"],
        ("10.2.0.192.in-addr.arpa", "PTR"): ["listed.example.org"],
        ("mx.example.org", "A"): [GOOD],
        ("mx.example.org", "TXT"): ["v=spf1 a -all"],
        ("listed.example.org", "A"): [LISTED],
        ("example.org", "MX"): ["10 mx.example.org"],
        ("example.org", "TXT"): ["v=spf1 include:_spf.example.org -all"],
        ("_spf.example.org", "TXT"): ["v=spf1 ip4:192.0.2.0/24 -all"],
        ("s1._domainkey.example.org", "TXT"): [b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)],
        ("10.2.0.192.bl.example", "A"): ["127.0.0.2"],
        ("10.2.0.192.bl.example", "TXT"): ["bad host"],
        ("bad.example.dbl.example", "A"): ["127.0.1.2"],
        ("bad.example", "MX"): ["10 mx.example.org"],
        ("null.example", "MX"): ["0 ."],
    }


@cache
def zone() -> ZoneResolver:
    return ZoneResolver(records(), failures={("slow.example", "*"): "timeout"})  # type: ignore[arg-type]


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


@dataclass(frozen=True)
class Facade:
    """One of the ways to call: `run` gives the result of a call, awaited where it must be."""

    name: str
    module: ModuleType
    run: Callable[[Any], Any]

    def authenticator(self, **options: Any) -> Any:
        """An `Authenticator` over this world's zone."""
        options.setdefault("resolver", zone())
        return self.module.Authenticator(HOSTNAME, **options)

    def greylist(self, **options: Any) -> Any:
        """A `Greylist` in memory."""
        store = MemoryStore()
        return self.module.Greylist(store if self.module is sync else AsyncMemoryStore(store), **options)


SYNC = Facade("sync", sync, lambda result: result)
FACADES = [
    SYNC,
    Facade("asyncio", aio, lambda awaitable: asyncio.run(_await(awaitable))),
    Facade("trio", aio, lambda awaitable: trio.run(_await, awaitable)),
]
