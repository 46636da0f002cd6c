# What belongs here: which keys sign a message of our own clients. Signing itself is mailauth.dkim's.
"""`OutboundSigner`: the signing table of a configuration at work."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mailauth import domain
from mailauth.config.schema import SigningConfig
from mailauth.dkim import MessageSigner, SigningError, SigningKey
from mailauth.message import address_domains, split

_log = logging.getLogger("mailauth.aiosmtpd")


@dataclass(frozen=True)
class _Entry:
    senders: frozenset[str]
    key: SigningKey

    def fits(self, author: str) -> bool:
        """A pattern with a dot before it stands for everything below the name."""
        return author in self.senders or any("." + parent in self.senders for parent in _parents(author))


def _parents(name: str) -> Iterable[str]:
    while "." in name:
        name = name.partition(".")[2]
        yield name


class OutboundSigner:
    """Signs mail by the domain of its author, with every key whose entry fits.

    Made from the ``[[signing]]`` tables. Raises `ValueError` or `OSError` for a key that cannot be used.
    """

    def __init__(self, table: Sequence[SigningConfig]) -> None:
        self._entries = [_entry(config) for config in table]

    def keys_for(self, message: bytes) -> list[SigningKey]:
        """The keys that sign this message: those of its author's domain (RFC 5322 section 3.6.2)."""
        author = _author_domain(message)
        return [entry.key for entry in self._entries if author is not None and entry.fits(author)]

    async def __call__(self, message: bytes, now: float) -> bytes:
        """The DKIM-Signature fields; none where no key fits, or where the message cannot be signed (it is logged)."""
        keys = self.keys_for(message)
        if not keys:
            return b""
        signer = MessageSigner(keys, now=now)
        try:
            await asyncio.to_thread(signer.feed, message)
            return await signer.finish_async()
        except SigningError as error:
            _log.warning("not signed: %s", error)
            return b""


def _entry(config: SigningConfig) -> _Entry:
    key = SigningKey(config.domain, config.selector, config.key.read_bytes())
    senders = config.senders or (config.domain,)
    return _Entry(frozenset(_normal(sender) for sender in senders), key)


def _normal(pattern: str) -> str:
    dot = "." if pattern.startswith(".") else ""
    return dot + (domain.to_ascii(pattern.removeprefix(".")) or "")


def _author_domain(message: bytes) -> str | None:
    """The domain of the only author; None where From names several, or cannot be read one way only."""
    fields = split(message).header.from_fields
    domains = address_domains(fields[0].value) if len(fields) == 1 else None
    return domains[0] if domains and len(set(domains)) == 1 else None
