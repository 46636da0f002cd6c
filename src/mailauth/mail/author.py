"""`Author`: the one domain that From names as the author's, if From can be read one way only (RFC 9989 section 5.3.1).

What the header says of the author, or why it cannot be said. Nothing is judged.
"""

# SECURITY: From is the peer's, and programs read odd ones differently: what one shows to its user as the author is not
# what another checked. So either there is exactly one reading, or none is offered.

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mailauth.mail.addresses import addresses, has_group
from mailauth.mail.header import Header
from mailauth.mail.names import is_fqdn, split_address


class AuthorReason(StrEnum):
    """Why there is a domain of the author, or none: stable codes."""

    ONE_ADDRESS = "one-address"  # the usual case
    ONE_DOMAIN = "one-domain"  # several addresses, all of one domain: RFC 9989 section 5.3.1 counts domains
    NO_FROM = "no-from"  # RFC 5322 section 3.6: exactly one
    SEVERAL_FROM = "several-from"  # RFC 5322 section 3.6: exactly one
    NO_ADDRESS = "no-address"  # the field is empty, or has comments only
    SEVERAL_DOMAINS = "several-domains"  # RFC 5322 section 3.6.2 allows it, with a Sender
    GROUP = "group"  # RFC 6854 allows it; it has no domain, or one among others
    NO_DOMAIN = "no-domain"  # an address literal, an IP address, a single label: nothing that DNS could speak for
    UNREADABLE = "unreadable"  # not one reading only: no address, an open quote, two "@", controls, a bad domain
    HEADER_TOO_LARGE = "header-too-large"  # over the bound of octets or fields: another From may follow


_WORDS = {
    AuthorReason.ONE_ADDRESS: "From holds one address",
    AuthorReason.ONE_DOMAIN: "From holds several addresses of one domain",
    AuthorReason.NO_FROM: "the message has no From field",
    AuthorReason.SEVERAL_FROM: "the message has more than one From field",
    AuthorReason.NO_ADDRESS: "From holds no address",
    AuthorReason.SEVERAL_DOMAINS: "From holds addresses of more than one domain",
    AuthorReason.GROUP: "From holds a group",
    AuthorReason.NO_DOMAIN: "the address in From has no domain name",
    AuthorReason.UNREADABLE: "From cannot be read one way only",
    AuthorReason.HEADER_TOO_LARGE: "the header is over the bound and was not read to its end",
}


@dataclass(frozen=True, slots=True)
class Author:
    """The domain of the author as A-labels, only where there is no doubt about it; `reason` says why not.

    `address` is the whole address, its domain as A-labels, where From holds exactly one whose local part is UTF-8.
    """

    reason: AuthorReason
    domain: str | None = None
    address: str | None = None

    @property
    def detail(self) -> str:
        """The reason in words."""
        return _WORDS[self.reason]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values."""
        return {
            "domain": self.domain,
            "address": self.address,
            "reason": self.reason.value,
            "detail": self.detail,
        }


def read_author(header: Header) -> Author:
    """The author that the header names."""
    from_fields = header.from_fields
    if header.broken_off is not None:
        return Author(AuthorReason.HEADER_TOO_LARGE)
    if len(from_fields) != 1:
        return Author(AuthorReason.SEVERAL_FROM if from_fields else AuthorReason.NO_FROM)
    value = from_fields[0].value
    authors = addresses(value)
    if authors is None:
        return Author(AuthorReason.UNREADABLE)
    if has_group(value):
        return Author(AuthorReason.GROUP)
    if not authors:
        return Author(AuthorReason.NO_ADDRESS)
    domain = authors[0].domain
    if any(each.domain != domain for each in authors):
        return Author(AuthorReason.SEVERAL_DOMAINS)
    if not is_fqdn(domain):
        return Author(AuthorReason.NO_DOMAIN)
    if len(authors) > 1:
        return Author(AuthorReason.ONE_DOMAIN, domain)
    sound = "\N{REPLACEMENT CHARACTER}" not in authors[0].local_part
    return Author(AuthorReason.ONE_ADDRESS, domain, str(authors[0]) if sound else None)


def author_address(header: Header) -> str | None:
    """The address of the author (RFC 5322 section 3.6.2), or its domain; None where From can be read in two ways."""
    fields = header.from_fields
    authors = addresses(fields[0].value) if len(fields) == 1 else None
    if authors is None or len(authors) != 1:
        return None
    if "\N{REPLACEMENT CHARACTER}" in authors[0].local_part:
        return None  # not UTF-8
    # What is far too long for an address has no key of its own.
    mailbox = split_address(str(authors[0]))
    return str(mailbox) if mailbox is not None else authors[0].domain
