"""DNS servers on loopback for tests: `nsd`, which serves master files, and those of `mailauth.testing`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dns.asyncresolver
import dns.resolver

from mailauth.testing.dnsserver import (
    DnsServer,
    Fault,
    Reply,
    Script,
    ScriptedServer,
    ZoneServer,
    delay,
    drop,
    forge,
    rcode,
    response_to,
    truncate,
    truncated,
    twice,
    wrong_zone,
)
from tests.servers import free_port, need, running, wait_for_tcp

__all__ = [
    "DnsServer",
    "Fault",
    "Reply",
    "Script",
    "ScriptedServer",
    "ZoneServer",
    "async_configuration",
    "delay",
    "drop",
    "forge",
    "nsd",
    "rcode",
    "response_to",
    "sync_configuration",
    "truncate",
    "truncated",
    "twice",
    "wrong_zone",
]

_CONFIGURATION = """
server:
  ip-address: 127.0.0.1@{port}
  server-count: 1
  username: ""
  chroot: ""
  zonesdir: "{place}"
  zonelistfile: "{place}/zone.list"
  xfrdfile: "{place}/xfrd.state"
  pidfile: "{place}/nsd.pid"
  rrl-ratelimit: 0
  round-robin: no
remote-control:
  control-enable: no
"""
_ZONE = """
zone:
  name: "{name}"
  zonefile: "{file}"
"""


@contextlib.contextmanager
def nsd(zones: Mapping[str, str], place: Path) -> Iterator[int]:
    """Serve master files, given as text by the name of their zone, until the block ends; the port."""
    program = need("nsd", "nsd")
    port = free_port()
    configuration = _CONFIGURATION.format(port=port, place=place)
    for number, (name, text) in enumerate(zones.items()):
        (place / f"{number}.zone").write_text(text, encoding="utf-8")
        configuration += _ZONE.format(name=name, file=f"{number}.zone")
    (place / "nsd.conf").write_text(configuration)
    with running([program, "-d", "-c", place / "nsd.conf"], place / "nsd.log"):
        wait_for_tcp(port)
        yield port


def sync_configuration(port: int, **options: Any) -> dns.resolver.Resolver:
    """A dnspython resolver that asks a server on loopback."""
    return _configure(dns.resolver.Resolver(configure=False), port, options)


def async_configuration(port: int, **options: Any) -> dns.asyncresolver.Resolver:
    """The same for asynchronous callers."""
    return _configure(dns.asyncresolver.Resolver(configure=False), port, options)


def _configure(resolver: Any, port: int, options: Mapping[str, Any]) -> Any:
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    for name, value in options.items():
        setattr(resolver, name, value)
    return resolver
