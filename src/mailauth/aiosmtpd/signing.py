"""`OutboundSigner`: the signing table at work.

Which message is signed for whom. The table and the signing itself are mailauth.dkim's.
"""

# SECURITY: the message is a client's of ours, and may hold anything. Its author is read one way only, or it goes
# unsigned.

from __future__ import annotations

import asyncio
import logging

from mailauth.dkim import MessageSigner, SigningError, SigningTable
from mailauth.mail.author import author_address
from mailauth.mail.header import split

_log = logging.getLogger("mailauth.aiosmtpd")


class OutboundSigner:
    """Signs mail by its author, with every key that the table has for the address (`mailauth.dkim.SigningTable`)."""

    def __init__(self, table: SigningTable) -> None:
        self.table = table

    async def __call__(self, message: bytes, now: float) -> bytes:
        """The DKIM-Signature fields; none where no key fits, or where the message cannot be signed (it is logged)."""
        author = author_address(split(message).header)
        keys = self.table.keys_for(author) if author is not None else ()
        if not keys:
            return b""
        signer = MessageSigner(keys, now=now)
        try:
            await asyncio.to_thread(signer.feed, message)
            return await signer.finish_async()
        except SigningError as error:
            _log.warning("not signed: %s", error)
            return b""
