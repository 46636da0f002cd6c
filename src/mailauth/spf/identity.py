"""The MAIL FROM and the HELO identity (RFC 7208 sections 2.3, 2.4 and 4.3).

From the words of the SMTP session to the identity that check_host() is given.
"""

# SECURITY: HELO and MAIL FROM are the client's. Whatever they hold, the outcome is a domain that can be asked in
# the DNS, or none; the local part goes on as it is, and is looked at again wherever it is put into a name or a text.

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address

from mailauth.mail.names import MAX_ADDRESS_CHARACTERS, is_fqdn, parse_ip, to_ascii
from mailauth.plan.dns import MAX_NAME_OCTETS, IPAddress, Question, RecordType
from mailauth.spf.compile import IP6_OFFSET

POSTMASTER = "postmaster"
UNKNOWN = "unknown"


class Client:
    """The <ip> of check_host(), in the forms that an evaluation needs."""

    __slots__ = ("address", "address_type", "dotted", "dotted_reversed", "ip", "is_ip4", "number")

    def __init__(self, ip: IPAddress) -> None:
        self.ip = ip
        self.is_ip4 = isinstance(ip, IPv4Address)
        self.address = int(ip)
        self.number = self.address if self.is_ip4 else self.address + IP6_OFFSET
        """Where it stands among the networks of a record."""
        # RFC 7208 section 5: A for an IPv4 client, AAAA for an IPv6 client.
        self.address_type: RecordType = "A" if self.is_ip4 else "AAAA"
        # RFC 7208 section 7.3: a dot-format address, for %{i}.
        self.dotted = str(ip) if self.is_ip4 else ".".join(f"{self.address:032x}")
        self.dotted_reversed = ".".join(reversed(self.dotted.split(".")))


MAX_CACHED = 4096


@lru_cache(maxsize=MAX_CACHED)
def client_of(ip: str | IPAddress) -> Client:
    """The client at an address; raises `ValueError` or `TypeError` for anything that is not an address."""
    return Client(parse_ip(ip))


def split_sender(mail_from: str, helo: str) -> tuple[str, str]:
    """The local part and the domain of the <sender>: MAIL FROM, or the HELO name if that is empty.

    A null reverse-path is postmaster at the HELO name (RFC 7208 section 2.4), and so is the HELO identity.
    """
    local_part, at, domain = mail_from.rpartition("@")
    if not at or mail_from[0] in "<@" or len(mail_from) > MAX_ADDRESS_CHARACTERS:
        return _split_rarer(mail_from, helo)
    return local_part, domain


def _split_rarer(mail_from: str, helo: str) -> tuple[str, str]:
    mailbox = _unwrapped(mail_from)
    if not mailbox:
        return POSTMASTER, helo[:MAX_ADDRESS_CHARACTERS]
    if len(mailbox) > MAX_ADDRESS_CHARACTERS:
        return POSTMASTER, ""
    local_part, _, domain = mailbox.rpartition("@")
    # RFC 7208 section 4.3: "If the <sender> has no local-part, substitute the string "postmaster"".
    return local_part or POSTMASTER, domain


def _unwrapped(mailbox: str) -> str:
    if mailbox[:1] == "<" and mailbox[-1:] == ">":
        mailbox = mailbox[1:-1]
    # RFC 5321 section 4.1.1.3: a source route is ignored.
    return mailbox.partition(":")[2] if mailbox[:1] == "@" and ":" in mailbox else mailbox


def record_question(domain: str) -> Question | None:
    """The question for the record of a domain, as A-labels; None for what is not a multi-label domain name.

    RFC 7208 section 4.3: malformed and single-label names give "none"; so do address literals, which section 2.3
    expects, and names that are no host names. RFC 8616 section 4: U-labels become A-labels.
    """
    return _cached_question(domain) if len(domain) <= MAX_NAME_OCTETS + 1 else _question(domain)


def _question(domain: str) -> Question | None:
    name = to_ascii(domain)
    return Question(name, "TXT") if name is not None and is_fqdn(name) else None


_cached_question = lru_cache(maxsize=MAX_CACHED)(_question)
