"""Values of the configuration file: addresses, domains, durations, URLs, words.

The types of single values of the file, and how each is read from what TOML gives. Tables and lists are the reader's.
A value that cannot be read is a ValueError whose words say what would do.
"""

from __future__ import annotations

import math
import os
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
    host: str  # "" with a path
    port: int  # 25 for smtp and 24 for lmtp where the URL names none; without a meaning beside a path
    path: str  # "" with a host


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


class ListenAddress(NamedTuple):
    """Where a service listens: `kind` is "inet" (`host`, `port`), "unix" (`path`) or "systemd" (a socket's `name`)."""

    kind: str
    host: str = ""  # an address or a name; "" is every address
    port: int = 0  # 0 is any that is free
    path: str = ""
    name: str = ""  # FileDescriptorName= of systemd.socket(5)


_LISTEN = "expected inet:HOST:PORT, unix:/PATH, or systemd:NAME"


def parse_listen(text: str) -> ListenAddress:
    """``inet:HOST:PORT``, ``inet:[IPv6]:PORT``, ``unix:/PATH``, ``systemd:NAME``. Raises `ValueError`.

    NAME is a socket's FileDescriptorName= (systemd.socket(5)). As in Postfix, HOST may be missing: every address.
    """
    kind, _, rest = text.partition(":")
    if kind == "unix" and rest.startswith("/") and "\0" not in rest:
        if len(os.fsencode(rest)) > MAX_SOCKET_PATH:
            raise ValueError(f"{text!r}: the path of a unix socket has at most {MAX_SOCKET_PATH} octets")
        return ListenAddress("unix", path=rest)
    if kind == "systemd" and re.fullmatch(r"[!-9;-~]{1,255}", rest):
        return ListenAddress("systemd", name=rest)
    host, colon, port = rest.rpartition(":")
    if kind != "inet" or not colon or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError(f"{text!r}: {_LISTEN}")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if host:
        _check_host(host)
    return ListenAddress("inet", host=host, port=int(port))


MAX_SOCKET_PATH = 107
"""Octets of the path of a unix socket on Linux (unix(7))."""


def _check_host(text: str) -> None:
    try:
        ip_address(text)
    except ValueError:
        name = names.to_ascii(text)
        if name is None or not names.is_hostname(name):
            raise ValueError(f"{text!r} is neither a host's name nor its address") from None


def _check_socket_mode(text: str) -> None:
    if not re.fullmatch("0?[0-7]{3}", text):
        raise ValueError(f'{text!r} is no mode of a socket, such as "0660"')


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
ListenText = Annotated[str, Checked(parse_listen, "socket")]
SocketMode = Annotated[str, Checked(_check_socket_mode, "mode")]
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
