# What belongs here: dnspython's records as the plan layer's values, for every resolver that uses dnspython.
"""From dnspython's types to `Answer`."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Any

import dns.name

from mailauth.plan.dns import Exchange


def name_text(name: dns.name.Name) -> str:
    """The name in lower case without the final dot; octets that are no printable ASCII stand as ``\\DDD``."""
    # dnspython escapes what a master file must escape, dots inside labels among them.
    return name.to_text(omit_final_dot=True).lower() if len(name.labels) > 1 or name.labels[0] else ""


def record_value(rtype: str, rdata: Any) -> Any:
    """The value of an A, AAAA, MX, PTR or TXT record; None for any other type."""
    match rtype:
        case "A":
            return IPv4Address(rdata.address)
        case "AAAA":
            return IPv6Address(rdata.address)
        case "MX":
            return Exchange(rdata.preference, name_text(rdata.exchange))
        case "PTR":
            return name_text(rdata.target)
        case "TXT":
            return b"".join(rdata.strings)
    return None
