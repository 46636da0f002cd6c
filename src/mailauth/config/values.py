"""Values of the configuration file: addresses, domains, durations, URLs, words.

The types of single values of the file, and how each is read from what TOML gives. Tables and lists are the reader's.
A value that cannot be read is a ValueError whose words say what would do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, Union, get_args, get_origin
from urllib.parse import unquote, urlsplit

from mailauth.config.errors import propose
from mailauth.dkim.table import SENDERS_DOMAIN
from mailauth.mail import names
from mailauth.rbl import Rule
from mailauth.stores.urls import parse_url

Network: TypeAlias = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Checked:
    """Marks a type with the function that refuses other values, and with its name in the documentation."""

    check: Callable[[Any], object]
    words: str


def _check_hostname(text: str) -> None:
    name = names.to_ascii(text)
    if name is None or not names.is_fqdn(name):
        raise ValueError(f"{text!r} is no fully qualified host name, such as mx.example.net")


def _check_domain(text: str) -> None:
    name = names.to_ascii(text.removeprefix("."))
    if name is None or not names.is_hostname(name):
        raise ValueError(f"{text!r} is no domain; write example.net, or .example.net for everything below it")


_SELECTOR_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_SELECTOR = re.compile(rf"{_SELECTOR_LABEL}(?:\.{_SELECTOR_LABEL})*")


def _check_selector(text: str) -> None:
    # RFC 6376 section 3.1: sub-domain *( "." sub-domain )
    name = names.to_ascii(text)
    if name is None or not _SELECTOR.fullmatch(name):
        raise ValueError(f"{text!r} is no selector, such as 2026a")


def _check_signing_domain(text: str) -> None:
    if text != SENDERS_DOMAIN:
        _check_hostname(text)


def _check_address(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is no IP address") from None


def _check_port(number: int) -> None:
    if not 0 <= number <= 65535:
        raise ValueError(f"a port is between 0 (any that is free) and 65535, not {number}")


def _check_positive(number: float) -> None:
    if number <= 0:
        raise ValueError(f"expected more than 0, not {number:g}")


def _check_report_store(url: str) -> None:
    if parse_url(url).kind not in ("sqlite", "postgresql"):
        raise ValueError("DMARC results are kept in sqlite: or postgresql:")


def _check_not_negative(number: float) -> None:
    if number < 0:
        raise ValueError(f"expected 0 or more, not {number:g}")


class DeliveryUrl(NamedTuple):
    """Where messages are handed on: `scheme` is "smtp", "lmtp" or "maildir"; `path` a folder or a unix socket."""

    scheme: str
    host: str
    port: int
    path: str


_PORTS = {"smtp": 25, "lmtp": 24}


def parse_delivery_url(url: str) -> DeliveryUrl:
    """``smtp://host:port``, ``lmtp://host:port``, ``lmtp:///socket`` or ``maildir:/folder``. Raises `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "lmtp", "maildir"):
        raise ValueError(f"{url!r}: expected smtp://host:port, lmtp://host:port, lmtp:///socket or maildir:/folder")
    host, path = parts.hostname or "", unquote(parts.path)
    if parts.scheme == "maildir":
        if host or not path:
            raise ValueError(f"{url!r} names no folder; write maildir:/var/mail/all")
        return DeliveryUrl("maildir", "", 0, path)
    if bool(host) == bool(path.strip("/")) or (path.strip("/") and parts.scheme == "smtp"):
        raise ValueError(f"{url!r}: expected {parts.scheme}://host:port")
    return DeliveryUrl(parts.scheme, host, parts.port or _PORTS[parts.scheme], path if not host else "")


HostName = Annotated[str, Checked(_check_hostname, "host name")]
DomainName = Annotated[str, Checked(_check_domain, "domain")]
SelectorText = Annotated[str, Checked(_check_selector, "selector")]
SigningDomain = Annotated[str, Checked(_check_signing_domain, "domain")]
SenderText = Annotated[str, Checked(lambda text: None, "pattern of senders")]
AddressText = Annotated[str, Checked(_check_address, "IP address")]
Port = Annotated[int, Checked(_check_port, "port")]
Count = Annotated[int, Checked(_check_positive, "whole number, at least 1")]
CountOrNone = Annotated[int, Checked(_check_not_negative, "whole number")]
Seconds = Annotated[float, Checked(_check_positive, "duration")]
ReportStoreText = Annotated[str, Checked(_check_report_store, "store URL")]
StoreText = Annotated[str, Checked(parse_url, "store URL")]
DeliveryText = Annotated[str, Checked(parse_delivery_url, "delivery URL")]
RestrictionText = Annotated[str, Checked(lambda text: None, "restriction")]


def read_value(kind: Any, value: Any, folder: Path) -> Any:
    """`value` as `kind`; relative paths are taken from `folder`. Raises `ValueError`."""
    if get_origin(kind) is Annotated:
        bare, *marks = get_args(kind)
        read = read_value(bare, value, folder)
        for mark in marks:
            mark.check(read)
        return read
    if kind == Network:
        return _network(_of_type(str, value))
    if get_origin(kind) in (Union, UnionType):
        (kind,) = [member for member in get_args(kind) if member is not type(None)]
        return read_value(kind, value, folder)
    if kind is float:
        return _seconds(value)
    if kind is Rule:
        return Rule.parse(_of_type(str, value))
    if kind is Path:
        return folder / _of_type(str, value)
    return _of_type(kind, value)


def _of_type(kind: Any, value: Any) -> Any:
    if choices := _choices(kind):
        if not isinstance(value, str):
            raise ValueError(f"expected {type_words(kind)}, not {_toml(value)}")
        if value not in choices:
            raise ValueError(f"unknown word {value!r}{propose(value, choices)}")
        return choices[value]
    if type(value) is not kind:
        raise ValueError(f"expected {type_words(kind)}, not {_toml(value)}")
    return value


def _choices(kind: Any) -> dict[str, Any]:
    """The words of a Literal or of an Enum of strings, and what each stands for."""
    if get_origin(kind) is Literal:
        return {word: word for word in get_args(kind)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {str(member.value): member for member in kind}
    return {}


_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_DURATION = re.compile(r"([0-9]{1,10})[ ]?([smhdw])", re.ASCII)


def _seconds(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            if math.isfinite(value):
                return float(value)
        except OverflowError:
            raise ValueError("out of range: a number that large") from None
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(f'expected a number of seconds, or "90s", "5m", "1h", "35d"; not {_toml(value)}')
    return int(found[1]) * _UNITS[found[2]]


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        hint = ""
        if "host bits" in str(error):
            hint = f"; did you mean {ip_network(text, strict=False)}, or {text.partition('/')[0]} alone?"
        raise ValueError(f"{text!r} is no network ({error}){hint}") from None


def _toml(value: Any) -> str:
    """A value as the file shows it, shortened."""
    words = {True: "true", False: "false"}[value] if isinstance(value, bool) else repr(value)
    return words if len(words) <= 60 else words[:57] + "..."


_WORDS = {int: "whole number", float: "duration", str: "text", bool: "true or false", Path: "path", Rule: "block list"}


def type_words(kind: Any) -> str:
    """A type in the words of the documentation, such as ``list of networks``."""
    if get_origin(kind) is Annotated:
        return str(get_args(kind)[1].words)
    if get_origin(kind) in (tuple, list, frozenset):
        return f"list of: {type_words(get_args(kind)[0])}"
    if kind == Network:
        return "network"
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(type_words(member) for member in get_args(kind) if member is not type(None))
    if choices := _choices(kind):
        return " or ".join(f'"{word}"' for word in choices)
    return _WORDS.get(kind, str(kind))
