"""Reads master files for `ZoneResolver`.

An RFC 1035 master file, parsed by dnspython, as plain values. Imported only when needed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tokenizer
import dns.zonefile

from mailauth.resolvers.errors import DEFAULT_TTL, ZoneError
from mailauth.resolvers.wire import askable_text, record_value


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
        """A zone would keep it; here every name is made absolute as it is read."""

    def add_unicode(self, codec: str) -> None:
        """``$UNICODE`` (a dnspython directive) needs nothing here."""

    def add(self, name: dns.name.Name, ttl: int, rdata: dns.rdata.Rdata) -> None:
        rtype = dns.rdatatype.to_text(rdata.rdtype)
        # RFC 4034 sections 3 and 4: these stand beside a CNAME, and prove no other existence than it does.
        if rtype not in ("RRSIG", "NSEC"):
            self._add(askable_text(name), rtype, _value(rtype, rdata), ttl)


class _Tokens(dns.tokenizer.Tokenizer):
    """dnspython's tokenizer, which notices on which line each record begins.

    dnspython's own errors name the line after some mistakes, and that of others.
    """

    def __init__(self, text: str, filename: str) -> None:
        super().__init__(text, filename)
        self.record_line = 1

    def get(self, want_leading: bool = False, want_comment: bool = False) -> dns.tokenizer.Token:
        # Only at the beginning of a record does the reader ask for the blanks in front. The number is taken before
        # the token is read, since reading a word at the end of its line counts the next one already.
        if want_leading and self.ungotten_token is None:
            self.record_line = self.line_number
        return super().get(want_leading, want_comment)


def read_master_file(text: str, filename: str, origin: str, add: Callable[[str, str, Any, int], None]) -> None:
    """Call `add` with name, type, value and TTL of each record.

    ``$INCLUDE`` is not followed: a zone given as text must not read other files. Raises `ZoneError`, which names
    the file and the line on which the record begins.
    """
    collector: Any = _Collector(dns.name.from_text(origin), add)
    tokens = _Tokens(text, filename)
    reader = dns.zonefile.Reader(tokens, dns.rdataclass.IN, collector, allow_include=False, default_ttl=DEFAULT_TTL)
    try:
        reader.read()
    except ZoneError as error:
        raise ZoneError(f"{filename}:{tokens.record_line}: {error}") from None
    except (dns.exception.DNSException, ValueError) as error:
        raise ZoneError(_located(error, text, filename, tokens.record_line)) from None


def _located(error: Exception, text: str, filename: str, line: int) -> str:
    reason = re.sub(rf"^{re.escape(filename)}:\d+: ", "", str(error)) or type(error).__name__
    lines = text.split("\n", line)
    record = lines[line - 1].strip() if line <= len(lines) else ""
    return f"{filename}:{line}: {reason.rstrip('.')[:_MAX_REASON]}: {record[:_SHOWN]!r}"


_SHOWN = 80
_MAX_REASON = 200  # Some of dnspython's errors quote whatever they were given.


def _value(rtype: str, rdata: Any) -> Any:
    match rtype:
        case "SOA":
            return int(rdata.minimum)
        case "CNAME":
            return askable_text(rdata.target)
        case _:
            # Types that nobody asks for make their names exist (RFC 8020), no more.
            return record_value(rtype, rdata)
