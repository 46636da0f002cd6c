"""Domain names and mailbox addresses: A-labels, host-name syntax, splitting, reversing.

What every protocol needs to know of domain names and mail addresses. Text in, text out; no DNS, no Public Suffix
List, and of packages only `idna`, for names that are not ASCII.
"""

# SECURITY: names and addresses come from the peer (HELO, MAIL FROM, header fields, DNS answers). Each function is
# linear in its input, refuses input over the DNS's own limits before doing work, and never raises for bad input.

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from mailauth.plan.dns import MAX_LABEL_OCTETS, MAX_NAME_OCTETS, IPAddress

MAX_ADDRESS_CHARACTERS = 1024
"""RFC 5321 section 4.5.3.1: 64 octets of local part, "@", 255 of domain. Anything longer than this many characters
is no address, whatever is in it; the bound keeps later steps cheap."""

MAX_IP_CHARACTERS = 64
"""The longest text of an IPv6 address has 45 characters (INET6_ADDRSTRLEN), a zone with its "%" 16 (IF_NAMESIZE). What
was parsed is cached, so a peer must not choose how much that is."""

# RFC 1123 section 2.1 (letters, digits, hyphens inside); underscores are tolerated as mail systems do.
_HOST_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z", re.ASCII | re.IGNORECASE)


def to_ascii(domain: str) -> str | None:
    """The domain as the DNS knows it: A-labels, lower case, no final dot; None where it has no such form.

    U-labels become A-labels by IDNA2008 (RFC 5891 section 5); RFC 8616 section 4 asks for it before any lookup.
    ASCII names pass through without a check of their characters: `is_hostname` judges those. None is returned
    for an empty name or label, for a name over 253 or a label over 63 octets, and for labels that IDNA forbids.
    """
    if len(domain) > MAX_NAME_OCTETS + 1:
        return None
    return _to_ascii(domain)


@lru_cache(maxsize=4096)
def _to_ascii(domain: str) -> str | None:
    if domain.isascii():
        name = domain.lower().removesuffix(".")
    else:
        # RFC 5895 section 2: the ideographic full stops separate labels, too.
        labels = [_label_to_ascii(label) for label in re.split("[.\u3002\uff0e\uff61]", domain)]
        if labels and labels[-1] == "":
            labels.pop()
        if None in labels:
            return None
        name = ".".join(label for label in labels if label is not None)
    return name if _fits_dns(name) else None


def _label_to_ascii(label: str) -> str | None:
    """The A-label of one label (ASCII labels in lower case); None where IDNA2008 has none."""
    if label.isascii():
        return label.lower()
    import idna  # 11 ms, and few names need it

    # RFC 5895 section 2 (the mapping that users' software does): case, width, and normal form C.
    mapped = unicodedata.normalize("NFC", "".join(map(_one_width, label)).lower())
    if mapped.isascii():
        return mapped
    try:
        return idna.alabel(mapped).decode("ascii")
    except UnicodeError:
        return None


def _one_width(char: str) -> str:
    wide = unicodedata.decomposition(char).startswith(("<wide>", "<narrow>"))
    return unicodedata.normalize("NFKC", char) if wide else char


def _fits_dns(name: str) -> bool:
    return 0 < len(name) <= MAX_NAME_OCTETS and all(0 < len(label) <= MAX_LABEL_OCTETS for label in name.split("."))


def is_hostname(name: str) -> bool:
    """Whether `name` has the syntax of a host name (RFC 1123 section 2.1; underscores tolerated), ASCII only.

    One label is enough, a final dot is not allowed, and an IPv4 address is not a host name.
    """
    if not 0 < len(name) <= MAX_NAME_OCTETS:
        return False
    labels = name.split(".")
    # RFC 3696 section 2: an all-numeric top-level label would make the name look like an address.
    return all(map(_HOST_LABEL.match, labels)) and not labels[-1].isdigit()


def is_fqdn(name: str) -> bool:
    """Whether `name` is a host name of two labels or more."""
    return "." in name and is_hostname(name)


def is_within(name: str, domain: str) -> bool:
    """Whether `name` is `domain` or below it, compared by labels; both as A-labels."""
    name, domain = name.lower().removesuffix("."), domain.lower().removesuffix(".")
    return name == domain or (bool(domain) and name.endswith("." + domain))


class Mailbox(NamedTuple):
    """An envelope address, split at its last ``@`` outside a quoted string."""

    local_part: str  # as written, quotes included
    domain: str  # of `split_address` as given, of `addresses` as A-labels

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}"


def split_address(address: str) -> Mailbox | None:
    """Split a MAIL FROM or RCPT TO address into local part and domain; None if it has no domain or no sense.

    Angle brackets around it and a source route (RFC 5321 section 4.1.1.3: ignored) are taken off. A quoted local
    part keeps its quotes, and is as it came, control characters included: whose mail it claims to be does not depend
    on it, and `printable` makes it fit to be shown. The domain is as given: pass it to `to_ascii`. The null sender has
    no domain: None.
    """
    if len(address) > MAX_ADDRESS_CHARACTERS:
        return None
    if address.startswith("<") and address.endswith(">"):
        address = address[1:-1]
    if address.startswith("@") and ":" in address:
        address = address.split(":", 1)[1]
    local_part, at, domain = address.rpartition("@")
    if not at or not domain or not local_part:
        return None
    if _CONTROL.search(domain):
        return None
    return Mailbox(local_part, domain)


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def parse_ip(address: str | IPAddress) -> IPAddress:
    """The caller's client address as a value; an IPv4-mapped IPv6 address becomes the IPv4 address it stands for.

    An IPv6 zone (``%eth0``) is dropped. Raises `ValueError` for anything that is not an address, `TypeError` for
    another type.
    """
    if isinstance(address, str):
        if len(address) > MAX_IP_CHARACTERS:
            raise _no_address(address)
        return _parse_ip(address)
    if isinstance(address, IPv4Address | IPv6Address):
        return _unmapped(address)
    raise TypeError(f"a client address is a string or an ipaddress value, not {type(address).__name__}")


@lru_cache(maxsize=4096)
def _parse_ip(address: str) -> IPAddress:
    try:
        return _unmapped(ip_address(address))
    except ValueError:
        raise _no_address(address) from None


def _no_address(text: str) -> ValueError:
    return ValueError(f"not an IPv4 or IPv6 address: {text[:60]!r}")


def _unmapped(ip: IPAddress) -> IPAddress:
    # RFC 7208 section 5: an IPv4-mapped address is treated as IPv4.
    if isinstance(ip, IPv6Address):
        return ip.ipv4_mapped or (IPv6Address(int(ip)) if ip.scope_id else ip)
    return ip


def reverse_labels(ip: IPAddress) -> str:
    """The address as reversed labels: octets for IPv4, nibbles for IPv6 (RFC 5782 sections 2.1 and 2.4)."""
    if isinstance(ip, IPv4Address):
        return ".".join(reversed(str(ip).split(".")))
    # From the integer: how `ipaddress` writes a mapped address differs between versions of Python.
    return ".".join(reversed(f"{int(ip):032x}"))


def reverse_name(ip: IPAddress) -> str:
    """The name whose PTR record names the address (RFC 1035 section 3.5, RFC 3596 section 2.5)."""
    return reverse_labels(ip) + (".in-addr.arpa" if isinstance(ip, IPv4Address) else ".ip6.arpa")
