# What belongs here: dnspython resolvers for name servers that a configuration names, in place of the system's.
"""Resolvers that ask given name servers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import dns.asyncresolver
import dns.resolver

from mailauth.resolvers.dnspython import DnspythonResolver
from mailauth.resolvers.dnspython_async import EDNS_PAYLOAD, AsyncDnspythonResolver

R = TypeVar("R", bound=dns.resolver.BaseResolver)


def asking(nameservers: Sequence[str], port: int = 53) -> DnspythonResolver:
    """A resolver for synchronous callers that asks these addresses, and does not look at the system's settings."""
    return DnspythonResolver(_configured(dns.resolver.Resolver, nameservers, port))


def asking_async(nameservers: Sequence[str], port: int = 53) -> AsyncDnspythonResolver:
    """The same for asynchronous callers."""
    return AsyncDnspythonResolver(_configured(dns.asyncresolver.Resolver, nameservers, port))


def _configured(kind: type[R], nameservers: Sequence[str], port: int) -> R:
    resolver = kind(configure=False)
    resolver.port = port
    resolver.nameservers = list(nameservers)
    resolver.use_edns(0, 0, EDNS_PAYLOAD)
    return resolver
