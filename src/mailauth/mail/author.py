"""`Author`: the domain of the one address in From, if From can be read one way only.

What the header says of the author, or why it cannot be said. Nothing is judged.
"""

# SECURITY: From is the peer's, and programs read odd ones differently: what one shows to its user as the author is not
# what another checked. So either there is exactly one reading, or none is offered.

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailauth.mail.addresses import address_domains
from mailauth.mail.header import Header


class AuthorReason(StrEnum):
    """Stable codes."""

    ONE_ADDRESS = "one-address"
    NO_FROM = "no-from"
    SEVERAL_FROM = "several-from"  # RFC 5322 section 3.6: exactly one
    NO_ADDRESS = "no-address"
    SEVERAL_ADDRESSES = "several-addresses"  # RFC 5322 section 3.6.2 allows it, with a Sender
    UNREADABLE = "unreadable"
    HEADER_TOO_LARGE = "header-too-large"


_WORDS = {
    AuthorReason.ONE_ADDRESS: "From holds one address",
    AuthorReason.NO_FROM: "the message has no From field",
    AuthorReason.SEVERAL_FROM: "the message has more than one From field",
    AuthorReason.NO_ADDRESS: "From holds no address",
    AuthorReason.SEVERAL_ADDRESSES: "From holds more than one address",
    AuthorReason.UNREADABLE: "From cannot be read one way only",
    AuthorReason.HEADER_TOO_LARGE: "the header is over the bound and was not read to its end",
}


@dataclass(frozen=True, slots=True)
class Author:
    """The domain of the author as A-labels, only where there is no doubt about it; `reason` says why not."""

    reason: AuthorReason
    domain: str | None = None

    @property
    def detail(self) -> str:
        """The reason in words."""
        return _WORDS[self.reason]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {"domain": self.domain, "reason": self.reason.value, "detail": self.detail}


def read_author(header: Header) -> Author:
    """The author that the header names."""
    from_fields = header.from_fields
    if header.broken_off is not None:
        return Author(AuthorReason.HEADER_TOO_LARGE)
    if len(from_fields) != 1:
        return Author(AuthorReason.SEVERAL_FROM if from_fields else AuthorReason.NO_FROM)
    domains = address_domains(from_fields[0].value)
    if domains is None:
        return Author(AuthorReason.UNREADABLE)
    if len(domains) != 1:
        return Author(AuthorReason.SEVERAL_ADDRESSES if domains else AuthorReason.NO_ADDRESS)
    return Author(AuthorReason.ONE_ADDRESS, domains[0])
