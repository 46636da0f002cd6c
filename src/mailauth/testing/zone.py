"""`Zone`: the domains of a test and what they publish, in a few lines; as a resolver, and as a server on loopback."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Literal

from mailauth.dkim import SigningKey, generate_key, record_name, record_text
from mailauth.mail.names import parse_ip, reverse_labels, reverse_name
from mailauth.plan import IPAddress
from mailauth.resolvers import ZoneResolver
from mailauth.resolvers.replay import Failure
from mailauth.testing.assertions import assert_authenticated
from mailauth.testing.clock import START
from mailauth.testing.dnsserver import DnsServer, Fault
from mailauth.testing.messages import sign_message
from mailauth.transaction.report import Report

_key = cache(generate_key)


def signing_key(
    domain: str = "example.org", selector: str = "test", kind: Literal["rsa", "ed25519"] = "ed25519"
) -> SigningKey:
    """A key for tests under that name: one of each kind is made for the whole process."""
    return SigningKey(domain, selector, _key(kind))


class Zone:
    """The whole DNS of a test. Everything that is added holds from the next question on.

    `records` maps ``(name, type)`` to records, and `failures` to ways of failing, as `ZoneResolver` takes them; both
    may be changed directly. It is a resolver itself: ``check_spf(..., resolver=zone)``.
    """

    def __init__(self, records: Mapping[tuple[str, str], Iterable[str | bytes]] | None = None) -> None:
        self.records: dict[tuple[str, str], list[str | bytes]] = {key: list(of) for key, of in (records or {}).items()}
        self.failures: dict[tuple[str, str], Failure] = {}
        self._made: tuple[Any, ZoneResolver] | None = None

    # --- what is published -----------------------------------------------------------------------------------

    def domain(
        self,
        name: str,
        *,
        spf: str | None = None,
        dmarc: str | None = None,
        mx: Iterable[str] = (),
        dkim: Iterable[SigningKey] | bool = True,
    ) -> Zone:
        """Publish a domain: its SPF and DMARC records, mail servers, and DKIM keys.

        `dkim`: True publishes the test key (`signing_key(name)`) by which `sign` signs for it.
        """
        if spf is not None:
            self.add(name, "TXT", spf)
        if dmarc is not None:
            self.add(f"_dmarc.{name}", "TXT", dmarc)
        for preference, host in enumerate(mx):
            self.add(name, "MX", f"{preference} {host}")
        keys = [signing_key(name)] if dkim is True else [] if dkim is False else list(dkim)
        for key in keys:
            self.key(key)
        return self

    def key(self, key: SigningKey, *, flags: str = "") -> Zone:
        """Publish a DKIM key; `flags` is t= of the record."""
        return self.add(record_name(key.domain, key.selector), "TXT", record_text(key.key, flags=flags))

    def host(self, name: str, *addresses: str) -> Zone:
        """Publish a host: its addresses, and that they bear its name (PTR)."""
        for address in map(parse_ip, addresses):
            self.add(name, "A" if address.version == 4 else "AAAA", str(address))
            self.add(reverse_name(address), "PTR", name)
        return self

    def listed(self, subject: str, zone: str, code: str = "127.0.0.2", text: str | None = None) -> Zone:
        """Put an address or a domain on a block list (RFC 5782)."""
        try:
            name = f"{reverse_labels(parse_ip(subject))}.{zone}"
        except ValueError:
            name = f"{subject}.{zone}"
        self.add(name, "A", code)
        return self if text is None else self.add(name, "TXT", text)

    def add(self, name: str, rtype: str, *records: str | bytes) -> Zone:
        """Add records, as a master file writes them (text without quotes)."""
        self.records.setdefault((name, rtype), []).extend(records)
        return self

    def fail(self, name: str, how: Failure = "timeout", rtype: str = "*") -> Zone:
        """Let questions about a name fail: "timeout", "servfail" or "refused"; ``*.name`` for all names below."""
        self.failures[name, rtype] = how
        return self

    # --- as a resolver and a server --------------------------------------------------------------------------

    @property
    def resolver(self) -> ZoneResolver:
        """What is published, as a resolver for sync and async callers. Raises `ZoneError` for a record that is none."""
        state = ({key: tuple(of) for key, of in self.records.items()}, dict(self.failures))
        if self._made is None or self._made[0] != state:
            self._made = state, ZoneResolver(self.records, failures=self.failures)
        return self._made[1]

    def lookup(self, question: Any, time_limit: float | None = None) -> Any:
        """Answer a question, as a synchronous driver asks."""
        return self.resolver.lookup(question, time_limit)

    async def lookup_async(self, question: Any) -> Any:
        """The same, as an asynchronous driver asks."""
        return await self.resolver.lookup_async(question)

    def serve(
        self, faults: Mapping[str, Fault] | None = None, *, address: str = "127.0.0.1", port: int = 0
    ) -> DnsServer:
        """A DNS server on loopback with what is published now, to be used in ``with``; see `DnsServer`."""
        return DnsServer(self.resolver, faults, address, port)

    # --- messages --------------------------------------------------------------------------------------------

    def sign(self, message: bytes, *domains: str, now: float = START) -> bytes:
        """The message, signed by the test key of each domain; without any, by that of example.org."""
        return sign_message(message, *(signing_key(domain) for domain in domains or ("example.org",)), now=now)

    def assert_authenticated(self, message: bytes, *, ip: str | IPAddress, **expected: Any) -> Report:
        """`mailauth.testing.assert_authenticated` with this zone as the DNS."""
        return assert_authenticated(message, ip=ip, resolver=self, **expected)
