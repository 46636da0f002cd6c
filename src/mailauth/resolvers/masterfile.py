# What belongs here: an RFC 1035 master file, parsed by dnspython, as plain values. Imported only when needed.
"""Reads master files for `ZoneResolver`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.zonefile

from mailauth.resolvers.wire import name_text, record_value
from mailauth.resolvers.zone import DEFAULT_TTL, ZoneError


class _Collector:
    """What dnspython's reader takes for a transaction.

    Its own transactions are made for one zone (no SOA below the origin); here one file may hold several zones.
    """

    def __init__(self, origin: dns.name.Name, add: Callable[[str, str, Any, int], None]) -> None:
        self.manager = self
        self._origin = origin
        self._add = add

    def origin_information(self) -> tuple[dns.name.Name, bool, dns.name.Name]:
        return self._origin, False, self._origin

    def check_put_rdataset(self, check: object) -> None:
        """dnspython's check of CNAME and other data walks a node; `add` makes it here."""

    def _set_origin(self, origin: dns.name.Name) -> None:
        """A zone would remember it; here every name is made absolute as it is read."""

    def add_unicode(self, codec: str) -> None:
        """``$UNICODE`` (a dnspython directive) needs nothing here."""

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        rtype = dns.rdatatype.to_text(rdata.rdtype)
        value = _value(rtype, rdata)
        if value is not None:
            self._add(name_text(name), rtype, value, ttl)


def read_master_file(text: str, filename: str, origin: str, add: Callable[[str, str, Any, int], None]) -> None:
    """Call `add` with name, type, value and TTL of each record. Raises `ZoneError`, whose text names the line.

    ``$INCLUDE`` is not followed: a zone given as text must not read other files.
    """
    collector: Any = _Collector(dns.name.from_text(origin), add)
    tokens = dns.tokenizer.Tokenizer(text, filename)
    reader = dns.zonefile.Reader(tokens, dns.rdataclass.IN, collector, allow_include=False, default_ttl=DEFAULT_TTL)
    try:
        reader.read()
    except ZoneError as error:
        # The reader has read the record's end of line by now.
        file, line = tokens.where()
        raise ZoneError(f"{file}:{line - 1}: {error}") from None
    except (dns.exception.DNSException, ValueError) as error:
        raise ZoneError(str(error)) from None


def _value(rtype: str, rdata: Any) -> Any:
    match rtype:
        case "SOA":
            return int(rdata.minimum)
        case "CNAME":
            return name_text(rdata.target)
        case _:
            return record_value(rtype, rdata)
