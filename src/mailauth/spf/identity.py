# What belongs here: from the words of the SMTP session to the identity that check_host() is given.
#
# SECURITY: HELO and MAIL FROM are the client's. Whatever they hold, the outcome is a domain that can be asked in
# the DNS, or none; the local part goes on as it is, and is looked at again wherever it is put into a name or a text.
"""The MAIL FROM and the HELO identity (RFC 7208 sections 2.3, 2.4 and 4.3)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from mailauth.domain import MAX_ADDRESS_CHARACTERS, is_fqdn, to_ascii

POSTMASTER = "postmaster"
UNKNOWN = "unknown"


class Sender(NamedTuple):
    """The <sender> and the <domain> of check_host()."""

    local_part: str
    domain: str
    """As A-labels, lower case; empty if there is none that can be checked."""
    given: str
    """The domain part as it was given."""


def mail_from_sender(mail_from: str | None, helo: str | None) -> Sender:
    """The MAIL FROM identity. A null reverse-path is postmaster at the HELO name (RFC 7208 section 2.4)."""
    mailbox = mail_from or ""
    if mailbox[:1] == "<" and mailbox[-1:] == ">":
        mailbox = mailbox[1:-1]
    if not mailbox:
        return helo_sender(helo)
    if len(mailbox) > MAX_ADDRESS_CHARACTERS:
        return Sender(POSTMASTER, "", "")
    if mailbox[0] == "@" and ":" in mailbox:
        # RFC 5321 section 4.1.1.3: a source route is ignored.
        mailbox = mailbox.partition(":")[2]
    local_part, _, domain = mailbox.rpartition("@")
    # RFC 7208 section 4.3: "If the <sender> has no local-part, substitute the string "postmaster"".
    return Sender(local_part or POSTMASTER, checkable(domain), domain)


def helo_sender(helo: str | None) -> Sender:
    """The HELO identity: postmaster at the HELO name (RFC 7208 sections 2.3 and 4.3)."""
    name = helo or ""
    return Sender(POSTMASTER, checkable(name), name[:MAX_ADDRESS_CHARACTERS])


def checkable(domain: str) -> str:
    """The domain in the form that is asked in the DNS; empty for what is not a multi-label domain name.

    RFC 7208 section 4.3: malformed and single-label names give "none"; so do address literals, which section 2.3
    expects, and names that are no host names. RFC 8616 section 4: U-labels become A-labels.
    """
    return _checkable(domain) if len(domain) <= MAX_ADDRESS_CHARACTERS else ""


@lru_cache(maxsize=4096)
def _checkable(domain: str) -> str:
    name = to_ascii(domain)
    return name if name is not None and is_fqdn(name) else ""
